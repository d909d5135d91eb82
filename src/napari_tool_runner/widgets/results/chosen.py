"""What is told of chosen rows: how many, from which value to which, and which is the largest."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.exchange import column_title, id_column
from napari_tool_runner.names import count_text
from napari_tool_runner.widgets.parts.texts import short
from napari_tool_runner.widgets.results.measures import (
    Plotted,
    chosen_of,
    means_by,
    plotted,
    value_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["chosen_words", "group_words"]

_TIE = 0.01
"""Values that differ by less of the larger one are nearly the same."""


def chosen_words(rows: Rows, shown: np.ndarray, chosen: np.ndarray, name: str) -> str:
    """Return what the `chosen` rows are, by the column `name`; `shown` are those beside them."""
    column = plotted(rows.frame[name])
    noun = "object" if rows.layers else "row"
    if not column.measures:
        are = count_text(len(chosen), f"{noun} is", f"{noun}s are")
        return f"{are} chosen." if len(chosen) else ""
    values = column.values
    chosen, shown = (some[np.isfinite(values[some])] for some in (chosen, shown))
    if not len(chosen):
        return ""

    called = partial(_called, rows)
    title, unit = _named(rows, name)
    if len(chosen) > 1:
        told = f"{count_text(len(chosen), noun)}, {title} {_span(column, values[chosen], unit)}"
        return f"{told}{_utmost(column, chosen, called)}."
    (one,) = chosen
    told = called(one)
    told = f"{told[:1].upper()}{told[1:]}: {title} {value_text(column, values[one])}{unit}"
    return f"{told}{_standing(column, shown, one, called)}."


def group_words(rows: Rows, shown: np.ndarray, chosen: np.ndarray, across: str, name: str) -> str:
    """Return what chosen groups of a line of means are: of rows of one value `across` each.

    It is empty where not all of a group is chosen: then rows are, each for itself.
    """
    along, column = plotted(rows.frame[across]), plotted(rows.frame[name])
    places, means, groups = means_by(along.values[shown], column.values[shown])
    held, every = chosen_of(groups, np.isin(shown, chosen))
    wanted = np.flatnonzero(held)
    if not len(wanted) or not column.measures or (held != every)[wanted].any():
        return ""
    what, measure = _named(rows, across)
    mean, unit = _named(rows, name)
    values, mean = Plotted(means), f"mean {mean}"

    def called(place: int) -> str:
        return f"{what} {value_text(along, places[place])}{measure}"

    number = count_text(held.sum(), "object" if rows.layers else "row")
    if len(wanted) == 1:
        one = int(wanted[0])
        told = called(one)
        told = f"{told[:1].upper()}{told[1:]} ({number}): {mean} {value_text(values, means[one])}"
        return f"{told}{unit}{_standing(values, np.arange(len(means)), one, called, tie=0)}."
    told = f"{what} {_span(along, places[wanted], measure)}"
    told = f"{number}, {told}, {mean} {_span(values, means[wanted], unit)}"
    return f"{told}{_utmost(values, wanted, called, tie=0)}."


def _named(rows: Rows, name: str) -> tuple[str, str]:
    """Return what a column is called, and what follows its numbers: their unit."""
    title, _, unit = short(column_title(name, of_objects=bool(rows.layers))).partition(" (")
    return title, f" {unit.removesuffix(')')}" if unit else ""


def _span(column: Plotted, values: np.ndarray, unit: str) -> str:
    low, high = (value_text(column, value) for value in (values.min(), values.max()))
    return f"{low}{unit}" if low == high else f"{low}–{high}{unit}"


def _utmost(
    column: Plotted, chosen: np.ndarray, called: Callable[[int], str], tie: float = _TIE
) -> str:
    """Say which of the `chosen` has the largest value, or how many have it."""
    values = column.values[chosen]
    top = chosen[values == values.max()]
    if len(top) == len(chosen):  # as of one frame
        return ""
    if len(top) > 2:
        return f"; {len(top):,} have the largest"
    if len(top) == 2:
        return f"; the largest are {called(top[0])} and {called(top[1])}"
    return f"; the largest is {called(top[0])}{_near(column, chosen, top[0], called, tie)}"


def _standing(
    column: Plotted, among: np.ndarray, one: int, called: Callable[[int], str], tie: float = _TIE
) -> str:
    """Say whether `one` is the largest or the smallest, and which others are as large."""
    values = column.values[among]
    others = among[(values == column.values[one]) & (among != one)]
    if 1 < len(among) == len(others) + 1:
        return f"; all {len(among):,} have the same"
    for extreme, word in ((values.max(), "large"), (values.min(), "small")):
        if len(among) > 1 and column.values[one] == extreme:
            told = f", the {word.removesuffix('e')}est of {len(among):,}"
            if len(others) > 1:
                return f"{told}; {len(others):,} others are as {word}"
            if len(others):
                return f"{told}, as {word} as {called(others[0])}"
            return f"{told}{_near(column, among, one, called, tie)}"
    return ""


def _near(
    column: Plotted, among: np.ndarray, one: int, called: Callable[[int], str], tie: float
) -> str:
    """Say which has nearly the same value as `one`, if any has."""
    values = column.values
    apart = np.abs(values[among] - values[one])
    apart[among == one] = np.inf
    near = among[np.argmin(apart)]
    if apart.min() > tie * abs(values[one]):
        return ""
    mine, told = value_text(column, values[one]), value_text(column, values[near])
    return f" ({called(near)} has nearly the same{'' if told == mine else f': {told}'})"


def _called(rows: Rows, row: int) -> str:
    key = id_column(rows.frame)
    if not rows.layers:
        return f"row {row + 1}" if key is None else f"{short(key)} {rows.frame[key].iloc[row]}"
    of = f" of “{short(str(rows.layers[rows.owners[row]]))}”" if len(rows.layers) > 1 else ""
    return f"{'object' if key is None else short(key)} {rows.numbers[row]}{of}"
