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
    matches: dict[Path, None] = {}

    def look(place: Path, rest: tuple[str, ...], depth: int) -> None:
        if depth > MAX_DEPTH or not rest:
            return
        try:
            with folder_of(place, root) as opened:
                entries = [(e.name, e.is_dir(follow_symlinks=False)) for e in opened.entries()]
        except FileNotFoundError:
            return
        if rest[0] == "**":
            look(place, rest[1:], depth)
        for name, is_folder in entries:
            if rest[0] == "**":
                if is_folder:
                    look(place / name, rest, depth + 1)
            elif fnmatchcase(name, rest[0]) and (name[0] != "." or rest[0][0] == "."):
                if len(rest) == 1:
                    matches[place / name] = None
                elif is_folder:
                    look(place / name, rest[1:], depth + 1)

    look(folder, steps, 0)
    return sorted(matches)
