"""The call of a script that runs a tool on layers of a viewer: `run_in_viewer`.

Qt is imported only where a window is open in this thread: a viewer model needs none.
"""

from __future__ import annotations

import asyncio
import sys
import warnings
from typing import TYPE_CHECKING

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import OutputError, ToolRunnerError
from napari_tool_runner.jobs import add_result, job_manager, merged, named_layers, prepare
from napari_tool_runner.proxies import bare
from napari_tool_runner.tools import find_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    from napari_tool_runner.jobs import ConfigLike, Job, JobResult, ToolLike, ViewerLike

__all__ = ["NewLayers", "run_in_viewer"]

_LOOKS = 0.03
"""Seconds between two looks at a run."""


class NewLayers(list[object]):
    """The layers that a run adds to a viewer: a list that is filled when the run has ended.

    It can be awaited. Use it in the thread of the viewer only.

    Attributes
    ----------
    job : Job
        The run: its state, progress, `cancel`.
    error : ToolRunnerError or None
        Why there are no layers.
    result : JobResult or None
        What `run` returns, with its tables, when the run has ended well.
    """

    def __init__(
        self, viewer: ViewerLike, job: Job, callback: Callable[[NewLayers], object] | None = None
    ) -> None:
        super().__init__()
        self.job = job
        self.error: ToolRunnerError | None = None
        self.result: JobResult | None = None
        self._told = ""
        self._viewer = viewer
        self._callback = callback
        self._added = self._asked = False
        self._timer: QTimer | None = None

    def __hash__(self) -> int:  # type: ignore[override]  # asyncio keeps it in a mapping
        """Return what stands for this run, whatever layers it has by now."""
        return id(self)

    def __repr__(self) -> str:
        """Return the layers, and what else the run made."""
        told = self._told or str(self.error or f"{self.job.tool.name} goes on")
        return f"<NewLayers {super().__repr__()}: {told}>"

    def wait(self) -> NewLayers:
        """Return itself when the layers are there; an open window goes on meanwhile.

        Raises
        ------
        ToolRunnerError
            What `run` raises for a run that failed or was cancelled.
        """
        window, self._asked = _window(), True
        try:
            while not self.job.wait(_LOOKS if window is None else 0):
                if window is not None and not _let_live(window):
                    self.job.cancel()  # it was closed
                    window = None
        except BaseException:
            self.job.cancel()
            self.job.wait(10)
            raise
        return self._filled()

    def __await__(self) -> Generator[object, None, NewLayers]:
        """Wait as `wait` does, while other tasks of the loop go on; cancelled, it ends the run."""
        return self._ended().__await__()

    async def _ended(self) -> NewLayers:
        self._asked = True
        try:
            while not self.job.wait(0):
                await asyncio.sleep(_LOOKS)
        except BaseException:  # as a time limit of who awaits it
            self.job.cancel()
            raise
        return self._filled()

    def follow(self) -> None:
        """Add the layers by itself, where a window is open in this thread."""
        window = _window()
        if window is not None:
            from qtpy.QtCore import QTimer

            self._timer = QTimer(window)
            self._timer.timeout.connect(lambda: self._look())  # holds it, as a method would not
            self._timer.start(int(1000 * _LOOKS))

    def _look(self) -> None:
        if self._timer is not None and self.job.wait(0):
            self._timer.stop()
            self._timer.deleteLater()
            self._timer = None
            self._add()
            if self.error is not None and self._callback is None and not self._asked:
                warnings.warn(str(self.error), stacklevel=2)  # else nobody might tell it

    def _filled(self) -> NewLayers:
        self._add()
        if self.error is not None:
            raise self.error
        return self

    def _add(self) -> None:
        """Add the layers, once, and call back."""
        if self._added:
            return
        self._added = True
        try:
            result = self.job.result()
            if _is_closed(self._viewer):
                raise OutputError(
                    "The window of the viewer was closed before the run had ended.",
                    hint=f"Its results lie in {result.workspace}.",
                )
            added = add_result(self._viewer, result, self.job)
        except ToolRunnerError as error:
            self.error = error
        else:
            self.result, self._told = result, added.sentence()
            self.extend(added.layers)
            for name in added.tables:
                warnings.warn(
                    f"The table “{name}” has not one row for each object of a layer, so it is in "
                    f"no layer's features; it is in `result`, and in {self.job.workspace.root}.",
                    stacklevel=4,
                )
        if self._callback is not None:
            try:
                self._callback(self)
            except Exception:  # noqa: BLE001  # where Qt calls it, it would end the process
                sys.excepthook(*sys.exc_info())


def run_in_viewer(
    viewer: ViewerLike,
    tool: ToolLike,
    *,
    runner: str | None = None,
    config: ConfigLike = None,
    values: Mapping[str, object] | None = None,
    cache: bool = True,
    wait: bool = True,
    callback: Callable[[NewLayers], object] | None = None,
    **more: object,
) -> NewLayers:
    """Run a tool on layers of `viewer`, and add its results as layers.

    Call it in the thread of the viewer, whose window goes on while this waits.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    values, cache, **more
        As for `run`; where the tool wants data, text that is the name of a layer
        means that layer.
    wait : bool
        Whether to return when the layers are there; False: at once, for ``await``, or because
        the layers shall simply appear.
    callback : callable, optional
        Called in this thread with what this returns when the run has ended, also when it failed
        (then `error` says why). With it nothing waits here. Without a window it is called by who
        awaits or waits.

    Returns
    -------
    list of Layer
        The new layers, bottom first (see `NewLayers`); tables that belong to a labels or points
        layer are in its ``features``; all are in the outputs of its `result`.

    Raises
    ------
    ToolRunnerError
        What `run` raises; with ``wait=False`` or `callback` only what is wrong before the start.
    """
    viewer, settings = bare(viewer), load_config(config)
    found = find_tool(tool, config=settings)
    given = named_layers(viewer, found, merged(values, more))
    job = prepare(found, given, runner=runner, config=settings, cache=cache)
    for note in job.request.notes:
        warnings.warn(note, stacklevel=2)
    job_manager().add(job)
    made = NewLayers(viewer, job, callback)
    if wait and callback is None:
        return made.wait()
    made.follow()
    return made


def _window() -> QApplication | None:
    """Return the application whose window is open in this thread, None where there is none."""
    if "qtpy.QtWidgets" not in sys.modules:
        return None
    from qtpy.QtCore import QThread
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance()
    here = isinstance(app, QApplication) and app.thread() == QThread.currentThread()
    return app if here and isinstance(app, QApplication) else None


def _is_closed(viewer: ViewerLike) -> bool:
    """Whether `viewer` had a window, and it is gone: it takes no layers any more."""
    window = getattr(viewer, "window", None)
    try:  # napari tells it nowhere else
        return window is not None and not window._qt_window.windowHandle()
    except (AttributeError, RuntimeError):
        return True


def _let_live(window: QApplication) -> bool:
    """Let the window do its work for a moment; False when it is being closed."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    timer = QTimer()
    timer.setSingleShot(True)
    timer.timeout.connect(loop.quit)
    timer.start(int(1000 * _LOOKS))
    loop.exec()
    return timer.remainingTime() <= 0 and not window.closingDown()
