"""What columns are worth: which to look at first, which say that objects are specks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.exchange import id_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SPECK", "best_size", "bright_column", "is_measured", "number_columns", "speck_filter"]

_BEST = ("area_um2", "volume_um3")
_SIZES = ("area", "volume", "size", "pixels", "voxels")
"""What is worth a first look, best first."""
SPECK = 2
"""So many pixels are noise rather than an object."""


def number_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that hold numbers."""
    return [str(name) for name in frame.columns if frame[name].dtype.kind in "iufb"]


def best_size(frame: pd.DataFrame) -> str:
    """Return the column that says best how large objects are; without one the last of numbers."""
    names = number_columns(frame)
    sizes = (next((n for n in names if n.lower().startswith(size)), "") for size in _SIZES)
    best = next((n for n in _BEST if n in names), "") or next((n for n in sizes if n), "")
    return best or (names[-1] if names else "")


def bright_column(frame: pd.DataFrame, size: str) -> str:
    """Return the column to plot against `size`: a mean, or the last of the others."""
    others = [name for name in number_columns(frame) if name != size]
    return next((n for n in others if "mean" in n.lower()), others[-1] if others else size)


def is_measured(layer: object) -> bool:
    """Whether more is known of the objects of a layer than their numbers."""
    features: pd.DataFrame | None = getattr(layer, "features", None)
    if features is None or not len(features):
        return False
    return any(name != id_column(features) for name in features.columns)


def speck_filter(frame: pd.DataFrame, shown: np.ndarray) -> tuple[str, int]:
    """Return a filter that leaves specks out and how many of `shown` they are, if most are."""
    for name in number_columns(frame):
        column = frame[name]
        bare = name.lower().removesuffix("_px")
        # whole numbers are counted pixels; areas in µm² are hardly ever whole in every row
        if bare in _SIZES and column.dtype.kind in "iu" and len(shown):
            count = int(np.count_nonzero(column.to_numpy()[shown] <= SPECK))
            return (f"{name} > {SPECK}", count) if 2 * count > len(shown) else ("", 0)
    return "", 0
