"""The text of a table and what its cells say: numbers, names, units below the names; quotes."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from napari_tool_runner._lazy import compiled, np
from napari_tool_runner.errors import OutputError
from napari_tool_runner.names import count_text
from napari_tool_runner.sealed import read_bytes

__all__ = [
    "COMMENTS",
    "NOTHING",
    "SNIFF",
    "SPACES",
    "WHOLE",
    "as_numbers",
    "cells_of",
    "decoded",
    "grouped_names",
    "has_decimal_comma",
    "is_number",
    "may_be_decimals",
    "open_quote",
    "table_text",
    "unique_names",
    "units_line",
    "with_comments",
    "with_lines",
    "with_quotes",
    "write_rows",
]

SPACES = " "
SNIFF = 64 * 1024
"""Bytes that tell how a table is written."""
COMMENTS = ("#", "%", ";;", "//")
NOTHING = {"", "na", "n/a", "nan", "-nan", "none", "null"}
WHOLE = compiled(r"[+-]?\d+")
# A number, maybe with groups of thousands; where only the groups say what a comma means.
_PLAIN = r"[+-]?(?:(?:\d+(?:{0}\d*)?|{0}\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?))"
COMMA = compiled(_PLAIN.format(",") + r"|[+-]?[1-9]\d{0,2}(?:[.' \u00a0\u202f]\d{3})+(?:,\d+)?")
POINT = compiled(_PLAIN.format(r"\.") + r"|[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
GROUPS = compiled(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_UNIT = compiled(r"[(\[].*[)\]]|px|pixels?|[nµμum]m[²³23]?|microns?|s|sec|seconds?|frames?|%")


def cells_of(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the cells of lines, without the blanks around them."""
    return [cells for _, cells in with_lines(lines, separator)]


def with_lines(lines: Sequence[str], separator: str) -> Iterator[tuple[str, list[str]]]:
    """Yield every row that is not blank: its last line, and its cells.

    Raises
    ------
    OutputError
        A cell is longer than any, as where another sign parts the cells.
    """
    plain = map(" ".join, map(str.split, lines)) if separator == SPACES else lines
    rows = csv.reader(plain, delimiter=separator, skipinitialspace=True)
    while (row := _next(rows)) is not None:
        cells = [cell.strip() for cell in row]
        if len(cells) > 1 or any(cells):
            yield lines[rows.line_num - 1], cells


def _next(rows: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        raise OutputError(
            f"The table cannot be read: {error}.",
            hint="Let the tool close its quotes, and write shorter cells.",
        ) from error


def with_comments(rows: Iterable[list[str]], separator: str) -> Iterator[list[str]]:
    """Yield rows; a comment above the first one is one cell, unless it may be the names."""
    begin: list[list[str]] = []
    for row in (given := iter(rows)):
        begin.append(row)
        if not row[0].lstrip().startswith(COMMENTS):
            break
    width = len(begin[-1]) if begin else 0
    yield from (row if len(row) == width else [separator.join(row)] for row in begin)
    yield from given


def with_quotes(text: str) -> str:
    """Return the text of a table in which quotes are quotes.

    Between tabs they are characters to Galaxy and to most programs, but R and pandas quote
    cells. Where a quote is not closed in its row, all are characters: they are put in quotes.
    """
    if '"' not in text or "\t" not in text:
        return text
    lines = re.split(r"\r\n|\r|\n", text)
    rows = csv.reader(lines, delimiter="\t", skipinitialspace=True, strict=True)
    try:
        if sum(1 for _ in rows) == rows.line_num:
            return text
        odd = False
    except csv.Error:
        odd = True
    told = [line for line in lines if line.strip() and not line.startswith(COMMENTS)]
    even = len({line.count("\t") for line in told}) == 1
    if not (odd or even) or not told[0].count("\t") or re.match(r'"[^"\t]*"(\t|$)', told[0]):
        return text  # cells of several lines; no tabs between names; names in quotes
    return "\n".join(
        "\t".join('"' + cell.replace('"', '""') + '"' if '"' in cell else cell for cell in cells)
        for cells in (line.split("\t") for line in lines)
    )


def open_quote(lines: Sequence[str], separator: str) -> str:
    """Return the line in which a quote opens that nothing closes; empty: there is none."""
    end, begin = "\0", 0
    rows = csv.reader([*lines, end], delimiter=separator, skipinitialspace=True)
    try:
        for row in rows:
            if rows.line_num > len(lines):
                return "" if row == [end] else lines[begin]
            begin = rows.line_num
    except csv.Error:  # a cell is longer than any
        return lines[begin]
    return ""


def write_rows(rows: Iterable[Sequence[str]], file: TextIO, *, tabs: bool) -> list[str]:
    """Write rows of cells, quoted where they must be; return a note on quotes between tabs."""
    quoted = 0
    writer = csv.writer(file, delimiter="\t" if tabs else ",", lineterminator="\n")
    for row in rows:
        line = "\t".join(row)
        if tabs and not re.search(r'(^|\t) *"|[\r\n]', line) and line.count("\t") < len(row):
            file.write(f"{line}\n")  # most programs know no quotes between tabs
        else:
            quoted += tabs
            writer.writerow(row)
    held = count_text(quoted, "row holds", "rows hold")
    told = f"{held} a tab, a line break or a quote within a cell, which is in quotes."
    return [told] if quoted else []


def is_number(cell: str) -> bool:
    """Whether a cell says a number, or that there is none."""
    try:
        float(cell or "nan")
    except ValueError:
        return bool(COMMA.fullmatch(cell))
    return True


def may_be_decimals(row: Sequence[str]) -> bool:
    """Whether a comma between two cells may be one within a number."""
    pairs = [f"{a},{b}" for a, b in itertools.pairwise(row) if a and b]
    return any(COMMA.fullmatch(pair) or POINT.fullmatch(pair) for pair in pairs)


def units_line(rows: Sequence[Sequence[str]]) -> int:
    """Return which row below the header holds units, with words above it; 0: none does.

    Columns whose next rows are numbers say their unit there, as in TrackMate's tables.
    """
    for i, row in enumerate(rows[1:4], start=1):
        if any(cell and is_number(cell) for cell in row):
            return 0
        below = rows[i + 1 : i + 6]
        of_numbers = [
            cell
            for cell, *others in zip(row, *below, strict=False)
            if cell and any(o and is_number(o) for o in others)
        ]
        if 2 * sum(bool(_UNIT.fullmatch(cell)) for cell in of_numbers) > len(of_numbers):
            return i
    return 0


def grouped_names(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the names in the second of two lines; empty where there is one.

    The first says the group of each, as CellProfiler's object (``Image,Nuclei,Nuclei``); it
    is put before a name that is in several groups.
    """
    if len(rows) < 3 or len({*rows[0]}) == len(rows[0]) or len(rows[0]) != len(rows[1]):
        return []
    if any(cell and is_number(cell) for cell in rows[1]) or not any(map(is_number, rows[2])):
        return []
    if units_line(rows) or len({*rows[1]}) == 1:
        return []
    groups = list(rows[0])
    for i in range(1, len(groups)):
        groups[i] = groups[i] or groups[i - 1]
    return [
        f"{group}_{name}".strip("_") if rows[1].count(name) > 1 else name
        for group, name in zip(groups, rows[1], strict=True)
    ]


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of columns, each once; what pandas writes for its index has no name."""
    found: dict[str, None] = {}
    used = Counter[str]()
    for i, name in enumerate(names):
        one = plain = name or ("index" if i == 0 else f"column-{i + 1}")
        while one in found:
            used[plain] += 1
            one = f"{plain}.{used[plain]}"
        found[one] = None
    return tuple(found)


def has_decimal_comma(texts: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether the columns that are no plain numbers are some with a decimal comma.

    ``1,234`` may be either: where commas separate cells it has a group of thousands.
    """
    found = False
    for column in texts:
        cells = [cell for cell in column if cell.lower() not in NOTHING]
        if any("," in cell and "." in cell and GROUPS.fullmatch(cell) for cell in cells):
            return False
        commas = [cell for cell in cells if "," in cell]
        if commas and all(map(COMMA.fullmatch, cells)):
            found |= separator != "," or not all(map(GROUPS.fullmatch, commas))
    return found


def as_numbers(
    cells: Sequence[str], name: str, notes: list[str], *, comma: bool
) -> np.ndarray | None:
    """Return cells as numbers, None when they are none; whole ones keep every digit."""
    given = [cell for cell in cells if cell.lower() not in NOTHING]
    if not given or not all(map((COMMA if comma else POINT).fullmatch, given)):
        return None
    group = r"[.' \u00a0\u202f]" if comma else ","
    plain = [re.sub(group, "", cell).replace(",", ".") for cell in cells]
    grouped = next((i for i, cell in enumerate(cells) if re.search(group, cell)), None)
    if grouped is not None:
        notes.append(f"“{cells[grouped]}” in the column “{name}” was read as {plain[grouped]}.")
    missing = [cell.lower() in NOTHING for cell in cells]
    if all(WHOLE.fullmatch(p) for p, none in zip(plain, missing, strict=True) if not none):
        whole = [int(p) for p, none in zip(plain, missing, strict=True) if not none]
        low, high = min(whole), max(whole)
        if not any(missing) and (high < 2**63 or low >= 0) and -(2**63) <= low <= high < 2**64:
            return np.array(whole, np.int64 if high < 2**63 else np.uint64)
        if max(high, -low) > 2**53:
            rest = iter(whole)
            return np.array([None if none else next(rest) for none in missing], dtype=object)
    return np.array([np.nan if n else float(p) for p, n in zip(plain, missing, strict=True)])


def table_text(path: Path, root: Path | None) -> str:
    """Return the text of a table, whatever its encoding; OutputError: there is none."""
    return decoded(read_bytes(path, root), path.name)


def decoded(raw: bytes, name: str = "The file") -> str:
    """Return the text of a table.

    Raises
    ------
    OutputError
        There is none.
    """
    begin, encoding = raw[:SNIFF], "utf-8-sig"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\x00" in begin:
        odd = 4 * begin[1::2].count(0) > len(begin) > 4 * begin[::2].count(0) * 8
        even = 4 * begin[::2].count(0) > len(begin) > 4 * begin[1::2].count(0) * 8
        encoding = "utf-16-le" if odd else "utf-16-be" if even else ""
    if not encoding:
        raise OutputError(
            f"{name} is binary, not a table.",
            hint="Check that it is of the format that the descriptor declares for it.",
        )
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return raw.decode("latin-1")
