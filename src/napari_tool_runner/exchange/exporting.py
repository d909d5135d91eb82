"""Writing a snapshot into the best file that a parameter accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from napari_tool_runner.errors import ExchangeError, OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.blocks import ArrayLike, Transposed
from napari_tool_runner.exchange.carriers import read_file, write_geometry, write_pixels
from napari_tool_runner.exchange.carriers.content import (
    Pixels,
    Progress,
    ShapeList,
    SurfaceData,
    Table,
)
from napari_tool_runner.exchange.carriers.tables import write_matrix, write_table
from napari_tool_runner.exchange.coordinates import (
    feature_columns,
    points_table,
    shapes_table,
    tracks_table,
    vectors_table,
)
from napari_tool_runner.exchange.formats import (
    ANYTHING,
    CarrierName,
    Format,
    accepts,
    carrier_of,
    format_of,
    kinds_of,
)
from napari_tool_runner.exchange.geometry import (
    convert_coordinates,
    geometry_of,
    same_place,
    transpose,
)
from napari_tool_runner.exchange.linking import content_sha256, place_file
from napari_tool_runner.exchange.model import Geometry, LayerSnapshot
from napari_tool_runner.exchange.naming import free_path
from napari_tool_runner.exchange.rasterize import shapes_as_labels
from napari_tool_runner.tools.dialect import DataFile
from napari_tool_runner.tools.model import DataParameter, LayerKind

__all__ = ["Written", "accepted_kinds", "planned_file", "write_snapshot"]

_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)
_HASHED = 8 * 2**20
_C = CarrierName
_PREFERRED: dict[LayerKind, tuple[CarrierName, ...]] = {
    LayerKind.IMAGE: (_C.TIFF, _C.ZARR, _C.NPY, _C.HDF5, _C.PNG, _C.MOVIE, _C.RASTER),
    LayerKind.LABELS: (_C.TIFF, _C.ZARR, _C.NPY, _C.HDF5, _C.PNG),
    LayerKind.POINTS: (_C.TABLE, _C.GEOJSON),
    LayerKind.SHAPES: (_C.GEOJSON, _C.TABLE),
    LayerKind.TRACKS: (_C.TABLE,),
    LayerKind.VECTORS: (_C.TABLE,),
    LayerKind.SURFACE: (_C.MESH,),
    LayerKind.TABLE: (_C.TABLE, _C.ARRAY, _C.NUMBER),
}
# What is written when a parameter takes any format.
_USUAL = ("tiff", "csv", "geojson", "ply")


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot as a file; see `napari_tool_runner.exchange.Exported`."""

    file: DataFile
    copied: bool
    notes: tuple[str, ...]
    sha256: str


def write_snapshot(
    snap: LayerSnapshot,
    parameter: DataParameter,
    folder: Path,
    *,
    dialect: str,
    reference: LayerSnapshot | None = None,
    progress: Progress | None = None,
) -> Written:
    """See `napari_tool_runner.exchange.export`."""
    folder.mkdir(parents=True, exist_ok=True)
    placed = _pass_file(snap, parameter, folder)
    if placed is not None:
        return placed
    notes: list[str] = []
    if snap.data is None:
        snap = _opened(snap, parameter, notes)
    snap = _as_accepted(snap, parameter, reference, notes)
    chosen = _choose(snap, parameter)
    path = free_path(folder, snap.name, chosen.extension)
    try:
        metadata = _write(snap, chosen, path, parameter, dialect, reference, progress, notes)
    except OSError as error:
        raise ExchangeError(
            f"“{snap.name}” could not be written to {path}: {error.strerror or error}.",
            hint="Check the free space and the rights of the workspace folder.",
        ) from error
    if snap.source:
        metadata["source"] = snap.source
    file = DataFile(path, chosen.name, snap.name, metadata)
    return Written(file, True, tuple(notes), _hash_if_small(path))


def planned_file(snap: LayerSnapshot, parameter: DataParameter, folder: Path) -> DataFile:
    """Return the file that `write_snapshot` would make, as far as one can say unwritten.

    Raises
    ------
    UnsupportedLayerError
        This layer cannot go into that parameter.
    """
    if snap.path is not None:
        fmt = accepts(parameter.formats, snap.path)
        if fmt is not None:
            return DataFile(folder / snap.path.name, fmt, snap.name)
        if snap.data is None:
            snap = _opened(snap, parameter, [])
    chosen = _choose(_as_accepted(snap, parameter, None, []), parameter)
    return DataFile(free_path(folder, snap.name, chosen.extension), chosen.name, snap.name)


def accepted_kinds(parameter: DataParameter) -> tuple[LayerKind, ...]:
    """See `napari_tool_runner.exchange.matching_kinds`."""
    known = [f for name in parameter.formats if (f := format_of(name)) is not None]
    if (
        any(name.strip().lower() in ANYTHING for name in parameter.formats)
        or not parameter.formats
    ):
        known += [cast("Format", format_of(name)) for name in _USUAL]
    possible = list(dict.fromkeys(kind for f in known for kind in kinds_of(f.carrier)))
    if set(_PIXELS) & set(possible):
        possible.append(LayerKind.SHAPES)  # drawn as labels
    declared = [kind for kind in parameter.kinds if kind is not LayerKind.ANY]
    if not declared:
        return tuple(dict.fromkeys(possible))
    wanted: list[LayerKind] = list(declared)
    for kind in declared:
        wanted += _ALSO.get(kind, ())
    return tuple(dict.fromkeys(kind for kind in wanted if kind in possible))


# A layer of these kinds serves as well where the key is asked for.
_ALSO: dict[LayerKind, tuple[LayerKind, ...]] = {
    LayerKind.IMAGE: (LayerKind.LABELS,),
    LayerKind.LABELS: (LayerKind.SHAPES,),
    LayerKind.TABLE: (LayerKind.POINTS, LayerKind.TRACKS, LayerKind.VECTORS),
}


def _pass_file(snap: LayerSnapshot, parameter: DataParameter, folder: Path) -> Written | None:
    """Hand over the file itself, when it is what the tool accepts."""
    path = snap.path
    if path is None:
        return None
    fmt = accepts(parameter.formats, path)
    if fmt is None or (snap.data is not None and not _file_says_the_same(snap, path)):
        return None
    if not path.exists():
        raise ExchangeError(f"The file {path} is no longer there.", hint="Choose it again.")
    known = carrier_of(path)
    extension = path.suffix
    if known is not None:
        extension = next(e for e in known.extensions if path.name.lower().endswith(e))
    target = free_path(folder, path.name, extension)
    copied = place_file(path, target)
    file = DataFile(target, fmt, snap.name, {"source": str(path)})
    return Written(file, copied, (), _hash_if_small(target))


def _file_says_the_same(snap: LayerSnapshot, path: Path) -> bool:
    """Whether a layer's own file also tells where it lies (a placed output may not)."""
    if snap.kind not in _PIXELS:
        return True
    known = carrier_of(path)
    if known is None:
        return False
    try:
        content = read_file(path, known.carrier, name=snap.name)
    except OutputError:
        return False
    own = content.geometry
    if own is None or own.ndim != snap.geometry.ndim:
        return False
    origin = (0.0,) * own.ndim
    here = replace(snap.geometry, translate=origin, linear=None, affine=None)
    return same_place(own, here) and (not snap.geometry.labels or own.axes == snap.geometry.axes)


def _opened(snap: LayerSnapshot, parameter: DataParameter, notes: list[str]) -> LayerSnapshot:
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


def _as_accepted(
    snap: LayerSnapshot,
    parameter: DataParameter,
    reference: LayerSnapshot | None,
    notes: list[str],
) -> LayerSnapshot:
    """Turn a layer into another kind where the parameter takes only that."""
    name = parameter.label or parameter.name
    declared = [kind for kind in parameter.kinds if kind is not LayerKind.ANY]
    carriers = {f.carrier for f in _formats(parameter)}
    direct = bool(carriers & set(_PREFERRED.get(snap.kind, ()))) and (
        not declared or snap.kind in declared or bool(_also(snap.kind, declared))
    )
    if snap.kind is LayerKind.IMAGE and declared == [LayerKind.LABELS]:
        return _image_as_labels(snap, name)
    if direct:
        return snap
    pixels = bool(carriers & set(_PREFERRED[LayerKind.IMAGE]))
    wants_pixels = pixels and (not declared or bool(set(_PIXELS) & set(declared)))
    if snap.kind is LayerKind.SHAPES and wants_pixels:
        return shapes_as_labels(snap, reference, notes)
    if snap.kind is LayerKind.IMAGE and _is_matrix(snap) and carriers & set(_TABULAR):
        return replace(snap, kind=LayerKind.TABLE)
    if CarrierName.TABLE in carriers and feature_columns_of(snap):
        notes.append(f"The features of “{snap.name}” were passed as a table.")
        return replace(snap, kind=LayerKind.TABLE, data=feature_columns_of(snap))
    takes = " or ".join(k.value for k in accepted_kinds(parameter)) or "files only"
    raise UnsupportedLayerError(
        f"“{snap.name}” is a {snap.kind.value} layer; “{name}” takes {takes}"
        f" ({', '.join(parameter.formats) or 'any format'}).",
        hint="Choose another layer, or a tool that turns one into the other.",
    )


def _also(kind: LayerKind, declared: Sequence[LayerKind]) -> list[LayerKind]:
    return [d for d in declared if kind in _ALSO.get(d, ()) and kind is not LayerKind.SHAPES]


_TABULAR = (_C.TABLE, _C.ARRAY, _C.NUMBER)


def _is_matrix(snap: LayerSnapshot) -> bool:
    return not snap.rgb and not snap.multiscale and snap.geometry.ndim <= 2


def _image_as_labels(snap: LayerSnapshot, name: str) -> LayerSnapshot:
    array = cast("ArrayLike", cast("list[object]", snap.data)[0] if snap.multiscale else snap.data)
    if snap.rgb or np.dtype(array.dtype).kind not in "biu":
        raise UnsupportedLayerError(
            f"“{snap.name}” holds {'colours' if snap.rgb else array.dtype}; “{name}” takes "
            "labels, which are whole numbers.",
            hint="Choose a Labels layer, or segment the image first.",
        )
    return replace(snap, kind=LayerKind.LABELS)


def feature_columns_of(snap: LayerSnapshot) -> dict[str, np.ndarray]:
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


def _formats(parameter: DataParameter) -> list[Format]:
    known = [f for name in parameter.formats if (f := format_of(name)) is not None]
    if not parameter.formats or any(n.strip().lower() in ANYTHING for n in parameter.formats):
        known += [cast("Format", format_of(name)) for name in _USUAL]
    return known


def _choose(snap: LayerSnapshot, parameter: DataParameter) -> Format:
    """Return the best accepted format for this layer."""
    formats = _formats(parameter)
    for carrier in _PREFERRED[snap.kind]:
        for known in formats:
            if known.carrier is carrier:
                return known
    raise UnsupportedLayerError(
        f"A {snap.kind.value} layer cannot be written as {', '.join(parameter.formats)}.",
        hint="Give the path of a file instead.",
    )


def _write(
    snap: LayerSnapshot,
    chosen: Format,
    path: Path,
    parameter: DataParameter,
    dialect: str,
    reference: LayerSnapshot | None,
    progress: Progress | None,
    notes: list[str],
) -> dict[str, object]:
    tabs = chosen.name in ("tsv", "tabular")
    if snap.kind in _PIXELS:
        pixels = _as_pixels(snap, parameter)
        notes += write_pixels(pixels, chosen, path, dialect=dialect, progress=progress)
        return {
            "axes": pixels.axes,
            "shape": [int(s) for s in pixels.array.shape],
            "dtype": str(pixels.array.dtype),
        }
    if snap.kind is LayerKind.TABLE:
        table = cast("Table | np.ndarray", snap.data)
        return _write_rows(table, chosen, path, tabs=tabs)
    snap = _in_pixels_of(snap, reference, notes)
    if chosen.carrier is CarrierName.TABLE:
        positions = dialect == "galaxy" and tabs
        return _write_rows(_rows(snap, positions=positions), chosen, path, tabs=tabs)
    notes += write_geometry(snap, chosen, path)
    return {}


def _as_pixels(snap: LayerSnapshot, parameter: DataParameter) -> Pixels:
    levels = cast("Sequence[object]", snap.data) if snap.multiscale else [snap.data]
    array = cast("ArrayLike", levels[0])
    geometry = snap.geometry
    name = parameter.label or parameter.name
    if parameter.ndim and geometry.ndim not in parameter.ndim:
        wanted = " or ".join(f"{n}-D" for n in parameter.ndim)
        raise UnsupportedLayerError(
            f"“{snap.name}” has {geometry.ndim} dimensions ({geometry.axes}); “{name}” takes "
            f"{wanted}.",
            hint="Run it on a slice, or on each slice.",
        )
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


def _transposed(array: ArrayLike, order: Sequence[int]) -> ArrayLike:
    if hasattr(array, "transpose"):
        return cast("ArrayLike", array.transpose(order))
    return Transposed(array, order)


def _in_pixels_of(
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


def _rows(snap: LayerSnapshot, *, positions: bool) -> Table:
    features = snap.attributes.get("features")
    match snap.kind:
        case LayerKind.POINTS:
            points = np.asarray(snap.data)
            return points_table(points, features, axes=snap.geometry.axes, positions=positions)
        case LayerKind.TRACKS:
            return tracks_table(np.asarray(snap.data), features)
        case LayerKind.VECTORS:
            return vectors_table(np.asarray(snap.data), features)
        case _:
            shapes = [np.asarray(shape) for shape in cast("Sequence[object]", snap.data)]
            types = snap.attributes.get("shape_type", "polygon")
            names = [types] * len(shapes) if isinstance(types, str) else types
            return shapes_table(shapes, cast("Sequence[str]", names), features)


def _write_rows(
    table: Table | np.ndarray, chosen: Format, path: Path, *, tabs: bool
) -> dict[str, object]:
    if isinstance(table, dict) and chosen.carrier is CarrierName.TABLE:
        write_table(table, path, tabs=tabs)
        return {"columns": len(table), "column_names": list(table)}
    values = np.asarray(table) if not isinstance(table, dict) else _numbers(table, chosen)
    if chosen.carrier is CarrierName.NUMBER and values.size != 1:
        raise UnsupportedLayerError(f"{chosen.name} takes one number; there are {values.size}.")
    write_matrix(values, path, tabs=tabs)
    return {"columns": int(np.atleast_2d(values).shape[1])}


def _numbers(table: Table, chosen: Format) -> np.ndarray:
    if len(table) != 1:
        raise UnsupportedLayerError(
            f"{chosen.name} takes one row of numbers; the table has {len(table)} columns.",
            hint="Give the one column that is meant.",
        )
    return next(iter(table.values()))


def _hash_if_small(path: Path) -> str:
    """Hash what is hashed in no time; the job hashes the rest in the background."""
    if path.is_dir() or path.stat().st_size > _HASHED:
        return ""
    return content_sha256(path)
