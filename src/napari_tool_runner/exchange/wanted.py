"""What an input wants beside a format: the columns that layers are given with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.carriers.tables import has_napari_columns
from napari_tool_runner.exchange.coordinates import coordinate_data, in_pixels, table_kinds
from napari_tool_runner.exchange.model import Content
from napari_tool_runner.exchange.placing import place_coordinates
from napari_tool_runner.tools.formats import Carrier, Format
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.exchange.model import Geometry, LayerSnapshot
    from napari_tool_runner.tools.model import DataParameter

__all__ = ["coordinate_kind", "in_other_columns", "is_read", "with_columns"]


def in_other_columns(path: Path, given: Format, parameter: DataParameter) -> Content | None:
    """Return a table of coordinates whose columns are not those that layers are given with.

    None where the input takes more than points and tracks, or where no column says where
    something lies: then the file goes as it is.
    """
    if given.carrier is not Carrier.TABLE or not _only_coordinates(parameter):
        return None
    if not path.is_file() or has_napari_columns(path):
        return None
    try:
        content = read_file(path, given, name=path.name)
    except OutputError:
        return None
    return content if coordinate_kind(content, parameter) else None


def coordinate_kind(content: Content, parameter: DataParameter) -> LayerKind | None:
    """Return as what coordinates a table goes into an input that takes only those."""
    if not isinstance(content.data, dict) or not _only_coordinates(parameter):
        return None
    possible = table_kinds(content.table, header=content.header)
    return next((kind for kind in parameter.kinds if kind in possible), None)


def _only_coordinates(parameter: DataParameter) -> bool:
    return set() < set(parameter.kinds) <= {LayerKind.POINTS, LayerKind.TRACKS}


def is_read(snap: LayerSnapshot) -> bool:
    """Whether this is a table whose columns become a layer when it is written."""
    return isinstance(snap.attributes.get("content"), Content)


def with_columns(snap: LayerSnapshot, grid: Geometry | None, notes: list[str]) -> LayerSnapshot:
    """Return points or tracks of a table of others in the pixels of `grid`; others as is."""
    content = snap.attributes.get("content")
    if not isinstance(content, Content):
        return snap
    grid = grid if grid is not None and grid.axes else None
    notes += content.notes
    found = coordinate_data(content, snap.kind, notes, flat=grid is not None and grid.flat)
    geometry = place_coordinates(found.axes, found.ndim, grid)[0]
    data, geometry = in_pixels(found, geometry, notes, placed=True)
    return replace(snap, data=data, geometry=geometry, attributes={"features": found.features})
