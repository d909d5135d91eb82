"""From a job (plain Python, any thread) to Qt signals and napari's own progress.

A timer looks at the job; nothing is called from worker threads, so nothing can arrive
at a widget that is gone. napari's task list gets a worker whose ``quit`` cancels the
job: closing the window, with or without its dialog, ends the tool.
"""

from __future__ import annotations

import atexit
import logging
import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool, QTimer, Signal

if TYPE_CHECKING:
    from napari_tool_runner.jobs import JobManager, JobState
    from napari_tool_runner.widgets.starting import AnyJob

__all__ = ["JobBridge", "cancel_jobs_at_quit", "register_with_napari"]

_log = logging.getLogger(__name__)
POLL_MS = 60


class JobBridge(QObject):
    """Follows one job and tells the GUI thread.

    Parameters
    ----------
    job : AnyJob
    """

    state_changed = Signal(object)
    """The job entered another state; carries the `JobState`."""
    progressed = Signal()
    """Phase, progress or elapsed time is worth showing again."""
    finished = Signal(object)
    """The job ended; carries the job. Emitted once, after the last `state_changed`."""

    def __init__(self, job: AnyJob, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self._state: JobState | None = None
        self._ended = False
        self._polling = False
        self._shown: tuple[object, ...] = ()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)

    def start(self) -> None:
        """Begin to follow."""
        self._timer.start()

    def stop(self) -> None:
        """Stop following; the job itself goes on."""
        self._timer.stop()

    def poll(self) -> None:
        """Look at the job now."""
        # napari's progress bars and layers process events while we emit
        if self._polling or self._ended:
            return
        self._polling = True
        try:
            self._look()
        finally:
            self._polling = False

    def _look(self) -> None:
        job = self.job
        state = job.state
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state)
        shown = (job.phase, job.progress, int(job.elapsed))
        if shown != self._shown:
            self._shown = shown
            self.progressed.emit()
        # the job's event is set after its record is written: only then is it over
        if state.final and job.wait(0):
            self._ended = True
            self._timer.stop()
            self.finished.emit(job)


def register_with_napari(job: AnyJob) -> None:
    """Make napari know `job`: its close dialog, and cancel when the window closes.

    Without napari (a form alone) this does nothing.
    """
    try:
        from napari.qt.threading import FunctionWorker, create_worker
    except ImportError:
        return

    class RunWorker(FunctionWorker):  # type: ignore[misc]
        """Waits for the job; its quit ends the job."""

        def quit(self) -> None:
            super().quit()
            job.cancel()

    def wait() -> None:
        pool = QThreadPool.globalInstance()
        assert pool is not None
        pool.releaseThread()  # we only wait: lend our slot to napari's own work
        try:
            job.wait()
        finally:
            pool.reserveThread()

    wait.__name__ = f"{job.tool.name}"
    worker = create_worker(wait, _worker_class=RunWorker, _start_thread=False)
    worker.start()


def cancel_jobs_at_quit(manager: JobManager) -> None:
    """End all jobs of `manager` when the application quits (once per manager)."""
    application = QCoreApplication.instance()
    if application is None or manager in _known:
        return
    _known.add(manager)
    reference = weakref.ref(manager)

    def end() -> None:
        alive = reference()
        if alive is not None:
            for job in alive.active:
                job.cancel()

    application.aboutToQuit.connect(end)
    atexit.register(end)


_known: weakref.WeakSet[JobManager] = weakref.WeakSet()
