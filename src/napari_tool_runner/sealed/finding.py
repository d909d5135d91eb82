"""What lies in a folder of results, and fits a pattern of the shell; through no link."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from napari_tool_runner.names import held
from napari_tool_runner.sealed.opening import MAX_DEPTH, folder_of, heard

__all__ = ["Usage", "facts_below", "found", "listed", "usage"]

_LONG = 2000


class Usage(NamedTuple):
    """What a file, or a folder with all below it, takes.

    Parameters
    ----------
    content : int
        Bytes that are read from its files, of holes zeros.
    used : int
        Bytes of the disk; a file with several names counts once.
    freed : int
        Those of them that no name elsewhere holds.
    """

    content: int
    used: int
    freed: int


def usage(path: Path) -> Usage:
    """Return what `path` takes; a link in it takes itself, and what goes meanwhile nothing."""
    content = used = freed = 0
    met: Counter[tuple[int, int]] = Counter()
    for facts in facts_below(path):
        if stat.S_ISREG(facts.st_mode):
            content += facts.st_size
        names = (facts.st_dev, facts.st_ino)
        if facts.st_nlink > 1:
            met[names] += 1
        used += held(facts) * (met[names] < 2)
        freed += held(facts) * (met[names] in (0, facts.st_nlink))
    return Usage(content, used, freed)


def facts_below(path: Path) -> Iterator[os.stat_result]:
    """Yield what the system tells of a file, or of all files below a folder, however deep.

    Links are not followed, but for `path` itself; what cannot be looked at is left out.
    """
    if not os.path.isdir(path):
        with suppress(OSError):
            yield os.stat(path)
        return
    todo: list[tuple[_Anchor | None, str]] = [(None, os.fspath(path))]
    while todo:
        heard()
        anchor, place = todo.pop()
        with suppress(OSError):
            if len(place) > _LONG and os.name == "posix":  # the system takes no path twice as long
                anchor, place = _Anchor(anchor, place), "."
            here = _Anchor(anchor, place)  # entries are asked for through it
            with here.entries() as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append((anchor, os.path.join(place, entry.name)))
                        continue
                    with suppress(OSError):
                        yield entry.stat(follow_symlinks=False)


class _Anchor:
    """An open folder, from which paths go on; closed when nothing does any more."""

    def __init__(self, above: _Anchor | None, place: str) -> None:
        self._place, self._held = place, -1
        if os.name == "posix":
            flags = os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if above else 0)
            self._held = os.open(place, flags, dir_fd=above._held if above else None)

    def entries(self) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        return os.scandir(self._place if self._held < 0 else self._held)

    def __del__(self) -> None:
        if self._held >= 0:
            os.close(self._held)


def listed(folder: Path, root: Path) -> dict[Path, str]:
    """Return what lies in a folder, hidden entries too, with its `kind`, by name.

    Raises
    ------
    OutputError, OSError
    """
    with folder_of(folder, root) as opened:
        return {folder / entry.name: _kind_of(entry) for entry in opened.entries()}


def _kind_of(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def found(folder: Path, pattern: str, root: Path) -> list[Path]:
    """Return the files and folders below `folder` that fit a pattern of the shell, sorted.

    ``*`` stands for one step, ``**`` for any number; links are given, never entered.
    """
    steps = PurePosixPath(pattern).parts
    if ".." in steps or PurePosixPath(pattern).is_absolute():
        return []
    matches: list[Path] = []
    # one walk, whatever the pattern: with each folder go the places in it that were reached
    waiting = [(folder, _reached(steps, {0}), 0)]
    while waiting:
        place, reached, depth = waiting.pop()
        try:
            with folder_of(place, root) as opened:
                entries = [(e.name, e.is_dir(follow_symlinks=False)) for e in opened.entries()]
        except FileNotFoundError:
            continue
        for name, is_folder in entries:
            fits = {at + 1 for at in reached if steps[at] != "**" and _fits(name, steps[at])}
            if len(steps) in fits:
                matches.append(place / name)
            inner = _reached(steps, fits | {at for at in reached if steps[at] == "**"})
            if is_folder and inner and depth < MAX_DEPTH:
                waiting.append((place / name, inner, depth + 1))
    return sorted(matches)


def _fits(name: str, step: str) -> bool:
    return fnmatchcase(name, step) and (name[0] != "." or step[0] == ".")


def _reached(steps: tuple[str, ...], places: set[int]) -> set[int]:
    """Return `places`, and those behind a ``**`` of no steps; none behind the last step."""
    found: set[int] = set()
    for start in places:
        at = start
        while at < len(steps):
            found.add(at)
            if steps[at] != "**":
                break
            at += 1
    return found
