"""Several values from the form: run, looked at, chosen, kept, thrown away."""

from __future__ import annotations

import csv
import gc
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget
from run_tools import make_tool

from napari_tool_runner.jobs import Cell, JobState
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.parts.background import when_destroyed
from napari_tool_runner.widgets.running.sweep_view import figure_text, picture_of
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 30_000
ABOVE = """
import sys
import numpy as np, tifffile
image, level = tifffile.imread(sys.argv[1]), int(sys.argv[3])
if level == 13:
    sys.exit("an unlucky level")
halves = np.arange(64, dtype=np.uint16) // 32 + 1
tifffile.imwrite(sys.argv[2], (image > level) * halves)
"""
INPUTS = (
    '<param name="image" type="data" format="imagetiff" layer="image" label="Image"/>'
    '<param name="level" type="integer" value="100" min="0" max="999" label="Level"/>'
    '<param name="way" type="select" label="Way"><option value="a" selected="true">A</option>'
    '<option value="b">B</option></param>'
)
OUTPUTS = '<data name="out" format="imagetiff" layer="labels" label="Parts"/>'
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def page(shown, model_viewer, cells, tmp_path):
    """The page of a tool with a level, on an image."""
    model_viewer.add_image(cells, name="cells")
    model_viewer.add_points(np.zeros((1, 2)), name="above")
    command = {"outputs": OUTPUTS, "arguments": "${image} ${out} ${level}"}
    tool = make_tool(tmp_path, ABOVE, name="above", inputs=INPUTS, **command)
    widget = shown(ToolWidget(tool, model_viewer, presets=PresetStore(tmp_path / "presets")))
    widget.form.builder.finish()
    return widget


@pytest.fixture
def window(page, qtbot):
    """The window of its sweep, opened as a person does."""
    qtbot.mouseClick(page.run_bar.sweep_button, LEFT)
    dialog = page.sweeps.open()
    qtbot.waitExposed(dialog)
    yield dialog
    with suppress(RuntimeError):  # deleted by the test
        dialog.close()


def sweep(qtbot, window, text: str) -> None:
    window.values.rows[0].values.selectAll()
    qtbot.keyClicks(window.values.rows[0].values, text)
    qtbot.mouseClick(window.run_button, LEFT)
    qtbot.waitUntil(window.run_button.isEnabled, timeout=WAIT)


def test_values_are_proposed_and_what_is_wrong_is_said(page, window, qtbot):
    assert window.values.rows[0].name == "level"
    assert window.values.rows[0].values.text() == "50, 100, 200, 400"
    assert window.count.text() == "4 runs"
    window.values.rows[0].values.selectAll()
    qtbot.keyClicks(window.values.rows[0].values, "1:2000:1000")
    assert "at most 999" in window.message.text()
    assert not window.run_button.isEnabled()
    window.values.rows[0].values.selectAll()
    qtbot.keyClicks(window.values.rows[0].values, "1:300:1")
    assert "100 at most" in window.message.text()
    second = window.values.rows[1].parameter
    second.setCurrentIndex(second.findData("way"))
    second.activated.emit(second.currentIndex())
    assert window.values.rows[1].values.text() == "A, B"
    second.setCurrentIndex(second.findData("level"))
    second.activated.emit(second.currentIndex())
    assert "another parameter" in window.message.text()


def test_a_click_fills_the_form_and_one_result_is_kept(page, window, qtbot, model_viewer):
    sweep(qtbot, window, "20, 100, 500")
    names = [layer.name for layer in model_viewer.layers]
    assert [button.cell.state for button in window.grid.buttons] == [JobState.DONE] * 3
    assert [button.cell.figures["object count"] for button in window.grid.buttons] == [2, 2, 0]
    assert (
        "object count: 2" in window.grid.buttons[0].text() or "…" in window.grid.buttons[0].text()
    )
    assert names == ["cells", "above"]  # nothing is added by itself
    assert not window.keep_button.isEnabled()
    places = [button.cell.job.workspace.root for button in window.grid.buttons]
    qtbot.mouseClick(window.grid.buttons[0], LEFT)
    assert page.form.values()["level"] == 20
    qtbot.mouseClick(window.message.buttons[0], LEFT)
    assert page.form.values()["level"] == 100
    qtbot.mouseClick(window.grid.buttons[1], LEFT)
    qtbot.mouseClick(window.keep_button, LEFT)
    qtbot.waitUntil(lambda: len(model_viewer.layers) == 3, timeout=WAIT)
    assert model_viewer.layers[1].name.startswith("cells · ")  # above the image
    assert model_viewer.layers[1].metadata["napari_tool_runner"]["tool"]["id"] == "above"
    window.close()
    qtbot.waitUntil(lambda: [place.exists() for place in places] == [False, True, False])
    assert page.sweeps.open() is not window
    page.sweeps.open().close()
    np.testing.assert_array_equal(np.unique(model_viewer.layers[1].data), [0, 1, 2])


def test_one_that_fails_says_why_and_the_table_has_all(page, window, qtbot, tmp_path):
    second = window.values.rows[1].parameter
    second.setCurrentIndex(second.findData("way"))
    second.activated.emit(second.currentIndex())
    sweep(qtbot, window, "10:16:3")
    assert "2 failed" in window.count.text()
    qtbot.mouseClick(window.grid.buttons[2], LEFT)
    assert "an unlucky level" in window.message.text()
    assert not window.keep_button.isEnabled()
    window.export(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["level"], row["way"]) for row in rows] == [
        (level, way) for level in ("10", "13", "16") for way in "ab"
    ]
    assert [row["state"] for row in rows] == ["done", "done", "failed", "failed", "done", "done"]
    assert not window.plot.grab().isNull()
    window.export(tmp_path / "none" / "out.csv")
    assert "was not written" in window.message.text()


def test_closing_the_page_ends_the_runs(page, window, qtbot):
    qtbot.mouseClick(window.run_button, LEFT)
    run = window.sweep
    assert run is not None
    page.close()
    window.deleteLater()  # as with its page
    qtbot.waitUntil(lambda: not run.working, timeout=WAIT)
    roots = [cell.job.workspace.root for cell in run.cells if cell.job is not None]
    qtbot.waitUntil(lambda: not any(root.exists() for root in roots), timeout=WAIT)


def test_one_contrast_for_all_and_the_colours_of_labels(qapp):
    from napari_tool_runner.exchange import Thumbnail

    dark = Cell({}, (), thumbnails={"o": Thumbnail(np.full((4, 4), 10.0), labels=False)})
    assert picture_of(dark, "o", (0, 20)).pixelColor(0, 0).red() == pytest.approx(127, abs=1)
    assert picture_of(dark, "o", (0, 10)).pixelColor(0, 0).red() == 255
    assert picture_of(dark, "p", (0, 10)) is None
    marks = Thumbnail(np.array([[0, 1], [1, 2]]), labels=True)
    colours = picture_of(Cell({}, (), thumbnails={"o": marks}), "o", (0, 0))
    assert colours.pixelColor(0, 0).lightness() == 0
    assert colours.pixelColor(1, 0) == colours.pixelColor(0, 1) != colours.pixelColor(1, 1)
    assert [figure_text(one) for one in (None, 3.0, 0.12345678, 1e9)] == [
        "–",
        "3",
        "0.1235",
        "1e+09",
    ]


def test_what_follows_the_end_of_a_widget_is_not_collected_with_it(qtbot):
    gone = []
    top, child = QWidget(), QWidget()
    child.setParent(top)
    child.own = child  # only the collector of garbage ends such
    when_destroyed(child, partial(gone.append, 1))
    del child
    gc.collect()
    assert not gone
    top.deleteLater()
    qtbot.waitUntil(lambda: gone == [1])
