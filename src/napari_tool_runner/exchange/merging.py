"""Results of slices put together again: one stack, one table, labels kept distinct."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import LossyConversionError, OutputError
from napari_tool_runner.exchange.axes import outer_axes
from napari_tool_runner.exchange.blocks import first_holding, read, spaced, transposed
from napari_tool_runner.exchange.carriers import in_file_order, write_pixels
from napari_tool_runner.exchange.carriers.tables import write_table
from napari_tool_runner.exchange.coordinates import moved, points_table, rearranged, shapes_table
from napari_tool_runner.exchange.files import whole_file
from napari_tool_runner.exchange.geometry import (
    PLACE,
    attributes_of,
    for_file,
    geometry_of,
    select,
)
from napari_tool_runner.exchange.joining import id_column
from napari_tool_runner.exchange.model import PIXELS, ArrayLike, Pixels, items
from napari_tool_runner.exchange.parts import spread
from napari_tool_runner.names import file_name
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.exchange.model import Geometry, LoadedOutput, Table

__all__ = ["in_its_slice", "label_offsets", "merge_parts"]


def label_offsets(parts: Sequence[LoadedOutput]) -> list[int]:
    """Return what to add to the labels of each part, so that no label occurs twice.

    Masks (0 and 1 everywhere) stay masks: nothing is added.
    """
    tops = [int(np.asarray(part.data).max(initial=0)) for part in parts]
    if max(tops, default=0) <= 1:
        return [0] * len(tops)
    return [sum(tops[:number]) for number in range(len(tops))]


def merge_parts(
    parts: Sequence[LoadedOutput],
    outer: Sequence[int],
    geometry: Geometry,
    folder: Path,
    name: str,
    offsets: Sequence[int] | None = None,
    first: Sequence[int] | None = None,
    column: str = "",
) -> tuple[Path, str] | None:
    """Write the results of all slices as one file.

    Parameters
    ----------
    parts : sequence of LoadedOutput
        In the order of the slices (the last of `outer` fastest), all of one kind.
    outer : sequence of int
        Which axes of `geometry` the slices lie along; their sizes make ``len(parts)``.
    geometry : Geometry
        Of the grid, or of the part of it that the slices cover.
    offsets : sequence of int, optional
        What is added to label ids: in labels, and in the id column of a table.
    first : sequence of int, optional
        Number of the first slice along each of `outer`, for tables (default: 0).
    column : str
        The id column of a table; empty: its name tells.

    Returns
    -------
    (path, format), or None when results of this kind cannot be put together.

    Raises
    ------
    OutputError
        Slices gave images of different sizes or types.
    """
    kind = parts[0].kind
    loop = [geometry.shape[axis] for axis in outer]
    places = np.array(list(np.ndindex(*loop)))
    if kind in PIXELS:
        return _merge_pixels(
            parts, outer, geometry, folder / f"{file_name(name)}.tif", name, offsets
        )
    if kind is LayerKind.POINTS:
        points = [np.asarray(part.data, dtype=float) for part in parts]
        rows = _in_place(points, places, outer, geometry)
        table = points_table(np.concatenate(rows), _merge_features(parts, map(len, points)))
    elif kind is LayerKind.SHAPES:
        shapes = [part.parts for part in parts]
        at = np.repeat(places, [len(group) for group in shapes], axis=0)
        rows = _in_place([one for group in shapes for one in group], at, outer, geometry)
        types = [kind for part in parts for kind in part.shape_types]
        table = shapes_table(rows, types, _merge_features(parts, map(len, shapes)))
    elif kind is LayerKind.TABLE:
        axes = "".join(geometry.axes[axis] for axis in outer)
        table = _merge_tables(parts, places + np.asarray(first or 0), axes, offsets, column)
    else:
        return None
    path = folder / f"{file_name(name)}.csv"
    write_table(table, path)
    return path, "tablecsv"


def _merge_pixels(
    parts: Sequence[LoadedOutput],
    outer: Sequence[int],
    geometry: Geometry,
    path: Path,
    name: str,
    offsets: Sequence[int] | None,
) -> tuple[Path, str]:
    arrays = [part.pixels for part in parts]
    first = arrays[0]
    rgb = bool(parts[0].attributes.get("rgb", False))
    for array in arrays:
        if tuple(array.shape) != tuple(first.shape):
            raise OutputError(
                f"The slices gave results of different sizes ({tuple(first.shape)} and "
                f"{tuple(array.shape)}), which do not fit into one stack.",
                hint="Run the tool on the whole, or on the current slice.",
            )
    labels = parts[0].kind is LayerKind.LABELS
    loop = tuple(geometry.shape[axis] for axis in outer)
    stacked = _Stacked(arrays, loop, (offsets or [0] * len(parts)) if labels else None)
    axes = [*outer, *_inner_axes(parts[0], len(first.shape) - int(rgb), outer, geometry)]
    own = replace(select(geometry, axes)[0], shape=stacked.shape[: len(axes)])
    size = [float(str(step)) for step in items(parts[0].attributes.get("scale", ()))]
    if len(size) == len(axes) - len(loop):  # a slice may have come back with other pixels
        own = replace(own, scale=(*own.scale[: len(loop)], *size))
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    whole = transposed(stacked, [*order, len(order)] if rgb else order)
    fmt = FORMATS["imagetiff"]
    pixels = Pixels(whole, select(own, order)[0], name, rgb=rgb, labels=labels)
    with whole_file(path, name):
        write_pixels(in_file_order(pixels, fmt), fmt, path)
    return path, fmt.name


def _inner_axes(
    part: LoadedOutput, ndim: int, outer: Sequence[int], geometry: Geometry
) -> list[int]:
    """Return which axes of `geometry` those of a slice's result are: by name, else the last.

    Raises
    ------
    OutputError
        It has more axes than a slice.
    """
    rest = [axis for axis in range(geometry.ndim) if axis not in outer]
    if ndim > len(rest):  # only the slice's place is known
        raise OutputError("The slices gave results with more axes than went in.")
    names = [str(name) for name in items(part.attributes.get("axis_labels", ()))]
    by_name = {geometry.labels[axis]: axis for axis in rest} if geometry.labels else {}
    if len(names) == ndim and set(names) <= set(by_name):
        return [by_name[name] for name in names]
    dropped = outer_axes("".join(geometry.axes[axis] for axis in rest), ndim)
    return [axis for i, axis in enumerate(rest) if i not in dropped]


class _Stacked:
    """Arrays of one shape along new leading axes, read one at a time.

    `offsets`: what is added to the labels of each; None: they are no labels.
    """

    def __init__(
        self, arrays: Sequence[ArrayLike], loop: tuple[int, ...], offsets: Sequence[int] | None
    ) -> None:
        self._arrays = arrays
        self._loop = loop
        self._offsets = offsets
        self.shape = (*loop, *arrays[0].shape)
        self.dtype = np.result_type(*[a.dtype for a in arrays])
        if offsets is not None:
            self.dtype = self._label_type(offsets)

    def _label_type(self, offsets: Sequence[int]) -> np.dtype:
        """Return a type that holds every label with its offset."""
        pairs = list(zip(self._arrays, offsets, strict=True))
        highest = max(int(np.asarray(a).max(initial=0)) + offset for a, offset in pairs)
        lowest = min(int(np.asarray(a).min(initial=0)) for a in self._arrays)
        return _holding(lowest, highest, ("int32", "uint32", "int64", "uint64"))

    @property
    def chunks(self) -> tuple[tuple[int, ...], ...]:
        single = tuple((1,) * n for n in self._loop)
        return single + tuple((n,) for n in self._arrays[0].shape)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        depth = len(self._loop)
        inner = key[depth:]
        picks = [range(*k.indices(n)) for k, n in zip(key[:depth], self._loop, strict=True)]
        numbers = np.arange(len(self._arrays)).reshape(self._loop)[np.ix_(*picks)]
        blocks = [self._one(int(number), inner) for number in numbers.ravel()]
        return np.stack(blocks).reshape((*numbers.shape, *blocks[0].shape))

    def _one(self, number: int, inner: tuple[slice, ...]) -> np.ndarray:
        block = read(self._arrays[number], inner)
        if self._offsets is None:
            return block.astype(self.dtype, copy=False)
        values = block.astype(self.dtype)
        values[values > 0] += self._offsets[number]
        return values


def _holding(lowest: int, highest: int, names: Sequence[str]) -> np.dtype:
    """Return the first of the types that holds labels up to `highest`."""
    found = first_holding(lowest, highest, names)
    if found is None:
        raise LossyConversionError(
            f"The slices have labels from {lowest} to {highest}, too large for one image.",
            hint="Relabel them from 1 on, or run the tool on one slice.",
        )
    return found


def _shifted(ids: np.ndarray, offset: int) -> np.ndarray:
    """Return ids of objects with `offset` added; 0 is none."""
    if ids.dtype.kind in "iu" and ids.size:
        names = ("int64", "uint64")
        ids = ids.astype(_holding(int(ids.min()), int(ids.max()) + offset, names))
    return np.where(ids > 0, ids + ids.dtype.type(offset), ids)


def _in_place(
    groups: Sequence[np.ndarray], places: np.ndarray, outer: Sequence[int], geometry: Geometry
) -> list[np.ndarray]:
    """Return coordinates (N, D) of slices in the whole, its axes as a file has them.

    Raises
    ------
    OutputError
        They have other axes than a slice.
    """
    rest = [axis for axis in range(geometry.ndim) if axis not in outer]
    order = for_file(replace(geometry, shape=()))[1]
    found = []
    for rows, place in zip(groups, places, strict=True):
        if rows.shape[1] != len(rest):
            raise OutputError(
                f"The slices have {len(rest)} axes, what was found in them {rows.shape[1]}."
            )
        whole = _in_whole(rows, place, outer, geometry.ndim)
        found.append(np.asarray(rearranged(whole, LayerKind.POINTS, order)))
    return found


def in_its_slice(loaded: LoadedOutput, grid: Geometry, index: Mapping[int, int]) -> LoadedOutput:
    """Return what was made of one slice with the axes of `grid` that the slice left out.

    Unchanged where its place is not known: of other axes than a slice, of another kind.

    Parameters
    ----------
    index : mapping
        Axis of `grid` that was left out -> where along it the slice lies.
    """
    rest = [axis for axis in range(grid.ndim) if axis not in index]
    facts = {name: loaded.attributes.get(name) for name in PLACE}
    if len(items(facts["scale"] or ())) not in (0, len(rest)):
        return loaded
    is_pixels, places = loaded.kind in PIXELS, np.array([[*index.values()]])
    if is_pixels:
        levels = [spaced(level, tuple(index)) for level in loaded.levels]
        data: object = levels if isinstance(loaded.data, list) else levels[0]
    elif loaded.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        rows = partial(_in_whole, places=places, outer=[*index], ndim=grid.ndim)
        data = moved(loaded.data, loaded.kind, rows)
    else:
        return loaded
    place = spread(geometry_of(len(rest), (), **facts), replace(grid, shape=()), rest)
    start = [*place.translate]
    for axis, at in index.items():  # pixels are one slice thick, at its height
        start[axis] = grid.translate[axis] + grid.scale[axis] * at * is_pixels
    attributes = attributes_of(replace(place, translate=tuple(start)), [])
    return replace(loaded, data=data, attributes={**loaded.attributes, **attributes})


def _in_whole(rows: np.ndarray, places: np.ndarray, outer: Sequence[int], ndim: int) -> np.ndarray:
    """Return coordinates (N, D) of a slice with its place along the axes `outer`."""
    rest = [axis for axis in range(ndim) if axis not in outer]
    whole = np.empty((len(rows), ndim))
    whole[:, [*outer]], whole[:, rest] = places, rows
    return whole


def _merge_features(parts: Sequence[LoadedOutput], counts: Iterable[int]) -> pd.DataFrame:
    import pandas as pd

    frames = [pd.DataFrame(p.features(n), range(n)) for p, n in zip(parts, counts, strict=True)]
    return pd.concat(frames, ignore_index=True)


def _merge_tables(
    parts: Sequence[LoadedOutput],
    places: np.ndarray,
    axes: str,
    offsets: Sequence[int] | None,
    column: str,
) -> Table:
    import pandas as pd

    frames = []
    for number, (part, place) in enumerate(zip(parts, places, strict=True)):
        frame = pd.DataFrame(part.table)
        key = column or id_column(frame)
        if key is not None and offsets is not None:
            frame[key] = _shifted(frame[key].to_numpy(), offsets[number])
        for letter, position in zip(axes.lower(), place, strict=True):
            name = letter if letter not in frame.columns else f"slice_{letter}"
            frame[name] = int(position)
        frames.append(frame)
    merged = pd.concat(frames, ignore_index=True)
    return {str(name): merged[name].to_numpy() for name in merged.columns}
