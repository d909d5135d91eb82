"""The files of a folder that packages and their scripts have filled."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["files_of"]


def files_of(folder: Path, *, whole: bool = False) -> Iterator[os.DirEntry[str]]:
    """Yield what is no folder below `folder`, however deep scripts made it; links are not entered.

    `whole`: folders that we may not look into are made ours; else they are left out.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        place = waiting.pop()
        try:
            if whole and os.lstat(place).st_mode & stat.S_IRWXU != stat.S_IRWXU:
                os.chmod(place, stat.S_IRWXU)
            with os.scandir(place) as listing:
                entries = list(listing)
        except OSError:
            if whole:
                raise
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            else:
                yield entry
