"""One session in the real window, for `bench_window`, as JSON of seconds.

``python -m benchmarks.window PART COUNT``. Nothing of ours is imported before what is timed:
a fresh session is the point.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import napari
import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QDialog, QFileDialog, QMenu, QWidget

from benchmarks.bench_window import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari.layers import Layer

    from napari_tool_runner.widgets import ToolRunnerWidget, ToolWidget

PLUGIN = "napari-tool-runner"
_MOST_SECONDS = 600.0
_SIDE = 512
_ROWS = 100_000
_LEFT = Qt.MouseButton.LeftButton


class Standstills(QTimer):
    """Notes how late a timer of 5 ms comes: for so long the window stood still."""

    def __init__(self) -> None:
        super().__init__()
        self._gaps: list[float] = []
        self._last = 0.0
        self.setInterval(5)
        self.timeout.connect(self._note)
        self.begin()
        self.start()

    def begin(self) -> None:
        """Forget what was noted."""
        self._gaps, self._last = [], time.perf_counter()

    def told(self) -> dict[str, float]:
        """Return the longest, and the sum of those that a person notices."""
        noticed = sum(gap for gap in self._gaps if gap > LONG)
        return {"longest standstill": max(self._gaps), "noticed standstills": noticed}

    def _note(self) -> None:
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now


def until(true: Callable[[], object]) -> None:
    """Let the window work until something is true."""
    end = time.monotonic() + _MOST_SECONDS
    while not true():
        QApplication.processEvents()
        time.sleep(0.001)
        if time.monotonic() > end:
            raise TimeoutError("the window did not get there")


def settle(seconds: float) -> None:
    """Let the window work for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def timed(act: Callable[[], object]) -> float:
    """Return the seconds until `act` is done and painted."""
    begun = time.perf_counter()
    act()
    QApplication.processEvents()
    return time.perf_counter() - begun


def answered(act: Callable[[], object]) -> float:
    """Return the seconds until what `act` has changed at once is painted."""
    begun = time.perf_counter()
    act()
    QApplication.sendPostedEvents()
    return time.perf_counter() - begun


def opened(viewer: napari.Viewer) -> ToolRunnerWidget:
    """Open the dock."""
    made: ToolRunnerWidget = viewer.window.add_plugin_dock_widget(PLUGIN, "Tool Runner")[1]
    return made


def read(dock: ToolRunnerWidget, count: int = 1) -> None:
    """Wait for the toolboxes."""
    until(lambda: len(dock.toolbox) >= count and dock._loading is None)


def click(page: ToolWidget, viewer: napari.Viewer, sigma: float) -> float:
    """Return the seconds from the click on Run to the layer."""
    page.set_values({"sigma": sigma})
    settle(0.2)
    before, begun = len(viewer.layers), time.perf_counter()
    page.run_bar.run_button.click()
    until(lambda: len(viewer.layers) > before)
    return time.perf_counter() - begun


def add(viewer: napari.Viewer, number: int = 0) -> Layer:
    """Add an image of a common size."""
    values = np.random.default_rng(number).integers(0, 4000, (_SIDE, _SIDE))
    return viewer.add_image(values.astype(np.uint16), name="image")


def dock(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Time the first things that somebody does, and `count` later jobs."""
    docks: list[ToolRunnerWidget] = []
    add(viewer)
    settle(2)
    found = {"opening the dock": timed(lambda: docks.append(opened(viewer)))}
    (made,) = docks
    read(made)
    found["first keystroke"] = timed(lambda: QTest.keyClick(made.finder.search, "g"))
    settle(2)
    found["first page of a tool"] = timed(lambda: made.open_tool("gaussian_filter"))
    page = made.page
    assert page is not None
    settle(1)
    found["first job of a session"] = click(page, viewer, 1.01)
    later = [click(page, viewer, 1.5 + number / 7) for number in range(count)]
    found["a later job"] = sorted(later)[len(later) // 2]
    found["opening the history"] = timed(
        lambda: viewer.window.add_plugin_dock_widget(PLUGIN, "Tool History")
    )
    return found


def gaussian(viewer: napari.Viewer) -> ToolWidget:
    """Open the dock, and in it the page of a tool that can be run."""
    made = opened(viewer)
    read(made)
    settle(2)
    page = made.open_tool("gaussian_filter")
    assert page is not None
    until(page.run_bar.run_button.isEnabled)
    return page


def jobs(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Run many jobs, whose layers are removed as they come."""
    source = add(viewer)
    page = gaussian(viewer)
    click(page, viewer, 1.0)
    watch, seen, begun = Standstills(), -1, time.perf_counter()
    for number in range(count):
        page.set_values({"sigma": 1.5 + number / 64})
        page.run()
        QApplication.processEvents()
    while seen < count:
        until(lambda: len(viewer.layers) > 1)
        settle(0.05)
        for layer in [one for one in viewer.layers if one is not source]:
            viewer.layers.remove(layer)
            seen += 1
            # Mesa draws by what is gone, and breaks, where napari removed two layers meanwhile
            settle(0.05)
    return {"seconds": time.perf_counter() - begun, **watch.told()}


def second(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Time clicks on Run that start warm, and the adding of the same layers by napari alone."""
    from napari_tool_runner.jobs import job_manager

    add(viewer)
    page = gaussian(viewer)

    def is_warm() -> bool:
        click(page, viewer, 1.0)
        runner = job_manager().jobs[-1].record()["runner"]
        return isinstance(runner, dict) and runner.get("warm") is True

    until(is_warm)
    clicks = [click(page, viewer, 1.5 + number / 64) for number in range(count)]
    made, adding = [*viewer.layers][-count:], []
    for layer in made:
        viewer.layers.remove(layer)
        settle(0.05)
    for layer in made:  # afterwards: the form would go on with what napari added
        again = type(layer)(layer.data, name=f"{layer.name} again")
        settle(0.2)
        adding.append(timed(lambda again=again: viewer.add_layer(again)))
    return {"click": sorted(clicks)[count // 2], "adding": sorted(adding)[count // 2]}


def layers(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Add and remove as many layers as `jobs`, by napari alone."""
    add(viewer)
    settle(2)
    watch = Standstills()
    for number in range(count):
        layer = add(viewer, number)
        settle(0.05)
        viewer.layers.remove(layer)
        settle(0.05)
    return watch.told()


def preview(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Time from a changed value to a picture of the canvas that has the new preview's pixels."""
    add(viewer)
    page = gaussian(viewer)
    shown: list[float] = []
    page.live_bar.previewed.connect(lambda: shown.append(time.perf_counter()))
    if not page.live_bar.on:
        page.live_bar.switch.click()
    until(lambda: shown)
    settle(2)  # whether a part shows what the whole would is measured meanwhile
    taken: list[float] = []
    for number in range(count):
        before, begun = len(shown), time.perf_counter()
        page.set_values({"sigma": 1.5 + number / 7})
        until(lambda before=before: len(shown) > before)
        viewer.screenshot(canvas_only=True, flash=False)
        taken.append(time.perf_counter() - begun)
        settle(0.3)
    return {"preview": sorted(taken)[len(taken) // 2]}


def tools(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Open the dock where so many tools are new."""
    settle(1)
    made = opened(viewer)
    watch = Standstills()
    read(made, count)
    settle(3)
    typed = timed(lambda: QTest.keyClick(made.finder.search, "g"))
    return {"first keystroke": typed, **watch.told()}


def history(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Open the list of jobs, and wait until all are read."""
    viewer.window.add_plugin_dock_widget(PLUGIN, "Tool History")
    watch = Standstills()
    panel = viewer.window.dock_widgets[f"Tool History ({PLUGIN})"]
    until(lambda: panel.model.rowCount() >= count and not panel.model.busy)
    settle(1)
    return watch.told()


def buttons(viewer: napari.Viewer, count: int) -> dict[str, float]:
    """Press all buttons of search, form, tables of 100,000 rows and history of so many jobs."""
    import pandas as pd

    from napari_tool_runner.widgets.dock import history_dock
    from napari_tool_runner.widgets.results.showing import show_features

    QFileDialog.getSaveFileName = staticmethod(lambda *_, **__: ("", ""))
    QFileDialog.getExistingDirectory = staticmethod(lambda *_, **__: "")
    made = opened(viewer)
    read(made)
    rows = np.arange(1, _ROWS + 1, dtype=np.uint32)
    objects = viewer.add_labels(rows.reshape(_ROWS // 250, 250), name="objects")
    objects.features = pd.DataFrame({"index": rows, "pixels": rows % 97 + 1, "mean": rows % 89})
    add(viewer)
    panel, tables = history_dock(viewer), show_features(viewer, objects)
    until(lambda: panel.model.rowCount() >= count and not panel.model.busy)
    panel.view.setCurrentIndex(panel.filter.index(0, 0))
    settle(3)
    found = {f"history: {name}": took for name, took in _pressed(panel)}
    found |= {f"tables: {name}": took for name, took in _pressed(tables)}
    found |= {f"search: {name}": took for name, took in _pressed(made)}
    gaussian_key = next(entry.key for entry in made.toolbox.entries if "aussian" in entry.name)
    page = made.open_tool(gaussian_key)
    settle(1)
    return found | {f"form: {name}": took for name, took in _pressed(page)}


def _pressed(panel: QWidget) -> Iterator[tuple[str, float]]:
    """Press each button of a panel that can be pressed, and close what it opens."""
    panel.parentWidget().raise_()
    settle(0.5)
    for button in panel.findChildren(QAbstractButton):
        try:
            if not (button.isVisible() and button.isEnabled()):
                continue
            name = button.accessibleName() or button.text() or type(button).__name__
            yield name, answered(lambda button=button: QTest.mouseClick(button, _LEFT))
        except RuntimeError:  # an earlier one took it away
            continue
        settle(0.3)
        for opened_one in QApplication.topLevelWidgets():
            if isinstance(opened_one, QDialog | QMenu) and opened_one.isVisible():
                opened_one.close()


_PARTS = (dock, second, jobs, layers, preview, tools, history, buttons)
PARTS = {part.__name__: part for part in _PARTS}


def main() -> None:
    """Print the figures of one part."""
    part, count = sys.argv[1:]
    viewer = napari.Viewer(show=True)
    try:
        settle(1)
        print(json.dumps(PARTS[part](viewer, int(count))))
    finally:
        viewer.close()


if __name__ == "__main__":
    main()
