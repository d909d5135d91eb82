"""Which process it was (a number alone is given again to others), and locks that end with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil

__all__ = ["boot_mark", "join_lock", "process_mark"]


@cache
def boot_mark() -> str:
    """Return what stands for this start of this computer."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return f"{psutil.boot_time():.0f}"


def process_mark(pid: int) -> str:
    """Return what stands for the process that has the number `pid` now, empty if none has.

    Start of the computer and of the process: of Linux in ticks of the kernel, which no
    change of the clock moves.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
        # the name of the program, in brackets, may hold anything
        return f"{boot_mark()} {pid} {told.rpartition(b')')[2].split()[19].decode()}"
    except (OSError, IndexError, ValueError):
        pass
    try:
        return f"{boot_mark()} {pid} {psutil.Process(pid).create_time():.2f}"
    except (psutil.Error, ValueError, OverflowError):
        return ""


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
