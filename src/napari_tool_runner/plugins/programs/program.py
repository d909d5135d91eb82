"""Starting a program and following it to its end.

The same for every service that runs programs on this computer: an argv list (never a
shell), a session of its own, closed stdin, live lines, cancel and time-out of the whole
process tree, and no process left behind.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

from napari_tool_runner.errors import JobCancelledError, JobTimeoutError, RunnerExecError
from napari_tool_runner.plugins.contract import Event, ExecContext, OutputLine
from napari_tool_runner.plugins.programs.output import LineSplitter
from napari_tool_runner.plugins.programs.process_tree import (
    MARK,
    describe_exit,
    end_processes,
    group_alive,
)
from napari_tool_runner.plugins.programs.watchdog import new_mark, watchdog

__all__ = ["GRACE", "run_program"]

GRACE = 3.0
"""Seconds that a program gets to end by itself after it was asked to."""

_LEFTOVER_WAIT = 2.0
"""Seconds that children may outlive their program, as a last ``tee`` does."""

_CHUNK = 1 << 16

_log = logging.getLogger(__name__)


def run_program(
    args: Sequence[str],
    context: ExecContext,
    environment: Mapping[str, str],
    *,
    grace: float = GRACE,
) -> int:
    """Run `args` to its end and return the exit code.

    Lines go to ``context.report`` while the program runs, from one thread per stream.

    Parameters
    ----------
    args : sequence of str
        The program and its arguments.
    context : ExecContext
        `work_dir`, `report`, `cancel` and `timeout` are used.
    environment : mapping
        All variables of the program; its ``PATH`` finds the program.
    grace : float
        Seconds between the request to end and the end by force.

    Returns
    -------
    int
        The exit code; 128 + n when signal n ended the program (as in shells and
        containers; `describe_exit` says it in words).

    Raises
    ------
    RunnerExecError
        The program could not be started.
    JobCancelledError, JobTimeoutError
        After the whole process tree has ended.
    """
    if context.cancel.requested:
        raise JobCancelledError("The job was cancelled before its program started.")
    mark = new_mark()
    program = _start(list(args), context.work_dir, {**environment, MARK: mark})
    watchdog.add(program.pid)
    if watchdog.problem:
        context.report(OutputLine(watchdog.problem, "runner"))
    ender = _Ender(program.pid, mark, grace)
    readers = [
        _Reader(program.stdout, LineSplitter(context.report, "stdout")),
        _Reader(program.stderr, LineSplitter(context.report, "stderr")),
    ]
    timer = None
    if context.timeout is not None:
        timer = threading.Timer(max(0.0, context.timeout), ender.start, ["timeout"])
        timer.daemon = True
        timer.start()
    forget = context.cancel.on_cancel(lambda: ender.start("cancel"))
    try:
        # without a limit: it blocks in the system, so the end is seen at once
        code = program.wait()
    except BaseException:
        ender.start("broken")
        ender.join()
        program.wait()
        raise
    finally:
        forget()
        if timer is not None:
            timer.cancel()
        ender.join()
        _finish_readers(readers, program.pid, mark, context.report)
        watchdog.discard(program.pid)
    if ender.reason == "cancel":
        raise JobCancelledError("The job was cancelled; its program has ended.")
    if ender.reason == "timeout":
        raise JobTimeoutError(
            f"The program ran longer than the time limit of {context.timeout:g} s and was ended.",
            hint="Raise the time limit, or try a smaller image.",
        )
    _raise_broken(readers)
    if code < 0:
        code = 128 - code
        context.report(OutputLine(f"The program was {describe_exit(code)}.", "runner"))
    return code


class _Ender:
    """Ends a program from a thread of its own, at most once; the first reason counts."""

    def __init__(self, pid: int, mark: str, grace: float) -> None:
        self._pid = pid
        self._mark = mark
        self._grace = grace
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.reason = ""

    def start(self, reason: Literal["cancel", "timeout", "broken"]) -> None:
        with self._lock:
            if self._thread is not None or self._closed:
                return
            self.reason = reason
            self._thread = threading.Thread(target=self._end, name="end-program", daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait for the end, if it was started; it cannot be started afterwards."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _end(self) -> None:
        left = end_processes([self._pid], grace=self._grace, mark=self._mark, group=self._pid)
        if left:
            _log.warning("These processes could not be ended: %s", left)


class _Reader(threading.Thread):
    """Reads one stream to its end, whatever happens to the lines."""

    def __init__(self, pipe: IO[bytes] | None, splitter: LineSplitter) -> None:
        super().__init__(name="read-program", daemon=True)
        assert pipe is not None
        self._pipe = pipe
        self._splitter = splitter
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        descriptor = self._pipe.fileno()
        while True:
            try:
                data = os.read(descriptor, _CHUNK)
            except OSError:
                data = b""
            self._guard(self._splitter.feed if data else lambda _: self._splitter.close(), data)
            if not data:
                break
        self._pipe.close()

    def _guard(self, take: Callable[[bytes], None], data: bytes) -> None:
        # a listener that raises must not stop the reading: the program would block
        if self.error is not None:
            return
        try:
            take(data)
        except Exception as error:  # noqa: BLE001 (raised again when the program has ended)
            self.error = error


def _finish_readers(
    readers: Sequence[_Reader], pid: int, mark: str, report: Callable[[Event], None]
) -> None:
    """Wait for the last lines; end what the program left behind."""
    deadline = time.monotonic() + _LEFTOVER_WAIT
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))
    while group_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    if not any(reader.is_alive() for reader in readers) and not group_alive(pid):
        return
    end_processes([], grace=0.5, mark=mark, group=pid)
    for reader in readers:
        reader.join(1.0)
    report(
        OutputLine(
            "The program had ended but left processes running; they were ended, too.", "runner"
        )
    )


def _raise_broken(readers: Sequence[_Reader]) -> None:
    for reader in readers:
        if reader.error is not None:
            raise RunnerExecError(
                f"The output of the program could not be passed on: {reader.error}."
            ) from reader.error


def _start(
    args: list[str], work_dir: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    if not args:
        raise RunnerExecError("There is no program to run: the command of the tool is empty.")
    flags = 0
    if sys.platform == "win32":
        # Windows looks for programs on *our* PATH
        args = [shutil.which(args[0], path=environment.get("PATH")) or args[0], *args[1:]]
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    try:
        return subprocess.Popen(
            args,
            cwd=work_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            creationflags=flags,
        )
    except (OSError, ValueError) as error:
        raise _start_error(args, work_dir, environment, error) from error


def _start_error(
    args: list[str], work_dir: Path, environment: Mapping[str, str], error: OSError | ValueError
) -> RunnerExecError:
    name = args[0]
    path = environment.get("PATH", os.defpath)
    where = shutil.which(name, path=path)
    if isinstance(error, ValueError):  # a NUL character
        return RunnerExecError(f"The command cannot be run: {error}.")
    if not work_dir.is_dir():
        return RunnerExecError(f"The working folder {work_dir} does not exist.")
    number = error.errno
    if number == errno.ENOENT and where is None:
        return RunnerExecError(
            f"The program {name!r} was not found on this computer.",
            hint="Install it, add its folder to 'path' in the runner section of the "
            "configuration, or run the tool with CONDA or DOCKER. "
            f"Looked in: {path or 'nowhere'}.",
        )
    if number == errno.ENOENT:
        return RunnerExecError(
            f"{where} could not be started: the interpreter named in its first line is missing."
        )
    if number == errno.EACCES:
        return RunnerExecError(
            f"{where or name} may not be executed.", hint="Give it the right to (chmod +x)."
        )
    if number == errno.ENOEXEC:
        return RunnerExecError(
            f"{where or name} is no program of this computer: a script without a first line "
            "'#!…', or built for another system."
        )
    if number == errno.E2BIG:
        return RunnerExecError(
            f"The command line of {name!r} is too long for this system.",
            hint="Choose fewer files at once.",
        )
    return RunnerExecError(f"{name!r} could not be started: {error.strerror or error}.")
