"""CSV and TSV: tables, and the coordinate layers as tables in napari's columns.

What other programs write is read, too: any separator, comments and titles before the header,
lines of units after it, decimal commas and groups of thousands.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.model import Content, Table
from napari_tool_runner.sealed import read_bytes

__all__ = ["has_napari_columns", "read_numbers", "read_table", "write_matrix", "write_table"]

_COLUMNS = 10_000  # each is an array of its own; a profile of genes has some thousand
_SNIFF = 64 * 1024
_SAMPLE = 60  # lines that are looked at to find out how a table is written
# Since 3.1 pandas reads every float exactly by itself and deprecates the option.
_OLD = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
_EXACT: dict[str, Any] = {"float_precision": "round_trip"} if _OLD else {}
_SPACES = " "
_COMMENTS = ("#", "%", ";;", "//")
_NOTHING = {"", "na", "n/a", "nan", "-nan", "none", "null"}
_WHOLE = re.compile(r"[+-]?\d+")
# A number, maybe with groups of thousands; where only the groups say what a comma means.
_PLAIN = r"[+-]?(?:(?:\d+(?:{0}\d*)?|{0}\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?))"
_COMMA = re.compile(_PLAIN.format(",") + r"|[+-]?[1-9]\d{0,2}(?:[.' \u00a0\u202f]\d{3})+(?:,\d+)?")
_POINT = re.compile(_PLAIN.format(r"\.") + r"|[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_UNIT = re.compile(r"[(\[].*[)\]]|px|pixels?|[nµμum]m[²³23]?|microns?|s|sec|seconds?|frames?|%")


def write_table(columns: Mapping[str, np.ndarray], path: Path, *, tabs: bool = False) -> None:
    """Write columns with a header line; numbers so that they read back unchanged."""
    frame = pd.DataFrame(dict(columns))
    for name in frame.columns:  # a number that is missing is NaN to every reader, a text is none
        if frame[name].dtype.kind not in "biuf":
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "")
    separator = "\t" if tabs else ","
    frame.to_csv(path, index=False, sep=separator, lineterminator="\n", na_rep="NaN")


def write_matrix(values: np.ndarray, path: Path, *, tabs: bool = False) -> None:
    """Write a number, a row or a matrix (ndim <= 2) without a header."""
    frame = pd.DataFrame(np.atleast_2d(values))
    frame.to_csv(path, index=False, header=False, sep="\t" if tabs else ",", lineterminator="\n")


def read_table(path: Path, *, tabs: bool | None = None, root: Path | None = None) -> Content:
    """Read a table; how it is written is found out.

    Parameters
    ----------
    tabs : bool or None
        The separator that the format declares: a tab, or a comma. What the first
        lines really use wins.

    Returns
    -------
    Content
        Its attribute ``units`` says, by column, what a line below the header says.

    Raises
    ------
    OutputError
        No table: binary, ragged, or without a single cell.
    """
    text = _text(path, root)
    if not text.strip():
        return Content(data={}, notes=("The table is empty.",))
    layout = _layout(text, tabs)
    if len(layout.names) > _COLUMNS:
        raise OutputError(
            f"{path.name} has {len(layout.names)} columns; a table may have {_COLUMNS}.",
            hint="Let the tool write rows, or an image.",
        )
    notes = list(layout.notes)
    columns = _columns(layout, path, notes)
    attributes = {"units": layout.units} if layout.units else {}
    return Content(data=columns, header=layout.header, attributes=attributes, notes=tuple(notes))


def has_napari_columns(path: Path) -> bool:
    """Whether a table of the user's begins like one that is written of a layer."""
    with path.open("rb") as file:
        names = [name.strip() for name in _decoded(file.readline(_SNIFF)).split(",")]
    return "axis-0" in names or names[:2] == ["ID", "T"]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a text holds a table: its columns, and its lines from the first row on."""

    separator: str
    names: tuple[str, ...]
    lines: Sequence[str]
    header: bool
    units: dict[str, str]
    notes: Sequence[str]


def _layout(text: str, tabs: bool | None) -> _Layout:
    """Find out how a table is written."""
    lines = re.split(r"\r\n|\r|\n", text)
    order, notes = "\t,;|" if tabs else ",\t;|", list[str]()
    if told := re.match(r'"?sep=(.)"?\s*$', lines[0]):  # Excel's
        order, lines = told[1], lines[1:]
    first = next((i for i, line in enumerate(lines) if not _is_comment(line)), len(lines))
    comments, lines = [line for line in lines[:first] if line.strip()], lines[first:]
    separator, titles = _separator(_sample(lines), order)
    rows = _cells(_sample(lines), separator)
    if comments and (not rows or (len(rows[0]) > 1 and all(map(_is_number, rows[0])))):
        # Where rows without names follow, the last comment may be the names, as NumPy has it.
        last = comments[-1].lstrip("#%;/ ")
        if not rows or len(_cells([last], separator)[0]) == len(rows[0]):
            comments, lines = comments[:-1], [last, *lines]
    for _ in range(titles):
        lines = lines[1 + next(i for i, line in enumerate(lines) if line.strip()) :]
    if titles or comments:
        notes.append(f"{titles + len(comments)} lines before the table are no part of it.")
    rows = _cells(_sample(lines), separator)
    header = not all(map(_is_number, rows[0]))
    names = rows[0] if header else [f"column-{i + 1}" for i in range(len(rows[0]))]
    units: dict[str, str] = {}
    if header:
        count = _units_line(rows)
        lines = lines[1 + next(i for i, line in enumerate(lines) if line.strip()) :]
        if count:
            notes.append(f"{count} lines below the header are names and units.")
            units = {n: u.strip("()[] ") for n, u in zip(names, rows[count], strict=False) if u}
            lines = [line for line in lines if line.strip()][count:]
        rows = rows[1 + count :]
        if rows and all(len(row) == len(names) + 1 and row[-1] for row in rows):
            names = ["index", *names]  # R does not name the column of row names
    found = [
        line
        for line in lines
        if not _is_comment(line)
        or not line.strip()
        or len(_cells([line], separator)[0]) == len(names)
    ]
    if len(found) < len(lines):
        notes.append(f"{len(lines) - len(found)} lines of comment were left out.")
    return _Layout(separator, _unique(names), found, header, units, notes)


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith(_COMMENTS)


def _sample(lines: Sequence[str]) -> list[str]:
    return [line for line in lines[: 2 * _SAMPLE] if not _is_comment(line)][:_SAMPLE]


def _cells(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the cells of lines, without the blanks around them."""
    if separator == _SPACES:
        lines = [" ".join(line.split()) for line in lines]
    rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows]


def _is_number(cell: str) -> bool:
    """Whether a cell says a number, or that there is none."""
    try:
        float(cell or "nan")
    except ValueError:
        return bool(_COMMA.fullmatch(cell))
    return True


def _separator(lines: Sequence[str], order: str) -> tuple[str, int]:
    """Return what separates the cells of `lines`, and how many titles precede them.

    It gives every line the same number of cells; the fewer lines stay out as titles (of a
    single cell), the better. R's header lacks a name for the names of rows.
    """
    found = []
    for rank, separator in enumerate([*order, _SPACES]):
        rows = _cells(lines, separator)
        titles = next((i for i, row in enumerate(rows) if len(row) > 1), len(rows))
        widths = [len(row) for row in rows[titles:]]
        table = bool(widths) and len({*widths[1:]}) <= 1
        short = table and len(widths) > 1 and widths[0] != widths[1]
        if not table or (short and widths[0] != widths[1] - 1):
            continue
        numbers = [sum(map(_is_number, row)) for row in rows[titles:]]
        headed = len(numbers) > 1 and not numbers[0] and all(numbers[1:])
        if (titles or short) and not headed:
            continue
        if separator == _SPACES and sum(numbers[1:] or numbers) * 2 < sum(widths[1:] or widths):
            continue  # words
        found.append((short, titles, rank, separator))
    if found:
        return min(found)[3], min(found)[1]
    return next((s for s in order if lines and s in lines[0]), order[0]), 0


def _units_line(rows: Sequence[Sequence[str]]) -> int:
    """Return which row below the header holds units, with words above it; 0: none does.

    Columns whose next rows are numbers say their unit there, as in TrackMate's tables.
    """
    for i, row in enumerate(rows[1:4], start=1):
        if any(cell and _is_number(cell) for cell in row):
            return 0
        below = rows[i + 1 : i + 6]
        of_numbers = [
            cell
            for cell, *others in zip(row, *below, strict=False)
            if cell and any(o and _is_number(o) for o in others)
        ]
        if 2 * sum(bool(_UNIT.fullmatch(cell)) for cell in of_numbers) > len(of_numbers):
            return i
    return 0


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns, each once; what pandas writes for its index has no name."""
    found: list[str] = []
    for i, name in enumerate(names):
        plain = name or ("index" if i == 0 else f"column-{i + 1}")
        number = sum(plain == other or other.startswith(f"{plain}.") for other in found)
        found.append(f"{plain}.{number}" if plain in found else plain)
    return tuple(found)


def _columns(layout: _Layout, path: Path, notes: list[str]) -> Table:
    """Return the columns as numbers where all cells are, else as they are written."""
    frame = _parsed(layout, path)
    numeric = [
        # Above, a float does not hold every whole number.
        kind in "biu" or (kind == "f" and not bool((frame.iloc[:, i].abs() >= 2**53).any()))
        for i, kind in enumerate(dtype.kind for dtype in frame.dtypes)
    ]
    words = frame if all(numeric) else _parsed(layout, path, words=True)
    texts = [_written(words.iloc[:, i]) for i, done in enumerate(numeric) if not done]
    comma = _has_decimal_comma(texts, layout.separator)
    if comma:
        notes.append("The numbers were read with a decimal comma.")
        words = _parsed(layout, path, words=True)
    columns: Table = {}
    for i, name in enumerate(layout.names):
        values: np.ndarray = frame.iloc[:, i].to_numpy()
        if len(values) == 0:
            values = values.astype(float)  # nothing found is no text
        elif comma or not numeric[i]:
            numbers = _numbers(_written(words.iloc[:, i]), name, notes, comma=comma)
            if numbers is not None:
                values = numbers
            elif values.dtype.kind not in "biuf":
                values = words.iloc[:, i].to_numpy().astype(object)
        columns[name] = values
    return columns


def _written(column: pd.Series[str]) -> list[str]:
    return [str(cell).strip() for cell in column]


def _has_decimal_comma(texts: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether the columns that are no plain numbers are some with a decimal comma.

    ``1,234`` may be either: where commas separate cells it has a group of thousands.
    """
    found = False
    for column in texts:
        cells = [cell for cell in column if cell.lower() not in _NOTHING]
        if any("," in cell and "." in cell and _GROUPS.fullmatch(cell) for cell in cells):
            return False
        commas = [cell for cell in cells if "," in cell]
        if commas and all(map(_COMMA.fullmatch, cells)):
            found |= separator != "," or not all(map(_GROUPS.fullmatch, commas))
    return found


def _numbers(
    cells: Sequence[str], name: str, notes: list[str], *, comma: bool
) -> np.ndarray | None:
    """Return cells as numbers, None when they are none; whole ones keep every digit."""
    given = [cell for cell in cells if cell.lower() not in _NOTHING]
    if not given or not all(map((_COMMA if comma else _POINT).fullmatch, given)):
        return None
    group = r"[.' \u00a0\u202f]" if comma else ","
    plain = [re.sub(group, "", cell).replace(",", ".") for cell in cells]
    grouped = next((i for i, cell in enumerate(cells) if re.search(group, cell)), None)
    if grouped is not None:
        notes.append(f"“{cells[grouped]}” in the column “{name}” was read as {plain[grouped]}.")
    missing = [cell.lower() in _NOTHING for cell in cells]
    if all(_WHOLE.fullmatch(p) for p, none in zip(plain, missing, strict=True) if not none):
        whole = [int(p) for p, none in zip(plain, missing, strict=True) if not none]
        low, high = min(whole), max(whole)
        if not any(missing) and (high < 2**63 or low >= 0) and -(2**63) <= low <= high < 2**64:
            return np.array(whole, np.int64 if high < 2**63 else np.uint64)
        if max(high, -low) > 2**53:
            rest = iter(whole)
            return np.array([None if none else next(rest) for none in missing], dtype=object)
    return np.array([np.nan if n else float(p) for p, n in zip(plain, missing, strict=True)])


def _parsed(layout: _Layout, path: Path, *, words: bool = False) -> pd.DataFrame:
    """Parse the rows; with `words`, every cell stays the text that it is."""
    spaced = layout.separator == _SPACES
    dummy = (_SPACES if spaced else layout.separator).join(map(str, range(len(layout.names))))
    try:
        frame: pd.DataFrame = pd.read_csv(
            io.StringIO("\n".join([dummy, *layout.lines])),
            sep=r"\s+" if spaced else layout.separator,
            skipinitialspace=True,
            index_col=False,
            keep_default_na=not words,
            dtype=object if words else None,
            **_EXACT,
        )
        return frame
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, csv.Error) as error:
        raise OutputError(
            f"{path.name} is no table: {error}", hint="Open it in a text editor."
        ) from error


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
    whole = [cell for cell in cells if cell]
    if values.size and all(map(_WHOLE.fullmatch, whole)):
        values = np.array([int(cell) for cell in whole])  # they keep every digit
    return Content(data={name: values}, header=False)


def _text(path: Path, root: Path | None) -> str:
    return _decoded(read_bytes(path, root), path.name)


def _decoded(raw: bytes, name: str = "The file") -> str:
    """Return the text of a table.

    Raises
    ------
    OutputError
        There is none.
    """
    begin, encoding = raw[:_SNIFF], "utf-8-sig"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in begin:
        odd = 4 * begin[1::2].count(0) > len(begin) > 4 * begin[::2].count(0) * 8
        even = 4 * begin[::2].count(0) > len(begin) > 4 * begin[1::2].count(0) * 8
        encoding = "utf-16-le" if odd else "utf-16-be" if even else ""
    if not encoding:
        raise OutputError(
            f"{name} is binary, not a table.",
            hint="Check the format that the descriptor declares for this output.",
        )
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw.decode("latin-1")
