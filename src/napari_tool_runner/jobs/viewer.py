"""Results into a viewer: layers are added, replaced on request only, and remember their making.

The viewer is known by its methods (``layers``, ``add_image`` …), so nothing here
imports napari.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.exchange import doubtful_in, layer_kind, warns
from napari_tool_runner.jobs.added import AddedResult
from napari_tool_runner.jobs.given import given_then
from napari_tool_runner.jobs.in_place import (
    call,
    fits,
    is_ours,
    kept,
    newest,
    note_made,
    renew,
    was_edited,
)
from napari_tool_runner.jobs.lineage import highest_relative, note_made_of
from napari_tool_runner.jobs.makers import note_maker
from napari_tool_runner.jobs.measured import Measured, origin_of, without_data
from napari_tool_runner.jobs.past.room import room
from napari_tool_runner.jobs.record import METADATA_KEY
from napari_tool_runner.names import unique_name
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.model import DataParameter, LayerKind, Tool
from napari_tool_runner.tools.tree import map_data
from napari_tool_runner.tools.values import datasets

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.jobs.in_place import Looks
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult
    from napari_tool_runner.jobs.record import RecordedInput
    from napari_tool_runner.jobs.viewer_like import LayerLike, ViewerLike

__all__ = ["add_layer", "add_result", "lift", "named_layers", "take_back", "taken_back"]

_STAYS = ("visible", "opacity", "blending")
"""Of the look of any layer: what a layer takes over that comes in the place of another."""
_OUTPUT = ("id", "output", "element")
"""Of what a layer remembers: which output of which job it is."""
_taken_back: set[str] = set()


def add_result(
    viewer: ViewerLike,
    result: JobResult,
    job: Job | None = None,
    *,
    looks: Looks | None = None,
    replaces: bool = False,
    inputs: Iterable[RecordedInput] = (),
) -> AddedResult:
    """Add the outputs of `result` to `viewer`, above all that comes of the job's input layers.

    Without `job` (a result of the past) they go on top, and what is open is not added again. Call
    it on the thread that owns the viewer. Nothing of the user's is replaced, hidden or removed;
    our labels are hidden when labels are made of them, or anew: they would be seen through these.
    napari makes the names unique. `replaces`: the last result of the same tool on the same layers
    is replaced, unless its content was changed by hand.

    A table joins the labels or points that its descriptor names (``join=``), else the labels
    whose numbers it has (see `joins`): columns are added to ``features``, existing ones stay.

    `looks`: how layers look at first; None: as the viewer does. `inputs`: of a result of the
    past what went in: a table of the objects of one that is open is tied to that layer.
    """
    added = AddedResult(notes=_notes(result, job), job=result.job_id)
    _taken_back.discard(result.job_id)
    made: dict[tuple[str, str], LayerLike] = {}
    tables: list[tuple[str, JobOutput]] = []
    ours: list[tuple[LayerLike, LoadedOutput, Mapping[str, object], object]] = []
    sources = job.request.sources if job is not None else {}
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
            if job is None and (open_one := _open_layer(viewer, entry)) is not None:
                made[name, element] = open_one
                added.open.append(open_one)
                continue
            look = looks(entry, sources) if looks is not None else {}
            origin = _origin(job, name, element) if job is not None else None
            layer = _replaced(viewer, entry, look, origin, added) if replaces else None
            if layer is None:
                layer = add_layer(viewer, entry, look)
                added.layers.append(layer)
            made[name, element] = layer
            if entry.counted is not None:
                added.counted.append((layer, entry.counted))
            ours.append((layer, entry.loaded, look, origin))
    lift(viewer, [layer for layer in added.layers if layer not in added.replaced], sources)
    below = [newest(viewer.layers, origin) for *_, origin in ours if origin is not None]
    _hide_below(viewer, added, [*sources.values(), *below])
    for layer, loaded, look, origin in ours:
        note_made(layer, loaded, look, origin)
    for element, table in tables:
        _join(viewer, table, element, made, job, added)
        if job is None and table.layer_name in added.tables:
            owner = given_then(viewer, table.join or table.output.join, inputs)
            if owner is not None:
                added.owners.setdefault(table.layer_name, owner)
    for shown in added.layers:
        note_maker(shown)
    # a folder is read as it is shown, also by copies of its layer; a file was told to be there
    if not added.files and not any(one.path.is_dir() for one in result.outputs.values()):
        room().shown(result.workspace, [*added.layers, result])
    return added


def _open_layer(viewer: ViewerLike, output: JobOutput) -> LayerLike | None:
    """Return the layer that shows this output of a job already, as it was made."""
    wanted = [output.metadata.get(name) for name in _OUTPUT]
    for layer in viewer.layers:
        told = layer.metadata.get(METADATA_KEY)
        same = isinstance(told, Mapping) and [told.get(name) for name in _OUTPUT] == wanted
        if same and not was_edited(layer):
            return layer
    return None


def _hide_below(viewer: ViewerLike, added: AddedResult, others: list[object]) -> None:
    """Hide results that labels came of or after: what is there no more would seem to be there."""
    if not any(layer_kind(layer) is LayerKind.LABELS for layer in added.layers):
        return
    for layer in viewer.layers:
        below = any(layer is other for other in others) and layer not in added.layers
        if below and layer_kind(layer) is LayerKind.LABELS and is_ours(layer) and layer.visible:
            layer.visible = False
            added.hidden.append(layer)


def taken_back() -> frozenset[str]:
    """Return the ids of this session's jobs whose results a person took out of a viewer again."""
    return frozenset(_taken_back)


def take_back(viewer: ViewerLike, added: AddedResult) -> list[str]:
    """Take what a result became out of the viewer again; what was changed by hand stays.

    What it replaced and hid is there again. Returns sentences about what stays.
    """
    _taken_back.add(added.job)
    told: list[str] = []
    for layer in [layer for layer in viewer.layers if layer in added.layers]:
        if was_edited(layer):
            told.append(f"“{layer.name}” was changed by hand and stays.")
        elif layer not in added.replaced:
            viewer.layers.remove(layer)
    for joined, measured in added.measures:
        if not measured.take_back(joined):
            told.append(f"“{joined.name}” was measured once more: its newer columns stay.")
    for restore in added.restores:
        restore()
    for layer in added.hidden:
        layer.visible = True
    return told


def _join(
    viewer: ViewerLike,
    table: JobOutput,
    element: str,
    made: Mapping[tuple[str, str], LayerLike],
    job: Job | None,
    added: AddedResult,
) -> None:
    """Add a table to the features of the layer that it joins; else it is one of no layer."""
    columns = table.columns or {}
    name = table.join or table.output.join
    target = made.get((name, element)) or made.get((name, ""))
    if target is None and name and job is not None:
        target = _input_layer(name, job, viewer)
    given, key = columns, table.column
    if table.numbers:
        key = unique_name("label", set(columns), " {}", 2)
        given = {**columns, key: table.numbers}
    origin = (added.job, table.name) if job is None else origin_of(job, table.name, element)
    tool = table.layer_name if job is None else job.tool.name
    if target is not None:
        measured = Measured(target, origin, job)
        if measured.join(target, given, key, tool):
            added.measures.append((target, measured))
            added.joined[table.name] = target
            return
        added.owners[table.layer_name] = target  # a label comes again in each frame
        measured.note(target)
    added.tables[table.layer_name] = columns
    if job is not None:
        added.origins[table.layer_name] = (*origin, str(without_data(job)))


def _notes(result: JobResult, job: Job | None) -> tuple[str, ...]:
    """Return what a person should know of a result, what makes it doubtful first."""
    if job is None:  # the record may wait for hashes
        files = [file for output in result.outputs.values() for file in output.files().values()]
        said = [note for file in files for note in file.notes]
    else:
        said = [note for note in job.run.notes if note not in job.request.config.notes]

    def rank(note: str) -> tuple[bool, ...]:  # what begins with a layer's name is of what went in
        return not warns(note), not doubtful_in([note]), note.startswith("“")

    return tuple(sorted(said, key=rank))


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


def add_layer(
    viewer: ViewerLike, output: JobOutput | LoadedOutput, look: Mapping[str, object]
) -> LayerLike:
    """Add a result as a layer, on top; `look` goes before what the result says of that."""
    data, attributes, kind = output.as_layer_data_tuple()
    add = cast("Callable[..., LayerLike]", getattr(viewer, f"add_{kind}"))
    name, taken = attributes.get("name"), {one.name.casefold() for one in viewer.layers}
    while isinstance(name, str) and name.casefold() in taken:  # napari takes n and N for two
        name = unique_name(name, {name})
    return add(data, **{**attributes, "name": name, **look})


def _origin(job: Job, name: str, element: str) -> object:
    """Return what all results have in common that the newest of them may replace."""
    request = job.request
    given = [(parameter, snap.source) for parameter, snap in request.snapshots(request.values)]
    return request.tool.uri, name, element, dict(request.layers), given


def _replaced(
    viewer: ViewerLike,
    output: JobOutput,
    look: Mapping[str, object],
    origin: object,
    added: AddedResult,
) -> LayerLike | None:
    """Let the last result of `origin` be this one; None: there is none, or a person changed it."""
    assert output.loaded is not None
    old = cast("LayerLike | None", newest(viewer.layers, origin))
    if old is None:
        return None
    if was_edited(old):
        note = f"“{old.name}” was changed by hand, so it stays and is not replaced."
        added.notes = (note, *added.notes)
        return None
    if fits(old, output.loaded, look):
        added.restores.append(_if_unchanged(old, kept(old)))
        renew(old, output.loaded, look)
        call(old, output.layer_name)
        _, attributes, _ = output.as_layer_data_tuple()
        old.metadata = {**old.metadata, **cast("Mapping[str, object]", attributes["metadata"])}
        layer = old
    else:
        layer = _instead(viewer, old, output, look)
        added.restores.append(_if_unchanged(layer, partial(_put_back, viewer, layer, old)))
    added.layers.append(layer)
    added.replaced.append(layer)
    return layer


def _if_unchanged(layer: LayerLike, restore: Callable[[], None]) -> Callable[[], None]:
    """Return `restore` for a layer whose content nobody changes meanwhile."""

    def act() -> None:
        if is_ours(layer):
            restore()
            note_maker(layer)

    return act


def _put_back(viewer: ViewerLike, layer: LayerLike, old: LayerLike) -> None:
    """Put `old` in the place of `layer`, which came in its place."""
    if layer not in viewer.layers:
        return
    place, called = viewer.layers.index(layer), layer.name
    viewer.layers.remove(layer)
    viewer.layers.insert(place, old)
    old.name = called


def _instead(
    viewer: ViewerLike, old: LayerLike, output: JobOutput, look: Mapping[str, object]
) -> LayerLike:
    """Put a new layer in the place of `old`: as visible, as selected, with its name."""
    chosen, place = [*viewer.layers.selection], viewer.layers.index(old)
    layer = add_layer(viewer, output, look)
    for name in _STAYS:
        setattr(layer, name, getattr(old, name))
    viewer.layers.move(len(viewer.layers) - 1, place)
    called = old.name
    viewer.layers.remove(old)
    layer.name = called
    viewer.layers.selection.clear()
    viewer.layers.selection.update(layer if one is old else one for one in chosen)
    return layer


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
