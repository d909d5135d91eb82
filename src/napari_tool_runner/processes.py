"""Which process it was: a number alone is given again to others. Where this one's results go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TextIO

from napari_tool_runner.quoting import visible_text

__all__ = [
    "boot_mark",
    "keep_results_apart",
    "others_print",
    "print_json",
    "process_mark",
    "results",
    "results_are_apart",
    "say",
    "show",
]

_apart: list[TextIO] = []
_others: list[bool] = []


def results() -> TextIO:
    """Return where results are printed: the standard output, or what was kept of it."""
    return _apart[0] if _apart else sys.stdout


def results_are_apart() -> bool:
    """Whether the standard output is for everybody, and goes where errors go."""
    return bool(_apart)


@contextmanager
def keep_results_apart() -> Iterator[None]:
    """Keep the standard output for `results`.

    What services of others print, by Python, by C, or by programs that inherit it, goes to
    the standard error: inside the block, and till this process ends once `others_print` was
    called. Nothing is done where the standard output is replaced already.
    """
    try:
        apart = not _apart and sys.stdout.fileno() == 1 and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        apart = False
    if not apart:
        yield
        return
    sys.stdout.flush()
    encoding, kept = sys.stdout.encoding, os.dup(1)
    _apart.append(os.fdopen(kept, "w", encoding=encoding, errors="backslashreplace"))
    os.dup2(2, 1)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            _apart[0].flush()
        if not _others:
            os.dup2(kept, 1)
            with suppress(BrokenPipeError):
                _apart.pop().close()


def others_print() -> None:
    """Say that code of others is loaded, which may print as long as this process lives."""
    _others.append(True)


def say(text: str) -> None:
    """Print to standard error: what is no result."""
    sys.stderr.write(f"{visible_text(text)}\n")
    sys.stderr.flush()


def show(text: str) -> None:
    """Print a result: a terminal obeys nothing that is in a name of others."""
    results().write(f"{visible_text(text)}\n")


def print_json(value: object) -> None:
    """Print a result as one JSON document."""
    results().write(json.dumps(value, indent=2, default=str) + "\n")
    results().flush()


@cache
def boot_mark() -> str:
    """Return what stands for this start of this computer."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        import psutil

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
    import psutil

    try:
        return f"{boot_mark()} {pid} {psutil.Process(pid).create_time():.2f}"
    except (psutil.Error, ValueError, OverflowError):
        return ""
