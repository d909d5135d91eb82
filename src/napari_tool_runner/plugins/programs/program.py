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
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.errors import JobCancelledError, RunnerExecError
from napari_tool_runner.plugins.process import OutputLine
from napari_tool_runner.plugins.programs.enclosure import doubt, enclosure_of
from napari_tool_runner.plugins.programs.environment import at_home, program_environment
from napari_tool_runner.plugins.programs.graphics import graphics
from napari_tool_runner.plugins.programs.output import LineReader, raise_broken
from napari_tool_runner.plugins.programs.process_tree import (
    GRACE,
    Ender,
    describe_exit,
    end_processes,
    exit_code,
    group_alive,
    new_mark,
    watchdog,
)
from napari_tool_runner.plugins.programs.watchdog import MARK
from napari_tool_runner.plugins.warm.direct import Direct, NotTaken, call
from napari_tool_runner.plugins.warm.pool import handing
from napari_tool_runner.quoting import check_words

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Event, ExecContext
    from napari_tool_runner.plugins.programs.enclosed import Enclosure
    from napari_tool_runner.plugins.warm.handing import Handing
    from napari_tool_runner.tools.model import Tool

__all__ = ["gpu_remark", "run_here", "run_program"]

_LEFTOVER_WAIT = 2.0
"""Seconds that children may outlive their program, as a last ``tee`` does."""

_SIGNALLED = 128
_log = logging.getLogger(__name__)


def run_program(
    args: Sequence[str],
    context: ExecContext,
    environment: Mapping[str, str],
    *,
    grace: float = GRACE,
    enclosure: Enclosure | None = None,
    how: Handing | None = None,
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
    enclosure : Enclosure, optional
        What it runs in.
    how : Handing, optional
        Whose call is handed over, instead of starting `args`.

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
    NotTaken
        The call was not; nothing has begun.
    """
    if context.cancel.requested:
        raise JobCancelledError(
            "The job was cancelled while it was made ready; its program had not begun."
        )
    mark = new_mark()
    watchdog.ensure()  # it finds by its mark what has just begun when we are killed
    program = _start(list(args), context.work_dir, {**environment, MARK: mark}, enclosure, how)
    if isinstance(program, subprocess.Popen):
        watchdog.add(program.pid)
    if watchdog.problem:
        context.say(watchdog.problem)
    assert program.stdout is not None
    assert program.stderr is not None
    said = ""

    def report(event: Event) -> None:
        nonlocal said
        if enclosure is not None and isinstance(event, OutputLine):
            said = event.text
        context.report(event)

    readers = [
        LineReader(program.stdout, context.report, "stdout"),
        LineReader(program.stderr, report, "stderr"),
    ]

    def end() -> None:
        if isinstance(program, Direct):
            left = program.end(grace, mark)
        else:
            left = end_processes([program.pid], grace=grace, mark=mark, group=program.pid)
        if left:
            _log.warning("These processes could not be ended: %s", left)

    try:
        with Ender(end, context.cancel, context.timeout) as ender:
            try:
                context.begun()
                # without a limit: it blocks in the system, so the end is seen at once
                code = program.wait()
            except BaseException:
                ender.start("broken")
                raise
    finally:
        program.wait()
        gone = _finish_readers(readers, program, mark, context, enclosure)
        if program.pid:
            watchdog.discard(program.pid)
        ran = enclosure is None or enclosure.ran()
    ender.raise_reason()
    if not gone:
        raise _still_there()
    raise_broken(readers)
    if not ran and code > 0:
        doubt()
        raise _not_enclosed(args[0], said)
    if enclosure is not None and code > _SIGNALLED:
        context.say(f"The program was {describe_exit(code)}.")
    if code < 0:
        code = exit_code(code)
        context.say(f"The program was {describe_exit(code)}.")
    return code


def run_here(
    tool: Tool,
    args: Sequence[str],
    context: ExecContext,
    config: Mapping[str, object],
    variables: Mapping[str, str],
    shown: Iterable[Path],
) -> int:
    """Run a job's program with a home of its own, enclosed where that is possible.

    Parameters
    ----------
    config : mapping
        The ``runner`` section.
    variables : mapping
        What the program gets besides what belongs to the job.
    shown : iterable of Path
        What an enclosed program sees besides its mounts, see `enclosure_of`.

    Returns and raises what `run_program` does.
    """
    shown = frozenset(shown)
    environment = program_environment(at_home(variables, context), context)
    grace = settings.GRACE.of(config)
    while True:
        with suppress(NotTaken), handing(tool, args, context, config, environment, shown) as how:
            walls = enclosure_of(context, config, shown, how.around)
            how.begin(walls)
            code = run_program(
                *(how.args, how.heard(context), how.environment),
                grace=grace,
                enclosure=walls,
                how=how if how.python else None,
            )
            if not how.stuck:
                return code


def _finish_readers(
    readers: Sequence[LineReader],
    program: subprocess.Popen[bytes] | Direct,
    mark: str,
    context: ExecContext,
    enclosure: Enclosure | None,
) -> bool:
    """Wait for the last lines; end what the program left behind; say whether all has ended."""
    deadline = time.monotonic() + _LEFTOVER_WAIT
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))
    alive = not _ended(program, deadline, enclosure)
    if not any(reader.is_alive() for reader in readers) and not alive:
        return True
    left = end_processes([], grace=0.5, mark=mark, group=program.pid or None)
    gone = enclosure is None or enclosure.end()
    for reader in readers:
        reader.join(1.0)
    # without an enclosure one may hide, but its hold of our pipes shows
    goes_on = left or any(reader.is_alive() for reader in readers)
    what = "some go on" if goes_on else "they were ended, too"
    context.say(f"The program had ended but left processes running; {what}.")
    return gone


def _ended(
    program: subprocess.Popen[bytes] | Direct, deadline: float, enclosure: Enclosure | None
) -> bool:
    """Wait until a program's group, or all in its enclosure, has ended; say whether it has."""
    if enclosure is not None:
        return enclosure.ended(deadline - time.monotonic())
    if isinstance(program, Direct):
        return program.ended(deadline - time.monotonic())
    pause = 0.0005
    while group_alive(program.pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(0.02, pause * 2)
    return True


def _still_there() -> RunnerExecError:
    """Return the error for what outlives its enclosure: it could still change the results."""
    return RunnerExecError(
        "A process that the program started cannot be ended, so its results are not taken.",
        hint="Such a process waits for a disk or a device. Run the tool again when that answers, "
        "or after a restart of the computer.",
    )


def _not_enclosed(name: str, said: str) -> RunnerExecError:
    """Return the error for a program that bubblewrap could not execute."""
    return RunnerExecError(
        f"{name!r} could not be started in its enclosure: {said.removeprefix('bwrap: ')}.",
        hint="An enclosed program sees the system's programs, this Python and the folders of "
        "'path' in the runner section of the configuration. Add the folder that it lies in, with "
        "all that belongs to it.",
    )


def _start(
    args: list[str],
    work_dir: Path,
    environment: Mapping[str, str],
    enclosure: Enclosure | None,
    how: Handing | None,
) -> subprocess.Popen[bytes] | Direct:
    if how is not None:
        direct = call(how, work_dir, environment, enclosure)
        how.end_direct = direct.kill
        return direct
    if not args:
        raise RunnerExecError("There is no program to run: the command of the tool is empty.")
    flags = 0
    if sys.platform == "win32":
        # Windows looks for programs on *our* PATH
        args = [shutil.which(args[0], path=environment.get("PATH")) or args[0], *args[1:]]
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    try:
        check_words(args, environment)
        if enclosure is not None:
            return enclosure.start(args, work_dir, environment)
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
    if isinstance(error, ValueError):  # a nul character
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


def gpu_remark(config: Mapping[str, object]) -> str:
    """Say that a GPU is asked for where there is none; empty when all is well."""
    if not settings.GPUS.of(config):
        return ""
    return "" if graphics().kind else "A GPU is asked for, but none was found on this computer."
