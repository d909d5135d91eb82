"""Which layer went into a job of the past, if it is still here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.in_place import was_edited
from napari_tool_runner.jobs.makers import told_maker

if TYPE_CHECKING:
    from napari_tool_runner.jobs.record import RecordedInput
    from napari_tool_runner.jobs.viewer_like import LayerLike, ViewerLike

__all__ = ["given_then"]


def given_then(viewer: ViewerLike, name: str, inputs: Iterable[RecordedInput]) -> LayerLike | None:
    """Return the layer that went into the input `name` of a past job, if it is here, unchanged.

    One that no job of ours had just made is known by its name and shape.
    """
    told = [one for one in inputs if one.name == name]
    if len(told) != 1:
        return None
    (given,) = told
    if given.source.job:
        found = [layer for layer in viewer.layers if told_maker(layer) == given.source.job]
    else:
        shape = given.snapshot().geometry.shape
        named = [layer for layer in viewer.layers if layer.name == given.label]
        found = [layer for layer in named if _shape(layer) == shape]
    return next((layer for layer in found if not was_edited(layer)), None)


def _shape(layer: object) -> object:
    return getattr(getattr(layer, "data", None), "shape", ())
