"""What need not be written: pixels that their file still holds, and those written before.

And which pixels are still those that a job made.

A job keeps what is written for it in a folder that no program sees, and lends it as it lends
originals: by a link, through a read-only mount. So the next job with the same pixels has the same
file by another name (a hard link), which goes with the last job that has it. Which pixels are the
same their values tell, each time: an array can be written to without a trace.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import threading
import weakref
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from napari_tool_runner._lazy import np
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.blocks import blocks
from napari_tool_runner.exchange.carriers import read_file, write_pixels
from napari_tool_runner.exchange.files import OWN, file_key, whole_file
from napari_tool_runner.exchange.model import PIXELS
from napari_tool_runner.names import free_path
from napari_tool_runner.sealed import heard
from napari_tool_runner.tools.formats import FORMATS, Carrier
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.exchange.model import LayerSnapshot, Pixels, Progress
    from napari_tool_runner.tools.formats import Format

__all__ = [
    "as_its_file",
    "content_of",
    "known_sha256",
    "note_values",
    "sha256_once",
    "was_written_to",
    "write_once",
]

_ONE_FILE = (Carrier.TIFF, Carrier.NPY, Carrier.HDF5)
_MAPPED = (Carrier.TIFF, Carrier.NPY)
_PART = 4 * 2**20
_MOST = 256


@dataclass(slots=True)
class _Written:
    """A file of some pixels: what was told when it was written, and its names in jobs."""

    notes: list[str]
    facts: tuple[int, ...]
    places: list[Path] = field(default_factory=list)
    sha256: str = ""
    reading: threading.Lock = field(default_factory=threading.Lock)


_written: OrderedDict[str, _Written] = OrderedDict()
_noted: dict[int, tuple[weakref.ref[np.ndarray], str]] = {}
_lock = threading.Lock()


def write_once(
    pixels: Pixels, fmt: Format, path: Path, *, kept: Path | None, progress: Progress | None
) -> list[str]:
    """Write pixels as `write_pixels` does; large ones into `kept`, from where `path` is lent.

    Where another job of this session keeps the same, it becomes this job's, too. `kept`
    None: nothing can be lent.

    Raises
    ------
    ExchangeError, UnsupportedLayerError, LossyConversionError
    """
    array = pixels.array
    large = isinstance(array, np.ndarray) and array.nbytes > OWN
    if kept is None or not large or fmt.carrier not in _ONE_FILE:
        return write_pixels(pixels, fmt, path, progress=progress)
    kept.mkdir(mode=0o700, exist_ok=True)
    place = free_path(kept, path.name.removesuffix(fmt.extension), fmt.extension)
    key = _key(pixels, fmt)
    notes = _found(key, place)
    if notes is None:
        with whole_file(place, pixels.name):
            notes = write_pixels(pixels, fmt, place, progress=progress)
            place.chmod(0o444)
        if _key(pixels, fmt) == key:  # nobody wrote to the array meanwhile
            _remember(key, place, notes)
    path.symlink_to(place)
    return [*notes]


def known_sha256(path: Path) -> str:
    """Return the content hash of a file that `write_once` made, if it is known; else empty."""
    with _lock:
        return next((one.sha256 for one in _written.values() if path in one.places), "")


def sha256_once(path: Path, taken: Callable[[Path], str]) -> str:
    """Return the content hash of a file; one that several jobs share is read by the first."""
    with _lock:
        shared = next((one for one in _written.values() if path in one.places), None)
    if shared is None:
        return taken(path)
    while not shared.reading.acquire(timeout=0.1):
        heard()  # who waits for another job may be cancelled
    try:
        shared.sha256 = shared.sha256 or taken(path)
    finally:
        shared.reading.release()
    return shared.sha256


def as_its_file(snap: LayerSnapshot) -> LayerSnapshot:
    """Return a large layer that was read into memory as the map of its file, if it still is that.

    Only what can be mapped: to unpack a file takes longer than to write it.
    """
    path, data = Path(snap.source), snap.data
    if snap.path is not None or snap.kind not in PIXELS or not isinstance(data, np.ndarray):
        return snap
    if data.nbytes <= OWN or not path.is_absolute():
        return snap
    try:
        state = file_key(path)
        mapped = _mapped(path) if path.stat().st_size >= data.nbytes else None  # not compressed
        if mapped is None or (mapped.shape, mapped.dtype) != (data.shape, data.dtype):
            return snap
        same = _key_of_file(path, state) == _values(data) and file_key(path) == state
    except (OSError, ValueError, OutputError):  # a URL, a file that is gone
        return snap
    return replace(snap, data=mapped, path=path) if same else snap


def note_values(data: object) -> None:
    """Remember the values of an array that anybody can write to, as long as it is there."""
    if _is_writeable(data):
        number = id(data)
        _noted[number] = weakref.ref(data, lambda _: _noted.pop(number, None)), _values(data)


def was_written_to(data: object) -> bool:
    """Whether an array has other values than those that were noted, if they were; reads all."""
    told, values = _noted.get(id(data), (None, ""))
    return told is not None and isinstance(data, np.ndarray) and _values(data) != values


def content_of(snap: LayerSnapshot) -> str:
    """Return what tells the objects of a layer from others; empty: there are none, or read-only.

    Reads all of them: labels, or coordinates without what is known of each.
    """
    if snap.kind in (LayerKind.IMAGE, LayerKind.ANY, LayerKind.TABLE):
        return ""
    if not snap.kind.is_pixels:
        digest = hashlib.blake2b()
        for part in snap.data if isinstance(snap.data, list | tuple) else (snap.data,):
            digest.update(f"{np.shape(part)}".encode())
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
    return _values(snap.pixels) if _is_writeable(snap.pixels) else ""


def _is_writeable(data: object) -> TypeGuard[np.ndarray]:
    """Whether it is an array of numbers in memory that anybody can write to."""
    return isinstance(data, np.ndarray) and data.flags.writeable and data.dtype.kind in "biufc"


def _mapped(path: Path) -> np.memmap | None:
    known = FORMATS.of_file(path.name)
    if not known or known[0].carrier not in _MAPPED:
        return None
    data = read_file(path, known[0], name=path.name).data
    return data if isinstance(data, np.memmap) else None


@lru_cache(maxsize=64)
def _key_of_file(path: Path, state: str) -> str:
    mapped = _mapped(path)
    return "" if mapped is None else _values(mapped)


def _key(pixels: Pixels, fmt: Format) -> str:
    """Return what tells the file that pixels become from others."""
    told = replace(pixels, array=np.empty(0))
    return f"{_values(np.asarray(pixels.array))} {told!r} {fmt!r}"


def _values(array: np.ndarray) -> str:
    """Return what tells the values of an array from others.

    Two sums of each part, at the speed of memory: a digest would take as long as to write them.
    """
    from imagecodecs import deflate_adler32, deflate_crc32  # heavy

    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    for place in blocks(array, _PART):
        heard()
        part = np.ascontiguousarray(array[place]).reshape(-1).view(np.uint8).data
        sums = deflate_crc32(part), deflate_adler32(part)  # type: ignore[arg-type] # of any buffer
        digest.update(struct.pack("<QQ", *sums))
    return digest.hexdigest()


def _found(key: str, place: Path) -> list[str] | None:
    """Have the file of `key` at `place`, too; return what was told of it, None: there is none."""
    with _lock:
        known = _written.get(key)
        if known is None:
            return None
        for one in [*known.places]:
            with suppress(OSError):  # its job is deleted, or lies on another disk
                if _facts(one) == known.facts:
                    os.link(one, place, follow_symlinks=False)
                    known.places.append(place)
                    _written.move_to_end(key)
                    return known.notes
            if not one.exists():
                known.places.remove(one)
        return None


def _remember(key: str, place: Path, notes: list[str]) -> None:
    with _lock:
        _written[key] = _Written(notes, _facts(place), [place])
        while len(_written) > _MOST:
            _written.popitem(last=False)


def _facts(path: Path) -> tuple[int, ...]:
    """Return what changes when somebody writes to a file."""
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        return ()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
