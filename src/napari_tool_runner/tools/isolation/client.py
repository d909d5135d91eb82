"""Asks the reader: starts its process when it is needed, and ends what takes too long."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_tool_runner import tools
from napari_tool_runner.errors import JobCancelledError, ToolRunnerError
from napari_tool_runner.quoting import visible_text
from napari_tool_runner.tools.candidate import parse_json
from napari_tool_runner.tools.isolation.asking import STEP, Exchange, Limits
from napari_tool_runner.tools.isolation.walls import system_places
from napari_tool_runner.tools.isolation.wire import MESSAGE, error_from, refused, to_line

__all__ = ["Reader", "Talk", "can_fork", "reader"]

_BOOT = """\
import gc, json, sys
gc.set_threshold(20_000)
sys.path[:], places = json.loads(sys.argv[1])
from napari_tool_runner import tools
tools.__path__[:] = places
from napari_tool_runner.tools.isolation import server
server.serve(*map(int, sys.argv[2:]))
"""
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LANG": "C.UTF-8",
    # no threads before the fork, and none after it
    **dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1"),
}
_log = logging.getLogger(tools.__name__)
_KEPT = ("SYSTEMROOT", "TEMP", "TMP")  # without them no Python starts on Windows


class Reader:
    """The reader's process as others see it. Thread-safe.

    Parameters
    ----------
    limits : Limits
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._known = _places()
        self._loaded: set[str] = set()
        self._importing = True

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
        with self.talk(
            language=language, reads=reads, writes=writes, limits=limits, stop=stop
        ) as talk:
            return talk.ask(operation, of, what=what, path=path)[0]

    @contextmanager
    def talk(
        self,
        *,
        language: str = "",
        reads: Iterable[Path] = (),
        writes: Iterable[Path] = (),
        limits: Limits | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Talk]:
        """Give what asks one child several things, all of one stranger; see `ask`."""
        asked: dict[str, object] = {
            "language": language,
            # the child does not know where the home is
            "reads": [*system_places(), *map(str, reads)],
            "writes": [str(one) for one in writes],
        }
        talk = Talk(self, limits or self.limits, asked, stop)
        try:
            yield talk
        finally:
            talk.close()

    def load(self, modules: Iterable[str]) -> None:
        """Have modules imported before the next fork; does not wait for it."""
        with self._lock, suppress(OSError):
            if self._process is not None and self._process.poll() is not None:
                self._drop()  # it had ended: nothing was asked for long
            control = self._started() if can_fork() else None
            for name in dict.fromkeys(modules) if control else ():
                assert control is not None
                if name not in self._loaded:
                    control.sendall(f"load {name}".encode().ljust(MESSAGE))
                    self._loaded.add(name)
                    self._importing = True

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._drop()

    def is_importing(self) -> bool:
        """Whether a fork may have to wait: something is to be imported since the last one."""
        return self._importing

    def fork(self, language: str, exchange: Exchange) -> tuple[socket.socket, int]:
        """Have a child forked; return what it answers on, and its number."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                pid = self._child(theirs, language, exchange)
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return ours, pid

    def end(self, pid: int) -> None:
        """End a child."""
        self._tell(f"end {pid}")

    def _child(self, connection: socket.socket, language: str, exchange: Exchange) -> int:
        """Have a child forked that answers on `connection`; return its number."""
        for last in (False, True):
            with self._lock:
                control = self._started()
                try:
                    message = f"read {language[:40]}".encode().ljust(MESSAGE)
                    socket.send_fds(control, [message], [connection.fileno()])
                    told = exchange.receive(control, MESSAGE)
                    if told:
                        self._importing = False
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
        self._loaded.clear()
        self._importing = True
        if self._control is not None:
            self._control.close()  # which ends it
            self._control = None
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Talk:
    """Questions to one child, one after another; it is forked with the first."""

    def __init__(
        self, owner: Reader, limits: Limits, asked: Mapping[str, object], stop: Callable[[], bool]
    ) -> None:
        self.limits = limits
        self._owner, self._asked, self._stop = owner, asked, stop
        self._open: tuple[socket.socket, int] | None = None
        self._begun = False

    def begin(self, what: str, path: Path) -> None:
        """Have the child forked and walled in ahead, unless that has to be waited for."""
        if self._open is not None or self._owner.is_importing() or not can_fork():
            return
        exchange = Exchange(self.limits, what, path, refused, self._stop)
        try:
            self._open = self._owner.fork(str(self._asked["language"]), exchange)
            self._open[0].sendall(self._line("begin", {}))
            self._begun = True
        except (ToolRunnerError, OSError):  # the question tries once more, and tells
            self.close()

    def ask(
        self,
        operation: str,
        of: Mapping[str, object],
        *,
        what: str,
        path: Path,
        blame: Callable[[str, Path], ToolRunnerError] = refused,
    ) -> tuple[object, bytearray]:
        """Return the answer, and the bytes that came with it; see `Reader.ask`.

        Parameters
        ----------
        blame : callable
            Makes the error of a sentence and a path.
        """
        line = self._line(operation, of)
        exchange = Exchange(self.limits, what, path, blame, self._stop)
        told: object = None
        try:
            if can_fork():
                child = self._child(exchange)
                exchange.begin()  # it may have had to be started
                answer, data = exchange.through(child, line)
            else:
                answer, data = _cold(line, exchange), bytearray()
            told = parse_json(answer, path)
            if isinstance(told, dict) and told.get("bytes"):
                data = exchange.rest(self._open, data, told["bytes"])
        except BaseException:
            self.close()
            raise
        if not isinstance(told, dict):
            told = {}
        for note in told.get("log") or ():
            match note:
                case [int(level), str(text)] if level < logging.ERROR:
                    _log.log(level, "%s", visible_text(text))
        if "answer" in told:
            return told["answer"], data
        if "error" in told:
            raise error_from(told, what, path, blame)
        self.close()
        raise exchange.ended(told.get("ended"))

    def _line(self, operation: str, of: Mapping[str, object]) -> bytes:
        limits = self.limits
        return to_line({
            "do": operation, "of": of, "memory": limits.memory, "seconds": limits.processor,
            "maps": limits.maps, **self._asked,
        })  # fmt: skip

    def _child(self, exchange: Exchange) -> socket.socket:
        """Return what the child answers on; another one's, if what was begun ahead has ended."""
        if self._open is not None and self._begun and not self._waits(self._open[0], exchange):
            self.close()
        self._begun = False
        if self._open is None:
            self._open = self._owner.fork(str(self._asked["language"]), exchange)
        return self._open[0]

    @staticmethod
    def _waits(child: socket.socket, exchange: Exchange) -> bool:
        """Whether what was begun ahead waits for its question; it may have been ended."""
        try:
            told, _ = exchange.through(child, b"")
            child.recv(1, socket.MSG_PEEK)  # more than the answer, or its end
        except BlockingIOError:
            return b'"answer"' in told
        except JobCancelledError:
            raise
        except (ToolRunnerError, OSError):
            pass
        return False

    def close(self) -> None:
        """End the child; the next question has another one forked."""
        self._begun = False
        if self._open is not None:
            connection, pid = self._open
            self._open = None
            connection.close()
            self._owner.end(pid)


def _places() -> list[str]:
    """Return where languages are looked for, which may change while we run."""
    return [os.path.abspath(place) for place in tools.__path__]


def can_fork() -> bool:
    """Whether this system can fork the reader; else each question starts a process."""
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


def _cold(line: bytes, exchange: Exchange) -> bytes:
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
                talk.join(STEP)
        finally:
            process.kill()
    if not found or not found[0]:
        raise exchange.ended(process.returncode)
    if len(found[0]) > exchange.limits.answer:
        raise exchange.too_long()
    return found[0]


reader = Reader()
