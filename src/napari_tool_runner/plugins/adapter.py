"""One way to call every runner service: ours, the tutorial's, and bioimageit_core's.

The tutorial's services take ``(process)`` and ``(process, args)``; services written for
bioimageit_core ≥ 0.1 take a ``job_id`` after that; ours inherit `RunnerService`. The
engine calls all of them through `as_service`.
"""

from __future__ import annotations

import inspect
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    PreparationError,
    RunnerError,
    RunnerExecError,
    ToolRunnerError,
)
from napari_tool_runner.plugins.contract import (
    Availability,
    Event,
    OutputLine,
    Plan,
    RunnerService,
    Stored,
)
from napari_tool_runner.plugins.foreign.children import Recorder, recording
from napari_tool_runner.plugins.foreign.observer import observed
from napari_tool_runner.plugins.process import Process, context_of
from napari_tool_runner.plugins.programs.process_tree import describe_exit
from napari_tool_runner.plugins.programs.program import GRACE

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["AdaptedService", "as_service"]


def as_service(service: object, name: str = "") -> AdaptedService:
    """Wrap any runner service, so that it is called the same way as all others.

    Parameters
    ----------
    service : object
        What ``runnerServices.get`` returned: an object with ``set_up``, ``exec`` and
        ``tear_down``.
    name : str
        Name under which it is registered, for messages.

    Raises
    ------
    RunnerError
        One of the three methods is missing.
    """
    if isinstance(service, AdaptedService):
        return service
    name = name or str(getattr(service, "service_name", "")) or type(service).__name__
    missing = [
        method
        for method in ("set_up", "exec", "tear_down")
        if not callable(getattr(service, method, None))
    ]
    if missing:
        raise RunnerError(
            f"The runner service {name} ({type(service).__name__}) has no {', '.join(missing)}.",
            hint="A service needs set_up(process), exec(process, args) and tear_down(process).",
        )
    if isinstance(service, RunnerService):
        return AdaptedService(service, name)
    return _ForeignService(service, name)


class AdaptedService:
    """A service of this package, with errors of one tree only.

    Attributes
    ----------
    service : object
        What was wrapped.
    name : str
    native : bool
        True for a `RunnerService`; then cancel, limits and pre-flight are its own.
    """

    native = True

    def __init__(self, service: object, name: str) -> None:
        self.service = service
        self.name = name

    @property
    def copies_below(self) -> int:
        """Size below which input files are copied, not linked."""
        return int(getattr(self.service, "copies_below", 0))

    def call_set_up(self, process: Process) -> None:
        """Prepare the service for `process`.

        Raises
        ------
        PreparationError, RunnerUnavailableError, ConfigError, JobCancelledError
        """
        try:
            self._native.set_up(process)
        except ToolRunnerError:
            raise
        except Exception as error:
            raise PreparationError(
                f"{self.name} could not be prepared: {_words(error)}."
            ) from error

    def call_exec(self, process: Process, args: list[str]) -> int:
        """Run `args` and return the exit code.

        Raises
        ------
        RunnerExecError, JobCancelledError, JobTimeoutError
        """
        try:
            code: int | None = self._native.exec(process, args)
            return 0 if code is None else code
        except ToolRunnerError:
            raise
        except Exception as error:
            raise RunnerExecError(
                f"{self.name} could not run the program: {_words(error)}."
            ) from error

    def call_tear_down(self, process: Process) -> None:
        """Release what `call_set_up` took; what goes wrong is reported, never raised."""
        try:
            self._tear_down(process)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a job is not lost by its tidying)
            context_of(process).report(
                OutputLine(f"{self.name} could not tidy up: {_words(error)}.", "runner")
            )

    def check(self) -> Availability:
        """Say whether the service works on this computer."""
        return self._native.check()

    def supports(self, tool: Tool) -> Availability:
        """Say whether the service can run `tool`."""
        return self._native.supports(tool)

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight of `tool`; what goes wrong in it is a problem of the plan."""
        try:
            return self._native.plan(tool)
        except ToolRunnerError as error:
            return Plan(problems=(str(error),))
        except Exception as error:  # noqa: BLE001 (a form asks; the service may be a plugin's)
            return Plan(problems=(f"{self.name} cannot plan the run: {_words(error)}.",))

    def stored(self) -> Sequence[Stored]:
        """Return what the service keeps on disk and could give back."""
        return self._native.stored()

    def close(self) -> None:
        """End everything that outlives a job."""
        self._native.close()

    def _tear_down(self, process: Process) -> None:
        self._native.tear_down(process)

    @property
    def _native(self) -> RunnerService:
        assert isinstance(self.service, RunnerService)
        return self.service


class _ForeignService(AdaptedService):
    """A service without our base class: the tutorial's, or bioimageit_core's."""

    native = False

    def call_set_up(self, process: Process) -> None:
        try:
            self._call("set_up", process)
        except ToolRunnerError:
            raise
        except (Exception, SystemExit) as error:
            raise PreparationError(
                f"The runner service {self.name} could not be prepared: {_words(error)}."
            ) from error

    def call_exec(self, process: Process, args: list[str]) -> int:
        codes: list[int | None] = []
        try:
            value = self._call(
                "exec", process, list(args), watch=lambda met: codes.append(met.exit_code(args))
            )
        except ToolRunnerError:
            raise
        except subprocess.CalledProcessError as error:
            return _failed_program(error, context_of(process).report)
        except (Exception, SystemExit) as error:
            raise RunnerExecError(
                f"The runner service {self.name} could not run the program: {_words(error)}."
            ) from error
        code = _exit_code(value)
        if code is None:
            # the tutorial's exec returns nothing; its program's own code is better than a guess
            code = codes[0] if codes and codes[0] is not None else 0
        if code > 128:
            context_of(process).report(
                OutputLine(f"The program was {describe_exit(code)}.", "runner")
            )
        return code

    def check(self) -> Availability:
        return Availability(True, f"A plugin ({type(self.service).__module__}).")

    def supports(self, tool: Tool) -> Availability:
        return Availability(True)

    def plan(self, tool: Tool) -> Plan:
        return Plan()

    def stored(self) -> Sequence[Stored]:
        return ()

    def close(self) -> None:
        closing = getattr(self.service, "close", None)
        if callable(closing):
            closing()

    def _tear_down(self, process: Process) -> None:
        self._call("tear_down", process, interruptible=False)

    def _call(
        self,
        name: str,
        process: Process,
        *args: object,
        watch: Callable[[Recorder], None] | None = None,
        interruptible: bool = True,
    ) -> object:
        """Call a method of the service; its programs are followed and can be ended."""
        context = context_of(process)
        method: Callable[..., object] = getattr(self.service, name)
        given: list[object] = [process, *args]
        if _takes_job_id(method, len(given)):
            given.append(process.job_id)
        with (
            observed(self.service, process.job_id, context.report),
            recording(context.report) as recorder,
        ):
            if not interruptible:
                return method(*given)
            if context.cancel.requested:
                raise JobCancelledError("The job was cancelled.")
            ender = _ChildEnder(recorder, self.name, context.report)
            forget = context.cancel.on_cancel(lambda: ender.start("cancel"))
            timer = None
            if name == "exec" and context.timeout is not None:
                timer = threading.Timer(context.timeout, ender.start, ["timeout"])
                timer.daemon = True
                timer.start()
            try:
                return method(*given)
            finally:
                forget()
                if timer is not None:
                    timer.cancel()
                ender.join()
                if watch is not None:
                    watch(recorder)
                ender.raise_reason(context.timeout)


class _ChildEnder:
    """Ends the programs of a foreign service when the job is cancelled or too slow."""

    def __init__(self, recorder: Recorder, name: str, report: Callable[[Event], object]) -> None:
        self._recorder = recorder
        self._name = name
        self._report = report
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._reason = ""

    def start(self, reason: str) -> None:
        with self._lock:
            if self._thread is not None or self._closed:
                return
            self._reason = reason
            self._thread = threading.Thread(target=self._end, name="end-foreign", daemon=True)
            self._thread.start()

    def join(self) -> None:
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def raise_reason(self, timeout: float | None) -> None:
        if self._reason == "cancel":
            raise JobCancelledError("The job was cancelled.")
        if self._reason == "timeout":
            raise JobTimeoutError(
                f"The program ran longer than the time limit of {timeout:g} s and was ended.",
                hint="Raise the time limit, or try a smaller image.",
            )

    def _end(self) -> None:
        ended = self._recorder.end(GRACE)
        what = (
            f"ended {len(ended)} program(s) that it started"
            if ended
            else "it started no program that could be ended; waiting for it to return"
        )
        self._report(OutputLine(f"The service {self._name} cannot cancel: {what}.", "runner"))


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
    return value if value >= 0 else 128 - value


def _failed_program(
    error: subprocess.CalledProcessError, report: Callable[[Event], object]
) -> int:
    """Pass on what the service had kept of a failed program; return its exit code."""
    for kept in (error.stdout, error.stderr):
        if kept:
            text = kept if isinstance(kept, str) else bytes(kept).decode("utf-8", "replace")
            for line in text.splitlines():
                report(OutputLine(line, "stderr"))
    return error.returncode if error.returncode >= 0 else 128 - error.returncode


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
