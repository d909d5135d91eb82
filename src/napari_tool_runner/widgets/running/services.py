"""Which runner services there are for a tool, asked in the background.

A daemon or a disk may answer slowly; the form never waits for them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import ToolRunnerError, TrustError
from napari_tool_runner.widgets.parts.background import Task, when_destroyed

if TYPE_CHECKING:
    from napari_tool_runner.plugins import Availability, CancelToken, Plan
    from napari_tool_runner.tools.model import Tool

__all__ = ["ServiceLookup", "Services"]


@dataclass(slots=True)
class Services:
    """Which runner services there are for a tool.

    Parameters
    ----------
    configured : str or None
        The service that the configuration names.
    choice, reason : str
        The service that the automatic choice means, and why.
    available, plans : dict
        Name -> whether it works here, and what a run would do.
    problem : str
        Why nothing can be told.
    locked : bool
        The facility has chosen: there is nothing to choose.
    notes : tuple of str
        What is worth knowing of the services of plugins.
    """

    configured: str | None = None
    choice: str = ""
    reason: str = ""
    available: dict[str, Availability] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    problem: str = ""
    locked: bool = False
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the services that may be chosen."""
        return [] if self.locked else list(self.available)

    @property
    def tips(self) -> dict[str, str]:
        """One sentence on each service."""
        return {
            name: "Works on this computer." if found.ok else found.message
            for name, found in self.available.items()
        }

    def blocked(self, name: str | None) -> str:
        """Return why a run with `name` (None: automatic) cannot work, else an empty text."""
        if self.problem:
            return self.problem
        service = name or self.choice
        found = self.available.get(service)
        if found is not None and not found.ok:
            return f"{service} does not work here: {found.message}"
        plan = self.plans.get(service)
        return " ".join(plan.problems) if plan is not None else ""

    def remark(self, name: str | None) -> str:
        """Return what is worth saying before a run: of plugins, and what would be fetched."""
        plan = self.plans.get(name or self.choice)
        if plan is None or not plan.fetches:
            return " ".join(self.notes)
        # of what was downloaded before nothing is said of a size
        what = ", ".join(one.text if one.size else one.what for one in plan.fetches)
        return " ".join([*self.notes, f"The first run fetches {what}.", *plan.remarks])


class ServiceLookup(QObject):
    """Asks in the background which services work here, which fits, and what it would fetch."""

    found = Signal()

    def __init__(self, tool: Tool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tool = tool
        self.services = Services()
        """What is known so far."""
        self._task: Task | None = None
        self._asking: list[CancelToken] = []
        asking = self._asking
        when_destroyed(self, lambda: _end(asking))

    def start(self) -> None:
        """Ask; `found` is emitted when the answers are there."""
        self.services = Services()
        from napari_tool_runner.plugins import CancelToken

        _end(self._asking)
        if self._task is not None:
            self._task.drop()
        cancel = CancelToken()
        self._asking.append(cancel)
        self._task = Task(partial(_ask, self._tool, cancel), self)
        self._task.done.connect(self._take)
        self._task.failed.connect(self._fail)
        self._task.start()

    def refresh(self) -> None:
        """Ask again, if something was to be fetched: a run may have done that."""
        if any(plan.fetches for plan in self.services.plans.values()):
            self.start()

    def _take(self, answer: Services) -> None:
        self._task = None
        self.services = answer
        self.found.emit()

    def _fail(self, error: ToolRunnerError) -> None:
        self._take(Services(problem=f"The runner services could not be asked: {error}"))


def _end(asking: list[CancelToken]) -> None:
    """Have what nobody waits for asked no further."""
    while asking:
        asking.pop().cancel()


def _ask(tool: Tool, cancel: CancelToken | None = None) -> Services:
    answer = Services()
    try:
        from napari_tool_runner.config import load_config
        from napari_tool_runner.jobs import begin
        from napari_tool_runner.plugins import (
            availability,
            check_all,
            choose_service,
            plan_run,
            plugin_notes,
            runnerServices,
        )
        from napari_tool_runner.tools.own_folder import tool_places
        from napari_tool_runner.tools.toolbox.gate import admit

        config = load_config()
        begin(tool, config)  # who sees a form may run it
        answer.configured = config.service
        answer.available = dict(check_all(config.runner))
        answer.notes = plugin_notes(runnerServices, config.runner)
        if config.service:
            answer.choice = config.service
            if config.service not in answer.available:
                answer.available[config.service] = availability(config.service, config.runner)
            answer.reason = "The configuration names it."
            if config.lock_of("runner.service"):
                answer.reason = "Your facility has locked it."
                answer.locked = True
        else:
            choice = choose_service(tool, config.runner)
            answer.choice, answer.reason = choice.name, choice.reason
        permitted, permit = admit(tool, config)
        chosen = answer.available.get(answer.choice)
        if chosen and chosen.ok and runnerServices.service(answer.choice, config.runner).lends:
            answer.notes = (*answer.notes, *filter(None, tool_places(permitted)[1:]))
        for name, found in answer.available.items():
            if found.ok:
                answer.plans[name] = plan_run(name, permitted, permit, config, cancel)
    except TrustError:
        return answer  # nothing that the tool names is asked; its page asks the user
    except ToolRunnerError as error:
        answer.problem = str(error)
    return answer
