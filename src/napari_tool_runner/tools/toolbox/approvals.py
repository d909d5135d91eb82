"""The approvals that are remembered: one JSON file in the user's data folder."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from napari_tool_runner.errors import TrustError
from napari_tool_runner.storage import Kept, read_json, user_data
from napari_tool_runner.tools.toolbox.approved import Listing, digest_of, listing_from
from napari_tool_runner.tools.toolbox.weighing import VERSIONS

__all__ = [
    "Approval",
    "approval_of",
    "approvals",
    "approved_above",
    "image_before",
    "remember",
    "shared_places",
]

_VERSION = 2
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Approval:
    """What is remembered of a folder.

    Parameters
    ----------
    mine : bool
        Its changes are followed, nothing is kept.
    old : bool
        An older version approved it, without a copy.
    other : str
        What is another than it was, outside of the folder: it is asked again.
    """

    digest: str
    files: Listing = field(default_factory=dict)
    mine: bool = False
    old: bool = False
    other: str = ""


def approval_of(folder: Path) -> Approval | None:
    """Return what is remembered of a folder, None when it was never approved."""
    return approvals().get(str(folder))


def approved_above(path: Path) -> Path | None:
    """Return the approved folder that `path` lies in, if there is one."""
    known = approvals()
    return next((place for place in path.parents if str(place) in known), None)


def _store() -> Path:
    return user_data() / "trust.json"


_remembered: dict[Path, tuple[tuple[int, ...], dict[str, Approval]]] = {}


def approvals() -> dict[str, Approval]:
    """Return every approval by its folder; one that is damaged is none, and hides no other."""
    store = _store()
    try:
        info = store.stat()
        # no program can set the time of change; a file that is written anew is another file
        stamp = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = _remembered.get(store)
        if known is None or known[0] != stamp or sys.platform == "win32":
            known = _remembered[store] = (stamp, _parsed(read_json(store)))
    except (OSError, ValueError):
        return {}  # absent or damaged: nothing is approved, which is the safe side
    return dict(known[1])


def _parsed(data: object) -> dict[str, Approval]:
    toolboxes = data.get("toolboxes") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(toolboxes, dict):
        return {}
    read = {str(name): _read(kept, data.get("version", 1)) for name, kept in toolboxes.items()}
    return {name: approval for name, approval in read.items() if approval is not None}


def _read(kept: object, version: object) -> Approval | None:
    """Return an approval as it was written, None when it is damaged."""
    if not isinstance(kept, Mapping):
        return None
    if version != _VERSION or kept.get("old") is True:
        return Approval("", old=True)
    if kept.get("mine") is True:
        return Approval("", mine=True)
    try:
        files = listing_from(kept.get("files"))
    except (ValueError, TypeError):
        return None
    # what was approved is what its files say, whatever else stands there
    return Approval(digest_of(files), files, other=str(kept.get("other") or ""))


def remember(folder: Path, approval: Approval | None) -> None:
    """Write the approval of a folder, or (None) take it out; raises TrustError."""
    store = _store()
    try:
        with Kept(store, _VERSION).changing() as told:
            kept = _parsed(told)
            kept.pop(str(folder), None)
            if approval is not None:
                kept[str(folder)] = approval
            told["toolboxes"] = {name: _written(one) for name, one in kept.items()}
            told["written"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    except OSError as error:
        raise TrustError(
            f"The approval cannot be kept in {store}: {error.strerror or error}.",
            hint="End what holds it, then try again."
            if isinstance(error, TimeoutError)
            else "Make that folder writable.",
        ) from error


def _written(approval: Approval) -> dict[str, object]:
    if approval.old:
        return {"old": True}
    if approval.mine:
        return {"mine": True}
    other = {"other": approval.other} if approval.other else {}
    return {"digest": approval.digest, "files": approval.files, **other}


def image_before(folder: Path, name: str, image: str, digest: str) -> str:
    """Remember which image a name stands for in a toolbox; return what it was, if another one.

    Parameters
    ----------
    image, digest : str
        What the engine calls it, and the registry, which may be empty.

    Raises
    ------
    OSError
        It cannot be remembered.
    """
    kept = Kept(user_data() / "images.json")
    with suppress(ValueError):  # damaged: put aside below
        if _is_known(kept.read().get(str(folder)), name, image, digest):
            return ""
    with kept.changing() as told:
        found = told.get(str(folder))
        names = dict(found) if isinstance(found, dict) else {}
        known = names.get(name)
        names[name] = [image, digest]
        told[str(folder)] = names
    return " ".join(filter(None, known)) if isinstance(known, list) else ""


def _is_known(names: object, name: str, image: str, digest: str) -> bool:
    known = names.get(name) if isinstance(names, dict) else None
    return isinstance(known, list) and (image in known or (bool(digest) and digest in known))


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
        for place, folders, files in os.walk(end):
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
