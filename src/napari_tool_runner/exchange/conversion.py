"""Turning a snapshot into what a parameter takes: kind, axes, pixel grid, labels of shapes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.blocks import Transposed, reshaped
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.coordinates import feature_columns
from napari_tool_runner.exchange.formats import CarrierName, carrier_of
from napari_tool_runner.exchange.geometry import (
    convert_coordinates,
    ellipse_outline,
    geometry_of,
    select,
    transpose,
)
from napari_tool_runner.exchange.handover import (
    TABULAR,
    carriers_for,
    declared_kinds,
    matching_kinds,
    serves,
    written_directly,
)
from napari_tool_runner.exchange.model import (
    ArrayLike,
    Geometry,
    LayerSnapshot,
    Pixels,
    ShapeList,
    SurfaceData,
)
from napari_tool_runner.tools.model import DataParameter, LayerKind

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.exchange.model import LayerSnapshot

from napari_tool_runner.exchange.model import PIXELS

__all__ = ["as_accepted", "as_pixels", "becomes", "in_pixels_of", "opened", "shapes_as_labels"]


def opened(snap: LayerSnapshot, parameter: DataParameter, notes: list[str]) -> LayerSnapshot:
    """Read a file that must be converted."""
    path = cast("Path", snap.path)
    accepted = ", ".join(parameter.formats)
    known = carrier_of(path)
    refusal = UnsupportedLayerError(
        f"{path.name} cannot be given to “{parameter.label or parameter.name}”, which takes "
        f"{accepted}.",
        hint="Open it in napari and choose the layer, or convert it yourself.",
    )
    if known is None or known.carrier is CarrierName.OPAQUE:
        raise refusal
    try:
        content = read_file(path, known.carrier, name=snap.name, fmt=known.name)
    except OutputError as error:
        raise refusal from error
    notes.append(f"{path.name} was converted, as the tool takes {accepted}.")
    kind = _kind_of(content.data, parameter)
    data: object = content.data
    attributes = dict(content.attributes)
    if isinstance(data, ShapeList):
        attributes |= {"shape_type": list(data.types), "features": data.features}
        data = np.concatenate(data.vertices) if kind is LayerKind.POINTS else list(data.vertices)
    elif isinstance(data, SurfaceData):
        parts = (data.vertices, data.faces, data.values)
        data = tuple(part for part in parts if part is not None)
    return replace(
        snap,
        data=data,
        kind=kind,
        name=path.name[: -len(path.suffix)] if path.suffix else path.name,
        geometry=content.geometry or _coordinate_geometry(data, kind),
        rgb=content.rgb,
        multiscale=content.multiscale,
        path=None,
        attributes=attributes,
    )


def _kind_of(data: object, parameter: DataParameter) -> LayerKind:
    if isinstance(data, dict):
        return LayerKind.TABLE
    if isinstance(data, SurfaceData):
        return LayerKind.SURFACE
    if isinstance(data, ShapeList):
        return LayerKind.POINTS if set(data.types) == {"point"} else LayerKind.SHAPES
    return LayerKind.LABELS if LayerKind.LABELS in parameter.kinds else LayerKind.IMAGE


def _coordinate_geometry(data: object, kind: LayerKind) -> Geometry:
    if kind is LayerKind.TABLE:
        return Geometry(axes="")
    first = data[0] if isinstance(data, list | tuple) else data
    return geometry_of(int(np.asarray(first).shape[-1]))


def becomes(snap: LayerSnapshot, parameter: DataParameter) -> LayerKind:
    """Say as what `snap` is passed to `parameter`.

    Raises
    ------
    UnsupportedLayerError
        It cannot be passed; the sentence says what can.
    """
    kind, name = snap.kind, parameter.label or parameter.name
    declared = declared_kinds(parameter)
    if kind is LayerKind.IMAGE and declared == [LayerKind.LABELS]:
        _check_labels(snap, name)
        return LayerKind.LABELS
    if serves(kind, parameter) and written_directly(kind, parameter):
        return kind
    pixels = written_directly(LayerKind.IMAGE, parameter)
    if kind is LayerKind.SHAPES and pixels and (not declared or set(PIXELS) & set(declared)):
        return LayerKind.LABELS
    if kind is LayerKind.IMAGE and _is_matrix(snap) and carriers_for(parameter) & set(TABULAR):
        return LayerKind.TABLE
    if CarrierName.TABLE in carriers_for(parameter) and _features(snap):
        return LayerKind.TABLE
    takes = " or ".join(k.value for k in matching_kinds(parameter)) or "files only"
    raise UnsupportedLayerError(
        f"“{snap.name}” is a {kind.value} layer; “{name}” takes {takes}"
        f" ({', '.join(parameter.formats) or 'any format'}).",
        hint="Choose another layer, or a tool that turns one into the other.",
    )


def as_accepted(
    snap: LayerSnapshot,
    parameter: DataParameter,
    reference: LayerSnapshot | None,
    notes: list[str],
) -> LayerSnapshot:
    """Turn a layer into the kind that `becomes` says.

    Raises
    ------
    UnsupportedLayerError
    """
    kind = becomes(snap, parameter)
    if snap.kind is LayerKind.SHAPES and kind is LayerKind.LABELS:
        snap = shapes_as_labels(snap, reference, notes)
    elif kind is LayerKind.TABLE and snap.kind is not kind and not _is_array(snap):
        notes.append(f"The features of “{snap.name}” were passed as a table.")
        snap = replace(snap, data=_features(snap))
    _check_ndim(snap, parameter, kind)
    return replace(snap, kind=kind)


def _check_ndim(snap: LayerSnapshot, parameter: DataParameter, kind: LayerKind) -> None:
    """Refuse a layer of more or fewer axes than the tool works on; 1-sized ones may go."""
    ndim = snap.geometry.ndim
    if not parameter.ndim or kind is LayerKind.TABLE or ndim in parameter.ndim:
        return
    singletons = sum(size == 1 for size in snap.geometry.shape)
    if any(ndim - singletons <= n < ndim for n in parameter.ndim):
        return
    wanted = " or ".join(f"{n}-D" for n in parameter.ndim)
    raise UnsupportedLayerError(
        f"“{snap.name}” has {ndim} dimensions ({snap.geometry.axes}); "
        f"“{parameter.label or parameter.name}” takes {wanted}.",
        hint="Run it on a slice, or on each slice.",
    )


def _is_array(snap: LayerSnapshot) -> bool:
    return snap.kind is LayerKind.IMAGE and _is_matrix(snap)


def _is_matrix(snap: LayerSnapshot) -> bool:
    """Whether this is a bare array of numbers, no picture that somebody looks at."""
    return snap.source == "array" and not snap.rgb and snap.geometry.ndim <= 2


def _check_labels(snap: LayerSnapshot, name: str) -> None:
    array = cast("ArrayLike", cast("list[object]", snap.data)[0] if snap.multiscale else snap.data)
    if snap.rgb or np.dtype(array.dtype).kind not in "biu":
        raise UnsupportedLayerError(
            f"“{snap.name}” holds {'colours' if snap.rgb else array.dtype}; “{name}” takes "
            "labels, which are whole numbers.",
            hint="Choose a Labels layer, or segment the image first.",
        )


def _features(snap: LayerSnapshot) -> dict[str, np.ndarray]:
    """Return a layer's features as a table; empty when it has none."""
    features = snap.attributes.get("features")
    if (
        features is None
        or not hasattr(features, "keys")
        or not len(cast("list[object]", features))
    ):
        return {}
    names = list(features.keys())
    return feature_columns(features, len(np.asarray(features[names[0]]))) if names else {}  # type: ignore[index]


def as_pixels(snap: LayerSnapshot, parameter: DataParameter) -> Pixels:
    """Return the full-resolution pixels with the axes that `parameter` wants.

    Raises
    ------
    UnsupportedLayerError
        Other axes than the tool takes.
    """
    levels = cast("Sequence[object]", snap.data) if snap.multiscale else [snap.data]
    array = cast("ArrayLike", levels[0])
    geometry = snap.geometry
    name = parameter.label or parameter.name
    if parameter.ndim and geometry.ndim not in parameter.ndim:
        array, geometry = _without_singletons(array, geometry, max(parameter.ndim), rgb=snap.rgb)
    wanted = parameter.axes.upper()
    if wanted and wanted != geometry.axes:
        if not geometry.labels and len(wanted) == geometry.ndim:
            # Nobody named the axes: they are what the tool takes them for.
            geometry = replace(geometry, axes=wanted)
        elif sorted(wanted) == sorted(geometry.axes):
            order = [geometry.axes.index(axis) for axis in wanted]
            geometry = transpose(geometry, order)
            array = _transposed(array, [*order, len(order)] if snap.rgb else order)
        else:
            raise UnsupportedLayerError(
                f"“{snap.name}” has the axes {geometry.axes}; “{name}” takes {wanted}.",
                hint="Run it on a slice, or name the layer's axes.",
            )
    channels = snap.attributes.get("channel_names", ())
    metadata = snap.attributes.get("metadata")
    if not channels and isinstance(metadata, dict):
        channels = metadata.get("channel_names", ())
    names = tuple(str(c) for c in cast("Sequence[object]", channels or ()))
    fits = "C" in geometry.axes and len(names) == geometry.shape[geometry.axes.index("C")]
    return Pixels(
        array,
        geometry,
        snap.name,
        rgb=snap.rgb,
        labels=snap.kind is LayerKind.LABELS,
        channel_names=names if fits else (),
    )


def _without_singletons(
    array: ArrayLike, geometry: Geometry, ndim: int, *, rgb: bool
) -> tuple[ArrayLike, Geometry]:
    """Drop leading axes of size 1 until there are `ndim`; results get them back."""
    surplus = geometry.ndim - ndim
    single = [i for i, size in enumerate(geometry.shape) if size == 1][:surplus]
    keep = [i for i in range(geometry.ndim) if i not in single]
    shape = tuple(geometry.shape[i] for i in keep)
    full = (*shape, array.shape[-1]) if rgb else shape
    return reshaped(array, full), select(geometry, keep)[0]


def _transposed(array: ArrayLike, order: Sequence[int]) -> ArrayLike:
    if hasattr(array, "transpose"):
        return cast("ArrayLike", array.transpose(order))
    return Transposed(array, order)


def in_pixels_of(
    snap: LayerSnapshot, reference: LayerSnapshot | None, notes: list[str]
) -> LayerSnapshot:
    """Convert coordinates to the pixel grid of the image that goes with them."""
    target = None if reference is None else reference.geometry
    if target is None or not target.axes or reference is snap:
        return snap
    source = snap.geometry
    trial = np.vstack([np.zeros(source.ndim), np.eye(source.ndim) * 100])
    if np.allclose(convert_coordinates(trial, source, target), trial, atol=1e-6):
        return snap

    def moved(points: object) -> np.ndarray:
        return convert_coordinates(np.asarray(points), source, target)

    data: object
    match snap.kind:
        case LayerKind.POINTS:
            data = moved(snap.data)
        case LayerKind.TRACKS:
            tracks = np.array(snap.data, dtype=float)
            tracks[:, 1:] = moved(tracks[:, 1:])
            data = tracks
        case LayerKind.VECTORS:
            vectors = np.asarray(snap.data, dtype=float)
            starts, ends = moved(vectors[:, 0]), moved(vectors[:, 0] + vectors[:, 1])
            data = np.stack([starts, ends - starts], axis=1)
        case LayerKind.SHAPES:
            data = [moved(shape) for shape in cast("Sequence[object]", snap.data)]
        case LayerKind.SURFACE:
            vertices, *rest = cast("Sequence[object]", snap.data)
            data = (moved(vertices), *rest)
        case _:
            return snap
    notes.append(
        f"“{snap.name}” was converted to the pixels of “{cast('LayerSnapshot', reference).name}”."
    )
    return replace(snap, data=data, geometry=replace(target, shape=()))


_LARGEST = 2**31


def shapes_as_labels(
    snap: LayerSnapshot, reference: LayerSnapshot | None, notes: list[str]
) -> LayerSnapshot:
    """Draw shapes, numbered from 1, into the pixel grid of `reference`.

    Later shapes cover earlier ones. A shape lies in one plane of the leading axes
    (the rounded mean of its vertices there).

    Raises
    ------
    UnsupportedLayerError
        Without an image whose grid could be taken.
    """
    grid = None if reference is None else reference.geometry
    if grid is None or not grid.shape:
        raise UnsupportedLayerError(
            f"“{snap.name}” are shapes; to draw them as labels an image is needed, whose size "
            "they take.",
            hint="Choose an image for another input, or turn the shapes into Labels in napari.",
        )
    if int(np.prod(grid.shape, dtype=np.int64)) > _LARGEST:
        raise UnsupportedLayerError(
            f"“{snap.name}” cannot be drawn in an image of {grid.shape} pixels.",
            hint="Crop the image first.",
        )
    from skimage.draw import line_nd, polygon

    shapes = [np.asarray(s, dtype=float) for s in cast("Sequence[object]", snap.data)]
    types = snap.attributes.get("shape_type", "polygon")
    names = [types] * len(shapes) if isinstance(types, str) else list(cast("Sequence[str]", types))
    labels = np.zeros(grid.shape, np.uint16 if len(shapes) < 2**16 else np.uint32)
    outside = 0
    for number, (shape, name) in enumerate(zip(shapes, names, strict=True), start=1):
        points = convert_coordinates(shape, snap.geometry, grid)
        full = np.zeros((len(points), len(grid.shape)))
        width = min(points.shape[1], full.shape[1])
        full[:, full.shape[1] - width :] = points[:, points.shape[1] - width :]
        lead = np.rint(full[:, :-2].mean(axis=0)).astype(int)
        if np.any(lead < 0) or np.any(lead >= grid.shape[:-2]):
            outside += 1
            continue
        plane = labels[tuple(lead)]
        outline = ellipse_outline(full[:, -2:]) if name == "ellipse" else full[:, -2:]
        if name in ("line", "path"):
            for start, stop in itertools.pairwise(outline):
                rows, columns = line_nd(start, stop, endpoint=True)  # type: ignore[no-untyped-call]
                inside = (rows >= 0) & (columns >= 0)
                inside &= (rows < plane.shape[0]) & (columns < plane.shape[1])
                plane[rows[inside], columns[inside]] = number
        else:
            filled = polygon(outline[:, 0], outline[:, 1], plane.shape)  # type: ignore[no-untyped-call]
            plane[filled] = number
    if outside:
        notes.append(f"{outside} shapes lie outside the image and were left out.")
    notes.append(f"The shapes of “{snap.name}” were drawn as labels 1 to {len(shapes)}.")
    return replace(
        snap,
        data=labels,
        kind=LayerKind.LABELS,
        geometry=replace(grid, shape=tuple(labels.shape)),
        attributes={},
        path=None,
    )
