"""What stands for a file or folder of this computer: its content, or what the system tells."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from napari_tool_runner.names import walked

__all__ = ["facts_of", "settle_writes", "state_of", "tells_changes"]

_READ = 2**16
_TELLING = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "overlay"}
)
_SKIPPED = frozenset({"__pycache__", ".git"})


def facts_of(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return what changes when a file does: the time of change can be set back by nobody.

    Raises
    ------
    OSError
    """
    one = os.stat(path)
    return one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns


def tells_changes(path: Path) -> bool:
    """Whether the file system tells every change of a file, when its writes were settled.

    Memory has no time for what is written through a map, and servers have their own clocks: of
    those, and of what is not known, nothing is believed.
    """
    if sys.platform != "linux":
        return False
    device = os.stat(path).st_dev
    return _file_system(os.major(device), os.minor(device)) in _TELLING


@lru_cache(maxsize=32)
def _file_system(major: int, minor: int) -> str:
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    mounted = (line for line in lines if line.split()[2:3] == [f"{major}:{minor}"])
    return next((line.partition(" - ")[2].split()[0] for line in mounted), "")


def settle_writes(path: Path) -> None:
    """Wait until the disk has what was written through maps: what comes after moves the times.

    Raises
    ------
    OSError
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def state_of(path: Path, *, most: int = 2000, read: int = _READ) -> str:
    """Return a text that is another one when something at `path` has changed.

    Of a small file the content counts, of a larger one what `facts_of` tells (on Windows, which
    knows no time of change, always the content). Empty when there is nothing, when something
    cannot be read, or when a folder has more than `most` files.
    """
    digest = hashlib.sha256()
    try:
        for count, file in enumerate(_files(path)):
            if count >= most:
                return ""
            name = os.path.relpath(file, path)
            digest.update(f"{name}\0{_state_of_file(file, read)}\0".encode(errors="replace"))
    except OSError:
        return ""
    return digest.hexdigest()


def _files(path: Path) -> Iterator[str]:
    if not path.is_dir():
        yield os.fspath(path)
        return
    for here, folders, names in walked(path, _raised):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (os.path.join(here, name) for name in sorted(names))
        # a link to a folder is not entered: where it leads to is what counts
        yield from (one for one in (os.path.join(here, n) for n in folders) if os.path.islink(one))


def _raised(error: OSError) -> None:
    raise error


def _state_of_file(path: str, read: int) -> str:
    try:
        one = os.stat(path)
    except FileNotFoundError:  # a link to nothing
        return os.readlink(path)
    if stat.S_ISREG(one.st_mode) and (one.st_size <= read or os.name != "posix"):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return repr(facts_of(path))
