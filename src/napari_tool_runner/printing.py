"""What the command line prints: results apart from words, and from what others print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from napari_tool_runner.quoting import visible_text

__all__ = [
    "keep_results_apart",
    "others_print",
    "print_json",
    "results",
    "results_are_apart",
    "say",
    "show",
]

_apart: list[TextIO] = []
_others_print = False


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
        if not _others_print:
            os.dup2(kept, 1)
            with suppress(BrokenPipeError):
                _apart.pop().close()


def others_print() -> None:
    """Say that code of others is loaded, which may print as long as this process lives."""
    global _others_print
    _others_print = True


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
