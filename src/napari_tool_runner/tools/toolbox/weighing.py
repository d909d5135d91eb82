"""What a toolbox folder holds, and whether that can be copied: its files are not opened for it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from napari_tool_runner.errors import TrustError
from napari_tool_runner.names import size_text
from napari_tool_runner.storage import user_data
from napari_tool_runner.tools.candidate import holds_macros

__all__ = ["BYTECODE", "DEEPEST", "MOST_BYTES", "MOST_FILES", "VERSIONS", "refuse_full", "weighed"]

VERSIONS = frozenset({".git", ".hg", ".svn", ".bzr", "CVS"})
"""Folders of version control."""
_SKIPPED = VERSIONS | {"__pycache__"}
"""Folders that are neither hashed nor copied, so nothing in them runs."""
BYTECODE = (".pyc", ".pyo")
MOST_FILES = 200_000
MOST_BYTES = 2 * 10**9
_SPARE = 10**9  # bytes of a disk, or a tenth of it, that no copy takes
DEEPEST = 64


def weighed(
    folder: Path, *, whole: bool = False, mine: bool = False
) -> list[tuple[str, str, str, os.stat_result]]:
    """Return name, path, mark and facts of the files of `folder`; opens none of them.

    Parameters
    ----------
    mine : bool
        Whatever they weigh: they are not read.

    Raises
    ------
    TrustError
        It holds too much.
    OSError
        A folder in it cannot be listed.
    """
    rows = []
    for name, path, mark in _files(folder, whole=whole):
        rows.append((name, path, mark, os.lstat(path)))
        _refuse_many(folder, len(rows))
    sizes = {name: info.st_size for name, _, mark, info in rows if not mark}
    if sum(sizes.values()) > MOST_BYTES and not mine:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        told = ", ".join(f"{name} ({size_text(sizes[name])})" for name in largest)
        raise TrustError(
            f"The folder {folder} holds {size_text(sum(sizes.values()))}, more than "
            f"{size_text(MOST_BYTES)}: that is no toolbox. The largest files: {told}.",
            hint="Name a descriptor in it by its path or, if you write these tools, use "
            "`trust --mine`: neither copies anything.",
        )
    return rows


def _refuse_many(folder: Path, count: int) -> None:
    if count > MOST_FILES:
        raise TrustError(
            f"The folder {folder} holds more than {MOST_FILES:,} files: that is no toolbox.",
            hint="Name the folder that holds the tools and nothing else.",
        )


def refuse_full(folder: Path, size: int, home: Path) -> None:
    """Raise TrustError when the disk of `home` has no room for a copy with room to spare."""
    disk = shutil.disk_usage(home)
    if size > max(disk.free - min(_SPARE, disk.total // 10), disk.free // 10):
        raise TrustError(
            f"A copy of {folder} takes {size_text(size)}, and the disk of {home} has only "
            f"{size_text(disk.free)} free.",
            hint="Make room there (`napari-tool-runner clean`), then try again.",
        )


def _files(folder: Path, *, whole: bool = False) -> Iterator[tuple[str, str, str]]:
    """Yield name, path and (for what is left out) mark of everything that is a file.

    A link to inside of the folder is what it leads to, and so is one to a file of macros, which
    repositories share; any other that leads out is left out.
    """
    root = os.path.realpath(folder)
    if Path(os.path.realpath(user_data())).is_relative_to(root):
        raise TrustError(
            f"The folder {folder} holds this program's own data: that is no toolbox.",
            hint="Name the folder that holds the tools and nothing else.",
        )
    if not os.path.isdir(root):
        return  # a toolbox that is gone: all its files were removed
    waiting: list[tuple[str, str, tuple[str, ...]]] = [("", root, (root,))]
    passed = 0
    while waiting:
        prefix, place, above = waiting.pop()
        passed += 1
        _refuse_many(folder, passed)  # links from folder to folder make endless ways
        with os.scandir(place) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name = f"{prefix}{entry.name}"
            if not whole and (entry.name in _SKIPPED or entry.name.endswith(BYTECODE)):
                continue
            path = entry.path
            if entry.is_symlink():
                path = os.path.realpath(path)
                known = _inside(path, root) and path not in above and os.path.exists(path)
                if not known and not holds_macros(Path(path)):
                    yield name, entry.path, f"link:{os.readlink(entry.path)}"
                    continue
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                if len(above) > DEEPEST:
                    raise TrustError(f"The folder {folder} is nested too deeply ({name}).")
                waiting.append((f"{name}/", path, (*above, path)))
            elif stat.S_ISREG(mode):
                yield name, path, ""
            else:
                yield name, path, f"special:{stat.S_IFMT(mode):o}"


def _inside(path: str, root: str) -> bool:
    inner = os.path.relpath(path, root)
    parts = inner.split(os.sep)
    return parts[0] != os.pardir and not _SKIPPED & {*parts} and not inner.endswith(BYTECODE)
