"""``type="merge"``: a tool that gets all numbers of many datasets in one file."""

from __future__ import annotations

import csv
from pathlib import Path

from napari_tool_runner.errors import TemplateError
from napari_tool_runner.tools.dialect import DataFile, JobPaths, data_files

__all__ = ["merged"]


def merged(name: str, value: object, paths: JobPaths, files: dict[Path, str]) -> object:
    """Return one `DataFile` for `value`; several files become one line of numbers.

    The new file is added to `files`, to be written before the start. One file passes
    unchanged.

    Raises
    ------
    TemplateError
        A file holds no number.
    """
    given = data_files(value)
    if len(given) < 2:
        return given[0] if given else value
    numbers = [text for file in given for text in _numbers(file.path)]
    path = paths.work / f"{name}.csv"
    files[path] = ",".join(numbers) + "\n"
    return DataFile(path, "arraycsv", name)


def _numbers(path: Path) -> list[str]:
    found = []
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                found += [cell.strip() for cell in row if _is_number(cell)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TemplateError(f"The numbers of {path} cannot be read: {error}.") from error
    if not found:
        raise TemplateError(
            f"{path} holds no number to merge.", hint="Give a file with one number in it."
        )
    return found


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
