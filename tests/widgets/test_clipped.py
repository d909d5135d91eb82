"""Where a text has no room it ends in an ellipsis, or has another line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel
from superqt import QElidingLabel
from widget_tools import long_tool, rich_tool

from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.history.panel import HistoryPanel
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.tool_widget import ToolWidget

LONG = "a mean intensity of a channel with a very long name, in which nothing is said (counts)"

PLACE = "/home/somebody/" + "a_folder_whose_name_has_no_end_" * 4 + "/20261128-060644/outputs"


def clipped(widget) -> list[str]:
    """The texts of all parts of `widget` that are seen and cut without an ellipsis."""
    found = []
    for part in widget.findChildren(QLabel) + widget.findChildren(QAbstractButton):
        wraps = isinstance(part, QLabel) and part.wordWrap()
        if not part.isVisible() or isinstance(part, QElidingLabel) or not part.text():
            continue
        wanted = part.minimumSizeHint()  # as wide as its longest word
        if wraps:
            wanted = QSize(wanted.width(), part.heightForWidth(part.width()))
        if part.width() < wanted.width() or part.height() < wanted.height():
            found.append(f"{part.text()}: {part.size()} of {wanted}")
    for part in widget.findChildren(QComboBox):
        shortens = isinstance(part, NarrowCombo) or part.isEditable()
        if part.isVisible() and not shortens and part.width() < part.sizeHint().width():
            found.append(f"{part.currentText()}: {part.size()}")
    return found


def made(kind, viewer, manager):
    if kind == "tables":
        layer = viewer.add_labels(np.arange(49).reshape(7, 7), name=LONG)
        rows = np.arange(1, 49)
        layer.features = pd.DataFrame({"index": rows, "area": rows, LONG: rows})
        tables = ToolTablesWidget(viewer)
        tables.plot_button.click()
        return tables
    if kind == "history":
        return HistoryPanel(viewer)
    if kind == "finder":
        return ToolRunnerWidget(viewer, manager=manager)
    tool = replace(long_tool(6) if kind == "long" else rich_tool(), name=LONG, version=LONG[:30])
    page = ToolWidget(tool, viewer, manager=manager)
    page.form.builder.finish()
    page.run_bar.say(f"{LONG}: {PLACE}", "failed", [("Run it anyway", list), ("Show log", list)])
    return page


@pytest.mark.parametrize("width", [280, 340, 600])
@pytest.mark.parametrize("kind", ["tables", "history", "finder", "long", "every"])
def test_nothing_is_cut_without_an_ellipsis(qtbot, shown, model_viewer, manager, kind, width):
    widget = made(kind, model_viewer, manager)
    shown(widget, width, 700)
    qtbot.waitUntil(lambda: not clipped(widget), timeout=5000)


def test_a_word_that_is_wider_than_its_place_is_shortened_in_the_middle(qtbot, shown):
    label = shown(MessageLabel(), 250, 100)
    label.say(f"Saved in {PLACE}")
    text = label.findChild(QLabel)
    qtbot.waitUntil(lambda: not clipped(label), timeout=5000)
    assert label.text() == f"Saved in {PLACE}"
    seen = QLabel.text(text)
    assert seen.startswith("Saved in /home/")
    assert seen.endswith("/outputs")
    assert "…" in seen
    assert "20261128-060644/outputs" in text.toolTip().replace("<wbr>", "")
    label.resize(2000, 100)
    qtbot.waitUntil(lambda: QLabel.text(text) == label.text(), timeout=5000)
    assert not text.toolTip()


def test_the_lists_of_a_plot_end_in_an_ellipsis(qtbot, shown, model_viewer, manager):
    tables = shown(made("tables", model_viewer, manager), 300, 500)
    plots = tables.plots
    plots.kind.setCurrentText("Scatter")
    plots.kind.activated.emit(1)
    for combo in (plots.across, plots.up):
        combo.setCurrentIndex(combo.count() - 1)
    qtbot.waitUntil(lambda: plots.up.isVisible() and plots._shown.size > 0)
    assert plots.across._shortened().endswith("…")
    assert plots.up._shortened().endswith("…")
    assert tables.chooser._shortened().endswith("…")
