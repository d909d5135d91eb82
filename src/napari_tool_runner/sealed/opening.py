"""Opening, telling and walking what lies below a folder, through no link; the limits."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from napari_tool_runner.errors import OutputError
from napari_tool_runner.names import held, size_text

__all__ = [
    "FLAGS",
    "FOLDER",
    "MAX_DEPTH",
    "MAX_PARSED",
    "Folder",
    "check_holes",
    "folder_of",
    "heard",
    "is_plain_file",
    "kind",
    "listening",
    "open_file",
    "outside",
    "parts_of",
    "read_bytes",
    "refused",
    "too_much",
    "walk",
    "word_of",
]

MAX_ENTRIES = 1_000_000  # in one result: the chunks of a terabyte; a walk over it takes a second
MAX_DEPTH = 64  # folders in folders; a plate in OME-Zarr has 7, and each holds a descriptor
MAX_PARSED = 2**30  # bytes of a file that is parsed whole: it takes ten times that in memory

MAX_HOLLOW = 2**37  # bytes that a file of holes may claim: a minute of hashing
_HOLLOW = 64  # times what it holds: what a disk compresses seldom comes to that
_OFTEN = 1024  # entries from one look at `heard` to the next
_PAUSE = 0.02  # seconds
_ear = threading.local()

_BY_DESCRIPTOR = os.open in os.supports_dir_fd
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | _NO_FOLLOW
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | FLAGS
# a pipe is not waited for
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | (FLAGS & ~_NO_FOLLOW)
_WORDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


@contextmanager
def listening(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop`, which may raise, again and again while this thread works on results."""
    before = getattr(_ear, "stop", None)
    _ear.stop, _ear.asked = stop, time.monotonic()
    try:
        yield
    finally:
        _ear.stop = before


def heard() -> None:
    """Raise what `listening` says, if this thread listens."""
    stop = getattr(_ear, "stop", None)
    if stop is not None and time.monotonic() - _ear.asked > _PAUSE:
        stop()
        _ear.asked = time.monotonic()


class Folder:
    """An open folder; where folders cannot be opened, its path."""

    __slots__ = ("fd", "path")

    def __init__(self, path: Path, fd: int | None) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def at(cls, root: Path) -> Folder:
        """Open a folder by its name: one of ours."""
        return cls(root, os.open(root, FOLDER) if _BY_DESCRIPTOR else None)

    def name(self, name: str) -> str:
        """Return how `name` in here is called in a call that gets `fd` as well."""
        return name if self.fd is not None else str(self.path / name)

    def stat(self, name: str) -> os.stat_result:
        """Return the facts of `name` itself, also of a link."""
        return os.stat(self.name(name), dir_fd=self.fd, follow_symlinks=False)

    def enter(self, name: str) -> Folder:
        """Open a folder in here; raises OutputError for anything else, OSError."""
        facts = self.stat(name)
        if not stat.S_ISDIR(facts.st_mode):
            raise refused(self.path / name, word_of(facts), "a folder")
        inner = self.path / name
        if self.fd is None:
            return Folder(inner, None)
        try:
            return Folder(inner, os.open(name, FOLDER, dir_fd=self.fd))
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):  # changed since it was looked at
                raise refused(inner, "a link", "a folder") from error
            raise

    def entries(self) -> list[os.DirEntry[str]]:
        """Return what is in here, by name."""
        entries: list[os.DirEntry[str]] = []
        with os.scandir(self.path if self.fd is None else self.fd) as listing:
            for entry in listing:
                if not len(entries) % _OFTEN:
                    heard()
                entries.append(entry)
                if len(entries) > MAX_ENTRIES:
                    raise too_much(self.path, f"more than {MAX_ENTRIES} files")
        return sorted(entries, key=lambda entry: entry.name)

    def up(self) -> Folder:
        """Open the folder above, which may be another one than the one it was opened from."""
        if self.fd is None:
            return Folder(self.path.parent, None)
        return Folder(self.path, os.open("..", FOLDER, dir_fd=self.fd))

    def close(self) -> None:
        """Close it; again does nothing."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def word_of(facts: os.stat_result) -> str:
    """Return what a person calls it: ``a pipe``."""
    return _WORDS.get(stat.S_IFMT(facts.st_mode), "something special")


def refused(path: Path, what: str, wanted: str) -> OutputError:
    """Return the error for `path`, which is `what` instead of `wanted`."""
    return OutputError(
        f"{path} is {what}, not {wanted}; it cannot be opened.",
        hint="A tool must write its own plain files and folders.",
    )


def too_much(path: Path, what: str) -> OutputError:
    """Return the error for a folder that passes a limit."""
    return OutputError(
        f"{path} holds {what}; it cannot be opened.",
        hint="The tool went astray, or its result must be packed into fewer files.",
    )


def outside(path: Path, told: str = "lies") -> OutputError:
    """Return the error for what leaves the job's folder."""
    return OutputError(
        f"{path} {told} outside the job's folder; it cannot be opened.",
        hint="Such outputs are not taken: a tool must write its own files.",
    )


def parts_of(path: Path, root: Path) -> tuple[str, ...]:
    """Return the steps from `root` to `path`; refuse a path that leaves it."""
    text, base = os.fspath(path), os.fspath(root).rstrip(os.sep) + os.sep
    if os.name == "posix":  # by the text: three times as quick, and asked for every chunk
        if text + os.sep != base and not text.startswith(base):
            raise outside(path)
        parts = tuple(text[len(base) :].split(os.sep)) if len(text) > len(base) else ()
    elif path.is_relative_to(root):
        parts = path.relative_to(root).parts
    else:
        raise outside(path)
    if ".." in parts or any("\0" in part for part in parts):
        raise outside(path)
    if len(parts) > MAX_DEPTH:
        raise too_much(root, f"more than {MAX_DEPTH} folders in one another")
    return parts


@contextmanager
def folder_of(path: Path, root: Path, *, make: bool = False) -> Iterator[Folder]:
    """Open the folder `path`, step by step from `root`; `make` what is missing."""
    heard()
    here = Folder.at(root)
    try:
        for name in parts_of(path, root):
            try:
                inner = here.enter(name)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(here.name(name), 0o700, dir_fd=here.fd)
                inner = here.enter(name)
            here.close()
            here = inner
        yield here
    finally:
        here.close()


def _checked(facts: os.stat_result, path: Path, *, below: bool) -> None:
    """Refuse what is no regular file, or below a root is also a file of somebody else."""
    if not stat.S_ISREG(facts.st_mode):
        raise refused(path, word_of(facts), "a file")
    if below and sys.platform != "win32" and facts.st_nlink > 1 and facts.st_uid != os.geteuid():
        raise refused(path, "also a file of another user", "a file of its own")
    if below:
        check_holes(facts, path, MAX_HOLLOW)


def check_holes(facts: os.stat_result, path: Path, most: int) -> None:
    """Refuse a file that claims more than `most` bytes, and is nearly all holes."""
    if facts.st_size > most and held(facts) < facts.st_size // _HOLLOW:
        told = f"says that it has {size_text(facts.st_size)}, and holds {size_text(held(facts))}"
        raise OutputError(
            f"{path} {told}: nearly all of it are holes, which would be read for hours.",
            hint="The tool went astray, or its result must be packed into a smaller file.",
        )


def open_file(path: Path, root: Path | None = None) -> BufferedReader:
    """Open a regular file for reading, through no link when it must lie below `root`.

    Raises
    ------
    OutputError
        It is something else, or reached through a link.
    OSError
        It is missing, or may not be read.
    """
    heard()
    if root is None:
        descriptor = os.open(path, _FILE)
    else:
        quick = _quickly(path, root) if _BY_DESCRIPTOR else None
        descriptor = _step_by_step(path, root) if quick is None else quick
    try:
        _checked(os.fstat(descriptor), path, below=root is not None)
    except BaseException:
        os.close(descriptor)
        raise
    return open(path, "rb", opener=lambda *_: descriptor)


def is_plain_file(path: Path, root: Path) -> bool:
    """Whether `open_file` would open it; the quick answer to what most results are."""
    heard()
    descriptor = _quickly(path, root) if _BY_DESCRIPTOR else None
    if descriptor is None:
        return False
    try:
        _checked(os.fstat(descriptor), path, below=True)
    finally:
        os.close(descriptor)
    return True


def _quickly(path: Path, root: Path) -> int | None:
    """Open what is as it should be; None for anything else: who looks closer tells why."""
    here = None
    try:
        *folders, name = parts_of(path, root)
        here = os.open(root, FOLDER)
        for folder in folders:
            inner = os.open(folder, FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        facts = os.stat(name, dir_fd=here, follow_symlinks=False)
        if stat.S_ISREG(facts.st_mode):  # to open a device may do something
            return os.open(name, _FILE | _NO_FOLLOW, dir_fd=here)
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        return None
    finally:
        if here is not None:
            os.close(here)
    return None


def _step_by_step(path: Path, root: Path) -> int:
    parts_of(path, root)
    with folder_of(path.parent, root) as folder:
        _checked(folder.stat(path.name), path, below=True)
        try:
            return os.open(folder.name(path.name), _FILE | _NO_FOLLOW, dir_fd=folder.fd)
        except OSError as error:
            if error.errno == errno.ELOOP:  # changed since it was looked at
                raise refused(path, "a link", "a file") from error
            raise


def read_bytes(path: Path, root: Path | None = None, *, limit: int = MAX_PARSED) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; see `open_file`.

    Raises
    ------
    OutputError, OSError
    """
    with open_file(path, root) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OutputError(
            f"{path} has more than {limit >> 20} MB, too much to be read at once.",
            hint="Let the tool write less, or a format that is read in parts.",
        )
    return data


def kind(path: Path, root: Path) -> str:
    """Return ``file``, ``folder``, ``link`` or ``other``; empty when there is nothing.

    Raises
    ------
    OutputError
        The way to it leads through a link, or out of `root`.
    """
    if path == root:
        return "folder"
    parts_of(path, root)
    try:
        with folder_of(path.parent, root) as folder:
            mode = folder.stat(path.name).st_mode
    except (FileNotFoundError, ValueError):
        return ""
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return ""
        raise
    names = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return names.get(stat.S_IFMT(mode), "other")


def walk(folder: Path, root: Path, *, links: bool = False) -> Iterator[Path]:
    """Yield every file below `folder`, in the order of names.

    Parameters
    ----------
    links : bool
        Yield the links instead (they are not followed); else they are refused, as pipes are.

    Raises
    ------
    OutputError
        Something in it is neither file nor folder, or it is too much.
    OSError
    """
    counted = 0
    with folder_of(folder, root) as top:
        stack: list[tuple[Folder, Iterator[os.DirEntry[str]]]] = [(top, iter(top.entries()))]
        try:
            while stack:
                here, entries = stack[-1]
                entry = next(entries, None)
                if entry is None:
                    stack.pop()
                    if here is not top:
                        here.close()
                    continue
                counted += 1
                if not counted % _OFTEN:
                    heard()
                if counted > MAX_ENTRIES:
                    raise too_much(folder, f"more than {MAX_ENTRIES} files")
                if entry.is_dir(follow_symlinks=False):
                    if len(stack) >= MAX_DEPTH:
                        told = f"more than {MAX_DEPTH} folders in one another"
                        raise too_much(folder, told)
                    inner = here.enter(entry.name)
                    stack.append((inner, iter(())))
                    stack[-1] = (inner, iter(inner.entries()))
                elif entry.is_symlink() if links else entry.is_file(follow_symlinks=False):
                    yield here.path / entry.name
                elif not entry.is_file(follow_symlinks=False):
                    path = here.path / entry.name
                    raise refused(path, word_of(here.stat(entry.name)), "a file or a folder")
        finally:
            for here, _ in stack[1:]:
                here.close()
