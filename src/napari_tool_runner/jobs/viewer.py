"""Results into a viewer: layers are added, never replaced, and remember their making.

The viewer is known by its methods (``layers``, ``add_image`` …), so nothing here
imports napari.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, cast

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.exchange import features_for, in_its_slice, layer_kind
from napari_tool_runner.jobs.lineage import highest_relative, note_made_of
from napari_tool_runner.jobs.past.room import room
from napari_tool_runner.names import unique_name
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.model import DataParameter, LayerKind, Tool
from napari_tool_runner.tools.tree import map_data
from napari_tool_runner.tools.values import datasets

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from napari_tool_runner.exchange import Geometry
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult

__all__ = [
    "AddedResult",
    "LayerListLike",
    "ViewerLike",
    "add_result",
    "lift",
    "named_layers",
    "placed_result",
]

_SHORT = 160


class LayerLike(Protocol):
    """What is asked of a layer."""

    name: str
    metadata: dict[str, object]
    features: object


class SelectionLike(Protocol):
    """What is asked of the selected layers."""

    def __iter__(self) -> Iterator[object]: ...

    def clear(self) -> object:
        """Select none."""
        ...

    def update(self, layers: Iterable[object]) -> object:
        """Select these, too."""
        ...

    @property
    def events(self) -> SelectionEvents:
        """Who hears of it."""
        ...


class SelectionEvents(Protocol):
    """What is asked of the events of a selection."""

    def blocker_all(self) -> AbstractContextManager[object]:
        """Let nobody hear of anything inside."""
        ...


class LayerListLike(Protocol):
    """What is asked of a layer list."""

    def __iter__(self) -> Iterator[LayerLike]: ...

    def __contains__(self, layer: object) -> bool: ...

    def __getitem__(self, name: str) -> LayerLike: ...

    def __len__(self) -> int: ...

    def index(self, layer: object) -> int:
        """Place of a layer, 0 at the bottom."""
        ...

    def move(self, source: int, target: int) -> object:
        """Move a layer."""
        ...

    def remove(self, layer: object) -> object:
        """Take a layer away."""
        ...

    @property
    def selection(self) -> SelectionLike:
        """The selected layers."""
        ...


class ViewerLike(Protocol):
    """What is asked of a viewer (napari.Viewer, napari.components.ViewerModel)."""

    @property
    def layers(self) -> LayerListLike:
        """The layer list."""
        ...


@dataclass(slots=True)
class AddedResult:
    """What a result became in a viewer.

    Parameters
    ----------
    layers : list
        The new layers, bottom first.
    tables : dict
        Output name -> columns, of the tables that belong to no layer.
    owners : dict
        Title of one of `tables` -> the layer whose objects its rows are nevertheless.
    joined : dict
        Output name -> the layer whose ``features`` took the table.
    files : list of str
        Labels of the outputs that are no layer; they are in the workspace.
    notes : tuple of str
        What a person should know of it.
    """

    layers: list[object] = field(default_factory=list)
    tables: dict[str, Mapping[str, object]] = field(default_factory=dict)
    owners: dict[str, object] = field(default_factory=dict)
    joined: dict[str, object] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return what happened, for a person."""
        parts: list[str] = []
        if self.layers:
            parts.append(f"Added {_names(self.layers)}.")
        if self.joined:
            parts.append(f"Measurements are in the features of {_names(self.joined.values())}.")
        if self.tables:
            parts.append(f"Opened {len(self.tables)} table{'s' * (len(self.tables) > 1)}.")
        if self.files:
            parts.append(f"{', '.join(self.files)}: a file in the workspace.")
        parts = parts or ["Done; the tool made nothing to show."]
        if self.notes:
            first = self.notes[0]
            parts.append(
                first if len(first) <= _SHORT else f"{first[:_SHORT].rsplit(' ', 1)[0]} …"
            )
            more = len(self.notes) - 1
            parts += [f"{more} more note{'s' * (more > 1)} in the log."] if more else []
        return " ".join(parts)


def add_result(viewer: ViewerLike, result: JobResult, job: Job | None = None) -> AddedResult:
    """Add the outputs of `result` to `viewer`, above all that comes of the job's input layers.

    Without `job` (a result of the past) they go on top. Call it on the thread that owns
    the viewer. Nothing of the user's is replaced,
    hidden or removed; napari makes the names unique. A table joins the labels or
    points that its descriptor names (``join=``), else the labels whose numbers it has (see
    `joins`): columns are added to ``features``, existing ones stay.
    """
    added = AddedResult(notes=_notes(result, job))
    made: dict[tuple[str, str], LayerLike] = {}
    tables: list[tuple[str, JobOutput]] = []
    for name, output in result.outputs.items():
        if output.output.hidden:
            continue
        entries = output.files()
        if any(entry.loaded is None for entry in entries.values()):
            added.files.append(output.output.label or name)
        for element, entry in entries.items():
            if entry.loaded is None:
                continue
            if entry.loaded.kind is LayerKind.TABLE:
                tables.append((element, entry))
                continue
            layer = _add(viewer, entry)
            made[name, element] = layer
            added.layers.append(layer)
    sources = job.request.sources if job is not None else {}
    lift(viewer, added.layers, sources)
    for element, table in tables:
        columns = table.columns or {}
        name = table.join or table.output.join
        target = made.get((name, element)) or made.get((name, ""))
        if target is None and name and job is not None:
            target = _input_layer(name, job, viewer)
        given, key = columns, table.column
        if table.numbers:
            key = unique_name("label", set(columns), " {}", 2)
            given = {**columns, key: table.numbers}
        features = None if target is None else features_for(target, given, key)
        if target is None or features is None:
            added.tables[table.layer_name] = columns
            if target is not None:  # a label comes again in each frame
                added.owners[table.layer_name] = target
        else:
            target.features = features
            added.joined[table.name] = target
    # a folder is read as it is shown, also by copies of its layer; a file was told to be there
    if not added.files and not any(one.path.is_dir() for one in result.outputs.values()):
        room().shown(result.workspace, [*added.layers, result])
    return added


def _notes(result: JobResult, job: Job | None) -> tuple[str, ...]:
    """Return what a person should know of a result, warnings first."""
    if job is None:  # the record may wait for hashes
        files = [file for output in result.outputs.values() for file in output.files().values()]
        return tuple(note for file in files for note in file.notes)
    said = [note for note in job.run.notes if note not in job.request.config.notes]
    return tuple(sorted(said, key=lambda note: not note.startswith("Warning")))


def named_layers(
    viewer: ViewerLike, tool: Tool, values: Mapping[str, object]
) -> Mapping[str, object]:
    """Replace names of layers among the data values of `tool` by the layers.

    Raises
    ------
    ParameterError
        A data value is text, but neither a layer of that name nor a file.
    """

    def look_up(name: str, value: object) -> object:
        if not isinstance(value, str):
            return value
        if any(layer.name == value for layer in viewer.layers):
            return viewer.layers[value]
        if os.path.exists(value):
            return value
        known = ", ".join(f"“{layer.name}”" for layer in viewer.layers) or "none"
        raise ParameterError(
            f"“{name}”: there is no layer (and no file) called “{value}”.",
            name=name,
            hint=f"The layers are: {known}.",
        )

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        if parameter.multiple and isinstance(value, list | tuple):
            return [look_up(name, entry) for entry in datasets(value)]
        return look_up(name, value)

    return map_data(tool.inputs, bind(tool, values), convert)


def _names(layers: Iterable[object]) -> str:
    return ", ".join(f"“{getattr(layer, 'name', layer)}”" for layer in layers)


def _add(viewer: ViewerLike, output: JobOutput) -> LayerLike:
    data, attributes, kind = output.as_layer_data_tuple()
    add = cast("Callable[..., LayerLike]", getattr(viewer, f"add_{kind}"))
    return add(data, **attributes)


def lift(viewer: ViewerLike, layers: list[object], sources: Mapping[str, object]) -> None:
    """Move new layers above the inputs and all that was made of what these come from.

    There a result is seen, also the second of the same input. No other layer is moved.
    """
    others = [layer for layer in viewer.layers if layer not in layers]
    top = highest_relative(others, sources.values())
    for offset, layer in enumerate(layers):
        note_made_of(layer, sources.values())
        at = viewer.layers.index(layer)
        if top is not None and at != top + 1 + offset:
            viewer.layers.move(at, top + 1 + offset)


def _input_layer(name: str, job: Job, viewer: ViewerLike) -> LayerLike | None:
    """Return the layer that went into the input `name`; of a file the labels of it, if shown.

    A layer that was deleted meanwhile takes nothing; the table is shown instead.
    """
    layer = job.request.sources.get(name)
    if layer is not None:
        return cast("LayerLike", layer) if layer in viewer.layers else None
    paths = {str(s.path) for n, s in job.request.snapshots(job.request.values) if n == name}
    for shown in viewer.layers:
        origin = getattr(getattr(shown, "source", None), "path", None)
        if layer_kind(shown) is LayerKind.LABELS and str(origin) in paths - {"None"}:
            return shown
    return None


# -- the result of one slice of a stack, put back to where the slice lies ------------------


def placed_result(job: Job, result: JobResult) -> JobResult:
    """Return `result` with the axes that a single slice left out; else unchanged.

    Without its place a flat result would be shown on every slice of the viewer.
    """
    extent, grid = job.request.extent, job.request.grid
    if extent is None or grid is None or extent.mode == "whole":
        return result
    pieces = extent.indices(grid.shape, grid.axes)
    if len(pieces) != 1 or job.request.pieces:  # put together by the engine: it has its axes
        return result
    index = {axis: entry for axis, entry in enumerate(pieces[0]) if isinstance(entry, int)}
    if not index:
        return result
    outputs = {name: _placed(output, grid, index) for name, output in result.outputs.items()}
    return replace(result, outputs=outputs)


def _placed(output: JobOutput, grid: Geometry, index: Mapping[int, int]) -> JobOutput:
    elements = {name: _placed(part, grid, index) for name, part in output.elements.items()}
    loaded = output.loaded and in_its_slice(output.loaded, grid, index)
    return replace(output, loaded=loaded, elements=elements)
