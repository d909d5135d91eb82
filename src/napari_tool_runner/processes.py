"""Which process it was, on which system, and how much memory that has.

The number of a process alone is given again to others.
"""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path

__all__ = ["boot_mark", "half_of_memory", "is_running", "process_mark", "system_name"]


@cache
def system_name() -> str:
    """Return what `platform.platform` does, which starts a program to know a processor's name."""
    if sys.platform != "linux":
        return platform.platform()
    told, library = os.uname(), "".join(platform.libc_ver())
    parts = [told.sysname, told.release, told.machine]
    return "-".join([*parts, "with", library] if library else parts)


@cache
def boot_mark() -> str:
    """Return what stands for this start of this computer."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        import psutil

        return f"{psutil.boot_time():.0f}"


def half_of_memory() -> int:
    """Return half of the bytes of memory that this computer has."""
    if sys.platform == "win32":
        import psutil

        return psutil.virtual_memory().total // 2
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


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
    import psutil

    try:
        return f"{boot_mark()} {pid} {psutil.Process(pid).create_time():.2f}"
    except (psutil.Error, ValueError, OverflowError):
        return ""


def is_running(mark: str) -> bool:
    """Whether the process that a mark of `process_mark` stands for has not ended."""
    _, _, told = mark.partition(" ")
    number = told.partition(" ")[0]
    return number.isdecimal() and process_mark(int(number)) == mark
