"""Work on results is heard to be unwanted: a program can leave so much that it takes hours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["heard", "listening"]

_ear = threading.local()


@contextmanager
def listening(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop`, which may raise, again and again while this thread works on results."""
    before = getattr(_ear, "stop", None)
    _ear.stop = stop
    try:
        yield
    finally:
        _ear.stop = before


def heard() -> None:
    """Raise what `listening` says, if this thread listens."""
    stop = getattr(_ear, "stop", None)
    if stop is not None:
        stop()
