"""Images brought onto the pixels of another one, when somebody asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import ExchangeError
from napari_tool_runner.exchange.geometry import (
    attributes_of,
    data_to_world,
    pixels_to_pixels,
    same_place,
    select,
)
from napari_tool_runner.exchange.handover import open_snapshot
from napari_tool_runner.exchange.knowing import with_known_axes
from napari_tool_runner.exchange.model import LOOKS, PIXELS, ArrayLike, Geometry, LoadedOutput
from napari_tool_runner.exchange.parts import spread
from napari_tool_runner.exchange.snapshots import snapshot
from napari_tool_runner.exchange.wanted import moments, shared_axes
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerSnapshot

__all__ = ["resample_onto"]

_BETWEEN = "differ in time: some frames of the second lie between frames of the first"


def resample_onto(image: object, reference: object) -> LoadedOutput:
    """Return an image or labels in the pixels of another image.

    Axes of space that both have get the places, sizes and number of pixels of `reference`. So does
    time, where no moment of the reference lies between frames of `image`; else time stays, and a
    note tells it. Channels and what only `image` has stay. Labels become those of the nearest
    pixel; images are interpolated linearly, and smoothed before where pixels become larger, with
    the Gaussian of “Rescale”: (times larger − 1) / 2 pixels. What lies outside of `image`, by half
    a pixel, is 0; next to a missing pixel (NaN) all is missing.

    Parameters
    ----------
    image, reference : layer, array, LayerData tuple or path
        Images or labels. A colour's samples are interpolated each by itself.

    Returns
    -------
    LoadedOutput
        The layer to be: ``viewer.add_layer(Layer.create(*result.as_layer_data_tuple()))``, or an
        input of ``run``. Of the type of `image`; `notes` say what was done.

    Raises
    ------
    ExchangeError
        One is no image, they share no axes of space, lie nowhere over each other, or differ only
        in moments that lie between frames.
    """
    mine, theirs = (_image(value) for value in (image, reference))
    rows, columns = shared_axes(mine.geometry, theirs.geometry)
    grid, lost = select(theirs.geometry, columns)
    own, mixed = select(mine.geometry, rows)
    if not rows or lost or mixed:
        raise _refusal(mine, theirs, "share no axes of space that stand for themselves")
    mine, timed = _at_moments(mine, theirs)
    if timed == _BETWEEN and same_place(own, grid) and own.shape == grid.shape:
        raise _refusal(mine, theirs, timed)
    matrix = pixels_to_pixels(grid, own)
    inside = _inside(own.shape, matrix, grid.shape)
    if not inside.any():
        raise _refusal(mine, theirs, "lie nowhere over each other")
    labels = mine.kind is LayerKind.LABELS or mine.pixels.dtype.kind == "b"
    result = _moved(mine.pixels, rows, matrix, inside, labels=labels)
    how = "the nearest pixel counts" if labels else "interpolated linearly"
    outside = "" if inside.all() else "; what lies outside of it is 0"
    who = (f"“{mine.name}”", f"“{theirs.name}”")
    told = [f"{who[0]} was brought onto the pixels of {who[1]}: {how}{outside}."]
    told += [f"{' and '.join(who)} {timed}."] if timed else []
    attributes = attributes_of(_placed(mine.geometry, rows, grid), told)
    kept = {name: mine.attributes[name] for name in LOOKS if name in mine.attributes}
    attributes |= {**kept, "name": f"{mine.name} on {theirs.name}"}
    attributes |= {"rgb": True} if mine.rgb else {}
    return LoadedOutput(result, mine.kind, attributes, tuple(told))


def _image(value: object) -> LayerSnapshot:
    snap = with_known_axes(open_snapshot(snapshot(value)))
    if snap.data is None or snap.kind not in PIXELS:
        raise ExchangeError(
            f"“{snap.name}” is no image that can be resampled.",
            hint="Give an image or labels: a layer, an array or a file.",
        )
    return snap


def _at_moments(mine: LayerSnapshot, theirs: LayerSnapshot) -> tuple[LayerSnapshot, str]:
    """Return a movie with the frames of `theirs`, and how they belong to each other.

    As it is where there is nothing to do, or where one of them lies between its frames. A frame
    that it does not have is 0.
    """
    at, own = moments(mine.geometry, theirs.geometry), mine.geometry
    count = 0 if at is None else own.shape[own.axes.index("T")]
    if at is None or np.array_equal(at, np.arange(count)):
        return mine, ""
    axis, frames = own.axes.index("T"), np.rint(at).astype(int)
    inside = (frames >= 0) & (frames < count)
    if not inside.any():
        raise _refusal(mine, theirs, "lie nowhere over each other in time")
    if (np.abs(at - frames)[inside] > 0.05).any():
        return mine, _BETWEEN
    sizes = list(mine.pixels.shape)
    sizes[axis] = len(frames)
    result, here = np.zeros(sizes, mine.pixels.dtype), (slice(None),) * axis
    for to, frame in enumerate(frames):
        if inside[to]:
            result[(*here, slice(to, to + 1))] = mine.pixels[(*here, slice(frame, frame + 1))]
    time, scale, start = theirs.geometry.axes.index("T"), [*own.scale], [*own.translate]
    units, world = [*own.units], data_to_world(select(theirs.geometry, [time])[0])
    scale[axis], start[axis], units[axis] = world[0, 0], world[0, 1], theirs.geometry.units[time]
    place = replace(own, scale=tuple(scale), translate=tuple(start), units=tuple(units))
    shape = (*own.shape[:axis], len(frames), *own.shape[axis + 1 :])
    lacking = "" if inside.all() else "; frames that the first does not have are 0"
    told = f"are brought together in time: each frame goes to its moment{lacking}"
    return replace(mine, data=result, geometry=replace(place, shape=shape), multiscale=False), told


def _refusal(mine: LayerSnapshot, theirs: LayerSnapshot, what: str) -> ExchangeError:
    return ExchangeError(
        f"“{mine.name}” and “{theirs.name}” {what}; nothing was resampled.",
        hint="Look at the axes, scale and translate of both layers.",
    )


def _moved(
    pixels: ArrayLike, rows: list[int], matrix: np.ndarray, inside: np.ndarray, *, labels: bool
) -> np.ndarray:
    """Return pixels brought along the axes `rows` onto the grid of `inside`, part by part."""
    sizes = list(pixels.shape)
    for row, size in zip(rows, inside.shape, strict=True):
        sizes[row] = size
    result = np.zeros(sizes, pixels.dtype)
    rest = [axis for axis in range(result.ndim) if axis not in rows]
    moved = _moved_labels if labels else _moved_image
    for index in np.ndindex(*(result.shape[axis] for axis in rest)):
        at = [slice(None)] * result.ndim
        for axis, step in zip(rest, index, strict=True):
            at[axis] = slice(step, step + 1)
        part = np.asarray(pixels[tuple(at)])
        plane = part.reshape([part.shape[row] for row in rows])
        found = np.where(inside, moved(plane, matrix, inside.shape), 0)
        result[tuple(at)] = found.reshape(result[tuple(at)].shape)
    return result


def _moved_image(plane: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    work = plane
    if plane.dtype.kind != "c":
        work = plane.astype(np.float32 if plane.dtype.itemsize < 4 else float, copy=False)
    larger = np.linalg.norm(matrix[:-1, :-1], axis=1)  # pixels of the image in one of the result
    sigma = np.maximum(0, (larger - 1) / 2)
    if sigma.any():
        work = ndimage.gaussian_filter(work, sigma, mode="nearest")
    moved: np.ndarray = ndimage.affine_transform(
        work, matrix, output_shape=shape, order=1, mode="nearest"
    )
    if plane.dtype.kind in "iu":
        limits = np.iinfo(plane.dtype)
        full, top = moved >= float(limits.max), np.nextafter(float(limits.max), 0)
        whole = np.clip(np.rint(moved), limits.min, top).astype(plane.dtype)
        return np.where(full, limits.max, whole).astype(plane.dtype)  # 64 bits round up to 2^64
    return moved.astype(plane.dtype)


def _moved_labels(plane: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    if plane.dtype.kind in "iu" and plane.dtype.itemsize > 4 and plane.size:
        numbers, places = np.unique(plane, return_inverse=True)
        rows = places.astype(np.int32)  # interpolation has no numbers beyond 2^53
        return np.asarray(numbers[_moved_labels(rows.reshape(plane.shape), matrix, shape)])
    moved: np.ndarray = ndimage.affine_transform(
        plane, matrix, output_shape=shape, order=0, mode="nearest"
    )
    return moved


def _inside(size: tuple[int, ...], matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return which pixels of the result have their middle in a pixel of the image."""
    found = np.ones(shape, bool)
    for row, length in zip(matrix, size, strict=False):
        at = np.full((1,) * len(shape), row[-1])
        for axis, step in enumerate(row[:-1]):
            steps = step * np.arange(shape[axis])
            at = at + steps.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        found &= (at >= -0.5 - 1e-9) & (at <= length - 0.5 + 1e-9)
    return found


def _placed(own: Geometry, rows: list[int], grid: Geometry) -> Geometry:
    """Return the geometry of an image whose axes `rows` lie as those of `grid`."""
    place = spread(grid, own, rows)
    start = [place.translate[i] if i in rows else own.translate[i] for i in range(own.ndim)]
    return replace(place, axes=own.axes, labels=own.labels, translate=tuple(start))
