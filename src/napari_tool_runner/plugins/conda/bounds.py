"""What rattler may read and write while it works: looked at again and again, and ended in time."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.names import size_text

if TYPE_CHECKING:
    from napari_tool_runner.plugins.conda.orders import Limits

__all__ = ["BoundError", "Silence", "Writing", "watched", "written"]

_T = TypeVar("_T")

_PAUSE = 0.1  # seconds
_LEFT = 2**30  # bytes that stay free on a disk, or a twentieth of what was
_FILES_LEFT = 2**17  # files that still can be made there, or a twentieth
_ENTRY = 2**12  # bytes that a folder, a link or a file without content takes on a disk
_SILENT = 120.0  # seconds in which nothing comes from a server
_COUNTED = 5.0  # seconds after which it is looked again whether something came
_MANY = 20_000  # new files on the disk after which those that are ours are counted


class BoundError(PreparationError):
    """A bound was passed; rattler's threads go on until their process ends."""


async def watched(work: Awaitable[_T], *looks: Callable[[], None]) -> _T:
    """Return what `work` does; `looks` are called meanwhile, and at its end, and may raise."""
    task = asyncio.ensure_future(work)
    try:
        done = False
        while not done:
            done = bool((await asyncio.wait({task}, timeout=_PAUSE))[0])
            for look in looks:
                look()
        return await task
    finally:
        task.cancel()


class Silence:
    """Ends what waits for a server that says nothing: rattler itself would wait for ever.

    Parameters
    ----------
    count : callable
        Returns another number each time when something has come.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._last, self._since = -1, 0.0
        self._next = 0.0

    def look(self, told: str) -> None:
        """Raise TimeoutError with what is `told`, if it was silent for so long."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + min(_COUNTED, _SILENT)
        count = self._count()
        if count != self._last:
            self._last, self._since = count, now
        elif now - self._since >= _SILENT:
            raise TimeoutError(told)


class Writing:
    """How much this process writes while it installs packages.

    Parameters
    ----------
    folder : Path
        On the disk to which it writes.
    packages : Path
        Where what is unpacked comes to lie.
    limits : Limits
    known : int
        Bytes that may be written besides.
    arrived : callable
        Bytes of the archives that came until now.
    """

    def __init__(
        self, folder: Path, packages: Path, limits: Limits, known: int, arrived: Callable[[], int]
    ) -> None:
        self._folder, self._limits, self._arrived = folder, limits, arrived
        self._free = shutil.disk_usage(folder).free
        self._files = _free_files(folder)
        self._made = _Made(packages)
        self._most = written() + limits.written + known

    def look(self) -> None:
        """Look at what was written, and at the disk.

        Raises
        ------
        BoundError
            It is too much.
        """
        most = self._most + self._limits.times * self._arrived()
        if written() + _ENTRY * self._made.count() > most:
            raise BoundError(
                "The packages could not be installed: what they unpack to is more than "
                f"{size_text(self._limits.written)} and {self._limits.times} times their "
                "archives.",
                hint="No sound package does so: tell whoever runs the channel, and use another.",
            )
        no_room = shutil.disk_usage(self._folder).free < min(_LEFT, self._free // 20)
        if no_room or _free_files(self._folder) < min(_FILES_LEFT, self._files // 20):
            raise BoundError(
                "The packages could not be installed: they would fill the disk.",
                hint=f"The disk of {self._folder} is full: free some room, or set "
                "'environments_dir'.",
            )


class _Made:
    """How many files, folders and links were made in a folder since.

    They are counted where many new ones are on the disk, whoever made them: to count takes time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free = _free_files(folder)
        self._before = frozenset(_names(folder))
        self._count, self._next = 0, time.monotonic()

    def count(self) -> int:
        free, now = _free_files(self._folder), time.monotonic()
        told = free < self._free - _MANY or self._free == 0
        if told and now > self._next:
            self._free = free
            new = [self._folder / name for name in _names(self._folder)]
            self._count = sum(_entries(one) for one in new if one.name not in self._before)
            self._next = time.monotonic() + 5 * (time.monotonic() - now)
        return self._count


def _names(folder: Path) -> list[str]:
    with suppress(OSError):  # it is not there yet
        return os.listdir(folder)
    return []


def _entries(folder: Path) -> int:
    """Return how much lies in a folder, at any depth."""
    count, waiting = 1, [os.fspath(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as found:  # gone, no folder, or too deep
            for entry in found:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return count


def _free_files(folder: Path) -> int:
    """Return how many files can still be made on a disk; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    with suppress(OSError):
        return os.statvfs(folder).f_ffree
    return 0


def written() -> int:
    """Return the bytes that this process has written; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/io").read_bytes().split()
        return int(lines[lines.index(b"wchar:") + 1])
    except (OSError, ValueError):
        pass
    import psutil

    counters = getattr(psutil.Process(), "io_counters", None)
    with suppress(OSError, psutil.Error):
        return int(counters().write_bytes) if counters else 0
    return 0
