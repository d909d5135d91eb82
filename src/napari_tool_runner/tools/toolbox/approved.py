"""Copies of toolboxes by content: what was approved is read and run from them, nothing else.

`keep` copies the regular files of a folder below the user's data, read-only, into a folder
whose name is the hash of what it holds. A copy means nothing by itself: approvals
(`napari_tool_runner.tools.toolbox.trust`) name the copies that may run.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from napari_tool_runner.errors import OutputError, TrustError
from napari_tool_runner.locks import join_lock
from napari_tool_runner.names import real_path, walked
from napari_tool_runner.sealed import copy_bytes, remove
from napari_tool_runner.sealed.opening import folder_of
from napari_tool_runner.storage import (
    locked,
    private_folder,
    read_json,
    sha256_of,
    user_data,
    write_json,
)
from napari_tool_runner.tools.candidate import holds_macros
from napari_tool_runner.tools.toolbox.weighing import BYTECODE, refuse_full, weighed

__all__ = [
    "Entry",
    "Listing",
    "digest_of",
    "forget",
    "hold",
    "in_use",
    "intact",
    "keep",
    "kept_copies",
    "kept_folder",
    "left_out",
    "listing_from",
    "look",
]

_MOST_MANIFESTS = 50
_NONBLOCK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


class Entry(NamedTuple):
    """One file of a toolbox.

    Parameters
    ----------
    mark : str
        SHA-256 of its content, with ``+x`` where it is executable; ``link:…``,
        ``special:…`` or ``unreadable`` for what is left out.
    size, modified, changed : int
        As the disk tells them; times in ns. What is changed and set back keeps
        `modified`, but not `changed`, which nobody can set.
    """

    mark: str
    size: int
    modified: int
    changed: int

    @property
    def kept(self) -> bool:
        """Whether it is copied."""
        return ":" not in self.mark and self.mark != "unreadable"


Listing = dict[str, Entry]
"""Name below the folder, with ``/`` -> file."""


def _home() -> Path:
    """Return the folder that holds the copies."""
    return user_data() / "approved"


def _copying() -> Path:
    """Return the lock of those who make drafts: while nobody holds it, drafts are of the dead."""
    return user_data() / "locks" / "copying.lock"


def kept_folder(digest: str) -> Path:
    """Return where the copy with `digest` lies, or would lie."""
    return _home() / digest.removeprefix("sha256:")


def digest_of(listing: Mapping[str, Entry]) -> str:
    """Return ``sha256:…`` of names and contents."""
    rows = [(name, listing[name].mark) for name in sorted(listing)]
    told = "".join(f"{name}\0{mark}\n" for name, mark in rows)
    if told.count("\n") > len(rows) or told.count("\0") > len(rows):
        # a name, or where a link leads, would end a row: no row begins with a nul
        told = "".join(f"\0{len(one)}:{one}" for row in rows for one in row)
    return sha256_of(told.encode("utf-8", "surrogateescape"))


def left_out(listing: Mapping[str, Entry]) -> tuple[str, ...]:
    """Return the names of what is not copied: links that lead out, devices, the unreadable."""
    return tuple(name for name, entry in listing.items() if not entry.kept)


def listing_from(data: object) -> Listing:
    """Return the listing that was kept as JSON; raises ValueError when it is none."""
    if not isinstance(data, dict):
        raise ValueError("no listing")
    found: Listing = {}
    for name, row in data.items():
        if not isinstance(row, list) or len(row) != len(Entry._fields):
            raise ValueError("no file of a listing")
        mark, *numbers = row
        try:
            size, modified, changed = (int(number) for number in numbers)
        except (TypeError, OverflowError) as error:
            raise ValueError("no numbers of a file") from error
        found[str(name)] = Entry(str(mark), size, modified, changed)
    return found


# -- looking -----------------------------------------------------------------------------


def look(folder: Path, known: Mapping[str, Entry] | None = None) -> Listing:
    """Return the files of `folder`; those that are on disk as in `known` are not read again.

    Raises
    ------
    TrustError
        It holds too much.
    OSError
        A folder in it cannot be listed: what cannot be seen cannot be approved.
    """
    return _listing(folder, known or {}, None)


def _listing(
    folder: Path, known: Mapping[str, Entry], draft: Path | None, *, whole: bool = False
) -> Listing:
    """Return the files of `folder`, those that are not `known` read; `draft`: and copied there.

    `whole`: also what is skipped in a toolbox, and must not be in a copy.
    """
    found: Listing = {}
    real, rows = real_path(folder), weighed(folder, whole=whole)
    if draft is not None:
        refuse_full(folder, sum(info.st_size for *_, info in rows), draft.parent)
    for name, path, mark, info in rows:
        before = known.get(name)
        if mark:
            found[name] = Entry(mark, 0, info.st_mtime_ns, info.st_ctime_ns)
        elif before is not None and before[1:] == _stamp(info) and sys.platform != "win32":
            found[name] = before
        else:
            found[name] = _entry(Path(path), real, draft and draft / name)
            if found[name].size > info.st_size:
                raise _changed(path)
    return found


def _changed(path: object) -> TrustError:
    return TrustError(
        f"{path} changed while it was looked at.",
        hint="Look at its folder again, then approve it.",
    )


def _stamp(info: os.stat_result) -> tuple[int, int, int]:
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _entry(path: Path, root: Path, draft: Path | None) -> Entry:
    """Return the entry of a regular file; `draft`: copied there, and what was copied counts."""
    try:
        source = _opened(path, root)
    except (FileNotFoundError, OutputError) as error:
        raise _changed(path) from error
    except OSError:
        info = os.lstat(path)
        return Entry("unreadable", 0, info.st_mtime_ns, info.st_ctime_ns)
    with open(source, "rb") as file:
        info = os.fstat(source)
        if not stat.S_ISREG(info.st_mode):
            return Entry(f"special:{stat.S_IFMT(info.st_mode):o}", 0, 0, 0)
        executable = bool(info.st_mode & 0o111) and os.name == "posix"
        if draft is None:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            digest = _copied(file, draft, 0o500 if executable else 0o400)
            if not path.is_relative_to(root) and not holds_macros(draft):
                raise _changed(path)  # nothing else is taken from elsewhere
    return Entry(digest + ("+x" if executable else ""), *_stamp(info))


def _opened(path: Path, root: Path) -> int:
    """Open a file below `root` through no link, also where one came since it was looked at."""
    flags = os.O_RDONLY | _NONBLOCK | _BINARY
    if not path.is_relative_to(root):
        return os.open(path, flags)
    with folder_of(path.parent, root) as folder:
        return os.open(folder.name(path.name), flags, dir_fd=folder.fd)


def _copied(source: BufferedReader, draft: Path, mode: int) -> str:
    """Copy an open file, its holes as holes; return the copy's SHA-256."""
    draft.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    with open(target, "r+b") as copy:
        copy_bytes(source, copy)
        copy.seek(0)
        digest = hashlib.file_digest(copy, "sha256")
        if os.name == "posix":
            os.fchmod(target, mode)
    return digest.hexdigest()


# -- keeping -----------------------------------------------------------------------------


def keep(folder: Path) -> tuple[str, Listing]:
    """Copy what `folder` holds; return the digest of the copy, and the files as they were.

    Raises
    ------
    TrustError
        It holds too much.
    OSError
        It cannot be listed, or the copy not be written.
    """
    home = _home()
    private_folder(home)
    private_folder(_copying().parent)
    release = join_lock(_copying(), alone=False, mode=0o600)
    draft = home / f".draft-{secrets.token_hex(6)}"
    try:
        draft.mkdir(mode=0o700)
        found = _listing(folder, {}, draft)
        digest = digest_of(found)
        with locked(home):
            if not intact(digest):
                forget(digest)
                _seal(draft)
                draft.rename(kept_folder(digest))
                _write_manifest(digest, found)
    finally:
        _delete(draft)
        if release is not None:
            release()
    return digest, found


def _seal(folder: Path) -> None:
    """Take everybody's right to write in `folder` and the folders below."""
    if os.name != "posix":
        return
    for place, _, _ in [*walked(folder)][::-1]:
        os.chmod(place, 0o500)


def _manifest(digest: str) -> Path:
    return kept_folder(digest).with_suffix(".json")


def _write_manifest(digest: str, source: Listing) -> None:
    """Note the marks of the copy, with the times that its own files have."""
    base = kept_folder(digest)
    rows = {
        name: Entry(entry.mark, *(_stamp(os.lstat(base / name)) if entry.kept else entry[1:]))
        for name, entry in source.items()
    }
    write_json(_manifest(digest), rows, indent=None)


def intact(digest: str) -> bool:
    """Whether the copy with `digest` is there, and holds what its name says.

    A file whose times are not those of the copying is read again. Times of change cannot be
    set by a program, so a file that was altered and dressed up is found; where the system
    has no such time (Windows), every file is read.
    """
    base = kept_folder(digest)
    try:
        told, wanted = _told(digest)
        now = _listing(base, wanted, None, whole=True)
        for name in now.keys() - wanted.keys():
            if not _is_bytecode(name):
                return False
            (base / name).unlink()  # Python wrote it beside its source: nobody has seen it
            del now[name]
        if _marks(now) != _marks(wanted):
            return False
        if now != wanted:  # times have moved, the content has not: look here the next time
            with suppress(OSError):
                _write_manifest(digest, told)
        return True
    except (OSError, ValueError, TypeError, TrustError):
        return False


_manifests: dict[str, tuple[tuple[int, ...], Listing, Listing]] = {}


def _told(digest: str) -> tuple[Listing, Listing]:
    """Return what the manifest of a copy tells, and those of it that were copied.

    Raises
    ------
    OSError, ValueError
        There is none, or it is of another content.
    """
    path = _manifest(digest)
    info = path.stat()
    stamp = (info.st_ino, *_stamp(info))
    known = _manifests.get(digest)
    if known is None or known[0] != stamp or sys.platform == "win32":
        told = listing_from(read_json(path))
        if digest_of(told) != digest:
            raise ValueError("it tells of another content")
        while len(_manifests) >= _MOST_MANIFESTS:
            del _manifests[next(iter(_manifests))]
        wanted = {name: entry for name, entry in told.items() if entry.kept}
        known = _manifests[digest] = stamp, told, wanted
    return known[1], known[2]


def _is_bytecode(name: str) -> bool:
    return name.endswith(BYTECODE)


def _marks(listing: Mapping[str, Entry]) -> dict[str, str]:
    return {name: entry.mark for name, entry in listing.items()}


def kept_copies() -> list[str]:
    """Return the digests of all copies; drafts of sessions that died are named as they are."""
    home = _home()
    if not home.is_dir():
        return []
    release = join_lock(_copying(), alone=True)
    # while somebody copies (and on Windows, which has no such lock) the young may be theirs
    alive = release is None or sys.platform == "win32"
    young = time.time() - (3600 if alive else 0)
    folders = sorted(entry for entry in home.iterdir() if entry.is_dir())
    if release is not None:
        release()
    found = []
    for one in folders:
        if not one.name.startswith("."):
            found.append(f"sha256:{one.name}")
            continue
        with suppress(FileNotFoundError):  # finished or deleted meanwhile
            if one.lstat().st_mtime <= young or not alive:
                found.append(one.name)
    return found


def hold(digest: str) -> Callable[[], None]:
    """Say that this session runs from a copy; return what says that it no longer does."""
    return join_lock(kept_folder(digest), alone=False, folder=True) or (lambda: None)


def in_use(digest: str) -> bool:
    """Whether a session, this one counted, said that it runs from a copy."""
    release = join_lock(kept_folder(digest), alone=True, folder=True)
    if release is not None:
        release()
    return release is None


def forget(digest: str) -> None:
    """Delete a copy, if there is one."""
    _delete(kept_folder(digest))
    with suppress(FileNotFoundError):
        _manifest(digest).unlink()


def _delete(folder: Path) -> None:
    if folder.is_dir():
        remove(folder, folder.parent)
