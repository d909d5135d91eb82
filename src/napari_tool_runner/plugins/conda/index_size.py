"""How large the index of a channel may be: rattler unpacks whatever it is sent."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.conda.bounds import BoundError, Silence, watched
from napari_tool_runner.quoting import one_line

__all__ = ["read_bounded"]

_T = TypeVar("_T")


async def read_bounded(reading: Awaitable[_T], folder: Path, channel: str, most: int) -> _T:
    """Return what rattler reads from a channel; end it when a file of its cache gets too large.

    Parameters
    ----------
    reading : awaitable
    folder : Path
        The cache, where indexes are unpacked.
    channel : str
        For the message.
    most : int
        Bytes of a file.

    Raises
    ------
    BoundError
        The index is larger than any that is known; what was unpacked is deleted.
    TimeoutError
        Nothing has come for a long time.
    """

    def look() -> None:
        if large := _too_large(folder, most):
            for path in large:
                with suppress(OSError):
                    os.unlink(path)
            raise BoundError(
                f"The index of the channel {one_line(channel)} was not read: it is larger "
                f"than {size_text(most)}.",
                hint="No sound channel has such an index: use another.",
            )

    silence = Silence(lambda: _arrived(folder))
    return await watched(reading, look, lambda: silence.look(channel))


def _arrived(folder: Path) -> int:
    """Return the bytes of all that lies in the cache, also of what is half there."""
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # rattler gives it another name
                count += os.lstat(os.path.join(place, name)).st_size
    return count


def _too_large(folder: Path, most: int) -> list[str]:
    try:
        with os.scandir(folder) as listing:
            return [one.path for one in listing if _size(one) > most]
    except FileNotFoundError:
        return []


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
    except FileNotFoundError:  # rattler gives it another name
        return 0
