"""Which axes an input needs, and whether data have them: said before a program starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_tool_runner.exchange.axes import in_words, outer_axes

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Geometry
    from napari_tool_runner.tools.model import DataParameter

__all__ = [
    "any_of",
    "can_drop",
    "refused_axes",
    "slices_of",
    "taken_dimensions",
    "takes",
    "wanted_axes",
]

_MEANT = {"T": "time", "Z": "depth", "C": "channels"}
_WITH = {"T": "a movie", "Z": "a stack"}


def taken_dimensions(parameter: DataParameter) -> tuple[int, ...]:
    """Return the numbers of axes that an input takes; empty: any."""
    return parameter.ndim or ((len(parameter.axes),) if parameter.axes else ())


def takes(parameter: DataParameter, ndim: int) -> bool:
    """Whether an input takes data of so many axes as they are."""
    return ndim in (parameter.ndim or (ndim,))


def wanted_axes(parameter: DataParameter, own: Geometry) -> str:
    """Return the axes that data are to have; empty: as they are.

    Where an input takes several numbers of axes, data may lack some of those that it names.
    """
    axes = parameter.axes.upper()
    fewer = own.ndim < len(axes) and own.ndim in parameter.ndim
    return "".join(axis for axis in axes if axis in own.axes) if fewer else axes


def _taken_of(parameter: DataParameter, axes: str) -> int:
    """Return how many of `axes` an input takes at once: those that it names, else all."""
    named = parameter.axes.upper() or axes
    return sum(axis in named or axis == "Q" for axis in axes)


def slices_of(parameter: DataParameter, axes: str) -> tuple[list[int], bool]:
    """Return along which of `axes` data are cut for an input, and whether they have to be."""
    taken, ndim, most = taken_dimensions(parameter), len(axes), _taken_of(parameter, axes)
    inner = max((n for n in taken if 2 <= n <= min(most, ndim - 1)), default=0) if taken else 2
    outer = outer_axes(axes, inner) if 0 < inner < ndim else []
    if any(axes[i] in parameter.needs for i in outer):
        outer = []
    return outer, bool(taken) and (ndim not in taken or most < ndim)


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
    sliced = cut and any(n <= _taken_of(parameter, geometry.axes) for n in taken)
    if known and not sliced and not set(long) <= set(parameter.axes):
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
