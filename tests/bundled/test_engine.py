"""The bundled tools through the package: their own tests, and the layers that come back."""

from __future__ import annotations

import numpy as np
import pytest

import napari_tool_runner as ntr
from bundled import direct
from napari_tool_runner import sample_data
from napari_tool_runner.jobs.testing import run_tests

pytestmark = pytest.mark.slow

layers = pytest.importorskip("napari.layers", reason="layers need napari")


@pytest.fixture
def run():
    """Run a tool; return each output as a layer (a table: as its columns)."""

    def go(tool, **values):
        result = ntr.run(direct.descriptor(tool), **values)
        return {
            name: output.data
            if output.layer_type == "table"
            else layers.Layer.create(*output.as_layer_data_tuple())
            for name, output in result.outputs.items()
        }

    return go


def sample(key):
    return [layers.Layer.create(*data) for data in getattr(sample_data, key)()]


def world(layer):
    """Return the corners of a layer's data in world coordinates, without the half pixels."""
    return np.asarray(layer.extent.world)


@pytest.mark.parametrize("path", direct.descriptors(), ids=lambda path: path.stem)
def test_tests_of_the_descriptor(path):
    tool = ntr.read_tool(path)
    assert not tool.notes
    assert tool.categories
    assert tool.help
    reports = list(run_tests(tool))
    assert reports
    assert [report.message for report in reports if report.status != "pass"] == []


def test_what_comes_of_a_stack_lies_where_the_stack_lies(run):
    (stack,) = sample("nuclei_3d")
    stack.translate = (5, -3, 2)
    smooth = run("gaussian_filter", input=stack)["output"]
    mask = run("threshold", input=smooth, method="li")["output"]
    labels = run("split_touching", input=mask, spacing=14)["output"]
    assert isinstance(labels, layers.Labels)
    np.testing.assert_allclose(world(labels), world(stack))
    assert labels.units == stack.units
    assert labels.axis_labels == ("z", "y", "x")

    inside = np.argwhere(labels.data)
    corners = np.array([inside.min(axis=0), inside.max(axis=0)]) * stack.scale + stack.translate
    surface = run("label_surfaces", labels=labels)["surface"]
    assert isinstance(surface, layers.Surface)
    np.testing.assert_allclose(world(surface), corners, atol=1.0)
    outlines = run("label_outlines", labels=labels)["outlines"]
    assert isinstance(outlines, layers.Shapes)
    np.testing.assert_allclose(world(outlines), corners, atol=0.3)
    assert set(outlines.features["label"]) == set(np.unique(labels.data)) - {0}

    flat = run("project", input=stack)["output"]
    np.testing.assert_allclose(world(flat), world(stack)[:, 1:])
    cubic = run("rescale", input=stack, cubic_voxels=True)["output"]
    np.testing.assert_allclose(cubic.scale, 0.5)
    np.testing.assert_allclose(world(cubic).mean(axis=0), world(stack).mean(axis=0))


def test_from_a_movie_to_tracks(run):
    (movie,) = sample("moving_spots")
    points = run("detect_spots", input=movie)["points"]
    assert isinstance(points, layers.Points)
    assert set(points.features) == {"intensity", "strength"}
    tracks = run("track_points", points=points)["tracks"]
    assert isinstance(tracks, layers.Tracks)
    np.testing.assert_allclose(tracks.scale, movie.scale)
    np.testing.assert_allclose(world(tracks), world(points), atol=1e-3)
    assert {"intensity", "strength"} <= set(tracks.features)
    assert str(tracks.units[0]) == "second"


@pytest.mark.parametrize("unit", ["nm", "um", "mm", "inch"])
def test_steps_are_those_of_the_layer_of_points(run, tmp_path, unit):
    from napari_tool_runner.exchange.units import conversion

    width = conversion("um", unit)
    # two particles step half a slice (1 µm), or three rows (1.5 µm)
    points = np.array(
        [[t, 0.5 * t, 5, 5] for t in range(4)] + [[t, 0, 20 + 3 * t, 5] for t in range(4)]
    )
    where = {"scale": (1, 2 * width, 0.5 * width, 0.5 * width), "units": ("s", unit, unit, unit)}
    layer = layers.Points(points, **where)
    table = tmp_path / "spots.csv"
    rows = points * [1, 2, 0.5, 0.5]
    lines = [",".join(map(str, row)) for row in rows]
    table.write_text("\n".join(["frame,z [um],y [um],x [um]", *lines]))
    for given in (layer, table):
        for distance, count in ((1.2, 1), (1.6, 2)):
            made = run("track_points", points=given, distance=distance)["tracks"]
            assert len({*made.data[:, 0]}) == count
    bare = layers.Points(points, scale=(1, 4, 1, 1))
    for distance, count in ((2.4, 1), (3.2, 2)):
        made = run("track_points", points=bare, distance=distance)["tracks"]
        assert len({*made.data[:, 0]}) == count


def test_no_track_at_all_is_told(tmp_path):
    points = np.array([[0.0, 1, 1], [1, 1, 1]])
    config = {"workspace": str(tmp_path)}
    result = ntr.run("track_points", points=layers.Points(points), min_length=9, config=config)
    assert result.outputs["tracks"].layer_type != "tracks"
    assert any("no tracks to show" in note for note in result.record["notes"])


def test_objects_have_their_measurements(run):
    cytoplasm, nuclei = sample("cells_2d")
    smooth = run("gaussian_filter", input=nuclei)["output"]
    mask = run("threshold", input=smooth, method="local", radius=50, value=5)["output"]
    labels = run("split_touching", input=mask)["output"]
    table = run("measure_regions", labels=labels, image=cytoplasm)["table"]
    assert list(table["label"]) == list(range(1, labels.data.max() + 1))
    areas = np.bincount(labels.data.ravel())[1:] * 0.32**2
    np.testing.assert_allclose(table["area_um2"], areas, rtol=1e-4)
    each = run("colocalize", first=nuclei, second=cytoplasm, labels=labels)["table"]
    assert len(each["label"]) == len(areas)
    shapes_only = run("measure_regions", labels=labels, image=labels)["table"]
    assert not any(name.startswith("intensity") for name in shapes_only)


def test_a_mistake_is_told_in_the_words_of_the_tool(run):
    (stack,) = sample("nuclei_3d")
    with pytest.raises(ntr.ToolFailedError) as caught:
        run("project", input=stack, axis="T")
    assert "there is no time to project along" in "\n".join(caught.value.log_tail)
