"""What installed packages bring: their entry points, found without reading what else they tell."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from importlib.metadata import EntryPoint

__all__ = ["entry_points_of"]

_SETTLED = 5 * 10**9  # ns: what is being installed now is read again


def entry_points_of(group: str) -> Iterable[EntryPoint]:
    """Return the entry points of `group`, as `importlib.metadata.entry_points` does.

    Most computers have none. To import what reads them and to read them all takes a fifth of the
    time of a small run, so that is done only where the name of the group stands in one.
    """
    if any(text is None or group.encode() in text for text in _texts()):
        from importlib.metadata import entry_points

        return entry_points(group=group)
    return ()


_read: dict[str, tuple[int, list[bytes]]] = {}
"""Folder -> when it was changed, and what was read there: hundreds of files, asked by each run."""


def _texts_in(place: str) -> list[bytes]:
    """Return the entry points in a folder; what is installed or removed there changes its time."""
    changed = os.stat(place).st_mtime_ns
    if (known := _read.get(place)) is not None and known[0] == changed:
        return known[1]
    found = []
    for name in os.listdir(place):
        if name.lower().endswith((".dist-info", "egg-info")):
            path = os.path.join(place, name, "entry_points.txt")
            with (
                suppress(FileNotFoundError, NotADirectoryError, PermissionError),
                open(path, "rb") as file,
            ):
                found.append(file.read())
    if time.time_ns() - changed > _SETTLED:
        _read[place] = changed, found
    return found


def _texts() -> Iterator[bytes | None]:
    """Yield the entry points of each package as they are written; None: it may have others."""
    for place in map(os.fspath, sys.path):
        try:
            yield from _texts_in(os.path.abspath(place))
        except (FileNotFoundError, PermissionError):
            continue
        except OSError:  # no folder, but an archive
            yield None
    finders = (finder for finder in sys.meta_path if finder is not PathFinder)
    if any(hasattr(finder, "find_distributions") for finder in finders):
        yield None  # they know packages in other places
