"""Sessions of services of others, which may answer and raise anything.

Their errors are of one tree and name the service, whether it is written as ``session`` or as
three calls; an error of the system is the job folder's only where it names a path of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from operator import index
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Protocol, Self, SupportsIndex

from napari_tool_runner.errors import (
    PreparationError,
    RunnerError,
    RunnerExecError,
    ToolRunnerError,
    words,
)
from napari_tool_runner.plugins.process import Process, context_of
from napari_tool_runner.plugins.programs.process_tree import exit_code

__all__ = ["GuestSession", "short", "three_calls"]


class _Calls(Protocol):
    service_name: str

    def set_up(self, process: Process) -> None: ...
    def exec(self, process: Process, args: list[str]) -> int: ...
    def tear_down(self, process: Process) -> None: ...


def three_calls(service: _Calls, process: Process) -> GuestSession:
    """Return the session that ``set_up``, ``exec`` and ``tear_down`` make."""
    name = service.service_name or type(service).__name__
    return GuestSession(name, process, lambda: _three_calls(service, process, name))


@contextmanager
def _three_calls(service: _Calls, process: Process, name: str) -> Iterator[object]:
    try:
        service.set_up(process)
        yield SimpleNamespace(exec=lambda args: service.exec(process, args))
    finally:
        try:
            service.tear_down(process)
        except BaseException as error:  # a job is not lost by its tidying
            if not _is_theirs(error):
                raise
            context_of(process).say(f"{name} could not tidy up: {words(error)}.")


class GuestSession:
    """A session of a service that may answer and raise anything, with errors of one tree only.

    Parameters
    ----------
    name : str
        Of the service, for messages.
    process : Process
    make : callable
        Returns the context manager that gives the session.
    """

    def __init__(self, name: str, process: Process, make: Callable[[], object]) -> None:
        self._name, self._process, self._make = name, process, make
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._told(PreparationError, "be prepared"):
            manager = self._make()
            if not isinstance(manager, AbstractContextManager):
                raise TypeError(f"its session is {short(manager)}, which “with” cannot enter")
            session = self._stack.enter_context(manager)
        if not callable(getattr(session, "exec", None)):
            self.__exit__(None, None, None)
            raise PreparationError(
                f"The runner service {self._name} could not be prepared: its session gave "
                f"{short(session)}, which has no exec(args)."
            )
        self._run = session.exec
        return self

    def exec(self, args: list[str]) -> int:
        """Run `args`; return the exit code, a whole number."""
        context_of(self._process).begun()
        with self._told(RunnerExecError, "run the program"):
            value = self._run(args)
        value = getattr(value, "returncode", value)  # of subprocess
        if value is None:
            context_of(self._process).say(
                f"{self._name} does not say how the program ended; it counts as ended well."
            )
            return 0
        if not isinstance(value, SupportsIndex) or isinstance(value, bool):
            raise RunnerExecError(
                f"The runner service {self._name} gave {short(value)} in place of the exit "
                "code of the program, a whole number."
            )
        return exit_code(index(value))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._told(RunnerError, "end its session"):
                self._stack.__exit__(kind, error, trace)
        except Exception as later:
            if error is None:
                raise
            if later is not error:  # what came first is what went wrong
                context_of(self._process).say(str(later))

    @contextmanager
    def _told(self, kind: type[RunnerError], what: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            ours = isinstance(error, ToolRunnerError) or not _is_theirs(error)
            if ours or _is_of_folder(error, context_of(self._process).root):
                raise
            raise kind(
                f"The runner service {self._name} could not {what}: {words(error)}."
            ) from error


def _is_of_folder(error: BaseException, root: Path | None) -> bool:
    """Whether an error of the system is about a file of the job's folder."""
    named = error.filename if isinstance(error, OSError) else None
    return isinstance(named, str) and root is not None and Path(named).is_relative_to(root)


def short(value: object) -> str:
    """Return what something of others is, in few words."""
    plain = value is None or isinstance(value, bool | int | float | str)
    return repr(value)[:60] if plain else f"a {type(value).__name__}"


def _is_theirs(error: BaseException) -> bool:
    """Whether a service raised it, which may raise anything; Ctrl+C is the main thread's."""
    interrupted = isinstance(error, KeyboardInterrupt | GeneratorExit)
    return not interrupted or threading.current_thread() is not threading.main_thread()
