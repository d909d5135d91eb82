"""Copying, moving, writing and deleting below a folder, through no link."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import IO

from napari_tool_runner.sealed.opening import (
    FLAGS,
    FOLDER,
    Folder,
    folder_of,
    heard,
    kind,
    open_file,
    outside,
    parts_of,
    refused,
    walk,
    word_of,
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
    "regain",
    "remove",
    "write",
]

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | FLAGS
_PART = 2**20
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
    """Copy a result to a place of the user: a file, or a folder of files that is not there yet.

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
    target.mkdir(parents=True)
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
        _unlink(folder, name)


def _unlink(folder: Folder, name: str) -> None:
    try:
        os.unlink(folder.name(name), dir_fd=folder.fd)
    except PermissionError:
        if folder.fd is not None:
            raise
        os.chmod(folder.name(name), 0o600)  # Windows deletes nothing that is read-only
        os.unlink(folder.name(name))


def _remove_tree(parent: Folder, name: str) -> None:
    """Delete a folder, however deep, and whatever rights in it a program took.

    Besides `parent` one folder is open at a time, opened from the one above it; on the way
    back the one above must be the one that was left.
    """
    above: list[tuple[tuple[int, int], list[str]]] = []  # which it is, what is still in it
    here = _entered(parent, name)
    try:
        inner = _emptied(here)
        while inner or above:
            if inner:
                above.append((_mark(here), inner))
                here = _instead(here, _entered(here, inner[-1]))
                inner = _emptied(here)
                continue
            mark, inner = above.pop()
            here = _instead(here, here.up())
            if _mark(here) != mark:
                raise refused(here.path, "a folder that was moved", "the one it was")
            os.rmdir(here.name(inner[-1]), dir_fd=here.fd)
            inner.pop()
    finally:
        here.close()
    os.rmdir(parent.name(name), dir_fd=parent.fd)


def _instead(left: Folder, entered: Folder) -> Folder:
    left.close()
    return entered


def _mark(folder: Folder) -> tuple[int, int]:
    facts = os.stat(folder.path if folder.fd is None else folder.fd)
    return facts.st_dev, facts.st_ino


def _entered(folder: Folder, name: str) -> Folder:
    """Open a folder that is to be emptied; with a descriptor it keeps the path of the top."""
    facts = folder.stat(name)
    if not stat.S_ISDIR(facts.st_mode):
        raise refused(folder.path / name, word_of(facts), "a folder")
    if facts.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        _regain(folder, name)
    if folder.fd is None:
        return Folder(folder.path / name, None)
    return Folder(folder.path, os.open(name, FOLDER, dir_fd=folder.fd))


def _regain(folder: Folder, name: str) -> None:
    """Give us all rights to a folder, if it is ours; a link that came in its place stays."""
    place, held = folder.name(name), None
    follow = os.chmod not in os.supports_follow_symlinks
    if sys.platform == "linux":
        held = os.open(name, os.O_PATH | FOLDER, dir_fd=folder.fd)
        place, follow = f"/proc/self/fd/{held}", True
    try:
        with suppress(PermissionError):  # somebody else's: deleted where we may
            os.chmod(place, stat.S_IRWXU, dir_fd=folder.fd, follow_symlinks=follow)
    finally:
        if held is not None:
            os.close(held)


def _emptied(folder: Folder) -> list[str]:
    """Delete what is no folder in `folder`; return the names of the folders in it."""
    while True:
        inner: list[str] = []
        deleted = 0  # a listing that is deleted from may leave something out
        with os.scandir(folder.path if folder.fd is None else folder.fd) as listing:
            for entry in listing:
                heard()
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
                else:
                    _unlink(folder, entry.name)
                    deleted += 1
        if not deleted:
            return inner


def regain(path: Path, root: Path) -> None:
    """Give us all rights to a folder below `root`, whatever a program made of them.

    Raises
    ------
    OutputError, OSError
    """
    with folder_of(path.parent, root) as folder:
        _regain(folder, path.name)


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
