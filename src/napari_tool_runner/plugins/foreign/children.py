"""Following the programs that somebody else's service starts.

A tutorial service calls ``subprocess.run(args)`` in our process: its program writes to
napari's terminal, its exit code is thrown away, and nobody can cancel it. While such a
service works, programs that *its thread* starts are met on their way: output that was
not redirected is read line by line, the exit code is kept, and cancel ends them. Other
threads notice nothing; a service that redirects its output keeps it.

Python offers no other way to see what a call inside the same thread starts (audit hooks
see it but can neither change nor leave it), so ``subprocess.Popen.__init__`` is wrapped,
only while a foreign service works.
"""

from __future__ import annotations

import functools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from napari_tool_runner.plugins.programs.environment import followed_environment
from napari_tool_runner.plugins.programs.output import LineReader, raise_broken
from napari_tool_runner.plugins.programs.process_tree import (
    end_processes,
    exit_code,
    new_mark,
    watchdog,
)
from napari_tool_runner.plugins.programs.watchdog import MARK

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Event

__all__ = ["Recorder", "recording"]

_current = threading.local()
_lock = threading.Lock()
_users = 0
_original = subprocess.Popen.__init__


class Recorder:
    """What a thread starts while `recording` is on."""

    def __init__(self, emit: Callable[[Event], object]) -> None:
        self._emit = emit
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
        pipes: list[tuple[int, int, Literal["stdout", "stderr"]]] = []
        streams: tuple[Literal["stdout", "stderr"], ...] = ("stdout", "stderr")
        for name in streams:
            if options.get(name) is None:
                read, write = os.pipe()
                options[name] = write
                pipes.append((read, write, name))
        options.setdefault("stdin", subprocess.DEVNULL)
        # so that it is found, also when it leaves us, or we are killed
        given = followed_environment(options.get("env"))
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
def recording(emit: Callable[[Event], object]) -> Iterator[Recorder]:
    """Follow what the calling thread starts inside the block."""
    global _users
    watchdog.ensure()  # it must not be taken for a program of the service
    recorder = Recorder(emit)
    with _lock:
        _users += 1
        if _users == 1:
            subprocess.Popen.__init__ = _popen  # type: ignore[method-assign]
    outer = getattr(_current, "recorder", None)
    _current.recorder = recorder
    try:
        yield recorder
    finally:
        _current.recorder = outer
        with _lock:
            _users -= 1
            if _users == 0:
                subprocess.Popen.__init__ = _original  # type: ignore[method-assign]
        for reader in recorder.readers:  # the last lines of what has ended
            reader.join(2.0)
    raise_broken(recorder.readers)


_NAMES = (
    "bufsize", "executable", "stdin", "stdout", "stderr",
)  # fmt: skip


@functools.wraps(_original)
def _popen(self: subprocess.Popen[Any], args: Any, *rest: Any, **options: Any) -> None:
    recorder: Recorder | None = getattr(_current, "recorder", None)
    if recorder is None or len(rest) > len(_NAMES):
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
    """Say whether a command is, ends with, or (in a shell) mentions `args`."""
    if not args:
        return False
    if argv[-len(args) :] == args:
        return True
    return any(all(part in entry for part in args) for entry in argv)
