"""Run a program in a container: live lines, exit code, a sure end."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import docker.errors
import requests

from napari_tool_runner.errors import PreparationError, RunnerExecError
from napari_tool_runner.plugins.docker import containers as containers
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.docker.program import Executed, Program, lost, not_started
from napari_tool_runner.plugins.docker.words import said_by
from napari_tool_runner.plugins.process import Event, ExecContext, Mount, OutputLine
from napari_tool_runner.plugins.programs.output import LineSplitter
from napari_tool_runner.plugins.programs.process_tree import GRACE, Ender

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.kept import WarmContainer
    from napari_tool_runner.plugins.docker.pool import WarmPool
    from napari_tool_runner.plugins.docker.spec import Spec

__all__ = ["ContainerGoneError", "run_alone", "run_in"]

_LOOK_EVERY = 2.0
_NEVER_RAN = re.compile(
    r"OCI runtime exec failed"
    r"|Error: .*OCI runtime attempted to invoke a command"
    r"|\[FATAL tini \(\d+\)\] exec "
    r"|ERROR \(catatonit:\d+\): failed to exec"
)


class _Reader:
    """Reads a program's output in a thread of its own."""

    def __init__(
        self, stream: Iterable[tuple[bytes | None, bytes | None]], context: ExecContext
    ) -> None:
        self._stream = stream
        self._report = context.report
        self._head: list[str] = []
        self._out = LineSplitter(self._emit, "stdout")
        self._err = LineSplitter(self._emit, "stderr")
        self.finished = threading.Event()
        self.wake = threading.Event()
        threading.Thread(target=self._read, name="docker-output", daemon=True).start()

    @property
    def never_ran(self) -> str:
        """What the engine said when the program could not be started."""
        return next((line for line in self._head if _NEVER_RAN.match(line)), "")

    def close(self) -> None:
        """Stop reading, whatever still writes."""
        containers.close_quietly(self._stream)
        self.finished.wait(1.0)

    def _emit(self, event: Event) -> None:
        if isinstance(event, OutputLine) and len(self._head) < 4:
            self._head.append(event.text)
        self._report(event)

    def _read(self) -> None:
        try:
            for out, err in self._stream:
                if out:
                    self._out.feed(out)
                if err:
                    self._err.feed(err)
        except ENGINE_ERRORS:
            # the connection broke; what became of the program is asked for elsewhere
            pass
        finally:
            self._out.close()
            self._err.close()
            self.finished.set()
            self.wake.set()


def run_in(
    pool: WarmPool,
    warm: WarmContainer,
    argv: Sequence[str],
    context: ExecContext,
    environment: Mapping[str, str],
    *,
    grace: float = GRACE,
) -> int:
    """Run `argv` in a warm container and return its exit code.

    Raises
    ------
    ContainerGoneError
        The container had ended before; nothing ran.
    RunnerExecError, JobCancelledError, JobTimeoutError
    """
    if warm.slot is None or context.root is None:
        return _run_in(pool, warm, argv, context, environment, grace)
    warm.freeze()  # nothing moves in it while the folder does, nor until the next program
    with warm.slot.holding(context.root):
        try:
            return _run_in(pool, warm, argv, context, environment, grace)
        finally:
            if not warm.freeze():
                pool.end(warm)


def _run_in(
    pool: WarmPool,
    warm: WarmContainer,
    argv: Sequence[str],
    context: ExecContext,
    environment: Mapping[str, str],
    grace: float,
) -> int:
    engine = warm.engine
    api = engine.client.api
    gone = ContainerGoneError(f"The container for {argv[0]} has ended.", hint="Try again.")
    began = time.time()
    try:
        warm.thaw()
        made = api.exec_create(
            warm.id, list(argv), environment=dict(environment), workdir=str(context.work_dir)
        )
    except ENGINE_ERRORS as error:
        raise gone from error
    try:
        stream = api.exec_start(made["Id"], stream=True, demux=True)
    except docker.errors.APIError as error:
        said = said_by(error)
        if error.status_code == 409 or "is not running" in said:
            raise gone from error
        raise not_started(engine, argv[0], said) from error
    except ENGINE_ERRORS as error:
        raise lost(argv[0]) from error
    warm.proven = True
    program = Executed(pool, warm, str(made["Id"]), argv[0])
    return _follow(program, _Reader(stream, context), context, grace, began)


def run_alone(
    pool: WarmPool,
    engine: Engine,
    spec: Spec,
    argv: Sequence[str],
    context: ExecContext,
    environment: Mapping[str, str],
    *,
    grace: float = GRACE,
) -> int:
    """Run `argv` as the only program of a new container and return its exit code.

    Raises
    ------
    RunnerExecError, JobCancelledError, JobTimeoutError
    """
    began = time.time()
    streams: list[Any] = []

    def make(init: bool) -> str:
        container = containers.create(
            engine,
            spec,
            argv[:1],
            argv[1:],
            init=init,
            work_dir=str(context.work_dir),
            environment=environment,
            mounts=[Mount(context.root, read_only=False)] if context.root else (),
        )
        try:
            # before the start, so that not a line is missed
            streams[:] = [
                engine.client.api.attach(
                    container, stdout=True, stderr=True, stream=True, demux=True
                )
            ]
        except ENGINE_ERRORS as error:
            containers.remove(engine, container)
            raise lost(argv[0]) from error
        return container

    try:
        container = pool.make(engine, make, tuple(argv))
    except PreparationError as error:
        for stream in streams:
            containers.close_quietly(stream)
        if containers.is_missing_program(error):
            raise not_started(engine, argv[0], str(error)) from error
        raise RunnerExecError(error.message, hint=error.hint) from error
    program = Program(engine, container, argv[0])
    try:
        return _follow(program, _Reader(streams[0], context), context, grace, began)
    finally:
        containers.remove(engine, container)


class ContainerGoneError(RunnerExecError):
    """The container ended before the program was started in it."""


def _follow(
    program: Program, reader: _Reader, context: ExecContext, grace: float, began: float
) -> int:
    def end() -> None:
        reader.wake.set()
        _end(program, reader, grace)

    try:
        context.begun()
        with Ender(end, context.cancel, context.timeout) as ender:
            code = _wait(program, reader, ender, context)
        ender.raise_reason(program.name)
        return program.judge(code, began, reader.never_ran, context.report)
    finally:
        reader.close()


def _wait(program: Program, reader: _Reader, ender: Ender, context: ExecContext) -> int | None:
    """Wait until the program, or somebody's patience, has ended; return its exit code."""
    look = time.monotonic() + _LOOK_EVERY
    pause = 0.005
    while not ender.reason:
        now = time.monotonic()
        finished = reader.finished.is_set()
        if finished or now >= look:
            # a stream may end before its program, or (Podman) outlive it
            running, code = _state(program, patient=not finished)
            if not running:
                if not finished:
                    reader.finished.wait(0.5)
                    reader.close()
                return code
            look = now + _LOOK_EVERY
        if finished:
            context.cancel.wait(pause)
            pause = min(0.5, pause * 1.5)
        else:
            reader.wake.wait(max(0.0, look - now))
    return None


def _state(program: Program, *, patient: bool) -> tuple[bool, int | None]:
    try:
        return program.state()
    except requests.exceptions.Timeout as error:
        if patient:
            # an engine that is busy, while its program still writes
            return True, None
        raise lost(program.name) from error
    except docker.errors.NotFound:
        # the engine was restarted, or somebody removed the container
        return False, None
    except docker.errors.APIError as error:
        raise RunnerExecError(
            f"The container engine cannot say what became of {program.name}: {said_by(error)}."
        ) from error
    except ENGINE_ERRORS as error:
        raise lost(program.name) from error


def _end(program: Program, reader: _Reader, grace: float) -> None:
    if grace > 0 and program.ask_to_end():
        reader.finished.wait(grace)
    if not program.force():
        raise RunnerExecError(
            f"The container engine does not answer, so {program.name} may still be running.",
            hint=f"Restart the engine, or remove the container {program.container[:12]} by hand.",
        )
    reader.finished.wait(2.0)
