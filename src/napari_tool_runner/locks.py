"""Locks that end with the process that holds them, and what is done once among threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

__all__ = ["Once", "join_lock"]

_Result = TypeVar("_Result")


class Once(Generic[_Result]):
    """A function that is called once; all threads that call it get what that returns."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._results: list[_Result] = []

    def __call__(self) -> _Result:
        """Return what the one call returned."""
        with self._lock:
            if not self._results:
                self._results.append(self._call())
            return self._results[0]

    def cache_clear(self) -> None:
        """Have it called again."""
        with self._lock:
            self._results.clear()


def join_lock(
    path: Path, *, alone: bool, mode: int = 0o666, folder: bool = False
) -> Callable[[], None] | None:
    """Join those who hold the lock `path`, or (`alone`) take it when nobody does.

    `folder`: it is a folder, which is not made.

    Returns what gives it free, None when it is not to be had. A killed program holds nothing.
    On Windows, and where the file cannot be opened, nothing is locked.
    """
    if sys.platform == "win32":
        return lambda: None
    import fcntl

    flags = os.O_RDWR if alone else os.O_RDWR | os.O_CREAT
    try:
        descriptor = os.open(path, (os.O_RDONLY if folder else flags) | os.O_CLOEXEC, mode)
    except OSError:
        return lambda: None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return None
    return lambda: os.close(descriptor)
