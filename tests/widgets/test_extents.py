"""Current slice, each slice, only what is seen: what goes in, and where results lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from run_tools import make_tool

from napari_tool_runner.jobs import JobManager, JobState, prepare
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.widgets.forms.extents import Choice, Sliced, sliced
from napari_tool_runner.widgets.forms.presets import PresetStore
from napari_tool_runner.widgets.tool_widget import ToolWidget

WAIT = 60_000

LABEL = """
import sys
import numpy as np, tifffile
from scipy import ndimage
image = tifffile.imread(sys.argv[1])
assert image.ndim == 2, image.shape
labels, count = ndimage.label(image > 100)
tifffile.imwrite(sys.argv[2], labels.astype(np.uint16))
with open(sys.argv[3], "w") as out:
    out.write("label,area\\n")
    for label in range(1, count + 1):
        out.write(f"{label},{(labels == label).sum()}\\n")
"""
MEAN = """
import sys
import tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], 255 - image)
"""
SPOTS = """
import sys
import numpy as np, tifffile
image = tifffile.imread(sys.argv[1])
with open(sys.argv[2], "w") as out:
    out.write("axis-0,axis-1\\n")
    for y, x in np.argwhere(image == image.max()):
        out.write(f"{y},{x}\\n")
"""


@pytest.fixture
def label_tool(tmp_path):
    return make_tool(
        tmp_path / "label",
        LABEL,
        name="label2d",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" ndim="2"'
        ' label="Image"/>',
        outputs='<data name="o" format="imagetiff" layer="labels" reference="i" label="Objects"/>'
        '<data name="t" format="tablecsv" layer="table" join="o" label="Areas"/>',
        arguments="${i} ${o} ${t}",
    )


@pytest.fixture
def invert(tmp_path):
    return make_tool(
        tmp_path / "invert",
        MEAN,
        name="invert",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>',
        outputs='<data name="o" format="imagetiff" layer="image" reference="i" label="Inverted"/>',
        arguments="${i} ${o}",
    )


@pytest.fixture
def stack() -> np.ndarray:
    """Three slices with one, two and no objects (ZYX, 3 x 16 x 16)."""
    image = np.zeros((3, 16, 16), np.uint8)
    image[0, 2:5, 2:5] = 200
    image[1, 2:4, 2:4] = 200
    image[1, 8:12, 8:12] = 200
    return image


@pytest.fixture
def page(shown, model_viewer, tmp_path):
    manager = JobManager()

    def open_page(tool) -> ToolWidget:
        return shown(
            ToolWidget(tool, model_viewer, manager=manager, presets=PresetStore(tmp_path / "p"))
        )

    yield open_page
    manager.shutdown()


def run(qtbot, widget):
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT) as finished:
        qtbot.mouseClick(widget.run_bar.run_button, Qt.MouseButton.LeftButton)
    job = finished.args[0]
    assert job.state is JobState.DONE, job.error
    return job


def test_a_tool_for_planes_is_applied_to_each_slice_of_a_stack(
    qtbot, page, model_viewer, label_tool, stack
):
    layer = model_viewer.add_image(
        stack, name="stack", scale=(2, 0.5, 0.5), translate=(10, 1, 2), units=("um",) * 3
    )
    model_viewer.add_image(stack[0], name="above")
    model_viewer.layers.selection.active = layer
    widget = page(label_tool)
    assert widget.extent_bar.isVisible()
    assert widget.extent_bar.choice is Choice.EACH
    run(qtbot, widget)
    names = [item.name for item in model_viewer.layers]
    result = model_viewer.layers[names.index("stack") + 1]
    labels = np.asarray(result.data)
    assert labels.shape == stack.shape
    np.testing.assert_array_equal(labels > 0, stack > 100)
    # three objects, three ids, though every slice counted from one
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    np.testing.assert_allclose(result.scale, layer.scale)
    np.testing.assert_allclose(result.translate, layer.translate)
    assert [str(unit) for unit in result.units] == ["micrometer"] * 3
    areas = dict(zip(result.features["index"], result.features["area"], strict=True))
    assert {areas[label] for label in (1, 2, 3)} == {9, 4, 16}


def test_the_current_slice_lies_where_it_belongs(qtbot, page, model_viewer, label_tool, stack):
    layer = model_viewer.add_image(stack, name="stack", scale=(2, 0.5, 0.5), translate=(10, 1, 2))
    model_viewer.dims.set_current_step(0, 1)
    widget = page(label_tool)
    widget.extent_bar.choose(Choice.CURRENT)
    assert "1" in widget.extent_bar.combo.currentText()
    run(qtbot, widget)
    result = model_viewer.layers[1]
    assert result.data.shape == (1, 16, 16)
    np.testing.assert_array_equal(np.asarray(result.data[0]) > 0, stack[1] > 100)
    np.testing.assert_allclose(result.translate, (12, 1, 2))
    np.testing.assert_allclose(result.scale, layer.scale)


def test_points_of_each_slice_get_their_slice(qtbot, page, model_viewer, tmp_path):
    image = np.zeros((4, 8, 8), np.uint8)
    for z in range(4):
        image[z, z, 2 * z] = 9
    layer = model_viewer.add_image(image, name="spots", scale=(3, 1, 1))
    widget = page(
        make_tool(
            tmp_path / "spots",
            SPOTS,
            name="spots",
            inputs='<param name="i" type="data" format="imagetiff" layer="image" ndim="2"/>',
            outputs='<data name="o" format="tablecsv" layer="points" reference="i"/>',
            arguments="${i} ${o}",
        )
    )
    run(qtbot, widget)
    points = model_viewer.layers[1]
    np.testing.assert_allclose(points.data, [[z, z, 2 * z] for z in range(4)])
    np.testing.assert_allclose(points.scale, layer.scale)


def test_masks_stay_masks(qtbot, page, model_viewer, tmp_path, stack):
    model_viewer.add_image(stack)
    widget = page(
        make_tool(
            tmp_path / "mask",
            "import sys, tifffile\n"
            "image = tifffile.imread(sys.argv[1])\n"
            "tifffile.imwrite(sys.argv[2], (image > 100).astype('uint8'))\n",
            name="mask",
            inputs='<param name="i" type="data" format="imagetiff" layer="image" ndim="2"/>',
            outputs='<data name="o" format="imagetiff" layer="labels" reference="i"/>',
            arguments="${i} ${o}",
        )
    )
    run(qtbot, widget)
    np.testing.assert_array_equal(np.asarray(model_viewer.layers[1].data), stack > 100)


def test_only_what_is_seen(qtbot, page, model_viewer, invert, cells):
    layer = model_viewer.add_image(cells, name="cells", scale=(0.5, 2), translate=(5, 7))
    layer.corner_pixels = np.array([[10, 20], [29, 49]])
    widget = page(invert)
    qtbot.mouseClick(widget.extent_bar.seen, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    assert widget.extent_bar.seen.isChecked()
    assert "20 × 30 of 64 × 64 pixels" in widget.extent_bar.words.text()
    run(qtbot, widget)
    result = model_viewer.layers[1]
    np.testing.assert_array_equal(np.asarray(result.data), 255 - cells[10:30, 20:50])
    np.testing.assert_allclose(result.translate, (5 + 10 * 0.5, 7 + 20 * 2))


def test_a_rotated_layer_keeps_its_place_when_cut(qtbot, page, model_viewer, invert, cells):
    layer = model_viewer.add_image(cells, rotate=30, scale=(2, 3), translate=(1, 2))
    layer.corner_pixels = np.array([[10, 20], [29, 49]])
    widget = page(invert)
    widget.extent_bar.seen.setChecked(True)
    run(qtbot, widget)
    part = model_viewer.layers[1]
    np.testing.assert_allclose(part.data_to_world((0, 0)), layer.data_to_world((10, 20)))
    np.testing.assert_allclose(part.data_to_world((7, 3)), layer.data_to_world((17, 23)))


def test_what_is_offered(model_viewer, label_tool, invert, stack, cells):
    flat = model_viewer.add_image(cells)
    deep = model_viewer.add_image(stack)
    assert sliced(label_tool, {"i": flat}, model_viewer).choices == (Choice.WHOLE,)
    assert sliced(label_tool, {"i": deep}, model_viewer).choices[0] is Choice.EACH
    assert sliced(invert, {"i": deep}, model_viewer).choices[0] is Choice.WHOLE
    assert sliced(label_tool, {"i": None}, model_viewer) is None
    assert sliced(label_tool, {"i": Path("image.tif")}, model_viewer) is None


@pytest.mark.parametrize(
    ("ndim", "shape", "choices", "count", "noun"),
    [
        ((2,), (5, 8, 8), 2, 5, "slice"),
        ((2,), (4, 5, 8, 8), 2, 20, "slice"),
        ((2, 3), (4, 5, 8, 8), 2, 4, "volume"),
        ((3,), (4, 5, 8, 8), 2, 4, "volume"),
        ((3,), (5, 8, 8), 1, None, None),
        ((2, 3), (5, 8, 8), 3, 5, "slice"),
        ((), (5, 8, 8), 3, 5, "slice"),
        ((2,), (1, 8, 8), 3, 1, "slice"),  # one of 1 may go
        ((2, 4), (5, 8, 8), 2, 5, "slice"),
        ((2,), (8, 8), 1, None, None),
    ],
)
def test_slices_are_of_the_dimensions_that_the_tool_takes(
    model_viewer, ndim, shape, choices, count, noun
):
    layer = model_viewer.add_image(np.zeros(shape, np.uint8))
    found = Sliced(layer, DataParameter(name="i", ndim=ndim), model_viewer)
    assert len(found.choices) == choices
    if count is not None:
        assert (found.count, found.noun) == (count, noun)
        index = found.extent(Choice.EACH, seen=False).indices(shape)
        assert len(index) == count


def test_the_sliders_are_read_in_pixels_of_the_layer(model_viewer):
    layer = model_viewer.add_image(
        np.zeros((6, 8, 8), np.uint8), scale=(2, 1, 1), translate=(10, 0, 0)
    )
    model_viewer.add_image(np.zeros((3, 1, 1, 1), np.uint8))  # one more axis in front
    model_viewer.dims.axis_labels = ("t", "z", "y", "x")
    layer.axis_labels = ("z", "y", "x")
    model_viewer.dims.set_point(1, 18)
    found = Sliced(layer, DataParameter(name="i", ndim=(2,)), model_viewer)
    assert found.position()[0] == 4
    assert found.label(Choice.CURRENT) == "current slice (z 4/5)"
    assert found.extent(Choice.CURRENT, seen=False).crop == ((4, 5), None, None)
    assert "at z 4/5; the result lies there" in found.explain(Choice.CURRENT, seen=False)
    assert found.explain(Choice.EACH, seen=False).startswith("6 runs, one for each slice along z")


def test_nothing_is_said_to_be_seen_in_3d(model_viewer, cells):
    layer = model_viewer.add_image(np.stack([cells] * 3))
    layer.corner_pixels = np.array([[0, 10, 20], [0, 29, 49]])
    found = Sliced(layer, DataParameter(name="i"), model_viewer)
    assert found.visible() == (None, (10, 30), (20, 50))
    model_viewer.dims.ndisplay = 3
    assert found.visible() == ()


def test_lazy_data_is_not_read_to_be_cut(model_viewer, invert):
    da = pytest.importorskip("dask.array")
    read: list[int] = []

    def block(block_info=None):
        read.append(1)
        return np.zeros((1, 8, 8), np.uint8)

    lazy = da.map_blocks(block, chunks=((1,) * 5, (8,), (8,)), dtype=np.uint8)
    layer = model_viewer.add_image(lazy, contrast_limits=(0, 1))
    read.clear()
    found = sliced(invert, {"i": layer}, model_viewer)
    prepare(invert, {"i": layer}, extent=found.extent(Choice.EACH, seen=False), config={})
    assert len(read) <= 1  # napari looks at a slice to show it; the stack is not loaded


def test_one_failing_slice_ends_the_run_and_adds_nothing(qtbot, page, model_viewer, tmp_path):
    image = np.zeros((3, 8, 8), np.uint8)
    image[1] = 7
    model_viewer.add_image(image)
    widget = page(
        make_tool(
            tmp_path / "fails",
            "import sys, tifffile\n"
            "image = tifffile.imread(sys.argv[1])\n"
            "assert image.max() < 5, 'too bright'\n"
            "tifffile.imwrite(sys.argv[2], image)\n",
            name="fails",
            inputs='<param name="i" type="data" format="imagetiff" layer="image" ndim="2"/>',
            outputs='<data name="o" format="imagetiff" layer="image"/>',
            arguments="${i} ${o}",
        )
    )
    with qtbot.waitSignal(widget.job_finished, timeout=WAIT):
        job = widget.run()
    assert job.state is JobState.FAILED
    assert len(model_viewer.layers) == 1
    assert widget.run_bar.message.kind() == "failed"
    assert any("too bright" in line for line in widget.log.text.toPlainText().splitlines())


def test_a_slice_of_a_turned_stack_comes_back_to_its_place(
    qtbot, page, model_viewer, invert, stack
):
    turn = np.eye(3)
    turn[1:, 1:] = [[0.6, -0.8], [0.8, 0.6]]
    layer = model_viewer.add_image(
        stack, scale=(4, 2, 3), translate=(7, 8, 9), rotate=turn, shear=[0, 0, 0.25]
    )
    model_viewer.dims.set_current_step(0, 2)
    widget = page(invert)
    widget.extent_bar.choose(Choice.CURRENT)
    place = widget.extent_bar.extent(widget.form.values()).crop[0][0]
    run(qtbot, widget)
    result = model_viewer.layers[1]
    for y, x in ((0, 0), (5, 3), (15, 15)):
        np.testing.assert_allclose(
            result.data_to_world((0, y, x)), layer.data_to_world((place, y, x))
        )


def test_slices_are_rows_and_columns_wherever_they_stand(model_viewer):
    layer = model_viewer.add_image(np.zeros((6, 7, 3), np.uint8), axis_labels=("y", "x", "c"))
    found = Sliced(layer, DataParameter(name="i", ndim=(2,)), model_viewer)
    assert (found.outer, found.count, found.noun) == ([2], 3, "slice")
    assert "c" in found.label(Choice.CURRENT)
    at = found.position()[2]
    crop = found.extent(Choice.CURRENT, seen=False).crop
    assert crop == (None, None, (at, at + 1))
    assert found.explain(Choice.EACH, seen=False).startswith("3 runs, one for each slice along c")
