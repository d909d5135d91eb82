"""A change counter for layers, which napari does not have."""

from __future__ import annotations

import weakref
from typing import Protocol, cast

__all__ = ["change_counter"]

_EVENTS = (
    "data",
    "paint",
    "labels_update",
    "features",
    "properties",
    "reload",
    "refresh",
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "units",
)


class _Counter:
    """Counts events; holds no reference to its layer."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, event: object = None) -> None:
        self.count += 1


class _Emitter(Protocol):
    def connect(self, callback: _Counter) -> object: ...


_counters: weakref.WeakKeyDictionary[object, _Counter] = weakref.WeakKeyDictionary()


def change_counter(layer: object) -> int:
    """Return how many changes `layer` announced since it was first asked for.

    Events of its data and geometry count. Writing into a layer's array behind its
    back (``layer.data[0] = 1`` without ``layer.refresh()``) cannot be seen.
    """
    counter = _counters.get(layer)
    if counter is None:
        counter = _Counter()
        events = getattr(layer, "events", None)
        for name in _EVENTS:
            emitter = getattr(events, name, None)
            if emitter is not None and hasattr(emitter, "connect"):
                cast("_Emitter", emitter).connect(counter)
        _counters[layer] = counter
    return counter.count
