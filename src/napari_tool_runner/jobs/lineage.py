"""Which layers were made of which, as this session knows it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

__all__ = ["highest_relative", "made_of", "note_made_of", "relatives"]

_made_of: weakref.WeakKeyDictionary[object, weakref.WeakSet[object]] = weakref.WeakKeyDictionary()
"""Layer -> all layers that it comes from, also through others, also those that were deleted."""


def note_made_of(layer: object, sources: Iterable[object]) -> None:
    """Note that `layer` was made of the layers `sources`."""
    _made_of[layer] = _roots(sources)


def made_of(layer: object, layers: Iterable[object]) -> list[object]:
    """Return those of `layers` that `layer` comes from, the latest first."""
    behind = _made_of.get(layer, ())
    return sorted(
        (one for one in layers if one in behind), key=lambda one: -len(_made_of.get(one, ()))
    )


def highest_relative(layers: Iterable[object], sources: Iterable[object]) -> int | None:
    """Return the place of the uppermost of `layers` that shares an origin with `sources`.

    None when there is none among them: the sources are files, or were deleted.
    """
    roots = _roots(sources)
    places = [place for place, layer in enumerate(layers) if _shares(layer, roots)]
    return places[-1] if places else None


def relatives(layer: object, layers: Iterable[object]) -> list[object]:
    """Return those of `layers` that share an origin with `layer`, and itself."""
    roots = _roots([layer])
    return [one for one in layers if _shares(one, roots)]


def _shares(layer: object, roots: weakref.WeakSet[object]) -> bool:
    return layer in roots or not roots.isdisjoint(_made_of.get(layer, ()))


def _roots(sources: Iterable[object]) -> weakref.WeakSet[object]:
    """Return `sources` and all that they come from."""
    found: weakref.WeakSet[object] = weakref.WeakSet()
    for source in sources:
        found.add(source)
        found.update(_made_of.get(source, ()))
    return found
