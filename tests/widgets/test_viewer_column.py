"""The run bar in napari's window, beside napari's own docks and those of others."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import QApplication, QWidget
from widget_tools import around, is_whole, opened

from napari_tool_runner.widgets.parts import docking

pytestmark = pytest.mark.viewer
LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
SAID = "A sentence that is much too long for one line. "
BUTTONS = [(word, list) for word in ("Measure them…", "Undo")]


@pytest.mark.parametrize("size", [QRect(0, 0, 1366, 700), QRect(0, 0, 683, 384)])
def test_the_run_bar_is_whole_wherever_it_is_docked(qtbot, make_napari_viewer, monkeypatch, size):
    monkeypatch.setattr(docking, "screen_room", lambda _: size)
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(size.size())
    window.move(0, 0)
    _, panel = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool Runner")
    page = opened(qtbot, panel, "threshold")
    dock = around(panel)
    assert dock.widget() is panel

    least = 560  # what napari's own docks need

    def fits() -> bool:
        return window.frameGeometry().height() <= max(size.height(), least)

    def holds() -> None:
        for times in (0, 1, 3, 60):
            page.run_bar.say(SAID * times, "failed", BUTTONS if times else [])
            qtbot.waitUntil(lambda: is_whole(page, size))
            qtbot.waitUntil(fits)

    holds()
    window.addDockWidget(LEFT, dock)  # below the layer list
    qtbot.waitUntil(lambda: bool(window.tabifiedDockWidgets(dock)))
    holds()
    _, history = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool History")
    window.addDockWidget(LEFT, around(history))
    qtbot.wait(200)
    dock.raise_()
    holds()
    window.addDockWidget(RIGHT, dock)
    others = [QWidget(), QWidget()]
    for number, other in enumerate(others):
        other.setMinimumHeight(300)
        viewer.window.add_dock_widget(other, name=f"Other {number}", area="right")
        least = max(560, 365 * (number + 1))
        qtbot.wait(200)
        dock.raise_()
        holds()
    dock.setFloating(True)
    dock.move(0, 0)
    dock.resize(dock.minimumSizeHint())
    QApplication.processEvents()
    holds()
