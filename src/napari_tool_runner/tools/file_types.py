"""What a file is: by its name, and by its first bytes."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from napari_tool_runner.errors import OutputError
from napari_tool_runner.sealed import kind, open_file, read_bytes
from napari_tool_runner.tools.formats import FORMATS, Format, Formats, Trait

__all__ = ["check_pages", "content_type", "file_type", "has_zarr_attributes", "told_by_content"]

_HEAD = 65536
_METADATA = 16 * 2**20  # bytes; metadata of a plate with thousands of fields have 1 MB
# Where, which bytes, name of the format, what people call it.
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"II*\0", "tiff", "TIFF"),
    (0, b"MM\0*", "tiff", "TIFF"),
    (0, b"II+\0", "tiff", "BigTIFF"),
    (0, b"MM\0+", "tiff", "BigTIFF"),
    (0, b"\x89PNG\r\n\x1a\n", "png", "PNG"),
    (0, b"\xff\xd8\xff", "jpg", "JPEG"),
    (0, b"GIF8", "gif", "GIF"),
    (0, b"\x93NUMPY", "npy", "NumPy"),
    (0, b"\x89HDF\r\n\x1a\n", "h5", "HDF5"),
    (0, b"NRRD000", "nrrd", "NRRD"),
    (0, b"ply\n", "ply", "PLY"),
    (0, b"ply\r\n", "ply", "PLY"),
    (0, b"%PDF", "pdf", "PDF"),
    (0, b"SQLite format 3\0", "sqlite", "SQLite"),
    (0, b"PK\x03\x04", "zip", "zip archive"),
    (0, b"\x1f\x8b", "gz", "gzip"),
    (257, b"ustar", "tar", "tar archive"),
)
_ZARR_ATTRIBUTES = ("zarr.json", ".zattrs")
_ZARR_MARKS = (*_ZARR_ATTRIBUTES, ".zgroup", ".zarray")


_MANY_PAGES = 10_000
_LEAST_OF_A_PAGE = 16  # bytes besides what tells of it


def check_pages(file: BinaryIO, name: str) -> bool:
    """Refuse a TIFF whose pages are too many for it; say whether all of them are there.

    `file` is left at its beginning.

    Each page says where the next one is. What is led in a circle, or over the same bytes again
    and again, would be read for hours: tifffile knows few of the circles.

    Raises
    ------
    OutputError
        More pages than there are bytes for, pages without pixels, or the next one is beyond
        the end of the file.
    """
    try:
        return _follow_pages(file, name)
    except struct.error:
        return False  # it ends in the middle of a page, which tifffile tells
    finally:
        file.seek(0)


def _follow_pages(file: BinaryIO, name: str) -> bool:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"EP": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return False
    large = struct.unpack(f"{order}H", head[2:4])[0] == 43
    wide = large or name.lower().endswith(".ndpi")
    if size >= 2**32 and not wide:
        return False  # larger than its offsets can tell: of an instrument that tifffile knows
    count, offset = f"{order}{'Q' if large else 'H'}", f"{order}{'Q' if wide else 'I'}"
    (place,) = struct.unpack_from(offset, head, 8 if large else 4)
    seen, used = {0}, 0
    while place not in seen:
        if place >= size and used:
            raise OutputError(
                f"{name} is truncated: of more pages than {len(seen) - 1} the rest is missing.",
                hint="What wrote it stopped too early, or the disk was full.",
            )
        seen.add(place)
        file.seek(place)
        (tags,) = struct.unpack(count, file.read(struct.calcsize(count)))
        length = tags * (20 if large else 12)
        used += length + struct.calcsize(count) + struct.calcsize(offset)
        if used > size:
            break
        file.seek(length, os.SEEK_CUR)
        (place,) = struct.unpack(offset, file.read(struct.calcsize(offset)))
    if used > size or place:
        raise OutputError(
            f"{name} is damaged: its pages lie over one another, or follow in a circle.",
            hint="Write it again.",
        )
    if len(seen) > _MANY_PAGES and size - used < _LEAST_OF_A_PAGE * len(seen):
        raise OutputError(
            f"{name} has {len(seen) - 1:,} pages with hardly any pixels in them; it was not read.",
            hint="Write it again, with the pages that hold images.",
        )
    return True


def content_type(path: Path, root: Path | None = None) -> tuple[str, str] | None:
    """Return what the first bytes of a file (or the look of a folder) say it is.

    Parameters
    ----------
    root : Path, optional
        The folder of the program that made it, see `sealed`.

    Returns
    -------
    (name of the format, what people call it), or None when nothing is sure.

    Raises
    ------
    OSError, OutputError
        It cannot be read, or is no plain file.
    """
    if _is_folder(path, root):
        known = any(_is_there(path / mark, root) for mark in _ZARR_MARKS)
        return ("zarr", "Zarr") if known else None
    with open_file(path, root) as file:
        return _binary(file.read(512))


def has_zarr_attributes(path: Path, root: Path | None = None) -> bool:
    """Whether a folder is a Zarr store that may say something of its content."""
    return any(_is_there(path / name, root) for name in _ZARR_ATTRIBUTES)


def _is_folder(path: Path, root: Path | None) -> bool:
    return path.is_dir() if root is None else kind(path, root) == "folder"


def _is_there(path: Path, root: Path | None) -> bool:
    return path.exists() if root is None else bool(kind(path, root))


def file_type(
    path: Path, expected: Sequence[str] = (), formats: Formats = FORMATS, root: Path | None = None
) -> str:
    """Return the format of a file or folder, by its suffix and then its content.

    `expected`: names that win when the suffix allows several (``ply``: ``plyascii``).
    `root`: the folder of the program that made it, see `sealed`.
    """
    found = formats.of_file(path.name)
    suffix = next((entry.extension for entry in found[:1]), "")
    by_name = [formats.canonical(entry.name) for entry in found if entry.extension == suffix]
    if _is_folder(path, root):
        if has_zarr_attributes(path, root):
            return _zarr_name(path, suffix, root)
        return by_name[0].name if by_name and by_name[0].directory else "directory"
    if not path.is_file():  # a pipe would be waited for
        return by_name[0].name if by_name else "data"
    loose = any(Trait.LOOSE in entry.traits for entry in by_name)
    for name in () if loose else expected:
        wanted = formats.canonical(name)
        if wanted in by_name:
            return wanted.name
        if any(formats.is_of_type(entry.name, wanted.name) for entry in by_name):
            return by_name[0].name
    try:
        with open_file(path, root) as file:
            head = file.read(_HEAD)
            name = _by_content(file, head) if loose or not by_name else by_name[0].name
    except (OSError, OutputError):  # who opens it says why it cannot be read
        return by_name[0].name if by_name else "data"
    if loose and name == "csv":  # a comma proves little in a text
        name = by_name[0].name
    return "ome.tiff" if name == "tiff" and b"<OME" in head[:4096] else name


def told_by_content(path: Path, formats: Formats) -> Format | None:
    """Return what the content of a file says it is, where its name says nothing, or little.

    None: the name says it, or the content says nothing.
    """
    named = formats.of_file(path.name)[:1]
    if not path.is_file() or any(Trait.LOOSE not in one.traits for one in named):
        return None
    if named:
        return formats.get(file_type(path, formats=formats))
    found = content_type(path)
    return formats.get(found[0]) if found else None


def _zarr_name(path: Path, suffix: str, root: Path | None) -> str:
    if suffix == ".ome.zarr":
        return "ome_zarr"
    for name in _ZARR_ATTRIBUTES:
        try:
            content = json.loads(read_bytes(path / name, root, limit=_METADATA))
        except (OSError, OutputError, ValueError, RecursionError):
            continue
        told = content.get("attributes", content) if isinstance(content, dict) else None
        if isinstance(told, dict) and ("multiscales" in told or "ome" in told):
            return "ome_zarr"
    return "zarr"


def _binary(head: bytes) -> tuple[str, str] | None:
    for offset, magic, name, title in _MAGIC:
        if head.startswith(magic, offset):
            return name, title
    # Two letters are no proof: a table may begin with “BMI”.
    return ("bmp", "BMP") if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0" else None


def _by_content(file: BinaryIO, head: bytes) -> str:
    known = _binary(head)
    if known is not None:
        return known[0]
    from zipfile import is_zipfile

    if is_zipfile(file):
        return "zip"
    return "data" if b"\0" in head else _text_name(head.decode("utf-8", errors="replace"))


def _text_name(text: str) -> str:
    start = text.lstrip()
    if start.startswith(("{", "[")):
        if '"FeatureCollection"' in start:
            return "geojson"
        with suppress(ValueError, RecursionError):
            json.loads(start)
            return "json"
    if start[:200].lower().startswith(("<!doctype html", "<html")):
        return "html"
    if start.startswith(("<?xml", "<svg")):
        return "xml"
    if start.startswith("solid "):
        return "stl"
    lines = [line for line in re.split(r"\r\n?|\n", text)[:60] if line.strip() and line[0] != "#"]
    # above the columns of a tabular there may be a title
    for separator, name, skip in (("\t", "tabular", 1), (",", "csv", 0)):
        counts = {line.count(separator) for line in lines[skip:]}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return name
    return "txt"
