"""Whether what a tool makes of a part is that part of what it makes of the whole.

A statistic of the whole image (a threshold by its histogram) or an alignment makes it another
one. A descriptor may say so (``local="false"``); else it is measured: the results of a part and of
its middle are compared where they overlap, away from borders.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.tools.model import (
    DataParameter,
    FloatParameter,
    IntegerParameter,
    LayerKind,
)
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_tool_runner.exchange import LoadedOutput
    from napari_tool_runner.jobs.extent import Extent
    from napari_tool_runner.jobs.outputs import JobResult
    from napari_tool_runner.jobs.request import Request

__all__ = ["choices", "differ", "middle"]

_LEAST = 32
"""Pixels that a middle has along an axis at least."""
_SHARE, _CHANGE = 0.02, 0.02
"""More than this share of the pixels are changed by more than this share of their range."""


def choices(request: Request) -> Hashable:
    """Return what decides whether a tool is local: the tool, and all its values but numbers."""
    plain = (DataParameter, FloatParameter, IntegerParameter)
    values = leaves(request.tool.inputs, request.values)
    chosen = [(v.name, repr(v.value)) for v in values if not isinstance(v.parameter, plain)]
    return (request.tool.digest, *chosen)


def middle(request: Request) -> Extent | None:
    """Return the middle of the part that a request is of, half as long where that is cut.

    None: it is of no part, or of a small one.
    """
    extent, grid = request.extent, request.grid
    if extent is None or grid is None or not any(extent.crop):
        return None
    crop = extent.crop[-grid.ndim :]
    inner = tuple(
        one and (start + (stop - start) // 4, stop - (stop - start) // 4)
        for one, (start, stop) in zip(crop, extent.ranges(grid.shape), strict=True)
    )
    small = any(one and one[1] - one[0] < _LEAST for one in inner)
    return None if small else replace(extent, crop=inner)


def differ(whole: JobResult, whole_of: Request, part: JobResult, part_of: Request) -> bool:
    """Return whether pixels of two results differ where they overlap.

    Outputs whose pixels are not those of the input (of another size, tables) tell nothing.

    Parameters
    ----------
    whole_of, part_of : Request
        Say what parts the two are of, the second within the first.
    """
    ranges, inner = _ranges(whole_of), _ranges(part_of)
    sizes, small = ([stop - start for start, stop in one] for one in (ranges, inner))
    away = [size // 4 if size < full else 0 for size, full in zip(small, sizes, strict=True)]
    there = tuple(slice(a, n - a) for a, n in zip(away, small, strict=True))
    offset = [b - a for (a, _), (b, _) in zip(ranges, inner, strict=True)]
    here = tuple(slice(o + s.start, o + s.stop) for o, s in zip(offset, there, strict=True))
    for name, output in whole.outputs.items():
        one = output.loaded
        two = part.outputs[name].loaded if name in part.outputs else None
        if one is None or two is None or one.kind is not two.kind or not one.kind.is_pixels:
            continue
        shapes = [[*made.pixels.shape[: len(sizes)]] for made in (one, two)]
        if shapes == [sizes, small] and _changed(one, two, here, there):
            return True
    return False


def _ranges(request: Request) -> list[tuple[int, int]]:
    """Return first index and end along every axis of what is made of the part of a request."""
    extent, grid = request.extent, request.grid
    assert extent is not None, "only parts"
    assert grid is not None, "are compared"
    found = extent.ranges(grid.shape)
    for axis in extent.loop_axes(grid.shape, grid.axes):  # of the current slice
        at = extent.position[-grid.ndim :][axis]
        found[axis] = at, at + 1
    return found


def _changed(
    one: LoadedOutput, two: LoadedOutput, here: tuple[slice, ...], there: tuple[slice, ...]
) -> bool:
    a, b = np.asarray(one.pixels[here]), np.asarray(two.pixels[there])
    if one.kind is LayerKind.LABELS:  # their numbers depend on what else there is
        return bool(np.mean((a > 0) != (b > 0)) > _SHARE)
    a, b = a.astype(float), b.astype(float)
    span = float(np.ptp(a)) or 1.0
    with np.errstate(invalid="ignore"):  # what is missing in both is the same
        return bool(np.mean(np.abs(a - b) > _CHANGE * span) > _SHARE)
