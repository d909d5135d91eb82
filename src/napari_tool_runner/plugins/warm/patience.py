"""A fork may wait for a thread that it lacks: what does nothing for long is ended, starts cold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Event

__all__ = ["Watch", "gave_up", "took_cold"]

_LEAST, _MOST, _TIMES = 60.0, 600.0, 10.0
_LOOKS = 10
_WORK = 0.05  # seconds of a processor between two looks that count as work
_took: dict[tuple[str, ...], float] = {}
_given_up: set[tuple[str, ...]] = set()


class Watch:
    """Looks after one run of a command.

    Parameters
    ----------
    args : sequence of str
    worked : callable
        Returns the seconds of processors that were used for it, and maybe for others.
    """

    def __init__(self, args: Sequence[str], worked: Callable[[], float]) -> None:
        self._command, self._worked = _command(args), worked
        cold = _took.get(self._command)
        self.limit = _MOST if cold is None else max(_LEAST, _TIMES * cold)
        self.stuck = False
        self._heard = time.monotonic()
        self._ended = threading.Event()

    def heard(self, report: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return `report`, by which it is heard that something goes on."""

        def tell(event: Event) -> None:
            self._heard = time.monotonic()
            report(event)

        return tell

    @contextmanager
    def watching(self, end: Callable[[], object]) -> Iterator[Callable[[], None]]:
        """Give what begins to call `end` when nothing goes on for too long."""
        watch = threading.Thread(target=self._look, args=[end], name="warm-watch", daemon=True)
        try:
            yield watch.start
        finally:
            self._ended.set()
            if watch.ident is not None:
                watch.join()

    def _look(self, end: Callable[[], object]) -> None:
        worked: float | None = None  # to ask takes long, and most programs end before
        while not self._ended.wait(self.limit / _LOOKS):
            now = self._worked()
            if worked is not None and now - worked > _WORK:
                self._heard = time.monotonic()
            worked = now
            if time.monotonic() - self._heard > self.limit:
                self.stuck = True
                _given_up.add(self._command)
                end()
                return


def took_cold(args: Sequence[str], seconds: float) -> None:
    """Remember how long a command took that started cold."""
    _took[_command(args)] = seconds


def gave_up(args: Sequence[str]) -> bool:
    """Whether a command did nothing for long when it started warm."""
    return _command(args) in _given_up


def _command(args: Sequence[str]) -> tuple[str, ...]:
    """Return what tells a tool's command from others: the program and the script."""
    return tuple(args[:2])
