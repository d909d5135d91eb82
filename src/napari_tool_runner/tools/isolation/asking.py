"""One question to the reader and its answer, within limits of time and size."""

from __future__ import annotations

import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import JobCancelledError, ToolRunnerError

__all__ = ["STEP", "Exchange", "Limits"]

STEP = 0.05
"""Seconds from one look at cancel to the next."""

_STARTS = 60.0  # to import what reading needs, on a busy machine
# the one of `select` takes no descriptor above 1023, and a session may hold more
_Selector = selectors.SelectSelector if sys.platform == "win32" else selectors.PollSelector


def _ready(connection: socket.socket, events: int) -> int:
    """Return which of `events` there are within a step."""
    with _Selector() as watched:
        watched.register(connection, events)
        return next((now for _, now in watched.select(STEP)), 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take.

    Parameters
    ----------
    memory : int
        Bytes.
    processor : int
        Seconds of a processor.
    seconds : float
        From the question to the answer.
    answer : int
        Bytes of the answer.
    data : int
        Bytes of what comes with the answer.
    maps : bool
        Files may be mapped besides that memory.
    """

    memory: int = 2**30
    processor: int = 8
    seconds: float = 12.0
    answer: int = 64 * 2**20
    data: int = 0
    maps: bool = False


class Exchange:
    """One question and its answer, within limits."""

    def __init__(
        self,
        limits: Limits,
        what: str,
        path: Path,
        blame: Callable[[str, Path], ToolRunnerError],
        stop: Callable[[], bool],
    ) -> None:
        self.limits, self.what, self.path = limits, what, path
        self.blame, self.stop = blame, stop
        self.deadline = time.monotonic() + max(limits.seconds, _STARTS)

    def begin(self) -> None:
        """Count the seconds from now on: a stranger's part begins."""
        self.deadline = time.monotonic() + self.limits.seconds

    def wait(self) -> None:
        """Raise when the answer is not wanted any more, or not to be had in time."""
        if self.stop():
            raise JobCancelledError(f"Cancelled while it was to {self.what}.")
        if time.monotonic() > self.deadline:
            sentence = f"To {self.what} took longer than {self.limits.seconds:g} s; it was ended."
            raise self.blame(sentence, self.path)

    def receive(self, control: socket.socket, size: int) -> bytes:
        """Return `size` bytes; fewer when the other side has ended."""
        told = b""
        while len(told) < size:
            self.wait()
            if _ready(control, selectors.EVENT_READ):
                more = control.recv(size - len(told))
                if not more:
                    return b""
                told += more
        return told

    def through(self, connection: socket.socket, line: bytes) -> tuple[bytes, bytearray]:
        """Send `line`; return the line that answers it, and what came after that line."""
        left, parts, size = memoryview(line), [], 0
        while True:
            self.wait()
            now = _ready(connection, selectors.EVENT_READ | (selectors.EVENT_WRITE if left else 0))
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                if now & selectors.EVENT_WRITE:
                    left = left[connection.send(left) :]
            if not now & selectors.EVENT_READ:
                continue
            try:
                part = connection.recv(1 << 20)
            except ConnectionResetError:
                part = b""
            head, end, more = part.partition(b"\n")
            parts.append(head)
            size += len(head)
            if size > self.limits.answer:
                raise self.too_long()
            if end:
                return b"".join(parts), bytearray(more)
            if not part:
                raise self.ended(None)

    def rest(
        self, opened: tuple[socket.socket, int] | None, begun: bytearray, count: object
    ) -> bytearray:
        """Return the `count` bytes that come with an answer, the first of which are `begun`."""
        if opened is None or not isinstance(count, int) or not 0 <= count <= self.limits.data:
            raise self.too_long()
        data, place = bytearray(count), min(len(begun), count)
        data[:place] = begun[:place]
        view = memoryview(data)
        while place < count:
            self.wait()
            if _ready(opened[0], selectors.EVENT_READ):
                try:
                    more = opened[0].recv_into(view[place:])
                except ConnectionResetError:
                    more = 0
                if not more:
                    raise self.ended(None)
                place += more
        return data

    def too_long(self) -> ToolRunnerError:
        """Return the error of an answer that is longer than it may be."""
        most = (self.limits.answer + self.limits.data) // 2**20
        sentence = f"To {self.what} makes more than {most} MB of text; it was ended."
        return self.blame(sentence, self.path)

    def ended(self, code: object) -> ToolRunnerError:
        """Return the error of a reader that ended before it answered."""
        why = "its process ended before it answered"
        if code == -getattr(signal, "SIGXCPU", 24):
            why = f"it took more than {self.limits.processor} s of a processor"
        elif isinstance(code, int) and code < 0:
            why = f"its process was ended by signal {-code}"
        sentence = f"To {self.what} failed: {why}."
        return self.blame(sentence, self.path)
