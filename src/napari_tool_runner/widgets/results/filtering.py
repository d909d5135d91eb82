"""Which rows a filter means: ``area > 100 and mean < 50``, or a word or number that they hold."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.exchange import column_title
from napari_tool_runner.widgets.parts.texts import short
from napari_tool_runner.widgets.results.digits import as_shown
from napari_tool_runner.widgets.results.measures import best_size

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NOT_CUT", "example", "matching", "with_term", "without_term"]

CUT, NOT_CUT = "at edge", "not at edge"
"""Terms of objects that the edge cuts, and of all others."""

_COMPARE = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt,
    "<": operator.lt, "=": operator.eq, "==": operator.eq, "≥": operator.ge, "≤": operator.le,
    "≠": operator.ne,
}  # fmt: skip
_TERM = re.compile(r"(.+?)(>=|<=|!=|==|[<>=≥≤≠])(.*)")


def with_term(text: str, term: str) -> str:
    """Return a filter with one more term."""
    return " and ".join(filter(None, (text.strip(), term)))


def without_term(text: str, term: str) -> str:
    """Return a filter without one of its terms."""
    return " and ".join(one for one in text.split(" and ") if one.strip() != term)


def example(frame: pd.DataFrame, *, of_objects: bool = False) -> str:
    """Return what could be written to filter these rows: about the larger half of them."""
    name = best_size(frame)
    values = frame[name].to_numpy(float, na_value=np.nan) if name else np.zeros(0)
    known = values[np.isfinite(values)]
    if not len(known):
        return "Filter: a word"
    round_one = float(f"{np.median(known):.1g}")
    title = column_title(name, of_objects=of_objects).partition(" (")[0]
    return f"Filter: {short(title)} > {round_one:g}, or a word"


def matching(frame: pd.DataFrame, text: str, cut: np.ndarray | None = None) -> np.ndarray | None:
    """Return for which rows `text` holds, a mask of shape (N,); None: for all.

    Parameters
    ----------
    cut : array of bool, shape (N,), optional
        Which rows are of objects that the edge cuts.

    Raises
    ------
    ParameterError
        A column is not there, or is compared with what it cannot be compared with; of what the
        edge cuts nothing is known.
    """
    terms = [term.strip() for term in re.split(r"\sand\s|[;&]", text)]
    masks = [_mask(frame, term, cut) for term in terms if term]
    return np.logical_and.reduce(masks) if masks else None


def _mask(frame: pd.DataFrame, term: str, cut: np.ndarray | None) -> np.ndarray:
    if term.lower() in (CUT, NOT_CUT):
        if cut is None:
            raise ParameterError(
                f"“{term}”: which objects the edge cuts is known of labels only.",
                hint="Leave this term out.",
            )
        return cut if term.lower() == CUT else ~cut
    found = _TERM.fullmatch(term)
    if found is None:
        return _holding(frame, term)
    name, sign, value = (part.strip() for part in found.groups())
    column = frame[_column(frame, name)]
    if not value:  # still being typed
        return np.ones(len(frame), bool)
    if column.dtype.kind in "iuf":
        try:
            number = float(value)
        except ValueError:
            raise ParameterError(
                f"“{value}” is no number, and “{name}” holds numbers.",
                hint=f"Write one, such as {name} {sign} 100.",
            ) from None
        if sign in ("=", "=="):
            return _equal(column, number)
        if sign in ("!=", "≠"):
            return ~_equal(column, number)
        return np.asarray(_COMPARE[sign](column.to_numpy(), number), bool)
    fits = np.asarray(_COMPARE[sign](_words(column), value.strip("\"'").lower()), bool)
    return fits if sign in ("!=", "≠") else fits & column.notna().to_numpy(bool)


def _equal(column: pd.Series, number: float) -> np.ndarray:
    """Return which cells are a number, or read so in the table."""
    values = column.to_numpy()
    return np.asarray((values == number) | (as_shown(values) == number), bool)


def _words(column: pd.Series) -> np.ndarray:
    """Return the cells of a column as texts in small letters; what is not there is empty."""
    try:
        texts = column.astype(str)
    except UnicodeDecodeError:  # bytes
        texts = column.map(str)
    return texts.where(column.notna(), "").str.lower().to_numpy(object)


def _column(frame: pd.DataFrame, name: str) -> str:
    """Return the column that `name` means: its name or title, or the first that begins so."""
    names = [str(column) for column in frame.columns]
    wanted = name.strip().lower()
    for fits in (
        lambda column: wanted in (column.lower(), column_title(column).lower()),
        lambda column: column.lower().startswith(wanted),
        lambda column: column_title(column, of_objects=True).lower().startswith(wanted),
        lambda column: wanted in column.lower(),
    ):
        for column in names:
            if fits(column):
                return column
    raise ParameterError(
        f"There is no column “{name.strip()}”.", hint=f"There are: {', '.join(names)}."
    )


def _holding(frame: pd.DataFrame, word: str) -> np.ndarray:
    """Return which rows hold a word in their texts, or a number in any column."""
    found = np.zeros(len(frame), bool)
    try:
        number: float | None = float(word)
    except ValueError:
        number = None
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "iufb":
            if number is not None:
                found |= _equal(column, number)
        else:
            found |= np.array([word.lower() in text for text in _words(column)], bool)
    return found
