"""Badges of tools in the tree: what they need, and whether it is there already.

Only tools that are drawn are looked at, one by one in the background: reading a descriptor or
asking an engine takes time that the window does not have. No network is asked and nothing is
solved for a list of tools: the page of a tool does that.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.parts.background import Task

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.tools.toolbox.entries import ToolEntry

__all__ = ["BadgeLookup", "needs_of"]

_log = logging.getLogger(__name__)
_NEEDS = {"conda": "conda", "pip": "PyPI", "docker": "container", "singularity": "container"}
READY, FETCH, ABSENT = "✓", "↓", "✗"
_WORDS = {
    READY: "is installed: the tool starts at once.",
    FETCH: "is fetched before the first run.",
    ABSENT: "does not work on this computer; open the tool to read why.",
}


def needs_of(entry: ToolEntry) -> tuple[str, ...]:
    """Return short words on what a tool needs: ``conda``, ``PyPI``, ``container``."""
    return tuple(dict.fromkeys(_NEEDS.get(kind, kind) for kind in entry.requirements))


class BadgeLookup(QObject):
    """Finds out, for the tools that are drawn, whether what they need is there.

    Parameters
    ----------
    toolbox : Toolbox
    """

    changed = Signal()

    def __init__(self, toolbox: Toolbox, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._toolbox = toolbox
        self._signs: dict[str, str] = {}
        self._asked: set[str] = set()
        self._wanted: deque[ToolEntry] = deque()
        self._task: Task | None = None

    def badges(self, entry: ToolEntry) -> tuple[str, ...]:
        """Return what to show for `entry` now; asks in the background for more."""
        needs = needs_of(entry)
        if not needs:
            return ()
        if entry.digest not in self._asked:
            self._asked.add(entry.digest)
            self._wanted.append(entry)
            self._ask()
        sign = self._signs.get(entry.digest, "")
        return tuple(f"{need} {sign}".strip() for need in needs)

    def words(self, entry: ToolEntry) -> str:
        """Return the badge as a sentence, for tooltips and readers of screens."""
        needs = " or ".join(needs_of(entry))
        sign = self._signs.get(entry.digest, "")
        return f"What it needs ({needs}) {_WORDS[sign]}" if needs and sign else needs

    def forget(self, toolbox: Toolbox) -> None:
        """Ask again, in `toolbox`: a run may have fetched something."""
        self._toolbox = toolbox
        self._asked.clear()

    def stop(self) -> None:
        """Ask no more."""
        self._wanted.clear()

    def _ask(self) -> None:
        if self._task is not None or not self._wanted:
            return
        entry = self._wanted.popleft()
        self._task = Task(partial(_sign, self._toolbox, entry), self)
        self._task.done.connect(partial(self._take, entry.digest))
        self._task.start()

    def _take(self, digest: str, sign: str) -> None:
        self._task = None
        self._signs[digest] = sign
        self.changed.emit()
        self._ask()


def _sign(toolbox: Toolbox, entry: ToolEntry) -> str:
    """Return the sign of one tool; an empty text when it cannot be told."""
    from napari_tool_runner.config import load_config
    from napari_tool_runner.plugins import choose_service, obey_policy, runnerServices
    from napari_tool_runner.tools.toolbox.gate import admit

    try:
        tool = toolbox[entry.key]
        config = load_config()
        name = config.service
        if name is None:
            choice = choose_service(tool, config.runner)
            if not choice.available:
                return ABSENT
            name = choice.name
        service = runnerServices.service(name, config.runner)
        if not service.check().ok:
            return ABSENT
        permitted, permit = admit(tool, config)
        obey_policy(name, service, permitted, permit, config)
        ready = service.is_ready(permitted)
    except (ToolRunnerError, KeyError) as error:
        _log.info("No badge for %s: %s", entry.key, error)
        return ""
    except Exception:  # noqa: BLE001 (a runner plugin may raise anything; it is logged)
        _log.warning("No badge for %s", entry.key, exc_info=True)
        return ""
    return "" if ready is None else READY if ready else FETCH
