"""Work that may take a while, off the GUI thread; the answer comes back to it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_tool_runner.errors import ToolRunnerError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Task"]

_log = logging.getLogger(__name__)
_POLL_MS = 20


class _Answer:
    """What the thread leaves behind; the thread holds no Qt object."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work: Callable[[], object] | None = work
        self.ended = threading.Event()
        self.value: object = None
        self.error: ToolRunnerError | None = None

    def run(self) -> None:
        assert self.work is not None
        try:
            self.value = self.work()
        except ToolRunnerError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
            _log.exception("A task failed")
            self.error = ToolRunnerError(
                f"This did not work: {error}.",
                hint="Please report it; napari's log has the details.",
            )
        finally:
            self.work = None
            self.ended.set()


class Task(QObject):
    """Runs `work` once in a thread of its own.

    A timer of the GUI thread looks for the end, so nothing is called from the thread and
    nothing arrives at a widget that is gone: a task dies with its parent.

    Parameters
    ----------
    work : callable
        Takes nothing, and holds no Qt object. What it raises is told by `failed`.
    """

    done = Signal(object)
    """The work ended; carries what it returned."""
    failed = Signal(object)
    """The work raised; carries a `ToolRunnerError`."""

    def __init__(self, work: Callable[[], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._answer = _Answer(work)
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._look)

    def start(self) -> Task:
        """Begin; returns itself."""
        threading.Thread(target=self._answer.run, name="task", daemon=True).start()
        self._timer.start()
        return self

    def _look(self) -> None:
        answer = self._answer
        if not answer.ended.is_set():
            return
        self._timer.stop()
        if answer.error is not None:
            self.failed.emit(answer.error)
        else:
            self.done.emit(answer.value)
        self.deleteLater()
