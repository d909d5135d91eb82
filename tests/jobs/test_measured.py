"""What was measured again takes the place of what was measured before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("napari")
from napari.components import ViewerModel
from napari.layers import Labels, Points

from jobs.conftest import MakeTool
from napari_tool_runner.jobs import (
    Extent,
    JobManager,
    Measured,
    add_result,
    has_changed,
    look_into,
    measured_of,
    size_changed,
    take_back,
)

if TYPE_CHECKING:
    from jobs.conftest import MakeTool
    from napari_tool_runner.jobs import AddedResult
    from napari_tool_runner.tools import Tool

MEASURE = """
import sys, numpy as np, tifffile
labels, image = (tifffile.imread(path) for path in sys.argv[1:3])
with open(sys.argv[3], "w") as out:
    out.write("label,pixels,mean\\n")
    for n in np.unique(labels[labels > 0]):
        out.write(f"{n},{(labels == n).sum()},{image[labels == n].mean() + float(sys.argv[4])}\\n")
"""
INPUTS = (
    '<param name="i" type="data" format="imagetiff" layer="labels"/>'
    '<param name="m" type="data" format="imagetiff" layer="image"/>'
    '<param name="more" type="float" value="0"/>'
)
GIVEN = "${i} ${m} ${t} ${more}"
OUT = '<data name="t" format="tablecsv" layer="table" join="i" label="Sizes"/>'


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    ramp = np.arange(80, dtype=np.uint8).reshape(8, 10)
    viewer.add_image(ramp, name="cells")
    viewer.add_image(ramp // 2, name="GFP")
    labels = np.zeros((8, 10), np.uint16)
    labels[1:3, 1:3], labels[4:7, 5:8], labels[1, 8] = 1, 2, 3
    viewer.add_labels(labels, name="mine")
    return viewer


@pytest.fixture
def tool(make_tool: MakeTool) -> Tool:
    return make_tool(MEASURE, inputs=INPUTS, outputs=OUT, arguments=GIVEN)


@pytest.fixture
def measure(viewer: ViewerModel, tool: Tool, config: dict[str, object]):
    def run(image: str = "cells", tool: Tool = tool, **more: object) -> AddedResult:
        given = {"i": viewer.layers["mine"], "m": viewer.layers[image], **more}
        job = JobManager().submit(tool, given, config=config)
        return add_result(viewer, job.result(), job)

    return run


def known(layer: Labels) -> dict[str, list[float]]:
    """Return what is known of the objects, without the background."""
    rows = layer.features[layer.features["index"] != 0]
    return {name: rows[name].tolist() for name in rows.columns}


def paint_away(layer: Labels, number: int) -> None:
    layer.data_setitem(np.nonzero(layer.data == number), 0)


def test_what_is_measured_again_takes_the_place_of_its_own_columns(viewer, measure):
    mine = viewer.layers["mine"]
    assert measure().sentence() == "Measured 3 objects of “mine”."
    mine.features["kind"] = ["", "a", "b", "c"]
    mine.data_setitem((np.array([0, 0]), np.array([0, 1])), 1)
    paint_away(mine, 3)
    assert has_changed(mine)
    again = measure()
    assert again.sentence().startswith("Measured 2 objects of “mine” again.")
    assert list(known(mine)) == ["index", "pixels", "mean", "kind"]
    assert known(mine)["index"] == [1, 2]
    assert known(mine)["pixels"] == [6, 9]
    assert known(mine)["kind"] == ["a", "b"]
    assert not has_changed(mine)
    assert take_back(viewer, again) == []
    assert list(known(mine)) == ["index", "pixels", "mean", "kind"]
    assert known(mine)["pixels"] == [4, 9, 1]
    assert known(mine)["kind"] == ["a", "b", "c"]
    assert has_changed(mine), "what it says now is of the objects before they were painted on"


def test_columns_of_another_image_say_of_which(viewer, measure, make_tool):
    mine = viewer.layers["mine"]
    measure()
    measure("GFP")
    assert list(known(mine)) == ["index", "pixels", "mean", "mean of GFP"]
    before = known(mine)
    measure("GFP")
    measure()
    assert known(mine) == before
    script = MEASURE.replace("+ float", "- 1 + float")
    other = make_tool(script, name="other", inputs=INPUTS, outputs=OUT, arguments=GIVEN)
    measure(tool=other)
    (name,) = known(mine).keys() - before.keys()
    assert name == f"mean by {other.name}"
    paint_away(mine, 3)
    assert [one.within for one in measured_of(mine) if one.has_changed(mine)] == [
        "GFP",
        "cells",
        "cells",
    ]


def test_of_what_a_tool_measured_otherwise_nothing_is_left(viewer, measure, make_tool):
    mine = viewer.layers["mine"]
    script = MEASURE.replace("label,pixels,mean", "label,pixels,mean{sys.argv[4]}").replace(
        'out.write("', 'out.write(f"', 1
    )
    tool = make_tool(script, inputs=INPUTS, outputs=OUT, arguments=GIVEN)
    measure(tool=tool)
    again = measure(tool=tool, more=1)
    assert list(known(mine)) == ["index", "pixels", "mean1"], "as with another pixel size"
    take_back(viewer, again)
    assert list(known(mine)) == ["index", "pixels", "mean0"]


def test_undo_leaves_what_was_measured_since(viewer, measure):
    mine = viewer.layers["mine"]
    first, of_gfp = measure(), measure("GFP")
    again = measure()
    assert take_back(viewer, first) == ["“mine” was measured once more: its newer columns stay."]
    assert "pixels" in known(mine)
    paint_away(mine, 1)
    measure("GFP")
    take_back(viewer, again)
    assert known(mine)["pixels"] == [4, 9, 1]
    take_back(viewer, first)
    assert "mean" not in known(mine)
    assert np.isnan(known(mine)["mean of GFP"][0]), "it is known of the objects that are there"
    assert take_back(viewer, of_gfp)


def test_first_measures_are_taken_back_whole(viewer, measure):
    mine = viewer.layers["mine"]
    take_back(viewer, measure())
    assert not len(mine.features.columns)
    assert measured_of(mine) == []


def test_painting_that_is_undone_has_not_changed_objects(viewer, measure):
    mine = viewer.layers["mine"]
    mine.fill((0, 0), 7)
    measure()
    mine.undo()
    assert has_changed(mine), "what was painted before is no more"
    mine.redo()
    assert not has_changed(mine)
    mine.paint((4, 4), 9)
    assert has_changed(mine)
    mine.undo()
    assert not has_changed(mine)
    pixels = mine.data
    mine.data = pixels.copy()
    assert has_changed(mine)


def test_what_is_painted_while_it_is_measured_is_told(viewer, tool, config):
    mine = viewer.layers["mine"]
    job = JobManager().submit(tool, {"i": mine, "m": viewer.layers["cells"]}, config=config)
    paint_away(mine, 1)
    add_result(viewer, job.result(), job)
    assert has_changed(mine)


def test_points_that_move_and_another_pixel_size():
    points = Points([[0, 0], [1, 1]])
    Measured(points, (), None).note(points)
    assert not has_changed(points)
    points.scale = (2, 2)
    assert size_changed(points)
    assert not has_changed(points)
    points.add([3, 3])
    assert has_changed(points)


def look(layer: object) -> bool:
    look_into([layer])()()
    return has_changed(layer)


def test_what_is_written_to_pixels_without_an_event_is_read(viewer, measure, tool, config):
    mine = viewer.layers["mine"]
    measure()
    assert not look(mine)
    mine.data[0, 0] = 9
    mine.refresh()
    assert look(mine)
    mine.data[0, 0] = 0
    assert not look(mine)
    mine.paint((4, 4), 9)
    assert has_changed(mine), "told at once"
    mine.undo()
    mine.brush_size = 1
    mine.paint((0, 0), 9)
    mine.data[:] = np.where(mine.data == 9, 0, mine.data)
    assert not look(mine), "erased as it was painted"
    job = JobManager().submit(tool, {"i": mine, "m": viewer.layers["cells"]}, config=config)
    job.result()
    mine.data[0, 0] = 9
    add_result(viewer, job.result(), job)
    assert look(mine), "written while it was measured"


def test_points_that_are_written_to_and_parts_of_layers_are_read():
    points = Points([[0, 0], [1, 1]])
    Measured(points, (), None).note(points)
    assert measured_of(points)[0].is_unsure
    assert not look(points)
    assert not measured_of(points)[0].is_unsure
    points.data[0] = [5, 5]
    assert look(points)
    points.data[0] = [0, 0]
    assert not look(points)
    points.features = {"area": [1.0, 2.0]}
    assert not look(points), "what is known of them is not theirs"
    points.add([3, 3])
    assert has_changed(points)


def test_a_part_that_was_measured_is_not_compared_with_the_whole(viewer, tool, config):
    mine = viewer.layers["mine"]
    given = {"i": mine, "m": viewer.layers["cells"]}
    extent = Extent(crop=((0, 8), (0, 9)))
    job = JobManager().submit(tool, given, config=config, extent=extent)
    add_result(viewer, job.result(), job)
    assert not look(mine)
    mine.data[0, 0] = 9
    assert look(mine)
