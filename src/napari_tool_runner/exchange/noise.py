"""How much of what an image shows is noise."""

from __future__ import annotations

import numpy as np

from napari_tool_runner.exchange.blocks import middle_plane

__all__ = ["is_noisy", "noise_share"]

_NOISY = 0.05
"""Of the contrast. The samples that fall into specks have 0.07 to 0.26, photographs below 0.02."""
_CLASSES = 256
_NORMAL = 0.6745
"""The median of what a normal distribution of width 1 deviates."""


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
    plane = plane.astype(float)
    if not np.isfinite(plane).all():
        return 0.0
    rows = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    left = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    noise = float(np.median(np.abs(left))) / _NORMAL / 6  # the root of the sum of its squares
    contrast = _contrast(plane)
    return noise / contrast if contrast else 0.0


def _contrast(plane: np.ndarray) -> float:
    """Return how far the means of the two classes lie apart that differ most."""
    counts, edges = np.histogram(plane, _CLASSES)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = counts.cumsum()[:-1], counts[::-1].cumsum()[::-1][1:]
    summed = (counts * middles).cumsum()
    dark = summed[:-1] / np.maximum(below, 1)
    bright = (summed[-1] - summed[:-1]) / np.maximum(above, 1)
    apart = bright - dark
    return float(apart[np.argmax(below * above * apart**2)])
