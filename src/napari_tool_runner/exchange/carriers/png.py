"""PNG with 16 bits a colour, which Pillow cannot write and reads as 8 bits."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from napari_tool_runner.errors import OutputError

__all__ = ["read_deep_png", "write_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR = {1: 0, 3: 2, 4: 6}  # samples a pixel -> PNG's colour type


def write_png(values: np.ndarray, path: Path) -> None:
    """Write uint8 or uint16 of shape (Y, X), (Y, X, 3) or (Y, X, 4)."""
    height, width = values.shape[:2]
    samples = values.shape[2] if values.ndim == 3 else 1
    depth = values.dtype.itemsize * 8
    rows = np.ascontiguousarray(values.astype(values.dtype.newbyteorder(">"), copy=False))
    raw = rows.reshape(height, -1).view(np.uint8)
    filtered = np.zeros((height, raw.shape[1] + 1), np.uint8)  # filter 0 before each row
    filtered[:, 1:] = raw
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOUR[samples], 0, 0, 0)
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(filtered.tobytes(), 1)),
            (b"IEND", b""),
        ):
            file.write(struct.pack(">I", len(data)) + kind + data)
            file.write(struct.pack(">I", zlib.crc32(kind + data)))


def read_deep_png(path: Path) -> np.ndarray | None:
    """Read a PNG of 16 bits a colour as uint16 (Y, X, 3 or 4); None: not such a file.

    Raises
    ------
    OutputError
        Truncated, damaged or interlaced.
    """
    with path.open("rb") as file:
        head = file.read(29)
    if len(head) < 29 or not head.startswith(_SIGNATURE):
        return None
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", head[16:29])
    if depth != 16 or colour not in (2, 6):
        return None
    if interlace:
        raise OutputError(
            f"{path.name} is an interlaced PNG of 16 bits a colour, which cannot be read.",
            hint="Let the tool write TIFF.",
        )
    samples = 3 if colour == 2 else 4
    raw = np.frombuffer(zlib.decompress(_image_data(path)), np.uint8)
    stride = width * samples * 2
    if raw.size != height * (stride + 1):
        raise OutputError(f"{path.name} is truncated.")
    rows = raw.reshape(height, stride + 1)
    values = _unfilter(rows, samples * 2)
    return values.view(">u2").astype(np.uint16).reshape(height, width, samples)


def _image_data(path: Path) -> bytes:
    content = path.read_bytes()
    position, parts = len(_SIGNATURE), []
    while position + 12 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kind = content[position + 4 : position + 8]
        if kind == b"IDAT":
            parts.append(content[position + 8 : position + 8 + length])
        position += 12 + length
        if kind == b"IEND":
            return b"".join(parts)
    raise OutputError(f"{path.name} is truncated.")


def _unfilter(rows: np.ndarray, step: int) -> np.ndarray:
    """Undo PNG's row filters; arithmetic is modulo 256, as uint8 does it."""
    height, stride = rows.shape[0], rows.shape[1] - 1
    result = np.zeros((height, stride), np.uint8)
    above = np.zeros(stride, np.uint8)
    for i in range(height):
        kind, row = int(rows[i, 0]), rows[i, 1:]
        if kind == 0:
            result[i] = row
        elif kind == 1:
            result[i] = np.cumsum(row.reshape(-1, step), axis=0, dtype=np.uint8).reshape(-1)
        elif kind == 2:
            result[i] = row + above
        else:
            result[i] = _sequential(kind, row, above, step)
        above = result[i]
    return result


def _sequential(kind: int, row: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """Undo the filters Average and Paeth, in which each pixel needs the one before."""
    result = np.zeros(len(row) + step, np.int32)
    up = np.concatenate([np.zeros(step, np.int32), above.astype(np.int32)])
    for start in range(step, len(result), step):
        here, left = slice(start, start + step), slice(start - step, start)
        a, b, c = result[left], up[here], up[left]
        if kind == 3:
            guess = (a + b) // 2
        else:
            estimate = a + b - c
            da, db, dc = abs(estimate - a), abs(estimate - b), abs(estimate - c)
            guess = np.where((da <= db) & (da <= dc), a, np.where(db <= dc, b, c))
        result[here] = (row[start - step : start] + guess) & 255
    return result[step:].astype(np.uint8)
