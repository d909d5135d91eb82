"""BioImageIT's ``movietxt``: a text file that names the frames beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.blocks import read
from napari_tool_runner.exchange.carriers.tiff import read_tiff, write_tiff
from napari_tool_runner.exchange.geometry import select, with_axis
from napari_tool_runner.names import real_path
from napari_tool_runner.sealed import kind, read_bytes

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Content, Pixels, Progress

__all__ = ["read_movie", "write_movie"]


def write_movie(pixels: Pixels, path: Path, *, progress: Progress | None = None) -> list[str]:
    """Write each step of the first axis as a TIFF, and their names, one a line.

    Raises
    ------
    UnsupportedLayerError
        Fewer than three dimensions: there is no time.
    """
    geometry = pixels.geometry
    if geometry.ndim < 3:
        raise UnsupportedLayerError(
            f"“{pixels.name}” has {geometry.ndim} dimensions; a movie has at least three.",
            hint="Choose a time series.",
        )
    count = geometry.shape[0]
    rest, _ = select(geometry, range(1, geometry.ndim))
    digits = max(4, len(str(count - 1)))
    whole = (slice(None),) * (len(pixels.array.shape) - 1)
    names, notes = [], []
    for i in range(count):
        frame = read(pixels.array, (slice(i, i + 1), *whole))[0]
        name = f"{path.stem}_t{i:0{digits}d}.tif"
        notes += write_tiff(
            replace(pixels, array=frame, geometry=rest, name=name), path.with_name(name)
        )
        names.append(name)
        if progress:
            progress(i + 1, count)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return list(dict.fromkeys(notes))


def _frames(path: Path, root: Path | None) -> list[Path]:
    """Return the files that a ``movietxt`` names; all lie below its own folder.

    Raises
    ------
    OutputError
        A frame that is missing or lies elsewhere.
    """
    try:
        lines = read_bytes(path, root).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(f"{path.name} is no list of frames: {error}") from error
    frames = []
    for line in lines:
        if not line.strip():
            break
        frame = path.parent / line.strip()
        if not real_path(frame).is_relative_to(real_path(path.parent)):
            raise OutputError(f"{path.name} names a frame outside its folder: {line.strip()}")
        if not (frame.is_file() if root is None else kind(frame, root) == "file"):
            raise OutputError(f"{path.name} names a frame that does not exist: {line.strip()}")
        frames.append(frame)
    if not frames:
        raise OutputError(f"{path.name} names no frame.")
    return frames


def read_movie(path: Path, root: Path | None = None) -> Content:
    """Open the frames as one lazy image with time first.

    Raises
    ------
    OutputError
    """
    import dask.array as da  # 1 s to import

    frames = [read_tiff(frame, root=root) for frame in _frames(path, root)]
    arrays = [frame.pixels for frame in frames]
    if len({(tuple(array.shape), np.dtype(array.dtype)) for array in arrays}) > 1:
        raise OutputError(f"The frames of {path.name} differ in size or type.")
    first = frames[0]
    own = first.geometry
    assert own is not None
    stack = da.stack([da.asarray(array) for array in arrays])  # type: ignore[no-untyped-call]
    return replace(first, data=stack, geometry=with_axis(own, "T", len(frames)))
