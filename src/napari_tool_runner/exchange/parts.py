"""Parts of layers: a slice or a crop goes in instead of the whole.

An index has an entry for every axis of the grid (the job's first image): an integer
picks one position and drops the axis, a slice (step 1) crops it.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import window
from napari_tool_runner.exchange.coordinates import rearranged
from napari_tool_runner.exchange.geometry import crop, embedded, for_file, select
from napari_tool_runner.exchange.model import PIXELS, Geometry
from napari_tool_runner.exchange.units import conversion, dimension
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_tool_runner.exchange.model import LayerSnapshot

__all__ = [
    "Index",
    "along_image",
    "coordinates_in_file_order",
    "counterparts",
    "cut",
    "file_axes",
    "matched_axes",
    "resized",
    "spread",
    "subsequence",
]

_LOST = "where in the input it was is not told: it is put at its first pixel."

Index: TypeAlias = "tuple[int | slice, ...]"


def cut(snap: LayerSnapshot, grid: Geometry, index: Index) -> LayerSnapshot:
    """Return the part of `snap` that lies at `index` of the grid; nothing is read.

    Axes are matched as `counterparts` says; pixels are cut along an axis where their size
    is the grid's, or where a single slice of the grid lies on one of theirs. Tracks, vectors,
    surfaces and tables pass whole.

    Parameters
    ----------
    grid : Geometry
        Geometry of the job's first image; its shape says how long the axes are.
    index : tuple
        One entry for each axis of `grid`.
    """
    if snap.data is None:
        return snap
    part = replace(snap, made_by="")  # no part is what the job made
    if snap.kind in PIXELS:
        return _cut_pixels(part, grid, index)
    if snap.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        return _cut_coordinates(part, grid, index)
    return snap


def counterparts(own: Geometry, other: Geometry) -> list[int]:
    """Return for each axis of `own` the axis of `other` that it lies along, -1: none.

    By name where both have names (a plane of pixels has rows and columns), so that channels and
    depth are never time; else counted from the last, as napari does.
    """
    mine, theirs = _names(own), _names(other)
    known = other.labels and (own.labels or (own.shape and own.ndim == 2))
    known = known and len({*mine}) == own.ndim and len({*theirs}) == other.ndim
    if known and ({*mine} <= {*theirs} or ({*mine} & {*theirs} and "Q" not in own.axes)):
        return [theirs.index(name) if name in theirs else -1 for name in mine]
    missing = other.ndim - own.ndim
    return [max(-1, i + missing) for i in range(own.ndim)]


def matched_axes(own: Geometry, reference: Geometry) -> list[int | None]:
    """Return for each own axis the axis of the reference, None where it is new."""
    if own.labels and "Q" not in own.axes and sorted(own.axes) == sorted(reference.axes):
        return [reference.axes.index(axis) for axis in own.axes]
    if own.shape == reference.shape:
        return list(range(own.ndim))
    foreign_channel = "C" in own.axes and "C" not in reference.axes
    if own.labels and "Q" not in own.axes and (reference.labels or foreign_channel):
        theirs = reference.axes
        by_letter = [theirs.index(axis) if axis in theirs else None for axis in own.axes]
        if any(index is not None for index in by_letter):
            return by_letter
    if own.ndim == reference.ndim:
        return list(range(own.ndim))
    if own.ndim < reference.ndim:
        by_size = subsequence(own.shape, reference.shape)
        return [*(by_size or range(reference.ndim - own.ndim, reference.ndim))]
    inverse = subsequence(reference.shape, own.shape)
    order = inverse or list(range(own.ndim - reference.ndim, own.ndim))
    return [order.index(i) if i in order else None for i in range(own.ndim)]


def subsequence(short: Sequence[int], long: Sequence[int]) -> list[int]:
    """Return where `short` lies in `long`, in order, aligned to the end; empty: nowhere."""
    found: list[int] = []
    position = len(long)
    for size in reversed(short):
        position -= 1
        while position >= 0 and long[position] != size:
            position -= 1
        if position < 0:
            return []
        found.insert(0, position)
    return found


def resized(
    part: Geometry, own: Geometry, order: Sequence[int], *, calibrated: bool
) -> tuple[Geometry, str]:
    """Scale by the ratio along spatial axes; a piece keeps the pixel size."""
    sizes = tuple(own.shape[i] for i in order)
    if not part.shape or sizes == part.shape:
        return part, ""
    ratios = {
        i: before / size
        for i, (size, before) in enumerate(zip(sizes, part.shape, strict=True))
        if size not in (0, before) and part.axes[i] in "ZYXQ"
    }
    alike = {i: _alike(own, order[i], part, i) for i in ratios} if calibrated else {}
    plane = [i for i, axis in enumerate(part.axes) if axis in "YXQ" and sizes[i]]
    if not calibrated and _in_other_proportions([(part.shape[i], sizes[i]) for i in plane]):
        alike = dict.fromkeys(ratios, True)
    if ratios and all(alike.get(i, False) for i in ratios):
        why = (
            ""
            if calibrated
            else "in other proportions and without a pixel size of its own: taken "
        )
        return (
            part,
            f"It is smaller or larger than the input, {why}at the same pixel size; {_LOST}",
        )
    steps = np.array([1.0 if alike.get(i) else ratios.get(i, 1.0) for i in range(part.ndim)])
    if np.all(steps == 1.0):
        return part, ""
    start = (steps - 1.0) / 2.0
    words = ", ".join(
        f"{axis} × {s:.4g}" for axis, s in zip(part.axes, steps, strict=True) if s != 1
    )
    unsure = "" if calibrated else " Its file says no pixel size; if it is a piece, set its scale."
    larger = crop(part, start.tolist(), sizes, steps.tolist())
    return larger, f"Resized: a pixel is {words} of the input's.{unsure}"


def _alike(own: Geometry, i: int, part: Geometry, k: int) -> bool:
    """Whether a pixel is as large along the axis `i` of one as along `k` of the other."""
    size = own.scale[i] * conversion(own.units[i], part.units[k])
    return bool(np.isclose(size, abs(part.scale[k]), rtol=1e-3))


def _in_other_proportions(plane: Sequence[tuple[int, int]]) -> bool:
    """Whether sizes before and after tell a piece: no factor of all, no whole one of each, fits.

    A program rounds a size up or down.
    """
    if any(size > before for before, size in plane):
        return False
    low = max((before / (size + 1) for before, size in plane), default=0.0)
    high = min((before / max(size - 1, 0.5) for before, size in plane), default=0.0)
    whole = all(
        (k := round(before / size)) < 5 and size in (before // k, -(-before // k))
        for before, size in plane
    )
    return low > high and not whole


def spread(part: Geometry, own: Geometry, order: Sequence[int]) -> Geometry:
    """Return `part` spread over the axes `order` of `own`; other axes are new."""
    n = own.ndim
    scale, units, axes = list(own.scale), list(own.units), list(own.axes)
    translate = [0.0] * n
    labels = list(own.labels) if own.labels else [""] * n
    for k, i in enumerate(order):
        scale[i], translate[i] = part.scale[k], part.translate[k]
        units[i], axes[i] = part.units[k], part.axes[k]
        if part.labels:
            labels[i] = part.labels[k]
    for i, axis in enumerate(axes):  # letters stay unique
        if i not in order and axis in [axes[k] for k in order]:
            axes[i] = next((a for a in "CTZQ" if a not in axes), "Q")
    named = part.labels and all(labels[i] or axes[i] != "Q" for i in range(n))
    return Geometry(
        axes="".join(axes),
        shape=own.shape,
        scale=tuple(scale),
        translate=tuple(translate),
        linear=embedded(part.linear, n, order),
        affine=embedded(part.affine, n + 1, [*order, n]),
        units=tuple(units),
        labels=tuple(label or axes[i].lower() for i, label in enumerate(labels)) if named else (),
    )


def _names(geometry: Geometry) -> list[str]:
    """Return the letter of each axis; of one that nobody knows, its word."""
    words = geometry.labels or geometry.axes
    return [w if axis == "Q" else axis for axis, w in zip(geometry.axes, words, strict=True)]


def _aligned(own: Geometry, grid: Geometry, index: Index) -> list[tuple[int, int | slice]]:
    """Return the size of the grid and the entry of `index` for each axis of a layer."""
    there = counterparts(own, grid)
    return [(grid.shape[i], index[i]) if i >= 0 else (0, slice(None)) for i in there]


def _cut_pixels(snap: LayerSnapshot, grid: Geometry, index: Index) -> LayerSnapshot:
    array = snap.pixels
    picked = [
        range(size)[_index_along(snap.geometry, axis, grid, other, index)]
        for axis, (size, other) in enumerate(
            zip(snap.geometry.shape, counterparts(snap.geometry, grid), strict=True)
        )
    ]
    ranges = [p if isinstance(p, range) else range(p, p + 1) for p in picked]
    kept = [axis for axis, p in enumerate(picked) if isinstance(p, range)]
    whole = crop(snap.geometry, [part.start for part in ranges], [*map(len, ranges)])
    samples = range(len(ranges), len(array.shape))  # of RGB
    ranges += [range(array.shape[axis]) for axis in samples]
    return replace(
        snap,
        data=window(array, ranges, [*kept, *samples]),
        geometry=select(whole, kept)[0],
        behind=snap.behind and select(snap.behind, kept)[0],
        multiscale=False,
        path=None,
        key=f"{snap.key}{index}",
    )


def _index_along(
    own: Geometry, axis: int, grid: Geometry, other: int, index: Index
) -> int | slice:
    """Return what of an axis of pixels goes with the grid's axis `other` (-1: none) at `index`.

    Where their sizes differ: what lies in the place of a single slice, if the axes have names and
    none lies askew; else all of it.
    """
    whole = slice(None)
    if other < 0:
        return whole
    entry = index[other]
    if own.shape[axis] == grid.shape[other]:
        return entry
    askew = own.affine is not None or grid.affine is not None
    if isinstance(entry, slice) or askew or not (own.labels and grid.labels):
        return whole
    place = grid.translate[other] + grid.scale[other] * entry
    at = (place - own.translate[axis]) / own.scale[axis]
    found = round(at)
    is_there = 0 <= found < own.shape[axis] and abs(at - found) < 1e-3
    return found if is_there and own.units[axis] == grid.units[other] else whole


def _cut_coordinates(snap: LayerSnapshot, grid: Geometry, index: Index) -> LayerSnapshot:
    """Return the points or shapes of a part; a shape lies in the slice of its middle."""
    import pandas as pd

    shapes, n = snap.kind is LayerKind.SHAPES, snap.geometry.ndim
    lows = middles = highs = np.asarray([] if shapes else snap.data, float).reshape(-1, n)
    if shapes:
        lows, middles, highs = (
            np.array([of(one, axis=0) for one in snap.parts], float).reshape(-1, n)
            for of in (np.min, np.mean, np.max)
        )
    keep = np.ones(len(middles), bool)
    start = np.zeros(n)
    kept: list[int] = []
    for axis, (length, entry) in enumerate(_aligned(snap.geometry, grid, index)):
        if not isinstance(entry, slice):
            keep &= np.round(middles[:, axis]) == entry
            continue
        kept.append(axis)
        if entry != slice(None):
            low, high, _ = entry.indices(length)
            # a pixel reaches half a step to both sides of its index
            keep &= (highs[:, axis] >= low - 0.5) & (lows[:, axis] < high - 0.5)
            start[axis] = low
    attributes = dict(snap.attributes)
    for name, value in attributes.items():  # one of each
        if isinstance(value, pd.DataFrame) and len(value) == len(keep):
            attributes[name] = value.loc[keep].reset_index(drop=True)
        elif isinstance(value, dict) and name == "features":
            attributes[name] = {k: column[keep] for k, column in snap.features(len(keep)).items()}
        elif isinstance(value, np.ndarray) and value.shape[:1] == keep.shape:
            attributes[name] = value[keep]
        elif isinstance(value, list) and len(value) == len(keep):
            attributes[name] = [*itertools.compress(value, keep)]
    moved = crop(snap.geometry, start.tolist(), [0] * n)
    data: object = (middles[keep] - start)[:, kept]
    if shapes:
        data = [(one - start)[:, kept] for one in itertools.compress(snap.parts, keep)]
    return replace(
        snap,
        data=data,
        geometry=select(replace(moved, shape=()), kept)[0],
        behind=snap.behind and select(replace(snap.behind, shape=()), kept)[0],
        path=None,
        attributes=attributes,
        key=f"{snap.key}{index}",
    )


def along_image(snap: LayerSnapshot, reference: LayerSnapshot) -> tuple[Geometry, list[int]]:
    """Return the axes of an image that coordinates lie along, in their order, and which these are.

    An axis that the image has not is as the coordinates have it, -1. Tracks have time first:
    where the image has not, they are T, Z, Y, X.
    """
    own, theirs = replace(snap.geometry, shape=()), reference.geometry
    first = theirs.axes[: theirs.ndim - own.ndim + 1][-1:]
    if snap.kind is LayerKind.TRACKS and own.ndim in (3, 4) and not own.labels and first != "T":
        axes = "TZYX" if own.ndim == 4 else "TYX"
        own = replace(own, axes=axes, labels=tuple(axes.lower()))
    there = counterparts(own, theirs)
    paired = [i for i, place in enumerate(there) if place >= 0]
    part = select(theirs, [there[i] for i in paired])[0]
    return (spread(part, own, paired) if len(paired) < own.ndim else part), there


def file_axes(snap: LayerSnapshot, reference: LayerSnapshot | None) -> tuple[Geometry, list[int]]:
    """Return the axes of coordinates as they are written: those of the image in its file.

    Returns
    -------
    (Geometry, list of int): which axis of `snap` each is; -1: it has none.
    """
    ndim = snap.geometry.ndim
    if reference is None or not reference.geometry.axes:
        return for_file(replace(snap.geometry, shape=()))
    grid, there = along_image(snap, reference)
    grid = replace(grid, shape=())
    written, places = for_file(reference.geometry)
    if -1 in places or -1 in there or snap.kind is LayerKind.TRACKS:  # these are T, Z, Y, X
        return for_file(grid)
    order = sorted(range(ndim), key=lambda i: places.index(there[i]))
    axes = "".join(written.axes[places.index(there[i])] for i in order)
    return replace(select(grid, order)[0], axes=axes), order


def coordinates_in_file_order(
    snap: LayerSnapshot, reference: LayerSnapshot | None
) -> tuple[LayerSnapshot, str]:
    """Return coordinates with their axes as `file_axes` says, and letters of these.

    The letters are empty where nobody says what the axes are.
    """
    geometry, order = file_axes(snap, reference)
    known = geometry.labels or "time" in map(dimension, geometry.units)
    axes = geometry.axes if known else ""
    if order == list(range(snap.geometry.ndim)):
        return snap, axes
    return replace(snap, data=rearranged(snap.data, snap.kind, order), geometry=geometry), axes
