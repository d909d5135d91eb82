"""How many objects a result holds, which of them are specks, and what is still in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LoadedOutput

__all__ = ["Counted", "counted", "is_unnumbered", "least_size", "speck_words"]

_MOST = 2**26
"""Of so many pixels objects are counted: a second at most."""
_LOOKED_AT = 2**22
"""Pixels of a layer that are looked at while a person waits."""
_SPECK = 20
"""A speck is so many times smaller than the objects that most pixels belong to."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many objects there are.

    Parameters
    ----------
    specks : int
        How many of them are much smaller than those that most pixels belong to.
    least : int
        Pixels that an object has at least that is no speck.
    unnumbered : bool
        They are pieces of a mask that lie apart and have one number.
    """

    count: int
    specks: int = 0
    least: int = 0
    unnumbered: bool = False


def counted(loaded: LoadedOutput) -> Counted | None:
    """Return how many objects a result has; None: it has none, or too many pixels to be looked at.

    Labels are counted by their numbers, points and shapes one by one.
    """
    if loaded.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        return Counted(len(loaded.parts))
    if loaded.kind is not LayerKind.LABELS:
        return None
    pixels = loaded.pixels
    if not isinstance(pixels, np.ndarray) or not 0 < pixels.size <= _MOST:
        return None
    sizes = _sizes(pixels)
    if not len(sizes):
        return Counted(0)
    least = least_size(sizes)
    return Counted(len(sizes), int((sizes < least).sum()), least, is_unnumbered(pixels))


def least_size(sizes: np.ndarray) -> int:
    """Return how many pixels an object has at least that is no speck; `sizes` has one or more."""
    ordered = np.sort(sizes)
    summed = np.cumsum(ordered)
    typical = int(ordered[np.searchsorted(summed, summed[-1] / 2)])
    return -(-typical // _SPECK)


def speck_words(count: int, least: int) -> str:
    """Return how many objects are specks, for a person who was told how many objects there are."""
    words = "is a speck" if count == 1 else "are specks"
    return f"{count:,} of them {words} of less than {least:,} pixels."


def _sizes(pixels: np.ndarray) -> np.ndarray:
    """Return how many pixels each object has, in any order."""
    low, high = int(pixels.min()), int(pixels.max())
    if low >= 0 and high <= max(2**16, pixels.size):
        sizes = np.bincount(pixels.ravel().astype(np.intp, copy=False))[1:]
        return sizes[sizes > 0]
    numbers, found = np.unique(pixels, return_counts=True)
    counts: np.ndarray = found[numbers != 0]
    return counts


def is_unnumbered(pixels: np.ndarray) -> bool:
    """Whether labels are a mask: one number, and pieces of it lie apart in the middle plane."""
    plane = np.atleast_2d(middle_plane(pixels))
    values = plane[plane != 0]
    if not values.size or (values != values[0]).any():
        return False
    sample = pixels[:: -(-pixels.size // _LOOKED_AT)] if pixels.ndim else pixels
    if ((sample != 0) & (sample != values[0])).any():
        return False
    from scipy import ndimage  # most labels are numbered and need it not

    _, pieces = ndimage.label(plane != 0, np.ones((3,) * plane.ndim))
    return bool(pieces > 1)
