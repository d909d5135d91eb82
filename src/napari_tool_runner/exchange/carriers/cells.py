"""What the cells of a table's text say: numbers, names, units below the names."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

__all__ = [
    "NOTHING",
    "WHOLE",
    "as_numbers",
    "grouped_names",
    "has_decimal_comma",
    "is_number",
    "may_be_decimals",
    "unique_names",
    "units_line",
]

NOTHING = {"", "na", "n/a", "nan", "-nan", "none", "null"}
WHOLE = re.compile(r"[+-]?\d+")
# A number, maybe with groups of thousands; where only the groups say what a comma means.
_PLAIN = r"[+-]?(?:(?:\d+(?:{0}\d*)?|{0}\d+)(?:[eE][+-]?\d+)?|(?i:inf(?:inity)?))"
COMMA = re.compile(_PLAIN.format(",") + r"|[+-]?[1-9]\d{0,2}(?:[.' \u00a0\u202f]\d{3})+(?:,\d+)?")
POINT = re.compile(_PLAIN.format(r"\.") + r"|[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_UNIT = re.compile(r"[(\[].*[)\]]|px|pixels?|[nµμum]m[²³23]?|microns?|s|sec|seconds?|frames?|%")


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
