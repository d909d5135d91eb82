"""What lies in a folder of results, and fits a pattern of the shell; through no link."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from napari_tool_runner.sealed.opening import MAX_DEPTH, folder_of

__all__ = ["found", "listed"]


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
