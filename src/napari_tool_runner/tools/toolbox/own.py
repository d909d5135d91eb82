"""Folders that an author marks as “mine”: whose they are, and what of them runs.

Their changes are followed without a question, so nobody else may be able to make one, and
nothing in them may lead elsewhere. What runs is a copy of what is there when it is asked for.
"""

from __future__ import annotations

import atexit
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from weakref import ref

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import TrustError
from napari_tool_runner.names import lies_in, real_path
from napari_tool_runner.tools.toolbox.added import is_fetched
from napari_tool_runner.tools.toolbox.approvals import tidy
from napari_tool_runner.tools.toolbox.approved import Listing, digest_of, hold, intact, keep, look
from napari_tool_runner.tools.toolbox.weighing import VERSIONS, weighed

if TYPE_CHECKING:
    from napari_tool_runner.config import Config

__all__ = ["MINE_MEANS", "PUT_RIGHT", "Copies", "not_own", "own_copies", "shared_places"]

MINE_MEANS = (
    "Whatever lies in this folder from now on runs without a question, as it is then: also what "
    "you, or a program of yours, unpack, clone or copy into it from elsewhere."
)
"""What to show before a folder is marked."""
PUT_RIGHT = (
    "Move that out of the folder, or keep others from changing it; "
    "else approve the folder as it is."
)
"""What helps where the changes of an author's own folder cannot be followed."""
_MOST_LINKS = 40
_MOST_BYTES = 50 * 10**6
_TRIES = 3

_User = TypeVar("_User")


def not_own(folder: Path, config: Config) -> str:
    """Return why the changes of a folder cannot be followed; nothing when they can.

    On Windows rights are not looked at: who may write there is told by nobody.
    """
    if is_fetched(folder):
        return "it was fetched, and another version may take its place"
    jobs = real_path(config.workspaces)
    if lies_in(jobs, folder) or lies_in(real_path(folder), jobs):
        return f"jobs write into {config.workspaces}, also those of other people’s tools"
    if place := next(shared_places(folder), None):
        return f"others can change {place}"
    if link := next(_leading_out(folder), ""):
        inside = [one for one in Path(link).parents if one.is_relative_to(folder)]
        made = next((one for one in inside if (one / "pyvenv.cfg").is_file()), None)
        if made is not None:
            return f"{made} is an environment of Python, whose links lead out of it"
        return f"{link} is a link that leads out of it"
    return ""


def _leading_out(folder: Path) -> Iterator[str]:
    root = real_path(folder)
    for entry in _below(os.fspath(folder)):
        if entry.is_symlink() and not real_path(Path(entry.path)).is_relative_to(root):
            yield entry.path


def _below(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in a folder, at any depth, but nothing of version control."""
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = [*entries]
        except OSError:
            continue  # it is gone since, no folder, or may not be read: then nothing runs from it
        for entry in found:
            inner = entry.is_dir(follow_symlinks=False)
            if not (entry.name in VERSIONS and (inner or entry.is_dir())):
                yield entry
                if inner:
                    waiting.append(entry.path)


def shared_places(folder: Path) -> Iterator[Path]:
    """Yield what other users can change of a folder: what is in it, and the way to it.

    An access list shows in the bits of the group. The super-user is nobody else, and neither is
    a group that only the user is in (decision 243).
    """
    if os.name != "posix":
        return
    own_group = _own_group()
    waiting, seen = [folder], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        *passed, end = _way(path)  # tools run in place: what a link leads to runs, too
        yield from (one for one in passed if one not in seen and _open(one, own_group, True))
        seen.update(passed)
        if _open(end, own_group):
            yield end
        for entry in _below(os.fspath(end)):
            if entry.is_symlink():
                waiting.append(Path(entry.path))
            elif _open(entry, own_group):
                yield Path(entry.path)


def _open(one: Path | os.DirEntry[str], own_group: int, passed: bool = False) -> bool:
    """Whether others own or can change it; what lies in /tmp, only its owner can move."""
    try:
        info = one.lstat() if isinstance(one, Path) else one.stat(follow_symlinks=False)
    except OSError:
        return False  # it is gone since
    if info.st_uid not in (0, os.getuid()):
        return True
    may_write = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not may_write or stat.S_ISLNK(info.st_mode) or (passed and info.st_mode & stat.S_ISVTX):
        return False
    alone = may_write == stat.S_IWGRP and info.st_gid == own_group
    return not alone or _has_list(os.fspath(one))


def _own_group() -> int:
    """Return the group that only the user is in, whom many systems let write; else -1."""
    if not hasattr(os, "listxattr"):  # access lists could not be told from its bits
        return -1
    import grp
    import pwd

    try:
        user = pwd.getpwuid(os.getuid())
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return -1
    alone = group.gr_name == user.pw_name and {*group.gr_mem} <= {user.pw_name}
    return group.gr_gid if alone else -1


def _has_list(path: str) -> bool:
    """Whether it may have an access list, whose entries for others the group's bits hide."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        return error.errno != errno.ENOTSUP
    return any(name.startswith("system.") for name in names)


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

    def take(self, folder: Path, user_of: Callable[[str], _User]) -> _User:
        """Return who runs from a copy of what `folder` holds now: `user_of` its digest.

        The copy is kept for as long as that object is there. The digest is empty when the folder
        is too large to be copied for each change: its tools run in place.

        Raises
        ------
        TrustError
            It cannot be copied.
        """
        with self._lock:
            try:
                held = self._taken(folder)
            except OSError as error:
                raise TrustError(
                    f"A copy of {folder} cannot be kept: {error}.",
                    hint="Tools run from a copy in the user's data folder; make it writable.",
                ) from error
            user = user_of(held.digest if held else "")
            if held is not None:
                held.users = [*(one for one in held.users if one() is not None), ref(user)]
            return user

    def _taken(self, folder: Path) -> _Held | None:
        self._let_go()
        held = self._now.get(folder)
        if held is not None:
            if intact(held.digest) and digest_of(look(folder, held.listing)) == held.digest:
                return held
            self._before.append(self._now.pop(folder))
        rows = weighed(folder, mine=True)
        if sum(info.st_size for _, _, mark, info in rows if not mark) > _MOST_BYTES:
            return None
        for _ in range(_TRIES):
            digest, listing = keep(folder)
            release = hold(digest)
            if intact(digest):  # else another session let it go just before
                self._now[folder] = _Held(digest, listing, release)
                return self._now[folder]
            release()
        raise TrustError(f"{folder} changed while it was copied.", hint="Try again.")

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
