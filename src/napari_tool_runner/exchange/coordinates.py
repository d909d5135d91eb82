"""Coordinate layers as columns of a table, and what a file holds as a coordinate layer.

Layouts that are written: napari's own (``index, axis-0, axis-1…``) for points, shapes
(``index, shape-type, vertex-index, axis-0…``) and vectors (with ``direction-0…``),
``ID, T, Z, Y, X`` for tracks; then features. Some formats want ``pos_x, pos_y`` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import compress
from typing import NamedTuple

from napari_tool_runner._lazy import compiled, np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.columns import (
    AXIS,
    coordinate_columns,
    counting_notes,
    track_columns,
    units_by_column,
)
from napari_tool_runner.exchange.model import (
    Content,
    Geometry,
    ShapeList,
    SurfaceData,
    Table,
    feature_columns,
    items,
)
from napari_tool_runner.exchange.units import comparable, conversion, dimension
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "Coordinates",
    "coordinate_data",
    "ellipse_outline",
    "in_pixels",
    "moved",
    "on_the_grid",
    "points_table",
    "rearranged",
    "shapes_table",
    "table_kinds",
    "tracks_table",
    "vectors_table",
]

_DIRECTION = compiled(r"(?i)(?:direction|vector)[-_](\d{1,9})$")
_OURS = compiled(
    r"(?i:axis[-_ ]?\d+|(?:direction|vector)[-_]\d+)"
    r"|index|shape-type|vertex-index|ID|[TCZYX]|pos_[xyz]|frame"
)


def points_table(
    points: np.ndarray, features: object = None, *, axes: str = "", positions: bool = False
) -> Table:
    """Return points of shape (N, D) as columns.

    `positions`: begin with ``pos_x``, ``pos_y`` (and ``pos_z``, ``frame``), as `axes` says.
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
    columns = {"index": np.arange(len(vectors))}
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


def moved(data: object, kind: LayerKind, rows: Callable[[np.ndarray], np.ndarray]) -> object:
    """Return the data of a coordinate layer with what `rows` makes of coordinates (…, D)."""
    match kind:
        case LayerKind.SHAPES:
            return [rows(np.asarray(shape)) for shape in items(data)]
        case LayerKind.SURFACE:
            vertices, *rest = items(data)
            return (rows(np.asarray(vertices)), *rest)
        case LayerKind.TRACKS:
            tracks = np.asarray(data)
            return np.column_stack([tracks[:, 0], rows(tracks[:, 1:])])
        case _:
            return rows(np.asarray(data))


def rearranged(data: object, kind: LayerKind, order: Sequence[int]) -> object:
    """Return the data of a coordinate layer with the axes `order`, 0 along an axis -1."""

    def rows(given: np.ndarray) -> np.ndarray:
        if [*order] == list(range(given.shape[-1])):
            return given
        columns = [given[..., i] if i >= 0 else np.zeros(given.shape[:-1]) for i in order]
        return np.stack(columns, axis=-1)

    return moved(data, kind, rows)


def on_the_grid(surface: object) -> object:
    """Return a surface in pixels that begins at a whole one.

    napari's sliders step from where the first layer begins: half a pixel before an image they
    stop between its slices, and what lies in one slice vanishes. A corner that no triangle
    has is not seen and begins where a pixel would.
    """
    vertices, faces, *values = (np.asarray(part) for part in items(surface))
    low = vertices.min(axis=0, initial=0)
    if np.all(low == np.floor(low)):
        return surface
    vertices = np.vstack([vertices, np.floor(low)])
    return (vertices, faces, *(np.append(row, row[-1:], axis=0) for row in values))


def ellipse_outline(corners: np.ndarray, count: int = 64) -> np.ndarray:
    """Return an ellipse, given by the four corners of its box, as a polygon."""
    center = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    return np.asarray(center + np.cos(angles) * first + np.sin(angles) * second)


def table_kinds(table: Table, *, header: bool) -> tuple[LayerKind, ...]:
    """Return what a table can become, the plainest first; `header`: it has names."""
    kinds = [LayerKind.TABLE]
    numeric = [n for n, column in table.items() if column.dtype.kind in "biuf"]
    if coordinate_columns(table) or (not header and len(numeric) >= 2):
        kinds.append(LayerKind.POINTS)
    if track_columns(table) or (not header and len(numeric) >= 4):
        kinds.append(LayerKind.TRACKS)
    if _vectors(table) is not None:
        kinds.append(LayerKind.VECTORS)
    if _shapes(table) is not None:
        kinds.append(LayerKind.SHAPES)
    return tuple(kinds)


def _stacked(table: Table, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([np.asarray(table[name], dtype=float) for name in names])


def _vectors(table: Table) -> tuple[np.ndarray, Table] | None:
    """Return vectors (N, 2, D) and features; None when the columns are not those."""
    starts = {int(m[1]): n for n in table if (m := AXIS.match(n))}
    ends = {int(m[1]): n for n in table if (m := _DIRECTION.match(n))}
    if not starts or sorted(starts) != sorted(ends):
        return None
    names = [[of[i] for i in sorted(starts)] for of in (starts, ends)]
    data = np.stack([_stacked(table, some) for some in names], axis=1)
    return data, _rest(table, [*starts.values(), *ends.values()])


def _shapes(table: Table) -> ShapeList | None:
    """Return the shapes of a table in napari's layout; None when it is not in it."""
    if not {"index", "shape-type", "vertex-index"} <= set(table):
        return None
    found = {int(m[1]): name for name in table if (m := AXIS.match(name))}
    names = [found[i] for i in sorted(found)]
    index, values = np.asarray(table["index"]), _stacked(table, names)
    rows = [np.flatnonzero(index == i) for i in dict.fromkeys(index.tolist())]
    others = _rest(table, ["index", "shape-type", "vertex-index", *names])
    rest = {k: np.asarray([v[r[0]] for r in rows]) for k, v in others.items()}
    types = tuple(str(table["shape-type"][r[0]]) for r in rows)
    return ShapeList(tuple(values[r] for r in rows), types, rest)


def _rest(table: Table, used: Sequence[str]) -> Table:
    # The layout's own running number and the doubled coordinates are no features.
    doubled, index = set(used), table.get("index")
    if index is not None and [*index] == [*range(len(index))]:
        doubled.add("index")
    if list(table)[:2] == ["pos_x", "pos_y"] and index is not None:
        doubled |= {name for name in table if AXIS.match(name)}
    rest: Table = {}
    for name, column in table.items():
        back = name.removeprefix("feature-")  # as `_with_features` calls it
        own = _OURS.fullmatch(back) and (back in doubled or back not in table)
        rest |= {} if name in doubled else {back if own else name: column}
    return rest


def _with_features(columns: Table, features: Table) -> Table:
    """Append features; a name that the layout has for itself gets ``feature-`` before it."""
    own = [n for n in features if n in columns or AXIS.match(n) or _DIRECTION.match(n)]
    return columns | {f"feature-{n}" if n in own else n: c for n, c in features.items()}


class Coordinates(NamedTuple):
    """Data of a coordinate layer, as napari takes them.

    `axes`: letters of the coordinates, empty where a name does not say one. `units`: of
    each, empty where nobody says one; none where all are pixels.
    """

    data: object
    features: Table
    attributes: dict[str, object]
    ndim: int
    axes: str = ""
    units: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def coordinate_data(
    content: Content, kind: LayerKind, notes: list[str], *, xyz: bool = False, flat: bool = False
) -> Coordinates:
    """Return what a file holds as a layer of `kind`; rows without a place are left out.

    `xyz`: columns without names are x, y, z; else they are the axes in order. `flat`: the
    image that they belong to has no Z, so a z of 0 everywhere says nothing.
    """
    if isinstance(content.data, SurfaceData):
        mesh = content.data
        placed = np.isfinite(mesh.vertices).all(axis=1)
        if not placed.all():  # an unplaced corner would move napari's sliders
            kept = placed[mesh.faces].all(axis=1)
            notes.append(
                f"Corners without a place (NaN or infinite) were left out: {np.sum(~placed)} of "
                f"{len(placed)}; triangles that had them: {np.sum(~kept)}."
            )
            faces = (np.cumsum(placed) - 1)[mesh.faces[kept]]
            values = None if mesh.values is None else mesh.values[placed]
            mesh = SurfaceData(mesh.vertices[placed], faces, values)
        whole = (mesh.vertices, mesh.faces, mesh.values)[: 2 + (mesh.values is not None)]
        return Coordinates(whole, {}, {}, int(mesh.vertices.shape[1]))
    shapes = content.data
    if isinstance(shapes, dict) and kind is LayerKind.SHAPES:
        shapes = _shapes(shapes)
    if isinstance(shapes, ShapeList):
        shapes = _placed_shapes(shapes, notes)
        ndim = int(shapes.vertices[0].shape[1]) if shapes.vertices else 2
        if kind is LayerKind.POINTS:
            points = np.concatenate(shapes.vertices) if shapes.vertices else np.zeros((0, 2))
            return Coordinates(points, shapes.features, {}, ndim)
        outlines, types = _without_points(shapes, notes)
        return Coordinates(outlines, shapes.features, {"shape_type": types}, ndim)
    table = content.table
    if kind is LayerKind.VECTORS:
        vectors = _vectors(table)
        if vectors is None:
            raise OutputError("The table has no columns axis-0… and direction-0….")
        data, features = _placed(*vectors, "vectors", notes)
        return Coordinates(data, features, {}, int(data.shape[2]))
    if not content.header:
        table = _headerless(table, kind, notes, xyz=xyz)
    units = units_by_column(table, content.attributes.get("units"), notes)
    columns = (track_columns if kind is LayerKind.TRACKS else coordinate_columns)(table, units)
    if flat:
        columns = [c for c in columns if c.axis != "Z" or np.nan_to_num(table[c.name]).any()]
    names = [column.name for column in columns]
    data, features = _placed(_stacked(table, names), _rest(table, names), "rows", notes)
    extra: dict[str, object] = {}
    if kind is LayerKind.TRACKS:
        order = np.lexsort((data[:, 1], data[:, 0]))
        data, features = data[order], {name: column[order] for name, column in features.items()}
        columns, names = columns[1:], names[1:]
        if graph := content.attributes.get("graph"):
            extra["graph"] = graph
    notes += counting_notes(table, columns, units)
    axes = [column.axis for column in columns]
    units_of = tuple("pixel" if not content.header else column.unit for column in columns)
    letters = "".join(axes) if all(axes) else ""
    return Coordinates(data, features, extra, len(columns), letters, units_of, tuple(names))


def in_pixels(
    found: Coordinates, geometry: Geometry, notes: list[str], *, placed: bool
) -> tuple[object, Geometry]:
    """Return coordinates in the pixels of `geometry`, and where these lie.

    What the names of the columns say counts: lengths and times are divided by the pixel
    size. Where they say nothing, the numbers are pixels; that is told where it may be wrong.

    Parameters
    ----------
    geometry : Geometry
        As `place_coordinates` returns it; `placed`: it is that of an input.
    """
    if all(unit == "pixel" for unit in found.units):
        return found.data, geometry
    factors, units = [1.0] * found.ndim, list(geometry.units)
    divided, unknown, silent = [], [], []
    for i, (name, unit) in enumerate(zip(found.names, found.units, strict=True)):
        here, size = geometry.units[i], abs(geometry.scale[i])
        if comparable(unit, here):
            factors[i] = conversion(unit, here) / size
            divided.append(f"{name} ({size:g} {here})")
        elif unit not in ("", "pixel"):
            units[i] = here if placed else unit
            unknown += [f"{name} ({unit})"] if placed else []
        elif not unit and dimension(here):
            silent.append(name)
    if divided:
        notes.append(f"Columns were divided by the pixel size: {', '.join(divided)}.")
    if unknown:
        notes.append(
            f"The columns {', '.join(unknown)} were taken as pixels: the input does not say how "
            "large its pixels are. Set the scale and units of its layer."
        )
    if silent:
        notes.append(f"The columns {', '.join(silent)} say no unit: they were taken as pixels.")
    data = np.array(found.data, dtype=float)
    data[:, -found.ndim :] *= factors
    return data, replace(geometry, units=tuple(units))


def _placed(
    data: np.ndarray, features: Table, what: str, notes: list[str]
) -> tuple[np.ndarray, Table]:
    """Leave out what has no place: a coordinate (or a track's number) that is NaN."""
    placed = np.isfinite(data).all(axis=tuple(range(1, data.ndim)))
    return data[placed], _of_placed(placed, features, what, notes)


def _of_placed(placed: np.ndarray, features: Table, what: str, notes: list[str]) -> Table:
    if missing := np.count_nonzero(~placed):
        notes.append(f"{missing} of {len(placed)} {what} have no place (NaN) and were left out.")
    return {name: np.asarray(column)[placed] for name, column in features.items()}


def _placed_shapes(shapes: ShapeList, notes: list[str]) -> ShapeList:
    placed = np.array([np.isfinite(vertices).all() for vertices in shapes.vertices], dtype=bool)
    features = _of_placed(placed, shapes.features, "shapes", notes)
    vertices, types = compress(shapes.vertices, placed), compress(shapes.types, placed)
    return ShapeList(tuple(vertices), tuple(types), features)


def _without_points(shapes: ShapeList, notes: list[str]) -> tuple[list[np.ndarray], list[str]]:
    """Return the outlines of shapes; a point among them becomes a small circle.

    Its radius is the feature ``radius`` where there is one, as Galaxy's tools have it.
    """
    outlines, types = list(shapes.vertices), list(shapes.types)
    places = [i for i, kind in enumerate(types) if kind == "point"]
    radii = shapes.features.get("radius")
    for i in places:
        radius = None if radii is None else radii[i]
        size = float(radius) if isinstance(radius, int | float | np.number) else 0.5
        box = np.repeat(outlines[i], 4, axis=0)
        box[:, -2:] += np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * size
        outlines[i], types[i] = box, "ellipse"
    if places:
        notes.append(f"Points among the shapes became circles: {len(places)}.")
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
