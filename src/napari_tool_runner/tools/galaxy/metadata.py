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
from itertools import zip_longest
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

__all__ = ["dataset_metadata", "page_offsets", "unique_values"]

_SIZES = {"width": "X", "height": "Y", "channels": "C", "depth": "Z", "frames": "T"}
_SAMPLE_LINES = 100_000
_LONG_LINE = 1 << 20
_MANY_VALUES = 1 << 16
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, RuntimeError, csv.Error)


def dataset_metadata(dataset: DataFile, formats: Formats) -> dict[str, object]:
    """Return the metadata of `dataset`; what cannot be read is absent.

    `formats`: those of the tool.
    Images have ``axes dtype width height channels depth frames`` (lists when a TIFF
    holds several series; None: it has the name, but nothing is known), tables ``columns
    column_types column_names data_lines comment_lines delimiter``, zarr stores ``store_root
    zarr_format``. See also `unique_values` and `page_offsets`.
    """
    found: dict[str, object] = {"dbkey": "?"}
    family = formats.family(dataset.format)
    if family in (Carrier.TIFF, Carrier.PICTURE):
        found |= dict.fromkeys(("axes", "dtype", *_SIZES, "num_unique_values"))
        found |= {"offsets": None} if family is Carrier.TIFF else {}
    reader = _reader(dataset.format, formats)
    if reader is not None and dataset.path.exists():
        # as in Galaxy, a file that cannot be read has no metadata
        with contextlib.suppress(*_UNREADABLE):
            found |= reader(dataset.path)
    return {**found, **dataset.metadata}


def page_offsets(dataset: DataFile, formats: Formats) -> list[int] | None:
    """Return where in a TIFF each page begins, in bytes; None for what is none."""
    if formats.family(dataset.format) is not Carrier.TIFF or not dataset.path.is_file():
        return None
    with contextlib.suppress(*_UNREADABLE), _opened(dataset.path) as tif:
        return [page.offset for page in tif.pages]
    return None


def unique_values(dataset: DataFile, formats: Formats) -> int | list[int] | None:
    """Count the distinct pixel values of an image; reads all of it.

    Returns
    -------
    int, list of int or None
        A list when a TIFF holds several series; None when it cannot be told, and for
        all but TIFF and PNG of 8 bits, as in Galaxy. Counting stops beyond 65,536.
    """
    try:
        if formats.family(dataset.format) is Carrier.TIFF:
            with _opened(dataset.path) as tif:
                counts = [_count(page.asarray() for page in s.pages if page) for s in tif.series]
            return counts[0] if len(counts) == 1 else counts
        if LayerKind.IMAGE in formats.canonical(dataset.format).kinds:
            from PIL import Image

            with Image.open(dataset.path) as image:
                clear = "transparency" in image.info
                modes = {"L": "LA", "P": "RGBA", "RGB": "RGBA"} if clear else {"P": "RGB"}
                pixels = np.asarray(image.convert(modes.get(image.mode, image.mode)))
                one = pixels.dtype == np.uint8 and getattr(image, "n_frames", 1) == 1
                return int(np.unique(pixels).size) if one and image.format == "PNG" else None
    except _UNREADABLE:
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
    if formats.is_of_type(name, "tabular"):
        return _tabular
    if family in (Carrier.TABLE, Carrier.ARRAY, Carrier.NUMBER):
        return partial(_separated, delimiter=known.delimiter)
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


def _tabular(path: Path) -> dict[str, object]:
    """Read lines of tabs: the first one counts where no other has a column."""
    first: list[int] = []
    ranks: list[int] = []
    counts = {"data_lines": 0, "comment_lines": 0}
    whole = True
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(iter(partial(stream.readline, _LONG_LINE), "")):
            fields = line.rstrip("\r\n")
            if not fields or fields.startswith("#"):
                counts["comment_lines"] += 1
                continue
            counts["data_lines"] += 1
            found = [_rank(field) for field in fields.split("\t")]
            if number == 0:
                first = found
            else:
                ranks = [max(pair) for pair in zip_longest(ranks, found, fillvalue=-1)]
            if counts["data_lines"] >= _SAMPLE_LINES:
                whole = not stream.read(1)
                break
    ranks = [rank if rank >= 0 else one for rank, one in zip_longest(ranks, first, fillvalue=-1)]
    return {
        **(counts if whole else dict.fromkeys(counts)),
        "columns": len(ranks),
        "column_types": [_KINDS[rank] for rank in ranks],
        "column_names": [],
        "delimiter": "\t",
    }


def _separated(path: Path, delimiter: str) -> dict[str, object]:
    """Read rows with quotes; the first one names the columns, the second tells their types."""
    rows: list[list[str]] = []
    lines = 0
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for row in reader:
            rows += [row] if len(rows) < 2 else []
        lines = reader.line_num - 1 if len(rows) > 1 else 0
    header, data = [*rows, [], []][:2]
    kinds = [_KINDS[rank] if (rank := _rank(cell)) in (0, 1) else "str" for cell in data]
    return {
        "data_lines": lines,
        "comment_lines": int(bool(header)),
        "columns": max(len(header), len(data)),
        "column_types": kinds,
        "column_names": header,
        "delimiter": delimiter,
    }


_KINDS = ("int", "float", "list", "str", "str")  # the last one: of nothing


def _rank(cell: str) -> int:
    """Return the place of a cell's type, the narrowest first; -1: it is empty."""
    for rank, convert in enumerate((int, float)):
        with contextlib.suppress(ValueError):
            if "_" not in cell:
                convert(cell)
                return rank
    if cell.strip().lower() == "na":
        return 1
    return 2 if "," in cell else 3 if cell else -1


def _text(path: Path) -> dict[str, object]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        lines = (line.strip() for line in iter(partial(stream.readline, _LONG_LINE), ""))
        return {"data_lines": sum(bool(line) and line[0] != "#" for line in lines)}
