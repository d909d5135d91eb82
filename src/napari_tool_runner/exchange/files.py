"""Files of the exchange: how they are placed, and which array they hold.

napari has no change counter for pixels, so only these arrays are known to be a file
still: the very objects that this package opened read-only, read-only memory maps, and
Zarr arrays in a folder (what is written to them is written to the folder).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import ExchangeError, OutputError, is_full
from napari_tool_runner.names import numbered_image, size_text
from napari_tool_runner.processes import half_of_memory
from napari_tool_runner.quoting import one_line
from napari_tool_runner.sealed import below, cloned, heard, remove
from napari_tool_runner.tools.file_types import has_zarr_attributes

__all__ = [
    "OWN",
    "check_fits",
    "check_plain",
    "file_key",
    "image_number",
    "is_whole_map",
    "lent_original",
    "origin_of",
    "place_file",
    "remember_origin",
    "reserve",
    "whole_file",
]

OWN = 16 * 2**20
"""Bytes up to which a job gets a copy of its own, which stays when the original changes."""
_MANY = 512
_KEEP_SIZE = 1  # of fallocate: the file is as long as before


def place_file(source: Path, target: Path, *, lend: bool = False) -> None:
    """Make the content of `source` appear at `target`; nobody can change it through that.

    A clone that shares blocks, where the file system can; else a copy. What is large is
    lent by a symbolic link instead, when `lend` says that the program sees the original
    (`lent_original`) through a read-only mount only. Folders become folders of such files,
    or are lent as a whole. Never a hard link: who writes to it writes to the original.
    A link inside a folder is what it leads to; one that leads out of the folder is refused.

    Raises
    ------
    ExchangeError
    """
    try:
        folder = source.is_dir()
        large = _is_large_folder(source) if folder else lend and _is_large(source)
        if lend and large:
            target.symlink_to(source.resolve(strict=True))
        elif folder:
            _place_folder(source, target)
        else:
            _place_plain(source, target)
    except OSError as error:
        raise ExchangeError(
            f"{source} cannot be handed to the tool: {error.strerror or error}.",
            hint="Check that the file can be read and that the disk has room.",
        ) from error


def _place_folder(source: Path, target: Path) -> None:
    target.mkdir()
    for entry in sorted(source.iterdir()):
        place = _place_folder if entry.is_dir() else _place_plain
        place(entry, target / entry.name)


def _place_plain(source: Path, target: Path) -> None:
    heard()
    check_plain(source)
    if not _clone(source, target):
        shutil.copyfile(source, target)


def check_fits(size: int, path: Path) -> None:
    """Refuse what must be in memory at once and takes more than half of the computer's.

    A file of a few bytes may say that it holds terabytes.

    Raises
    ------
    OutputError
    """
    limit = half_of_memory()
    if size > limit:
        raise OutputError(
            f"{path.name} says that {size_text(size)} of it must be in memory at once; "
            f"this computer has room for {size_text(limit)}.",
            hint="Let the tool write smaller chunks, or plain TIFF.",
        )


def check_plain(path: Path) -> None:
    """Refuse what is no file or folder of files: a pipe would be waited for without end.

    Raises
    ------
    OutputError
    """
    if path.is_dir():
        with os.scandir(path) as entries:
            for entry in entries:  # of most, the folder itself says what they are
                if not entry.is_file() and not (entry.is_symlink() and entry.is_dir()):
                    check_plain(Path(entry.path))
    elif path.exists() and not path.is_file():
        raise OutputError(
            f"{path.name} is neither a file nor a folder.",
            hint="Put a file in the place of the pipe, socket or device.",
        )


def lent_original(path: Path) -> Path:
    """Return the file that was lent at `path`, else `path` itself; before a program saw it."""
    return path.readlink() if path.is_symlink() else path


def _is_large(source: Path) -> bool:
    """Whether a file is too large for a copy, and can be lent."""
    # in an enclosure root has the rights of its own files only
    facts = source.stat()
    mine = facts.st_uid == os.geteuid() or facts.st_mode & 0o004
    return facts.st_size > OWN and bool(mine)


def _is_large_folder(source: Path) -> bool:
    """Whether a folder is too large for a copy, and can be lent: not with links in it.

    Raises
    ------
    ExchangeError
        A link in it leads out, or in a circle.
    """
    root = source.resolve(strict=True)
    size, number, links = 0, 0, list[Path]()
    for entry in below(root):
        number += 1
        if entry.is_symlink():
            links.append(Path(entry.path))
        elif number <= _MANY:  # a million chunks are not asked for their sizes
            size += entry.stat(follow_symlinks=False).st_size
    _check_links(root, links)
    return not links and (size > OWN or number > _MANY)


def _check_links(root: Path, links: list[Path]) -> None:
    """Refuse links that lead out of `root`: who packed a folder chose them, not its user."""
    real = {link: Path(os.path.realpath(link)) for link in links}
    circles = {folder for link, to in real.items() if to.is_dir() for folder in link.parents}
    for link, to in real.items():
        if not to.is_relative_to(root):
            why = f"leads out of the folder, to {one_line(str(to), 500)}"
            hint = "If the tool may have that, copy it to the place of the link, and give the "
            hint += "copy: cp -rL FOLDER COPY does so for all links."
        elif to in circles:
            why = "leads to a folder with such links in it"
            hint = "Remove the link, or put in its place what it leads to."
        else:
            continue
        name = one_line(str(link.relative_to(root)), 500)
        raise ExchangeError(
            f"{root} cannot be handed to the tool: the link {name} in it {why}.", hint=hint
        )


def _clone(source: Path, target: Path) -> bool:
    with suppress(OSError), source.open("rb") as original, target.open("xb") as copy:
        if cloned(original.fileno(), copy.fileno()):
            return True
    target.unlink(missing_ok=True)
    return False


def reserve(file: int, start: int, size: int) -> None:
    """Find room on the disk for what will be written into an open file, where the system can.

    Quicker than to find it write by write, and a full disk is told before the first of them.

    Raises
    ------
    OSError
        The disk is full.
    """
    if sys.platform == "linux":
        # not os.posix_fallocate: it writes to every block of a disk that cannot
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.fallocate(file, _KEEP_SIZE, ctypes.c_long(start), ctypes.c_long(size)):
            error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            if is_full(error):
                raise error


@contextmanager
def whole_file(path: Path, name: str) -> Iterator[None]:
    """Remove `path` (a file or folder, with the frames of a movie) when writing fails.

    Raises
    ------
    ExchangeError
        For what the operating system refused; other exceptions pass.
    """
    try:
        yield
    except BaseException as error:
        _remove(path)
        if not isinstance(error, OSError):
            raise
        raise ExchangeError(
            f"“{name}” could not be written to {path}: {error.strerror or error}.",
            hint="Check the free space and the rights of the workspace folder.",
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        # Zarr writes chunks at the same time; those under way may still arrive.
        for _ in range(40):
            with suppress(OSError):  # what else there is arrives
                remove(path, path.parent)
            time.sleep(0.05)
            if not path.exists():
                break
        return
    for part in (path, *path.parent.glob(f"{path.stem}_t*.tif")):
        part.unlink(missing_ok=True)


_origins: dict[int, tuple[weakref.ref[object], Path, str]] = {}  # array, its file, `file_key`


def file_key(path: Path) -> str:
    """Return what tells this state of a file from others; a time can be set, a change of it not.

    Raises
    ------
    OSError
    """
    facts = path.stat()
    state = facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino
    return ":".join(("file", str(path), *map(str, state)))


def image_number(path: Path) -> tuple[Path, int]:
    """Return a file, and which of its images is meant; 0: nobody said, or it is called so."""
    name, number = numbered_image(path.name)
    as_told = name == path.name or os.path.exists(path)
    return (path, 0) if as_told else (path.with_name(name), number)


def remember_origin(data: object, path: Path) -> None:
    """Note that `data`, which nobody can write to, is the content of `path`."""
    try:
        key = id(data)
        gone = weakref.ref(data, lambda _: _origins.pop(key, None))
        _origins[key] = (gone, path, file_key(path))
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
    if id(first) in _origins:
        _, path, key = _origins[id(first)]
        try:
            return path if file_key(path) == key else None
        except OSError:
            return None
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
    return parent if inside and has_zarr_attributes(parent) else folder
