"""The values that cross the exchange: snapshots of layers, geometry, loaded layers.

Nothing here imports napari: a layer is known by its attributes (``data``, ``scale``,
``as_layer_data_tuple``…), so the engine works where napari is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, cast, runtime_checkable

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass, field, fields, replace
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "LOOKS",
    "PIXELS",
    "PIXEL_SIZE",
    "ArrayLike",
    "Content",
    "Geometry",
    "LayerData",
    "LayerSnapshot",
    "LoadedOutput",
    "Pixels",
    "Progress",
    "ShapeList",
    "SurfaceData",
    "Table",
    "columns_of",
    "feature_columns",
    "geometry_from",
    "geometry_told",
    "items",
]


LOOKS = ("colormap", "contrast_limits")
"""Attributes that say how an image looks."""
PIXELS = tuple(kind for kind in LayerKind if kind.is_pixels)
"""Kinds of layers that are arrays of pixels."""

PIXEL_SIZE = "pixel_size"
"""Key of a layer's metadata: how large pixels are of what was made of a layer that says no size.

``shown``: the layer's scale, as long as it is as it was made; ``scale``, ``units``: what its tool
was told, axis by axis.
"""


@runtime_checkable
class ArrayLike(Protocol):
    """What the exchange asks of an array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the axes."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""

    def __getitem__(self, key: tuple[slice, ...], /) -> object:
        """Return a part, as something `np.asarray` takes."""


LayerData: TypeAlias = "tuple[object, dict[str, object], str]"
"""napari's ``(data, attributes, layer type)``."""

Table: TypeAlias = "dict[str, np.ndarray]"
"""Columns by name, each of shape (N,)."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and in all; may raise to stop the writing."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the axes of some data lie in the world.

    Parameters
    ----------
    axes : str
        One letter an axis, of ``TCZYX`` (``Q`` where unknown); no channel axis of RGB.
    shape : tuple of int
        Sizes along `axes` (empty for coordinate layers).
    scale, translate : tuple of float
        World units per step, and the world position of index 0, along `axes`.
    linear : ndarray of shape (n, n) or None
        Rotation and shear as a matrix, None: identity. Kept apart from `scale`.
    affine : ndarray of shape (n + 1, n + 1) or None
        The layer's extra affine, None: identity.
    units : tuple of str
        Unit along each axis (``micrometer``, ``second``, ``pixel``).
    labels : tuple of str
        The names that the axes really have (of the layer or the file); empty when
        nobody named them and `axes` is a guess from their number.
    """

    axes: str
    shape: tuple[int, ...] = ()
    scale: tuple[float, ...] = ()
    translate: tuple[float, ...] = ()
    linear: np.ndarray | None = None
    affine: np.ndarray | None = None
    units: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether there is known to be no depth."""
        return not set("ZQ") & set(self.axes)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)


def items(value: object) -> list[object]:
    """Return what a list, tuple or array of unknown content holds."""
    if not isinstance(value, Iterable):
        raise TypeError(f"{type(value).__name__} holds no items")
    return list(value)


def geometry_told(geometry: Geometry) -> dict[str, object]:
    """Return a geometry in JSON types."""
    facts = {fact.name: getattr(geometry, fact.name) for fact in fields(geometry)}
    plain = {name for name, value in facts.items() if value is None or isinstance(value, str)}
    return {
        name: value if name in plain else np.asarray(value).tolist() if len(value) else []
        for name, value in facts.items()
    }


def geometry_from(told: Mapping[str, object]) -> Geometry:
    """Return what `geometry_told` told, out of the hands of a stranger.

    Raises
    ------
    TypeError, ValueError, OverflowError
        It is none, or its parts do not fit together.
    """

    def matrix(key: str) -> np.ndarray | None:
        return None if told.get(key) is None else np.asarray(told[key], dtype=float)

    def row(key: str) -> list[str]:
        return [str(value) for value in items(told.get(key, ()))]

    made = Geometry(
        axes=str(told.get("axes", "")),
        shape=tuple(int(float(size)) for size in row("shape")),
        scale=tuple(map(float, row("scale"))),
        translate=tuple(map(float, row("translate"))),
        linear=matrix("linear"),
        affine=matrix("affine"),
        units=tuple(row("units")),
        labels=tuple(row("labels")),
    )
    n = made.ndim
    lengths = {len(given) for given in (made.scale, made.translate, made.units)}
    lengths |= {len(given) for given in (made.shape, made.labels) if given}
    sizes = [(made.linear, n), (made.affine, n + 1)]
    if (
        lengths != {n}
        or any(m is not None and m.shape != (size, size) for m, size in sizes)
        or not all(0 <= size < 2**40 for size in made.shape)
        or not np.isfinite([*made.scale, *made.translate]).all()
    ):
        raise ValueError(f"the place of data is not that of {n} axes")
    return made


class _Data:
    """Data of some kind, as what its kind says it is: the only place that believes it."""

    __slots__ = ()
    data: object

    @property
    def levels(self) -> Sequence[ArrayLike]:
        """Pixels: the full resolution, and the smaller ones of a multiscale image."""
        return self.data if isinstance(self.data, list) else [cast("ArrayLike", self.data)]

    @property
    def pixels(self) -> ArrayLike:
        """Pixels in full resolution."""
        return self.levels[0]

    @property
    def table(self) -> Table:
        """A table: its columns by name."""
        return cast("Table", self.data)

    @property
    def parts(self) -> list[np.ndarray]:
        """Vertices of each shape; vertices, faces (and values) of a surface."""
        return [np.asarray(part) for part in items(self.data)]


class _Layer(_Data):
    """Data with the attributes of a layer."""

    __slots__ = ()
    attributes: Mapping[str, object]

    @property
    def shape_types(self) -> list[str]:
        """The type of each shape (``polygon``, ``ellipse``…)."""
        told = self.attributes.get("shape_type", "polygon")
        if isinstance(told, str):
            return [told] * len(items(self.data))
        return [str(kind) for kind in items(told)]

    def features(self, count: int | None = None) -> Table:
        """Return the features as columns of `count` rows (default: of any but none)."""
        return feature_columns(self.attributes.get("features"), count)


def columns_of(table: object) -> Table:
    """Return the columns of a DataFrame or mapping."""
    told = cast("Mapping[str, object]", table)
    return {str(key): np.asarray(told[key]) for key in list(told.keys())}


def feature_columns(features: object, count: int | None = None) -> Table:
    """Return features (DataFrame or mapping) as columns of `count` rows, else none."""
    if features is None or not hasattr(features, "keys"):
        return {}
    columns = columns_of(features)
    if count is None:
        count = len(next(iter(columns.values()), ())) or -1
    return {key: column for key, column in columns.items() if len(column) == count}


@dataclass(frozen=True, slots=True)
class LayerSnapshot(_Layer):
    """A data value at the moment of Run: taken on the GUI thread, written later.

    Holds references, not copies: `data` is the layer's array (numpy, dask, zarr, or
    a list of them when `multiscale`).

    Parameters
    ----------
    kind : LayerKind
        ``ANY`` for a file whose content nobody looked at.
    path : Path or None
        A file that holds exactly this data (the caller passed a path, or the layer
        came from it and is unmodified).
    attributes : mapping
        The layer's attributes that matter outside (``rgb``, ``features``,
        ``shape_type``, ``graph``, ``properties``, ``colormap``, ``contrast_limits``…).
    source : str
        Where it came from, for the record (path, sample, "array").
    key : str
        Cheap identity within this session (data object and its change counter).
    behind : Geometry or None
        What is known of the size of its pixels that the layer does not say: from the file
        that it was opened from, or what it was made of. Its axes are those of `geometry`.
    remarks : tuple of str
        What else a person should know of that.
    made_by : str
        ``JOB/OUTPUT``: the result that it is, all of it and unchanged.
    """

    data: object
    kind: LayerKind
    name: str
    geometry: Geometry
    rgb: bool = False
    multiscale: bool = False
    path: Path | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)
    source: str = ""
    key: str = ""
    behind: Geometry | None = None
    remarks: tuple[str, ...] = ()
    made_by: str = ""

    @property
    def image(self) -> int:
        """Which of several images of its file is meant, counted from 1; 0: nobody said."""
        number = self.attributes.get("image", 0)
        return number if isinstance(number, int) else 0

    def placed_only(self) -> LayerSnapshot:
        """Return where it lay and how it looked, without its data."""
        kept: dict[str, object] = {}
        if self.kind is LayerKind.IMAGE:
            kept = {name: self.attributes[name] for name in LOOKS if name in self.attributes}
            kept["dtype"] = self.dtype
        return replace(self, data=None, attributes=kept)

    @property
    def dtype(self) -> object:
        """Type of the pixels, also without them; None where that is not known."""
        return self.attributes.get("dtype") if self.data is None else self.pixels.dtype


@dataclass(frozen=True, slots=True)
class LoadedOutput(_Layer):
    """An output as a layer to be.

    `data` is memory-mapped or lazy where the carrier allows; a table has its columns
    (name -> 1-D array) as data. `attributes` are keyword arguments of the layer's
    constructor (geometry included), except for tables.
    """

    data: object
    kind: LayerKind
    attributes: dict[str, object]
    notes: tuple[str, ...] = ()

    def as_layer_data_tuple(self) -> LayerData:
        """Return napari's tuple; the type is ``table`` for tables."""
        return self.data, dict(self.attributes), self.kind.value


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixels on their way to a file.

    `array` has the axes of `geometry`, and one more, the last, when `rgb`.
    """

    array: ArrayLike
    geometry: Geometry
    name: str
    rgb: bool = False
    labels: bool = False
    channel_names: tuple[str, ...] = ()

    @property
    def axes(self) -> str:
        """Letters of all axes of `array`, ``S`` for the samples of RGB."""
        return self.geometry.axes + ("S" if self.rgb else "")


@dataclass(frozen=True, slots=True)
class ShapeList:
    """Shapes or points of a file: vertices of shape (M, D) each, and their types."""

    vertices: tuple[np.ndarray, ...]
    types: tuple[str, ...]
    features: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SurfaceData:
    """A mesh: vertices (V, D), triangles (F, 3), one value a vertex (V,) or None."""

    vertices: np.ndarray
    faces: np.ndarray
    values: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Content(_Data):
    """What a file holds.

    Parameters
    ----------
    data : ArrayLike, list of ArrayLike, Table, ShapeList or SurfaceData
        A list: the levels of a multiscale image.
    geometry : Geometry or None
        What the file itself says of its axes; None when it says nothing. Its scale
        counts only when `calibrated`.
    rgb : bool
        The last axis holds the samples of a colour (the file says so).
    header : bool
        Whether the columns of a table have names of their own.
    hidden : str
        What programs may not find in the file, or take for something else; empty:
        nothing. Such a file is written anew for them.
    bare : bool
        It holds an array and does not say what its axes are, nor which are colours.
    """

    data: object
    geometry: Geometry | None = None
    calibrated: bool = False
    rgb: bool = False
    multiscale: bool = False
    header: bool = True
    attributes: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hidden: str = ""
    bare: bool = False
