"""The gate is asked in the background where it looks through a folder."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from qtpy.QtCore import QObject, Qt
from run_tools import invert_tool

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.jobs import JobState, RunOptions
from napari_tool_runner.tools.toolbox.trust import TrustState, approve
from napari_tool_runner.widgets.running import admission
from napari_tool_runner.widgets.running.admission import Admission
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 60_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def tool(tmp_path):
    """A tool of a folder that its author marked."""
    made = replace(invert_tool(tmp_path / "box"), toolbox=str(tmp_path / "box"))
    approve(tmp_path / "box", mine=True)
    return made


@pytest.fixture
def page(qtbot, shown, model_viewer, manager, cells, tool):
    model_viewer.add_image(cells)
    widget = shown(ToolWidget(tool, model_viewer, manager=manager))
    widget.form.builder.finish()
    qtbot.waitUntil(widget.run_bar.run_button.isEnabled, timeout=WAIT)
    return widget


@pytest.fixture
def held(page, monkeypatch):
    """What lets the looks through the folder go on; they wait until it is set."""
    go, looked = threading.Event(), admission.admit

    def wait(*given):
        assert go.wait(WAIT / 1000)
        return looked(*given)

    monkeypatch.setattr(admission, "admit", wait)
    yield go
    go.set()


def test_run_does_not_wait_for_the_look(qtbot, page, held):
    values = page.form.values()
    qtbot.mouseClick(page.run_bar.run_button, LEFT)
    assert page.is_busy
    assert not page.active_jobs
    assert page.run_bar.phase.text().startswith("Looking through its folder")
    page.set_values({"n": 7})
    with qtbot.waitSignal(page.job_started, timeout=WAIT) as started:
        held.set()
    (job,) = started.args
    assert job.values["n"] == values["n"], "as they were when it was pressed"
    qtbot.waitUntil(lambda: not page.is_busy, timeout=WAIT)
    assert job.state is JobState.DONE
    assert job.tool.copy, "it ran from a copy"


def test_what_is_looked_at_is_what_lies_there_after_it_was_pressed(qtbot, page, held, tmp_path):
    page.run()
    (tmp_path / "box" / "more.txt").write_text("saved meanwhile")
    with qtbot.waitSignal(page.job_finished, timeout=WAIT) as ended:
        held.set()
    assert (Path(ended.args[0].tool.copy) / "more.txt").is_file()


def test_a_look_can_be_cancelled(qtbot, page, held, manager):
    page.run()
    page.run()
    assert page.run_bar.cancel_button.isEnabled()
    qtbot.mouseClick(page.run_bar.cancel_button, LEFT)
    assert not page.is_busy
    assert page.run_bar.phase.text() == ""
    held.set()
    with qtbot.waitSignal(page.job_finished, timeout=WAIT):
        page.run()
    assert len(manager.jobs) == 1


def test_each_press_is_a_job(qtbot, page, held, manager):
    page.run()
    page.run()
    held.set()
    qtbot.waitUntil(lambda: len(manager.jobs) == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: not page.is_busy, timeout=WAIT)


def test_a_sweep_does_not_wait_for_the_look(qtbot, page, held):
    window = page.sweeps.open()
    window.values.rows[0].values.setText("1, 2")
    window.run()
    assert window.sweep is None
    assert not window.run_button.isEnabled()
    window.cancel()
    assert window.run_button.isEnabled()
    window.run()
    held.set()
    qtbot.waitUntil(lambda: window.sweep is not None, timeout=WAIT)
    qtbot.waitUntil(window.run_button.isEnabled, timeout=WAIT)
    assert {cell.state for cell in window.sweep.cells} == {JobState.DONE}
    window.close()


def test_a_preview_does_not_wait_for_the_look(qtbot, page, held):
    qtbot.waitUntil(page.live_bar.isVisible)
    if not page.live_bar.on:  # it is where another test has shown that the tool is quick
        page.live_bar.switch.click()
    for n in (3, 4, 5):
        page.set_values({"n": n})
    held.set()
    qtbot.waitUntil(lambda: len(page.viewer.layers) == 2, timeout=WAIT)


def test_a_refusal_is_told_and_the_next_wish_asked(qtbot, tool, monkeypatch):
    answers = [DescriptorError("It is half-written."), None]
    looked = admission.admit

    def admit(*given):
        if (error := answers.pop(0)) is not None:
            raise error
        return looked(*given)

    monkeypatch.setattr(admission, "admit", admit)
    owner = QObject()
    asked, done = Admission(tool, owner), []
    with qtbot.waitSignals([asked.refused, asked.answered, asked.answered], timeout=WAIT):
        asked.ask(RunOptions(), done.append)
        asked.ask(RunOptions(cache=False), done.append)
    assert [options["cache"] for options in done] == [False]
    assert not asked.asking
    named = Admission(replace(tool, toolbox=""), owner)
    with qtbot.waitSignal(named.refused, timeout=WAIT):
        answers.append(DescriptorError("It is half-written."))
        assert named.ask(RunOptions(), done.append) is None


def test_a_page_learns_what_changed_in_an_approved_folder(qtbot, shown, tool, tmp_path):
    approve(tmp_path / "box")
    (tmp_path / "box" / "more.txt").write_text("a change")
    page = ToolWidget(tool)
    assert page.trust.now.state is TrustState.APPROVED, "before anybody looked through it"
    shown(page)
    qtbot.waitUntil(lambda: page.trust.now.state is TrustState.CHANGED, timeout=WAIT)
    assert "has changed since you approved it" in page.run_bar.message.text()
