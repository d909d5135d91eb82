"""How what was measured of layers is measured again when they have changed."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.jobs import has_changed, measured_of
from napari_tool_runner.widgets.parts.texts import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_tool_runner.jobs import Measured
    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["again_buttons", "note_act", "what_changed"]

CHANGED = "The objects of “{}” have changed since they were measured{}."

_acts: weakref.WeakKeyDictionary[
    Measured, tuple[weakref.WeakMethod[Callable[..., object]], tuple[object, ...]]
] = weakref.WeakKeyDictionary()


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
