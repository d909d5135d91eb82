"""From a job (plain Python, any thread) to Qt signals, and its results into the viewer.

The job rings a bell, and the bridge looks at it on the GUI thread; nothing else is called from
worker threads, so nothing can arrive at a widget that is gone. A bridge belongs to the
application, not to a page: a run outlives the dock that started it, its layers appear all the
same, and a page that is opened again finds its run. napari's task list gets a worker
whose ``quit`` cancels the job: closing the window, with or without its dialog, ends the tool.
"""

from __future__ import annotations

import atexit
import io
import logging
import weakref
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool, QTimer, Signal

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import JobState
from napari_tool_runner.plugins import OutputLine
from napari_tool_runner.widgets.forms.outputs_box import CONTOURS, REPLACE
from napari_tool_runner.widgets.parts.background import IdleWork, bell, soon
from napari_tool_runner.widgets.parts.texts import notify
from napari_tool_runner.widgets.results.first_looks import first_look, show_contours
from napari_tool_runner.widgets.results.showing import open_measured, own_looks, show_table
from napari_tool_runner.widgets.running.report import notify_failure
from napari_tool_runner.widgets.running.run_bar import progress_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.utils.progress import cancelable_progress
    from qtpy.QtWidgets import QWidget

    from napari_tool_runner.jobs import AddedResult, Job, JobManager, JobResult, RecordedInput

__all__ = ["ActivityMirror", "JobBridge", "follow_job", "running_bridges", "show_result"]

_log = logging.getLogger(__name__)
_PROGRESS_MS = 60
"""Progress is shown again no sooner."""
_SECOND_MS = 1000
_SHORT = 2.0
"""Seconds for which a job runs before it is in napari's activity list."""


class JobBridge(QObject):
    """Follows one job, shows its result, and tells the pages that follow it.

    Parameters
    ----------
    job : Job
    viewer : napari viewer, optional
        Where the layers go. Only a weak reference is kept.
    switches : frozenset of str
        How its result is shown (`OutputsBox.switches`).
    """

    progressed = Signal()
    """State, phase, progress or elapsed time is worth showing again."""
    finished = Signal(object)
    """The job ended and its layers are there; carries the job. Emitted once."""

    def __init__(
        self,
        job: Job,
        parent: QObject | None = None,
        *,
        viewer: ViewerModel | None = None,
        switches: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(parent)
        self.job = job
        self.shown: AddedResult | None = None
        """What the result became; None when there is none (yet)."""
        self.problem = ""
        """Why the result of a job that succeeded could not be shown."""
        self._switches = switches
        self._viewer = weakref.ref(viewer) if viewer is not None else lambda: None
        self._pages: weakref.WeakSet[QWidget] = weakref.WeakSet()
        self._ended = self._looking = self._again = self._due = False
        self._shown: tuple[object, ...] = ()
        self._progress = soon(self._tell_again, _PROGRESS_MS, self)
        self._seconds = QTimer(self)
        self._seconds.setInterval(_SECOND_MS)
        self._seconds.timeout.connect(self._tell_again)

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer, None when there is none or it is gone."""
        return self._viewer()

    def attach(self, page: QWidget) -> None:
        """Note that `page` tells of this job, as long as it can be seen."""
        self._pages.add(page)

    def start(self) -> None:
        """Begin to follow."""
        bell().heard.connect(self.look)
        self._seconds.start()
        self.job.subscribe(_ring)
        bell().ring()  # for what happened before

    def look(self) -> None:
        """Look at the job now."""
        self._again = True
        # napari's progress bars and layers process events while we emit
        while self._again and not self._looking and not self._ended:
            self._again, self._looking = False, True
            try:
                self._look()
            finally:
                self._looking = False

    def _look(self) -> None:
        job = self.job
        if self._due or (job.state, job.phase) != self._shown[:2]:
            self._due = False
            self._tell()
        elif job.progress != self._shown[2] and not self._progress.isActive():
            self._progress.start()
        # the job's event is set after its record is written: only then is it over
        if job.finished is not None and job.wait(0):
            self._ended = True
            bell().heard.disconnect(self.look)
            self._progress.stop()
            self._seconds.stop()
            _results().add([self._finish])

    def _finish(self) -> None:
        self._present()
        self.finished.emit(self.job)
        self._notify()

    def _tell_again(self) -> None:
        """Tell in a look: no other may end this meanwhile."""
        self._due = True
        self.look()

    def _tell(self) -> None:
        """Let what is known of the job, and its seconds, be shown."""
        self._shown = self.job.state, self.job.phase, self.job.progress
        self.progressed.emit()

    def _present(self) -> None:
        """Add the layers of a job that succeeded."""
        viewer = self.viewer
        if self.job.state is not JobState.DONE:
            return
        if viewer is None:
            self.problem = "The viewer is closed; the results are in the workspace."
            return
        try:
            self.shown = show_result(viewer, self.job.result(), self.job, self._switches)
        except (ToolRunnerError, ValueError, TypeError) as error:
            _log.exception("The result of job %s could not be shown", self.job.id)
            self.problem = f"The tool worked, but its result could not be shown: {error}"

    def _notify(self) -> None:
        """Tell by napari's own notifications when no page of the job is to be seen."""
        if self.viewer is None or any(_is_seen(page) for page in self._pages):
            return
        name = self.job.tool.name
        with suppress(ImportError):  # a form alone, without napari
            if self.shown is not None:
                notify(f"{name}: {self.shown.sentence()}")
            elif self.problem or self.job.state is JobState.FAILED:
                notify_failure(self.job, f"{name}: {self.problem or self.job.error}")


def _ring(_: Job, event: object) -> None:
    """Wake the GUI thread for what changes a bridge; lines of the log are taken by its view."""
    if not isinstance(event, OutputLine):
        bell().ring()


@cache
def _results() -> IdleWork:
    """Return what shows results one by one: napari takes its time for each layer."""
    return IdleWork()


_running: dict[Job, JobBridge] = {}


def show_result(
    viewer: ViewerModel,
    result: JobResult,
    job: Job | None = None,
    switches: frozenset[str] = frozenset(),
    *,
    inputs: Iterable[RecordedInput] = (),
) -> AddedResult:
    """Add the outputs of a job to `viewer`; call it on the GUI thread.

    Parameters
    ----------
    job : Job, optional
        Where its inputs lie the layers come; without it (a job of the past) on top.
    switches : frozenset of str
        What a form says of how results are shown (`OutputsBox.switches`).
    inputs : iterable of RecordedInput
        What went in, of a job of the past.
    """
    from napari_tool_runner.jobs import add_result, placed_result

    placed = placed_result(job, result) if job is not None else result
    with own_looks(viewer):
        replaces = REPLACE in switches
        added = add_result(viewer, placed, job, looks=first_look, replaces=replaces, inputs=inputs)
    if CONTOURS in switches:
        show_contours([layer for layer in added.layers if layer not in added.replaced])
    for title, columns in added.tables.items():
        owner, origin = added.owners.get(title), added.origins.get(title)
        added.restores.append(show_table(viewer, title, columns, owner, origin))
    for layer in added.joined.values() if job is not None else ():
        open_measured(viewer, layer)
    return added


def follow_job(
    job: Job,
    viewer: ViewerModel | None,
    manager: JobManager,
    switches: frozenset[str] = frozenset(),
) -> JobBridge:
    """Follow a job of `manager`: its bridge, started, lives until the job has ended.

    The job is in napari's lists, and ends when the application quits.
    """
    _cancel_jobs_at_quit(manager)
    _register_with_napari(job)
    bridge = JobBridge(job, QCoreApplication.instance(), viewer=viewer, switches=switches)
    ActivityMirror(bridge)
    _running[job] = bridge

    def forget(_: object) -> None:
        _running.pop(job, None)
        bridge.deleteLater()

    bridge.finished.connect(forget)
    bridge.start()
    return bridge


def running_bridges(tool_uri: str, viewer: ViewerModel | None) -> list[JobBridge]:
    """Return the bridges of running jobs of a tool in `viewer`, oldest first."""
    return [
        bridge
        for bridge in _running.values()
        if bridge.job.tool.uri == tool_uri and bridge.viewer is viewer
    ]


def _is_seen(page: QWidget) -> bool:
    try:
        return page.isVisible()
    except RuntimeError:  # deleted by Qt, not yet by Python
        return False


def _register_with_napari(job: Job) -> None:
    """Make napari know `job`: its close dialog, and cancel when the window closes.

    napari asks and ends only workers of its own making, so one of them waits for the job.
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

    wait.__name__ = job.tool.name
    create_worker(wait, _worker_class=RunWorker, _start_thread=True)


def _cancel_jobs_at_quit(manager: JobManager) -> None:
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


class _Nowhere(io.TextIOBase):
    """napari's bars are tqdm bars, which would also print to the terminal."""

    def write(self, text: str) -> int:
        return len(text)


class ActivityMirror(QObject):
    """Shows the job of `bridge` in the activity list while it runs, unless it is short.

    Lives on the GUI thread: napari's bars call Qt when they change, and to make one takes longer
    than to show a result.
    """

    def __init__(self, bridge: JobBridge) -> None:
        super().__init__(bridge)
        self._bridge = bridge
        self._bar: cancelable_progress | None = None
        self._shown = ("", 0.0, 0.0)
        bridge.progressed.connect(self._update)
        bridge.finished.connect(self.close)

    def _open(self) -> cancelable_progress | None:
        try:
            from napari.utils.progress import cancelable_progress
        except ImportError:
            return None
        job = self._bridge.job

        class Bar(cancelable_progress):  # type: ignore[misc]
            """Its Cancel reaches the job at once (napari's only sets a flag)."""

            def cancel(self) -> None:
                super().cancel()
                job.cancel()

        return Bar(desc=job.tool.name, total=0, file=_Nowhere())

    def _update(self) -> None:
        job = self._bridge.job
        if job.finished is not None or (self._bar is None and job.elapsed < _SHORT):
            return
        if self._bar is None:
            self._bar = self._open()
        bar = self._bar
        if bar is None:
            return
        progress = job.progress
        total = float(progress.total or 0) if progress is not None else 0.0
        done = min(float(progress.done), total) if progress is not None else 0.0
        told = progress_text(progress)
        text = f"{job.tool.name}: {job.phase}" + (f" {told}" if told else "")
        before, self._shown = self._shown, (text, done, total)
        if text != before[0]:
            bar.set_description(text)
        if (done, total) != before[1:]:
            bar.total = round(1000 * (total > 0))
            bar.n = 0
            if total:
                bar.update(round(1000 * done / total))

    def close(self, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
