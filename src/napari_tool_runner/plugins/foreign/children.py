"""Following the programs that somebody else's service starts.

A tutorial service calls ``subprocess.run(args)`` in our process: its program writes to
napari's terminal, its exit code is thrown away, and nobody can cancel it. While such a
service works, programs that *its thread* starts are met on their way: output that was
not redirected is read line by line, the exit code is kept, and cancel ends them. Other
threads notice nothing; a service that redirects its output keeps it.

Python offers no other way to see what a call inside the same thread starts (audit hooks
see it but can neither change nor leave it), so ``subprocess.Popen.__init__`` is wrapped,
only while a foreign service works. What its thread prints is met in the same way, and what
it starts by ``os.system``, and where it looks for it by ``shutil.which``; on the command line,
which keeps its results apart, also what comes past Python to the standard output.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

import psutil

from napari_tool_runner.plugins.programs.environment import followed_environment
from napari_tool_runner.plugins.programs.output import LineReader, LineSplitter, raise_broken
from napari_tool_runner.plugins.programs.process_tree import (
    end_processes,
    exit_code,
    new_mark,
    watchdog,
)
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.printing import others_print, results_are_apart

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Event

__all__ = ["Recorder", "listening", "recording", "unheard"]

_Stream: TypeAlias = Literal["stdout", "stderr"]

_STREAMS: tuple[_Stream, ...] = ("stdout", "stderr")
_current = threading.local()
_lock = threading.Lock()
_original = subprocess.Popen.__init__
_system = os.system
_which = shutil.which


class _Ear:
    """Hears what a thread prints while `listening` is on."""

    def __init__(self, emit: Callable[[Event], object]) -> None:
        self._emit = emit
        self._lines = {name: LineSplitter(emit, name) for name in _STREAMS}
        self._busy = False

    def hear(self, name: _Stream, data: bytes) -> bool:
        """Pass on what was printed; False from within that, when who is told prints itself."""
        if self._busy:
            return False
        self._busy = True
        try:
            self._lines[name].feed(data)
        finally:
            self._busy = False
        return True

    def close(self) -> None:
        """Pass on what has no line end."""
        self._busy = True
        for splitter in self._lines.values():
            splitter.close()


class Recorder(_Ear):
    """What a thread starts and prints while `recording` is on."""

    def __init__(self, emit: Callable[[Event], object], path: str | None = None) -> None:
        super().__init__(emit)
        self.path = path
        self._thread = threading.get_native_id()
        self._mark = new_mark()
        self._lock = threading.Lock()
        self._started: list[tuple[list[str], subprocess.Popen[Any]]] = []
        self._before = {process.pid for process in _children()}
        self.readers: list[LineReader] = []
        self._ended = False

    def exit_code(self, args: list[str]) -> int | None:
        """Return how the last program that got all of `args` ended; None if none did."""
        with self._lock:
            started = list(self._started)
        for argv, program in reversed(started):
            if program.returncode is not None and _contains(argv, args):
                return exit_code(program.returncode)
        return None

    def end(self, grace: float) -> list[int]:
        """End the programs that were started, now and later; return their ids."""
        with self._lock:
            self._ended = True
            pids = [program.pid for _, program in self._started if program.returncode is None]
        pids += [pid for pid in self._others() if pid not in pids]
        if pids:
            end_processes(pids, grace=grace, mark=self._mark)
        return pids

    def _others(self) -> list[int]:
        """Return the children of our thread that were not started through subprocess."""
        try:
            listing = Path(f"/proc/self/task/{self._thread}/children").read_text()
            found = [int(pid) for pid in listing.split()]
        except OSError:  # another system, a kernel without this file, or the thread is gone
            found = [process.pid for process in _children()]
        return [pid for pid in found if pid not in self._before]

    def _start(self, program: subprocess.Popen[Any], argv: Any, options: dict[str, Any]) -> None:
        with self._lock:
            if self._ended:
                raise OSError("The job was cancelled; no more programs are started.")
        pipes: list[tuple[int, int, _Stream]] = []
        for name in _STREAMS:
            if options.get(name) is None:
                read, write = os.pipe()
                options[name] = write
                pipes.append((read, write, name))
        options.setdefault("stdin", subprocess.DEVNULL)
        # so that it is found, also when it leaves us, or we are killed
        given = followed_environment(options.get("env"))
        if self.path is not None and given.get("PATH") == os.environ.get("PATH"):
            given["PATH"] = self.path  # a path of its own stays
        options["env"] = given
        if given.get(MARK) == os.environ.get(MARK):  # a mark of its own stays
            options["env"] = {**given, MARK: self._mark}
        try:
            _original(program, argv, **options)
        except BaseException:
            for read, write, _ in pipes:
                os.close(read)
                os.close(write)
            raise
        for read, write, name in pipes:
            os.close(write)
            self.readers.append(LineReader(os.fdopen(read, "rb", 0), self._emit, name))
        with self._lock:
            self._started.append((_words(argv), program))


@contextmanager
def recording(emit: Callable[[Event], object], path: str | None = None) -> Iterator[Recorder]:
    """Follow what the calling thread starts and prints inside the block.

    Parameters
    ----------
    path : str, optional
        PATH of programs that would have that of this process.
    """
    watchdog.ensure()  # it must not be taken for a program of the service
    recorder = Recorder(emit, path)
    try:
        with _followed(recorder):
            yield recorder
    finally:
        for reader in recorder.readers:  # the last lines of what has ended, also where it failed
            reader.join(2.0)
    raise_broken(recorder.readers)


@contextmanager
def listening(emit: Callable[[Event], object]) -> Iterator[None]:
    """Pass what the calling thread prints inside the block to `emit`."""
    with _followed(_Ear(emit)):
        yield


@contextmanager
def unheard() -> Iterator[None]:
    """Let the calling thread print for us inside the block: what is told needs no second line."""
    ear, _current.ear = getattr(_current, "ear", None), None
    try:
        yield
    finally:
        _current.ear = ear


@contextmanager
def _followed(ear: _Ear) -> Iterator[None]:
    global _users
    outer = getattr(_current, "ear", None)
    _current.ear = ear
    with _lock:
        _users += 1
        _ears.append(ear)
        _patch()
    try:
        yield
    finally:
        _current.ear = outer
        with _lock:
            _users -= 1
            pipe = None if _users else _unpatch()
        if pipe is not None:
            pipe.join(2.0)  # the last lines; who keeps it open is read on
        with _lock:
            _ears.remove(ear)
        ear.close()


# -- what is replaced while somebody works ----------------------------------------------

_users = 0
_ears: list[_Ear] = []
_pipe: LineReader | None = None


def _patch() -> None:
    global _pipe
    subprocess.Popen.__init__ = _popen  # type: ignore[method-assign]
    os.system = _by_shell
    shutil.which = _looked_for
    for name in _STREAMS:
        if (now := getattr(sys, name)) is not _printed[name]:  # others may replace it meanwhile
            _printed[name].behind = now
            setattr(sys, name, _printed[name])
    others_print()
    if results_are_apart() and _pipe is None:
        read, write = os.pipe()
        _flush()
        os.dup2(write, 1)
        os.close(write)
        _pipe = LineReader(os.fdopen(read, "rb", 0), _from_nowhere, "stdout")


def _unpatch() -> LineReader | None:
    global _pipe
    subprocess.Popen.__init__ = _original  # type: ignore[method-assign]
    os.system = _system
    shutil.which = _which
    for name in _STREAMS:
        if getattr(sys, name) is _printed[name]:  # else somebody put another there
            setattr(sys, name, _printed[name].behind)
    pipe, _pipe = _pipe, None
    if pipe is not None:
        _flush()
        os.dup2(2, 1)
    return pipe


def _flush() -> None:
    """Write out what C libraries still hold."""
    if sys.platform != "win32":
        ctypes.CDLL(None).fflush(None)


def _from_nowhere(event: Event) -> None:
    """Tell a line that came past Python: nobody knows of whom, so all that work are meant."""
    with _lock:
        works = [ear for ear in _ears if isinstance(ear, Recorder)]
        heard: list[_Ear] = [*works] or [*_ears]
    for ear in heard:
        ear._emit(event)
    if not heard:
        os.write(2, f"{getattr(event, 'text', '')}\n".encode())


class _Printed:
    """A standard stream: what threads with an ear print goes there, all else behind."""

    def __init__(self, behind: TextIO | None, name: _Stream) -> None:
        self.behind = behind
        self._name: _Stream = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def write(self, text: str) -> int:
        ear: _Ear | None = getattr(_current, "ear", None)
        if ear is None or not ear.hear(self._name, text.encode("utf-8", "replace")):
            return self.behind.write(text) if self.behind is not None else 0
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.behind is not None:
            self.behind.flush()


# one for ever: Python's print holds no reference, and another thread may be in it
_printed = {name: _Printed(None, name) for name in _STREAMS}


def _by_shell(command: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> int:
    """Stand for ``os.system``: in a thread with a recorder its program is followed."""
    if not isinstance(getattr(_current, "ear", None), Recorder):
        return _system(command)
    code = subprocess.call(command, shell=True)  # noqa: S602 (which is what was called)
    return code if sys.platform == "win32" else (code << 8 if code >= 0 else -code)


@functools.wraps(_which)
def _looked_for(cmd: Any, mode: int = os.F_OK | os.X_OK, path: Any = None) -> Any:
    """Stand for ``shutil.which``: a thread with a recorder finds what its programs do."""
    recorder = getattr(_current, "ear", None)
    own = recorder.path if path is None and isinstance(recorder, Recorder) else None
    return _which(cmd, mode, path if own is None else own)


_NAMES = (
    "bufsize", "executable", "stdin", "stdout", "stderr",
)  # fmt: skip


@functools.wraps(_original)
def _popen(self: subprocess.Popen[Any], args: Any, *rest: Any, **options: Any) -> None:
    recorder = getattr(_current, "ear", None)
    if not isinstance(recorder, Recorder) or len(rest) > len(_NAMES):
        _original(self, args, *rest, **options)
        return
    recorder._start(self, args, {**dict(zip(_NAMES, rest, strict=False)), **options})


def _children() -> list[psutil.Process]:
    try:
        return psutil.Process().children()
    except psutil.Error:
        return []


def _words(argv: Any) -> list[str]:
    if isinstance(argv, str | bytes | os.PathLike):
        return [os.fsdecode(argv)]
    return [os.fsdecode(entry) for entry in argv]


def _contains(argv: list[str], args: list[str]) -> bool:
    """Say whether a command is, ends with, or (in a shell) mentions `args`.

    At its end, paths may be those of another place, as in a container.
    """
    if not args:
        return False
    end = argv[-len(args) :]
    if len(end) == len(args) and all(map(_is_same, end, args)):
        return True
    return any(all(part in entry for part in args) for entry in argv)


def _is_same(word: str, given: str) -> bool:
    paths = os.sep in given and "/" in word
    return word == given or (paths and os.path.basename(word) == os.path.basename(given))
