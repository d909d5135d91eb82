"""Run a program in a container: live lines, exit code, a sure end, and what ended it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import docker.errors
import requests

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    PreparationError,
    RunnerExecError,
)
from napari_tool_runner.plugins.contract import Event, ExecContext, OutputLine
from napari_tool_runner.plugins.docker import containers as containers
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.programs.output import LineSplitter
from napari_tool_runner.storage import size_text

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.pool import WarmContainer, WarmPool
    from napari_tool_runner.plugins.docker.spec import Spec

__all__ = ["ContainerGoneError", "run_alone", "run_in"]

GRACE = 3.0
"""Seconds that a program has to end by itself after SIGTERM."""

_LOOK_EVERY = 2.0
_NEVER_RAN = re.compile(
    r"OCI runtime exec failed"
    r"|Error: .*OCI runtime attempted to invoke a command"
    r"|\[FATAL tini \(\d+\)\] exec "
    r"|ERROR \(catatonit:\d+\): failed to exec"
)
_KILLED = 137
# where the kernel counts, for the old and the new control groups; not all images have cat
_COUNTS = """for file in /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events; do
[ -e "$file" ] && while read -r line; do echo "$line"; done < "$file"; done"""


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
        self._thread = threading.Thread(target=self._read, name="docker-output", daemon=True)

    def start(self) -> None:
        self._thread.start()

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


class _Program:
    """A started program; two ways to run one differ in these methods."""

    container: str
    engine: Engine
    name: str

    def state(self) -> tuple[bool, int | None]:
        """Whether it runs, and its exit code if not."""
        raise NotImplementedError

    def ask_to_end(self) -> bool:
        """Send SIGTERM; False where that is not possible."""
        raise NotImplementedError

    def force(self) -> bool:
        """End it for sure; False when the engine cannot."""
        raise NotImplementedError

    def counted_out_of_memory(self) -> bool:
        """Whether the kernel says that it ended something in the container for memory."""
        return False


class _Executed(_Program):
    """A program in a warm container."""

    def __init__(self, pool: WarmPool, warm: WarmContainer, exec_id: str, name: str) -> None:
        self.pool = pool
        self.warm = warm
        self.engine = warm.engine
        self.container = warm.id
        self.exec_id = exec_id
        self.name = name

    def state(self) -> tuple[bool, int | None]:
        found = self.engine.control.api.exec_inspect(self.exec_id)
        return bool(found.get("Running")), found.get("ExitCode")

    def ask_to_end(self) -> bool:
        if not self.warm.sleeper.has_shell:
            return False
        api = self.engine.control.api
        with contextlib.suppress(*ENGINE_ERRORS):
            # everything in the container but its sleeper, which does not listen
            kill = api.exec_create(self.container, ["sh", "-c", "kill -TERM -1"])
            api.exec_start(kill["Id"], detach=True)
            return True
        return False

    def force(self) -> bool:
        return self.pool.discard(self.warm)

    def counted_out_of_memory(self) -> bool:
        if not self.warm.sleeper.has_shell:
            return False
        api = self.engine.control.api
        with contextlib.suppress(*ENGINE_ERRORS):
            ask = api.exec_create(self.container, ["sh", "-c", _COUNTS])
            return re.search(rb"oom_kill [1-9]", api.exec_start(ask["Id"])) is not None
        return False


class _Alone(_Program):
    """A program that is its container."""

    def __init__(self, engine: Engine, container: str, name: str) -> None:
        self.engine = engine
        self.container = container
        self.name = name

    def state(self) -> tuple[bool, int | None]:
        state = self.engine.control.api.inspect_container(self.container)["State"]
        return bool(state.get("Running")), state.get("ExitCode")

    def ask_to_end(self) -> bool:
        with contextlib.suppress(*ENGINE_ERRORS):
            self.engine.control.api.kill(self.container, "SIGTERM")
            return True
        return False

    def force(self) -> bool:
        return containers.remove(self.engine, self.container)


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
    engine = warm.engine
    api = engine.client.api
    began = time.time()
    try:
        made = api.exec_create(
            warm.id,
            list(argv),
            environment=dict(environment),
            workdir=str(context.work_dir),
        )
    except ENGINE_ERRORS as error:
        raise ContainerGoneError(
            f"The container for {argv[0]} has ended.", hint="Try again."
        ) from error
    try:
        stream = api.exec_start(made["Id"], stream=True, demux=True)
    except docker.errors.APIError as error:
        said = str(error.explanation or error)
        if error.status_code == 409 or "is not running" in said:
            raise ContainerGoneError(
                f"The container for {argv[0]} has ended.", hint="Try again."
            ) from error
        raise _not_started(engine, argv[0], said) from error
    except ENGINE_ERRORS as error:
        raise _lost(argv[0]) from error
    warm.proven = True
    program = _Executed(pool, warm, str(made["Id"]), argv[0])
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
            raise _lost(argv[0]) from error
        return container

    try:
        container = pool.make(engine, make, tuple(argv))
    except PreparationError as error:
        for stream in streams:
            containers.close_quietly(stream)
        if containers.is_missing_program(error):
            raise _not_started(engine, argv[0], str(error)) from error
        raise RunnerExecError(error.message, hint=error.hint) from error
    program = _Alone(engine, container, argv[0])
    try:
        return _follow(program, _Reader(streams[0], context), context, grace, began)
    finally:
        containers.remove(engine, container)


class ContainerGoneError(RunnerExecError):
    """The container ended before the program was started in it."""


def _follow(
    program: _Program, reader: _Reader, context: ExecContext, grace: float, began: float
) -> int:
    deadline = None if context.timeout is None else time.monotonic() + context.timeout
    reader.start()
    remove = context.cancel.on_cancel(reader.wake.set)
    look = time.monotonic() + _LOOK_EVERY
    pause = 0.005
    try:
        while True:
            if context.cancel.requested:
                _end(program, reader, grace)
                raise JobCancelledError(f"{program.name} was cancelled.")
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                _end(program, reader, grace)
                raise JobTimeoutError(
                    f"{program.name} was ended after the time limit of {context.timeout:g} s.",
                    hint="Allow more time, or give it less to do.",
                )
            finished = reader.finished.is_set()
            if finished or now >= look:
                # a stream may end before its program, or (Podman) outlive it
                running, code = _state(program, patient=not finished)
                if not running:
                    if not finished:
                        reader.finished.wait(0.5)
                        reader.close()
                    return _judge(program, reader, code, began, context)
                look = now + _LOOK_EVERY
            limit = look if deadline is None else min(look, deadline)
            if finished:
                context.cancel.wait(pause)
                pause = min(0.5, pause * 1.5)
            else:
                reader.wake.wait(max(0.0, limit - now))
    finally:
        remove()
        reader.close()


def _state(program: _Program, *, patient: bool) -> tuple[bool, int | None]:
    try:
        return program.state()
    except requests.exceptions.Timeout as error:
        if patient:
            # an engine that is busy, while its program still writes
            return True, None
        raise _lost(program.name) from error
    except docker.errors.NotFound:
        # the engine was restarted, or somebody removed the container
        return False, None
    except docker.errors.APIError as error:
        raise RunnerExecError(
            f"The container engine cannot say what became of {program.name}: {error}."
        ) from error
    except ENGINE_ERRORS as error:
        raise _lost(program.name) from error


def _end(program: _Program, reader: _Reader, grace: float) -> None:
    if grace > 0 and program.ask_to_end():
        reader.finished.wait(grace)
    if not program.force():
        raise RunnerExecError(
            f"The container engine does not answer, so {program.name} may still be running.",
            hint=f"Restart the engine, or remove the container {program.container[:12]} by hand.",
        )
    reader.finished.wait(2.0)


def _judge(
    program: _Program, reader: _Reader, code: int | None, began: float, context: ExecContext
) -> int:
    if code == 0:
        return 0
    said = reader.never_ran
    if said:
        raise _not_started(program.engine, program.name, said)
    if code is not None and code != _KILLED:
        state = _container_state(program)
        if state is None or state.get("Running") or isinstance(program, _Alone):
            if _out_of_memory(program, began, wait=0):
                # a child of the program, which went on
                context.report(
                    OutputLine("Something that it started was ended: out of memory.", "runner")
                )
            return code
    _explain_kill(program, code, began)
    return _KILLED if code is None else code


def _explain_kill(program: _Program, code: int | None, began: float) -> None:
    """Raise what ended the program from outside; return when nothing shows that it was."""
    # the kernel's message may come a moment after the exit
    out_of_memory = _out_of_memory(program, began, wait=0.3)
    state = _container_state(program)
    limit = _memory_limit(program)
    limit_text = f" (its limit is {size_text(limit)})" if limit else ""
    if out_of_memory or (state or {}).get("OOMKilled") or program.counted_out_of_memory():
        # what the kernel counts must not be taken for the next program's
        program.force()
        raise RunnerExecError(
            f"{program.name} was ended because it ran out of memory{limit_text}.",
            hint="Give it more memory (“memory” of the runner), or a smaller image.",
        )
    if state is None:
        raise RunnerExecError(
            f"The container was removed, or the container engine restarted, while "
            f"{program.name} ran.",
            hint="Run it again; a new container will be started.",
        )
    if not state.get("Running") and (code is None or not isinstance(program, _Alone)):
        raise RunnerExecError(
            f"The container was stopped from outside while {program.name} ran.",
            hint="Run it again; a new container will be started.",
        )
    if isinstance(program, _Alone) and code == _KILLED:
        raise RunnerExecError(
            f"{program.name} was killed: by somebody, or because it ran out of memory"
            f"{limit_text}.",
            hint="Run it again, with more memory.",
        )
    if code is None:
        raise _lost(program.name)


def _container_state(program: _Program) -> Mapping[str, Any] | None:
    try:
        state: Mapping[str, Any] = program.engine.control.api.inspect_container(program.container)[
            "State"
        ]
    except docker.errors.NotFound:
        return None
    except ENGINE_ERRORS as error:
        raise _lost(program.name) from error
    return state


def _memory_limit(program: _Program) -> int:
    with contextlib.suppress(*ENGINE_ERRORS, KeyError):
        found = program.engine.control.api.inspect_container(program.container)
        return int(found["HostConfig"]["Memory"] or 0)
    return 0


def _out_of_memory(program: _Program, began: float, *, wait: float) -> bool:
    """Whether the engine saw the kernel end something in the container for its memory."""
    with contextlib.suppress(*ENGINE_ERRORS, ValueError):
        events = program.engine.control.api.events(
            since=f"{began - 1:.6f}",
            until=f"{time.time() + wait:.6f}",
            filters={"container": program.container, "event": "oom"},
            decode=True,
        )
        return any(True for _ in events)
    return False


def _not_started(engine: Engine, name: str, said: str) -> RunnerExecError:
    lowered = said.lower()
    if "chdir to cwd" in lowered:
        return RunnerExecError(
            f"The working folder of {name} cannot be entered in the container. The engine "
            f"said: {said}",
            hint="Check that the workspace exists, and that the engine may read it.",
        )
    if "exec format error" in lowered:
        return RunnerExecError(
            f"{name} in the image is made for another kind of processor than this computer’s "
            f"({engine.platform}).",
            hint="Ask the authors of the image for one for this computer.",
        )
    if "permission denied" in lowered:
        return RunnerExecError(
            f"{name} in the image may not be executed. The engine said: {said}",
            hint="Ask the authors of the image to make it executable for everybody.",
        )
    if any(sign in lowered for sign in ("not found", "no such file")):
        return RunnerExecError(
            f"The image has no program {name}. The engine said: {said}",
            hint="Check the command and the image in the tool’s descriptor.",
        )
    return RunnerExecError(f"{name} could not be started. The engine said: {said}")


def _lost(name: str) -> RunnerExecError:
    return RunnerExecError(
        f"The container engine stopped answering while {name} ran.",
        hint="Start the engine again, then run it again.",
    )
