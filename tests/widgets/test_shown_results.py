"""How a form says that its results are shown: in the place of the last, labels as contours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QCheckBox
from run_tools import make_tool, measure_tool

from napari_tool_runner.jobs import JobManager
from napari_tool_runner.widgets.forms.outputs_box import CONTOURS, REPLACE
from napari_tool_runner.widgets.forms.presets import Preset, PresetStore
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.results.showing import own_looks
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 30_000
LEFT = Qt.MouseButton.LeftButton
TIMES = """
import sys, tifffile
tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]).astype("u2") * int(sys.argv[3]))
"""


@pytest.fixture
def tool(tmp_path):
    return make_tool(
        tmp_path,
        TIMES,
        name="times",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>'
        '<param name="n" type="integer" value="2" label="Number"/>',
        outputs='<data name="o" format="imagetiff" layer="labels" label="Cells"/>',
        arguments="${i} ${o} ${n}",
    )


@pytest.fixture
def page(shown, model_viewer, tmp_path, tool, qtbot):
    """Opens the tool's page, as often as it is asked for."""
    manager = JobManager()

    def open_page() -> ToolWidget:
        store = PresetStore(tmp_path / "presets")
        widget = ToolWidget(tool, model_viewer, manager=manager, presets=store)
        return shown(widget)

    yield open_page
    manager.shutdown()


def run(qtbot, widget, **values):
    widget.form.set_values(values)
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(widget.run_bar.run_button, LEFT)


def tick(qtbot, box: QCheckBox) -> None:
    qtbot.mouseClick(box, LEFT, pos=QPoint(8, box.height() // 2))


def test_the_last_result_is_replaced_as_long_as_the_form_says_so(
    qtbot, page, model_viewer, cells, tool
):
    model_viewer.add_image(cells, name="cells")
    widget = page()
    run(qtbot, widget, n=2)
    assert len(model_viewer.layers) == 2
    tick(qtbot, widget.live_bar.replace)
    for number in (3, 4):
        run(qtbot, widget, n=number)
        result = model_viewer.layers[-1]
        np.testing.assert_array_equal(result.data, number * cells.astype(int))
        assert f"Replaced “{result.name}”" in widget.run_bar.message.text()
    assert len(model_viewer.layers) == 2
    again = page()  # as on another day
    assert again.live_bar.replace.isChecked()
    assert again.form.outputs.switches() == {REPLACE}
    run(qtbot, again, n=5)
    assert len(model_viewer.layers) == 2
    tick(qtbot, again.live_bar.replace)
    run(qtbot, again, n=6)
    assert len(model_viewer.layers) == 3


def test_labels_come_as_contours_when_that_is_asked_for(qtbot, page, model_viewer, cells):
    model_viewer.add_image(cells, name="cells")
    widget = page()
    widget.form.outputs.set_expanded(True)
    (box,) = widget.form.outputs.findChildren(QCheckBox)
    tick(qtbot, box)
    assert widget.form.outputs.switches() == {CONTOURS}
    run(qtbot, widget, n=2)
    assert model_viewer.layers[-1].contour == 1
    widget.form.outputs.switch(REPLACE, True)
    model_viewer.layers[-1].contour = 3
    run(qtbot, widget, n=3)
    assert model_viewer.layers[-1].contour == 3


def test_switches_are_no_part_of_a_preset_that_is_shared(page, tmp_path, tool):
    widget = page()
    widget.form.outputs.set_switches({REPLACE, "unknown"})
    path = tmp_path / "shared.json"
    widget.preset_menu.export_file(path)
    assert "switches" not in path.read_text()
    widget.preset_menu.apply(Preset(tool=tool.id, name="other", version="", switches=[CONTOURS]))
    assert widget.form.outputs.switches() == {REPLACE}


def test_where_all_results_are_tables_nothing_is_to_be_replaced(shown, model_viewer, tmp_path):
    widget = shown(ToolWidget(measure_tool(tmp_path), model_viewer))
    assert widget.live_bar.isVisible()
    assert not widget.live_bar.replace.isVisible()


def test_what_is_made_of_labels_has_their_own_colours_whatever_is_chosen(shown, model_viewer):
    labels = model_viewer.add_labels(np.arange(16).reshape(4, 4), name="cells")
    labels.features = {"index": range(1, 16), "area": np.ones(15)}
    dock = shown(ToolTablesWidget(model_viewer), 700, 300)
    dock.view.choose(np.array([2]))
    dock.link.choose(dock.view.chosen)
    marked = labels.get_color(5)
    window = SimpleNamespace(dock_widgets={"tables": dock})
    with own_looks(SimpleNamespace(window=window)):
        assert labels.get_color(5) != pytest.approx(marked)
    assert labels.get_color(5) == pytest.approx(marked)
    with own_looks(model_viewer):  # without a window nothing happens
        assert labels.get_color(5) == pytest.approx(marked)
