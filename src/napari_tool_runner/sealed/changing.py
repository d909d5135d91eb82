"""Copying, moving, writing and deleting below a folder, through no link."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import IO

from napari_tool_runner.sealed.opening import (
    FLAGS,
    Folder,
    folder_of,
    heard,
    kind,
    open_file,
    outside,
    parts_of,
    walk,
)

__all__ = [
    "cloned",
    "copy",
    "copy_below",
    "copy_bytes",
    "make_folder",
    "move",
    "new_file",
    "put",
    "remove",
    "write",
]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS
_PART = 2**20
_BATCH = 10_000  # entries of a folder that are deleted before it is looked at again
_FICLONE = 0x40049409  # Linux: share the blocks of a file, copied only when written to


@contextmanager
def new_file(path: Path, root: Path) -> Iterator[IO[bytes]]:
    """Make a file below `root` that was not there, in a folder that is there."""
    with folder_of(path.parent, root) as folder, _new_in(folder, path.name) as file:
        yield file


def _new_in(folder: Folder, name: str) -> BufferedWriter:
    return open(os.open(folder.name(name), _NEW, 0o666, dir_fd=folder.fd), "wb")


def cloned(source: int, target: int) -> bool:
    """Let an open file share the blocks of another, where the system and the disk can."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def copy_bytes(source: BufferedReader, target: IO[bytes]) -> None:
    """Copy a file; where the file system can, the blocks are shared."""
    if cloned(source.fileno(), target.fileno()):
        return
    place, end = 0, os.fstat(source.fileno()).st_size  # what grows meanwhile is cut there
    while (place := _next_data(source, place, end)) < end:
        heard()
        source.seek(place)
        target.seek(place)
        data = source.read(min(_PART, end - place))
        if not data:  # it has shrunk
            break
        target.write(data)
        place += len(data)
    target.truncate(place)


def _next_data(source: BufferedReader, place: int, end: int) -> int:
    """Return where a file has data from `place` on: holes of a terabyte are not read."""
    try:
        return os.lseek(source.fileno(), place, os.SEEK_DATA)
    except OSError as error:
        return end if error.errno == errno.ENXIO else place
    except AttributeError:  # another system
        return place


def copy(source: Path, target: Path, root: Path | None) -> None:
    """Copy a result to a place of the user: a file, or a folder of files.

    Raises
    ------
    OutputError
        Something of it is no regular file.
    OSError
    """
    if root is None or kind(source, root) != "folder":
        with open_file(source, root) as file, target.open("wb") as draft:
            copy_bytes(file, draft)
        return
    target.mkdir(parents=True, exist_ok=True)
    for path in walk(source, root):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        with open_file(path, root) as file, place.open("wb") as draft:
            copy_bytes(file, draft)


def copy_below(source: Path, target: Path, root: Path) -> None:
    """Copy a file or folder to another place below `root`; what lay there is deleted first.

    Raises
    ------
    OutputError, OSError
    """
    own = source.is_relative_to(root)
    if own and kind(source, root) == "folder":
        files = {path: target / path.relative_to(source) for path in walk(source, root)}
    else:
        files = {source: target}
    remove(target, root)
    make_folder(target.parent if source in files else target, root)
    for path, place in files.items():
        make_folder(place.parent, root)
        with open_file(path, root if own else None) as file, new_file(place, root) as draft:
            copy_bytes(file, draft)


def make_folder(path: Path, root: Path) -> None:
    """Make the folder `path` and those above it, none of them through a link.

    Raises
    ------
    OutputError
        A link, or a file, is in the way.
    OSError
    """
    with folder_of(path, root, make=True):
        pass


def remove(path: Path, root: Path) -> None:
    """Delete a file, a link (not what it leads to), or a folder; what is gone is gone.

    Raises
    ------
    OutputError, OSError
    """
    if not parts_of(path, root):
        raise outside(path)
    with suppress(FileNotFoundError), folder_of(path.parent, root) as folder:
        _remove_from(folder, path.name)


def _remove_from(folder: Folder, name: str) -> None:
    if stat.S_ISDIR(folder.stat(name).st_mode):
        _remove_tree(folder, name)
    else:
        os.unlink(folder.name(name), dir_fd=folder.fd)


def _remove_tree(parent: Folder, name: str) -> None:
    """Delete a folder, however deep: what lies in its folders is brought up before."""
    if parent.fd is None:
        shutil.rmtree(parent.name(name))
        return
    with suppress(PermissionError):  # a program may have taken the right to write from itself
        os.chmod(name, 0o700, dir_fd=parent.fd)
    top = parent.enter(name)
    try:
        queue, raised = [""], 0
        while queue:
            inner = queue.pop()
            if inner:
                with suppress(PermissionError):
                    os.chmod(inner, 0o700, dir_fd=top.fd)
            here = top.enter(inner) if inner else top
            try:
                while entries := here.some(sys.maxsize if here is top else _BATCH):
                    for entry in entries:
                        if not entry.is_dir(follow_symlinks=False):
                            os.unlink(entry.name, dir_fd=here.fd)
                        elif here is top:
                            queue.append(entry.name)
                        else:
                            raised += 1
                            fresh = f".{os.getpid()}-{raised}-{secrets.token_hex(4)}"
                            os.rename(entry.name, fresh, src_dir_fd=here.fd, dst_dir_fd=top.fd)
                            queue.append(fresh)
                    if here is top:
                        break
            finally:
                if here is not top:
                    here.close()
            if inner:
                os.rmdir(inner, dir_fd=top.fd)
    finally:
        top.close()
    os.rmdir(name, dir_fd=parent.fd)


@contextmanager
def _room(path: Path, root: Path) -> Iterator[Folder]:
    """Open the folder of `path`, made where it was missing; what lay at `path` is deleted."""
    with folder_of(path.parent, root, make=True) as folder:
        with suppress(FileNotFoundError):
            _remove_from(folder, path.name)
        yield folder


def write(path: Path, text: str, root: Path) -> None:
    """Write a new file that the program is to read; what lay there is deleted first.

    Raises
    ------
    OutputError, OSError
    """
    with _room(path, root) as folder, _new_in(folder, path.name) as file:
        file.write(text.encode())


def put(ours: Path, target: Path, root: Path) -> None:
    """Bring a file or folder that no program has seen to its place below `root`, by renaming.

    Raises
    ------
    OutputError, OSError
    """
    with _room(target, root) as folder:
        os.rename(ours, folder.name(target.name), dst_dir_fd=folder.fd)


def move(source: Path, target: Path, root: Path) -> None:
    """Move a file or folder below `root`; what lay at `target` is deleted first.

    Raises
    ------
    OutputError, OSError
    """
    with _room(target, root) as there, folder_of(source.parent, root) as here:
        os.rename(
            here.name(source.name),
            there.name(target.name),
            src_dir_fd=here.fd,
            dst_dir_fd=there.fd,
        )
