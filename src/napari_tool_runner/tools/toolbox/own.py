"""Folders that an author marks as “mine”: whose they are, and what of them runs.

Their changes are followed without a question, so nobody else may be able to make one, and
nothing in them may lead elsewhere. What runs is a copy of what is there when it is asked for.
"""

from __future__ import annotations

import atexit
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from weakref import ref

from napari_tool_runner.errors import TrustError
from napari_tool_runner.names import real_path, walked
from napari_tool_runner.tools.toolbox.approvals import tidy
from napari_tool_runner.tools.toolbox.approved import Listing, digest_of, hold, intact, keep, look
from napari_tool_runner.tools.toolbox.weighing import VERSIONS, weighed

__all__ = ["MINE_MEANS", "Copies", "not_own", "own_copies", "shared_places"]

MINE_MEANS = (
    "Whatever lies in this folder from now on runs without a question, as it is then: also what "
    "you, or a program of yours, unpack, clone or copy into it from elsewhere."
)
"""What to show before a folder is marked."""
_MOST_LINKS = 40
_MOST_BYTES = 50 * 10**6
_TRIES = 3


def not_own(folder: Path) -> str:
    """Return why the changes of a folder cannot be followed; nothing when they can.

    On Windows rights are not looked at: who may write there is told by nobody.
    """
    if place := next(shared_places(folder), None):
        return f"others can change {place}"
    if place := next(_leading_out(folder), None):
        return f"{place} is a link that leads out of it"
    return ""


def _leading_out(folder: Path) -> Iterator[Path]:
    root = real_path(folder)
    for place, folders, files in walked(root):
        folders[:] = [name for name in folders if name not in VERSIONS]
        for inner in (Path(place, name) for name in (*folders, *files)):
            if inner.is_symlink() and not real_path(inner).is_relative_to(root):
                yield folder / inner.relative_to(root)


def shared_places(folder: Path) -> Iterator[Path]:
    """Yield what other users can change of a folder: what is in it, and the way to it.

    An access list shows in the bits of the group. The super-user is nobody else.
    """
    if os.name != "posix":
        return
    waiting, seen = [folder], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        *passed, end = _way(path)  # tools run in place: what a link leads to runs, too
        yield from (one for one in passed if one not in seen and _open_to_others(one, True))
        seen.update(passed)
        if _open_to_others(end, False):
            yield end
        for place, folders, files in walked(end):
            folders[:] = [name for name in folders if name not in VERSIONS]
            for inner in (Path(place, name) for name in (*folders, *files)):
                if inner.is_symlink():
                    waiting.append(inner)
                elif _open_to_others(inner, False):
                    yield inner


def _open_to_others(path: Path, passed: bool) -> bool:
    """Whether others own or can change it; what lies in /tmp, only its owner can move."""
    try:
        info = path.lstat()
    except OSError:
        return False  # it is gone since
    kept = stat.S_ISLNK(info.st_mode) or (passed and info.st_mode & stat.S_ISVTX)
    may_write = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not kept
    return bool(may_write) or info.st_uid not in (0, os.getuid())


def _way(path: Path) -> Iterator[Path]:
    """Yield every folder and link that one comes through on the way to `path`, and its end."""
    place, links = Path(path.anchor), 0
    waiting = [*reversed(path.parts[1:])]
    while waiting and links < _MOST_LINKS:
        part = waiting.pop()
        if part == os.pardir:
            place = place.parent
            continue
        yield place
        if (place / part).is_symlink():
            links += 1
            yield place / part
            waiting += reversed(Path(os.readlink(place / part)).parts)
        else:
            place = place / part
    yield place


# -- what runs -----------------------------------------------------------------------------


@dataclass(slots=True)
class _Held:
    """A copy that this session runs from, until nobody who may do so is left."""

    digest: str
    listing: Listing
    release: Callable[[], None]
    users: list[ref[object]] = field(default_factory=list)

    @property
    def used(self) -> bool:
        return any(user() is not None for user in self.users)


class Copies:
    """Copies of the folders that are “mine”, one for each state that somebody ran."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[Path, _Held] = {}
        self._before: list[_Held] = []

    def take(self, folder: Path) -> str:
        """Return the digest of a copy of what `folder` holds now.

        Nothing, when it is too large to be copied for each change: its tools run in place.

        Raises
        ------
        TrustError
            It cannot be copied.
        """
        with self._lock:
            try:
                return self._taken(folder)
            except OSError as error:
                raise TrustError(
                    f"A copy of {folder} cannot be kept: {error}.",
                    hint="Tools run from a copy in the user's data folder; make it writable.",
                ) from error

    def _taken(self, folder: Path) -> str:
        self._let_go()
        held = self._now.get(folder)
        if held is None or not intact(held.digest):
            rows = weighed(folder, mine=True)
            if sum(info.st_size for _, _, mark, info in rows if not mark) > _MOST_BYTES:
                return ""
        elif digest_of(look(folder, held.listing)) == held.digest:
            return held.digest
        if held is not None:
            self._before.append(self._now.pop(folder))
        for _ in range(_TRIES):
            digest, listing = keep(folder)
            release = hold(digest)
            if intact(digest):  # else another session let it go just before
                self._now[folder] = _Held(digest, listing, release)
                break
            release()
        else:
            raise TrustError(f"{folder} changed while it was copied.", hint="Try again.")
        return digest

    def use(self, folder: Path, digest: str, user: object) -> None:
        """Keep the copy of now, if it is `digest`, for as long as `user` is there."""
        with self._lock:
            held = self._now.get(folder)
            if held is not None and held.digest == digest:
                held.users = [*(one for one in held.users if one() is not None), ref(user)]

    def _let_go(self) -> None:
        """Delete the copies of before that nobody uses."""
        gone = [held for held in self._before if not held.used]
        self._before = [held for held in self._before if held.used]
        for held in gone:
            held.release()
            tidy(held.digest)

    def leave(self, folder: Path | None = None) -> None:
        """Let the copy of a folder go, or (None, at the end) all of them."""
        with self._lock:
            places = [*self._now] if folder is None else [folder] if folder in self._now else []
            self._before += [self._now.pop(place) for place in places]
            if folder is None:
                for held in self._before:
                    held.users = []
            self._let_go()


own_copies = Copies()
"""Those of this session."""
atexit.register(own_copies.leave)
