"""A program in a container: how it stands, how it is ended, and what ended it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors

from napari_tool_runner.errors import RunnerExecError
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins.docker import containers as containers
from napari_tool_runner.plugins.docker.client import ENGINE_ERRORS, Engine
from napari_tool_runner.plugins.docker.words import lacks_another_file
from napari_tool_runner.plugins.process import Event, OutputLine

if TYPE_CHECKING:
    from napari_tool_runner.plugins.docker.kept import WarmContainer
    from napari_tool_runner.plugins.docker.pool import WarmPool

__all__ = ["Executed", "Program", "counted_out_of_memory", "lost", "not_started"]

_KILLED = 137
# where the kernel counts, for the old and the new control groups
_COUNTS = {
    "memory": "sys/fs/cgroup/memory{}/memory.oom_control",
    "": "sys/fs/cgroup{}/memory.events",
}


class Program:
    """A started program that is all its container runs."""

    alone = True

    def __init__(self, engine: Engine, container: str, name: str) -> None:
        self.engine = engine
        self.container = container
        self.name = name

    def state(self) -> tuple[bool, int | None]:
        """Whether it runs, and its exit code if not."""
        state = self.engine.control.api.inspect_container(self.container)["State"]
        return bool(state.get("Running")), state.get("ExitCode")

    def ask_to_end(self) -> bool:
        """Send SIGTERM; False where that is not possible."""
        with contextlib.suppress(*ENGINE_ERRORS):
            self.engine.control.api.kill(self.container, "SIGTERM")
            return True
        return False

    def force(self) -> bool:
        """End it for sure; False when the engine cannot."""
        return containers.remove(self.engine, self.container)

    def judge(
        self, code: int | None, began: float, never_ran: str, report: Callable[[Event], object]
    ) -> int:
        """Return the exit code of a program that has ended.

        Parameters
        ----------
        code : int or None
            What the engine says; None when it does not know.
        began : float
            When the program was started, in seconds since the epoch.
        never_ran : str
            What the engine said when it could not be started.

        Raises
        ------
        RunnerExecError
            It never ran, or something from outside ended it.
        """
        if code == 0:
            return 0
        if never_ran:
            raise not_started(self.engine, self.name, never_ran)
        if code is not None and code != _KILLED:
            found = self._inspect()
            if found is None or found["State"].get("Running") or self.alone:
                if self._out_of_memory(began, wait=0):
                    # a child of the program, which went on
                    text = "Something that it started was ended: out of memory."
                    report(OutputLine(text, "runner"))
                return code
        self._explain_kill(code, began)
        return _KILLED if code is None else code

    def _explain_kill(self, code: int | None, began: float) -> None:
        """Raise what ended the program from outside; return when nothing shows that it was."""
        # the kernel's message may come a moment after the exit
        out_of_memory = self._out_of_memory(began, wait=0.3)
        found = self._inspect()
        state = found["State"] if found else {}
        limit = int(found["HostConfig"].get("Memory") or 0) if found else 0
        limit_text = f" (its limit is {size_text(limit)})" if limit else ""
        counted = counted_out_of_memory(self.container, state.get("Pid") or 0)
        if out_of_memory or state.get("OOMKilled") or counted:
            # what the kernel counts must not be taken for the next program's
            self.force()
            raise RunnerExecError(
                f"{self.name} was ended because it ran out of memory{limit_text}.",
                hint="Give it more memory (“memory” of the runner), or a smaller image.",
            )
        if found is None:
            raise RunnerExecError(
                f"The container was removed, or the container engine restarted, while "
                f"{self.name} ran.",
                hint="Run it again; a new container will be started.",
            )
        if not state.get("Running") and (code is None or not self.alone):
            raise RunnerExecError(
                f"The container was stopped from outside while {self.name} ran.",
                hint="Run it again; a new container will be started.",
            )
        if self.alone and code == _KILLED:
            raise RunnerExecError(
                f"{self.name} was killed: by somebody, or because it ran out of memory"
                f"{limit_text}.",
                hint="Run it again, with more memory.",
            )
        if code is None:
            raise lost(self.name)

    def _inspect(self) -> Mapping[str, Any] | None:
        """Return what the engine says of the container, None when it is gone."""
        try:
            found: Mapping[str, Any] = self.engine.control.api.inspect_container(self.container)
        except docker.errors.NotFound:
            return None
        except ENGINE_ERRORS as error:
            raise lost(self.name) from error
        return found

    def _out_of_memory(self, began: float, *, wait: float) -> bool:
        """Whether the engine saw the kernel end something in the container for its memory."""
        with contextlib.suppress(*ENGINE_ERRORS, ValueError):
            events = self.engine.control.api.events(
                since=f"{began - 1:.6f}",
                until=f"{time.time() + wait:.6f}",
                filters={"container": self.container, "event": "oom"},
                decode=True,
            )
            return any(True for _ in events)
        return False


class Executed(Program):
    """A program in a warm container."""

    alone = False

    def __init__(self, pool: WarmPool, warm: WarmContainer, exec_id: str, name: str) -> None:
        super().__init__(warm.engine, warm.id, name)
        self.pool = pool
        self.warm = warm
        self.exec_id = exec_id

    def state(self) -> tuple[bool, int | None]:
        """Ask the engine."""
        found = self.engine.control.api.exec_inspect(self.exec_id)
        return bool(found.get("Running")), found.get("ExitCode")

    def ask_to_end(self) -> bool:
        """Send SIGTERM through a shell in the container."""
        if self.warm.sleeper.has_shell:
            api = self.engine.control.api
            with contextlib.suppress(*ENGINE_ERRORS):
                # everything in the container but its sleeper, which does not listen; a tool may
                # have put anything in the place of sh: nobody waits for it or reads what it says
                line = ["sh", "-c", "kill -TERM -1"]
                made = api.exec_create(self.container, line, stdout=False, stderr=False)
                api.exec_start(made["Id"], detach=True)
                return True
        return False

    def force(self) -> bool:
        """Remove the container."""
        return self.pool.discard(self.warm)


def counted_out_of_memory(container: str, pid: int, root: Path = Path("/")) -> bool:
    """Whether the kernel counted that it ended something in a container for its memory.

    It is asked from outside; what is in the container may say anything, without an end.

    Parameters
    ----------
    container : str
    pid : int
        The number of a process in it, as its engine knows it.
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    try:
        groups = (root / f"proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    for _, controllers, place in (line.split(":", 2) for line in groups):
        before, found, after = place.partition(container)
        for controller, counts in _COUNTS.items():
            # elsewhere (an engine on another computer) the number is that of another process
            if found and controller in controllers.split(","):
                group = before + found + after.partition("/")[0]
                with contextlib.suppress(OSError):
                    told = (root / counts.format(group)).read_text()
                    if re.search(r"^oom_kill [1-9]", told, re.MULTILINE):
                        return True
    return False


def not_started(engine: Engine, name: str, said: str) -> RunnerExecError:
    """Return the error for a program that the engine could not start, by what it said."""
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
    missing = any(sign in lowered for sign in ("not found", "no such file"))
    if missing and not lacks_another_file(said):
        return RunnerExecError(
            f"The image has no program {name}. The engine said: {said}",
            hint="Check the command and the image in the tool’s descriptor.",
        )
    return RunnerExecError(f"{name} could not be started. The engine said: {said}")


def lost(name: str) -> RunnerExecError:
    """Return the error for an engine that stopped answering."""
    return RunnerExecError(
        f"The container engine stopped answering while {name} ran.",
        hint="Start the engine again, then run it again.",
    )
