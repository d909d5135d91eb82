"""BioImageIT's ``type="merge"``: one CSV is built from the numbers of many files."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ExchangeError
from napari_tool_runner.tools.dialect import DataFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["merge_numbers"]


def merge_numbers(files: Sequence[DataFile], target: Path) -> DataFile:
    """Write all numbers of `files` on one line of `target`, in order (``arraycsv``).

    Raises
    ------
    ExchangeError
        A cell is no number.
    """
    numbers = [number for file in files for number in _numbers(file)]
    with target.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerow(numbers)
    return DataFile(target, "arraycsv", ", ".join(file.name for file in files))


def _numbers(file: DataFile) -> Iterator[str]:
    with file.path.open(newline="", encoding="utf-8") as lines:
        for row, cells in enumerate(csv.reader(lines)):
            for cell in cells:
                text = cell.strip()
                if not text:
                    continue
                try:
                    float(text)
                except ValueError as error:
                    if row == 0:  # a header
                        continue
                    raise ExchangeError(
                        f"“{file.name}” holds {text!r}, which is no number.",
                        hint="A merging tool takes files of numbers only.",
                    ) from error
                yield text
