"""What a TIFF must be to be opened: complete, of tiles and of levels as large as they say."""

from __future__ import annotations

import re
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_tool_runner.errors import OutputError

__all__ = ["bound_tiles", "check_complete", "smaller_levels"]

_PICTURES = frozenset({6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 34933, 50001})
"""Compressions by pictures that have a size of their own: JPEG, JPEG 2000, PNG, WebP."""
_STREAMED = frozenset({33003, 33004, 33005, 34712})
"""Those by JPEG 2000, whose decoder believes the stream, not the boxes around it."""
_SIZ = struct.Struct(">HHIIIIIIIIH")
_MOST_SAMPLES = 4
_PARTS = 1024  # tiles of a tile: a decoder has some kilobytes for each
_UNBOUND = frozenset({22610, 34887, 34934, 50002, 52546})  # JPEG XR, LERC, JPEG XL


def bound_tiles(keyframe: tifffile.TiffPage, name: str) -> None:
    """Have no tile or strip unpack to more than its own size; raises OutputError.

    The other compressions are given the room that they have by tifffile.
    """
    if keyframe.compression in _UNBOUND:
        how_called = tifffile.COMPRESSION(keyframe.compression).name
        raise OutputError(
            f"{name} is compressed by {how_called}, and too large to be opened whole: a tile "
            "of it may fill the memory.",
            hint="Let the tool compress by zlib, zstd or JPEG.",
        )
    if keyframe.compression not in _PICTURES:
        return
    decode = keyframe.decode
    wide, high = keyframe.imagewidth, min(keyframe.rowsperstrip, keyframe.imagelength)
    if keyframe.is_tiled:
        wide, high = keyframe.tilewidth, keyframe.tilelength
    most = wide * high
    streamed = keyframe.compression in _STREAMED

    def bounded(data: bytes | None, index: int, **how: Any) -> Any:
        if data is not None:
            try:
                size = _picture_size((how.get("jpegheader") or b"") + data)
                if streamed:
                    size = max(size, _stream_size(data, keyframe.samplesperpixel))
            except (OSError, ValueError, SyntaxError) as error:
                raise OutputError(f"A tile of {name} cannot be read: {error}.") from error
            if size > most:
                raise OutputError(f"A tile of {name} unpacks to {size} pixels; it has {most}.")
        return decode(data, index, **how)

    vars(keyframe)["decode"] = bounded  # where tifffile keeps it once it is made


def _picture_size(data: bytes) -> int:
    """Return how many pixels a picture says it has."""
    from PIL import Image

    try:
        with Image.open(BytesIO(data)) as picture:
            wide, high = picture.size
            return int(wide) * int(high)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _stream_size(data: bytes, samples: int) -> int:
    """Return the pixels of the largest stream of JPEG 2000; raises ValueError for an odd one."""
    sizes = []
    for found in re.finditer(rb"\xff\x4f\xff\x51", data):
        head = data[found.end() : found.end() + _SIZ.size]
        if len(head) < _SIZ.size:
            raise ValueError("it ends too soon")
        _, _, *area, components = _SIZ.unpack(head)
        right, bottom, left, top, wide, high, first, upper = area
        if components > max(samples, _MOST_SAMPLES):
            raise ValueError(f"it has {components} channels")
        if not wide or not high or (right - first) // wide * ((bottom - upper) // high) > _PARTS:
            raise ValueError("it has more parts than pixels need")
        sizes.append(max(0, right - left) * max(0, bottom - top))
    if not sizes or b"pclr" in data[: data.find(b"\xff\x4f\xff\x51")]:
        raise ValueError("it is no plain JPEG 2000")
    return int(max(sizes))


def check_complete(series: tifffile.TiffPageSeries, path: Path, *, whole: bool = False) -> None:
    """Compare where the pixels should be with the size of each file, and the kinds of pixels.

    `whole`: all pages of the file are there, see `check_pages`.
    """
    needed = dict.fromkeys([path.name], 0)
    # pixels that lie in one piece are found without their pages, of which there may be many
    apart = series.is_multifile or series.dataoffset is None or not whole
    for page in series.pages if series.size and apart else ():
        if page is None:
            continue
        name, key = page.parent.filehandle.name, page.keyframe or page
        if (key.shape, key.dtype) != (series.keyframe.shape, series.keyframe.dtype):
            raise OutputError(
                f"{path.name} and {name} hold planes of one image, but differ in size or type."
            )
        if len(page.dataoffsets):
            ends = np.add(page.dataoffsets, page.databytecounts)
            needed[name] = max(needed.get(name, 0), int(ends.max()))
    if series.dataoffset is not None and series.size:
        end = series.dataoffset + series.size * series.dtype.itemsize
        needed[path.name] = max(needed[path.name], end)
    for name, end in needed.items():
        available = path.with_name(name).stat().st_size
        if end > available:
            raise OutputError(
                f"{name} is truncated: its pixels need {end} bytes, it has {available}.",
                hint="What wrote it stopped too early, or the disk was full.",
            )


def smaller_levels(
    series: tifffile.TiffPageSeries, path: Path
) -> tuple[list[tifffile.TiffPageSeries], str]:
    """Return the smaller levels of an image that can be shown for it, and what is odd.

    Each has the axes and values of the image, and fewer pixels than the one before.
    """
    found: list[tifffile.TiffPageSeries] = []
    before = series
    for level in series.levels[1:]:
        sizes = [*zip(before.shape, level.shape, strict=False)]
        smaller = all(0 < small <= large for large, small in sizes) and level.size < before.size
        same = (level.axes, level.dtype, level.ndim) == (series.axes, series.dtype, series.ndim)
        colours = series.axes[-1] != "S" or level.shape[-1] == series.shape[-1]
        try:
            check_complete(level, path)
        except OutputError as error:
            return found, error.message
        if not (smaller and same and colours):
            return found, "One of its levels is no smaller copy of it; it was left out."
        found.append(level)
        before = level
    return found, ""
