"""Badges of tools in the tree: what they need, and whether it is there already.

Only tools that are drawn are looked at, one by one in a thread: reading a descriptor or
asking an engine takes time that the window does not have.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_tool_runner.errors import ToolRunnerError

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.tools.toolbox.entries import ToolEntry

__all__ = ["BadgeLookup", "needs_of"]

_log = logging.getLogger(__name__)
_NEEDS = {"conda": "conda", "docker": "container", "singularity": "container"}
READY, FETCH, ABSENT = "✓", "↓", "✗"
_WORDS = {
    READY: "is installed: the tool starts at once.",
    FETCH: "is fetched before the first run.",
    ABSENT: "does not work on this computer; open the tool to read why.",
}


def needs_of(entry: ToolEntry) -> tuple[str, ...]:
    """Return short words on what a tool needs: ``conda``, ``container``."""
    return tuple(dict.fromkeys(_NEEDS.get(kind, kind) for kind in entry.requirements))


class _Worker:
    """The thread's side. Holds no Qt object: one that dies in a thread takes all down."""

    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox
        self.signs: dict[str, str] = {}
        self.wanted: queue.SimpleQueue[ToolEntry | None] = queue.SimpleQueue()
        self.fresh = False
        self._thread: threading.Thread | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is asked and nobody works."""
        alive = self._thread is not None and self._thread.is_alive()
        return self.wanted.empty() and not alive

    def ask(self, entry: ToolEntry) -> None:
        """Queue a tool."""
        self.wanted.put(entry)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="badges", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                entry = self.wanted.get(timeout=1)
            except queue.Empty:
                return
            if entry is None:
                return
            self.signs[entry.digest] = _sign(self.toolbox, entry)
            self.fresh = True


class BadgeLookup(QObject):
    """Finds out, for the tools that are drawn, whether what they need is there.

    Parameters
    ----------
    toolbox : Toolbox
    """

    changed = Signal()

    def __init__(self, toolbox: Toolbox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker = _Worker(toolbox)
        self._asked: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setInterval(100)
        self._timer.timeout.connect(self._look)

    def badges(self, entry: ToolEntry) -> tuple[str, ...]:
        """Return what to show for `entry` now; asks in the background for more."""
        needs = needs_of(entry)
        if not needs:
            return ()
        if entry.digest not in self._asked:
            self._asked.add(entry.digest)
            self._worker.ask(entry)
            self._timer.start()
        sign = self._worker.signs.get(entry.digest, "")
        return tuple(f"{need} {sign}".strip() for need in needs)

    def words(self, entry: ToolEntry) -> str:
        """Return the badge as a sentence, for tooltips and readers of screens."""
        needs = " or ".join(needs_of(entry))
        sign = self._worker.signs.get(entry.digest, "")
        return f"What it needs ({needs}) {_WORDS[sign]}" if needs and sign else needs

    def forget(self, toolbox: Toolbox) -> None:
        """Ask again, in `toolbox`: a run may have fetched something."""
        self._worker.toolbox = toolbox
        self._asked.clear()

    def stop(self) -> None:
        """End the thread."""
        self._worker.wanted.put(None)

    def _look(self) -> None:
        if self._worker.fresh:
            self._worker.fresh = False
            self.changed.emit()
        if self._worker.idle:
            self._timer.stop()


def _sign(toolbox: Toolbox, entry: ToolEntry) -> str:
    """Return the sign of one tool; an empty text when it cannot be told."""
    from napari_tool_runner.config import load_config
    from napari_tool_runner.plugins import choose_service, plan_run, runnerServices

    try:
        tool = toolbox[entry.key]
        config = load_config()
        name = config.service
        if name is None:
            choice = choose_service(tool, config.runner)
            if not choice.available:
                return ABSENT
            name = choice.name
        if not runnerServices.service(name, config.runner).check().ok:
            return ABSENT
        plan = plan_run(name, tool, config.runner)
    except (ToolRunnerError, KeyError) as error:
        _log.info("No badge for %s: %s", entry.key, error)
        return ""
    except Exception:  # noqa: BLE001 (a runner plugin may raise anything; it is logged)
        _log.warning("No badge for %s", entry.key, exc_info=True)
        return ""
    if plan.problems:
        return ABSENT
    return FETCH if plan.fetches else READY
