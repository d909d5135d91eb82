"""Work that may take a while: off the GUI thread (`Task`), or in slices on it (`IdleWork`)."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_tool_runner.errors import ToolRunnerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Bell",
    "IdleWork",
    "Keyboard",
    "Latest",
    "Task",
    "bell",
    "keyboard",
    "soon",
    "to_the_end",
    "when_destroyed",
]

_log = logging.getLogger(__name__)
_FIRST_BUDGET = 0.12
_IDLE_BUDGET = 0.02
_TYPING = 0.4
"""Seconds after a keystroke in which the next one is waited for."""


def soon(act: Callable[[], object], milliseconds: int, parent: QObject) -> QTimer:
    """Return a timer that does `act` once, so long after its last start.

    `act` is a bound method of `parent`: Qt forgets it together with its object.
    """
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(act)
    return timer


_awaited: set[_AtEnd] = set()


class _AtEnd:
    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        _awaited.add(self)

    def __call__(self, _: object = None) -> None:
        _awaited.discard(self)
        self._act()


def when_destroyed(one: QObject, act: Callable[[], object]) -> None:
    """Do `act` when `one` is gone, whoever deletes it; `act` is no method of `one`.

    What Qt is to call then is held here: collected together with `one`, it would be called
    nevertheless, and Python would break.
    """
    one.destroyed.connect(_AtEnd(act))


class Bell(QObject):
    """Wakes the GUI thread: rung in any thread, heard there soon after.

    Nothing of a widget is touched from a thread, so nothing can arrive at one that is gone:
    who hears it looks for itself.
    """

    heard = Signal()
    """It was rung, once or more."""
    _pulled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rung = False
        queued = Qt.ConnectionType.QueuedConnection
        self._pulled.connect(self._sound, queued)  # type: ignore[call-arg]  # stubs lack it

    def ring(self) -> None:
        """Let it be heard."""
        if not self._rung:
            self._rung = True
            with suppress(RuntimeError):  # at the end of the program Qt's objects go first
                self._pulled.emit()

    def _sound(self) -> None:
        self._rung = False  # before they look: what happens from now on rings again
        self.heard.emit()


@cache
def bell() -> Bell:
    """Return the bell of this program, never deleted; asked for first on the GUI thread."""
    return Bell()


def _answer(work: Callable[[], object], answer: Future[object]) -> None:
    """Do `work` in a thread, which holds no Qt object but the bell."""
    try:
        answer.set_result(work())
    except ToolRunnerError as error:
        answer.set_exception(error)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
        _log.exception("A task failed")
        hint = "Please report it; napari's log has the details."
        answer.set_exception(ToolRunnerError(f"This did not work: {error}.", hint=hint))
    finally:
        bell().ring()


@cache
def _to_the_end() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "to the end")


def to_the_end(work: Callable[[], object], subject: str) -> None:
    """Do `work` in a thread that a program waits for when it ends, one after another.

    Nobody is told of its end; what it raises is logged with its `subject`.
    """

    def logged() -> None:
        try:
            work()
        except ToolRunnerError as error:
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001 (whatever it is, it is told)
            _log.exception("Work in the background failed: %s", subject)

    _to_the_end().submit(logged)


class Task(QObject):
    """Runs `work` once in a thread of its own.

    Its thread rings the `bell` at the end and calls nothing else, so nothing arrives at a
    widget that is gone: a task dies with its parent.

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
        self._answer: Future[object] = Future()
        self._thread = threading.Thread(
            target=_answer, args=(work, self._answer), name="task", daemon=True
        )

    def start(self) -> Task:
        """Begin; returns itself."""
        bell().heard.connect(self._look)
        self._thread.start()
        return self

    def drop(self) -> None:
        """Let the work end unheard: its answer is not wanted any more."""
        bell().heard.disconnect(self._look)
        self.deleteLater()

    def _look(self) -> None:
        if not self._answer.done():
            return
        bell().heard.disconnect(self._look)
        error = self._answer.exception()
        if error is not None:
            self.failed.emit(error)
        else:
            self.done.emit(self._answer.result())
        self.deleteLater()


class Latest(QObject):
    """Runs one piece of work at a time; of what is asked for meanwhile, the last is done then.

    However often it is asked, there is one thread, and what it found is told.
    """

    done = Signal(object)
    """A piece ended; carries what it returned."""
    failed = Signal(object)
    """A piece raised; carries a `ToolRunnerError`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._busy = False
        self._next: Callable[[], object] | None = None
        self.done.connect(self._ended)
        self.failed.connect(self._ended)

    def ask(self, work: Callable[[], object]) -> None:
        """Do `work`, as `Task` does, now or when what is being done has ended."""
        if self._busy:
            self._next = work
            return
        self._busy = True
        task = Task(work, self)
        task.done.connect(self.done)
        task.failed.connect(self.failed)
        task.start()

    def _ended(self, _: object) -> None:
        self._busy = False
        if self._next is not None:
            work, self._next = self._next, None
            self.ask(work)


class Keyboard:
    """When somebody last typed: what is only done ahead waits so long."""

    def __init__(self) -> None:
        self._used = float("-inf")

    def used(self) -> None:
        """Note a keystroke."""
        self._used = perf_counter()

    @property
    def is_busy(self) -> bool:
        """Whether the next keystroke may come at once."""
        return perf_counter() - self._used < _TYPING


@cache
def keyboard() -> Keyboard:
    """Return that of this session."""
    return Keyboard()


class IdleWork(QObject):
    """Does small pieces of work: some at once, the rest when the window is idle.

    Parameters
    ----------
    ahead : bool
        Nobody waits for it: it rests while somebody types.
    """

    def __init__(self, parent: QObject | None = None, *, ahead: bool = False) -> None:
        super().__init__(parent)
        self._ahead = ahead
        self._tasks: deque[Callable[[], object]] = deque()
        self._working = False
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        # a bound method: a lambda would be called once more after its owner was collected
        self._timer.timeout.connect(self.work_a_little)

    @property
    def pending(self) -> int:
        """How many pieces wait."""
        return len(self._tasks)

    def add(self, tasks: Sequence[Callable[[], object]], *, first: bool = False) -> None:
        """Queue `tasks`; `first` puts them before all others."""
        if first:
            self._tasks.extendleft(reversed(tasks))
        else:
            self._tasks.extend(tasks)
        if self._tasks and not self._timer.isActive():
            self._timer.start()

    def work(self, budget: float = _FIRST_BUDGET) -> None:
        """Work for `budget` seconds."""
        if self._working:  # a piece may queue others: they come next
            return
        end = perf_counter() + budget
        self._working = True
        try:
            while self._tasks and perf_counter() < end:
                self._tasks.popleft()()
        finally:
            self._working = False
        if not self._tasks:
            self._timer.stop()

    def work_a_little(self) -> None:
        """Work for as long as nobody notices."""
        rests = self._ahead and keyboard().is_busy
        self._timer.setInterval(int(_TYPING * 1000) if rests else 0)
        if not rests:
            self.work(_IDLE_BUDGET)

    def finish(self) -> None:
        """Do everything that waits."""
        self.work(float("inf"))
