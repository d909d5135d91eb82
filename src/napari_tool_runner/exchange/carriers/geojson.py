"""GeoJSON for shapes and points, as QuPath and Galaxy's imaging tools write it.

Positions are ``[x, y]`` in pixels. Leading axes that are the same for all vertices of
a shape are its ``plane`` (``z``, ``t``); else positions are ``[x, y, z]``. What GeoJSON
has no word for (ellipses, rectangles, more axes) stands under ``napari``, beside an
outline that any reader understands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.coordinates import ellipse_outline
from napari_tool_runner.exchange.model import Content, ShapeList, Table
from napari_tool_runner.sealed import read_bytes

__all__ = ["read_geojson", "write_geojson"]


def write_geojson(shapes: ShapeList, path: Path, *, axes: str = "") -> list[str]:
    """Write a FeatureCollection; features become properties.

    Parameters
    ----------
    axes : str
        Letters of the coordinates, to name leading ones.
    """
    features = []
    for i, (vertices, kind) in enumerate(zip(shapes.vertices, shapes.types, strict=True)):
        properties = {name: _plain(column[i]) for name, column in shapes.features.items()}
        geometry, own = _geometry(np.asarray(vertices, dtype=float), kind, axes)
        if own:
            properties["napari"] = own
        features.append(
            {"type": "Feature", "id": i, "geometry": geometry, "properties": properties}
        )
    collection = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(collection, allow_nan=False), encoding="utf-8")
    return []


def _geometry(
    vertices: np.ndarray, kind: str, axes: str
) -> tuple[dict[str, object], dict[str, object]]:
    """Return the geometry of one shape, and what GeoJSON cannot say of it."""
    own: dict[str, object] = {}
    ndim = vertices.shape[1]
    outline = vertices
    if kind in ("ellipse", "rectangle"):
        own = {"shape_type": kind, "vertices": vertices.tolist()}
        if kind == "ellipse":
            outline = ellipse_outline(vertices)
    elif kind == "line":
        own = {"shape_type": kind}
    lead = outline[:, :-2]
    geometry: dict[str, object] = {}
    if ndim > 2:
        own["vertices"] = vertices.tolist()
        own.setdefault("shape_type", kind)
        if len(lead) and np.allclose(lead, lead[0]):
            letters = axes[:-2] if len(axes) == ndim else ""
            names = {"Z": "z", "T": "t", "C": "c"}
            plane = {
                names[a]: _plain(v) for a, v in zip(letters, lead[0], strict=False) if a in names
            }
            if plane:
                geometry["plane"] = plane
    positions = outline[:, [-1, -2]]
    if ndim == 3 and "plane" not in geometry:
        positions = outline[:, ::-1]
    points: list[list[float]] = positions.tolist()
    if kind == "point":
        return {"type": "Point", "coordinates": points[0], **geometry}, own
    if kind in ("line", "path"):
        return {"type": "LineString", "coordinates": points, **geometry}, own
    ring = [*points, points[0]]  # rings are closed
    return {"type": "Polygon", "coordinates": [ring], **geometry}, own


def read_geojson(path: Path, root: Path | None = None) -> Content:
    """Read points, lines and polygons; properties become features.

    Raises
    ------
    OutputError
    """
    try:
        document = json.loads(read_bytes(path, root).decode("utf-8-sig"))
        found = list(_features(document))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutputError(
            f"{path.name} is no GeoJSON: {error}", hint="Check what the tool wrote."
        ) from error
    vertices: list[np.ndarray] = []
    types: list[str] = []
    rows: list[Mapping[str, object]] = []
    notes: dict[str, None] = {}
    for geometry, properties in found:
        try:
            parts = list(_parts(geometry, properties, notes))
            if any(array.ndim != 2 or array.shape[1] < 2 for array, _ in parts):
                raise ValueError("its vertices are no rows of coordinates")
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise OutputError(f"{path.name} has a damaged geometry: {error}") from error
        for array, kind in parts:
            vertices.append(array)
            types.append(kind)
            rows.append(properties)
    if len({array.shape[1] for array in vertices}) > 1:
        notes["Only the x and y of its shapes were taken: not all have more."] = None
        vertices = [array[:, -2:] for array in vertices]
    return Content(ShapeList(tuple(vertices), tuple(types), _columns(rows)), notes=tuple(notes))


def _features(document: object) -> Iterator[tuple[Mapping[str, Any], Mapping[str, object]]]:
    if isinstance(document, list):  # QuPath exports bare lists of features
        for item in document:
            yield from _features(item)
        return
    if not isinstance(document, dict):
        raise ValueError("it holds no feature")
    kind = document.get("type")
    if kind == "FeatureCollection":
        for item in document["features"]:
            yield from _features(item)
    elif kind == "Feature":
        if document.get("geometry"):
            yield document["geometry"], document.get("properties") or {}
    elif kind in _TYPES or kind == "GeometryCollection":
        yield document, {}
    else:
        raise ValueError(f"“{kind}” is no GeoJSON type")


def _parts(
    geometry: Mapping[str, Any], properties: Mapping[str, object], notes: dict[str, None]
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield vertices (M, D) in napari's order of axes, and the type of the shape."""
    own = properties.get("napari")
    if isinstance(own, dict) and "vertices" in own:
        yield np.array(own["vertices"], dtype=float), str(own.get("shape_type", "polygon"))
        return
    kind = str(geometry.get("type"))
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _parts(part, properties, notes)
        return
    if kind not in _TYPES:
        notes[f"Shapes of the type {kind} were left out."] = None
        return
    plane = geometry.get("plane") or {}
    shape_type = _TYPES[kind]
    if isinstance(own, dict):
        shape_type = str(own.get("shape_type", shape_type))
    told = geometry["coordinates"]
    for coordinates in told if kind.startswith("Multi") else [told]:
        array = np.array(coordinates[0] if shape_type == "polygon" else coordinates, dtype=float)
        array = np.atleast_2d(array)
        if shape_type == "polygon":
            if len(coordinates) > 1:
                notes["Holes of polygons were left out, as napari has none."] = None
            if len(array) > 1 and np.array_equal(array[0], array[-1]):
                array = array[:-1]
        array = array[:, ::-1]
        lead = [float(plane[name]) for name in ("t", "z") if name in plane]
        if lead and array.shape[1] == 2:
            array = np.column_stack([np.tile(lead, (len(array), 1)), array])
        yield array, shape_type


_TYPES = {
    f"{multi}{name}": kind
    for multi in ("", "Multi")
    for name, kind in (("Point", "point"), ("LineString", "path"), ("Polygon", "polygon"))
}


def _columns(rows: Sequence[Mapping[str, object]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "napari"))
    columns: Table = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if all(isinstance(value, bool | int | float) for value in values):
            large = all(type(value) is int and 0 <= value < 2**64 for value in values)
            column = np.array(values)  # of whole numbers above int64: rounded to floats
            columns[name] = (
                np.array(values, np.uint64) if large and column.dtype == float else column
            )
        else:
            columns[name] = np.array(
                [json.dumps(v) if isinstance(v, dict | list) else v for v in values], dtype=object
            )
    return columns


def _plain(value: object) -> object:
    """Return a value that JSON has: no numpy types, no NaN."""
    item = value.item() if isinstance(value, np.generic) else value
    if isinstance(item, float) and not math.isfinite(item):
        return None
    return item if item is None or isinstance(item, bool | int | float | str) else str(item)
