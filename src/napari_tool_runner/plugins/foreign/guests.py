"""Services of others as guests: what they answer is looked at here, within a limit of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from napari_tool_runner.errors import RunnerError, RunnerUnavailableError, ToolRunnerError
from napari_tool_runner.plugins.contract import (
    OF_PLUGIN,
    Availability,
    Fetch,
    Origin,
    Place,
    Plan,
    RunnerService,
    Stored,
)
from napari_tool_runner.plugins.foreign.loading import call
from napari_tool_runner.plugins.foreign.sessions import GuestSession, short
from napari_tool_runner.settings import OWN_SERVICES

if TYPE_CHECKING:
    from napari_tool_runner.plugins.process import Process, Session
    from napari_tool_runner.tools.model import Tool

__all__ = ["Guest", "not_ours"]

_T = TypeVar("_T")
_QUESTIONS = {
    "lends": "say what its programs see",
    "check": "say whether it works",
    "supports": "say whether it can run the tool",
    "plan": "plan the run",
    "is_ready": "say whether all that the tool needs is here",
    "place": "say where the tool would run",
    "stored": "say what it keeps",
    "close": "be closed",
}


class Guest(RunnerService):
    """A service of others on our base class; all that it answers is looked at here.

    Each question has its limit of time, and an answer of the wrong kind is an error that
    names the service, unless it can only mean one thing.

    Parameters
    ----------
    service : RunnerService
    name : str
        Under which it is registered.
    config : mapping
        The ``runner`` section of the configuration.
    """

    def __init__(
        self, service: RunnerService, name: str, config: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(config)
        self.service = service
        self.service_name = name

    def session(self, process: Process) -> AbstractContextManager[Session]:
        """Return its session; whatever goes wrong in it is told as its own."""
        return GuestSession(self.service_name, process, lambda: self.service.session(process))

    @property
    def lends(self) -> bool:
        """Whether it says that its programs see originals as read-only mounts: True, no less."""
        return self._ask("lends", lambda: self.service.lends, lambda value: value is True)

    def check(self) -> Availability:
        """Say whether it works here, as it says; raises RunnerError."""
        return self._ask("check", self.service.check, _availability)

    def supports(self, tool: Tool) -> Availability:
        """Say whether it can run `tool`, as it says; raises RunnerError."""
        return self._ask("supports", lambda: self.service.supports(tool), _availability)

    def plan(self, tool: Tool) -> Plan:
        """Return its pre-flight; raises RunnerError."""
        return self._ask("plan", lambda: self.service.plan(tool), _plan)

    def is_ready(self, tool: Tool) -> bool | None:
        """Return whether it says that all is here; raises RunnerError."""
        return self._ask("is_ready", lambda: self.service.is_ready(tool), _ready)[0]

    def place(self, tool: Tool) -> Place:
        """Return where it says that `tool` would run; raises RunnerError."""
        found = self._ask("place", lambda: self.service.place(tool), _place)
        return not_ours(found, self.service_name)

    def stored(self) -> Sequence[Stored]:
        """Return what it keeps; raises RunnerError."""
        return self._ask("stored", self.service.stored, lambda value: _all(value, Stored))

    def close(self) -> None:
        """Call its ``close``."""
        self._ask("close", self.service.close, lambda _: True)

    def _ask(
        self, what: str, work: Callable[[], object], read: Callable[[object], _T | None]
    ) -> _T:
        """Return what `read` makes of an answer; it gives none for what it cannot read."""
        asked = call(work, {"runner": dict(self.config)}, key=(id(self.service), what))
        cannot = f"{self.service_name} cannot {_QUESTIONS[what]}"
        if isinstance(asked.error, ToolRunnerError):
            raise asked.error
        if asked.problem:
            raise RunnerUnavailableError(f"{cannot}: {asked.problem}.") from asked.error
        found = read(asked.value[0])
        if found is None:
            raise RunnerError(
                f"{cannot}: its {what} answered {short(asked.value[0])}, which says nothing.",
                hint="Tell the author of the plugin.",
            )
        return found


def _availability(value: object) -> Availability | None:
    """Take True and False, also with a sentence, for what they mean."""
    if isinstance(value, Availability):
        value = (value.ok, value.message, value.details)
    if isinstance(value, Mapping):
        value = (value.get("ok"), value.get("message", ""))
    ok, message, *more = (*value, "") if isinstance(value, tuple) else (value, "")
    if not isinstance(ok, bool) or not isinstance(message, str):
        return None
    details = next((one for one in more if isinstance(one, Mapping)), {})
    return Availability(ok, message, details)


def _plan(value: object) -> Plan | None:
    if not isinstance(value, Plan):
        return None
    fetches, texts = _all(value.fetches, Fetch), [_all(value.problems, str)]
    texts.append(_all(value.remarks, str))
    if fetches is None or None in texts:
        return None
    return Plan(fetches, *(text or () for text in texts))


def _ready(value: object) -> tuple[bool | None] | None:
    return (value,) if value is None or isinstance(value, bool) else None


def _place(value: object) -> Place | None:
    if not isinstance(value, Place) or not isinstance(value.service, str):
        return None
    origins, commands = _all(value.origins, Origin), _all(value.commands, str)
    if origins is None or commands is None or not isinstance(value.rights, str):
        return None
    return replace(value, origins=origins, commands=commands)


def _all(value: object, kind: type[_T]) -> tuple[_T, ...] | None:
    """Return the entries of a list of others, or one entry alone, if all are of `kind`."""
    if isinstance(value, kind):
        return (value,)
    entries = tuple(value) if isinstance(value, list | tuple | set | frozenset) else None
    if entries is None or not all(isinstance(entry, kind) for entry in entries):
        return None
    return entries


def not_ours(place: Place, name: str) -> Place:
    """Return where a plugin runs: a name of ours that it took is not taken for ours."""
    taken = name in OWN_SERVICES and not place.service.endswith(OF_PLUGIN)
    return replace(place, service=f"{name}{OF_PLUGIN}") if taken else place
