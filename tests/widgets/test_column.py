"""Docks that share a column: what is pressed stays whole, and the window on the screen."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget
from widget_tools import around, is_whole, long_tool

from napari_tool_runner.widgets.parts import docking
from napari_tool_runner.widgets.tool_widget import ToolWidget

LEFT = Qt.DockWidgetArea.LeftDockWidgetArea
SAID = "A sentence that is much too long for one line. "
BUTTONS = [(word, list) for word in ("Measure them…", "Undo", "Show log", "Run it anyway")]


@pytest.fixture
def page(shown, model_viewer, manager):
    """A page of many fields with a foot."""
    page = ToolWidget(long_tool(40), model_viewer, manager=manager)
    shown(page, 320, 600)
    page.form.builder.finish()
    return page


@pytest.mark.parametrize("height", [240, 150, 600])
@pytest.mark.parametrize("times", [0, 1, 4])
def test_what_is_above_gives_way_and_the_run_bar_does_not(qtbot, page, height, times):
    page.run_bar.say(SAID * times, "failed", BUTTONS[: 3 * bool(times)])
    page.setMinimumSize(280, 0)
    page.resize(320, max(height, page.run_bar.minimumSizeHint().height() + 30))
    room = page.screen().geometry()
    qtbot.waitUntil(lambda: is_whole(page, room))


def test_a_sentence_without_end_scrolls(qtbot, page):
    page.run_bar.say(SAID * 80, "failed", BUTTONS)
    page.resize(320, 330)
    qtbot.waitUntil(lambda: is_whole(page, page.screen().geometry()))
    assert page.minimumSizeHint().height() < 330
    line = page.fontMetrics().lineSpacing()
    qtbot.waitUntil(lambda: 7 * line < page.run_bar.message.label.height() < 10 * line)


def test_a_sentence_of_few_lines_is_seen_whole(qtbot, page):
    for times in (1, 2, 3):
        page.run_bar.say(SAID * times, "info")
        label = page.run_bar.message.label._text

        def whole(label=label) -> bool:
            seen = label.visibleRegion().boundingRect().height()
            return seen >= label.heightForWidth(label.width())

        qtbot.waitUntil(whole)


def test_who_opens_the_log_where_there_is_no_room_sees_it(qtbot, page):
    page.resize(320, 260)
    page.log.toggle.click()
    qtbot.waitUntil(lambda: page.log.visibleRegion().boundingRect().height() > 60)
    assert is_whole(page, page.screen().geometry())


@pytest.fixture
def low(monkeypatch):
    """A screen of a small notebook."""
    room = QRect(0, 0, 1366, 700)
    monkeypatch.setattr(docking, "screen_room", lambda _: room)
    return room


@pytest.mark.parametrize("heights", [(300, 180), (300, 300), (180, 180, 150), (600, 150)])
@pytest.mark.parametrize("first", [True, False])
def test_a_column_that_is_higher_than_the_screen_has_tabs(
    qtbot, shown, model_viewer, manager, low, heights, first
):
    window = QMainWindow()
    window.setCentralWidget(QWidget())
    page = ToolWidget(long_tool(40), model_viewer, manager=manager)
    others = [QWidget() for _ in heights]
    for other, height in zip(others, heights, strict=True):
        other.setMinimumHeight(height)
    for inside in [page, *others] if first else [*others, page]:
        dock = QDockWidget("Dock", window)
        dock.setWidget(inside)
        window.addDockWidget(LEFT, dock)
    shown(window, 800, 600)
    window.move(0, 0)
    page.run_bar.say(SAID * 2, "failed", BUTTONS)
    frame = window.frameGeometry
    qtbot.waitUntil(lambda: frame().height() <= max(low.height(), sum(heights) + 120))
    qtbot.waitUntil(lambda: frame().bottom() <= low.bottom() or sum(heights) > 700)
    qtbot.waitUntil(lambda: is_whole(page, low))


def test_a_column_that_the_screen_shows_has_none(qtbot, shown, model_viewer, manager, low):
    window = QMainWindow()
    window.setCentralWidget(QWidget())
    page = ToolWidget(long_tool(40), model_viewer, manager=manager)
    for inside in (QWidget(), page):
        inside.setMinimumHeight(200)
        dock = QDockWidget("Dock", window)
        dock.setWidget(inside)
        window.addDockWidget(LEFT, dock)
    shown(window, 800, 900)  # a person made it higher than the screen
    window.move(0, 0)
    qtbot.wait(200)
    assert not window.tabifiedDockWidgets(around(page))
    assert window.height() == 900
