"""Locks that end with the process that holds them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["join_lock"]


def join_lock(path: Path, *, alone: bool, mode: int = 0o666) -> Callable[[], None] | None:
    """Join those who hold the lock `path`, or (`alone`) take it when nobody does.

    Returns what gives it free, None when it is not to be had. A killed program holds nothing.
    On Windows, and where the file cannot be opened, nothing is locked.
    """
    if sys.platform == "win32":
        return lambda: None
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (0 if alone else os.O_CREAT), mode)
    except OSError:
        return lambda: None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except OSError:
        os.close(descriptor)
        return None
    return lambda: os.close(descriptor)
