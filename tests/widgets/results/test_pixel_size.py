"""A pixel size that is given at a table goes to all that lies on the same picture."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_tool_runner.jobs import Measured
from napari_tool_runner.jobs.lineage import note_made_of
from napari_tool_runner.widgets.results.again import note_act
from napari_tool_runner.widgets.results.dock import ToolTablesWidget
from napari_tool_runner.widgets.results.pixel_size import (
    NO_SIZE,
    RESIZED,
    PixelSize,
    SizeDialog,
    give_size,
    on_grid,
)


class Page:
    """Who measured."""

    def __init__(self):
        self.runs = 0

    def measure(self):
        self.runs += 1


@pytest.fixture
def picture(model_viewer):
    return model_viewer.add_image(np.zeros((20, 30)), name="cells")


@pytest.fixture
def objects(model_viewer, picture):
    pixels = np.zeros((20, 30), int)
    pixels[2:5, 2:5], pixels[10:16, 10:16] = 1, 2
    layer = model_viewer.add_labels(pixels, name="Objects")
    layer.features = pd.DataFrame({"index": [1, 2], "pixels": [9, 36]})
    note_made_of(layer, [picture])
    return layer


@pytest.fixture
def page(objects):
    page = Page()
    Measured(objects, (), None).note(objects)
    note_act(objects, page.measure)
    return page


@pytest.fixture
def dock(shown, model_viewer, objects, page):
    return shown(ToolTablesWidget(model_viewer), 900, 300)


def units(layer):
    return [str(unit) for unit in layer.units]


def test_a_size_is_given_to_all_that_lies_on_the_picture(model_viewer, picture, objects):
    half = model_viewer.add_image(np.zeros((10, 15)), name="half", scale=(2, 2), translate=(4, 6))
    piece = model_viewer.add_image(np.zeros((5, 5)), affine=[[1, 0, 3], [0, 1, 7], [0, 0, 1]])
    for made in (half, piece):
        note_made_of(made, [picture])
    drawn = model_viewer.add_points([[3, 4]])
    second = model_viewer.add_image(np.zeros((20, 30)), name="second channel")
    stranger = model_viewer.add_image(np.zeros((7, 7)))
    sized = model_viewer.add_image(np.zeros((20, 30)), units=("nanometer", "nanometer"))
    given = [picture, objects, half, piece, drawn, second]
    assert on_grid(model_viewer, objects) == given
    camera = getattr(model_viewer, "scene", model_viewer).camera
    camera.center, camera.zoom = (0, 8, 12), 3
    take_back = give_size(model_viewer, objects, PixelSize(0.5))
    for layer in given:
        assert units(layer) == ["micrometer", "micrometer"]
    np.testing.assert_allclose(objects.data_to_world((10, 10)), (5, 5))
    np.testing.assert_allclose(picture.data_to_world((10, 10)), (5, 5))
    np.testing.assert_allclose(half.data_to_world((3, 2)), (5, 5))
    np.testing.assert_allclose(piece.data_to_world((7, 3)), (5, 5))
    np.testing.assert_allclose(drawn.data_to_world((10, 10)), (5, 5))
    assert units(stranger) == ["pixel", "pixel"]
    assert units(sized) == ["nanometer", "nanometer"]
    np.testing.assert_allclose((*camera.center[-2:], camera.zoom), (4, 6, 6))
    take_back()
    for layer in given:
        assert units(layer) == ["pixel", "pixel"]
    np.testing.assert_allclose(half.data_to_world((3, 2)), (10, 10))
    np.testing.assert_allclose(piece.data_to_world((7, 3)), (10, 10))
    np.testing.assert_allclose((*camera.center[-2:], camera.zoom), (8, 12, 3))


def test_slices_have_their_own_distance_and_the_one_that_is_seen_stays(model_viewer):
    volume = model_viewer.add_labels(np.ones((4, 6, 6), int))
    model_viewer.dims.current_step = (2, 0, 0)
    give_size(model_viewer, volume, PixelSize(0.2, 0.5, "nanometer"))
    assert volume.scale.tolist() == [0.5, 0.2, 0.2]
    assert units(volume) == ["nanometer"] * 3
    assert model_viewer.dims.current_step[0] == 2


def test_the_table_asks_for_the_size_and_then_to_measure_again(
    qtbot, dock, page, objects, picture
):
    remark = dock.view.remarks.unsized
    assert remark.text() == NO_SIZE
    remark.button.click()
    dialog = dock.sizing.dialog
    ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
    assert dialog.isVisible()
    assert not dialog.deep.isVisible()
    assert not ok.isEnabled()
    qtbot.keyClicks(dialog.wide, "0,5")
    qtbot.mouseClick(ok, Qt.MouseButton.LeftButton)
    assert remark.text() == f"“cells”, “Objects” now: 0.5 µm a pixel. {RESIZED}"
    assert picture.scale.tolist() == objects.scale.tolist() == [0.5, 0.5]
    again, undo = remark.buttons
    assert (again.text(), undo.text()) == ("Measure again", "Undo")
    again.click()
    assert page.runs == 1
    undo.click()
    assert picture.scale.tolist() == objects.scale.tolist() == [1, 1]
    assert remark.text() == NO_SIZE


def test_a_size_that_comes_from_elsewhere_is_told_too(dock, page, objects):
    remark = dock.view.remarks.unsized
    objects.features = pd.DataFrame({"index": [1, 2], "pixels": [9, 36], "area_um2": [9.0, 36.0]})
    objects.units, objects.scale = ("micrometer", "micrometer"), (2, 2)
    assert remark.text() == RESIZED
    assert [button.isHidden() for button in remark.buttons] == [False, True]


def test_a_size_that_was_measured_with_is_not_taken_back_for_another(dock, page, objects):
    remark = dock.view.remarks.unsized
    dock.sizing._give(objects, PixelSize(0.5))
    assert remark.buttons[1].text() == "Undo"
    Measured(objects, (), None).note(objects)
    objects.features = pd.DataFrame({"index": [1, 2], "pixels": [9, 36], "area_um2": [2.25, 9.0]})
    dock.refresh()
    assert remark.isHidden()
    objects.scale = (2, 2)
    assert remark.text() == RESIZED
    assert remark.buttons[1].isHidden()


def test_who_measured_is_gone_and_the_layer_too(qtbot, shown, model_viewer, objects):
    dock = shown(ToolTablesWidget(model_viewer), 900, 300)
    remark = dock.view.remarks.unsized
    objects.units = ("micrometer", "micrometer")
    assert remark.text() == RESIZED
    assert remark.button.isHidden()
    objects.units = ("pixel", "pixel")
    dock.sizing._viewer.layers.remove(objects)
    dock.sizing._ask()
    assert dock.sizing.dialog is None


@pytest.mark.parametrize("text", ["", "0", "-1", "a", "inf", "nan"])
def test_what_is_no_size_is_not_taken(qtbot, text):
    dialog = SizeDialog(deep=True)
    qtbot.addWidget(dialog)
    dialog.wide.setText("0.2")
    dialog.deep.setText(text)
    assert not dialog.buttons.button(dialog.buttons.StandardButton.Ok).isEnabled()


def test_a_size_of_a_volume_is_told(qtbot):
    dialog = SizeDialog(deep=True)
    qtbot.addWidget(dialog)
    dialog.wide.setText("0.2")
    dialog.deep.setText("500e-3")
    dialog.unit.setCurrentText("mm")
    with qtbot.waitSignal(dialog.given) as told:
        dialog.buttons.accepted.emit()
    assert told.args == [PixelSize(0.2, 0.5, "millimeter")]
