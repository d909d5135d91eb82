"""What part of the chosen layers a tool gets: all, one slice, each slice, what is seen.

A part is an ordinary layer (not in the viewer) that knows its place, so a result of it
lies where it belongs. Parts share the memory of their layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.values import map_data
from napari_tool_runner.widgets.layer_source import kind_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.tools.model import Tool

__all__ = ["Part", "Scope", "Scoping", "available_scopes", "plan_scope"]

_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)


class Scope(StrEnum):
    """What of a layer the tool gets."""

    WHOLE = "whole"
    SLICE = "slice"
    EACH = "each"
    VIEW = "view"


@dataclass(frozen=True, slots=True)
class Part:
    """Form values for one job, and which slice they hold (empty: no axis was cut)."""

    values: dict[str, object]
    index: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scoping:
    """How a form's values are cut into parts.

    Parameters
    ----------
    reference : Layer
        The layer that gives the slices their place.
    axes : tuple of int
        Axes of `reference` that were cut away, ascending.
    sizes : tuple of int
        Their lengths.
    whole : bool
        Whether the parts cover every slice (results become whole stacks).
    """

    scope: Scope
    parts: tuple[Part, ...]
    reference: Layer
    axes: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    whole: bool = False


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
    axes = _cut_axes(layer, parameter, viewer)
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


def plan_scope(
    scope: Scope, tool: Tool, values: Mapping[str, object], viewer: ViewerModel
) -> Scoping | None:
    """Return the parts that `scope` means; None for whole layers."""
    found = reference_of(tool, values)
    if found is None or scope is Scope.WHOLE:
        return None
    layer, parameter = found
    axes = _cut_axes(layer, parameter, viewer)
    box: dict[int, slice] = {}
    if scope is Scope.VIEW:
        box = _view_box(layer) or {}
        if viewer.dims.ndisplay != 2 or (parameter.ndim and 2 not in parameter.ndim):
            axes = ()
    if not axes and not box:
        return None
    shape = _shape(layer)
    sizes = tuple(shape[axis] for axis in axes)
    if scope is Scope.EACH:
        places = list(product(*(range(size) for size in sizes)))
    else:
        places = [_present_index(layer, axes, viewer)]
    parts = tuple(
        Part(_cut_values(tool, values, layer, axes, place, box), place if axes else ())
        for place in places
    )
    return Scoping(scope, parts, layer, axes, sizes, scope is Scope.EACH)


def _cut_values(
    tool: Tool,
    values: Mapping[str, object],
    reference: Layer,
    axes: tuple[int, ...],
    place: tuple[int, ...],
    box: Mapping[int, slice],
) -> dict[str, object]:
    def cut(_: str, __: DataParameter, value: object) -> object:
        if isinstance(value, list | tuple):
            return [_cut_like(entry, reference, axes, place, box) for entry in value]
        return _cut_like(value, reference, axes, place, box)

    return map_data(tool.inputs, values, cut)


def _cut_like(
    value: object,
    reference: Layer,
    axes: tuple[int, ...],
    place: tuple[int, ...],
    box: Mapping[int, slice],
) -> object:
    """Cut `value` as `reference` is cut, at the same place in the world."""
    kind = kind_of(value)
    if kind not in (*_PIXELS, LayerKind.POINTS):
        return value
    layer: Any = value
    missing = reference.ndim - layer.ndim  # trailing axes are shared, as napari shows them
    own_axes = tuple(axis - missing for axis in axes if axis >= missing)
    own_place = []
    for axis in own_axes:
        world = _world_of(reference, axes, place)
        own_place.append(round(float(layer.world_to_data(world[-layer.ndim :])[axis])))
    if kind is LayerKind.POINTS:
        return _cut_points(layer, own_axes, tuple(own_place))
    shape = _shape(layer)
    index = tuple(
        min(max(number, 0), shape[axis] - 1)
        for axis, number in zip(own_axes, own_place, strict=True)
    )
    return cut_pixels(layer, own_axes, index, _same_box(layer, reference, box))


def cut_pixels(
    layer: Layer, axes: tuple[int, ...], index: tuple[int, ...], box: Mapping[int, slice]
) -> Layer:
    """Return a layer of one slice and box of `layer`, at its place in the world."""
    from napari.layers import Layer as AnyLayer

    data = layer.data[0] if layer.multiscale else layer.data
    selection: list[object] = [box.get(axis, slice(None)) for axis in range(layer.ndim)]
    for axis, number in zip(axes, index, strict=True):
        selection[axis] = number
    if not isinstance(data, np.ndarray):
        # files and chunks are read by the job, not here
        import dask.array as da

        data = da.asanyarray(data)  # type: ignore[no-untyped-call]
    kept = [axis for axis in range(layer.ndim) if axis not in axes]
    start = [box[axis].start if axis in box else 0 for axis in range(layer.ndim)]
    attributes = geometry_attributes(layer, kept, start)
    attributes["name"] = layer.name
    kind = kind_of(layer).value
    if kind == "image":
        attributes.update(
            rgb=layer.rgb,
            colormap=layer.colormap,
            contrast_limits=layer.contrast_limits,
            multiscale=False,
        )
    return AnyLayer.create(data[tuple(selection)], attributes, kind)


def geometry_attributes(
    layer: Any, kept: Sequence[int], start: Sequence[float]
) -> dict[str, object]:
    """Return scale, translate, rotate, shear, affine and units along the axes `kept`.

    `start` is the pixel of `layer` where the part begins. Rotation and shear that mix
    kept axes with others cannot be kept by a part; they are left out.
    """
    from napari.utils.transforms import Affine

    kept = list(kept)
    whole = Affine(
        scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=layer.shear
    )
    moved = whole.linear_matrix @ np.asarray(start, float) + np.asarray(layer.translate)
    attributes: dict[str, object] = {
        "scale": np.asarray(layer.scale)[kept],
        "translate": moved[kept],
        "units": tuple(str(layer.units[axis]) for axis in kept),
        "axis_labels": tuple(layer.axis_labels[axis] for axis in kept),
    }
    rest = [axis for axis in range(layer.ndim) if axis not in kept]
    linear = Affine(rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim).linear_matrix
    if not np.allclose(linear, np.eye(layer.ndim)) and not _mixes(linear, kept, rest):
        attributes["rotate"] = np.asarray(layer.rotate)[np.ix_(kept, kept)]
        if not rest:
            attributes["shear"] = layer.shear
    affine = np.asarray(layer.affine.affine_matrix)
    if not np.allclose(affine, np.eye(layer.ndim + 1)) and not _mixes(
        affine[:-1, :-1], kept, rest
    ):
        both = [*kept, layer.ndim]
        attributes["affine"] = affine[np.ix_(both, both)]
    return attributes


def _mixes(matrix: np.ndarray, kept: Sequence[int], rest: Sequence[int]) -> bool:
    if not rest:
        return False
    return bool(
        np.any(np.abs(matrix[np.ix_(kept, rest)]) > 1e-9)
        or np.any(np.abs(matrix[np.ix_(rest, kept)]) > 1e-9)
    )


def _cut_points(layer: Any, axes: tuple[int, ...], place: tuple[int, ...]) -> object:
    """Return the points on one slice, without the coordinates that were cut away."""
    from napari.layers import Points

    if not axes:
        return layer
    data = np.asarray(layer.data)
    here = np.all(np.round(data[:, list(axes)]) == np.asarray(place), axis=1)
    kept = [axis for axis in range(layer.ndim) if axis not in axes]
    attributes = geometry_attributes(layer, kept, [0.0] * layer.ndim)
    attributes["features"] = layer.features[here].reset_index(drop=True)
    return Points(data[here][:, kept], ndim=len(kept), name=layer.name, **attributes)


def _shape(layer: Any) -> tuple[int, ...]:
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(data.shape[: layer.ndim])


def _cut_axes(layer: Layer, parameter: DataParameter, viewer: ViewerModel) -> tuple[int, ...]:
    """Return the axes of `layer` that a slice leaves out."""
    left = max((n for n in parameter.ndim if n < layer.ndim), default=0)
    if parameter.ndim and (left == 0 or left < 2):
        return ()
    left = left or 2
    if layer.ndim <= left:
        return ()
    missing = viewer.dims.ndim - layer.ndim
    order = [axis - missing for axis in viewer.dims.order if axis >= missing]
    return tuple(sorted(order[:-left]))


def _world_of(layer: Layer, axes: Sequence[int], place: Sequence[int]) -> np.ndarray:
    point = np.zeros(layer.ndim)
    for axis, number in zip(axes, place, strict=True):
        point[axis] = number
    return np.asarray(layer.data_to_world(point))


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


def _same_box(layer: Any, reference: Layer, box: Mapping[int, slice]) -> dict[int, slice]:
    """Return the box of `reference` in pixels of `layer`."""
    if layer is reference or not box:
        return dict(box)
    low, high = np.zeros(reference.ndim), np.asarray(_shape(reference), float) - 1
    for axis, part in box.items():
        low[axis], high[axis] = part.start, part.stop - 1
    ends = np.stack(
        [
            np.asarray(
                layer.world_to_data(np.asarray(reference.data_to_world(end))[-layer.ndim :])
            )
            for end in (low, high)
        ]
    )
    shape = _shape(layer)
    missing = reference.ndim - layer.ndim
    result: dict[int, slice] = {}
    for axis in range(layer.ndim):
        if axis + missing not in box:
            continue
        first = int(np.clip(np.floor(ends[:, axis].min()), 0, shape[axis] - 1))
        last = int(np.clip(np.ceil(ends[:, axis].max()), first, shape[axis] - 1))
        result[axis] = slice(first, last + 1)
    return result
