"""Looking for results by a pattern of the shell, through no link."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from napari_tool_runner.sealed.opening import MAX_DEPTH, folder_of

__all__ = ["found"]


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
