"""CSV and TSV: tables, and the coordinate layers as tables in napari's columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.model import Content, Table
from napari_tool_runner.sealed import read_bytes

__all__ = ["read_numbers", "read_table", "write_matrix", "write_table"]

_COLUMNS = 10_000  # each is an array of its own; a profile of genes has some thousand
_SNIFF = 64 * 1024
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# Since 3.1 pandas reads every float exactly by itself and deprecates the option.
_OLD = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _OLD else {}


def write_table(columns: Mapping[str, np.ndarray], path: Path, *, tabs: bool = False) -> None:
    """Write columns with a header line; floats so that they read back unchanged."""
    frame = pd.DataFrame(dict(columns))
    frame.to_csv(path, index=False, sep="\t" if tabs else ",", lineterminator="\n")


def write_matrix(values: np.ndarray, path: Path, *, tabs: bool = False) -> None:
    """Write a number, a row or a matrix (ndim <= 2) without a header."""
    frame = pd.DataFrame(np.atleast_2d(values))
    frame.to_csv(path, index=False, header=False, sep="\t" if tabs else ",", lineterminator="\n")


def read_table(path: Path, *, tabs: bool | None = None, root: Path | None = None) -> Content:
    """Read a table; the separator and whether there is a header are found out.

    Parameters
    ----------
    tabs : bool or None
        The separator that the format declares: a tab, or a comma. What the first
        lines really use wins.

    Raises
    ------
    OutputError
        No table: binary, ragged, or without a single cell.
    """
    text = _text(path, root)
    if not text.strip():
        return Content(data={}, notes=("The table is empty.",))
    separator = _separator(text, tabs)
    if (count := text.lstrip().partition("\n")[0].count(separator)) >= _COLUMNS:
        raise OutputError(
            f"{path.name} has {count + 1} columns; a table may have {_COLUMNS}.",
            hint="Let the tool write rows, or an image.",
        )
    header = _has_header(text, separator)
    frame = _parsed(text, separator, header=header, path=path)
    if any(frame[name].dtype.kind not in "biuf" and frame[name].isna().any() for name in frame):
        frame = _with_words(frame, _parsed(text, separator, header=header, path=path, words=True))
    if not header:
        frame.columns = pd.Index([f"column-{i + 1}" for i in range(frame.shape[1])])
    columns: Table = {}
    for i, name in enumerate(frame.columns):
        key = str(name).strip()
        if key.startswith("Unnamed:"):
            # What pandas writes for its index has no name.
            key = "index" if i == 0 else f"column-{i + 1}"
        values = frame.iloc[:, i].to_numpy()
        if len(values) == 0:
            values = values.astype(float)  # nothing found is no text
        elif values.dtype.kind not in "biufO":
            values = values.astype(object)
        columns[key] = values
    return Content(data=columns, header=header)


def _parsed(
    text: str, separator: str, *, header: bool, path: Path, words: bool = False
) -> pd.DataFrame:
    """Parse a table; with `words`, ``NA`` and ``None`` stay the text that they are."""
    try:
        frame: pd.DataFrame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=0 if header else None,
            skipinitialspace=True,
            index_col=False,
            keep_default_na=not words,
            **_EXACT,
        )
        return frame
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, csv.Error) as error:
        raise OutputError(
            f"{path.name} is no table: {error}", hint="Open it in a text editor."
        ) from error


def _with_words(frame: pd.DataFrame, words: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with its columns of text as they were written."""
    result = frame.copy()
    for i in range(frame.shape[1]):
        if frame.iloc[:, i].dtype.kind not in "biuf" and words.iloc[:, i].dtype.kind not in "biuf":
            result.isetitem(i, words.iloc[:, i].to_numpy())
    return result


def read_numbers(path: Path, name: str, root: Path | None = None) -> Content:
    """Read BioImageIT's ``numbercsv`` and ``arraycsv``: every cell is a value.

    Raises
    ------
    OutputError
        When there is something that is no number.
    """
    cells = [cell.strip() for line in csv.reader(io.StringIO(_text(path, root))) for cell in line]
    try:
        values = np.array([float(cell) for cell in cells if cell])
    except ValueError as error:
        raise OutputError(
            f"{path.name} should hold numbers only: {error}",
            hint="Declare the output as tablecsv when it is a table.",
        ) from error
    whole = values.size and np.isfinite(values).all() and (values == np.rint(values)).all()
    if whole and all("." not in c and "e" not in c.lower() for c in cells):
        values = values.astype(np.int64)
    return Content(data={name: values}, header=False)


def _text(path: Path, root: Path | None) -> str:
    raw = read_bytes(path, root)
    if b"\x00" in raw[:_SNIFF] and not raw.startswith(_UTF16):
        raise OutputError(
            f"{path.name} is binary, not a table.",
            hint="Check the format that the descriptor declares for this output.",
        )
    try:
        return raw.decode("utf-16" if raw.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _separator(text: str, tabs: bool | None) -> str:
    first = next((line for line in text[:_SNIFF].splitlines() if line.strip()), "")
    order = "\t,;" if tabs else ",\t;"
    return next((separator for separator in order if separator in first), order[0])


def _has_header(text: str, separator: str) -> bool:
    """Whether the first line has names: it does when not all its cells are numbers."""
    first = next(csv.reader(io.StringIO(text.lstrip("\r\n")), delimiter=separator), [])
    try:
        return not [float(cell) for cell in first if cell.strip()]
    except ValueError:
        return True
