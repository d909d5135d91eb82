"""How what was measured of layers is measured again when they have changed."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.jobs import has_changed, look_into, measured_of
from napari_tool_runner.widgets.parts.background import Latest, soon
from napari_tool_runner.widgets.parts.texts import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Measured
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["Looking", "again_buttons", "note_act", "what_changed"]

CHANGED = "The objects of “{}” have changed since they were measured{}."
_QUIET_MS = 200
"""So long nothing is told before objects are read."""

_acts: weakref.WeakKeyDictionary[
    Measured, tuple[weakref.WeakMethod[Callable[..., object]], tuple[object, ...]]
] = weakref.WeakKeyDictionary()


class Looking(QObject):
    """Reads, beside the window, whether layers have the objects that were measured."""

    looked = Signal()
    """`has_changed` knows it now."""

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: Sequence[object] = ()
        self._slices: weakref.WeakKeyDictionary[object, object] = weakref.WeakKeyDictionary()
        self._soon = soon(self._look, _QUIET_MS, self)
        self._reading = Latest(self)
        self._reading.done.connect(self._take)

    def follow(self, layers: Sequence[object]) -> None:
        """Look at these from now on; at once where only that tells what was measured."""
        self._layers = layers
        if any(one.is_unsure for layer in layers for one in measured_of(layer)):
            self._soon.start()

    def know(self, layer: object) -> None:
        """Note which slice of a layer is drawn."""
        self._slices.setdefault(layer, self._slice())

    def drawn(self, layer: object) -> None:
        """Look soon, unless another slice of `layer` is drawn: then nobody wrote anything."""
        if self._slices.get(layer) == self._slice():
            self._soon.start()
        self._slices[layer] = self._slice()

    def _slice(self) -> object:
        dims = self._viewer.dims
        return dims.point, dims.order, dims.ndisplay

    def _look(self) -> None:
        self._reading.ask(look_into(self._layers))

    def _take(self, note: Callable[[], None]) -> None:
        note()
        self.looked.emit()


def note_act(layer: object, act: Callable[..., object], *given: object) -> None:
    """Remember that `act` on `given` does again what was measured last of `layer`.

    `act` is a method, whose owner is not kept by it; nothing `given` holds a layer.
    """
    measured = measured_of(layer)
    for one in measured:
        if one.job == measured[-1].job:
            _acts[one] = weakref.WeakMethod(act), given


def what_changed(layers: Iterable[object]) -> str:
    """Say which of `layers` have other objects than those that were measured; else nothing."""
    changed = next(filter(has_changed, layers), None)
    if changed is None:
        return ""
    measured = measured_of(changed)
    within = next(one.within for one in measured if one.has_changed(changed))
    told = f" in “{short(within)}”" if within and len(measured) > 1 else ""
    return CHANGED.format(short(str(getattr(changed, "name", changed))), told)


def again_buttons(*layers: object) -> tuple[Button, ...]:
    """Offer to measure again what changed since, if there is still who measured it."""
    for layer in layers:
        for one in measured_of(layer):
            stale = one.has_changed(layer) or one.is_resized(layer)
            if stale and one in _acts and _acts[one][0]() is not None:
                return (("Measure again", partial(_measure_again, one)),)
    return ()


def _measure_again(measured: Measured) -> None:
    reference, given = _acts[measured]
    act = reference()
    if act is not None:
        act(*given)
