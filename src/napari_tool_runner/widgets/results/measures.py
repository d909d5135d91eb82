"""What columns are worth: which to look at first, which objects are specks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_tool_runner.exchange import id_column, least_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Specks", "best_size", "bright_column", "is_measured", "number_columns", "specks_of"]

_BEST = ("area_um2", "volume_um3")
_SIZES = ("area", "volume", "size", "pixels", "voxels")
"""What is worth a first look, best first."""


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


class Specks(NamedTuple):
    """How many rows are of specks, of less than how many pixels; a filter that leaves them out.

    `hidden`: how many of them are not among the rows that are shown.
    """

    number: int = 0
    hidden: int = 0
    least: int = 0
    filter: str = ""


def specks_of(frame: pd.DataFrame, shown: np.ndarray) -> Specks:
    """Return what is known of specks among the rows `shown`: by a column of counted pixels."""
    for name in number_columns(frame):
        column = frame[name]
        bare = name.lower().removesuffix("_px")
        # whole numbers are counted pixels; areas in µm² are hardly ever whole in every row
        if bare in _SIZES and column.dtype.kind in "iu" and column.notna().any():
            least = least_size(column.dropna().to_numpy())
            sizes = column.to_numpy(float, na_value=np.nan)
            number = int((sizes[shown] < least).sum())
            hidden = int((sizes < least).sum()) - number
            return Specks(number, hidden, least, f"{name} >= {least}")
    return Specks()
