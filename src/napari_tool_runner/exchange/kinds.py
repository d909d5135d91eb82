"""Which layer an output becomes: declared, then hinted, then told by the data.

A pure decision: it looks at a small sample of the pixels, never at all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.coordinates import (
    coordinate_columns,
    table_shapes,
    table_vectors,
    track_columns,
)
from napari_tool_runner.exchange.model import Content, ShapeList, SurfaceData, Table
from napari_tool_runner.tools.hints import hinted, is_picture
from napari_tool_runner.tools.model import DataOutput, LayerKind, Tool

__all__ = ["Choice", "choose_kind", "possible_kinds"]

_OBJECTS = {"label", "label_id", "labels", "object_id", "objectid", "area", "volume"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The kind, and whether somebody asked for it (then it must hold)."""

    kind: LayerKind
    asked: bool
    why: str


def possible_kinds(content: Content) -> tuple[LayerKind, ...]:
    """Return what `content` can become, the plainest first."""
    if isinstance(content.data, SurfaceData):
        return (LayerKind.SURFACE,)
    if isinstance(content.data, ShapeList):
        types = set(content.data.types)
        if not types:
            return (LayerKind.SHAPES, LayerKind.POINTS)
        return (LayerKind.POINTS, LayerKind.SHAPES) if types == {"point"} else (LayerKind.SHAPES,)
    if isinstance(content.data, dict):
        return _possible_of_table(content.data, header=content.header)
    return (LayerKind.IMAGE,) if content.rgb else (LayerKind.IMAGE, LayerKind.LABELS)


def choose_kind(
    content: Content,
    output: DataOutput,
    tool: Tool,
    *,
    override: LayerKind | None = None,
    name: str = "",
) -> Choice:
    """Decide what an output becomes (DESIGN §5: override, declared, hints, data).

    Raises
    ------
    OutputError
        When what was declared or chosen cannot be made of this content.
    """
    possible = possible_kinds(content)
    for asked, why in ((override, "chosen"), (output.kind, "declared")):
        if asked is None or asked is LayerKind.ANY:
            continue
        if asked not in possible:
            words = " or ".join(kind.value for kind in possible)
            raise OutputError(
                f"The output “{output.label or output.name}” is {why} as {asked.value}, "
                f"but the file can only become {words}.",
                hint="Choose another type for it, or correct layer= in the descriptor.",
            )
        return Choice(asked, asked=True, why=why)
    if len(possible) == 1:
        return Choice(possible[0], asked=False, why="format")
    if isinstance(content.data, dict):
        return _choose_table(content.data, possible, output, tool, name)
    if isinstance(content.data, ShapeList):
        return Choice(possible[0], asked=False, why="data")
    return _choose_pixels(content, output, tool, name)


def _possible_of_table(table: Table, *, header: bool) -> tuple[LayerKind, ...]:
    kinds = [LayerKind.TABLE]
    numeric = [n for n, column in table.items() if column.dtype.kind in "biuf"]
    coordinates = coordinate_columns(table)
    if (coordinates and set(coordinates) <= set(numeric)) or (not header and len(numeric) >= 2):
        kinds.append(LayerKind.POINTS)
    tracks = track_columns(table)
    if (tracks and set(tracks) <= set(numeric)) or (not header and len(numeric) >= 4):
        kinds.append(LayerKind.TRACKS)
    if table_vectors(table) is not None:
        kinds.append(LayerKind.VECTORS)
    if table_shapes(table) is not None:
        kinds.append(LayerKind.SHAPES)
    return tuple(kinds)


def _choose_table(
    table: Table,
    possible: Sequence[LayerKind],
    output: DataOutput,
    tool: Tool,
    name: str,
) -> Choice:
    hints = hinted(output.name, output.label, name)
    own_layout = next((k for k in (LayerKind.SHAPES, LayerKind.VECTORS) if k in possible), None)
    if own_layout:
        return Choice(own_layout, asked=False, why="columns")
    if output.join:
        return Choice(LayerKind.TABLE, asked=False, why="join")
    if LayerKind.TRACKS in possible and coordinate_columns(table):
        named = track_columns(table)[0].lower() != "id" or "T" in table
        if named or LayerKind.TRACKS in hints:
            return Choice(LayerKind.TRACKS, asked=False, why="columns")
    if LayerKind.POINTS in possible and coordinate_columns(table):
        measured = _OBJECTS & {column.lower() for column in table}
        bare = "axis-0" in table or not (measured or LayerKind.TABLE in hints)
        if LayerKind.POINTS in hints or bare:
            return Choice(LayerKind.POINTS, asked=False, why="columns")
    return Choice(LayerKind.TABLE, asked=False, why="columns")


def _choose_pixels(content: Content, output: DataOutput, tool: Tool, name: str) -> Choice:
    array = content.pixels
    kind = np.dtype(array.dtype).kind
    own = (output.name, output.label, name)
    about = hinted(tool.name, tool.id, *tool.categories, *tool.edam)
    image = Choice(LayerKind.IMAGE, asked=False, why="data")
    if kind == "b" or (kind in "iu" and content.attributes.get("labels")):
        return Choice(LayerKind.LABELS, asked=False, why="data")
    if kind not in "iuf" or is_picture(*own):
        return image
    strong, weak = LayerKind.LABELS in hinted(*own), LayerKind.LABELS in about
    if kind == "f":
        whole = strong and _whole(middle_plane(array))
        return Choice(LayerKind.LABELS, asked=False, why="name") if whole else image
    if strong:
        return Choice(LayerKind.LABELS, asked=False, why="name")
    sample = middle_plane(array)
    values = np.unique(sample)
    mask = len(values) == 2 and values[0] == 0
    wide = np.dtype(array.dtype).itemsize >= 4
    if mask or ((weak or wide) and _patchy(sample) and values[:1].tolist() == [0]):
        return Choice(LayerKind.LABELS, asked=False, why="data")
    return image


def _whole(sample: np.ndarray) -> bool:
    finite = bool(np.isfinite(sample).all())
    return finite and bool((sample == np.rint(sample)).all() and (sample >= 0).all())


def _patchy(sample: np.ndarray) -> bool:
    """Whether nearly every pixel equals its neighbour and there are several values."""
    if sample.ndim < 2 or min(sample.shape[-2:]) < 4:
        return False
    same = sample[..., 1:] == sample[..., :-1]
    return bool(same.mean() > 0.8 and sample.min() != sample.max())
