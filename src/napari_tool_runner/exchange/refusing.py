"""What cannot go into an input: the form says it before a run, a job before its program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.wanted import wants_objects
from napari_tool_runner.tools.model import DataParameter, LayerKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_tool_runner.exchange.model import ArrayLike

__all__ = ["refused"]

_PLACES = (0.5, 0.25, 0.75, 0.0, 1.0)
_LARGEST = 2**31
"""Objects have smaller numbers, of those that are given with a decimal point."""


def refused(
    parameter: DataParameter,
    kind: LayerKind,
    array: ArrayLike | None,
    name: str,
    *,
    rgb: bool,
    whole: bool = False,
) -> str:
    """Return a sentence when pixels cannot go into `parameter`, else none.

    Parameters
    ----------
    array : ArrayLike or None
        The pixels: their size, and of those in memory some values; None: they are not known.
    whole : bool
        Look at all values that are in memory, and at some of others: it takes time.
    """
    objects = wants_objects(parameter)
    if array is not None and 0 in array.shape:
        size = " × ".join(map(str, array.shape))
        return f"“{name}” has no pixels: its size is {size}. Choose another layer."
    if rgb and objects:
        return f"“{name}” is a colour picture, not objects: choose a channel, and threshold that."
    if rgb and not parameter.rgb:
        return f"“{name}” is a colour picture, and the tool takes one channel of it: choose one."
    if array is None or kind is not LayerKind.IMAGE or not objects:
        return ""
    looked_at = whole or isinstance(array, np.ndarray)
    if looked_at and array.dtype.kind in "fc" and _has_fractions(array, whole=whole):
        return f"“{name}” has fractions, and objects have whole numbers: threshold it first."
    return ""


def _has_fractions(array: ArrayLike, *, whole: bool) -> bool:
    """Whether values are none that objects could have, in five parts of 512 × 512 or in all."""
    parts: Iterable[np.ndarray] = (middle_plane(array, at) for at in _PLACES)
    if whole and isinstance(array, np.ndarray):
        parts = array
    return any(
        part.dtype.kind == "c" or not (np.abs(part) < _LARGEST).all() or (part % 1).any()
        for part in parts
    )
