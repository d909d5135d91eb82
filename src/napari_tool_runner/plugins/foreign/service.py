"""A service without our base class, the tutorial's or bioimageit_core's, as one of ours.

The tutorial's services take ``(process)`` and ``(process, args)``; services written for
bioimageit_core ≥ 0.1 take a ``job_id`` after that, and are observable: whoever calls
``add_observer`` is told of messages, warnings, errors and progress, with the job's number.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_tool_runner.config import whole_config
from napari_tool_runner.errors import JobCancelledError, RunnerExecError
from napari_tool_runner.plugins.contract import Availability, Place, RunnerService
from napari_tool_runner.plugins.foreign.children import Recorder, recording, unheard
from napari_tool_runner.plugins.foreign.core import offered
from napari_tool_runner.plugins.foreign.guests import not_ours
from napari_tool_runner.plugins.process import (
    Event,
    ExecContext,
    OutputLine,
    Process,
    Progress,
    as_process,
    context_of,
)
from napari_tool_runner.plugins.programs.local_path import local_path
from napari_tool_runner.plugins.programs.process_tree import GRACE, Ender, describe_exit, exit_code

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["ForeignService"]


class ForeignService(RunnerService):
    """Calls the three methods of somebody else's service; its programs are followed.

    Parameters
    ----------
    service : object
    name : str
        Under which it is registered, for messages.
    config : mapping
        The ``runner`` section of the configuration.
    """

    def __init__(
        self, service: object, name: str, config: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(config)
        self.service = service
        self.service_name = name

    def set_up(self, process: Process | Tool) -> None:
        """Call its ``set_up``."""
        self._call("set_up", process, [])

    def exec(self, process: Process | Tool, args: list[str]) -> int:
        """Call its ``exec``; return the exit code of the program that it ran."""
        context = context_of(process := as_process(process))
        met: list[Recorder] = []
        try:
            value = self._call("exec", process, met, list(args))
        except subprocess.CalledProcessError as error:
            return _failed_program(error, context.report)
        except RunnerExecError as error:
            # so theirs tell that a program failed: its code says more
            if not (code := met[0].exit_code(args) if met else None):
                raise
            context.report(OutputLine(str(error), "stderr"))
            return code
        code = _exit_code(value)
        if code is None:
            # the tutorial's exec returns nothing; its program's own code is better than a guess
            code = met[0].exit_code(args) or 0
        if code > 128:
            context.say(f"The program was {describe_exit(code)}.")
        return code

    def tear_down(self, process: Process | Tool) -> None:
        """Call its ``tear_down``."""
        self._call("tear_down", process, [])

    def check(self) -> Availability:
        """A plugin cannot be asked; it is there."""
        return Availability(True, f"A plugin ({type(self.service).__module__}).")

    def place(self, tool: Tool) -> Place:
        """Say what can be told; a name of ours that it took is not taken for ours."""
        return not_ours(super().place(tool), self.service_name)

    def close(self) -> None:
        """Call its ``close``, if it has one."""
        closing = getattr(self.service, "close", None)
        if callable(closing):
            closing()

    def _call(
        self, name: str, process: Process | Tool, met: list[Recorder], *args: object
    ) -> object:
        """Call a method of the service; its programs are followed (`met`) and can be ended."""
        context = context_of(process := as_process(process))
        method: Callable[..., object] = getattr(self.service, name, _nothing)
        given: list[object] = [process, *args]
        if _takes_job_id(method, len(given)):
            given.append(process.job_id)
        config = context.config
        whole = whole_config(config) if config is not None else {"runner": dict(self.config)}
        path = local_path(process.tool, context, self.config, os.environ)
        with (
            _observed(self.service, process.job_id, context.report),
            offered(whole),
            recording(context.report, path) as recorder,
        ):
            met.append(recorder)
            if name == "tear_down":  # also after a cancel, to its end
                return self._wanting(process, method, given)
            if context.cancel.requested:
                raise JobCancelledError("The job was cancelled.")
            limit = context.timeout if name == "exec" else None
            ender = Ender(lambda: self._end(recorder, context), context.cancel, limit)
            try:
                with ender:
                    return self._wanting(process, method, given)
            finally:
                ender.raise_reason()

    def _wanting(
        self, process: Process, method: Callable[..., object], given: list[object]
    ) -> object:
        """Call `method`; say what it wants of the tool that the tool has not."""
        process.requirements = requirements = _Requirements(process.requirements)
        containers: list[dict[str, str] | None] = []

        def container() -> dict[str, str] | None:
            containers.append(Process.container(process))
            return containers[-1]

        vars(process)["container"] = container
        try:
            return method(*given)
        except (LookupError, TypeError, AttributeError) as error:
            if requirements.lacks:
                wanted, name = "requirements (packages or a container)", "requirement"
            elif None in containers and "NoneType" in str(error):
                wanted, name = "a container", "container"
            else:
                raise
            raise RunnerExecError(
                f"The runner service {self.service_name} asks for {wanted} of the tool, and "
                f"“{process.name}” names none.",
                hint=f"Name a {name} in the descriptor’s <requirements>, or choose another "
                "service for this tool.",
            ) from error

    def _end(self, recorder: Recorder, context: ExecContext) -> None:
        ended = recorder.end(GRACE)
        what = (
            f"ended {len(ended)} program(s) that it started"
            if ended
            else "it started no program that could be ended; waiting for it to return"
        )
        context.say(f"The service {self.service_name} cannot cancel: {what}.")


class _Requirements(list[dict[str, str]]):
    """Requirements of a tool that know whether one was asked for that there is not."""

    lacks = False

    def __getitem__(self, at: Any) -> Any:
        try:
            return super().__getitem__(at)
        except IndexError:
            self.lacks = True
            raise


def _nothing(*_: object) -> None:
    """Stand for a method that a service has not: those before 0.1 have ``exec`` alone."""


def _takes_job_id(method: Callable[..., object], given: int) -> bool:
    """Say whether `method` wants one more positional argument than `given`."""
    try:
        parameters = list(inspect.signature(method).parameters.values())
    except (TypeError, ValueError):
        return False
    if any(entry.kind is entry.VAR_POSITIONAL for entry in parameters):
        return True
    positional = [
        entry
        for entry in parameters
        if entry.kind in (entry.POSITIONAL_ONLY, entry.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) <= given:
        return False
    extra = positional[given]
    return extra.default is extra.empty or "job" in extra.name


def _exit_code(value: object) -> int | None:
    if isinstance(value, subprocess.CompletedProcess | subprocess.Popen):
        value = value.returncode
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return exit_code(value)


def _failed_program(
    error: subprocess.CalledProcessError, report: Callable[[Event], object]
) -> int:
    """Pass on what the service had kept of a failed program; return its exit code."""
    for kept in (error.stdout, error.stderr):
        if kept:
            text = kept if isinstance(kept, str) else bytes(kept).decode("utf-8", "replace")
            for line in text.splitlines():
                report(OutputLine(line, "stderr"))
    return exit_code(error.returncode)


class _Observer:
    """Passes on what services of bioimageit_core notify to the job it belongs to."""

    def __init__(self) -> None:
        self.reports: dict[int, Callable[[Event], object]] = {}
        self.lock = threading.Lock()

    def notify(self, message: object, job_id: int = 0) -> None:
        self._pass(OutputLine(str(message), "stdout"), job_id)

    def notify_warning(self, message: object, job_id: int = 0) -> None:
        self._pass(OutputLine(f"Warning: {message}", "stderr"), job_id)

    def notify_error(self, message: object, job_id: int = 0) -> None:
        self._pass(OutputLine(f"Error: {message}", "stderr"), job_id)

    def notify_progress(self, progress: float, message: object = "", job_id: int = 0) -> None:
        self._pass(Progress(str(message), float(progress), 100.0), job_id)

    def new_job(self, job_id: int = 0) -> None:
        """Nothing to open: the job has its log already."""

    def _pass(self, event: Event, job_id: int) -> None:
        with self.lock:
            report = self.reports.get(job_id)
            # services without job numbers notify job 0: then all that run are meant
            reports = [report] if report is not None else list(self.reports.values())
        with unheard():  # who is told may print it
            for report in reports:
                report(event)


# services are made once and live for ever: an observer per run would pile up
_observers: weakref.WeakKeyDictionary[Any, _Observer] = weakref.WeakKeyDictionary()
_observers_lock = threading.Lock()


@contextmanager
def _observed(service: object, job_id: int, report: Callable[[Event], object]) -> Iterator[None]:
    """Pass what `service` notifies on to `report`, for the time of the block."""
    add = getattr(service, "add_observer", None)
    if not callable(add):
        yield
        return
    with _observers_lock:
        observer = _observers.get(service)
        if observer is None:
            observer = _observers[service] = _Observer()
            add(observer)
    with observer.lock:
        observer.reports[job_id] = report
    try:
        yield
    finally:
        with observer.lock:
            observer.reports.pop(job_id, None)
