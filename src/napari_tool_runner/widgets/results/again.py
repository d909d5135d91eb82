"""What was measured of layers, and how it is measured again when they have changed."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.layers import Layer

    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["again_buttons", "has_changed", "note_measured", "size_changed"]


class _Measured:
    """How a layer was measured, in which pixel size, and whether it got other objects since."""

    def __init__(
        self, act: Callable[..., object], given: tuple[object, ...], size: tuple[object, ...]
    ) -> None:
        self.act, self.given, self.size = weakref.WeakMethod(act), given, size
        self.changed = False

    def heard(self, _: object = None) -> None:
        self.changed = True


_measured: weakref.WeakKeyDictionary[object, _Measured] = weakref.WeakKeyDictionary()


def note_measured(layer: Layer, act: Callable[..., object], *given: object) -> None:
    """Remember that `layer` was measured as it is, and that `act` on `given` does it again.

    `act` is a method, whose owner is not kept by it; nothing `given` holds a layer.
    """
    if layer in _measured:
        layer.events.data.disconnect(_measured[layer].heard)
    _measured[layer] = _Measured(act, given, _size(layer))
    layer.events.data.connect(_measured[layer].heard)


def has_changed(layer: object) -> bool:
    """Whether a layer was measured, and has other objects now."""
    return layer in _measured and _measured[layer].changed


def size_changed(layer: object) -> bool:
    """Whether a layer was measured, and has another pixel size now."""
    return layer in _measured and _measured[layer].size != _size(layer)


def again_buttons(layer: object) -> tuple[Button, ...]:
    """Offer to measure a layer that has changed since, if there is still who measured it."""
    changed = has_changed(layer) or size_changed(layer)
    if not changed or _measured[layer].act() is None:
        return ()
    return (("Measure again", partial(_measure_again, layer)),)


def _measure_again(layer: object) -> None:
    act = _measured[layer].act()
    if act is not None:
        act(*_measured[layer].given)


def _size(layer: object) -> tuple[object, ...]:
    return (*getattr(layer, "scale", ()), *map(str, getattr(layer, "units", ())))
