"""CSV and TSV: tables, and the coordinate layers as tables in napari's columns.

What other programs write is read, too: any separator, comments and titles before the header,
lines of units after it, decimal commas and groups of thousands.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.carriers.cells import (
    COMMENTS,
    NOTHING,
    SNIFF,
    SPACES,
    as_numbers,
    cells_of,
    decoded,
    grouped_names,
    has_decimal_comma,
    is_number,
    may_be_decimals,
    open_quote,
    table_text,
    unique_names,
    units_line,
    with_comments,
    with_lines,
    with_quotes,
    write_rows,
)
from napari_tool_runner.exchange.columns import Column, own_layout
from napari_tool_runner.exchange.model import Content, Table
from napari_tool_runner.names import count_text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["own_columns", "read_table", "rewrite_table", "write_table"]

_COLUMNS = 10_000  # each is an array of its own; a profile of genes has some thousand
_SAMPLE = 60  # lines that are looked at to find out how a table is written


def write_table(columns: Mapping[str, np.ndarray], path: Path, *, tabs: bool = False) -> list[str]:
    """Write columns with a header line, numbers so that they read back; return notes."""
    import pandas as pd

    frame, names = pd.DataFrame(dict(columns)), pd.Series(list(columns), dtype=object)
    how: dict[str, Any] = {"index": False, "lineterminator": "\n", "na_rep": "NaN"}
    for name in frame.columns:  # a number that is missing is NaN to every reader, a text is none
        if frame[name].dtype.kind not in "biuf":
            frame[name] = frame[name].astype(object).where(frame[name].notna(), "")
    words = [frame[name] for name in frame.columns if frame[name].dtype.kind not in "biuf"]
    odd = any(word.astype(str).str.contains(r'["\t\r\n]').any() for word in [*words, names])
    with path.open("w", encoding="utf-8", newline="") as file:
        if tabs and odd:
            rows = csv.reader(io.StringIO(frame.to_csv(**how), newline=""))
            return write_rows(rows, file, tabs=True)
        frame.to_csv(file, sep="\t" if tabs else ",", **how)
    return []


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
        Its attribute ``units`` says, by column, what a line below the header says;
        ``separator`` what parts the cells, where numbers are written as others read them.

    Raises
    ------
    OutputError
        No table: binary, ragged, or without a single cell.
    """
    text = table_text(path, root)
    if not text.strip():
        return Content(data={}, notes=("The table is empty.",))
    layout = _layout(with_quotes(text), tabs, path.name)
    notes = list(layout.notes)
    said: list[str] = []
    columns = _columns(layout, path, notes, said)
    attributes: dict[str, object] = {"units": layout.units} if layout.units else {}
    if layout.separator != SPACES and not said:
        attributes["separator"] = layout.separator
    notes += said
    return Content(data=columns, header=layout.header, attributes=attributes, notes=tuple(notes))


def rewrite_table(source: Path, separator: str, path: Path, *, tabs: bool = False) -> list[str]:
    """Write a table of the user's with another separator, every cell as it is written there.

    So do Galaxy's converters: no digit is lost, no header made up. Returns notes.
    """
    text = with_quotes(table_text(source, None)) if separator == "\t" else table_text(source, None)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    kept = (
        row
        for row in rows
        if any(map(str.strip, row))
        and (rows.line_num > 1 or row[:1] != ["sep="])  # Excel's word for what separates
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        notes = write_rows(with_comments(kept, separator), file, tabs=tabs)
    return [f"{source.name}: {note}" for note in notes]


def own_columns(path: Path) -> list[Column]:
    """Return the coordinates of a table of the user's that is as those of layers, else none."""
    with path.open("rb") as file:
        return own_layout(decoded(file.readline(SNIFF)).rstrip("\r\n").split(","))


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a text holds a table: its columns, and its lines from the first row on."""

    separator: str
    names: tuple[str, ...]
    width: int  # cells of a row: the names, and what ends in a separator
    lines: Sequence[str]
    header: bool
    units: dict[str, str]
    notes: Sequence[str]


def _layout(text: str, tabs: bool | None, file: str) -> _Layout:
    """Find out how a table is written."""
    lines = everything = re.split(r"\r\n|\r|\n", text)
    order, notes = "\t,;|" if tabs else ",\t;|", list[str]()
    if told := re.match(r'"?sep=(.)"?\s*$', lines[0]):  # Excel's
        order, lines = told[1], lines[1:]
    first = next((i for i, line in enumerate(lines) if not _is_comment(line)), len(lines))
    comments, lines = [line for line in lines[:first] if line.strip()], lines[first:]
    separator, titles = _separator(_sample(lines), order)
    rows = cells_of(_sample(lines), separator)
    if (count := max(map(len, rows), default=0)) > _COLUMNS:  # before they get names
        raise OutputError(
            f"{file} has {count} columns; a table may have {_COLUMNS}.",
            hint="Let the tool write rows, or an image.",
        )
    numbers = bool(rows) and len(rows[0]) > 1 and any(c and is_number(c) for c in rows[0])
    if comments and (numbers or not rows):
        # Where rows without names follow, the last comment may be the names, as NumPy has it.
        last = comments[-1].lstrip("#%;/ ")
        if not rows or len(cells_of([last], separator)[0]) == len(rows[0]):
            comments, lines = comments[:-1], [last, *lines]
    for _ in range(titles):
        lines = _below_first(lines)
    if titles or comments:
        before = "line before the table is", "lines before the table are"
        notes.append(f"{count_text(titles + len(comments), *before)} no part of it.")
    rows = cells_of(_sample(lines), separator)
    header = not all(map(is_number, rows[0]))
    names = rows[0] if header else [f"column-{i + 1}" for i in range(len(rows[0]))]
    units: dict[str, str] = {}
    if header:
        if grouped := grouped_names(rows):
            notes.append("Of two lines of names, the first says what the columns belong to.")
            names, rows = grouped, rows[1:]
            lines = _below_first(lines)
        count = units_line(rows)
        lines = _below_first(lines)
        if count:
            below = "line below the header is", "lines below the header are"
            notes.append(f"{count_text(count, *below)} names and units.")
            units = {n: u.strip("()[] ") for n, u in zip(names, rows[count], strict=False) if u}
            lines = [line for line in lines if line.strip()][count:]
    found = [
        line
        for line in lines
        if not _is_comment(line)
        or not line.strip()
        or len(cells_of([line], separator)[0]) - len(names) in (0, 1)
    ]
    if len(found) < len(lines):
        comment = "line of comment was", "lines of comment were"
        notes.append(f"{count_text(len(lines) - len(found), *comment)} left out.")
    names, width = _fitted(names, found, separator, (file, everything), notes)
    return _Layout(separator, unique_names(names), width, found, header, units, notes)


def _fitted(
    names: list[str],
    lines: Sequence[str],
    separator: str,
    source: tuple[str, Sequence[str]],
    notes: list[str],
) -> tuple[list[str], int]:
    """Return the names of all columns, and how many cells rows have: none is lost.

    `source`: the name of the file and all its lines.

    Raises
    ------
    OutputError
        Rows have cells without a name, as where decimal commas stand between commas.
    """
    file, everything = source

    def told(line: str) -> str:
        return f"line {everything.index(line) + 1} (“{line.strip()[:60]}”)"

    if opened := open_quote(lines, separator):
        raise OutputError(
            f"{file}, {told(opened)}: a quote opens a cell there and is never closed.",
            hint="Close it, or double each quote that is a character; the file may be cut off.",
        )
    width, widths = len(names), set[int]()
    odd: list[tuple[str, list[str]]] = []
    for line, row in with_lines(lines, separator):
        widths.add(len(row))
        if len(row) != width:
            odd.append((line, row))
    long = [(line, row) for line, row in odd if len(row) > width]
    if short := [line for line, row in odd if len(row) < width]:
        notes.append(
            f"{count_text(len(short), 'row has', 'rows have')} fewer cells than columns, first "
            f"{told(short[0])}; what they lack at their end is missing."
        )
    if not long:
        return names, width
    one_more = widths == {width + 1}
    if one_more and not any(row[-1] for _, row in long):
        notes.append(f"Every row ends in an empty cell without a name, first {told(long[0][0])}.")
        return names, width + 1
    if one_more and _name_rows(long, separator):
        notes.append(
            "The first column has no name; it was taken for the names of rows, "
            f"first {told(long[0][0])}."
        )
        return ["index", *names], width + 1
    line, row = long[0]
    commas = separator == "," and may_be_decimals(row)
    raise OutputError(
        f"{file}, {told(line)}: {count_text(len(row), 'cell')} for {count_text(width, 'column')}"
        + (": its commas may be decimal commas, or a name is missing." if commas else "."),
        hint="Let the program separate cells with semicolons or tabs, or write decimal points."
        if commas
        else "Give every column a name, and every row as many cells.",
    )


def _name_rows(rows: Sequence[tuple[str, list[str]]], separator: str) -> bool:
    """Whether the first cells are R's names of rows, whose column has no name."""
    first = [row[0] for _, row in rows]
    unsure = separator == "," and any(may_be_decimals(row) for _, row in rows)
    quoted = all(line.lstrip().startswith(('"', "'")) for line, _ in rows)
    told = first == [str(i + 1) for i in range(len(first))] or not any(map(is_number, first))
    return len({*first}) == len(first) and (quoted or (told and not unsure))


def _below_first(lines: Sequence[str]) -> list[str]:
    """Return the lines below the first that is not blank."""
    return list(lines[1 + next(i for i, line in enumerate(lines) if line.strip()) :])


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith(COMMENTS)


def _sample(lines: Sequence[str]) -> list[str]:
    return [line for line in lines[: 2 * _SAMPLE] if not _is_comment(line)][:_SAMPLE]


def _separator(lines: Sequence[str], order: str) -> tuple[str, int]:
    """Return what separates the cells of `lines`, and how many titles precede them.

    It gives every line the same number of cells; the fewer lines stay out as titles (of a
    single cell), the better. R's header lacks a name for the names of rows.
    """
    found = []
    for rank, separator in enumerate([*order, SPACES]):
        try:
            rows = cells_of(lines, separator)
        except OutputError:  # a line of a wide table is one long cell to others
            continue
        titles = next((i for i, row in enumerate(rows) if len(row) > 1), len(rows))
        widths = [len(row) for row in rows[titles:]]
        table = bool(widths) and len({*widths[1:]}) <= 1
        short = table and len(widths) > 1 and widths[0] != widths[1]
        if not table or (short and widths[0] != widths[1] - 1):
            continue
        numbers = [sum(map(is_number, filter(None, row))) for row in rows[titles:]]
        headed = len(numbers) > 1 and not numbers[0] and all(numbers[1:])
        if (titles or short) and not headed:
            continue
        if separator == SPACES and sum(numbers[1:] or numbers) * 2 < sum(widths[1:] or widths):
            continue  # words
        found.append((short, titles, rank, separator))
    if found:
        return min(found)[3], min(found)[1]
    return next((s for s in order if lines and s in lines[0]), order[0]), 0


def _columns(layout: _Layout, path: Path, notes: list[str], said: list[str]) -> Table:
    """Return the columns as numbers where all cells are; `said`: what others read otherwise."""
    frame = _parsed(layout, path)
    numeric = [
        # Above, a float does not hold every whole number.
        kind in "biu" or (kind == "f" and not bool((frame.iloc[:, i].abs() >= 2**53).any()))
        for i, kind in enumerate(dtype.kind for dtype in frame.dtypes)
    ]
    words = frame if all(numeric) else _parsed(layout, path, words=True)
    texts = [_written(words.iloc[:, i]) for i, done in enumerate(numeric) if not done]
    comma = has_decimal_comma(texts, layout.separator)
    if comma:
        said.append("The numbers were read with a decimal comma.")
    columns: Table = {}
    for i, name in enumerate(layout.names):
        values: np.ndarray = frame.iloc[:, i].to_numpy()
        if len(values) == 0:
            values = values.astype(float)  # nothing found is no text
        elif comma or not numeric[i]:
            numbers = as_numbers(_written(words.iloc[:, i]), name, said, comma=comma)
            if numbers is not None:
                values = numbers
            elif values.dtype.kind not in "biuf":
                values = words.iloc[:, i].to_numpy().astype(object)
                given = [t for t in _written(words.iloc[:, i]) if t.lower() not in NOTHING]
                odd = [cell for cell in given if not is_number(cell)]
                if odd and 2 * len(odd) <= len(given):
                    notes.append(
                        f"The column “{name}” was read as text: of its {len(given)} cells "
                        f"{count_text(len(odd), 'is no number', 'are no numbers')}, "
                        f"first “{odd[0][:60]}”."
                    )
        columns[name] = values
    return columns


def _written(column: pd.Series[str]) -> list[str]:
    return [str(cell).strip() for cell in column]


def _parsed(layout: _Layout, path: Path, *, words: bool = False) -> pd.DataFrame:
    """Parse the rows; with `words`, every cell stays the text that it is."""
    import pandas as pd

    # since 3.1 it reads every float exactly by itself and deprecates the option
    old = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)
    exact: dict[str, Any] = {"float_precision": "round_trip"} if old else {}
    spaced = layout.separator == SPACES
    dummy = (SPACES if spaced else layout.separator).join(map(str, range(layout.width)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Columns of several types are read again as words.
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            frame: pd.DataFrame = pd.read_csv(
                io.StringIO("\n".join([dummy, *layout.lines])),
                sep=r"\s+" if spaced else layout.separator,
                skipinitialspace=True,
                index_col=False,
                keep_default_na=not words,
                dtype=object if words else None,
                **exact,
            )
        return frame
    except (ValueError, pd.errors.ParserWarning, csv.Error) as error:  # pandas' own are the first
        raise OutputError(
            f"{path.name} is no table: {error}", hint="Open it in a text editor."
        ) from error
