"""From the bytes that a program writes to lines: decoding, progress bars, length."""

from __future__ import annotations

import codecs
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Literal

from napari_tool_runner.errors import RunnerExecError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.process import Event, OutputLine

__all__ = ["LineReader", "LineSplitter", "raise_broken"]

MAX_LINE = 8192
"""Characters of a line that are kept; a log is for reading."""

MAX_LINES = 1_000_000
MAX_BYTES = 64 * 2**20
"""What of one stream is taken line by line; of a flood beyond it the end is kept."""

_TAIL = 1 << 16

TRANSIENT_PAUSE = 0.1
"""Seconds between two states of a progress bar that are passed on."""

_CHUNK = 1 << 16

# terminal sequences (colours, cursor moves, titles) mean nothing in a log
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
)


class LineSplitter:
    """Turns chunks of bytes of one stream into `OutputLine` events.

    Bytes are read as UTF-8, with U+FFFD for what is not. Of a line that overwrites
    itself with carriage returns, the last state counts; the states before it are passed
    on now and then as transient lines, so that progress can be followed. Of a stream that
    does not stop, the beginning and the end are passed on, and a sentence on what lay
    between: time and memory do not depend on what a program writes.

    Parameters
    ----------
    emit : callable
        Gets every line, in the order of the bytes.
    stream : {"stdout", "stderr"}
    clock : callable
        Seconds, for the pause between transient lines.
    """

    def __init__(
        self,
        emit: Callable[[Event], object],
        stream: Literal["stdout", "stderr"],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._stream: Literal["stdout", "stderr"] = stream
        self._clock = clock
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self._dropped = 0
        self._state: str | None = None
        self._last_transient = -TRANSIENT_PAUSE
        self._lines = 0
        self._bytes = 0
        self._tail: bytes | None = None
        self._unread = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._bytes += len(data)
        if self._bytes <= MAX_BYTES and self._lines <= MAX_LINES:
            self._take(self._decoder.decode(data))
            return
        if self._tail is None:
            self._dropped += len(data) if self._pending else 0
            self._end()
            self._tail = b""
        self._unread += len(data)
        self._tail = (self._tail + data)[-_TAIL:]
        now = self._clock()
        if now - self._last_transient >= TRANSIENT_PAUSE:
            self._last_transient = now
            last = self._tail.decode("utf-8", "replace").split("\n")[-2:][0]
            self._emit(OutputLine(_clean(self._last_state(last), 0), self._stream, transient=True))

    def close(self) -> None:
        """Take the end of the stream: what waits is passed on as a line."""
        if self._tail is not None:
            whole = self._unread <= len(self._tail)
            kept = self._tail if whole else self._tail.partition(b"\n")[2] or self._tail
            left, self._tail = self._unread - len(kept), None
            if left:
                told = f"… {size_text(left)} of {self._stream} are left out here: it is too much …"
                self._emit(OutputLine(told, self._stream))
            self._take(self._decoder.decode(kept))
        self._end()

    def _end(self) -> None:
        self._take(self._decoder.decode(b"", final=True))
        self._decoder.reset()
        if self._pending or self._state is not None:
            self._line("")

    def _take(self, text: str) -> None:
        head, *rest = text.split("\n")
        for following in rest:
            self._line(head)
            head = following
        self._keep(head)
        if "\r" in self._pending:
            self._progress()

    def _keep(self, text: str) -> None:
        room = max(0, MAX_LINE - len(self._pending))
        if "\r" in text or len(text) <= room:
            # states of a progress bar are shortened when they are complete
            self._pending += text
        else:
            self._pending += text[:room]
            self._dropped += len(text) - room

    def _line(self, end: str) -> None:
        self._keep(end)
        text = self._last_state(self._pending)
        if not text and self._state is not None:
            text = self._state
        dropped, self._dropped = self._dropped, 0
        self._pending, self._state = "", None
        self._lines += 1
        self._emit(OutputLine(_clean(text, dropped), self._stream))

    def _progress(self) -> None:
        """Move the complete states of a progress bar out of what is pending."""
        states, _, self._pending = self._pending.rpartition("\r")
        self._dropped = 0
        latest = self._last_state(states)
        if not latest:
            return
        self._state = latest[: MAX_LINE + 1]
        now = self._clock()
        if now - self._last_transient >= TRANSIENT_PAUSE:
            self._last_transient = now
            self._emit(OutputLine(_clean(latest, 0), self._stream, transient=True))

    @staticmethod
    def _last_state(text: str) -> str:
        if "\r" not in text:
            return text
        return next((state for state in reversed(text.split("\r")) if state), "")


def _clean(text: str, dropped: int) -> str:
    if len(text) > MAX_LINE:
        dropped += len(text) - MAX_LINE
        text = text[:MAX_LINE]
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    if dropped:
        text += f" … ({dropped} more characters)"
    return text


class LineReader(threading.Thread):
    """Reads a program's stream to its end, whatever happens to the lines.

    What `emit` raises is kept for `raise_broken`: were nobody to read on, the program would
    block.
    """

    def __init__(
        self, pipe: IO[bytes], emit: Callable[[Event], object], stream: Literal["stdout", "stderr"]
    ) -> None:
        super().__init__(name="read-program", daemon=True)
        self._pipe = pipe
        self._splitter = LineSplitter(emit, stream)
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Read."""
        data = b"\0"
        while data:
            try:
                data = os.read(self._pipe.fileno(), _CHUNK)
            except OSError:
                data = b""
            if self.error is not None:
                continue
            try:
                if data:
                    self._splitter.feed(data)
                else:
                    self._splitter.close()
            except Exception as error:  # noqa: BLE001 (see above)
                self.error = error
        self._pipe.close()


def raise_broken(readers: Sequence[LineReader]) -> None:
    """Raise RunnerExecError when the lines of a program could not be passed on."""
    for reader in readers:
        if reader.error is not None:
            raise RunnerExecError(
                f"The output of the program could not be passed on: {reader.error}."
            ) from reader.error
