"""Starting a program, with the variables that it gets, and following it to its end.

The same for every service that runs programs on this computer: an argv list (never a
shell), a session of its own, closed stdin, live lines, cancel and time-out of the whole
process tree, and no process left behind.
"""

from __future__ import annotations

import errno
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import settings
from napari_tool_runner.errors import JobCancelledError, RunnerExecError
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

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import ExecContext

__all__ = ["gpu_remark", "host_environment", "path_with", "program_environment", "run_program"]

_LEFTOVER_WAIT = 2.0
"""Seconds that children may outlive their program, as a last ``tee`` does."""

_log = logging.getLogger(__name__)

_CONDA = ("CONDA_", "_CE_", "MAMBA_", "_CONDA_", "PIXI_")
_PYTHON = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")


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
        context.say(watchdog.problem)
    assert program.stdout is not None
    assert program.stderr is not None
    readers = [
        LineReader(program.stdout, context.report, "stdout"),
        LineReader(program.stderr, context.report, "stderr"),
    ]

    def end() -> None:
        left = end_processes([program.pid], grace=grace, mark=mark, group=program.pid)
        if left:
            _log.warning("These processes could not be ended: %s", left)

    try:
        with Ender(end, context.cancel, context.timeout) as ender:
            try:
                # without a limit: it blocks in the system, so the end is seen at once
                code = program.wait()
            except BaseException:
                ender.start("broken")
                raise
    finally:
        program.wait()
        _finish_readers(readers, program.pid, mark, context)
        watchdog.discard(program.pid)
    ender.raise_reason()
    raise_broken(readers)
    if code < 0:
        code = exit_code(code)
        context.say(f"The program was {describe_exit(code)}.")
    return code


def _finish_readers(
    readers: Sequence[LineReader], pid: int, mark: str, context: ExecContext
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
    context.say("The program had ended but left processes running; they were ended, too.")


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


def host_environment(*, isolated: bool = False) -> dict[str, str]:
    """Return the variables of this process without those that hurt a program.

    - ``QT_*`` and ``QML*`` go: they name the plugins of *this* Qt and crash programs that
      bring their own.
    - ``PYTHONHOME``, ``PYTHONPATH`` and ``PYTHONSTARTUP`` belong to this Python: LOCAL keeps
      the first two, since its tools run with this very Python; environments lose all.
    - conda's variables describe one environment. LOCAL keeps them when that is the
      environment of this Python (napari was started in it); otherwise they leak from a
      shell where another one was active, and go.
    - ``MPLBACKEND`` goes when it names a module of a notebook.
    - everything else stays (proxies, licences, ``LD_LIBRARY_PATH``, ``DISPLAY``…).

    Parameters
    ----------
    isolated : bool
        True for programs of another environment than this Python's.
    """
    conda = os.environ.get("CONDA_PREFIX")
    foreign_conda = (
        isolated or conda is None or os.path.realpath(conda) != os.path.realpath(sys.prefix)
    )
    kept: dict[str, str] = {}
    for name, value in os.environ.items():
        if name.startswith(("QT_", "QML")) or name == "PYTHONSTARTUP":
            continue
        if isolated and (name in _PYTHON or name == "VIRTUAL_ENV"):
            continue
        if foreign_conda and name.startswith(_CONDA):
            continue
        if name == "MPLBACKEND" and value.startswith("module://"):
            continue
        kept[name] = value
    return kept


def program_environment(base: Mapping[str, str], context: ExecContext) -> dict[str, str]:
    """Return `base` with what belongs to the job.

    ``TMPDIR`` (``TMP``, ``TEMP``) is the job's own folder; Python programs write their
    lines at once and as UTF-8; the cpus that the job asked for are told in the usual
    variables. The context's own variables win over everything.
    """
    context.temp_dir.mkdir(parents=True, exist_ok=True)
    variables = dict(base)
    for name in ("TMPDIR", "TMP", "TEMP"):
        variables[name] = str(context.temp_dir)
    variables.setdefault("PYTHONUNBUFFERED", "1")
    variables.setdefault("PYTHONIOENCODING", "utf-8:replace")
    if context.resources.cpus is not None:
        count = str(max(1, int(context.resources.cpus)))
        for name in ("GALAXY_SLOTS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            variables[name] = count
    if context.resources.memory_bytes is not None:
        variables["GALAXY_MEMORY_MB"] = str(context.resources.memory_bytes >> 20)
    variables.update(context.environment)
    return variables


def gpu_remark(config: Mapping[str, object]) -> str:
    """Say that a GPU is asked for where there is none; empty when all is well."""
    if not settings.GPUS.of(config):
        return ""
    if sys.platform == "darwin":
        found = platform.machine() == "arm64"
    else:
        found = any(os.path.exists(path) for path in ("/dev/nvidia0", "/dev/kfd", "/dev/dxg"))
        found = found or shutil.which("nvidia-smi") is not None
    return "" if found else "A GPU is asked for, but none was found on this computer."


def path_with(folders: Iterable[str | Path], path: str | None) -> str:
    """Return `path` with `folders` first."""
    parts = [str(folder) for folder in folders]
    if path is None:
        path = os.defpath
    return os.pathsep.join([*parts, path] if path else parts)
