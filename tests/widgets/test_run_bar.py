"""The run bar stands still, answers at once, and says in words and colours what happened."""

from __future__ import annotations

from itertools import pairwise

import pytest
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication, QWidget
from run_tools import fail_tool, invert_tool, sleep_tool

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import JobManager
from napari_tool_runner.plugins import Fetch, Plan, Progress
from napari_tool_runner.tools.toolbox.trust import Trust, TrustState
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.messages import MessageBar, MessageLabel
from napari_tool_runner.widgets.running import services
from napari_tool_runner.widgets.running.run_bar import RunBar
from napari_tool_runner.widgets.running.services import Services
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 30_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def page(shown, model_viewer, tmp_path):
    """Opens the page of a tool on a viewer without a window."""
    manager = JobManager()

    def open_page(tool) -> ToolWidget:
        store = PresetStore(tmp_path / "presets")
        return shown(ToolWidget(tool, model_viewer, manager=manager, presets=store))

    yield open_page
    manager.shutdown()


@pytest.fixture
def bar(shown) -> RunBar:
    return shown(RunBar(QWidget()), height=150)


def places(page: ToolWidget) -> list[QRect]:
    """Return where the fixed parts of the bar are, on the page."""
    QApplication.processEvents()
    bar = page.run_bar
    parts = bar.run_button, bar.cancel_button, bar.where, bar.progress
    return [QRect(part.mapTo(page, QPoint(0, 0)), part.size()) for part in parts]


def test_services_that_nobody_waits_for_are_asked_no_further(qtbot, monkeypatch):
    asked = []

    def ask(tool, cancel):
        asked.append(cancel)
        cancel.wait(WAIT / 1000)
        return Services(problem=str(cancel.requested))

    monkeypatch.setattr(services, "_ask", ask)
    lookup = services.ServiceLookup(None)
    lookup.start()
    qtbot.waitUntil(lambda: len(asked) == 1, timeout=WAIT)
    lookup.start()
    qtbot.waitUntil(lambda: len(asked) == 2, timeout=WAIT)
    assert [cancel.requested for cancel in asked] == [True, False]
    lookup.deleteLater()
    qtbot.waitUntil(lambda: asked[1].requested, timeout=WAIT)


def test_the_service_is_read_to_its_end(bar):
    bar.resize(340, 150)
    bar.show_choice("LOCAL (auto)", "The tool requires nothing.")
    QApplication.processEvents()
    assert bar.where._shortened() == "LOCAL (auto)"
    bar.show_choice("CONDA_DOCKER (auto)", "The tool requires packages.")
    assert "CONDA_DOCKER (auto)" in bar.where.toolTip()  # of what is cut all is told


def test_nothing_moves_from_run_to_the_end(qtbot, page, tmp_path):
    widget = page(sleep_tool(tmp_path))
    qtbot.waitUntil(lambda: bool(widget.services.choice), timeout=WAIT)
    before = places(widget)
    qtbot.mouseClick(widget.run_bar.run_button, LEFT)
    (job,) = widget.active_jobs
    assert places(widget) == before
    qtbot.waitUntil(lambda: job.progress is not None, timeout=WAIT)
    qtbot.waitUntil(lambda: "of 600" in widget.run_bar.phase.text(), timeout=WAIT)
    assert places(widget) == before
    qtbot.mouseClick(widget.log.toggle, LEFT)
    assert widget.log.is_open()
    assert places(widget) == before
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(widget.run_bar.cancel_button, LEFT)
    qtbot.mouseClick(widget.log.toggle, LEFT)
    assert widget.run_bar.message.isVisible()
    assert places(widget) == before


def test_a_failure_moves_nothing_either(qtbot, page, tmp_path):
    widget = page(fail_tool(tmp_path))
    qtbot.waitUntil(lambda: bool(widget.services.choice), timeout=WAIT)
    before = places(widget)
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(widget.run_bar.run_button, LEFT)
    assert widget.run_bar.message.kind() == "failed"
    assert widget.log.is_open()
    assert places(widget) == before


def test_run_and_cancel_are_answered_before_their_work(qtbot, page, tmp_path, monkeypatch):
    widget = page(sleep_tool(tmp_path))
    bar, manager = widget.run_bar, widget.manager()
    told: list[str] = []
    submit = manager.submit

    def slow(*given, **more):
        told.append(bar.phase.text())
        return submit(*given, **more)

    monkeypatch.setattr(manager, "submit", slow)
    qtbot.mouseClick(bar.run_button, LEFT)
    assert told == ["Starting…"]
    (job,) = widget.active_jobs
    cancel = job.cancel
    monkeypatch.setattr(job, "cancel", lambda: (told.append(bar.phase.text()), cancel()))
    assert bar.cancel_button.isEnabled()
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(bar.cancel_button, LEFT)
    assert told == ["Starting…", "Cancelling…"]
    assert not bar.cancel_button.isEnabled()
    assert bar.phase.text() == ""


def test_a_run_that_is_refused_leaves_no_progress(qtbot, page, tmp_path, monkeypatch):
    widget = page(sleep_tool(tmp_path))

    def refuse(*_, **__):
        raise ToolRunnerError("It is not to be.")

    monkeypatch.setattr(widget.manager(), "submit", refuse)
    qtbot.mouseClick(widget.run_bar.run_button, LEFT)
    assert not widget.run_bar.progress.isVisible()
    assert widget.run_bar.phase.text() == ""
    assert "It is not to be." in widget.run_bar.message.text()


def test_a_first_download_is_announced_before_run(qtbot, page, tmp_path):
    widget = page(sleep_tool(tmp_path))
    qtbot.waitUntil(lambda: bool(widget.services.choice), timeout=WAIT)
    plan = Plan(fetches=(Fetch("31 packages", 120_000_000),))
    widget.service_lookup.services = Services(choice="CONDA", plans={"CONDA": plan})
    widget.service_lookup.found.emit()
    assert widget.run_bar.run_button.isEnabled()
    assert "The first run fetches 31 packages (120 MB)." in widget.run_bar.message.text()
    widget.run()
    widget.cancel()
    qtbot.waitUntil(lambda: widget.services.choice == "LOCAL", timeout=WAIT)  # it is looked again
    assert not any(one.fetches for one in widget.services.plans.values())


def test_slices_are_counted_once(bar):
    bar.set_busy(True, queued=2)
    bar.show_progress("Slice 7 of 24", Progress("Slice 7 of 24", 6, 24), 3)
    assert bar.phase.text() == "Slice 7 of 24 · 2 waiting"
    assert bar.progress.value() == 250
    bar.show_progress("Running", Progress("Running", 6, 24), 3)
    assert bar.phase.text() == "Running · 6 of 24 · 2 waiting"


def test_a_long_phase_ends_in_an_ellipsis_and_has_a_tooltip(bar):
    long = "Downloading packages of a channel that has a very long name, one by one, to the end"
    bar.show_progress(long, None, 3)
    QApplication.processEvents()
    assert bar.phase.width() < bar.phase.fontMetrics().horizontalAdvance(long)
    assert long in bar.phase.toolTip().replace("<br>", " ")
    assert bar.phase._elidedText().endswith("…")


def test_a_narrow_choice_ends_in_an_ellipsis(shown):
    combo = NarrowCombo()
    combo.addItems(["short", "a name of a layer that is much longer than there is room for it"])
    shown(combo, width=120, height=30)
    assert combo._shortened() == "short"
    combo.setCurrentIndex(1)
    assert combo._shortened().endswith("…")
    assert combo.currentText().endswith("for it")


def test_buttons_go_to_a_second_row_before_their_words_are_cut(qtbot, shown):
    bar = MessageBar(stays=True)
    shown(bar, width=300, height=200)
    words = "Measure them…", "Undo", "Show log", "Run it anyway", "Open workspace"

    def places() -> list[QRect]:
        return [QRect(one.mapTo(bar, QPoint()), one.size()) for one in bar.buttons]

    def whole() -> bool:
        wide = all(one.width() >= one.sizeHint().width() for one in bar.buttons)
        apart = not any(one.intersects(other) for one, other in pairwise(places()))
        below = all(one.top() > bar.label.geometry().bottom() for one in places())
        return wide and apart and below and all(one.right() < 300 for one in places())

    for count in (5, 2, 5):  # also where others went before
        bar.say("Added.", "done", [(word, list) for word in words[:count]])
        qtbot.waitUntil(whole)
    assert places()[-1].top() > places()[0].bottom()


def test_apply_to_all_needs_no_more_room_than_run(bar):
    width = bar.run_button.width()
    bar.show_live(True, part=True)
    QApplication.processEvents()
    assert bar.run_button.width() == width
    assert bar.run_button.minimumWidth() >= bar.run_button.sizeHint().width()


@pytest.mark.parametrize(("kind", "name"), [("failed", "error"), ("problem", "warning")])
def test_what_is_wrong_has_a_sign_in_the_colour_of_the_theme(shown, kind, name):
    from napari.settings import get_settings
    from napari.utils.theme import get_theme

    label = MessageLabel()
    label.say("Something happened.", kind)
    shown(label, height=40)
    for theme in ("dark", "light"):
        get_settings().appearance.theme = theme
        label._sign.update()
        image = label._sign.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
        wanted = getattr(get_theme(theme), name).as_rgb_tuple()[:3]
        colors = {
            image.pixelColor(x, y).getRgb()[:3]
            for x in range(image.width())
            for y in range(image.height())
        }
        assert wanted in colors


def test_ctrl_enter_obeys_the_button(qtbot, page, model_viewer, cells, tmp_path):
    model_viewer.add_image(cells)
    widget = page(invert_tool(tmp_path))
    widget.trust.now = Trust(TrustState.CHANGED, tmp_path)  # seen when it was opened again
    widget._judge()
    assert not widget.run_bar.run_button.isEnabled()
    line = widget.form.row("n").field.box.lineEdit()
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert [*widget.manager().jobs] == []
    assert widget.run_bar.phase.text() == ""
