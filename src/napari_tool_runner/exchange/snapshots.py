"""Taking a snapshot: what a layer, an array, a table or a path is at this moment.

Runs on the GUI thread: of pixels only references are taken, nothing is read, no file
opened. Coordinates and features are small and edited in place, so they are copied.
Changes of a layer are counted here, as napari does not.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeGuard, cast

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange.files import file_key, image_number, origin_of
from napari_tool_runner.exchange.geometry import PLACE, geometry_of
from napari_tool_runner.exchange.model import (
    PIXEL_SIZE,
    PIXELS,
    Geometry,
    LayerSnapshot,
    columns_of,
    geometry_from,
    geometry_told,
    items,
)
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "geometry_record",
    "is_whole",
    "layer_kind",
    "snapshot",
    "snapshot_from_record",
    "without_rows",
]

_KEPT = {
    LayerKind.IMAGE: ("colormap", "contrast_limits", "gamma", "metadata"),
    LayerKind.LABELS: ("features", "metadata"),
    LayerKind.POINTS: ("features", "size", "metadata"),
    LayerKind.SHAPES: ("features", "shape_type", "edge_width", "z_index", "metadata"),
    LayerKind.TRACKS: ("features", "graph", "metadata"),
    LayerKind.VECTORS: ("features", "metadata"),
    LayerKind.SURFACE: ("colormap", "contrast_limits", "metadata"),
}
_LAYERS = tuple(kind.value for kind in _KEPT)


class _Layer(Protocol):
    """What is read of a napari layer."""

    name: str
    data: object
    ndim: int


def snapshot(value: object, name: str = "") -> LayerSnapshot:
    """Take a snapshot of a layer, an array, a LayerData tuple, a DataFrame or a path.

    Never copies pixels and never blocks: call it on the GUI thread.

    Raises
    ------
    UnsupportedLayerError
    """
    if isinstance(value, LayerSnapshot):
        return replace(value, name=name) if name else value
    if isinstance(value, str | os.PathLike):
        return _of_path(Path(value), name)
    if _is_layer(value):
        return _of_layer(value, name)
    if isinstance(value, tuple) and value and (len(value) == 1 or isinstance(value[1], Mapping)):
        return _of_tuple(value, name)
    if hasattr(value, "as_layer_data_tuple"):  # our own outputs
        snap = _of_tuple(tuple(items(value.as_layer_data_tuple())), name)
        path = getattr(value, "path", None)
        editable = isinstance(snap.data, np.ndarray) and snap.data.flags.writeable
        if snap.path is None and not editable and isinstance(path, str | os.PathLike):
            snap = replace(snap, path=Path(path), source=str(path))
        return snap
    if isinstance(value, Mapping) or (hasattr(value, "columns") and hasattr(value, "iloc")):
        return _of_table(value, name)
    if isinstance(value, np.ndarray) and value.dtype.names:
        return _of_table({n: value[n] for n in value.dtype.names}, name)
    if hasattr(value, "dims") and hasattr(value, "coords") and hasattr(value, "values"):
        return _of_xarray(value, name)
    if all(hasattr(value, a) for a in ("shape", "dtype", "__getitem__")):
        snap = _taken(value, LayerKind.IMAGE, {}, name or "array")
        return snap if name or snap.path is None else replace(snap, name=snap.path.stem)
    if isinstance(value, bool | int | float | np.number):
        return _of_table({"value": np.array([value])}, name)
    path = getattr(value, "path", None)
    if isinstance(path, str | os.PathLike):
        return _of_path(Path(path), name)
    raise UnsupportedLayerError(
        f"A value of type {type(value).__name__} cannot be given to a data input.",
        hint="Give a layer, an array, a table (DataFrame or dict of columns) or a path.",
    )


def _is_layer(value: object) -> TypeGuard[_Layer]:
    needed = ("as_layer_data_tuple", "data", "scale", "translate", "ndim", "name")
    return all(hasattr(value, attribute) for attribute in needed)


def layer_kind(layer: object) -> LayerKind:
    """Return the kind of a napari layer, also of a plugin's subclass; ANY for anything else."""
    bases = layer.__class__.__mro__  # of a proxy, as plugins get them: those of the layer
    names = (base.__name__.lower() for base in bases if base.__module__.startswith("napari."))
    return LayerKind(next((name for name in names if name in _LAYERS), LayerKind.ANY))


def _of_layer(layer: _Layer, name: str) -> LayerSnapshot:
    kind = layer_kind(layer)
    if kind is LayerKind.ANY:
        raise UnsupportedLayerError(
            f"The layer “{layer.name}” is of a type that no tool can take "
            f"({type(layer).__name__})."
        )
    raw = layer.data
    names = ("rgb", "multiscale", *PLACE, *_KEPT[kind])
    attributes = {a: getattr(layer, a) for a in names if hasattr(layer, a)}
    attributes["multiscale"] = bool(attributes.get("multiscale", False))
    snap = _taken(raw, kind, attributes, name or str(layer.name), layer.ndim)
    source = getattr(layer, "source", None)
    where = getattr(source, "path", None) or getattr(source, "sample", None) or "layer"
    identity = id(snap.pixels) if snap.multiscale else id(raw)
    if kind not in PIXELS:
        identity = 0  # napari makes their data anew on each access
    return replace(
        snap,
        source=snap.source if snap.path else str(where),
        key=f"layer:{id(layer)}:{identity}:{_counted(layer, _EVENTS)}:{_counted(layer, _OF_ROWS)}",
    )


def _of_tuple(value: tuple[object, ...], name: str) -> LayerSnapshot:
    data = value[0]
    attributes = dict(value[1]) if len(value) > 1 and isinstance(value[1], Mapping) else {}
    text = str(value[2]).lower() if len(value) > 2 else "image"
    if isinstance(data, str | os.PathLike) and "kind" in attributes:  # as it was recorded
        return _as_recorded(Path(data), name, attributes)
    if text not in (*_LAYERS, "table"):
        if isinstance(data, str | os.PathLike):
            return _of_path(Path(data), name)
        raise UnsupportedLayerError(f"“{text}” is no type of layer.")
    if isinstance(data, str | os.PathLike):  # what is told of a file
        told = {key: attributes[key] for key in ("axis_labels",) if key in attributes}
        return _of_path(Path(data), name, told)
    kind = LayerKind(text)
    name = name or str(attributes.get("name", "") or "")
    if kind is LayerKind.TABLE:
        return _of_table(data, name)
    return _taken(data, kind, attributes, name or kind.value)


def _as_recorded(path: Path, name: str, told: Mapping[str, object]) -> LayerSnapshot:
    """Return a file with what `geometry_record` told of its layer, as a copied script gives it."""
    name = name or str(told.get("name") or path.name)
    try:
        return snapshot_from_record(Path(os.path.expanduser(path)).absolute(), name, told)
    except (TypeError, ValueError, OverflowError) as error:
        raise UnsupportedLayerError(f"What is told of {path} is of no use: {error}.") from error


def _of_xarray(value: object, name: str) -> LayerSnapshot:
    """Axes, pixel size and units of a DataArray come from its dims and coords."""
    array = cast("_DataArray", value)
    scale, translate, units = [], [], []
    for dim, size in zip(array.dims, array.shape, strict=True):
        step, start, unit = 1.0, 0.0, ""
        if dim in array.coords:
            coord = array.coords[dim]
            values = np.asarray(coord.values)
            unit = str(coord.attrs.get("units", ""))
            if values.dtype.kind in "iuf" and size > 1:
                start, step = float(values[0]), float(values[-1] - values[0]) / (size - 1)
        scale.append(step or 1.0)
        translate.append(start)
        units.append(unit)
    place = {"scale": scale, "translate": translate, "units": units, "axis_labels": array.dims}
    return _taken(array.data, LayerKind.IMAGE, place, name or str(array.name or "array"))


def _taken(
    data: object,
    kind: LayerKind,
    attributes: Mapping[str, object],
    name: str,
    ndim: int | None = None,
) -> LayerSnapshot:
    """Return the snapshot of data of `kind`, with napari's keywords or attributes."""
    rgb = bool(attributes.get("rgb", False))
    multiscale = kind in PIXELS and bool(attributes.get("multiscale", isinstance(data, list)))
    data = items(data) if multiscale else _frozen(data, kind)
    shape = _pixel_shape(data, kind, rgb=rgb)
    if ndim is None:
        ndim = len(shape) if kind in PIXELS else _coordinate_ndim(data, kind)
    origin = origin_of(data)
    geometry = geometry_of(ndim, shape, **{a: attributes.get(a) for a in PLACE})
    return LayerSnapshot(
        data=data,
        kind=kind,
        name=name,
        geometry=geometry,
        behind=_as_made(geometry, attributes.get("metadata")),
        rgb=rgb,
        multiscale=multiscale,
        path=origin,
        attributes={a: _kept(attributes[a]) for a in _KEPT[kind] if a in attributes},
        source=str(origin or "array"),
        # An array in memory can change without a trace: only files have a key.
        key="" if origin is None else file_key(origin),
    )


def _as_made(own: Geometry, metadata: object) -> Geometry | None:
    """Return the pixel size that a result remembers (`PIXEL_SIZE`) while it lies as made."""
    told = metadata.get(PIXEL_SIZE) if isinstance(metadata, Mapping) else None
    if not isinstance(told, Mapping) or {*own.units} != {"pixel"}:
        return None
    shown, scale, units = (items(told.get(key, ())) for key in ("shown", "scale", "units"))
    if [*own.scale] != [*shown] or not len(scale) == len(units) == own.ndim:
        return None
    return replace(own, scale=tuple(float(str(s)) for s in scale), units=tuple(map(str, units)))


def _of_table(value: object, name: str) -> LayerSnapshot:
    columns = columns_of(value)
    for key, column in columns.items():
        if column.ndim != 1:
            raise UnsupportedLayerError(
                f"The column “{key}” of the table has {column.ndim} dimensions, not one."
            )
    if len({len(column) for column in columns.values()}) > 1:
        raise UnsupportedLayerError("The columns of the table differ in length.")
    return LayerSnapshot(columns, LayerKind.TABLE, name or "table", Geometry(""), source="table")


def _of_path(path: Path, name: str, told: Mapping[str, object] | None = None) -> LayerSnapshot:
    path, number = image_number(Path(os.path.expanduser(path)).absolute())
    try:
        key = file_key(path)
    except (OSError, ValueError) as error:  # with a zero in it it is no path
        why = getattr(error, "strerror", None) or error
        raise UnsupportedLayerError(
            f"The file {one_line(str(path))} cannot be read ({why}).", hint="Check the path."
        ) from error
    snap = LayerSnapshot(None, LayerKind.ANY, name or path.name, Geometry(""))
    told = {**(told or {}), **({"image": number} if number else {})}
    return replace(snap, path=path, source=str(path), key=key, attributes=told)


def geometry_record(snap: LayerSnapshot, stored: object = None) -> dict[str, object]:
    """Return, in JSON types, what a file may not carry of a layer.

    `stored`: the letters of the axes as they were written, which the file may not tell either.
    """
    told: dict[str, object] = {"kind": snap.kind.value, "rgb": snap.rgb}
    if stored:
        told["stored"] = str(stored).removesuffix("S" if snap.rgb else "")
    return told | geometry_told(snap.geometry)


def snapshot_from_record(
    path: Path, name: str, told: Mapping[str, object] | None
) -> LayerSnapshot:
    """Return the snapshot of a recorded input: the file, and where the layer lay.

    Parameters
    ----------
    path : Path
        The job's own copy of the input, in the format that the tool took.
    told : mapping or None
        What `geometry_record` returned then.

    Raises
    ------
    TypeError, ValueError, OverflowError
        `told` is not that.
    """
    snap = LayerSnapshot(None, LayerKind.ANY, name, Geometry(""), path=path, source=str(path))
    if told is None:
        return snap

    kind, geometry = LayerKind(str(told.get("kind", "any"))), geometry_from(told)
    if kind in PIXELS and not geometry.shape:
        raise ValueError(f"the place of “{name:.60}” has no size")
    stored = {"stored": told.get("stored", "")}
    return replace(
        snap, kind=kind, geometry=geometry, rgb=bool(told.get("rgb", False)), attributes=stored
    )


class _DataArray(Protocol):
    dims: tuple[object, ...]
    shape: tuple[int, ...]
    name: object
    data: object
    coords: Mapping[object, _Coordinate]


class _Coordinate(Protocol):
    values: object
    attrs: Mapping[str, object]


def _frozen(data: object, kind: LayerKind) -> object:
    """Return pixels as they are, coordinates as a copy."""
    match kind:
        case LayerKind.POINTS | LayerKind.TRACKS | LayerKind.VECTORS:
            return np.array(data)
        case LayerKind.SHAPES:
            return [np.array(shape) for shape in items(data)]
        case LayerKind.SURFACE:
            return tuple(np.array(part) for part in items(data))
        case _ if hasattr(data, "dims") and hasattr(data, "coords") and hasattr(data, "data"):
            return data.data  # of an xarray
        case _:
            return data


def _kept(value: object) -> object:
    """Return an attribute that later changes of the layer do not reach."""
    if isinstance(value, list | dict | np.ndarray):
        return value.copy()
    if hasattr(value, "columns") and hasattr(value, "copy"):
        return value.copy()
    return value


def _pixel_shape(data: object, kind: LayerKind, *, rgb: bool) -> tuple[int, ...]:
    if kind not in PIXELS:
        return ()
    first = data[0] if isinstance(data, list) else data
    shape = tuple(int(s) for s in getattr(first, "shape", ()))
    return shape[:-1] if rgb else shape


def _coordinate_ndim(data: object, kind: LayerKind) -> int:
    in_parts = kind in (LayerKind.SHAPES, LayerKind.SURFACE)
    first = next(iter(items(data)), np.zeros((1, 2))) if in_parts else data
    width = int(np.asarray(first).shape[-1])
    return width - 1 if kind is LayerKind.TRACKS else width


def is_whole(key: str) -> bool:
    """Whether the key is of all of a layer, of which nothing was cut out."""
    return key.startswith("layer:") and key.rpartition(":")[2].isdigit()


def without_rows(key: str) -> str:
    """Return what of the key of a layer changes with its data and place, not with its features."""
    return key.rpartition(":")[0]


_EVENTS = ("data", "paint", "labels_update", "reload", "refresh", *PLACE)
_OF_ROWS = ("features", "properties")


class _Counter:
    """Counts events; holds no reference to its layer."""

    count = 0

    def __call__(self, event: object = None) -> None:
        self.count += 1


_counters: weakref.WeakKeyDictionary[object, dict[tuple[str, ...], _Counter]] = (
    weakref.WeakKeyDictionary()
)


def _counted(layer: object, names: tuple[str, ...]) -> int:
    """Return how many of these events `layer` announced since it was first asked for.

    Writing into a layer's array behind its back (``layer.data[0] = 1`` without
    ``layer.refresh()``) cannot be seen.
    """
    counters = _counters.setdefault(layer, {})
    counter = counters.get(names)
    if counter is None:
        counter = _Counter()
        events = getattr(layer, "events", None)
        for name in names:
            connect = getattr(getattr(events, name, None), "connect", None)
            if connect is not None:
                connect(counter)
        counters[names] = counter
    return counter.count
