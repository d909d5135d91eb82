"""A form filled from the record of a past job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.jobs import Extent, as_given, borrowed_by, borrowed_words, recorded_form
from napari_tool_runner.quoting import some_paths
from napari_tool_runner.tools import tree
from napari_tool_runner.tools.model import DataParameter, ParameterBase
from napari_tool_runner.widgets.forms.extents import Choice
from napari_tool_runner.widgets.forms.given import path_of
from napari_tool_runner.widgets.forms.quantities import has_two_units, sizes_of
from napari_tool_runner.widgets.parts.background import Task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from napari_tool_runner.jobs import RecordedInput, RunRecord
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.node import LeafNode
    from napari_tool_runner.widgets.forms.quantities import Sizes
    from napari_tool_runner.widgets.parts.messages import Button
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["changes", "fill_form"]


class _Found(NamedTuple):
    """What `borrowed_by` says, where each input lies, the other values, and of which pixels."""

    asked: Mapping[str, Sequence[Path]]
    places: Sequence[Path | None]
    form: dict[str, object]
    sizes: Sizes | None


def fill_form(
    page: ToolWidget,
    record: RunRecord,
    said: str,
    *,
    data: bool = True,
    lend: Collection[Path] = (),
) -> None:
    """Set parameters, and data from the layers of that name, else from the job's files.

    Those are looked for in the background, and the form is filled then. Above the Run button
    stands what was `said`, what could not be set, and at last what has changed since. Files
    that are not known to be the record's own are filled in by a button there.

    Parameters
    ----------
    data : bool
        False leaves the choice of data to the form.
    lend : collection of Path
        Of what `borrowed_by` returns, what may be filled in.
    """
    page.run_bar.say("The files of that job are looked for…", "busy")
    looking = Task(partial(_look, record, page.tool, lend, data), page)
    looking.done.connect(partial(_filled, page, record, said, data, lend))
    looking.failed.connect(lambda error: page.run_bar.say(str(error), "problem"))
    looking.start()


def _look(record: RunRecord, tool: Tool, lend: Collection[Path], data: bool) -> _Found:
    """Return what is asked about, and where the inputs lie: this may take its time."""
    asked = borrowed_by(record, tool, lend)
    steady = record.state.is_finished  # a program that runs can change what it was given
    places = [
        one.locate(record.root) if steady or not one.path.is_relative_to(record.folder) else None
        for one in record.inputs
    ]
    sizes = _sizes(record, tool, asked, places)
    return _Found(asked, places if data else (), recorded_form(record, tool, asked), sizes)


def _sizes(
    record: RunRecord, tool: Tool, asked: Collection[str], places: Sequence[Path | None]
) -> Sizes | None:
    """Return what the data of a job said of their pixel size, where a number depends on it."""
    every = (place.item for place in tree.places(tool.inputs))
    if not any(isinstance(one, ParameterBase) and has_two_units(one) for one in every):
        return None
    there = [
        (one.snapshot(place), place)
        for one, place in zip(record.inputs, places, strict=True)
        if one.name not in asked
    ]
    sizes = sizes_of(snap for snap, _ in there)
    # a layer without a pixel size: its file may have told one, and is gone
    return sizes if sizes or all(place for _, place in there) else None


def _filled(
    page: ToolWidget,
    record: RunRecord,
    said: str,
    data: bool,
    lend: Collection[Path],
    found: _Found,
) -> None:
    remarks = _fill(page, record, found, data=data)
    buttons: list[Button] = []
    chosen = set() if data else {told.name for told in record.inputs}  # not filled in here
    named = (path for name, paths in found.asked.items() if name not in chosen for path in paths)
    if paths := [*dict.fromkeys(named)]:
        remarks.append(f"Left out, since {borrowed_words(paths)}")
        given = partial(fill_form, page, record, said, data=data, lend={*lend, *paths})
        buttons.append(("Fill them in", given))
    text = " ".join([said, *remarks])

    def tell(more: str = "") -> None:
        told = f"{text} {more}".rstrip()
        page.run_bar.say(told, "info" if told == said else "problem", buttons)

    tell()
    if there := [one for one, place in zip(record.inputs, found.places, strict=False) if place]:
        later = Task(partial(changes, there, record.root), page)
        later.done.connect(lambda more: tell(more) if more else None)
        later.start()


def changes(inputs: Iterable[RecordedInput], root: Path | None) -> str:
    """Return what is to be told of inputs that have changed since. Reads the files."""
    return " ".join(filter(None, (one.remark(root) for one in inputs)))


def _fill(page: ToolWidget, record: RunRecord, found: _Found, *, data: bool) -> list[str]:
    with page.form.units.given():  # numbers are in the unit of the data that went in
        remarks = _fill_in(page, record, found)
    page.form.refresh_layers()
    if data:
        remarks += _restore_scope(page, record)
    return remarks


def _fill_in(page: ToolWidget, record: RunRecord, found: _Found) -> list[str]:
    form = page.form
    form.reset()
    remarks: list[str] = []
    unknown = form.bring(found.form, found.sizes)
    if unknown:
        remarks.append(f"Not in the form any more: {some_paths(unknown)}.")
    wanted: dict[str, list[object]] = {}
    for told, place in zip(record.inputs, found.places, strict=False):
        try:
            leaf = form.model.leaf(told.name)
        except KeyError:
            remarks.append(f"The input “{told.name}” is not in the form any more.")
            continue
        value = _layer(page, leaf, told) or as_given(told, place)
        if path_of(value) is not None and told.name in found.asked:
            continue
        if path_of(value) is not None and place is None:
            remarks.append(
                f"“{told.label}” is neither an open layer nor a file any more: choose another."
            )
            continue
        wanted.setdefault(told.name, []).append(value)
    for name, values in wanted.items():
        leaf = form.model.leaf(name)
        many = isinstance(leaf.parameter, DataParameter) and leaf.parameter.multiple
        leaf.set(values if many else values[0])
    return remarks


def _restore_scope(page: ToolWidget, record: RunRecord) -> list[str]:
    """Choose whole layers or each slice, as then; of a part, the part itself is the data."""
    extent = record.extent or Extent()
    page.extent_bar.choose(Choice.EACH if extent.mode == "each" else Choice.WHOLE)
    part = extent.mode == "current" or any(extent.crop)
    return ["It ran on a part of the layer: the data is that part, as a file."] if part else []


def _layer(page: ToolWidget, leaf: LeafNode, told: RecordedInput) -> object | None:
    """Return the open layer of that name and size."""
    parameter = leaf.parameter
    if not isinstance(parameter, DataParameter):
        return None
    shape = told.snapshot().geometry.shape
    for candidate in page.form.chooser.candidates(parameter):
        if getattr(candidate, "name", None) != told.label:
            continue
        found = getattr(getattr(candidate, "data", None), "shape", None)
        if not shape or found is None or tuple(found)[: len(shape)] == shape:
            return candidate
    return None
