"""Which axes an input needs, and whether data have them: said before a program starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_tool_runner.exchange.axes import in_words

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Geometry
    from napari_tool_runner.tools.model import DataParameter

__all__ = ["any_of", "can_drop", "refused_axes", "taken_dimensions"]

_MEANT = {"T": "time", "Z": "depth", "C": "channels"}
_WITH = {"T": "a movie", "Z": "a stack"}


def taken_dimensions(parameter: DataParameter) -> tuple[int, ...]:
    """Return the numbers of axes that an input takes; empty: any."""
    return parameter.ndim or ((len(parameter.axes),) if parameter.axes else ())


def can_drop(parameter: DataParameter, shape: Sequence[int]) -> bool:
    """Whether data of `shape` fit when some of their axes of size 1 go."""
    single = sum(size == 1 for size in shape)
    return any(len(shape) - single <= n < len(shape) for n in taken_dimensions(parameter))


def refused_axes(
    parameter: DataParameter, name: str, geometry: Geometry, *, pixels: bool, cut: bool = False
) -> str:
    """Return a sentence when data have not the axes that `parameter` needs, else none.

    Parameters
    ----------
    pixels : bool
        An image or labels; of coordinates only names say what their axes are.
    cut : bool
        Whether the tool may get slices: then more axes than it takes are no reason.
    """
    taken, ndim = taken_dimensions(parameter), geometry.ndim
    if taken and ndim not in taken and not can_drop(parameter, geometry.shape):
        if ndim < min(taken):
            return _too_flat(parameter, name, ndim, pixels=pixels)
        if not (cut and pixels):
            axes = in_words(geometry.axes)
            return f"“{name}” has {ndim} dimensions ({axes}), and the tool takes {any_of(taken)}."
        return ""
    if not (pixels or geometry.labels):
        return ""
    unknown = "Q" in geometry.axes  # it may be any
    lacking = [one for one in parameter.needs if one not in geometry.axes and not unknown]
    has = f"“{name}” has the axes {in_words(geometry.axes)}"
    if lacking:
        which = " and no ".join(_MEANT.get(one, one) for one in lacking)
        return f"{has} and no {which}, which the tool needs: take another, or name its axes."
    long = [axis for axis, size in zip(geometry.axes, geometry.shape, strict=False) if size != 1]
    known = pixels and parameter.axes and geometry.labels and ndim in taken
    if known and not set(long) <= set(parameter.axes):
        wanted = in_words(parameter.axes)
        return f"{has}, and the tool takes {wanted}: take another, or name its axes."
    return ""


def _too_flat(parameter: DataParameter, name: str, ndim: int, *, pixels: bool) -> str:
    taken = taken_dimensions(parameter)
    if pixels and ndim == 2:
        usual = "a stack or a movie" if min(taken) == 3 else f"{any_of(taken)} dimensions"
        needed = " and ".join(_WITH[one] for one in parameter.needs if one in _WITH) or usual
        return f"“{name}” is one plane, and the tool needs {needed}."
    time = " (time is one)" if "T" in parameter.needs else ""
    return f"“{name}” has {ndim} dimensions, and the tool needs {any_of(taken)}{time}."


def any_of(numbers: Sequence[int]) -> str:
    """Return numbers for a sentence: ``2, 3 or 4``."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} or {last}" if first else last
