"""Images brought onto the pixels of another one, when somebody asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import ExchangeError
from napari_tool_runner.exchange.geometry import attributes_of, pixels_to_pixels, select
from napari_tool_runner.exchange.handover import open_snapshot
from napari_tool_runner.exchange.knowing import with_known_axes
from napari_tool_runner.exchange.model import PIXELS, Geometry, LoadedOutput
from napari_tool_runner.exchange.parts import spread
from napari_tool_runner.exchange.snapshots import snapshot
from napari_tool_runner.exchange.wanted import shared_axes
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerSnapshot

__all__ = ["resample_onto"]

_LOOKS = ("colormap", "contrast_limits")

_EXACT = 2**53  # whole numbers beyond are not all numbers of the interpolation


def resample_onto(image: object, reference: object) -> LoadedOutput:
    """Return an image or labels in the pixels of another image.

    Axes of space that both have get the places, sizes and number of pixels of `reference`; time,
    channels and what only `image` has stay. Labels become those of the nearest pixel; images are
    interpolated linearly, and smoothed before where pixels become larger, with the Gaussian of
    “Rescale”: (times larger − 1) / 2 pixels. What lies outside of `image`, by half a pixel, is 0;
    next to a missing pixel (NaN) all is missing.

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
        One is no image, they share no axes of space or lie nowhere over each other.
    """
    mine, theirs = (_image(value) for value in (image, reference))
    rows, columns = shared_axes(mine.geometry, theirs.geometry)
    grid, lost = select(theirs.geometry, columns)
    own, mixed = select(mine.geometry, rows)
    if not rows or lost or mixed:
        raise _refusal(mine, theirs, "share no axes of space that stand for themselves")
    matrix = pixels_to_pixels(grid, own)
    sizes = list(mine.pixels.shape)
    for row, size in zip(rows, grid.shape, strict=True):
        sizes[row] = size
    result = np.zeros(sizes, mine.pixels.dtype)
    rest = [axis for axis in range(result.ndim) if axis not in rows]
    labels = mine.kind is LayerKind.LABELS or mine.pixels.dtype.kind == "b"
    inside = _inside(own.shape, matrix, grid.shape)
    if not inside.any():
        raise _refusal(mine, theirs, "lie nowhere over each other")
    moved = _moved_labels if labels else _moved_image
    for index in np.ndindex(*(result.shape[axis] for axis in rest)):
        at = [slice(None)] * result.ndim
        for axis, step in zip(rest, index, strict=True):
            at[axis] = slice(step, step + 1)
        plane = np.asarray(mine.pixels[tuple(at)]).reshape(own.shape)
        found = np.where(inside, moved(plane, matrix, grid.shape), 0)
        result[tuple(at)] = found.reshape(result[tuple(at)].shape)
    how = "the nearest pixel counts" if labels else "interpolated linearly"
    outside = "" if inside.all() else "; what lies outside of it is 0"
    note = f"“{mine.name}” was brought onto the pixels of “{theirs.name}”: {how}{outside}."
    told = [note]
    attributes = attributes_of(_placed(mine.geometry, rows, grid), told)
    kept = {name: mine.attributes[name] for name in _LOOKS if name in mine.attributes}
    attributes |= {**kept, "name": f"{mine.name} on {theirs.name}"}
    if mine.rgb:
        attributes["rgb"] = True
    return LoadedOutput(result, mine.kind, attributes, tuple(told))


def _image(value: object) -> LayerSnapshot:
    snap = with_known_axes(open_snapshot(snapshot(value)))
    if snap.data is None or snap.kind not in PIXELS:
        raise ExchangeError(
            f"“{snap.name}” is no image that can be resampled.",
            hint="Give an image or labels: a layer, an array or a file.",
        )
    return snap


def _refusal(mine: LayerSnapshot, theirs: LayerSnapshot, what: str) -> ExchangeError:
    return ExchangeError(
        f"“{mine.name}” and “{theirs.name}” {what}; nothing was resampled.",
        hint="Look at the axes, scale and translate of both layers.",
    )


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
        moved = np.clip(np.rint(moved), limits.min, limits.max)
    return moved.astype(plane.dtype)


def _moved_labels(plane: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    if plane.dtype.kind in "iu" and plane.size and int(plane.max()) > _EXACT:
        numbers, places = np.unique(plane, return_inverse=True)
        return np.asarray(numbers[_moved_labels(places.reshape(plane.shape), matrix, shape)])
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
