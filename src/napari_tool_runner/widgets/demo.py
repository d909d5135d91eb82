"""The first look: napari with a sample, a tool run on it, and its result."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.plugins import end_processes

if TYPE_CHECKING:
    from qtpy.QtCore import SignalInstance

    from napari_tool_runner.jobs import Job
    from napari_tool_runner.widgets.dock import ToolRunnerWidget
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["demo"]

SAMPLE = "cells_2d"
TOOL, INPUT, LAYER = "find_objects", "input", "Nuclei"
SCREEN = "1500x950x24"
RUN_SECONDS = 120
XVFB_SECONDS = 5.0


def demo(screenshot: Path | None = None) -> int:
    """Open napari with a sample, run a tool through its form, and show the result.

    Parameters
    ----------
    screenshot : Path, optional
        Write a picture of the window there and exit. Where there is no screen, a
        virtual one (Xvfb) is used.

    Returns
    -------
    int
        Exit status.
    """
    if screenshot is None:
        return _show(None)
    with _screen():
        return _show(screenshot)


def _show(screenshot: Path | None) -> int:
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_tool_runner.widgets.dock import runner_dock

    viewer = napari.Viewer(title="napari-tool-runner")
    if screenshot is not None:
        viewer.window.resize(1400, 880)
    viewer.open_sample("napari-tool-runner", SAMPLE)
    widget = runner_dock(viewer)
    assert widget is not None
    page = widget.open_tool(TOOL) or _opened(widget)
    if page is None:
        raise ToolRunnerError(f"The demo's tool “{TOOL}” is not in the toolbox.")
    page.set_values({INPUT: viewer.layers[LAYER]})
    job = page.run()
    if job is None:
        raise ToolRunnerError(f"“{TOOL}” could not be started; its form says why.")
    _wait(job, page)
    if screenshot is None:
        napari.run()
        return 0
    for _ in range(20):  # let the canvas and the docks settle
        QApplication.processEvents()
    viewer.screenshot(str(screenshot), canvas_only=False, flash=False)
    viewer.close()
    print(f"{screenshot}: {job.tool.name} {job.state.value}")  # noqa: T201
    return 0 if job.error is None else 1


def _opened(widget: ToolRunnerWidget) -> ToolWidget | None:
    """Return the page of the tool that is read in the background; None if it does not come."""
    _wait_for(widget.tool_opened)
    return widget.page


def _wait(job: Job, page: ToolWidget) -> None:
    """Process events until the results of `job` are layers."""
    if job in page.active_jobs:
        _wait_for(page.job_finished)


def _wait_for(signal: SignalInstance) -> None:
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    signal.connect(lambda _told: loop.quit())
    QTimer.singleShot(RUN_SECONDS * 1000, loop.quit)
    loop.exec()


@contextmanager
def _screen() -> Iterator[None]:
    """Provide a virtual screen on Linux where there is none."""
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if not sys.platform.startswith("linux") or has_screen:
        yield
        return
    program = shutil.which("Xvfb")
    if program is None:
        raise ToolRunnerError(
            "There is no screen, and Xvfb, which makes a virtual one, is not installed.",
            hint="Install it (apt-get install xvfb), or run the demo where there is a screen.",
        )
    # Xvfb chooses a free display and writes its number once it is ready
    with tempfile.TemporaryDirectory() as folder:
        reader, writer = os.pipe()
        server = subprocess.Popen(
            [program, "-displayfd", str(writer), "-screen", "0", SCREEN, "-nolisten", "tcp"],
            pass_fds=[writer],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        os.close(writer)
        try:
            with os.fdopen(reader) as told:
                number = told.readline().strip()
            if not number:
                raise ToolRunnerError("Xvfb, which makes the virtual screen, did not start.")
            os.environ["DISPLAY"] = f":{number}"
            yield
        finally:
            os.environ.pop("DISPLAY", None)
            end_processes([server.pid], grace=XVFB_SECONDS)
            server.wait()
