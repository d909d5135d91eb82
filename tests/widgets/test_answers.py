"""A press of a button is answered before anything begins that takes its time."""

from __future__ import annotations

import threading
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QApplication, QDialog, QFileDialog, QMenu
from run_tools import invert_tool
from widget_tools import opened

from napari_tool_runner.jobs import JobManager, prepare, run_job
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.history.panel import HistoryPanel
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.results.objects import AT_ONCE

WIDGETS = "napari_tool_runner.widgets."
HEAVY = {
    "tables": (
        "results.looks:Highlight.show",
        "results.view:as_text",
        "results.view:save_table",
        "results.plots:_imported",
    ),
    "history": (
        "history.actions:recorded_tool",
        "history.actions:rerun",
        "history.actions:recorded_result",
    ),
    "form": (),
    "search": (),
}
"""Panel -> what takes its time and is begun by one of its buttons."""
ANYWHERE = "subprocess:Popen.__init__", "time:sleep"
"""What no button may do itself, whatever it is for."""


class Watch:
    """Notes what is entered while a button is pressed, and what is entered at all."""

    def __init__(self, monkeypatch):
        self.pressed = ""
        self.met: list[str] = []
        self.entered: set[str] = set()
        self._patch = monkeypatch

    def over(self, place: str) -> None:
        module, _, name = place.partition(":")
        root = "" if place in ANYWHERE else WIDGETS
        owner = import_module(root + module)
        *inside, last = name.split(".")
        for part in inside:
            owner = getattr(owner, part)
        whole = getattr(owner, last)

        def watched(*given, **more):
            self.entered.add(place)
            if self.pressed and threading.current_thread() is threading.main_thread():
                self.met.append(f"“{self.pressed}” waits for {name}")
            return whole(*given, **more)

        self._patch.setattr(owner, last, watched)

    def press_all(self, panel) -> list[str]:
        """Press each button of a panel that can be pressed; return their names."""
        names = []
        buttons = panel.findChildren(QAbstractButton)
        for button in sorted(buttons, key=lambda one: "Back" in one.accessibleName()):
            try:
                if not (button.isVisible() and button.isEnabled()):
                    continue
                self.pressed = button.accessibleName() or button.text() or type(button).__name__
                QTest.mouseClick(button, Qt.MouseButton.LeftButton)
            except RuntimeError:  # an earlier one took it away
                continue
            names.append(self.pressed)
            self.pressed = ""
            for _ in range(20):
                QApplication.processEvents()
            for one in QApplication.topLevelWidgets():
                if isinstance(one, QDialog | QMenu) and one.isVisible():
                    one.close()
        return names


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


@pytest.fixture
def tables(shown, model_viewer):
    """A table of so many rows that napari takes its time for them, without a pixel size."""
    rows = np.arange(1, AT_ONCE + 501, dtype=np.uint32)
    layer = model_viewer.add_labels(rows.reshape(50, -1), name="objects")
    layer.features = {"index": rows, "pixels": rows % 97 + 1, "mean": rows % 89, "more": rows % 7,
                      "a": rows % 5, "b": rows, "c": rows, "d": rows, "e": rows}  # fmt: skip
    return shown(ToolTablesWidget(model_viewer), 1200, 400)


@pytest.fixture
def history(shown, qtbot, model_viewer, manager, tmp_path, monkeypatch):
    """The list of jobs, with one chosen."""
    monkeypatch.setattr(WIDGETS + "history.actions.open_path", lambda _: True)
    job = prepare(invert_tool(tmp_path / "tools"), {"i": np.ones((4, 4), np.uint8)},
                  config={"workspace": str(tmp_path / "jobs")})  # fmt: skip
    run_job(job)
    job.record()
    panel = HistoryPanel(
        model_viewer,
        manager=JobManager(),
        workspaces=lambda: tmp_path / "jobs",
        open_tool=lambda _: None,
    )
    with qtbot.waitSignal(panel.model.loaded, timeout=30_000):
        shown(panel, 500)
    panel.view.setCurrentIndex(panel.filter.index(0, 0))
    return panel


@pytest.fixture
def search(qtbot, model_viewer, manager):
    dock = ToolRunnerWidget(model_viewer, manager=manager)
    qtbot.addWidget(dock)
    dock.resize(350, 700)
    dock.show()
    return dock


@pytest.fixture
def form(qtbot, search, model_viewer):
    model_viewer.add_image(np.ones((8, 8)))
    opened(qtbot, search, "gaussian_filter")
    return search.page


@pytest.mark.parametrize("name", list(HEAVY))
def test_a_press_returns_before_what_takes_its_time(request, qtbot, watch, tmp_path, name):
    panel = request.getfixturevalue(name)
    files = SimpleNamespace(
        save=lambda *_, **__: (str(tmp_path / "table.csv"), "CSV (*.csv)"),
        folder=lambda *_, **__: str(tmp_path),
    )
    watch._patch.setattr(QFileDialog, "getSaveFileName", staticmethod(files.save))
    watch._patch.setattr(QFileDialog, "getExistingDirectory", staticmethod(files.folder))
    for place in (*HEAVY[name], *ANYWHERE):
        watch.over(place)
    names = watch.press_all(panel)
    assert len(names) > 3, names
    qtbot.waitUntil(lambda: watch.entered >= {*HEAVY[name]}, timeout=30_000)
    assert not watch.met, names
