"""Content hashes of large files that are remembered: a file that changed is noticed.

A hash is remembered only where the file system tells every change (`sealed.tells_changes`), and
was made after all that was written before had reached the disk.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.storage import Kept, user_cache

if TYPE_CHECKING:
    from napari_tool_runner.jobs.execution import Run

__all__ = ["known_digest", "remember_digest", "stamp_of", "unhashed_bytes"]

_logger = logging.getLogger(__name__)
_MOST = 1000
_MOST_FILES = 20_000  # of a folder


def stamp_of(path: Path) -> str:
    """Return what changes when something at `path` does; empty where that is not told.

    Raises
    ------
    OSError
    """
    if not sealed.tells_changes(path):
        return ""
    if path.is_dir():
        return sealed.state_of(path, most=_MOST_FILES, read=0)
    return repr(sealed.facts_of(path))


def known_digest(path: Path, stamp: str) -> str:
    """Return the content hash of `path`, which has `stamp`; empty when it is not known."""
    told = _remembered().get(str(path))
    match told:
        case [str(then), str(digest)] if stamp and then == stamp:
            return digest
    return ""


def remember_digest(path: Path, stamp: str, digest: str) -> None:
    """Remember the content hash of `path` in this session and for later ones."""
    remembered = _remembered()
    if not stamp or remembered.get(str(path)) == [stamp, digest]:
        return
    remembered[str(path)] = [stamp, digest]
    try:
        with _kept().changing() as told:
            told.pop(str(path), None)  # the newest stand last
            told[str(path)] = [stamp, digest]
            for old in [name for name in told if name != "version"][:-_MOST]:
                del told[old]
    except OSError as error:
        _logger.warning("A content hash is remembered for this session only: %s", error)


def unhashed_bytes(run: Run) -> int:
    """Return how much `Run.hash_files` has to read."""
    files = [one.path for one in run.inputs if not one.sha256]
    files += [part.path for one in run.outputs.values() for part in one.files().values()]
    return sum(sealed.usage(file).content for file in files if file not in run.digests)


def _kept() -> Kept:
    return Kept(user_cache() / "digests.json")


@cache
def _remembered() -> dict[str, object]:
    try:
        return _kept().read()
    except (OSError, ValueError) as error:
        _logger.warning("Content hashes of earlier sessions are not used: %s", error)
        return {}
