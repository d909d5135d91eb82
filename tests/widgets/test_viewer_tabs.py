"""The run row stays where it is when its dock gets tabs."""

from __future__ import annotations

import pytest
from widget_tools import around, opened

pytestmark = pytest.mark.viewer


def test_run_stands_where_it_stood_when_its_dock_gets_and_loses_tabs(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    window = viewer.window._qt_window
    window.resize(1366, 700)
    _, panel = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool Runner")
    page, dock = opened(qtbot, panel, "threshold"), around(panel)
    bar = page.run_bar

    def foot() -> int:
        return window.mapFromGlobal(bar.mapToGlobal(bar.rect().bottomLeft())).y()

    qtbot.wait(300)
    before = foot()
    _, history = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool History")
    window.tabifyDockWidget(dock, around(history))
    dock.raise_()
    qtbot.wait(300)
    assert window.tabifiedDockWidgets(dock)
    assert abs(foot() - before) <= 1
    around(history).setFloating(True)
    qtbot.wait(300)
    assert abs(foot() - before) <= 1
