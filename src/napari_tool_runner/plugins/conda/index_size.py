"""How large the index of a channel may be: rattler unpacks whatever it is sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.names import size_text
from napari_tool_runner.quoting import one_line

__all__ = ["read_bounded"]

_T = TypeVar("_T")

MOST = 2**30  # bytes; above the largest public channels
_PAUSE = 0.1  # seconds


async def read_bounded(reading: Awaitable[_T], folder: Path, channel: str) -> _T:
    """Return what rattler reads from a channel; end it when a file of its cache gets too large.

    Parameters
    ----------
    reading : awaitable
    folder : Path
        The cache, where indexes are unpacked.
    channel : str
        For the message.

    Raises
    ------
    PreparationError
        The index is larger than any that is known; what was unpacked is deleted.
    """
    task = asyncio.ensure_future(reading)
    try:
        done = False
        while not done:
            done = bool((await asyncio.wait({task}, timeout=_PAUSE))[0])
            if large := _too_large(folder):
                for path in large:
                    with suppress(OSError):
                        os.unlink(path)
                raise PreparationError(
                    f"The index of the channel {one_line(channel)} was not read: it is larger "
                    f"than {size_text(MOST)}.",
                    hint="No sound channel has such an index: use another.",
                )
        return await task
    finally:
        task.cancel()


def _too_large(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as listing:
            return [one.path for one in listing if _size(one) > MOST]
    except FileNotFoundError:
        return []


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
    except FileNotFoundError:  # rattler gives it another name
        return 0
