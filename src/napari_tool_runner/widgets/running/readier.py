"""Gets a tool ready ahead of its first run: asks, with sizes, then works in the background."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_tool_runner.config import load_config
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import JobCancelledError, PreparationError, ToolRunnerError
from napari_tool_runner.jobs import readiness
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins import CancelToken, Progress
from napari_tool_runner.widgets.parts.background import Task, when_destroyed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_tool_runner.jobs import Readiness
    from napari_tool_runner.plugins import Event, Plan
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.form import FormWidget
    from napari_tool_runner.widgets.parts.messages import Button, MessageKind
    from napari_tool_runner.widgets.running.run_bar import RunBar
    from napari_tool_runner.widgets.running.services import ServiceLookup

__all__ = ["GET_READY", "Readier"]

GET_READY = "Get it ready…"
_BEAT = 200  # milliseconds


@dataclass(slots=True)
class _Work:
    """What is being made, as its thread tells it."""

    cancel: CancelToken = field(default_factory=CancelToken)
    progress: Progress = field(default_factory=lambda: Progress("Getting ready"))
    began: float = field(default_factory=time.monotonic)

    def hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.progress = event


class Readier(QObject):
    """Fetches what a tool's first run would wait for, and the model that the form names.

    Parameters
    ----------
    form : FormWidget
        Its values say which model.
    run_bar : RunBar
        Where it asks, and shows how far it is; its Cancel ends it.
    lookup : ServiceLookup
        Knows what a run would fetch; it is asked again afterwards.
    """

    changed = Signal()
    """It began, went on, or ended."""

    def __init__(
        self, tool: Tool, form: FormWidget, run_bar: RunBar, lookup: ServiceLookup, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._tool, self._form, self._run_bar, self.lookup = tool, form, run_bar, lookup
        self._work: _Work | None = None
        self._asking = False
        self._timer = QTimer(self)
        self._timer.setInterval(_BEAT)
        self._timer.timeout.connect(self.changed)
        self._cancels: list[CancelToken] = []
        when_destroyed(self, partial(_cancel, self._cancels))
        run_bar.cancel_requested.connect(self.cancel)
        self._held: tuple[str, Mapping[str, object]] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is being fetched or made."""
        return self._work is not None

    def can_help(self) -> bool:
        """Whether there may be something to fetch."""
        plan = self._plan()
        if plan is None or plan.problems:
            return False
        return bool(plan.fetches or self._tool.prepare)

    def buttons(self) -> list[Button]:
        """Return the button that stands by what the first run fetches."""
        plan = self._plan()
        return [(GET_READY, self.ask)] if plan is not None and plan.fetches else []

    def _plan(self) -> Plan | None:
        """Return what is known of a run on the service that is chosen."""
        services = self.lookup.services
        return services.plans.get(self._run_bar.runner() or services.choice)

    def holds(self) -> bool:
        """Whether what was asked or told last stands there, of the same values."""
        return self._held == (self._run_bar.message.text(), self._values())

    def ask(self) -> None:
        """Say what would be fetched and how large it is, and ask."""
        if self.is_busy or self._asking:
            return
        self._asking = True
        values = self._values()
        self._say("Looking what there is to fetch…", "busy")
        task = Task(partial(_look, self._tool, self._run_bar.runner(), values), self)
        task.done.connect(self._question)
        task.failed.connect(self._failed)
        task.start()

    def _values(self) -> Mapping[str, object]:
        values = self._form.values().items()
        return {name: one for name, one in values if isinstance(one, str | int | float)}

    def _say(self, text: str, kind: MessageKind, buttons: Sequence[Button] = ()) -> None:
        """Tell it; what the form lacks does not take its place."""
        self._run_bar.say(text, kind, buttons)
        self._held = (self._run_bar.message.text(), self._values())

    def cancel(self) -> None:
        """End it; what was downloaded whole stays for the next time."""
        if self._work is not None:
            self._run_bar.show_cancelling()
            self._work.cancel.cancel()

    def show(self) -> None:
        """Show how far it is."""
        if self._work is not None:
            progress = self._work.progress
            elapsed = time.monotonic() - self._work.began
            self._run_bar.show_progress(progress.phase, progress, elapsed)

    def _question(self, found: Readiness) -> None:
        self._asking = False
        plan = found.plan
        if plan.problems:
            self._say(" ".join(plan.problems), "problem")
        elif not plan.fetches:
            self._say("Everything is here: nothing has to be fetched.", "done")
        else:
            parts = [one.text for one in plan.fetches]
            total = size_text(sum(one.size or 0 for one in plan.fetches))
            known = all(one.size is not None for one in plan.fetches)
            told = (
                f"Fetch {' and '.join(parts)}? {total if known else f'More than {total}'} in all."
            )
            act = partial(self._begin, found)
            buttons: list[Button] = [("Fetch", act), ("Not now", lambda: self._run_bar.say(""))]
            self._say(" ".join([told, *plan.remarks]), "info", buttons)

    def _begin(self, found: Readiness) -> None:
        if self.is_busy:
            return
        if found.values != self._values():  # another model was chosen since
            self.ask()
            return
        self._work = _Work()
        self._cancels[:] = [self._work.cancel]
        self._run_bar.say("")
        self._run_bar.show_starting(self._form.values())
        task = Task(partial(_make, found, self._work), self)
        task.done.connect(self._done)
        task.failed.connect(self._failed)
        task.start()
        self._timer.start()
        self.changed.emit()

    def _done(self, _: object) -> None:
        self._end("Ready: it runs without fetching anything now.", "done", ())

    def _failed(self, error: ToolRunnerError) -> None:
        self._asking = False
        again: list[Button] = [("Try again", self.ask)]
        if isinstance(error, JobCancelledError):
            self._end("Cancelled; nothing was left half-made.", "info", again)
        else:
            self._end(str(error), "failed" if self.is_busy else "problem", again)

    def _end(self, text: str, kind: MessageKind, buttons: Sequence[Button]) -> None:
        self._timer.stop()
        was, self._work = self._work, None
        self._cancels.clear()
        self.changed.emit()
        self._say(text, kind, buttons)
        if was is not None:
            self.lookup.start()


def _cancel(cancels: list[CancelToken]) -> None:
    for one in cancels:
        one.cancel()


def _look(tool: Tool, runner: str | None, values: Mapping[str, object]) -> Readiness:
    return readiness(tool, load_config(), runner, values)


def _make(found: Readiness, work: _Work) -> None:
    try:
        found.make(work.hear, work.cancel)
    except OSError as error:
        raise PreparationError(f"It could not be made ready: {error}.") from error
