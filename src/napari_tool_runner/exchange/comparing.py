"""How the data of two files differ: of a run, and of the same run done again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.exchange.blocks import blocks, read
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.names import count_text
from napari_tool_runner.tools.formats import FORMATS, Formats

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import ArrayLike, Table

__all__ = ["same_data"]


def same_data(before: Path, now: Path, fmt: str, formats: Formats = FORMATS) -> str:
    """Say how the pixels or cells of two files differ; empty when they are equal.

    `formats`: those of the tool.

    Raises
    ------
    OutputError
        One of them cannot be read.
    """
    named = (formats.get(fmt), *formats.of_file(now.name)[:1])
    known = next((entry for entry in named if entry is not None and entry.readable), None)
    if known is None:
        return "the bytes differ, and this format cannot be looked into"
    old, new = (read_file(path, known, name=fmt) for path in (before, now))
    if isinstance(old.data, dict) and isinstance(new.data, dict):
        return _table_difference(old.table, new.table)
    if hasattr(old.data, "shape") and hasattr(new.data, "shape"):
        return _pixel_difference(old.pixels, new.pixels)
    return "the bytes differ"


def _table_difference(old: Table, new: Table) -> str:
    if list(old) != list(new):
        return f"the columns were {', '.join(old)} and are {', '.join(new)}"
    for name, column in old.items():
        if len(column) != len(new[name]):
            return f"it had {count_text(len(column), 'row')}, now {len(new[name])}"
        if not np.array_equal(column, new[name], equal_nan=column.dtype.kind == "f"):
            return f"the column “{name}” has other values"
    return ""


def _pixel_difference(old: ArrayLike, new: ArrayLike) -> str:
    if tuple(old.shape) != tuple(new.shape):
        return f"the shape was {tuple(old.shape)} and is {tuple(new.shape)}"
    if old.dtype != new.dtype:
        return f"the type was {old.dtype} and is {new.dtype}"
    different = 0
    for key in blocks(old):
        a, b = read(old, key), read(new, key)
        different += int(np.count_nonzero((a != b) & ((a == a) | (b == b))))  # NaN equals NaN
    return (
        f"{different:,} of {count_text(math.prod(old.shape), 'pixel')} differ" if different else ""
    )
