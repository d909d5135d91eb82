"""The last result is replaced in its place; what a person did to its layer stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

napari = pytest.importorskip("napari")
from napari.components import ViewerModel  # noqa: E402

from napari_tool_runner.jobs import AddedResult, JobManager, add_result, take_back  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.conftest import MakeTool
    from napari_tool_runner.jobs import JobOutput
    from napari_tool_runner.tools import Tool

    Run = Callable[..., AddedResult]

Config = dict[str, object]
NUMBER = (
    '<param name="i" type="data" format="imagetiff" layer="image labels"/>'
    '<param name="n" type="integer" value="1" min="0" max="1000"/>'
)
TIMES = """
import sys, tifffile
tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]).astype("u2") * int(sys.argv[3]))
"""
LABELS = '<data name="o" format="imagetiff" layer="labels" label="Cells"/>'
IMAGE = '<data name="o" format="imagetiff" layer="image" label="Many"/>'
POINTS = """
import sys
with open(sys.argv[2], "w") as out:
    out.write("axis-0,axis-1,strength\\n")
    for number in range(int(sys.argv[3])):
        out.write(f"{number},{2 * number},{number / 2}\\n")
"""
SPOTS = '<data name="o" format="tablecsv" layer="points" reference="i" label="Spots"/>'
SQUARES = """
import sys, json
squares = [[[[0, 0], [0, 2], [2, 2], [2, 0], [0, 0]]]] * int(sys.argv[3])
features = [
    {"type": "Feature", "properties": {"label": n + 1},
     "geometry": {"type": "Polygon", "coordinates": square}}
    for n, square in enumerate(squares)
]
json.dump({"type": "FeatureCollection", "features": features}, open(sys.argv[2], "w"))
"""
OUTLINES = '<data name="o" format="geojson" layer="shapes" reference="i" label="Outlines"/>'


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(np.arange(80, dtype=np.uint8).reshape(8, 10), name="cells")
    return viewer


@pytest.fixture
def run(viewer: ViewerModel, config: Config) -> Run:
    def run(tool: Tool, n: int, source: str = "cells", **more: object) -> AddedResult:
        values = {"i": viewer.layers[source], "n": n}
        job = JobManager().submit(tool, values, config=config)
        return add_result(viewer, job.result(), job, **{"replaces": True, **more})

    return run


def tool_of(make_tool: MakeTool, script: str, outputs: str) -> Tool:
    return make_tool(script, inputs=NUMBER, outputs=outputs, arguments="${i} ${o} ${n}")


def ring(output: JobOutput, sources: Mapping[str, object]) -> dict[str, object]:
    """Return a look: as large as there are spots."""
    return {"size": float(len(output.data)), "border_color": "strength"}


def test_the_last_result_of_the_same_layers_is_replaced_in_place(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, TIMES, LABELS)
    (kept,) = run(tool, 1, replaces=False).layers
    (last,) = run(tool, 2, replaces=False).layers
    above = viewer.add_points(np.zeros((1, 2)), name="above")
    viewer.layers.selection = {above}
    last.name, last.opacity, last.visible, last.contour = "mine", 0.4, False, 2
    last.metadata["mine"] = 1
    last.features = {"index": [0, 1], "area": [np.nan, 3.0]}  # measures of other objects
    added = run(tool, 3)
    assert added.layers == added.replaced == [last]
    assert added.sentence().startswith("Replaced “mine”: 79 objects.")
    assert [layer.name for layer in viewer.layers] == ["cells", kept.name, "mine", "above"]
    np.testing.assert_array_equal(last.data, 3 * np.arange(80).reshape(8, 10))
    assert (last.opacity, last.visible, last.contour) == (0.4, False, 2)
    assert viewer.layers.selection == {above}
    assert last.metadata["mine"] == 1
    assert last.metadata["napari_tool_runner"]["parameters"]["n"] == 3
    assert last.features.empty
    assert run(tool, 4).replaced == [last]
    viewer.layers.remove(last)
    assert run(tool, 5).replaced == [kept]


def test_results_of_other_layers_and_tools_are_not_replaced(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    viewer.add_image(np.ones((8, 10), np.uint8), name="other")
    tool = tool_of(make_tool, TIMES, IMAGE)
    another = make_tool(
        TIMES, name="another", inputs=NUMBER, outputs=IMAGE, arguments="${i} ${o} ${n}"
    )
    made = [run(tool, 2).layers, run(tool, 2, "other").layers, run(another, 2).layers]
    assert len(viewer.layers) == 5
    assert [run(tool, 3).layers, run(tool, 3, "other").layers, run(another, 3).layers] == made


@pytest.mark.parametrize("how", ["by hand", "in place"])
def test_what_was_changed_by_hand_is_kept_and_told(
    viewer: ViewerModel, make_tool: MakeTool, run: Run, how: str
) -> None:
    tool = tool_of(make_tool, TIMES, LABELS)
    (edited,) = run(tool, 1).layers
    if how == "by hand":
        edited.paint((0, 0), 7)
    else:
        edited.data[0, 0] = 7  # as in a console: napari is told nothing
    added = run(tool, 2)
    assert added.replaced == []
    assert f"“{edited.name}” was changed by hand" in added.sentence()
    assert edited.data[0, 0] == 7
    (fresh,) = added.layers
    assert viewer.layers.index(fresh) == viewer.layers.index(edited) + 1
    assert run(tool, 3).replaced == [fresh]
    assert edited.data[0, 0] == 7


def test_what_was_written_in_place_is_not_taken_back(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    added = run(tool_of(make_tool, TIMES, LABELS), 2)
    (layer,) = added.layers
    layer.data[2:4] = 9
    assert take_back(viewer, added) == [f"“{layer.name}” was changed by hand and stays."]
    assert layer in viewer.layers


def test_a_contrast_that_somebody_chose_stays(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, TIMES, IMAGE)
    (image,) = run(tool, 2).layers
    assert run(tool, 200).layers == [image]
    assert image.contrast_limits[1] == pytest.approx(79 * 200)
    image.contrast_limits = (3, 30)
    run(tool, 100)
    assert image.contrast_limits == [3, 30]


def test_points_take_their_features_and_the_sizes_that_nobody_chose(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, POINTS, SPOTS)
    (points,) = run(tool, 3, looks=ring).layers
    for count in (6, 2):
        assert run(tool, count, looks=ring).layers == [points]
        assert [*points.size] == [count] * count
        assert [*points.features["strength"]] == [n / 2 for n in range(count)]
        assert len(points.border_color) == count
    points.size = 9
    run(tool, 4, looks=ring)
    assert [*points.size] == [9] * 4


def test_what_cannot_take_other_data_is_put_in_its_place(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, SQUARES, OUTLINES)
    (old,) = run(tool, 2).layers
    other = viewer.add_points(np.zeros((1, 2)), name="other")
    old.name, old.opacity = "mine", 0.3
    for selected in ({old}, {other}):
        viewer.layers.selection = selected
        added = run(tool, 4)
        (new,) = added.replaced
        assert old not in viewer.layers
        assert [layer.name for layer in viewer.layers] == ["cells", "mine", "other"]
        assert len(new.data) == 4
        assert new.opacity == 0.3
        assert viewer.layers.selection == ({new} if old in selected else selected)
        old = new


def test_what_replaced_the_last_result_can_be_taken_back(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, TIMES, LABELS)
    (layer,) = run(tool, 2).layers
    layer.features = {"index": [0, 1], "area": [np.nan, 3.0]}
    second, third = run(tool, 3), run(tool, 4)
    take_back(viewer, third)
    np.testing.assert_array_equal(layer.data, 3 * np.arange(80).reshape(8, 10))
    take_back(viewer, second)
    np.testing.assert_array_equal(layer.data, 2 * np.arange(80).reshape(8, 10))
    assert [*layer.features["area"]][1] == 3
    assert layer.metadata["napari_tool_runner"]["parameters"]["n"] == 2
    fourth = run(tool, 5)
    assert fourth.replaced == [layer], "it is still the last result"
    layer.data_setitem((np.array([0]), np.array([0])), 7)  # painted
    take_back(viewer, fourth)
    assert layer.data[0, 1] == 5, "what was changed by hand stays"


CHANNEL = """
import sys, tifffile
tifffile.imwrite(
    sys.argv[2], tifffile.imread(sys.argv[1]), ome=True,
    metadata={"axes": "YX", "Channel": {"Name": ["red", "blue"][int(sys.argv[3])]}},
)
"""


def test_an_image_is_called_as_its_file_calls_its_only_channel(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, CHANNEL, IMAGE.replace("Many", "Image"))
    (layer,) = run(tool, 0).layers
    assert layer.name == "cells · red"
    second = run(tool, 1)
    assert (second.replaced, layer.name) == ([layer], "cells · blue")
    take_back(viewer, second)
    assert layer.name == "cells · red"
    third = run(tool, 1)
    layer.name = "mine"
    take_back(viewer, third)
    run(tool, 1)
    assert layer.name == "mine", "what a person calls it stays"
    (other,) = run(tool_of(make_tool, CHANNEL, IMAGE), 0, replaces=False).layers
    assert other.name == "cells · Many", "a label that says something goes first"


def test_a_contrast_comes_back_with_its_image(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, TIMES, IMAGE)
    (image,) = run(tool, 1).layers
    before = image.contrast_limits
    added = run(tool, 100)
    assert image.contrast_limits != before
    take_back(viewer, added)
    assert image.contrast_limits == before
    assert image.data.max() == 79


def test_what_came_in_the_place_of_another_gives_it_back(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, SQUARES, OUTLINES)
    (old,) = run(tool, 2).layers
    viewer.add_points(np.zeros((1, 2)), name="other")
    old.name = "mine"
    added = run(tool, 4)
    take_back(viewer, added)
    assert [layer.name for layer in viewer.layers] == ["cells", "mine", "other"]
    assert viewer.layers["mine"] is old
    take_back(viewer, added)  # nothing is left to be taken
    assert viewer.layers["mine"] is old


def test_results_that_labels_were_made_of_are_hidden(
    viewer: ViewerModel, make_tool: MakeTool, run: Run
) -> None:
    tool = tool_of(make_tool, TIMES, LABELS)
    own = viewer.add_labels(np.eye(8, dtype=int), name="drawn")
    first = run(tool, 2, "drawn")
    assert (own.visible, first.hidden) == (True, []), "it is the user's"
    (below,) = first.layers
    second = run(tool, 3, below.name)
    assert second.hidden == [below]
    assert not below.visible
    assert second.sentence().endswith(f"“{below.name}” below is hidden.")
    take_back(viewer, second)
    assert below.visible
    image = run(tool_of(make_tool, TIMES, IMAGE), 3, below.name)
    assert (below.visible, image.hidden) == (True, [])
    anew = run(tool, 4, "drawn", replaces=False)
    assert (anew.hidden, below.visible) == ([below], False), "it was made of the same"
