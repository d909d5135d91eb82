"""Tables as text and as files: CSV; Parquet and Excel where a library for them is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.storage import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "as_text", "save_table"]

KINDS = {"CSV (*.csv)": ".csv", "Parquet (*.parquet)": ".parquet", "Excel (*.xlsx)": ".xlsx"}
"""What a file dialog says of a kind of file -> its extension."""
_LIBRARIES = {".parquet": ("pyarrow", "fastparquet"), ".xlsx": ("openpyxl", "xlsxwriter")}
_MOST_EXCEL = 1_048_575


def save_table(frame: pd.DataFrame, path: Path, kind: str = ".csv") -> Path:
    """Write a table whole; a name without one of the known extensions gets that of `kind`.

    Raises
    ------
    OSError
        The file cannot be written; one that was there is as it was.
    ParameterError
        No library for such a file is installed, or it cannot hold the table.
    """
    if path.suffix.lower() not in KINDS.values():
        path = path.with_name(path.name + kind)
    kind = path.suffix.lower()
    needed = _LIBRARIES.get(kind, ())
    if needed and not any(importlib.util.find_spec(name) for name in needed):
        raise ParameterError(
            f"{path.name}: no library that writes {kind} files is installed.",
            hint=f"Install one (pip install {needed[0]}), or save the table as CSV.",
        )
    if kind == ".xlsx" and len(frame) > _MOST_EXCEL:
        raise ParameterError(
            f"An Excel sheet holds {_MOST_EXCEL:,} rows, and the table has {len(frame):,}.",
            hint="Save it as CSV or Parquet.",
        )
    with replacing(path) as draft:
        if kind == ".parquet":
            frame.to_parquet(draft, index=False)
        elif kind == ".xlsx":
            with draft.open("wb") as stream:
                frame.to_excel(stream, index=False)
        else:
            frame.to_csv(draft, index=False)
    return path


def as_text(frame: pd.DataFrame, titles: list[str]) -> str:
    """Return lines separated by tabs, with all digits, as spreadsheets take them."""
    text: str = frame.to_csv(sep="\t", index=False, header=titles, lineterminator="\n")
    return text
