"""What is told of chosen rows: how many, from which value to which, and which is the largest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.exchange import column_title, id_column
from napari_tool_runner.names import count_text
from napari_tool_runner.widgets.parts.texts import short
from napari_tool_runner.widgets.results.digits import decimals_of, number_text
from napari_tool_runner.widgets.results.measures import plotted

if TYPE_CHECKING:
    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["chosen_words"]

_TIE = 0.01
"""Values that differ by less of the larger one are nearly the same."""


def chosen_words(rows: Rows, shown: np.ndarray, chosen: np.ndarray, name: str) -> str:
    """Return what the `chosen` rows are, by the column `name`; `shown` are those beside them."""
    values, kinds, dates = plotted(rows.frame[name])
    noun = "object" if rows.layers else "row"
    if kinds or dates:
        are = count_text(len(chosen), f"{noun} is", f"{noun}s are")
        return f"{are} chosen." if len(chosen) else ""
    chosen, shown = (some[np.isfinite(values[some])] for some in (chosen, shown))
    if not len(chosen):
        return ""
    title, _, unit = short(column_title(name, of_objects=bool(rows.layers))).partition(" (")
    unit = f" {unit.removesuffix(')')}" if unit else ""
    top = chosen[np.argmax(values[chosen])]
    if len(chosen) > 1:
        low, high = _told(values[chosen].min()), _told(values[top])
        span = low if low == high else f"{low}–{high}"
        told = f"{count_text(len(chosen), noun)}, {title} {span}{unit}"
        if values[chosen].min() == values[top]:  # as of one frame
            return f"{told}."
        return f"{told}; the largest is {_called(rows, top)}{_tie(rows, values, chosen, top)}."
    called, told = _called(rows, top), number_text(values[top], decimals_of(values))
    told = f"{called[:1].upper()}{called[1:]}: {title} {told}{unit}"
    for extreme, word in ((np.max, "largest"), (np.min, "smallest")):
        if len(shown) > 1 and values[top] == extreme(values[shown]):
            return f"{told}, the {word} of {len(shown):,}{_tie(rows, values, shown, top)}."
    return f"{told}."


def _tie(rows: Rows, values: np.ndarray, among: np.ndarray, one: int) -> str:
    """Say which row has nearly the same value as `one`, if any has."""
    apart = np.abs(values[among] - values[one])
    apart[among == one] = np.inf
    near = among[np.argmin(apart)]
    if apart.min() > _TIE * abs(values[one]):
        return ""
    told = number_text(values[near], decimals_of(values))
    return f" ({_called(rows, near)} has nearly the same: {told})"


def _called(rows: Rows, row: int) -> str:
    key = id_column(rows.frame)
    if not rows.layers:
        return f"row {row + 1}" if key is None else f"{short(key)} {rows.frame[key].iloc[row]}"
    of = f" of “{short(str(rows.layers[rows.owners[row]]))}”" if len(rows.layers) > 1 else ""
    return f"{'object' if key is None else short(key)} {rows.numbers[row]}{of}"


def _told(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
