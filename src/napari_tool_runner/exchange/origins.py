"""Which file an array is, when it surely still is that file.

napari has no change counter for pixels, so only these qualify: the very objects that
this package opened read-only, read-only memory maps, and Zarr arrays in a folder (what
is written to them is written to the folder).
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

__all__ = ["is_whole_map", "origin_of", "remember_origin"]


@dataclass(frozen=True, slots=True)
class _Origin:
    data: weakref.ref[object]
    path: Path
    size: int
    mtime_ns: int


_origins: dict[int, _Origin] = {}


def remember_origin(data: object, path: Path) -> None:
    """Note that `data`, which nobody can write to, is the content of `path`."""
    try:
        facts = path.stat()
        key = id(data)
        _origins[key] = _Origin(
            weakref.ref(data, lambda _: _origins.pop(key, None)),
            path,
            facts.st_size,
            facts.st_mtime_ns,
        )
    except (OSError, TypeError):
        # Gone already, or an object without weak references: it will be written anew.
        return


def origin_of(data: object) -> Path | None:
    """Return the file that should hold `data`; None when that is not sure.

    Cheap: no file is opened. Who uses the file compares it first (`is_whole_map`,
    shape and place).
    """
    first = data[0] if isinstance(data, list) and data else data
    if isinstance(first, np.ndarray) and first.flags.writeable:
        return None
    origin = _origins.get(id(first))
    if origin is not None and origin.data() is first:
        try:
            facts = origin.path.stat()
        except OSError:
            return None
        same = (facts.st_size, facts.st_mtime_ns) == (origin.size, origin.mtime_ns)
        return origin.path if same else None
    if isinstance(first, np.memmap) and first.filename is not None:
        return Path(first.filename)
    return _zarr_folder(first)


def is_whole_map(data: object, opened: object) -> bool:
    """Whether `data` is the same as `opened`, the first image of its file, is now."""
    if isinstance(data, np.memmap) and isinstance(opened, np.memmap):
        return bool(data.flags.c_contiguous) and (data.size, data.dtype, data.offset) == (
            opened.size,
            opened.dtype,
            opened.offset,
        )
    return id(data) in _origins or _zarr_folder(data) is not None


def _zarr_folder(array: object) -> Path | None:
    """Return the folder of a Zarr array, or of the image whose first level it is."""
    root = getattr(getattr(array, "store", None), "root", None)
    inside = getattr(array, "path", None)
    if not isinstance(root, Path) or not isinstance(inside, str):
        return None
    folder = root / PurePosixPath(inside)
    parent = folder.parent if inside else folder
    described = any((parent / name).exists() for name in (".zattrs", "zarr.json"))
    return parent if inside and described else folder
