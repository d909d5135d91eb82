"""Whether the tool of a page may run: asked in the background where folders are looked through."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QObject, Qt, Signal

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.toolbox.gate import admit, looks_through
from napari_tool_runner.tools.toolbox.trust import TrustState, trust_state
from napari_tool_runner.widgets.parts.background import Latest, Task
from napari_tool_runner.widgets.settings.trust import TrustDialog

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

    from napari_tool_runner.jobs import RunOptions
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.tools.toolbox.trust import Trust

__all__ = ["Admission", "ToolTrust"]

_Made = TypeVar("_Made")


class Admission(QObject):
    """Asks the gate each time that something is to run.

    A shipped tool, or one named by its path, is answered at once. For others the gate looks
    through their folder, which takes seconds where that holds 100,000 files, and more where they
    are copied: the window goes on meanwhile. Each wish is asked for when its turn has come, so
    what runs is what the folder held after it was wished.
    """

    refused = Signal(object)
    """It may not run; carries the `ToolRunnerError`."""
    answered = Signal()
    """A wish was granted, and done, or refused."""

    def __init__(self, tool: Tool, parent: QObject) -> None:
        super().__init__(parent)
        self._tool = tool
        self._wishes: deque[tuple[RunOptions, Callable[[RunOptions], object]]] = deque()
        self._task: Task | None = None

    @property
    def asking(self) -> bool:
        """Whether there is a wish that has no answer yet."""
        return bool(self._wishes)

    def ask(
        self, options: RunOptions, act: Callable[[RunOptions], _Made], *, instead: bool = False
    ) -> _Made | None:
        """Do `act` when the tool may run, with `options` and what says so; return what it does.

        None when the answer is not known at once. `instead` of all that are not asked for yet.
        """
        if not looks_through(self._tool):
            try:
                admitted = _admitted(self._tool)
            except ToolRunnerError as error:
                self.refused.emit(error)
                return None
            return act({**options, **admitted})
        while instead and len(self._wishes) > 1:
            self._wishes.pop()
        self._wishes.append((options, act))
        self._look()
        return None

    def drop(self) -> None:
        """Forget all wishes."""
        self._wishes.clear()
        if self._task is not None:
            self._task.drop()
            self._task = None

    def _look(self) -> None:
        if self._wishes and self._task is None:
            self._task = Task(partial(_admitted, self._tool), self)
            self._task.done.connect(self._grant)
            self._task.failed.connect(self._refuse)
            self._task.start()

    def _grant(self, admitted: RunOptions) -> None:
        options, act = self._next()
        act({**options, **admitted})
        self.answered.emit()

    def _refuse(self, error: ToolRunnerError) -> None:
        self._next()
        self.refused.emit(error)
        self.answered.emit()

    def _next(self) -> tuple[RunOptions, Callable[[RunOptions], object]]:
        """Return the wish that has its answer, and ask for the one behind it."""
        self._task = None
        wish = self._wishes.popleft()
        self._look()
        return wish


def _admitted(tool: Tool) -> RunOptions:
    config = load_config()
    return {"admitted": admit(tool, config), "config": config}


class ToolTrust(QObject):
    """What a page knows of the toolbox that its tool is of; the gate asks anew for each run."""

    changed = Signal()

    def __init__(self, tool: Tool, toolbox: Toolbox | None, parent: QWidget) -> None:
        super().__init__(parent)
        self._tool, self._toolbox, self._page = tool, toolbox, parent
        self._looks = Latest(self)
        self._looks.done.connect(self._take)
        self.now = trust_state(tool, quick=True)
        if self.now.state is not TrustState.MINE:
            self.look()

    def look(self) -> None:
        """Look again; `changed` tells when it is another one."""
        if looks_through(self._tool):
            self._looks.ask(partial(trust_state, self._tool))

    def review(self, runner: str) -> None:
        """Show what the toolbox holds and ask whether its tools may run, by `runner`."""
        entries = self._toolbox.entries if self._toolbox is not None else ()
        names = [one.name for one in entries if one.path.is_relative_to(self.now.folder)]
        dialog = TrustDialog(self.now.folder, names, runner, self._page)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(self._answered)
        dialog.open()

    def _answered(self) -> None:
        self._take(trust_state(self._tool, quick=True))
        self.look()

    def _take(self, found: Trust) -> None:
        if found != self.now:
            self.now = found
            self.changed.emit()
