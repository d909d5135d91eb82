"""The real window: docked as napari docks it, run, cancelled, closed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.settings import get_settings
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QAction, QShortcut
from qtpy.QtWidgets import QAbstractButton, QApplication, QWidget
from run_tools import invert_tool, sleep_tool
from widget_tools import long_tool, opened

from napari_tool_runner.plugins.programs.watchdog import marked_ids
from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder
from napari_tool_runner.tools.toolbox.trust import approve
from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.tool_widget import ToolWidget

pytestmark = pytest.mark.viewer
WAIT = 30_000


@pytest.fixture
def viewer(make_napari_viewer):
    """A shown viewer."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1100, 700)
    QApplication.processEvents()
    return viewer


def toolbox_of(folder: Path) -> Toolbox:
    """A toolbox of one approved folder."""
    approve(folder)
    return Toolbox([ToolboxFolder("mine", folder)], cache_dir=folder.parent / "cache")


def test_find_fill_run_by_keyboard_alone(qtbot, viewer, manager, cells, tmp_path):
    invert_tool(tmp_path / "box")
    viewer.add_image(cells, name="cells", scale=(0.5, 0.5))
    widget = ToolRunnerWidget(viewer, toolbox=toolbox_of(tmp_path / "box"), manager=manager)
    viewer.window.add_dock_widget(widget, name="Tool Runner")
    widget.finder.search.setFocus()
    qtbot.keyClicks(widget.finder.search, "invrt")
    qtbot.keyClick(widget.finder.search, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: widget.page is not None, timeout=WAIT)
    page = widget.page
    assert page.tool.id == "invert"
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page._run_by_key()
    assert len(viewer.layers) == 2
    result = viewer.layers[1]
    np.testing.assert_array_equal(np.asarray(result.data), 255 - cells)
    assert tuple(result.scale) == (0.5, 0.5)
    assert viewer.layers[0].name == "cells"


def test_the_docked_combo_boxes_follow_the_layer_list(qtbot, viewer, manager, cells, tmp_path):
    invert_tool(tmp_path / "box")
    widget = ToolRunnerWidget(viewer, toolbox=toolbox_of(tmp_path / "box"), manager=manager)
    viewer.window.add_dock_widget(widget, name="Tool Runner")
    page = opened(qtbot, widget, "invert")
    combo = page.form.row("i").field.combo
    first = viewer.add_image(cells, name="first")
    second = viewer.add_image(cells, name="second")
    names = [combo.itemText(index) for index in range(combo.count())]
    assert names[:2] == ["second", "first"]
    second.name = "renamed"
    assert combo.itemText(0) == "renamed"
    viewer.layers.remove(second)
    assert page.form.values()["i"] is first


@pytest.mark.parametrize("count", [60, 802])
def test_a_long_form_never_pushes_the_window(qtbot, viewer, manager, count):
    before = viewer.window._qt_window.size()
    page = ToolWidget(long_tool(count), viewer, manager=manager)
    dock = viewer.window.add_dock_widget(page, name="Long")
    QApplication.processEvents()
    width = dock.width()
    page.form.builder.finish()
    for _ in range(5):
        QApplication.processEvents()
    assert viewer.window._qt_window.size() == before
    assert dock.width() == width
    bar = page.run_bar.run_button
    # Run never scrolls away
    bottom = bar.mapTo(viewer.window._qt_window, bar.rect().bottomLeft()).y()
    assert bottom < viewer.window._qt_window.height()


def test_closing_the_window_ends_the_program(qtbot, viewer, manager, tmp_path):
    page = ToolWidget(sleep_tool(tmp_path, stubborn=True), viewer, manager=manager)
    viewer.window.add_dock_widget(page, name="Sleeper")
    job = page.run()

    def told() -> bool:
        return any(line.startswith("pid ") for line in job.log.tail(1000))

    qtbot.waitUntil(told, timeout=WAIT)
    pids = marked_ids(f"{os.getpid()}-")  # inside they have other numbers
    assert pids
    viewer.close()
    assert job.wait(15)
    assert not set(pids) & set(marked_ids(f"{os.getpid()}-"))


def test_closing_the_dock_lets_the_job_go_on(qtbot, viewer, manager, cells, tmp_path):
    viewer.add_image(cells, name="cells")
    page = ToolWidget(invert_tool(tmp_path), viewer, manager=manager)
    dock = viewer.window.add_dock_widget(page, name="Invert")
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page.run()
        viewer.window.remove_dock_widget(dock)
    assert len(viewer.layers) == 2
    page.close()
    page.deleteLater()


@pytest.mark.slow
def test_quitting_napari_with_a_running_tool_leaves_no_process(tmp_path):
    """The whole program, as a user quits it: by the application's own quit."""
    sleep_tool(tmp_path / "box", stubborn=True)
    script = tmp_path / "session.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import json, os, sys
            from pathlib import Path
            import napari
            from qtpy.QtCore import QTimer
            from napari_tool_runner.tools import read_tool
            from napari_tool_runner.widgets import ToolWidget

            viewer = napari.Viewer(show=True)
            page = ToolWidget(read_tool({str(tmp_path / "box" / "sleeper.xml")!r}), viewer)
            viewer.window.add_dock_widget(page)
            job = page.run()

            def look():
                told = [line for line in job.log.tail(1000) if line.startswith("pid ")]
                if told:
                    Path(sys.argv[1]).write_text(str(os.getpid()))
                    timer.stop()
                    QTimer.singleShot(0, viewer.close)

            timer = QTimer()
            timer.timeout.connect(look)
            timer.start(50)
            napari.run()
            """
        ),
        encoding="utf-8",
    )
    told = tmp_path / "pid"
    process = subprocess.run(
        [sys.executable, str(script), str(told)],
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert process.returncode == 0
    mark = f"{told.read_text()}-"
    deadline = time.monotonic() + 10
    while marked_ids(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not marked_ids(mark)


def test_the_plugin_opens_from_naparis_menu(qtbot, viewer):
    """Through napari's own path, so that a missing viewer would be noticed."""
    _, widget = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool Runner")
    assert isinstance(widget, ToolRunnerWidget)
    assert widget._viewer is not None
    qtbot.waitUntil(lambda: "gaussian_filter" in widget.toolbox, timeout=WAIT)
    widget.open_sample("spots_2d")
    assert len(viewer.layers) >= 1
    assert widget.welcome.isHidden()
    page = widget.open_tool("gaussian_filter")
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page.run()
    assert len(viewer.layers) == 2
    assert json.dumps(viewer.layers[1].metadata["napari_tool_runner"])


def test_a_slice_and_what_is_seen_of_the_real_canvas(qtbot, viewer, manager, tmp_path):
    """Zoomed in on a stack: the result lies at the slice and at the place that is looked at."""
    from qtpy.QtTest import QTest

    from napari_tool_runner.widgets.forms.extents import Choice

    generator = np.random.default_rng(1)
    stack = generator.integers(0, 255, (6, 200, 300)).astype(np.uint8)
    layer = viewer.add_image(stack, name="stack", scale=(3, 0.5, 0.5))
    page = ToolWidget(invert_tool(tmp_path), viewer, manager=manager)
    viewer.window.add_dock_widget(page, name="Invert")
    bar = page.extent_bar
    qtbot.waitUntil(bar.isVisible, timeout=WAIT)
    assert bar.choice is Choice.WHOLE
    getattr(viewer, "scene", viewer).camera.zoom *= 8
    viewer.dims.set_current_step(0, 4)
    qtbot.waitUntil(bar.seen.isEnabled, timeout=WAIT)
    bar.combo.setFocus()
    QTest.keyClicks(bar.combo, "curr")
    bar.combo.activated.emit(bar.combo.currentIndex())
    assert bar.choice is Choice.CURRENT
    qtbot.waitUntil(lambda: "4/5" in bar.combo.currentText(), timeout=WAIT)
    qtbot.mouseClick(bar.seen, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    assert "of 200 × 300 pixels" in bar.words.text()
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        qtbot.mouseClick(page.run_bar.run_button, Qt.MouseButton.LeftButton)
    assert len(viewer.layers) == 2, page.run_bar.message.text()
    part = viewer.layers[1]
    assert part.data.shape[0] == 1
    assert part.data.shape[1] < 200
    start = np.round(layer.world_to_data(part.data_to_world((0, 0, 0)))).astype(int)
    assert start[0] == 4
    assert start[1] > 0
    box = tuple(slice(a, a + n) for a, n in zip(start, part.data.shape, strict=True))
    np.testing.assert_array_equal(np.asarray(part.data), 255 - stack[box])


PANEL = tuple(f"napari-tool-runner.panel{end}" for end in ("", "_start", "_show"))
BY_WORDS = (  # in the palette with its fuzzy search; others of each kind are found, too
    "tool runner | Tool Runner | tool-runner | toolrunner | runner | napari tool runner | "
    "napari-tool-runner | tool run | find tool | find tools | find a tool | tool finder | tools | "
    "run tool | run tools | search tool | search tools | tool search | open tool runner | "
    "tool runner panel | toolbox | show tool runner | "
    "show runner | show tools"
)


def _palette() -> QWidget:
    """napari's own command palette."""
    (found,) = (
        widget
        for widget in QApplication.allWidgets()
        if type(widget).__name__ == "QCommandPalette"
    )
    return found


def _first(typed: str) -> str:
    """The command that napari's palette shows first."""
    return next(iter(_palette()._list.iter_top_hits(typed))).id


def test_the_palette_finds_the_panel_first_by_the_words_that_people_type(viewer):
    wrong = {typed: _first(typed) for typed in map(str.strip, BY_WORDS.split("|"))}
    assert not {typed: found for typed, found in wrong.items() if found not in PANEL}
    for typed, name in (("tool history", "Tool History"), ("tables", "Tool Tables")):
        assert _first(typed).endswith(name.replace("Tool ", "").lower()) or name in _first(typed)
    assert "threshold" in _first("threshold")
    assert "gaussian" in _first("gaussian filter")


def test_the_panel_is_found_by_its_name_and_search_has_the_keyboard(qtbot, viewer):
    get_settings().experimental.command_palette_fuzzy_search = "Disabled"
    for typed in ("tool runner", "runner", "find tool", "napari tool runner", "panel"):
        assert _first(typed) == PANEL[0]
    get_app_model().commands.execute_command(PANEL[0]).result()
    (dock,) = (
        widget
        for widget in viewer.window.dock_widgets.values()
        if isinstance(widget, ToolRunnerWidget)
    )
    qtbot.waitUntil(lambda: dock.window().focusWidget() is dock.finder.search)


def test_opening_the_panel_gives_the_keyboard_to_the_search(qtbot, viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool Runner")
    qtbot.waitUntil(lambda: dock.window().focusWidget() is dock.finder.search)


def _keys_of(menu) -> set[str]:
    """Every key of a menu of napari's window, also of menus in it."""
    found = set()
    for action in menu.actions():
        found |= {key.toString() for key in action.shortcuts()}
        if action.menu() is not None:
            found |= _keys_of(action.menu())
    return found


def test_no_key_of_ours_is_one_of_naparis(qtbot, viewer):
    for name in ("Tool Runner", "Tool History", "Tool Tables"):
        viewer.window.add_plugin_dock_widget("napari-tool-runner", name)
    dock = next(
        widget
        for widget in viewer.window.dock_widgets.values()
        if isinstance(widget, ToolRunnerWidget)
    )
    assert opened(qtbot, dock, "threshold") is not None
    ours = {
        key.toString()
        for widget in viewer.window.dock_widgets.values()
        for kind in (QAction, QShortcut)
        for owner in widget.findChildren(kind)
        for key in (owner.shortcuts() if kind is QAction else [owner.key()])
    }
    ours |= {b.shortcut().toString() for b in dock.findChildren(QAbstractButton)}
    assert {"Ctrl+Return", "Ctrl+F"} <= ours
    window = viewer.window._qt_window
    assert (ours - {""}) & _keys_of(window.menuBar()) == set()


def test_docks_that_share_a_column_leave_the_run_bar_its_room(qtbot, viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool Runner")
    page = opened(qtbot, dock, "threshold")
    size = viewer.window._qt_window.size()
    parts = (
        page.run_bar.run_button,
        page.run_bar.cancel_button,
        page.run_bar.where,
        page.log.toggle,
    )
    QApplication.processEvents()
    heights = [part.height() for part in parts]
    viewer.window.add_plugin_dock_widget("napari-tool-runner", "Tool History")
    qtbot.waitUntil(lambda: dock.height() < size.height() * 2 / 3)
    page.run_bar.say("A sentence that is much too long for one line. " * 4, "failed")
    QApplication.processEvents()
    assert [part.height() for part in parts] == heights
    assert viewer.window._qt_window.size() == size
