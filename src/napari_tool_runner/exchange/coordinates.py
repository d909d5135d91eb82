"""Coordinate layers as columns of a table, and what a file holds as a coordinate layer.

Layouts that are written: napari's own (``index, axis-0, axis-1…``) for points, shapes
(``index, shape-type, vertex-index, axis-0…``) and vectors (with ``direction-0…``),
``ID, T, Z, Y, X`` for tracks. Features follow as further columns. Some
formats want points to begin with ``pos_x, pos_y``, by name or by place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.model import (
    Content,
    ShapeList,
    SurfaceData,
    Table,
    feature_columns,
    items,
)
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "MEASURED",
    "OBJECT_IDS",
    "coordinate_columns",
    "coordinate_data",
    "ellipse_outline",
    "points_table",
    "rearranged",
    "shapes_table",
    "table_kinds",
    "track_columns",
    "tracks_table",
    "vectors_table",
]

_AXIS = re.compile(r"axis[-_ ]?(\d+)$", re.IGNORECASE)
_DIRECTION = re.compile(r"(?:direction|vector)[-_](\d+)$", re.IGNORECASE)
_PREFIXES = ("", "pos_", "position_", "coord_", "centroid_", "center_")
# Names that tools give to columns, best first.
_TIMES = ("t", "frame", "time", "position_t", "pos_t")
_TRACK_IDS = ("id", "track_id", "trackid", "track", "particle")
_LABELS = ("label", "labels", "label_id", "labelid")
_OBJECTS = ("object", "objectid", "object_id")
OBJECT_IDS = (*_LABELS, "index", "id", *_OBJECTS)
"""What the id of an object is called."""
MEASURED = {*_LABELS, *_OBJECTS, "area", "volume"}
"""What only a table of measured objects has."""


def points_table(
    points: np.ndarray, features: object = None, *, axes: str = "", positions: bool = False
) -> Table:
    """Return points of shape (N, D) as columns.

    Parameters
    ----------
    axes : str
        Letters of the D axes, for `positions`.
    positions : bool
        Begin with ``pos_x``, ``pos_y`` (and ``pos_z``, ``frame``).
    """
    points = np.asarray(points)
    columns: Table = {}
    if positions:
        names = {"X": "pos_x", "Y": "pos_y", "Z": "pos_z", "T": "frame"}
        for axis in "XYZT":
            if axis in axes:
                columns[names[axis]] = points[:, axes.index(axis)]
    columns["index"] = np.arange(len(points))
    columns |= {f"axis-{i}": points[:, i] for i in range(points.shape[1])}
    return _with_features(columns, feature_columns(features, len(points)))


def vectors_table(vectors: np.ndarray, features: object = None) -> Table:
    """Return vectors of shape (N, 2, D) as columns: start, then projection."""
    ndim = vectors.shape[-1]
    columns: Table = {"index": np.arange(len(vectors))}
    columns |= {f"axis-{i}": vectors[:, 0, i] for i in range(ndim)}
    columns |= {f"direction-{i}": vectors[:, 1, i] for i in range(ndim)}
    return _with_features(columns, feature_columns(features, len(vectors)))


def tracks_table(tracks: np.ndarray, features: object = None) -> Table:
    """Return tracks of shape (N, 1 + T + D) as columns ``ID, T, (Z,) Y, X``."""
    spatial = tracks.shape[1] - 2
    space = "ZYX"[3 - spatial :] if spatial <= 3 else [f"axis-{i + 1}" for i in range(spatial)]
    columns = dict(zip(("ID", "T", *space), tracks.T, strict=True))
    columns["ID"] = columns["ID"].astype(np.int64)
    extra = feature_columns(features, len(tracks))
    extra.pop("track_id", None)  # napari's copy of ID
    return _with_features(columns, extra)


def shapes_table(shapes: Sequence[np.ndarray], types: Sequence[str], features: object) -> Table:
    """Return shapes as columns, one row a vertex."""
    arrays = [np.asarray(shape) for shape in shapes]
    counts = [len(array) for array in arrays]
    ndim = arrays[0].shape[1] if arrays else 2
    vertices = np.concatenate(arrays) if arrays else np.zeros((0, ndim))
    columns: Table = {
        "index": np.repeat(np.arange(len(arrays)), counts),
        "shape-type": np.repeat(np.array(list(types), dtype=object), counts),
        "vertex-index": np.concatenate([np.arange(c) for c in counts] or [np.zeros(0, int)]),
    }
    columns |= {f"axis-{i}": vertices[:, i] for i in range(ndim)}
    extra = feature_columns(features, len(arrays))
    return _with_features(columns, {k: np.repeat(v, counts) for k, v in extra.items()})


def rearranged(data: object, kind: LayerKind, order: Sequence[int]) -> object:
    """Return the data of a coordinate layer with the axes `order`, 0 along an axis -1."""

    def rows(values: object) -> np.ndarray:
        given = np.asarray(values)
        if [*order] == list(range(given.shape[-1])):
            return given
        columns = [given[..., i] if i >= 0 else np.zeros(given.shape[:-1]) for i in order]
        return np.stack(columns, axis=-1)

    match kind:
        case LayerKind.SHAPES:
            return [rows(shape) for shape in items(data)]
        case LayerKind.SURFACE:
            vertices, *rest = items(data)
            return (rows(vertices), *rest)
        case LayerKind.TRACKS:
            tracks = np.asarray(data)
            return np.column_stack([tracks[:, 0], rows(tracks[:, 1:])])
        case _:
            return rows(data)


def ellipse_outline(corners: np.ndarray, count: int = 64) -> np.ndarray:
    """Return an ellipse, given by the four corners of its box, as a polygon."""
    center = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    outline: np.ndarray = center + np.cos(angles) * first + np.sin(angles) * second
    return outline


def coordinate_columns(table: Table) -> list[str]:
    """Return the columns that are coordinates, in the order of axes; empty: none.

    Known are ``axis-0…``, and ``x y z`` with ``t``/``frame``, bare or with a usual
    prefix (``pos_x``, ``centroid_y``), as well as scikit-image's ``centroid-0…``.
    """
    if list(table)[:2] == ["pos_x", "pos_y"]:  # what `points_table` doubles
        return _position_columns(table)
    for pattern in (_AXIS, re.compile(r"centroid-(\d+)$")):
        found = {int(m[1]): name for name in table if (m := pattern.match(name))}
        if len(found) >= 2 and sorted(found) == list(range(len(found))):
            return [found[i] for i in sorted(found)]
    return _position_columns(table)


def _position_columns(table: Table) -> list[str]:
    lower = {name.lower().replace("-", "_"): name for name in reversed(list(table))}
    for prefix in reversed(_PREFIXES):
        spatial = [lower.get(f"{prefix}{axis}") for axis in "zyx"]
        if spatial[1] and spatial[2]:
            time = next((lower[t] for t in _TIMES if t in lower), None)
            return [name for name in (time, *spatial) if name]
    return []


def track_columns(table: Table) -> list[str]:
    """Return the columns of tracks: id, time, then space; empty when there are none."""
    lower = {name.lower(): name for name in reversed(list(table))}
    identity = next((lower[name] for name in _TRACK_IDS if name in lower), None)
    time = next((lower[name] for name in _TIMES if name in lower), None)
    if identity is None:
        return []
    position = _position_columns(table)
    if time and position:
        return [identity, time, *(name for name in position if name != time)]
    axes = [name for name in coordinate_columns(table) if name != time]
    if time:
        return [identity, time, *axes] if len(axes) >= 2 else []
    return [identity, *axes] if len(axes) >= 3 else []


def table_kinds(table: Table, *, header: bool) -> tuple[LayerKind, ...]:
    """Return what a table can become, the plainest first; `header`: it has names."""
    kinds = [LayerKind.TABLE]
    numeric = [n for n, column in table.items() if column.dtype.kind in "biuf"]
    coordinates = coordinate_columns(table)
    if (coordinates and set(coordinates) <= set(numeric)) or (not header and len(numeric) >= 2):
        kinds.append(LayerKind.POINTS)
    tracks = track_columns(table)
    if (tracks and set(tracks) <= set(numeric)) or (not header and len(numeric) >= 4):
        kinds.append(LayerKind.TRACKS)
    if _vectors(table) is not None:
        kinds.append(LayerKind.VECTORS)
    if _shapes(table) is not None:
        kinds.append(LayerKind.SHAPES)
    return tuple(kinds)


def _stacked(table: Table, names: Sequence[str]) -> np.ndarray:
    """Return columns side by side, shape (N, D)."""
    return np.column_stack([np.asarray(table[name], dtype=float) for name in names])


def _vectors(table: Table) -> tuple[np.ndarray, Table] | None:
    """Return vectors (N, 2, D) and features; None when the columns are not those."""
    starts = {int(m[1]): n for n in table if (m := _AXIS.match(n))}
    ends = {int(m[1]): n for n in table if (m := _DIRECTION.match(n))}
    if not starts or sorted(starts) != sorted(ends):
        return None
    order = sorted(starts)
    data = np.stack([_stacked(table, [of[i] for i in order]) for of in (starts, ends)], axis=1)
    return data, _rest(table, [*starts.values(), *ends.values()])


def _shapes(table: Table) -> ShapeList | None:
    """Return the shapes of a table in napari's layout; None when it is not in it."""
    if not {"index", "shape-type", "vertex-index"} <= set(table):
        return None
    found = {int(m[1]): name for name in table if (m := _AXIS.match(name))}
    names = [found[i] for i in sorted(found)]
    index = np.asarray(table["index"])
    values = _stacked(table, names)
    _, firsts = np.unique(index, return_index=True)
    ids = index[np.sort(firsts)]
    rows = [np.flatnonzero(index == i) for i in ids]
    rest = {
        k: np.asarray([v[r[0]] for r in rows])
        for k, v in table.items()
        if k not in {"index", "shape-type", "vertex-index", *names}
    }
    types = tuple(str(table["shape-type"][r[0]]) for r in rows)
    return ShapeList(tuple(values[r] for r in rows), types, rest)


def _rest(table: Table, used: Sequence[str]) -> Table:
    # The layout's own running number and the doubled coordinates are no features.
    doubled = set(used) | {"index"}
    if used and _AXIS.match(used[-1]) is None and "index" in table:
        doubled |= {name for name in table if _AXIS.match(name)}
    return {name: column for name, column in table.items() if name not in doubled}


def _with_features(columns: Table, features: Table) -> Table:
    """Append features; a name that is taken by the layout gets ``feature-`` before it."""
    for name, column in features.items():
        columns[f"feature-{name}" if name in columns else name] = column
    return columns


def coordinate_data(
    content: Content, kind: LayerKind, notes: list[str], *, xyz: bool = False
) -> tuple[object, Table, dict[str, object], str, int]:
    """Return data, features, more attributes, letters of the axes, and their number.

    `xyz`: columns without names are x, y, z; else they are the axes in order.
    """
    if isinstance(content.data, SurfaceData):
        mesh = content.data
        parts = (mesh.vertices, mesh.faces)
        whole = parts if mesh.values is None else (*parts, mesh.values)
        return whole, {}, {}, "", int(mesh.vertices.shape[1])
    shapes = content.data
    if isinstance(shapes, dict) and kind is LayerKind.SHAPES:
        shapes = _shapes(shapes)
    if isinstance(shapes, ShapeList):
        ndim = int(shapes.vertices[0].shape[1]) if shapes.vertices else 2
        if kind is LayerKind.POINTS:
            points = np.concatenate(shapes.vertices) if shapes.vertices else np.zeros((0, 2))
            return points, shapes.features, {}, "", ndim
        outlines, types = _without_points(shapes, notes)
        extra: dict[str, object] = {"shape_type": types}
        return outlines, shapes.features, extra, "", ndim
    table = content.table
    if kind is LayerKind.VECTORS:
        vectors = _vectors(table)
        if vectors is None:
            raise OutputError("The table has no columns axis-0… and direction-0….")
        return vectors[0], vectors[1], {}, "", int(vectors[0].shape[2])
    if not content.header:
        table = _headerless(table, kind, notes, xyz=xyz)
    if kind is LayerKind.TRACKS:
        names = track_columns(table)
        data = _stacked(table, names)
        order = np.lexsort((data[:, 1], data[:, 0]))
        features = {name: column[order] for name, column in _rest(table, names).items()}
        graph = content.attributes.get("graph")
        extra = {"graph": graph} if graph else {}
        return data[order], features, extra, _letters(names[1:]), data.shape[1] - 1
    names = coordinate_columns(table)
    return _stacked(table, names), _rest(table, names), {}, _letters(names), len(names)


def _without_points(shapes: ShapeList, notes: list[str]) -> tuple[list[np.ndarray], list[str]]:
    """Return the outlines of shapes; a point among them becomes a small circle.

    Its radius is the feature ``radius`` where there is one, as Galaxy's tools have it.
    """
    outlines, types = list(shapes.vertices), list(shapes.types)
    places = [i for i, kind in enumerate(types) if kind == "point"]
    radii = shapes.features.get("radius")
    for i in places:
        radius = radii[i] if radii is not None else None
        size = float(radius) if isinstance(radius, int | float | np.number) else 0.5
        box = np.repeat(outlines[i], 4, axis=0)
        box[:, -2:] += np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * size
        outlines[i], types[i] = box, "ellipse"
    if places:
        notes.append(f"{len(places)} points among the shapes became circles.")
    return outlines, types


def _headerless(table: Table, kind: LayerKind, notes: list[str], *, xyz: bool) -> Table:
    """Name the columns of a table without names."""
    columns = list(table.values())
    if kind is LayerKind.TRACKS:
        names = ["ID", "T", *("Z", "Y", "X")[-(len(columns) - 2) :]]
    elif xyz:
        names = ["x", "y", "z"]
    else:
        names = [f"axis-{i}" for i in range(len(columns))]
    notes.append(f"The table has no header; its columns were taken as {', '.join(names)}.")
    return dict(zip(names, columns, strict=False))


def _letters(names: list[str]) -> str:
    """Return the letters that names of columns end with; empty when one has none."""
    letters = []
    for name in names:
        lower = name.lower()
        end = "T" if lower in _TIMES else lower[-1:].upper()
        letters.append(end if end in "TZYX" else "")
    return "".join(letters) if all(letters) else ""
