"""Time that all matches of strangers' patterns inside something share, see `patterns`.

Apart from what matches, which takes a while to import: most tools have no patterns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["is_late", "left", "together"]

_TOGETHER = 1.0
_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@contextmanager
def together(seconds: float = _TOGETHER) -> Iterator[None]:
    """Let all matches inside share so much time: many that are each quick enough are slow, too."""
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def left() -> float:
    """Return the seconds of it that are left; without end where none is shared."""
    return _deadline.get() - time.monotonic()


def is_late() -> bool:
    """Whether it is over."""
    return left() < 0
