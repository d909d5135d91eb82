"""Which runner services there are for a tool, asked in the background.

A daemon or a disk may answer slowly; the form never waits for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.storage import size_text
from napari_tool_runner.widgets.parts.background import Task

if TYPE_CHECKING:
    from napari_tool_runner.plugins import Availability, Plan
    from napari_tool_runner.tools.model import Tool

__all__ = ["ServiceLookup"]


@dataclass(slots=True)
class _Answer:
    """What the background thread found out."""

    configured: str | None = None
    choice: str = ""
    reason: str = ""
    available: dict[str, Availability] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    problem: str = ""
    locked: bool = False


class ServiceLookup(QObject):
    """Asks which services work here, which fits `tool`, and what it would fetch.

    Parameters
    ----------
    tool : Tool
    """

    found = Signal()

    def __init__(self, tool: Tool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tool = tool
        self._answer = _Answer()
        self._task: Task | None = None

    def start(self) -> None:
        """Ask; `found` is emitted when the answers are there."""
        self._answer = _Answer()
        if self._task is not None:
            self._task.drop()
        self._task = Task(partial(_ask, self._tool), self)
        self._task.done.connect(self._take)
        self._task.failed.connect(self._fail)
        self._task.start()

    @property
    def names(self) -> list[str]:
        """Names of the services that may be chosen; none where the facility has chosen."""
        return [] if self._answer.locked else list(self._answer.available)

    @property
    def configured(self) -> str | None:
        """The service that the configuration names."""
        return self._answer.configured

    @property
    def choice(self) -> str:
        """The service that the automatic choice means."""
        return self._answer.choice

    @property
    def choice_text(self) -> str:
        """The automatic choice, for a combo box."""
        return f"{self._answer.choice} (auto)" if self._answer.choice else ""

    @property
    def choice_reason(self) -> str:
        """Why that service."""
        return self._answer.reason

    @property
    def tips(self) -> dict[str, str]:
        """One sentence on each service."""
        return {
            name: "Works on this computer." if found.ok else found.message
            for name, found in self._answer.available.items()
        }

    def blocked(self, name: str | None) -> str:
        """Return why a run with `name` (None: automatic) cannot work, else an empty text."""
        answer = self._answer
        if answer.problem:
            return answer.problem
        service = name or answer.choice
        found = answer.available.get(service)
        if found is not None and not found.ok:
            return f"{service} does not work here: {found.message}"
        plan = answer.plans.get(service)
        return " ".join(plan.problems) if plan is not None else ""

    def remark(self, name: str | None) -> str:
        """Return what is worth saying before a run: what would be fetched."""
        plan = self._answer.plans.get(name or self._answer.choice)
        if plan is None:
            return ""
        lines: list[str] = []
        if plan.fetches:
            what = ", ".join(
                fetch.what + (f" ({size_text(fetch.size)})" if fetch.size else "")
                for fetch in plan.fetches
            )
            lines.append(f"The first run fetches {what}.")
            lines += plan.remarks
        return " ".join(lines)

    def _take(self, answer: _Answer) -> None:
        self._task = None
        self._answer = answer
        self.found.emit()

    def _fail(self, error: ToolRunnerError) -> None:
        self._take(_Answer(problem=f"The runner services could not be asked: {error}"))


def _ask(tool: Tool) -> _Answer:
    answer = _Answer()
    try:
        from napari_tool_runner.config import load_config
        from napari_tool_runner.plugins import (
            check_all,
            choose_service,
            plan_run,
        )

        config = load_config()
        answer.configured = config.service
        answer.available = dict(check_all(config.runner))
        if config.service:
            answer.choice = config.service
            answer.reason = "The configuration names it."
            if config.lock_of("runner.service"):
                answer.reason = "Your facility has locked it."
                answer.locked = True
        else:
            choice = choose_service(tool, config.runner)
            answer.choice, answer.reason = choice.name, choice.reason
        for name, found in answer.available.items():
            if found.ok:
                answer.plans[name] = plan_run(name, tool, config.runner)
    except ToolRunnerError as error:
        answer.problem = str(error)
    return answer
