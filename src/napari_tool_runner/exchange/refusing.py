"""What cannot go into an input: the form says it before a run, a job before its program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.axes import in_words
from napari_tool_runner.exchange.blocks import middle_plane
from napari_tool_runner.exchange.geometry import for_file
from napari_tool_runner.exchange.wanted import wants_objects
from napari_tool_runner.tools.model import DataParameter, LayerKind, Likeness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_tool_runner.exchange.model import ArrayLike, Geometry

__all__ = ["refused", "refused_beside"]

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


def refused_beside(
    parameter: DataParameter,
    name: str,
    own: Geometry,
    other: str,
    theirs: Geometry,
    *,
    cut: bool = False,
) -> str:
    """Return a sentence when an image is not like the one of another input, else none.

    Axes of one step do not count.

    Parameters
    ----------
    other : str
        The name of the image `theirs`.
    cut : bool
        Whether the tool gets slices: then only axes that both have tell that they differ.
    """
    mine, rest = _long(own), _long(theirs)
    sizes, others, along_rest = [size for _, size in mine], [size for _, size in rest], dict(rest)
    shared = [(size, along_rest[axis]) for axis, size in mine if axis in along_rest]
    known = "Q" not in {axis for axis, _ in (*mine, *rest)}
    both = len(shared) == len(mine)
    if parameter.likeness is Likeness.AXES:
        fits = both if cut else len(mine) == len(rest) and (both or not known)
        wanted = "take images with the same axes"
    elif cut:
        # where the other one has a single step, that slice is taken of this one
        meet = all(axis in along_rest or axis in theirs.axes for axis, _ in mine)
        fits, wanted = meet and all(a == b for a, b in shared), "take images of one size"
    elif parameter.likeness is Likeness.PART:
        last = zip(sizes[::-1], others[::-1], strict=False)
        along = shared if both else last
        fits = len(mine) <= len(rest) and all(a in (b, 1) for a, b in along)
        wanted = "take one of that size, or a plane of it"
    else:
        fits, wanted = sizes == others, "take images of one size"
    if fits:
        return ""
    each = ", or work on each slice" if not cut and len(mine) != len(rest) else ""
    return f"“{name}” is {_sizes(mine)} and “{other}” {_sizes(rest)}: {wanted}{each}."


def _long(geometry: Geometry) -> list[tuple[str, int]]:
    """Return the axes that a file of pixels shows, each with its size."""
    told = for_file(geometry)[0]
    both = zip(told.axes, told.shape, strict=True)
    return [(axis, size) for axis, size in both if size != 1 or axis in "YX"]


def _sizes(axes: list[tuple[str, int]]) -> str:
    names = in_words(axis for axis, _ in axes)
    return f"{' × '.join(str(size) for _, size in axes)} ({names})"


def _has_fractions(array: ArrayLike, *, whole: bool) -> bool:
    """Whether values are none that objects could have, in five parts of 512 × 512 or in all."""
    parts: Iterable[np.ndarray] = (middle_plane(array, at) for at in _PLACES)
    if whole and isinstance(array, np.ndarray):
        parts = array
    return any(
        part.dtype.kind == "c" or not (np.abs(part) < _LARGEST).all() or (part % 1).any()
        for part in parts
    )
