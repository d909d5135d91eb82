"""What a file holds as the data of a coordinate layer."""

from __future__ import annotations

from typing import cast

import numpy as np

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.carriers.content import Content, ShapeList, SurfaceData, Table
from napari_tool_runner.exchange.coordinates import (
    coordinate_columns,
    table_points,
    table_shapes,
    table_tracks,
    table_vectors,
    track_columns,
)
from napari_tool_runner.tools.model import LayerKind, Tool

__all__ = ["coordinate_data"]


def coordinate_data(
    content: Content, kind: LayerKind, tool: Tool, notes: list[str]
) -> tuple[object, Table, dict[str, object], str, int]:
    """Return data, features, more attributes, letters of the axes, and their number."""
    if isinstance(content.data, SurfaceData):
        mesh = content.data
        parts = (mesh.vertices, mesh.faces)
        whole = parts if mesh.values is None else (*parts, mesh.values)
        return whole, {}, {}, "", int(mesh.vertices.shape[1])
    shapes = content.data
    if isinstance(shapes, dict) and kind is LayerKind.SHAPES:
        shapes = table_shapes(shapes)
    if isinstance(shapes, ShapeList):
        ndim = int(shapes.vertices[0].shape[1]) if shapes.vertices else 2
        if kind is LayerKind.POINTS:
            points = np.concatenate(shapes.vertices) if shapes.vertices else np.zeros((0, 2))
            return points, shapes.features, {}, "", ndim
        outlines, types = _without_points(shapes, notes)
        extra: dict[str, object] = {"shape_type": types}
        return outlines, shapes.features, extra, "", ndim
    table = cast("Table", content.data)
    if kind is LayerKind.VECTORS:
        vectors = table_vectors(table)
        if vectors is None:
            raise OutputError("The table has no columns axis-0… and direction-0….")
        return vectors[0], vectors[1], {}, "", int(vectors[0].shape[2])
    if not content.header:
        table = _headerless(table, kind, tool, notes)
    if kind is LayerKind.TRACKS:
        names = track_columns(table)[1:]
        data, features = table_tracks(table)
        order = np.lexsort((data[:, 1], data[:, 0]))
        features = {name: column[order] for name, column in features.items()}
        graph = content.attributes.get("graph")
        extra = {"graph": graph} if graph else {}
        return data[order], features, extra, _letters(names), data.shape[1] - 1
    data, features = table_points(table)
    return data, features, {}, _letters(coordinate_columns(table)), data.shape[1]


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


def _headerless(table: Table, kind: LayerKind, tool: Tool, notes: list[str]) -> Table:
    """Name the columns of a table without names: x, y first in Galaxy, else as axes."""
    columns = list(table.values())
    if kind is LayerKind.TRACKS:
        names = ["ID", "T", *("Z", "Y", "X")[-(len(columns) - 2) :]]
    elif tool.dialect == "galaxy":
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
        end = "T" if lower in ("frame", "time") else lower[-1:].upper()
        letters.append(end if end in "TZYX" else "")
    return "".join(letters) if all(letters) else ""
