"""Where the tables stand: below the canvas, readable, and out of the way when they float."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QObject, QPoint, QRect, QSize, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QPushButton, QWidget

from napari_tool_runner.widgets.parts import docking
from napari_tool_runner.widgets.results import scene
from napari_tool_runner.widgets.results.dock import FLOATING, ToolTablesWidget
from napari_tool_runner.widgets.results.scene import Fitting
from napari_tool_runner.widgets.running.run_bar import RunBar

AREAS = Qt.DockWidgetArea
room_of = docking.screen_room


@pytest.fixture
def large(monkeypatch):
    """A screen that is large enough, whatever that of the tests is."""
    monkeypatch.setattr(docking, "screen_room", lambda _: QRect(0, 0, 3000, 3000))


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
    qtbot.waitUntil(lambda: tables.height() < 320)
    assert tables.plots.canvas.height() >= 130
    assert tables.plots.hint.isVisible()


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


@pytest.mark.parametrize("area", [AREAS.RightDockWidgetArea, AREAS.LeftDockWidgetArea])
def test_tables_that_float_leave_a_run_bar_free(qtbot, window, tables, monkeypatch, area):
    bar, dock = RunBar(QWidget()), QDockWidget("Runner", window)
    dock.setWidget(bar)
    window.addDockWidget(area, dock)
    room = QRect(window.x(), window.y(), 900, 500)  # a part of the window only is seen
    monkeypatch.setattr(docking, "screen_room", lambda _: room)
    floating = dock_of(tables)
    floating.setFloating(True)

    def apart() -> bool:
        place = QRect(bar.mapToGlobal(QPoint()), bar.size())
        return room.contains(floating.geometry()) and not floating.geometry().intersects(place)

    qtbot.waitUntil(apart)


def test_without_another_place_tables_float_over_a_run_bar():
    inside, size = QRect(0, 0, 300, 300), QSize(760, 380)
    assert docking._beside(QRect(20, 20, 260, 270), inside, size, QSize(200, 200)) == inside
    assert docking._beside(QRect(), inside, size, QSize(200, 200)) == inside
    above = docking._beside(QRect(0, 250, 300, 50), inside, size, QSize(200, 200))
    assert above == QRect(0, 0, 300, 250)


def test_tables_beyond_the_edge_of_the_screen_float_in_sight(qtbot, window, tables, monkeypatch):
    monkeypatch.setattr(docking, "screen_room", room_of)
    dock, room = dock_of(tables), window.screen().availableGeometry()
    window.resize(1200, 2 * room.bottom())  # as napari's window is that cannot be smaller
    qtbot.waitUntil(lambda: dock.y() > room.bottom())
    tables._take_room()
    assert dock.isFloating()
    assert window.height() <= max(room.height(), window.minimumSizeHint().height())
    qtbot.waitUntil(lambda: room.contains(dock.geometry()))
    dock.move(room.left(), room.bottom() - 40)
    dock.resize(dock.width(), dock.height() + 20)  # as when a plot comes
    qtbot.waitUntil(lambda: room.contains(dock.geometry()))


def test_tables_stand_alone_in_a_script(shown, model_viewer):
    tables = shown(ToolTablesWidget(model_viewer), 600, 300)
    tables.plot_button.click()
    tables._float_low()
    assert tables.height() == 300


@pytest.fixture
def low(monkeypatch):
    """A screen that is lower than the windows on it."""
    monkeypatch.setattr(docking, "screen_room", lambda _: QRect(0, 0, 700, 400))


def test_the_foot_of_a_panel_stays_on_a_screen_that_is_lower_than_the_window(qtbot, shown, low):
    panel, foot, window = QWidget(), QPushButton("Run"), QMainWindow()
    docking.column_in_sight(panel, (QWidget(), 1), foot, margins=(0, 0, 0, 3))
    dock = QDockWidget("Panel", window)
    dock.setWidget(panel)
    window.setCentralWidget(QWidget())
    window.addDockWidget(AREAS.RightDockWidgetArea, dock)
    shown(window, 500, 600)
    window.move(0, 0)

    def end():
        return foot.mapToGlobal(foot.rect().bottomLeft()).y()

    qtbot.waitUntil(lambda: 300 < end() < 400)
    window.resize(500, 350)  # it is no higher than the screen now: the panel is whole again
    qtbot.waitUntil(lambda: panel.layout().contentsMargins().bottom() == 3)


def test_a_panel_leaves_what_it_need_not_have_to_a_narrow_canvas(qtbot, shown, low):
    class Panel(QWidget):
        def minimumSizeHint(self):
            return QSize(200, 50)

        def sizeHint(self):
            return QSize(450, 300)

    panel, window = Panel(), QMainWindow()
    docking.column_in_sight(panel, QPushButton("Run"))
    dock = QDockWidget("Panel", window)
    dock.setWidget(panel)
    window.setCentralWidget(QWidget())
    window.addDockWidget(AREAS.RightDockWidgetArea, dock)
    shown(window, 500, 300)
    qtbot.waitUntil(lambda: dock.width() < 230)


def test_a_table_floats_where_it_would_be_too_narrow(qtbot, window, tables, monkeypatch):
    monkeypatch.setattr(docking, "screen_room", lambda _: QRect(0, 0, 3000, 3000))
    dock = dock_of(tables)
    assert not dock.isFloating()
    left = window.findChildren(QDockWidget)[0]
    left.widget().setMinimumWidth(1100)
    qtbot.waitUntil(lambda: dock.width() < 240)
    tables._take_room()
    assert dock.isFloating()


@pytest.mark.parametrize(("zoomed", "fitted"), [(1.016, True), (0.97, True), (1.2, False)])
def test_a_picture_that_was_whole_is_fitted_again_also_where_the_canvas_changed(
    qtbot, model_viewer, zoomed, fitted
):
    model_viewer.add_image(np.zeros((50, 60)))
    camera = getattr(model_viewer, "scene", model_viewer).camera
    model_viewer.fit_to_view()
    whole = camera.zoom
    fitting = Fitting(model_viewer, QObject())
    camera.zoom = whole * zoomed  # as it was fitted in another canvas, or by somebody
    fitting.look()
    assert camera.zoom == whole * zoomed, "to look changes nothing"
    fitting._fit()
    assert camera.zoom == pytest.approx(whole if fitted else whole * zoomed, abs=1e-9)


@pytest.mark.parametrize("zoomed", [False, True])
def test_a_picture_that_was_whole_beside_hidden_ones_stays_whole(
    model_viewer, monkeypatch, zoomed
):
    size = [np.array([400, 600])]
    monkeypatch.setattr(scene, "_half", lambda viewer: size[0] / scene.camera_of(viewer).zoom / 2)
    model_viewer.add_image(np.zeros((900, 900)), visible=False)
    model_viewer.add_image(np.zeros((100, 100)))
    camera = scene.camera_of(model_viewer)
    camera.zoom, camera.center = (20.0, (0, 50, 50)) if zoomed else (2.0, (0, 90, 120))
    before = camera.zoom, camera.center
    fitting = Fitting(model_viewer, QObject())
    fitting.look()
    size[0] = np.array([250, 600])  # a dock took the rest
    fitting._fit()
    assert ((camera.zoom, camera.center) == before) is zoomed
    if not zoomed:
        assert camera.zoom == 2, "it fits"
        assert camera.center[-2:] == pytest.approx((59.5, 120))
        fitting.look()
        size[0] = np.array([150, 600])
        fitting._fit()
        assert scene._is_whole(model_viewer)
        assert 1 < camera.zoom < 1.5
