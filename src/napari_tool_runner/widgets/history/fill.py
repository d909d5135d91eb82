"""A form filled from the record of a past job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.jobs import Extent, as_given, borrowed_by, borrowed_words, recorded_form
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.widgets.forms.extents import Choice
from napari_tool_runner.widgets.forms.layers import path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from napari_tool_runner.jobs import RecordedInput, RunRecord
    from napari_tool_runner.widgets.forms.node import LeafNode
    from napari_tool_runner.widgets.parts.messages import Button
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["fill_form"]


def fill_form(
    page: ToolWidget,
    record: RunRecord,
    said: str,
    *,
    data: bool = True,
    lend: Collection[Path] = (),
) -> Callable[[str], None]:
    """Set parameters, and data from the layers of that name, else from the job's files.

    Above the Run button stands what was `said`, and what could not be set. Files that are
    not known to be the record's own are filled in by a button there.

    Parameters
    ----------
    data : bool
        False leaves the choice of data to the form.
    lend : collection of Path
        Of what `borrowed_by` returns, what may be filled in.

    Returns
    -------
    callable
        Adds a sentence to those.
    """
    asked = borrowed_by(record, page.tool, lend)
    remarks = _fill(page, record, asked, data=data)
    buttons: list[Button] = []
    chosen = set() if data else {told.name for told in record.inputs}  # not filled in here
    named = (path for name, paths in asked.items() if name not in chosen for path in paths)
    if paths := [*dict.fromkeys(named)]:
        remarks.append(f"Left out, since {borrowed_words(paths)}")
        given = partial(fill_form, page, record, said, data=data, lend={*lend, *paths})
        buttons.append(("Fill them in", given))
    text = " ".join([said, *remarks])

    def tell(more: str = "") -> None:
        told = f"{text} {more}".rstrip()
        page.run_bar.say(told, "info" if told == said else "problem", buttons)

    tell()
    return tell


def _fill(
    page: ToolWidget, record: RunRecord, without: Collection[str], *, data: bool
) -> list[str]:
    form = page.form
    form.reset()
    remarks: list[str] = []
    unknown = form.set_values(recorded_form(record, page.tool, without))
    if unknown:
        remarks.append(f"Not in the form any more: {', '.join(unknown)}.")
    wanted: dict[str, list[object]] = {}
    for told in record.inputs if data else ():
        try:
            leaf = form.model.leaf(told.name)
        except KeyError:
            remarks.append(f"The input “{told.name}” is not in the form any more.")
            continue
        value = _layer(page, leaf, told) or as_given(told)
        if path_of(value) is not None and told.name in without:
            continue
        if path_of(value) is not None and told.locate() is None:
            remarks.append(
                f"“{told.label}” is neither an open layer nor a file any more: choose another."
            )
            continue
        wanted.setdefault(told.name, []).append(value)
    for name, values in wanted.items():
        leaf = form.model.leaf(name)
        many = isinstance(leaf.parameter, DataParameter) and leaf.parameter.multiple
        leaf.set(values if many else values[0])
    form.refresh_layers()
    if data:
        remarks += _restore_scope(page, record)
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
