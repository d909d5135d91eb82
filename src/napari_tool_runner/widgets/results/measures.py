"""What columns are worth: which to look at first, which objects are specks or giants."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_tool_runner.exchange import (
    SIZES,
    at_edge,
    giants_among,
    id_column,
    layer_kind,
    least_size,
    pixel_column,
)
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.model import LayerKind
from napari_tool_runner.widgets.results.digits import decimals_of, number_text

if TYPE_CHECKING:
    import pandas as pd

    from napari_tool_runner.widgets.results.rows import Rows

__all__ = [
    "Giants",
    "Plotted",
    "Specks",
    "best_size",
    "bright_column",
    "chosen_of",
    "cut_in",
    "giants_of",
    "is_measured",
    "means_by",
    "number_columns",
    "plotted",
    "specks_of",
    "value_text",
]

_BEST = ("area_um2", "volume_um3")
"""What is worth a first look."""
LARGEST = 1e300
"""Beyond it the axes of a plot have no numbers."""


def number_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that hold numbers."""
    return [str(name) for name in frame.columns if frame[name].dtype.kind in "iufb"]


class Plotted(NamedTuple):
    """A column as numbers: places among its `kinds` of words, days (since 1970) of dates."""

    values: np.ndarray
    kinds: tuple[str, ...] = ()
    dates: bool = False

    @property
    def measures(self) -> bool:
        """Whether larger and smaller mean something."""
        return not self.kinds and not self.dates


def plotted(column: pd.Series[float]) -> Plotted:
    """Return a column as a plot shows it; what is too large for its axes is left out."""
    import pandas as pd

    kind = column.dtype.kind
    if kind in "iuf":
        values = column.to_numpy(float, na_value=np.nan)
        return Plotted(np.where(np.abs(values) < LARGEST, values, np.nan))
    if kind == "M":
        dates = pd.DatetimeIndex(column)
        days = (dates - pd.Timestamp(0, tz=dates.tz)) / pd.Timedelta("1D")
        return Plotted(np.asarray(days, float), dates=True)
    codes, kinds = pd.factorize(column.astype(str).where(column.notna()), sort=True)
    return Plotted(np.where(codes < 0, np.nan, codes), tuple(map(str, kinds)))


def value_text(column: Plotted, value: float) -> str:
    """Return a value of a column as a person reads it: a word, a date, a number."""
    if column.kinds:
        return one_line(column.kinds[int(value)], 20)
    if column.dates:
        day = np.datetime64(0, "s") + np.timedelta64(round(value * 86400), "s")
        return str(day).replace("T", " ").removesuffix(" 00:00:00")
    return number_text(value, decimals_of(column.values))


def means_by(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values of `x`, the mean of `y` at each, and at which each row is (−1: none)."""
    known = np.isfinite(x) & np.isfinite(y)
    places, inverse = np.unique(x[known], return_inverse=True)
    groups = np.full(len(x), -1)
    groups[known] = inverse
    return places, np.bincount(inverse, y[known]) / np.bincount(inverse), groups


def chosen_of(groups: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many rows of each group of `means_by` are `chosen`, and how many there are."""
    known = groups >= 0
    every = np.bincount(groups[known])
    return np.bincount(groups[known & chosen], minlength=len(every)), every


def best_size(frame: pd.DataFrame) -> str:
    """Return the column that says best how large objects are; without one the last of numbers."""
    names = number_columns(frame)
    sizes = (next((n for n in names if n.lower().startswith(size)), "") for size in SIZES)
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
    name = pixel_column(frame)
    if not name:
        return Specks()
    least = least_size(frame[name].dropna().to_numpy())
    sizes = frame[name].to_numpy(float, na_value=np.nan)
    number = int((sizes[shown] < least).sum())
    hidden = int((sizes < least).sum()) - number
    return Specks(number, hidden, least, f"{name} >= {least}")


class Giants(NamedTuple):
    """The rows of giants, the largest first; pixels of that one, and of the middle object."""

    rows: np.ndarray
    largest: int = 0
    middle: int = 0


def giants_of(frame: pd.DataFrame, shown: np.ndarray) -> Giants:
    """Return what is known of giants among the rows `shown`: by a column of counted pixels."""
    name = pixel_column(frame)
    if not name:
        return Giants(np.zeros(0, int))
    sizes = frame[name].to_numpy(float, na_value=0)
    giants, middle = giants_among(sizes)
    rows = shown[giants[shown]]
    rows = rows[np.argsort(-sizes[rows], kind="stable")]
    return Giants(rows, int(sizes[rows[0]]) if len(rows) else 0, middle)


def cut_in(rows: Rows) -> np.ndarray | None:
    """Return which rows are of objects that the edge cuts; None: that is not known of them.

    Of a label that comes again in each frame nobody says in which of them.
    """
    labels = [layer for layer in rows.layers if layer_kind(layer) is LayerKind.LABELS]
    if not labels or rows.frames is not None:
        return None
    cut = np.zeros(len(rows), bool)
    for place, layer in enumerate(rows.layers):
        cut |= (rows.owners == place) & np.isin(rows.numbers, at_edge(layer))
    return cut
