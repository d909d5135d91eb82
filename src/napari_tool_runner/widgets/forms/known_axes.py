"""What is known of the axes of open layers, also from the files behind them."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner.exchange import snapshot

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Geometry
    from napari_tool_runner.tools.model import Parameter

__all__ = ["asks_data", "axes_of", "geometry_of", "has_effect", "learn_axes"]

# layer without names -> the letters that the file behind it told
_told: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()


def axes_of(layer: object) -> str:
    """Return the letters of a layer's axes, as the form shows them; opens no file."""
    return geometry_of(layer).axes


def geometry_of(layer: object) -> Geometry:
    """Return the geometry of a layer, with the axes that the form shows."""
    own = snapshot(layer).geometry
    return own if own.labels else replace(own, axes=_told.get(layer, own.axes))


def learn_axes(layer: object, axes: str, *, guess: bool) -> None:
    """Keep what the axes of a layer are; what is only a guess changes nothing that is known."""
    if guess:
        _told.setdefault(layer, axes)
    else:
        _told[layer] = axes


def asks_data(parameter: Parameter) -> bool:
    """Whether the data decide if a parameter has an effect."""
    return bool(parameter.for_ndim or parameter.for_axes)


def has_effect(parameter: Parameter, value: object) -> bool:
    """Whether a parameter has one on a layer; of a file, or axes that nobody knows: yes."""
    ndim = getattr(value, "ndim", None)
    if ndim is None:
        return True
    if parameter.for_ndim and ndim not in parameter.for_ndim:
        return False
    if not parameter.for_axes:
        return True
    own = geometry_of(value)
    sizes = own.shape if len(own.shape) == len(own.axes) else (0,) * len(own.axes)
    long = [axis for axis, size in zip(own.axes, sizes, strict=True) if size != 1]
    return bool({"Q", *parameter.for_axes} & {*long})
