"""Live previews in the window: on and off, in place, and gone with the form."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from run_tools import fail_tool, invert_tool, make_tool, measure_tool

from napari_tool_runner.jobs import JobManager, live
from napari_tool_runner.widgets.forms.extents import Choice
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.tool_widget import ToolWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.results.dock import ToolTablesWidget

WAIT = 30_000
ADDS = """
import sys, tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], image + int(sys.argv[3]))
"""
INPUTS = (
    '<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>'
    '<param name="n" type="integer" value="3" label="Number" max="50"/>'
)
OUTPUT = '<data name="o" format="imagetiff" layer="image" label="Sum"/>'


@pytest.fixture
def page(shown, model_viewer, tmp_path) -> Iterator[Callable[[Tool], ToolWidget]]:
    manager = JobManager()
    live._took.clear()

    def open_page(tool: Tool) -> ToolWidget:
        widget = ToolWidget(
            tool, model_viewer, manager=manager, presets=PresetStore(tmp_path / "presets")
        )
        shown(widget)
        widget.form.builder.finish()
        return widget

    yield open_page
    manager.shutdown()


@pytest.fixture
def adds(tmp_path: Path) -> Tool:
    return make_tool(
        tmp_path, ADDS, name="adds", inputs=INPUTS, outputs=OUTPUT, arguments="${i} ${o} ${n}"
    )


def preview(qtbot, act: Callable[[], object], widget: ToolWidget) -> None:
    with qtbot.waitSignal(widget.live_bar.previewed, timeout=WAIT):
        act()


def switch(qtbot, widget: ToolWidget) -> None:
    qtbot.mouseClick(widget.live_bar.switch, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))


def type_number(qtbot, widget: ToolWidget, text: str) -> None:
    box = widget.form.row("n").field.focus_widget()
    box.selectAll()
    qtbot.keyClicks(box, text)


def test_a_value_that_changes_is_seen_and_run_makes_it_a_result(
    qtbot, page, model_viewer, cells, adds
):
    image = model_viewer.add_image(cells, name="cells", scale=(0.5, 0.25))
    widget = page(adds)
    assert not widget.live_bar.on
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    _, made = model_viewer.layers
    np.testing.assert_array_equal(made.data, cells + 3)
    assert tuple(made.scale) == (0.5, 0.25)
    assert model_viewer.layers.selection == {image}
    preview(qtbot, lambda: type_number(qtbot, widget, "7"), widget)
    assert [*model_viewer.layers] == [image, made]
    np.testing.assert_array_equal(made.data, cells + 7)
    assert widget.form.values() == {"i": image, "n": 7}  # a preview is no input
    assert widget.manager().jobs == ()
    assert widget.run_bar.run_button.text() == "Run on all"

    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(widget.run_bar.run_button, Qt.MouseButton.LeftButton)
    assert made not in model_viewer.layers
    _, result = model_viewer.layers
    np.testing.assert_array_equal(np.asarray(result.data), cells + 7)
    assert "preview" not in result.name
    assert widget.run_bar.run_button.text() == "Run"
    qtbot.wait(200)  # nothing changed since
    assert len(model_viewer.layers) == 2


@pytest.mark.parametrize("how", ["switch", "hide", "close", "layer"])
def test_it_goes_with_the_switch_and_the_form(qtbot, page, model_viewer, cells, adds, how):
    image = model_viewer.add_image(cells, name="cells")
    widget = page(adds)
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    assert len(model_viewer.layers) == 2
    if how == "switch":
        switch(qtbot, widget)
    elif how == "hide":
        widget.hide()
    elif how == "layer":
        model_viewer.layers.remove(model_viewer.layers[-1])
        assert not widget.live_bar.on
        type_number(qtbot, widget, "9")
        qtbot.wait(100)
    else:
        widget.close()
    assert [*model_viewer.layers] == [image]


def test_a_tool_that_was_quick_is_live_by_itself_from_the_next_change(
    qtbot, page, model_viewer, cells, adds
):
    model_viewer.add_image(cells, name="cells")
    live._took[adds.digest] = cells.size, 0.1
    widget = page(adds)
    assert widget.live_bar.on
    assert widget.live_bar.words.text().startswith("Live is on, as this tool is quick here")
    other = model_viewer.add_image(cells[::-1], name="other")
    qtbot.wait(200)
    assert len(model_viewer.layers) == 2  # another layer alone is no change
    preview(qtbot, lambda: type_number(qtbot, widget, "9"), widget)
    np.testing.assert_array_equal(model_viewer.layers[-1].data, other.data + 9)


def test_who_is_not_asked_is_told_that_it_is_on(qtbot, page, model_viewer, cells, adds):
    layer = model_viewer.add_image(cells, name="cells")
    widget = page(adds)
    words = widget.live_bar.words
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        qtbot.mouseClick(widget.run_bar.run_button, Qt.MouseButton.LeftButton)
    live._took[adds.digest] = cells.size, 0.1  # however busy this computer is
    widget.live_bar._offer()
    assert (widget.live_bar.on, words.text()[:10]) == (True, "Live is on")
    told = widget.run_bar.message
    assert told.isVisible()
    preview(qtbot, lambda: type_number(qtbot, widget, "9"), widget)
    assert words.text() == "Live: “cells · Sum (preview)”; Run keeps it."
    assert told.isHidden(), "it tells of another result"
    switch(qtbot, widget)
    assert (told.isVisible(), told.text()[:5]) == (True, "Added")
    assert words.isHidden()
    widget.live_bar._by_hand = False
    widget.live_bar._offer()
    live._took[adds.digest] = cells.size, 9.0
    widget.live_bar._offer()
    assert (widget.live_bar.on, words.isHidden()) == (False, True)
    assert layer in model_viewer.layers


def test_a_preview_goes_where_nothing_can_be_run(qtbot, page, model_viewer, cells, adds):
    model_viewer.add_image(cells, name="cells")
    colours = model_viewer.add_image(np.zeros((9, 9, 3), np.uint8), name="photo", rgb=True)
    gray = replace(adds, inputs=(replace(adds.inputs[0], rgb=False), *adds.inputs[1:]))
    widget = page(gray)
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    assert len(model_viewer.layers) == 3
    widget.set_values({"i": colours})
    qtbot.waitUntil(lambda: len(model_viewer.layers) == 2)
    assert "is a colour picture" in widget.run_bar.message.text()
    assert widget.run_bar.message.isVisible()
    assert widget.live_bar.words.isHidden()
    preview(qtbot, lambda: widget.set_values({"i": model_viewer.layers["cells"]}), widget)
    assert len(model_viewer.layers) == 3


def test_what_would_take_longer_on_what_is_seen_is_not_live_by_itself(
    page, model_viewer, cells, adds
):
    model_viewer.add_image(cells, name="cells")
    live._took[adds.digest] = cells.size // 10, 0.1
    assert not page(adds).live_bar.on


def test_who_switched_it_off_is_not_asked_again(qtbot, page, model_viewer, cells, adds):
    model_viewer.add_image(cells, name="cells")
    live._took[adds.digest] = cells.size, 0.1
    widget = page(adds)
    switch(qtbot, widget)
    type_number(qtbot, widget, "9")
    qtbot.wait(100)
    assert not widget.live_bar.on
    assert len(model_viewer.layers) == 1


def test_a_file_is_not_previewed(qtbot, page, model_viewer, cells, adds, tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "cells.tif", cells)
    widget = page(adds)
    widget.set_values({"i": tmp_path / "cells.tif"})
    qtbot.waitUntil(lambda: not widget.live_bar.switch.isEnabled())
    assert "as layers" in widget.live_bar.switch.accessibleDescription()


def test_a_failure_is_told_and_takes_the_preview_away(qtbot, page, model_viewer, cells, tmp_path):
    fails = make_tool(
        tmp_path,
        "import sys\nassert sys.argv[3] != '5', 'five is too much'\n" + ADDS,
        name="fails",
        inputs=INPUTS,
        outputs=OUTPUT,
        arguments="${i} ${o} ${n}",
    )
    model_viewer.add_image(cells, name="cells")
    widget = page(fails)
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    preview(qtbot, lambda: type_number(qtbot, widget, "5"), widget)
    assert len(model_viewer.layers) == 1
    assert "five is too much" in widget.live_bar.words.text()
    preview(qtbot, lambda: type_number(qtbot, widget, "6"), widget)
    assert len(model_viewer.layers) == 2
    assert widget.live_bar.words.text() == "Live: “cells · Sum (preview)”; Run keeps it."


def test_without_results_there_is_nothing_to_switch(page, tmp_path):
    assert page(fail_tool(tmp_path)).live_bar.isHidden()
    assert not page(invert_tool(tmp_path)).live_bar.isHidden()


def test_the_slice_that_is_looked_at_is_previewed(
    qtbot, page, model_viewer, cells, adds, monkeypatch
):
    from napari_tool_runner.widgets.forms import extents

    monkeypatch.setattr(extents, "_MOST", cells.size)
    stack = np.stack([cells, cells[::-1], cells.T])
    model_viewer.add_image(stack, name="stack")
    model_viewer.dims.set_point(0, 1)
    widget = page(adds)
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    made = model_viewer.layers[-1]
    assert widget.run_bar.run_button.text() == "Run on all"
    np.testing.assert_array_equal(made.data, stack[1:2] + 3)
    assert tuple(made.translate) == (1, 0, 0)
    assert "this slice alone" in widget.live_bar.words.text()
    preview(qtbot, lambda: model_viewer.dims.set_point(0, 2), widget)
    assert model_viewer.layers[-1] is made
    np.testing.assert_array_equal(made.data, stack[2:] + 3)
    widget.extent_bar.choose(Choice.CURRENT)
    preview(qtbot, lambda: type_number(qtbot, widget, "4"), widget)
    assert widget.run_bar.run_button.text() == "Run"
    assert widget.live_bar.words.text().endswith("; Run keeps it."), "a run makes the same"


def test_the_label_of_a_number_is_dragged(qtbot, page, model_viewer, cells, adds):
    model_viewer.add_image(cells, name="cells")
    widget = page(adds)
    switch(qtbot, widget)
    label = widget.form.row("n").label
    start = QPoint(5, label.height() // 2)
    QTest.mousePress(label, Qt.MouseButton.LeftButton, pos=start)
    for x in range(0, 50, 2):
        QTest.mouseMove(label, start + QPoint(x, 0))
        qtbot.wait(1)
    QTest.mouseRelease(label, Qt.MouseButton.LeftButton, pos=start + QPoint(48, 0))
    assert widget.form.values()["n"] > 3
    wanted = cells + widget.form.values()["n"]
    made = model_viewer.layers
    qtbot.waitUntil(lambda: len(made) == 2 and np.array_equal(made[1].data, wanted), timeout=WAIT)


class _Window:
    """Keeps docked widgets."""

    def __init__(self) -> None:
        self.dock_widgets: dict[str, ToolTablesWidget] = {}

    def add_plugin_dock_widget(self, *_: object, **__: object) -> None:
        raise KeyError("the plugin is not installed")

    def add_dock_widget(self, widget: ToolTablesWidget, name: str, **_: object) -> None:
        self.dock_widgets[name] = widget


def test_tables_are_filled_anew_and_join_no_layer_of_the_users(
    qtbot, page, model_viewer, cells, tmp_path
):
    labels = model_viewer.add_labels((cells > 100).astype(int), name="objects")
    model_viewer.__dict__["window"] = window = _Window()
    widget = page(measure_tool(tmp_path))
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    (dock,) = window.dock_widgets.values()
    assert dock.view.model.rowCount() == 1
    two = labels.data.copy()
    two[0, 0] = 2
    labels.data = two
    switch(qtbot, widget)
    assert dock.is_empty
    preview(qtbot, lambda: switch(qtbot, widget), widget)
    assert dock.view.model.rowCount() == 2
    assert labels.features.empty
    tables = widget.live_bar._tables
    tables.show({name: {"label": [1, 2, 3]} for name in tables._titles})
    assert dock.chooser.count() == 1
    assert dock.view.model.rowCount() == 3
    widget.close()
    assert dock.is_empty
