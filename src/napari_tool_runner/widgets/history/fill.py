"""A form filled from the record of a past job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.jobs import Extent, as_given, recorded_form
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.widgets.forms.extents import Choice
from napari_tool_runner.widgets.forms.layers import path_of

if TYPE_CHECKING:
    from napari_tool_runner.jobs import RecordedInput, RunRecord
    from napari_tool_runner.widgets.forms.node import LeafNode
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["fill_form"]


def fill_form(page: ToolWidget, record: RunRecord, *, data: bool = True) -> list[str]:
    """Set parameters, and data from the layers of that name, else from the job's files.

    `data`: False leaves the choice of data to the form.

    Returns
    -------
    list of str
        Sentences on what could not be set.
    """
    form = page.form
    form.reset()
    remarks: list[str] = []
    unknown = form.set_values(recorded_form(record, page.tool))
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
