"""What stands for all files below a folder: read once, then the kernel tells what changes.

Asking the system about each file of an environment takes a second. So every folder is watched
(inotify) before it is read, and of those in which something happened, each is read again.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import struct
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.sealed import facts_of, tells_changes

__all__ = ["TreeState", "Trees"]

_logger = logging.getLogger(__name__)
_SKIPPED = frozenset({"__pycache__"})
"""Copies that Python makes of what lies beside them."""
_MOST = 50_000
"""Folders of a tree."""

# of <sys/inotify.h>
_CLOSED_ON_EXEC, _NONBLOCKING = 0o2000000, 0o4000
_MODIFIED, _ATTRIBUTES, _WRITTEN, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_MADE, _DELETED, _SELF_DELETED, _SELF_MOVED = 0x100, 0x200, 0x400, 0x800
_LOST, _IGNORED, _OF_FOLDER, _FOLDERS_ONLY = 0x4000, 0x8000, 0x40000000, 0x1000000
_ASKED = (
    _MODIFIED | _ATTRIBUTES | _WRITTEN | _MOVED_FROM | _MOVED_TO | _MADE | _DELETED
    | _SELF_DELETED | _SELF_MOVED | _FOLDERS_ONLY
)  # fmt: skip
_EVENT = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class TreeState:
    """`digest` stands for all files; `changed`: when one of them last did, in ns since 1970."""

    digest: str
    changed: int


class Trees:
    """Folders whose state was asked for, watched as long as this process lives.

    One is enough for a process: a system lends it a limited number of watches.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        self._refused: set[str] = set()

    def state(self, top: str, hidden: Iterable[str] = ()) -> TreeState | None:
        """Return the state of a file, or of all below a folder; None: it cannot be told.

        Parameters
        ----------
        top : str
            By where it really lies.
        hidden : iterable of str
            What lies below and does not count, as nobody is shown it.

        Raises
        ------
        OSError
        """
        if not os.path.isdir(top):
            if not tells_changes(Path(top)):
                return None
            facts = facts_of(top)
            return TreeState(repr(facts), facts[-1])
        with self._lock:
            self._hear()
            if top in self._refused:
                return None
            try:
                return self._state(top, frozenset(hidden))
            except _RefusedError as error:
                _logger.info("Earlier runs answer for none that sees %s: %s.", top, error)
                self._refused.add(top)
                return None

    # -- called with the lock ----------------------------------------------------------------

    def _state(self, top: str, hidden: frozenset[str]) -> TreeState | None:
        key = top, hidden
        tree = self._trees.pop(key, None) or _Tree(top, hidden)
        self._read(tree, tree.stale if tree.folders else [top])
        self._trees[key] = tree  # of one that could not be read, nothing is known
        self._hear()  # what happened meanwhile
        if key not in self._trees:
            return None
        self._read(tree, tree.stale)
        return tree.state()

    def _forget(self) -> None:
        self._process, self._watch = os.getpid(), -1
        self._places: dict[int, tuple[str, ...]] = {}
        self._trees: dict[tuple[str, frozenset[str]], _Tree] = {}

    def _hear(self) -> None:
        """Take what the kernel has told, and note which folders are to be read again."""
        if self._process != os.getpid():  # a fork would take what is told to the other
            self._forget()
        while self._watch >= 0:
            try:
                told = os.read(self._watch, 2**16)
            except BlockingIOError:
                return
            start = 0
            while start < len(told):
                number, what, _, length = _EVENT.unpack_from(told, start)
                start += _EVENT.size
                name = os.fsdecode(told[start : start + length].rstrip(b"\0"))
                start += length
                self._note(number, what, name)

    def _note(self, number: int, what: int, name: str) -> None:
        if what & _LOST:
            os.close(self._watch)
            self._forget()
        if what & _IGNORED:
            self._places.pop(number, None)
        if name in _SKIPPED:
            return
        moved = what & _SELF_MOVED or (what & _OF_FOLDER and what & (_MOVED_FROM | _MOVED_TO))
        for place in self._places.get(number, ()):
            for key, tree in list(self._trees.items()):
                if place not in tree.folders:
                    continue
                if moved:  # what is watched below has other names now
                    del self._trees[key]
                else:
                    tree.stale.add(place)

    def _read(self, tree: _Tree, places: Iterable[str]) -> None:
        """Read folders of a tree, and those below that are new."""
        todo = [*places]
        tree.stale.clear()
        while todo:
            place = todo.pop()
            try:
                self._add(place)
                told = _read_folder(place, tree.hidden)
            except (FileNotFoundError, NotADirectoryError):
                if place == tree.top:
                    raise
                tree.drop(place)  # gone, which the one above tells
                continue
            except PermissionError:
                told = _Folder(b"closed", 0, {})  # as it is to the program
            if told.device and told.device != tree.device:
                if not tells_changes(Path(place)):
                    raise _RefusedError(f"the file system of {place} does not tell changes")
                tree.device = told.device
            before = tree.folders.get(place)
            tree.put(place, told)
            known = before.below if before else {}
            for one in known.keys() - told.below.keys():
                tree.drop(one)
            # one of the same name may have taken its place
            same = known.items() & told.below.items()
            todo += [one for one, _ in told.below.items() - same]
            todo += [one for one, _ in same if one not in tree.folders]
            if len(tree.folders) > _MOST:
                raise _RefusedError(f"it holds more than {_MOST} folders")

    def _add(self, place: str) -> None:
        libc = _libc()
        if self._watch < 0:
            self._watch = libc.inotify_init1(_CLOSED_ON_EXEC | _NONBLOCKING)
            if self._watch < 0:
                raise _RefusedError(f"it cannot be watched ({os.strerror(ctypes.get_errno())})")
        number = libc.inotify_add_watch(self._watch, os.fsencode(place), _ASKED)
        if number < 0:
            problem = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)
            if isinstance(problem, (FileNotFoundError, NotADirectoryError, PermissionError)):
                raise problem
            raise _RefusedError(f"no more folders can be watched here ({problem.strerror})")
        known = self._places.get(number, ())
        if place not in known:
            self._places[number] = (*known, place)


@dataclass(frozen=True, slots=True)
class _Folder:
    """What stands for the files of one folder; `below`: the folders in it, with their numbers."""

    said: bytes
    changed: int
    below: Mapping[str, int]
    device: int = 0


@dataclass(slots=True)
class _Tree:
    """A folder with all below it, as it was found."""

    top: str
    hidden: frozenset[str]
    folders: dict[str, _Folder] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    device: int = 0
    _state: TreeState | None = None

    def put(self, place: str, folder: _Folder) -> None:
        self.folders[place], self._state = folder, None

    def drop(self, place: str) -> None:
        todo, self._state = [place], None
        while todo:
            gone = self.folders.pop(todo.pop(), None)
            todo += gone.below if gone else ()

    def state(self) -> TreeState:
        if self._state is None:
            digest, changed = hashlib.sha256(), 0
            for place, folder in sorted(self.folders.items()):
                digest.update(f"{os.path.relpath(place, self.top)}\0".encode(errors="replace"))
                digest.update(folder.said)
                changed = max(changed, folder.changed)
            self._state = TreeState(digest.hexdigest(), changed)
        return self._state


class _RefusedError(Exception):
    """A folder that is not watched, and why."""


def _read_folder(place: str, hidden: frozenset[str]) -> _Folder:
    """Return what the system tells of each file in a folder.

    Its own time counts for when something changed only: it is that of what was deleted, too.
    """
    facts = os.stat(place)
    changed = facts.st_ctime_ns
    below: dict[str, int] = {}
    said: list[str] = []
    with os.scandir(place) as entries:
        for one in entries:
            if one.name in _SKIPPED or one.path in hidden:
                continue
            if one.is_dir(follow_symlinks=False):
                below[one.path] = one.inode()
                continue
            with suppress(FileNotFoundError):  # which the kernel tells
                told = one.stat(follow_symlinks=False)
                changed = max(changed, told.st_ctime_ns)
                times = f"{told.st_mtime_ns} {told.st_ctime_ns}"
                said.append(f"{one.name}\0{told.st_ino} {told.st_size} {times}")
    text = "\0".join(sorted(said))
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
    return _Folder(digest, changed, below, facts.st_dev)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
