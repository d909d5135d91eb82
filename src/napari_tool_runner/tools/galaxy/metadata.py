"""Metadata of a dataset, as Galaxy's datatypes would have set them.

Read from the file only when somebody asks, and only the part of the file that
answers; a value that the caller gives (``DataFile.metadata``) wins.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import OutputError
from napari_tool_runner.tools.file_types import check_pages
from napari_tool_runner.tools.formats import Carrier, LayerKind

if TYPE_CHECKING:
    import tifffile

    from napari_tool_runner.tools.dialect import DataFile
    from napari_tool_runner.tools.formats import Formats

__all__ = ["dataset_metadata", "unique_values"]

_SIZES = {"width": "X", "height": "Y", "channels": "C", "depth": "Z", "frames": "T"}
_SAMPLE_LINES = 100_000
_TYPED_LINES = 1000
_MANY_VALUES = 1 << 16


def dataset_metadata(dataset: DataFile, formats: Formats) -> dict[str, object]:
    """Return the metadata of `dataset`; what cannot be read is absent.

    `formats`: those of the tool.
    Images have ``axes dtype width height channels depth frames`` (lists when a TIFF
    holds several series), tables ``columns column_types column_names data_lines
    delimiter``, zarr stores ``store_root zarr_format``. See also `unique_values`.
    """
    found: dict[str, object] = {"dbkey": "?"}
    reader = _reader(dataset.format, formats)
    if reader is not None and dataset.path.exists():
        # as in Galaxy, a file that cannot be read has no metadata
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, RuntimeError):
            found |= reader(dataset.path)
    return {**found, **dataset.metadata}


def unique_values(dataset: DataFile, formats: Formats) -> int | list[int] | None:
    """Count the distinct pixel values of an image; reads all of it.

    Returns
    -------
    int, list of int or None
        A list when a TIFF holds several series; None when it cannot be told.
        Counting stops beyond 65,536.
    """
    try:
        if formats.family(dataset.format) is Carrier.TIFF:
            with _opened(dataset.path) as tif:
                counts = [_count(page.asarray() for page in s.pages if page) for s in tif.series]
            return counts[0] if len(counts) == 1 else counts
        if LayerKind.IMAGE in formats.canonical(dataset.format).kinds:
            from PIL import Image

            with Image.open(dataset.path) as image:
                return sum(count > 0 for count in image.histogram())
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None
    return None


def _count(pages: Iterator[np.ndarray]) -> int:
    found: np.ndarray | None = None
    for page in pages:
        values = np.unique(page)
        found = values if found is None else np.union1d(found, values)
        if found.size > _MANY_VALUES:
            break
    return 0 if found is None else int(found.size)


def _reader(name: str, formats: Formats) -> Callable[[Path], dict[str, object]] | None:
    known = formats.canonical(name)
    family = formats.family(name)
    if family in (Carrier.TABLE, Carrier.ARRAY, Carrier.NUMBER):
        return partial(_table, delimiter=known.delimiter)
    if family in (Carrier.TIFF, Carrier.ZARR):
        return _tiff if family is Carrier.TIFF else _zarr
    if LayerKind.IMAGE in known.kinds:
        return _pillow  # which tells quickly what it cannot read
    return _text if formats.is_of_type(name, "txt") else None


# -- images --------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF, without the files that it names; raises ValueError for a damaged one."""
    import tifffile

    with path.open("rb") as file:
        try:
            check_pages(file, path.name)
        except OutputError as error:
            raise ValueError(str(error)) from error
        with tifffile.TiffFile(file, _multifile=False) as tif:
            yield tif


def _tiff(path: Path) -> dict[str, object]:
    with _opened(path) as tif:
        found = [(series.axes.upper(), series.shape, str(series.dtype)) for series in tif.series]
    columns: dict[str, list[object]] = {
        "axes": [axes for axes, _, _ in found],
        "dtype": [dtype for _, _, dtype in found],
    }
    sizes = [dict(zip(axes.replace("S", "C"), shape, strict=False)) for axes, shape, _ in found]
    for name, axis in _SIZES.items():
        columns[name] = [size.get(axis, 0) for size in sizes]
    return {
        name: values[0] if len(values) == 1 else values
        for name, values in columns.items()
        if values
    }


def _pillow(path: Path) -> dict[str, object]:
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
        corner = np.array(image.crop((0, 0, min(2, width), min(2, height))))
        return {
            "width": width,
            "height": height,
            "depth": 0,
            "frames": getattr(image, "n_frames", 0),
            "dtype": str(corner.dtype),
            "axes": "YX" if corner.ndim == 2 else "YXC",
            "channels": 0 if corner.ndim == 2 else int(corner.shape[2]),
        }


def _zarr(path: Path) -> dict[str, object]:
    found: dict[str, object] = {"store_root": path.name}
    for name in ("zarr.json", ".zgroup", ".zarray"):
        file = path / name
        if file.is_file():
            found["zarr_format"] = json.loads(file.read_text(encoding="utf-8"))["zarr_format"]
            break
    return found


# -- tables --------------------------------------------------------------------------


def _table(path: Path, delimiter: str) -> dict[str, object]:
    rows = list(_rows(path, delimiter))
    columns = max((len(row) for row in rows[:_TYPED_LINES]), default=0)
    header = bool(rows) and len(rows) > 1 and not any(_kind(cell) != "str" for cell in rows[0])
    # Galaxy takes the first line of a tabular for data unless it is a comment
    body = rows[1:] if header and delimiter != "\t" else rows
    typed = rows[1:_TYPED_LINES] if header else rows[:_TYPED_LINES]
    return {
        "columns": columns,
        "column_types": [
            _column_kind([row[index] for row in typed if index < len(row)])
            for index in range(columns)
        ],
        "column_names": rows[0] if header else [],
        "data_lines": len(body),
        "comment_lines": 0,
        "delimiter": delimiter,
    }


def _rows(path: Path, delimiter: str) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        for number, row in enumerate(csv.reader(stream, delimiter=delimiter)):
            if number >= _SAMPLE_LINES:
                return
            if row and not row[0].startswith("#"):
                yield row


def _kind(cell: str) -> str:
    for name, convert in (("int", int), ("float", float)):
        try:
            convert(cell)
        except ValueError:
            continue
        return name
    return "str"


def _column_kind(cells: list[str]) -> str:
    kinds = {_kind(cell) for cell in cells if cell != ""}
    if not kinds or "str" in kinds:
        return "str"
    return "float" if "float" in kinds else "int"


def _text(path: Path) -> dict[str, object]:
    with path.open("rb") as stream:
        chunks = iter(lambda: stream.read(1 << 20), b"")
        return {"data_lines": sum(chunk.count(b"\n") for chunk in chunks)}
