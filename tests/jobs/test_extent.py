"""Slices and crops: what goes in, and where the results come back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

napari = pytest.importorskip("napari")
from napari.components import ViewerModel  # noqa: E402
from napari.layers import Image  # noqa: E402
from napari.layers._source import Source  # noqa: E402

from jobs.conftest import INVERT, MakeTool  # noqa: E402
from napari_tool_runner.config import load_config  # noqa: E402
from napari_tool_runner.errors import ParameterError, ToolFailedError  # noqa: E402
from napari_tool_runner.jobs import (  # noqa: E402
    Extent,
    JobManager,
    add_result,
    compare_outputs,
    placed_result,
    prepare,
    read_record,
    rerun,
    run_job,
)

Config = dict[str, object]
STACK = np.arange(5 * 6 * 10, dtype=np.uint16).reshape(5, 6, 10)
# refuses anything but a plane, and says what it got
PLANE = """
import sys, tifffile
image = tifffile.imread(sys.argv[1])
assert image.ndim == 2, image.shape
tifffile.imwrite(sys.argv[2], image.max() - image)
"""
OBJECTS = """
import sys, numpy as np, tifffile
image = tifffile.imread(sys.argv[1])
labels = np.zeros(image.shape, np.uint8)
labels[:2, :3] = 1
labels[4:, 5:] = 2
tifffile.imwrite(sys.argv[2], labels)
open(sys.argv[3], "w").write("label,area\\n1,6\\n2,10\\n")
open(sys.argv[4], "w").write("index,axis-0,axis-1,area\\n0,0.5,1,6\\n1,4.5,7,10\\n")
"""
OBJECTS_OUT = (
    '<data name="o" format="imagetiff" layer="labels" label="Cells"/>'
    '<data name="t" format="tablecsv" layer="table" join="o" label="Areas"/>'
    '<data name="p" format="tablecsv" layer="points" label="Centres"/>'
)


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    viewer.add_image(
        STACK, name="stack", scale=(2, 0.5, 0.5), translate=(10, 20, 30), units=("um",) * 3
    )
    return viewer


def _run(viewer, tool, extent, config):
    job = JobManager().submit(tool, {"i": viewer.layers["stack"]}, config=config, extent=extent)
    return job, add_result(viewer, job.result(), job)


def test_the_current_slice(viewer: ViewerModel, make_tool: MakeTool, config: Config) -> None:
    extent = Extent("current", ndim=2, position=(2, 0, 0))
    _, added = _run(viewer, make_tool(PLANE), extent, config)
    (layer,) = added.layers
    np.testing.assert_array_equal(layer.data, STACK[2].max() - STACK[2])
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    np.testing.assert_allclose(layer.translate, (20, 30))


def test_each_slice_becomes_a_stack(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    job, added = _run(viewer, make_tool(PLANE), Extent("each", ndim=2), config)
    (layer,) = added.layers
    wanted = STACK.max(axis=(1, 2), keepdims=True) - STACK
    np.testing.assert_array_equal(np.asarray(layer.data), wanted)
    np.testing.assert_allclose(layer.scale, (2, 0.5, 0.5))
    np.testing.assert_allclose(layer.translate, (10, 20, 30))
    assert layer.name == "stack · Invert"
    record = job.record()
    assert record["extent"]["mode"] == "each"  # type: ignore[index]
    assert len(record["inputs"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ['join="o" ', ""], ids=["declared", "by its numbers"])
def test_labels_stay_distinct_and_their_table_follows(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, said: str
) -> None:
    outputs = OBJECTS_OUT.replace('join="o" ', said)
    tool = make_tool(OBJECTS, outputs=outputs, arguments="${i} ${o} ${t} ${p}")
    _, added = _run(viewer, tool, Extent("each", ndim=2), config)
    labels, points = added.layers
    data = np.asarray(labels.data)
    assert sorted(np.unique(data)) == list(range(11))
    assert [sorted(np.unique(plane[plane > 0])) for plane in data] == [
        [1, 2], [3, 4], [5, 6], [7, 8], [9, 10]
    ]  # fmt: skip
    features = labels.features.set_index("index").dropna()
    assert features["area"].to_dict() == {n: 6 if n % 2 else 10 for n in range(1, 11)}
    assert features["z"].to_dict() == {n: (n - 1) // 2 for n in range(1, 11)}
    assert points.data.shape == (10, 3)
    np.testing.assert_array_equal(points.data[:, 0], np.repeat(range(5), 2))
    np.testing.assert_array_equal(points.data[:2, 1:], [[0.5, 1], [4.5, 7]])
    np.testing.assert_allclose(points.scale, (2, 0.5, 0.5))
    assert list(points.features["area"]) == [6, 10] * 5


def test_a_stack_of_one_lies_at_its_slice(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    extent = Extent("each", ndim=2, crop=((3, 4), (1, 4), (2, 5)))
    tool = make_tool(OBJECTS, outputs=OBJECTS_OUT, arguments="${i} ${o} ${t} ${p}")
    _, added = _run(viewer, tool, extent, config)
    labels, points = added.layers
    assert labels.data.shape == (1, 3, 3)
    np.testing.assert_allclose(labels.translate, (16, 20.5, 31))
    np.testing.assert_allclose(labels.scale, (2, 0.5, 0.5))
    assert set(labels.features["z"].dropna()) == {3}
    np.testing.assert_allclose(points.data, [[0, 0.5, 1], [0, 4.5, 7]])
    np.testing.assert_allclose(points.translate, (16, 20.5, 31))


def test_each_slice_of_what_is_seen(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    extent = Extent("each", ndim=2, crop=((1, 3), (1, 4), (2, 5)))
    _, added = _run(viewer, make_tool(PLANE), extent, config)
    (layer,) = added.layers
    part = STACK[1:3, 1:4, 2:5]
    np.testing.assert_array_equal(layer.data, part.max(axis=(1, 2), keepdims=True) - part)
    np.testing.assert_allclose(layer.translate, (12, 20.5, 31))
    np.testing.assert_allclose(layer.scale, (2, 0.5, 0.5))


def test_masks_stay_masks(viewer: ViewerModel, make_tool: MakeTool, config: Config) -> None:
    script = """
    import sys, tifffile
    image = tifffile.imread(sys.argv[1])
    tifffile.imwrite(sys.argv[2], (image > image.mean()).astype("uint8"))
    """
    tool = make_tool(script, outputs='<data name="o" format="imagetiff" layer="labels"/>')
    _, added = _run(viewer, tool, Extent("each", ndim=2), config)
    (layer,) = added.layers
    assert set(np.unique(layer.data)) == {0, 1}


def test_only_what_is_seen(viewer: ViewerModel, make_tool: MakeTool, config: Config) -> None:
    extent = Extent("whole", crop=(None, (1, 4), (-3, 5)))
    _, added = _run(viewer, make_tool(INVERT), extent, config)
    (layer,) = added.layers
    part = STACK[:, 1:4, 0:5]
    np.testing.assert_array_equal(layer.data, part.max() - part)
    np.testing.assert_allclose(layer.translate, (10, 20.5, 30))
    crop = Extent("current", 2, (1, 0, 0), (None, (1, 4), (2, 5)))
    _, added = _run(viewer, make_tool(PLANE), crop, config)
    (layer,) = added.layers
    part = STACK[1, 1:4, 2:5]
    np.testing.assert_array_equal(layer.data, part.max() - part)
    np.testing.assert_allclose(layer.translate, (20.5, 31))


def test_points_are_cut_with_the_image(make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(
        "import sys; open(sys.argv[3], 'w').write(open(sys.argv[2]).read())",
        inputs='<param name="i" type="data" format="imagetiff"/>'
        '<param name="p" type="data" format="tablecsv" layer="points"/>',
        outputs='<data name="o" format="tablecsv" layer="points"/>',
        arguments="${i} ${p} ${o}",
    )
    points = np.array([[0, 1, 1], [2, 3, 4], [2, 5, 9], [3, 0, 0]], float)
    values = {"i": STACK, "p": (points, {"name": "p"}, "points")}
    extent = Extent("current", 2, (2, 0, 0), (None, (1, 6), (2, 10)))
    result = JobManager().submit(tool, values, config=config, extent=extent).result()
    np.testing.assert_allclose(np.asarray(result.outputs["o"].data), [[2, 2], [4, 7]])


def test_a_lazy_layer_is_read_in_slices(make_tool: MakeTool, config: Config) -> None:
    dask = pytest.importorskip("dask.array")
    values = {"i": dask.from_array(STACK, chunks=(1, 6, 10))}
    job = JobManager().submit(make_tool(PLANE), values, config=config, extent=Extent("each"))
    wanted = STACK.max(axis=(1, 2), keepdims=True) - STACK
    np.testing.assert_array_equal(np.asarray(job.result().outputs["o"].data), wanted)


def test_a_failing_slice_fails_the_job(make_tool: MakeTool, config: Config) -> None:
    script = PLANE + "if image.max() > 200: sys.exit(5)"
    job = JobManager().submit(
        make_tool(script), {"i": STACK}, config=config, extent=Extent("each")
    )
    with pytest.raises(ToolFailedError) as caught:
        job.result()
    assert caught.value.exit_code == 5


def test_each_slice_again_from_the_record(make_tool: MakeTool, config: Config) -> None:
    job = JobManager().submit(make_tool(PLANE), {"i": STACK}, config=config, extent=Extent("each"))
    first = job.result()
    assert json.loads((first.workspace / "record.json").read_text())["extent"]["mode"] == "each"
    assert first.record
    entry = read_record(first.workspace / "record.json")
    again, remarks = rerun(entry, load_config(config))
    assert remarks == []
    assert compare_outputs(entry, run_job(again)) == []


def test_impossible_parts(make_tool: MakeTool, config: Config) -> None:
    manager = JobManager()
    tool = make_tool(PLANE)
    with pytest.raises(ParameterError, match="empty"):
        manager.submit(
            tool, {"i": STACK}, config=config, extent=Extent(crop=(None, (9, 20), None))
        )
    with pytest.raises(ParameterError, match="outside"):
        manager.submit(
            tool, {"i": STACK}, config=config, extent=Extent("current", position=(7, 0, 0))
        )


def test_a_mode_that_there_is_not() -> None:
    with pytest.raises(ParameterError, match="slices") as caught:
        Extent(mode="slices")  # type: ignore[arg-type]
    assert "whole, current, each" in caught.value.hint


def test_a_crop_of_too_few_axes() -> None:
    with pytest.raises(ParameterError, match="every axis"):
        Extent("each", crop=((0, 1),)).ranges((4, 4, 4))


# -- a single slice, put back to where it lies ------------------------------------------


def _placed(viewer, tool, extent, config):
    job = JobManager().submit(tool, {"i": viewer.layers["stack"]}, config=config, extent=extent)
    return add_result(viewer, placed_result(job, job.result()), job).layers


def test_one_slice_lies_at_its_height(
    viewer: ViewerModel, make_tool: MakeTool, config: Config
) -> None:
    tool = make_tool(OBJECTS, outputs=OBJECTS_OUT, arguments="${i} ${o} ${t} ${p}")
    labels, points = _placed(viewer, tool, Extent("current", 2, (3, 0, 0)), config)
    assert labels.data.shape == (1, 6, 10)
    np.testing.assert_allclose(labels.scale, (2, 0.5, 0.5))
    np.testing.assert_allclose(labels.translate, (10 + 2 * 3, 20, 30))
    assert [str(unit) for unit in labels.units] == ["micrometer"] * 3
    assert list(labels.features["area"].dropna()) == [6, 10]
    np.testing.assert_allclose(points.data, [[3, 0.5, 1], [3, 4.5, 7]])
    np.testing.assert_allclose(points.translate, (10, 20, 30))
    for layer in (labels, points):
        assert layer.extent.world[0][0] <= 16 <= layer.extent.world[1][0]


@pytest.mark.parametrize("mode", ["whole", "each"])
def test_what_has_its_axes_is_left_as_it_is(
    viewer: ViewerModel, make_tool: MakeTool, config: Config, mode: str
) -> None:
    script = INVERT if mode == "whole" else PLANE
    (layer,) = _placed(viewer, make_tool(script), Extent(mode, ndim=2), config)
    assert layer.data.shape == STACK.shape
    np.testing.assert_allclose(layer.translate, (10, 20, 30))


def test_a_turned_and_sheared_slice_keeps_its_place(make_tool: MakeTool, config: Config) -> None:
    """Each pixel of the placed slice lies where it lay in the stack."""
    viewer = ViewerModel()
    source = viewer.add_image(
        STACK, name="stack", scale=(2, 0.5, 0.5), translate=(10, 20, 30), rotate=(0, 0, 30),
        shear=(0, 0, 0.2),
    )  # fmt: skip
    (layer,) = _placed(viewer, make_tool(PLANE), Extent("current", 2, (3, 0, 0)), config)
    assert layer.data.shape == (1, 6, 10)
    for pixel in ((0, 0, 0), (0, 5, 9), (0, 2, 7)):
        here = layer.data_to_world(pixel)
        there = source.data_to_world((3, *pixel[1:]))
        np.testing.assert_allclose(here, there)


def test_the_slice_of_what_has_no_such_place(make_tool: MakeTool, config: Config) -> None:
    extent = Extent("current", 2, (0, 0))
    job = JobManager().submit(make_tool(INVERT), {"i": STACK[0]}, config=config, extent=extent)
    result = job.result()
    assert placed_result(job, result) is result
    with pytest.raises(ParameterError, match="position for every axis"):
        JobManager().submit(
            make_tool(PLANE), {"i": STACK}, config=config, extent=Extent("current", 2, (1,))
        ).result()


def test_axes_are_told_by_the_file_or_the_record_says_they_are_guessed(
    make_tool: MakeTool, config: Config, tmp_path: Path
) -> None:
    stack = np.arange(2 * 3 * 5 * 6, dtype=np.uint8).reshape(2, 3, 5, 6)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    tool = make_tool(INVERT)
    layer = Image(stack, name="a")
    for extent in (None, Extent("each", ndim=2), Extent(crop=((0, 1), None, None, None))):
        layer._source = Source()
        job = prepare(tool, {"i": layer}, config=config, extent=extent)
        notes = run_job(job).record["notes"]
        assert [note for note in notes if "The axes of “a” are not known" in note], extent
        layer._source = Source(path=str(tmp_path / "a.tif"))
        job = prepare(tool, {"i": layer}, config=config, extent=extent)
        result = run_job(job)
        assert not result.record["notes"]
        assert result.outputs["o"].as_layer_data_tuple()[1]["axis_labels"] == ("t", "c", "y", "x")


@pytest.mark.parametrize("order", ["xyz", "yxz", "yzx"])
def test_slices_of_layers_in_any_order(make_tool: MakeTool, config: Config, order: str) -> None:
    """Each slice and the current one are planes of rows and columns, wherever depth stands."""
    places = ["zyx".index(axis) for axis in order]
    scale = {"z": 2.0, "y": 0.5, "x": 0.25}
    image = Image(
        STACK.transpose(places),
        axis_labels=tuple(order),
        scale=[scale[axis] for axis in order],
        translate=[10 * scale[axis] for axis in order],
        units=("um",) * 3,
    )
    tool = make_tool(OBJECTS, outputs=OBJECTS_OUT, arguments="${i} ${o} ${t} ${p}")
    job = JobManager().submit(tool, {"i": image}, config=config, extent=Extent("each"))
    labels, points = (job.result().outputs[name].loaded for name in "op")
    wanted = np.zeros(STACK.shape, int)
    for z in range(len(STACK)):
        wanted[z, :2, :3], wanted[z, 4:, 5:] = 2 * z + 1, 2 * z + 2
    np.testing.assert_array_equal(np.asarray(labels.data), wanted.transpose(places))
    np.testing.assert_allclose(labels.attributes["scale"], image.scale)
    np.testing.assert_allclose(labels.attributes["translate"], image.translate)
    centres = np.array([[z, *at] for z in range(len(STACK)) for at in ((0.5, 1), (4.5, 7))])
    np.testing.assert_allclose(points.data, centres[:, places])
    np.testing.assert_allclose(points.attributes["scale"], image.scale)
    position = tuple(3 if axis == "z" else 0 for axis in order)
    job = JobManager().submit(
        tool, {"i": image}, config=config, extent=Extent("current", 2, position)
    )
    placed = placed_result(job, job.result()).outputs
    one = np.where(wanted[3:4] > 0, wanted[3:4] - 6, 0)
    np.testing.assert_array_equal(np.asarray(placed["o"].loaded.data), one.transpose(places))
    start = [(13 if axis == "z" else 10) * scale[axis] for axis in order]
    np.testing.assert_allclose(placed["o"].loaded.attributes["translate"], start)
    np.testing.assert_allclose(placed["p"].loaded.data, centres[6:8][:, places])


def test_slices_with_other_pixels_keep_their_size(make_tool: MakeTool, config: Config) -> None:
    halved = PLANE.replace("image.max() - image", "image[::2, ::2]")
    image = (STACK, {"scale": (2, 0.5, 0.5), "units": ("um",) * 3}, "image")
    job = JobManager().submit(
        make_tool(halved), {"i": image}, config=config, extent=Extent("each")
    )
    loaded = job.result().outputs["o"].loaded
    assert loaded.data.shape == (5, 3, 5)
    np.testing.assert_allclose(loaded.attributes["scale"], (2, 1, 1))


@pytest.mark.parametrize("as_file", [False, True])
def test_axes_are_those_of_another_input_of_the_same_shape(
    make_tool: MakeTool, config: Config, tmp_path: Path, as_file: bool
) -> None:
    tool = make_tool(
        "import sys, tifffile\nwith tifffile.TiffFile(sys.argv[2]) as tif:\n"
        "    tifffile.imwrite(sys.argv[3], tif.asarray())\n    print(tif.series[0].axes)\n",
        inputs='<param name="i" type="data" format="imagetiff"/>'
        '<param name="m" type="data" format="imagetiff"/>',
        arguments="${i} ${m} ${o}",
    )
    movie = Image(STACK, axis_labels=("t", "y", "x"), name="movie")
    mask: object = Image(STACK, name="mask")
    if as_file:
        mask = tmp_path / "mask.tif"
        tifffile.imwrite(mask, STACK, photometric="minisblack", metadata=None)
    result = run_job(prepare(tool, {"i": movie, "m": mask}, config=config))
    assert "TYX" in result.log.read_text()
    told = "The axes of “mask” were taken to be those of “movie”: T, Y, X."
    assert told in result.record["notes"]
    assert not [note for note in result.record["notes"] if "not known" in note]
