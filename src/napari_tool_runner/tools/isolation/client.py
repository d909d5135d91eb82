"""Asks the reader: starts its process when it is needed, and ends what takes too long."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_tool_runner import tools
from napari_tool_runner.errors import DescriptorError, JobCancelledError
from napari_tool_runner.tools.candidate import parse_json
from napari_tool_runner.tools.isolation.wire import MESSAGE, error_from, refused, to_line

__all__ = ["Limits", "Reader", "reader"]

_BOOT = """\
import json, sys
sys.path[:], places = json.loads(sys.argv[1])
from napari_tool_runner import tools
tools.__path__[:] = places
from napari_tool_runner.tools.isolation import server
server.serve(*map(int, sys.argv[2:]))
"""
_STEP = 0.05
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    # no threads before the fork, and none after it
    **dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1"),
}
_KEPT = ("SYSTEMROOT", "TEMP", "TMP")  # without them no Python starts on Windows


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
    """

    memory: int = 2**30
    processor: int = 30
    seconds: float = 60.0
    answer: int = 64 * 2**20


class Reader:
    """The reader's process as others see it. Thread-safe.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._known = _places()

    def ask(
        self,
        operation: str,
        of: Mapping[str, object],
        *,
        what: str,
        path: Path,
        language: str,
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        limits: Limits | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> object:
        """Return the answer to a request, in JSON types.

        Parameters
        ----------
        operation : str
            Key of ``OPERATIONS``.
        of : mapping
            What it is asked, in JSON types.
        what, path : str, Path
            What it does to which descriptor, for sentences: “fill the command of X”.
        reads : iterable of Path
            Files and folders that it may read.
        writes : iterable of Path
            Folders that it may write to, too.
        limits : Limits, optional
            Other than those of the reader.
        stop : callable
            Whether nobody wants the answer any more.

        Raises
        ------
        DescriptorError, TemplateError, ParameterError
            It could not, took too much, or ended before it answered.
        JobCancelledError
        """
        limits = limits or self.limits
        line = to_line({
            "do": operation, "of": of, "language": language,
            "reads": [str(one) for one in reads], "writes": [str(one) for one in writes],
            "memory": limits.memory, "seconds": limits.processor,
        })  # fmt: skip
        exchange = _Exchange(limits, what, path, stop)
        answer = self._forked(line, language, exchange) if _forks() else _cold(line, exchange)
        told = parse_json(answer, path)
        if not isinstance(told, dict):
            told = {}
        if "answer" in told:
            return told["answer"]
        if "error" in told:
            raise error_from(told, what, path)
        raise exchange.ended(told.get("ended"))

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._drop()

    def _forked(self, line: bytes, language: str, exchange: _Exchange) -> bytes:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = self._child(theirs, language, exchange)
            ours.setblocking(False)
            try:
                return exchange.through(ours, line)
            finally:
                self._tell(f"end {pid}")

    def _child(self, connection: socket.socket, language: str, exchange: _Exchange) -> int:
        """Have a child forked that answers on `connection`; return its number."""
        for last in (False, True):
            with self._lock:
                control = self._started()
                try:
                    message = f"read {language[:40]}".encode().ljust(MESSAGE)
                    socket.send_fds(control, [message], [connection.fileno()])
                    told = exchange.receive(control, MESSAGE)
                    if told:
                        return int(told)
                except OSError as error:
                    if last:
                        raise exchange.ended(None) from error
                except BaseException:
                    self._drop()
                    raise
                self._drop()  # it had ended: nothing was asked for long
        raise exchange.ended(None)

    def _started(self) -> socket.socket:
        if self._known != _places():
            self._drop()
            self._known = _places()
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = _start([str(theirs.fileno())], pass_fds=(theirs.fileno(),))
        return self._control

    def _tell(self, message: str) -> None:
        with self._lock, suppress(OSError):
            if self._control is not None:
                self._control.sendall(message.encode().ljust(MESSAGE))

    def _drop(self) -> None:
        if self._control is not None:
            self._control.close()  # which ends it
            self._control = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class _Exchange:
    """One question and its answer, within limits."""

    def __init__(self, limits: Limits, what: str, path: Path, stop: Callable[[], bool]) -> None:
        self.limits, self.what, self.path, self.stop = limits, what, path, stop
        self.deadline = time.monotonic() + limits.seconds

    def wait(self) -> None:
        """Raise when the answer is not wanted any more, or not to be had in time."""
        if self.stop():
            raise JobCancelledError(f"Cancelled while it was to {self.what}.")
        if time.monotonic() > self.deadline:
            sentence = f"To {self.what} took longer than {self.limits.seconds:g} s; it was ended."
            raise refused(sentence, self.path)

    def receive(self, control: socket.socket, size: int) -> bytes:
        """Return `size` bytes; fewer when the other side has ended."""
        told = b""
        while len(told) < size:
            self.wait()
            if select.select([control], [], [], _STEP)[0]:
                more = control.recv(size - len(told))
                if not more:
                    return b""
                told += more
        return told

    def through(self, connection: socket.socket, line: bytes) -> bytes:
        """Send `line` and return the line that answers it."""
        left, parts, size = memoryview(line), [], 0
        while True:
            self.wait()
            readable, writable, _ = select.select(
                [connection], [connection] if left else [], [], _STEP
            )
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                if writable:
                    left = left[connection.send(left) :]
            if not readable:
                continue
            try:
                part = connection.recv(1 << 20)
            except ConnectionResetError:
                part = b""
            head, end, _ = part.partition(b"\n")
            parts.append(head)
            size += len(head)
            if end:
                return b"".join(parts)
            if not part:
                raise self.ended(None)
            if size > self.limits.answer:
                raise self.too_long()

    def too_long(self) -> DescriptorError:
        """Return the error of an answer that is longer than it may be."""
        most = self.limits.answer // 2**20
        sentence = f"To {self.what} makes more than {most} MB of text; it was ended."
        return refused(sentence, self.path)

    def ended(self, code: object) -> DescriptorError:
        """Return the error of a reader that ended before it answered."""
        why = "its process ended before it answered"
        if code == -getattr(signal, "SIGXCPU", 24):
            why = f"it took more than {self.limits.processor} s of a processor"
        elif isinstance(code, int) and code < 0:
            why = f"its process was ended by signal {-code}"
        sentence = f"To {self.what} failed: {why}."
        return refused(sentence, self.path)


def _places() -> list[str]:
    """Return where languages are looked for, which may change while we run."""
    return [os.path.abspath(place) for place in tools.__path__]


def _forks() -> bool:
    return hasattr(os, "fork") and hasattr(socket, "send_fds")


def _start(words: list[str], *, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    paths = json.dumps([[one for one in sys.path if os.path.isabs(one)], _places()])
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", _BOOT, paths, *words],
        stdin=subprocess.DEVNULL if words else subprocess.PIPE,
        stdout=subprocess.DEVNULL if words else subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_ENVIRONMENT | {name: os.environ[name] for name in _KEPT if name in os.environ},
        cwd=os.path.abspath(os.sep),
        pass_fds=pass_fds,
        start_new_session=True,
    )


def _cold(line: bytes, exchange: _Exchange) -> bytes:
    """Ask a process of its own, where none can be forked."""
    found: list[bytes] = []
    with _start([]) as process:
        talk = threading.Thread(
            target=lambda: found.append(process.communicate(line)[0]), daemon=True
        )
        talk.start()
        try:
            while talk.is_alive():
                exchange.wait()
                talk.join(_STEP)
        finally:
            process.kill()
    if not found or not found[0]:
        raise exchange.ended(process.returncode)
    if len(found[0]) > exchange.limits.answer:
        raise exchange.too_long()
    return found[0]


reader = Reader()
