"""What part of the chosen layers a tool gets: all, one slice, each slice, what is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tool_runner.jobs import Extent
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.values import map_data
from napari_tool_runner.widgets.layer_source import kind_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.tools.model import Tool

__all__ = ["Scope", "available_scopes", "default_scope", "extent_of", "reference_of"]

_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)


class Scope(StrEnum):
    """What of a layer the tool gets."""

    WHOLE = "whole"
    SLICE = "slice"
    EACH = "each"
    VIEW = "view"


def reference_of(tool: Tool, values: Mapping[str, object]) -> tuple[Layer, DataParameter] | None:
    """Return the first image or labels layer among `values`, and its input."""
    found: list[tuple[Layer, DataParameter]] = []

    def look(_: str, parameter: DataParameter, value: object) -> object:
        for entry in value if isinstance(value, list | tuple) else [value]:
            if kind_of(entry) in _PIXELS:
                found.append((entry, parameter))
        return value

    map_data(tool.inputs, values, look)
    return found[0] if found else None


def available_scopes(
    tool: Tool, values: Mapping[str, object], viewer: ViewerModel | None
) -> dict[Scope, str]:
    """Return the scopes that make sense now, with words for a combo box."""
    found = reference_of(tool, values)
    if found is None or viewer is None:
        return {}
    layer, parameter = found
    scopes = {Scope.WHOLE: "the whole layer"}
    axes = _cut_axes(layer, parameter)
    if axes:
        place = _present_index(layer, axes, viewer)
        names = ", ".join(
            f"{_axis_name(layer, axis)} {number}" for axis, number in zip(axes, place, strict=True)
        )
        shape = _shape(layer)
        count = int(np.prod([shape[axis] for axis in axes]))
        scopes[Scope.SLICE] = f"the current slice ({names})"
        scopes[Scope.EACH] = f"each slice ({count})"
    if _view_box(layer) is not None:
        scopes[Scope.VIEW] = "only what I see"
    return scopes


def default_scope(tool: Tool, values: Mapping[str, object]) -> Scope:
    """Return "each slice" for a tool of fewer dimensions than its layer, else the whole."""
    found = reference_of(tool, values)
    if found is None:
        return Scope.WHOLE
    layer, parameter = found
    fewer = parameter.ndim and layer.ndim > max(parameter.ndim)
    return Scope.EACH if fewer else Scope.WHOLE


def extent_of(
    scope: Scope, tool: Tool, values: Mapping[str, object], viewer: ViewerModel
) -> Extent | None:
    """Return what `scope` means for the engine; None for whole layers."""
    found = reference_of(tool, values)
    if found is None or scope is Scope.WHOLE:
        return None
    layer, parameter = found
    axes = _cut_axes(layer, parameter)
    ndim = layer.ndim - len(axes)
    position = _present_index(layer, range(layer.ndim), viewer)
    if scope is Scope.EACH:
        return Extent("each", ndim=ndim) if axes else None
    if scope is Scope.SLICE:
        return Extent("current", ndim=ndim, position=position) if axes else None
    box = _view_box(layer) or {}
    crop = tuple(
        (box[axis].start, box[axis].stop) if axis in box else None for axis in range(layer.ndim)
    )
    flat = viewer.dims.ndisplay == 2 and (not parameter.ndim or 2 in parameter.ndim)
    if axes and flat:  # in a stack one sees one slice
        return Extent("current", ndim=ndim, position=position, crop=crop)
    return Extent("whole", crop=crop) if box else None


def _shape(layer: Any) -> tuple[int, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape[: layer.ndim])


def _cut_axes(layer: Layer, parameter: DataParameter) -> tuple[int, ...]:
    """Return the axes of `layer`, the first ones, that a slice leaves out."""
    left = max((n for n in parameter.ndim if n < layer.ndim), default=0)
    if not parameter.ndim:
        left = 2
    return tuple(range(layer.ndim - left)) if 2 <= left < layer.ndim else ()


def _present_index(layer: Layer, axes: Sequence[int], viewer: ViewerModel) -> tuple[int, ...]:
    """Return where the sliders stand, in pixels of `layer`."""
    point = np.asarray(viewer.dims.point, float)[-layer.ndim :]
    pixel = np.asarray(layer.world_to_data(point))
    shape = _shape(layer)
    return tuple(int(np.clip(round(float(pixel[axis])), 0, shape[axis] - 1)) for axis in axes)


def _axis_name(layer: Layer, axis: int) -> str:
    label = str(layer.axis_labels[axis])
    # napari's default labels are negative numbers, which tell nobody anything
    return label if label.strip("-").isalpha() else f"axis {axis}"


def _view_box(layer: Any) -> dict[int, slice] | None:
    """Return the visible part of `layer` along the displayed axes; None when all is seen."""
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    shape = _shape(layer)
    box: dict[int, slice] = {}
    for axis in range(layer.ndim):
        low = int(np.clip(np.floor(corners[0][axis]), 0, shape[axis]))
        high = int(np.clip(np.ceil(corners[1][axis]) + 1, 0, shape[axis]))
        if high - low > 1 and (low > 0 or high < shape[axis]):
            box[axis] = slice(low, high)
    return box or None
