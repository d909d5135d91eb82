"""Tables as text and as files: CSV; Parquet and Excel where a library for them is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.quoting import one_line
from napari_tool_runner.storage import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "as_text", "save_table"]

KINDS = {"CSV (*.csv)": ".csv", "Parquet (*.parquet)": ".parquet", "Excel (*.xlsx)": ".xlsx"}
"""What a file dialog says of a kind of file -> its extension."""
_LIBRARIES = {".parquet": ("pyarrow", "fastparquet"), ".xlsx": ("openpyxl",)}
_MOST_EXCEL = (1_048_575, 16_384)
_LONGEST_EXCEL = 32_767


def save_table(frame: pd.DataFrame, path: Path, kind: str = ".csv") -> Path:
    """Write a table whole; a name without one of the known extensions gets that of `kind`.

    Raises
    ------
    OSError
        The file cannot be written; one that was there is as it was.
    ParameterError
        No library for such a file is installed, or it cannot hold the table: what was there
        is as it was.
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
    with replacing(path) as draft:
        try:
            if kind == ".parquet":
                frame.to_parquet(draft, index=False)
            elif kind == ".xlsx":
                _write_excel(frame, draft)
            else:
                frame.to_csv(draft, index=False)
        except (OSError, ParameterError):
            raise
        except Exception as error:  # the libraries raise anything
            raise ParameterError(
                f"{path.name}: no {kind} file holds this table: {one_line(str(error))}",
                hint=f"Save it as {'Parquet' if kind == '.csv' else 'CSV'}.",
            ) from error
    return path


def _write_excel(frame: pd.DataFrame, path: Path) -> None:
    """Write texts as texts, also those that Excel would take for formulas."""
    from pandas import ExcelWriter

    rows, columns = _MOST_EXCEL
    texts = (len(v) for name, of in frame.items() for v in (name, *of) if isinstance(v, str))
    too_much = {
        f"{rows:,} rows, and the table has {len(frame):,}": len(frame) > rows,
        f"{columns:,} columns, and the table has {frame.shape[1]:,}": frame.shape[1] > columns,
        f"cells of {_LONGEST_EXCEL:,} signs, and a text is longer": max(texts, default=0)
        > _LONGEST_EXCEL,
    }
    if limit := next((limit for limit, met in too_much.items() if met), ""):
        raise ParameterError(f"An Excel sheet holds {limit}.", hint="Save it as CSV or Parquet.")
    with path.open("wb") as stream, ExcelWriter(stream, engine="openpyxl") as writer:
        frame.to_excel(writer, index=False, sheet_name="Table")
        for row in writer.sheets["Table"].iter_rows():
            for cell in row:
                if cell.data_type in ("f", "e"):  # a formula, an error
                    cell.data_type, cell.quotePrefix = "s", True


def as_text(frame: pd.DataFrame, titles: list[str]) -> str:
    """Return lines separated by tabs, with all digits, as spreadsheets take them."""
    text: str = frame.to_csv(sep="\t", index=False, header=titles, lineterminator="\n")
    return text
