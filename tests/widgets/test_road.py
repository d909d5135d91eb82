"""The road from a picture to a count, by the buttons that are offered and with defaults only."""

from __future__ import annotations

import re

import numpy as np
import pytest
from widget_tools import opened

from napari_tool_runner.sample_data import cells_2d
from napari_tool_runner.widgets.dock import ToolRunnerWidget

DRAWN = 78
"""Nuclei in the sample; tests/bundled/make_samples.py draws them."""
SHORT = (("measure_regions", "Find objects…"), ("find_objects", "Measure them…"))
STEPS = (
    ("threshold", "Smooth it first…"),
    ("gaussian_filter", "Threshold…"),
    ("threshold", "Split it into objects…"),
    ("split_touching", "Measure them…"),
)
"""The pages, each with the button that is pressed on it."""


@pytest.mark.parametrize("road", [SHORT, STEPS], ids=["short", "steps"])
def test_the_buttons_lead_from_the_sample_to_its_nuclei(qtbot, model_viewer, manager, road):
    for data, attributes, _ in cells_2d():
        model_viewer.add_image(data, **attributes)
    assert walk(qtbot, model_viewer, manager, road).name == "Nuclei"


def test_the_buttons_lead_from_a_colour_picture_to_its_nuclei(qtbot, model_viewer, manager):
    nuclei = next(d for d, told, _ in cells_2d() if told["name"] == "Nuclei").astype(float)
    blue = np.zeros((*nuclei.shape, 3), np.uint8)
    blue[..., 2] = 255 * np.clip((nuclei - nuclei.min()) / np.ptp(nuclei), 0, 1)
    model_viewer.add_image(blue, name="Nuclei", rgb=True)
    colours = (("find_objects", "Choose a channel…"), ("colour_to_grey", "Find objects…"))
    measured = walk(qtbot, model_viewer, manager, (*colours, *SHORT[1:]))
    assert measured.name == "Nuclei · blue", "colours have no brightness"


def test_a_diameter_begins_with_the_one_that_was_found(qtbot, model_viewer, manager):
    for data, attributes, _ in cells_2d():
        model_viewer.add_image(data, **attributes)
    dock = ToolRunnerWidget(model_viewer, manager=manager)
    qtbot.addWidget(dock)
    dock.show()
    opened(qtbot, dock, "find_objects")
    press(qtbot, dock, "find_objects", "Undo")
    row = dock.page.form.row("diameter")
    row.field.box.click()
    (told,) = re.findall(r"typical diameter ([\d.]+) µm", " ".join(dock.page.form.model.notes))
    assert dock.page.form.values()["diameter"] == float(told)
    assert row._unit.text() == "µm"


def walk(qtbot, viewer, manager, road):
    """Press all buttons, compare the count with what was drawn; return the image to measure in."""
    dock = ToolRunnerWidget(viewer, manager=manager)
    qtbot.addWidget(dock)
    dock.resize(350, 700)
    dock.show()
    opened(qtbot, dock, road[0][0])
    for step in road:
        press(qtbot, dock, *step)
    objects = viewer.layers["Nuclei · Objects"]
    assert abs(len(np.unique(objects.data)) - 1 - DRAWN) <= 3
    qtbot.waitUntil(lambda: dock.page.tool.id == "measure_regions")
    assert dock.page.form.values()["labels"] is objects
    if road[0][0] == "find_objects":
        press(qtbot, dock, "measure_regions", "Table")
        told = dock.page.run_bar.message.text()
        assert re.search(r"Up to ±\d+% of a size by where its soft edge is set", told), told
    return dock.page.form.values()["image"]


def press(qtbot, dock, tool, label):
    """Press the button on the page, after a run where it is not offered before."""
    qtbot.waitUntil(lambda: dock.page.tool.id == tool and not dock._wanted)
    dock.page.form.builder.finish()
    button = offered(dock.page, label)
    if button is None:
        qtbot.waitUntil(dock.page.run_bar.run_button.isEnabled)
        with qtbot.waitSignal(dock.page.job_finished, timeout=60_000):
            dock.page.run_bar.run_button.click()
        button = offered(dock.page, label)
    assert button is not None, f"{tool}: {dock.page.run_bar.message.text()}"
    button.click()


def offered(page, label):
    """Return the first button of the page that is called so, in the form or beside Run."""
    bars = [row._message for row in page.form.field_rows() if row._message is not None]
    found = [button for bar in (*bars, page.run_bar.message) for button in bar.buttons]
    return next((button for button in found if button.text() == label), None)
