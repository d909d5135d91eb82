"""Where the tables stand: below the canvas, readable, and out of the way when they float."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_tool_runner.widgets.parts import docking
from napari_tool_runner.widgets.results.dock import FLOATING, ToolTablesWidget

AREAS = Qt.DockWidgetArea
room_of = docking._room


@pytest.fixture
def large(monkeypatch):
    """A screen that is large enough, whatever that of the tests is."""
    monkeypatch.setattr(docking, "_room", lambda _: QRect(0, 0, 3000, 3000))


@pytest.fixture
def window(shown, large, qtbot, model_viewer):
    """A window with a canvas, a tall dock at the left and the tables below."""
    layer = model_viewer.add_labels(np.arange(49).reshape(7, 7), name="Nuclei")
    layer.features = pd.DataFrame({"index": range(1, 49), "area": range(1, 49)})
    window = QMainWindow()
    window.setCentralWidget(QWidget())
    for area, inside in (
        (AREAS.LeftDockWidgetArea, QWidget()),
        (AREAS.BottomDockWidgetArea, ToolTablesWidget(model_viewer)),
    ):
        dock = QDockWidget("Tables", window)
        dock.setWidget(inside)
        window.addDockWidget(area, dock)
    window.findChildren(QDockWidget)[0].widget().setMinimumSize(300, 600)
    return shown(window, 1200, 740)


@pytest.fixture
def tables(window):
    return window.findChild(ToolTablesWidget)


def dock_of(widget):
    return next(d for d in widget.window().findChildren(QDockWidget) if d.widget() is widget)


def test_only_the_canvas_gives_way_to_a_plot(qtbot, window, tables):
    left = window.findChildren(QDockWidget)[0]
    qtbot.waitUntil(lambda: left.height() > 700)
    before = window.size()
    tables.plot_button.click()
    qtbot.waitUntil(lambda: tables.height() > 280 and tables.plots.axes is not None)
    assert tables.view.body.orientation() == Qt.Orientation.Horizontal
    assert tables.plots.canvas.height() >= 130
    assert tables.view.table.height() > 130
    assert left.height() > 700
    assert window.size() == before


def test_who_makes_the_dock_lower_still_reads_the_plot(qtbot, window, tables):
    tables.plot_button.click()
    qtbot.waitUntil(lambda: tables.plots.axes is not None)
    window.resizeDocks([dock_of(tables)], [50], Qt.Orientation.Vertical)
    qtbot.waitUntil(lambda: tables.plots.hint.isHidden())
    assert tables.plots.canvas.height() >= 130
    window.resizeDocks([dock_of(tables)], [500], Qt.Orientation.Vertical)
    qtbot.waitUntil(lambda: tables.plots.hint.isVisible())


def test_a_narrow_dock_has_its_plot_below_the_table(qtbot, window, tables):
    window.addDockWidget(AREAS.RightDockWidgetArea, dock_of(tables))
    tables.plot_button.click()
    window.resizeDocks([dock_of(tables)], [330], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: tables.view.body.orientation() == Qt.Orientation.Vertical)
    qtbot.waitUntil(lambda: tables.plots.axes is not None)
    assert tables.plots.canvas.height() >= 130


def test_tables_that_float_have_a_size_of_their_own_and_leave_the_right_free(
    qtbot, window, tables
):
    dock = dock_of(tables)
    dock.setFloating(True)
    qtbot.waitUntil(lambda: dock.size() == FLOATING)
    inside = window.geometry()
    qtbot.waitUntil(lambda: dock.geometry().right() <= inside.right() - 400)
    dock.setFloating(False)
    qtbot.waitUntil(lambda: tables.height() < FLOATING.height())


def test_tables_beyond_the_edge_of_the_screen_float_in_sight(qtbot, window, tables, monkeypatch):
    monkeypatch.setattr(docking, "_room", room_of)
    dock, room = dock_of(tables), window.screen().availableGeometry()
    window.resize(1200, 2 * room.bottom())  # as napari's window is that cannot be smaller
    qtbot.waitUntil(lambda: dock.y() > room.bottom())
    tables._take_room()
    assert dock.isFloating()
    qtbot.waitUntil(lambda: room.contains(dock.geometry()))
    dock.move(room.left(), room.bottom() - 40)
    dock.resize(dock.width(), dock.height() + 20)  # as when a plot comes
    qtbot.waitUntil(lambda: room.contains(dock.geometry()))


def test_tables_stand_alone_in_a_script(shown, model_viewer):
    tables = shown(ToolTablesWidget(model_viewer), 600, 300)
    tables.plot_button.click()
    tables._float_low()
    assert tables.height() == 300
