"""How much of what an image shows is noise."""

from __future__ import annotations

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import middle_plane

__all__ = ["MEDIAN_OF_NORMAL", "is_noisy", "noise_share"]

_NOISY = 0.05
"""Of the contrast. The samples that fall into specks have 0.07 to 0.26, photographs below 0.02."""
_CLASSES = 256
MEDIAN_OF_NORMAL = 0.6745
"""The median of what a normal distribution of width 1 deviates."""
_WHOLE = 2**20
"""Pixels of a plane that are looked at while a person waits; of a larger one parts are."""
_PARTS, _SIDE = 4, 256
"""Parts along each axis, and pixels along a side of one."""


def is_noisy(pixels: np.ndarray) -> bool:
    """Whether a threshold would follow the noise of an image."""
    return noise_share(pixels) > _NOISY


def noise_share(pixels: np.ndarray) -> float:
    """Return the noise in the middle plane as a share of the contrast; 0 where it has none.

    The noise is what a difference of two Laplacians leaves of an image (J. Immerkær, Fast noise
    variance estimation, 1996, doi:10.1006/cviu.1996.0060), by the median, which edges and texture
    hardly move. The contrast lies between the means of the two classes that Otsu's threshold
    makes (1979, doi:10.1109/TSMC.1979.4310076).
    """
    plane = np.atleast_2d(middle_plane(pixels))
    if plane.ndim != 2 or min(plane.shape) < 3 or plane.dtype.kind not in "iuf":
        return 0.0
    parts = [one.astype(float) for one in _parts(plane)]
    if not all(np.isfinite(one).all() for one in parts):
        return 0.0
    left = np.concatenate([_fourth_differences(one).ravel() for one in parts])
    # by the root of the sum of the squares of what is added and taken
    noise = float(np.median(np.abs(left))) / MEDIAN_OF_NORMAL / 6
    contrast = _contrast(np.concatenate([one.ravel() for one in parts]))
    return noise / contrast if contrast else 0.0


def _parts(plane: np.ndarray) -> list[np.ndarray]:
    """Return a plane, or parts from all over it, each of 3 pixels along a side or more."""
    if plane.size <= _WHOLE:
        return [plane]
    rows, columns = (
        np.unique(np.linspace(0, max(0, size - _SIDE), _PARTS, dtype=int)) for size in plane.shape
    )
    return [plane[y : y + _SIDE, x : x + _SIDE] for y in rows for x in columns]


def _fourth_differences(plane: np.ndarray) -> np.ndarray:
    rows = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    left: np.ndarray = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return left


def _contrast(values: np.ndarray) -> float:
    """Return how far the means of the two classes lie apart that differ most."""
    counts, edges = np.histogram(values, _CLASSES)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = counts.cumsum()[:-1], counts[::-1].cumsum()[::-1][1:]
    summed = (counts * middles).cumsum()
    dark = summed[:-1] / np.maximum(below, 1)
    bright = (summed[-1] - summed[:-1]) / np.maximum(above, 1)
    apart = bright - dark
    return float(apart[np.argmax(below * above * apart**2)])
