"""What rattler may read and write while it works: looked at again and again, and ended in time."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.names import size_text

if TYPE_CHECKING:
    from napari_tool_runner.plugins.conda.orders import Limits

__all__ = ["BoundError", "Writing", "watched"]

_T = TypeVar("_T")

_PAUSE = 0.1  # seconds
_LEFT = 2**30  # bytes that stay free on a disk, or a twentieth of what was


class BoundError(PreparationError):
    """A bound was passed; rattler's threads go on until their process ends."""


async def watched(work: Awaitable[_T], look: Callable[[], None]) -> _T:
    """Return what `work` does; `look` is called meanwhile, and at its end, and may raise."""
    task = asyncio.ensure_future(work)
    try:
        done = False
        while not done:
            done = bool((await asyncio.wait({task}, timeout=_PAUSE))[0])
            look()
        return await task
    finally:
        task.cancel()


class Writing:
    """How much this process writes while it installs packages.

    Parameters
    ----------
    folder : Path
        On the disk to which it writes.
    limits : Limits
    known : int
        Bytes that may be written besides.
    arrived : callable
        Bytes of the archives that came until now.
    """

    def __init__(
        self, folder: Path, limits: Limits, known: int, arrived: Callable[[], int]
    ) -> None:
        self._folder, self._limits, self._arrived = folder, limits, arrived
        self._free = shutil.disk_usage(folder).free
        self._most = _written() + limits.written + known

    def look(self) -> None:
        """Look at what was written, and at the disk.

        Raises
        ------
        BoundError
            It is too much.
        """
        most = self._most + self._limits.times * self._arrived()
        if _written() > most:
            raise BoundError(
                "The packages could not be installed: what they unpack to is more than "
                f"{size_text(self._limits.written)} and {self._limits.times} times their "
                "archives.",
                hint="No sound package does so: tell whoever runs the channel, and use another.",
            )
        if shutil.disk_usage(self._folder).free < min(_LEFT, self._free // 20):
            raise BoundError(
                "The packages could not be installed: they would fill the disk.",
                hint=f"The disk of {self._folder} is full: free some room, or set "
                "'environments_dir'.",
            )


def _written() -> int:
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
