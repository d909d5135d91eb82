"""Runs from the form, with real programs: press Run, wait for the layer; cancel; fail."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from run_tools import FAIL, fail_tool, flood_tool, invert_tool, make_tool, measure_tool, sleep_tool

from napari_tool_runner.jobs import JobManager, JobState
from napari_tool_runner.plugins.programs.watchdog import marked_ids
from napari_tool_runner.tools.model import FloatParameter
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 30_000


@pytest.fixture
def page(shown, model_viewer, tmp_path):
    """Opens the page of a tool on a viewer without a window."""
    manager = JobManager()

    def open_page(tool) -> ToolWidget:
        widget = ToolWidget(
            tool, model_viewer, manager=manager, presets=PresetStore(tmp_path / "presets")
        )
        return shown(widget)

    yield open_page
    manager.shutdown()


def press_run(qtbot, page):
    with qtbot.waitSignal(page.job_started):
        qtbot.mouseClick(page.run_bar.run_button, Qt.MouseButton.LeftButton)
    return page.manager().jobs[-1]


def pids_of(qtbot, job) -> list[int]:
    """Wait until the program of `job` runs; it has other process ids inside its enclosure."""

    def told() -> bool:
        return any(line.startswith("pid ") for line in job.log.tail(1000))

    qtbot.waitUntil(told, timeout=WAIT)
    return marked_ids(f"{os.getpid()}-")


def test_press_run_and_the_layer_is_there(qtbot, page, model_viewer, cells, tmp_path):
    layer = model_viewer.add_image(cells, name="cells", scale=(0.5, 0.25))
    model_viewer.add_image(cells[::2], name="above")
    model_viewer.layers.selection.active = layer
    widget = page(invert_tool(tmp_path))
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        press_run(qtbot, widget)
    names = [item.name for item in model_viewer.layers]
    assert len(names) == 3
    result = model_viewer.layers[names.index("cells") + 1]
    assert result is not layer
    assert result.name not in ("cells", "above")
    np.testing.assert_array_equal(np.asarray(result.data), 255 - cells)
    assert tuple(result.scale) == (0.5, 0.25)
    assert result.metadata["napari_tool_runner"]["tool"]["id"] == "invert"
    np.testing.assert_array_equal(layer.data, cells)
    assert layer.visible
    assert widget.run_bar.message.kind() == "done"
    assert result.name in widget.run_bar.message.text()
    widget.form.set_values({"i": model_viewer.layers["above"]})
    # it was told of another layer
    qtbot.waitUntil(lambda: result.name not in widget.run_bar.message.text())


def test_a_second_run_takes_the_same_input_and_another_name(
    qtbot, page, model_viewer, cells, tmp_path
):
    layer = model_viewer.add_image(cells, name="cells")
    widget = page(invert_tool(tmp_path))
    for _ in range(2):
        with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
            press_run(qtbot, widget)
    assert widget.form.values()["i"] is layer
    names = [item.name for item in model_viewer.layers]
    assert len(names) == len(set(names)) == 3
    for result in model_viewer.layers[1:]:
        np.testing.assert_array_equal(np.asarray(result.data), 255 - cells)


def test_ctrl_enter_runs_with_what_is_being_typed(qtbot, page, model_viewer, cells, tmp_path):
    model_viewer.add_image(cells)
    widget = page(invert_tool(tmp_path))
    line = widget.form.row("n").field.box.lineEdit()
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(line, "17")
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.keyClick(line, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    (job,) = widget.manager().jobs
    assert job.state is JobState.DONE
    assert job.values["n"] == 17


RAISES = """class BadRunnerServiceBuilder:
    def __call__(self, **config):
        raise SystemExit("no licence")
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [("import no_such_module_at_all", "no_such_module_at_all"), (RAISES, "no licence")],
)
def test_ctrl_enter_obeys_where_the_service_is_broken(
    qtbot, page, model_viewer, cells, tmp_path, monkeypatch, text, told
):
    (tmp_path / "runner_bad.py").write_text(text)
    config = {"runner": {"service": "BAD", "plugin_dirs": [str(tmp_path)]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(tmp_path / "config.json"))
    model_viewer.add_image(cells)
    widget = page(invert_tool(tmp_path))
    qtbot.waitUntil(lambda: told in widget.run_bar.message.text(), timeout=WAIT)
    assert not widget.run_bar.run_button.isEnabled()
    assert "Traceback" not in widget.run_bar.message.text()
    line = widget.form.row("n").field.box.lineEdit()
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert not widget.manager().jobs
    assert told in widget.run_bar.message.text()


def test_a_plugin_of_the_name_of_a_service_that_ships_is_told(
    qtbot, page, model_viewer, cells, tmp_path, monkeypatch
):
    (tmp_path / "runner_local.py").write_text(RAISES.replace("raise SystemExit", "return print"))
    (tmp_path / "config.json").write_text(json.dumps({"runner": {"plugin_dirs": [str(tmp_path)]}}))
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_CONFIG", str(tmp_path / "config.json"))
    model_viewer.add_image(cells)
    widget = page(invert_tool(tmp_path))
    qtbot.waitUntil(lambda: "in place of" in widget.run_bar.message.text(), timeout=WAIT)
    assert "runner_local.py" in widget.run_bar.message.text()


def test_the_values_of_the_last_run_come_back_but_not_its_layers(
    qtbot, page, model_viewer, cells, tmp_path
):
    tool = invert_tool(tmp_path)
    model_viewer.add_image(cells, name="first")
    widget = page(tool)
    widget.form.model.leaf("n").set(42)
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        press_run(qtbot, widget)
    model_viewer.layers.clear()
    other = model_viewer.add_image(cells, name="second")
    again = page(tool)
    assert again.form.values() == {"i": other, "n": 42}


def test_run_is_disabled_with_a_reason_until_a_layer_is_there(
    qtbot, page, model_viewer, cells, tmp_path
):
    widget = page(invert_tool(tmp_path))
    bar = widget.run_bar
    assert not bar.run_button.isEnabled()
    assert "needs an image" in bar.message.text()
    assert "none is open" in bar.message.text()
    model_viewer.add_image(cells)
    qtbot.waitUntil(bar.run_button.isEnabled)
    assert bar.message.text() == "" or bar.message.kind() != "problem"


def test_the_missing_layer_has_a_button_that_opens_a_sample(
    qtbot, shown, model_viewer, cells, tmp_path
):
    widget = shown(
        ToolWidget(
            invert_tool(tmp_path),
            model_viewer,
            manager=JobManager(),
            presets=PresetStore(tmp_path / "presets"),
            open_sample=lambda: model_viewer.add_image(cells, name="sample"),
        )
    )
    (button,) = widget.run_bar.message.buttons
    assert button.text() == "Open sample"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(widget.run_bar.run_button.isEnabled)


def test_colours_keep_run_shut_with_the_button_that_helps(shown, model_viewer, tmp_path):
    photo = model_viewer.add_image(np.zeros((9, 9, 3), np.uint8), name="photo", rgb=True)
    opened = []
    tool = invert_tool(tmp_path)
    one = replace(tool, inputs=(replace(tool.inputs[0], rgb=False), *tool.inputs[1:]))
    widget = ToolWidget(
        one,
        model_viewer,
        manager=JobManager(),
        presets=PresetStore(tmp_path / "presets"),
        toolbox=["colour_to_grey"],
        open_tool=lambda key, fill: opened.append(key),
    )
    bar = shown(widget).run_bar
    assert not bar.run_button.isEnabled()
    assert bar.message.text().startswith("“photo” is a colour picture")
    assert widget.run() is None, "neither with the key"
    (button,) = bar.message.buttons
    button.click()
    assert (button.text(), opened) == ("Choose a channel…", ["colour_to_grey"])
    assert model_viewer.layers.selection.active is photo


def test_cancel_ends_the_program(qtbot, page, tmp_path):
    widget = page(sleep_tool(tmp_path))
    job = press_run(qtbot, widget)
    pids = pids_of(qtbot, job)
    assert pids
    assert widget.run_bar.cancel_button.isEnabled()
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(widget.run_bar.cancel_button, Qt.MouseButton.LeftButton)
    assert job.state is JobState.CANCELLED
    assert not set(pids) & set(marked_ids(f"{os.getpid()}-"))
    assert widget.run_bar.message.text().startswith("Cancelled after")
    assert not widget.run_bar.cancel_button.isEnabled()


def test_progress_is_read_from_the_output(qtbot, page, tmp_path):
    widget = page(sleep_tool(tmp_path))
    job = press_run(qtbot, widget)
    bar = widget.run_bar
    qtbot.waitUntil(lambda: "of 600" in bar.phase.text(), timeout=WAIT)
    assert bar.progress.maximum() == 1000
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        widget.cancel()
    assert job.state is JobState.CANCELLED


def test_the_form_stays_usable_and_a_second_run_waits_its_turn(
    qtbot, page, model_viewer, cells, tmp_path
):
    model_viewer.add_image(cells)
    widget = page(sleep_tool(tmp_path))
    widget.manager()._max_parallel = 1
    first = press_run(qtbot, widget)
    pids_of(qtbot, first)
    assert widget.run_bar.run_button.isEnabled()
    second = press_run(qtbot, widget)
    assert second.state is JobState.QUEUED
    qtbot.waitUntil(lambda: "1 waiting" in widget.run_bar.phase.text())
    widget.cancel()
    qtbot.waitUntil(lambda: not widget.active_jobs, timeout=WAIT)
    assert {first.state, second.state} == {JobState.CANCELLED}


def test_a_failure_is_told_until_the_inputs_change(qtbot, page, tmp_path):
    number = '<param name="n" type="integer" value="3" label="Number"/>'
    widget = page(make_tool(tmp_path, FAIL, name="failer", inputs=number, arguments="${n}"))
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        press_run(qtbot, widget)
    bar = widget.run_bar
    widget._judge()
    assert bar.message.kind() == "failed"
    widget.set_values({"n": 9})
    qtbot.waitUntil(lambda: bar.message.kind() != "failed")


def test_a_failure_says_why_opens_the_log_and_offers_help(qtbot, page, model_viewer, tmp_path):
    widget = page(fail_tool(tmp_path))
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        job = press_run(qtbot, widget)
    assert job.state is JobState.FAILED
    bar = widget.run_bar
    assert bar.message.kind() == "failed"
    assert "3" in bar.message.text()
    assert widget.log.is_open()
    assert "no such threshold method" in widget.log.text.toPlainText().splitlines()
    assert [button.text() for button in bar.message.buttons] == [
        "Show log",
        "Open workspace",
        "Copy report",
    ]
    qtbot.mouseClick(bar.message.buttons[2], Qt.MouseButton.LeftButton)
    report = QGuiApplication.clipboard().text()
    assert "no such threshold method" in report
    assert str(job.workspace.root) in report
    assert len(model_viewer.layers) == 0


def test_a_log_that_a_failure_opened_is_closed_by_the_next_run_and_one_of_a_person_stays(
    qtbot, page, tmp_path
):
    widget = page(fail_tool(tmp_path))

    begun = []
    widget.job_started.connect(lambda _: begun.append(widget.log.is_open()))

    def run():
        with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
            press_run(qtbot, widget)
        return begun[-1], widget.log.is_open()

    assert run() == (False, True)
    assert run() == (False, True), "it closes when the next run begins"
    widget.log.toggle.click()
    widget.log.toggle.click()
    assert run() == (True, True), "a person opened it"


def test_a_flood_of_lines_is_shown_bounded(qtbot, page, tmp_path):
    widget = page(flood_tool(tmp_path))
    widget.log.set_open(True)
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        press_run(qtbot, widget)
    lines = widget.log.text.toPlainText().splitlines()
    assert len(lines) <= 5001
    assert "line 49999" in lines[-5:]


def test_a_table_of_objects_joins_their_layer(qtbot, page, model_viewer, tmp_path):
    labels = np.zeros((32, 32), np.uint16)
    labels[2:6, 2:6] = 1
    labels[10:20, 10:12] = 7
    layer = model_viewer.add_labels(labels, name="objects")
    widget = page(measure_tool(tmp_path))
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        press_run(qtbot, widget)
    assert len(model_viewer.layers) == 1
    areas = dict(zip(layer.features["index"], layer.features["area"], strict=True))
    assert areas[1] == 16
    assert areas[7] == 20
    assert widget.run_bar.message.text().startswith("Measured 2 objects of “objects”.")
    undo = next(b for b in widget.run_bar.message.buttons if b.text() == "Undo")
    qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    assert "area" not in layer.features.columns
    assert widget.run_bar.message.text().startswith("Taken back.")


def test_a_layer_that_is_deleted_while_the_tool_runs(qtbot, page, model_viewer, cells, tmp_path):
    slow = make_tool(
        tmp_path,
        "import time; time.sleep(1)\n"
        "import sys, tifffile\n"
        "tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]))\n",
        name="slow",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>',
        outputs='<data name="o" format="imagetiff" layer="image" label="Copy"/>',
        arguments="${i} ${o}",
    )
    model_viewer.add_image(cells, name="cells")
    widget = page(slow)
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        job = press_run(qtbot, widget)
        model_viewer.layers.clear()
    assert job.state is JobState.DONE
    assert len(model_viewer.layers) == 1
    np.testing.assert_array_equal(np.asarray(model_viewer.layers[0].data), cells)
    assert widget.run_bar.message.kind() == "done" or "needs" in widget.run_bar.message.text()


def test_a_tool_with_an_error_note_cannot_be_run_and_says_why(page, tmp_path):
    from dataclasses import replace

    from napari_tool_runner.tools.model import Note, Severity

    note = Note(Severity.ERROR, "inputs/param[x]", "It needs a reference table of a server.")
    widget = page(replace(invert_tool(tmp_path), notes=(note,)))
    assert not widget.run_bar.run_button.isEnabled()
    assert "needs a reference table" in widget.run_bar.message.text()
    assert widget.header.notes[0].isVisible()


def test_the_users_kind_of_result_wins_and_is_remembered(
    qtbot, page, model_viewer, cells, tmp_path
):
    tool = make_tool(
        tmp_path,
        "import sys, tifffile\n"
        "tifffile.imwrite(sys.argv[2], (tifffile.imread(sys.argv[1]) > 99).astype('uint8'))\n",
        name="mask",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>',
        outputs='<data name="o" format="imagetiff" label="Result"/>',
        arguments="${i} ${o}",
    )
    model_viewer.add_image(cells)
    widget = page(tool)
    widget.form.outputs.set_expanded(True)
    combo = widget.form.outputs._combos["o"]
    for kind in ("labels", "image"):
        combo.setCurrentIndex(combo.findData(kind))
        combo.activated.emit(combo.currentIndex())
        with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
            press_run(qtbot, widget)
        assert type(model_viewer.layers[-1]).__name__.lower() == kind
    again = page(tool)
    assert again.form.outputs.kinds() == {"o": "image"}
    assert again.form.outputs.content().isVisibleTo(again)


def test_run_waits_for_the_unit_of_a_number(qtbot, page, model_viewer, tmp_path):
    path = tmp_path / "nuclei.tif"
    sizes = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), ome=True, metadata=sizes)
    width = FloatParameter(name="d", label="Diameter", default=1.0, unit="µm or px")
    tool = invert_tool(tmp_path)
    widget = page(replace(tool, inputs=(*tool.inputs, width)))
    model_viewer.add_image(tifffile.imread(path), name="of nobody")
    widget.form.model.leaf("d").set(26.0)
    with layer_source(path=str(path)):
        layer = model_viewer.add_image(tifffile.imread(path), name="nuclei")
    widget.form.model.leaf("i").set(layer)
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        assert widget.run() is None
        assert widget.run_bar.message.text() == "The pixel size is being read…"
    (job,) = widget.manager().jobs
    assert job.request.values["d"] == 13.0
    result = model_viewer.layers[-1]
    assert (result.scale.tolist(), result.extent.world.tolist()) == (
        layer.scale.tolist(),
        layer.extent.world.tolist(),
    )
