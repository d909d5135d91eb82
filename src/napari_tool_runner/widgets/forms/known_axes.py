"""What is known of the axes of open layers, also from the files behind them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari_tool_runner.exchange import snapshot

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["axes_of", "learn_axes"]

# layer without names -> the letters that the file behind it told
_told: weakref.WeakKeyDictionary[Layer, str] = weakref.WeakKeyDictionary()


def axes_of(layer: Layer) -> str:
    """Return the letters of a layer's axes, as the form shows them; opens no file."""
    own = snapshot(layer).geometry
    return own.axes if own.labels else _told.get(layer, own.axes)


def learn_axes(layer: Layer, axes: str, *, guess: bool) -> None:
    """Keep what the axes of a layer are; what is only a guess changes nothing that is known."""
    if guess:
        _told.setdefault(layer, axes)
    else:
        _told[layer] = axes
