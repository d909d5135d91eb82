"""How results look when they come, by what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_tool_runner.exchange import LoadedOutput
from napari_tool_runner.jobs import JobOutput
from napari_tool_runner.tools.model import DataOutput, LayerKind
from napari_tool_runner.widgets.results.first_looks import CONTOUR, first_look, show_contours

SPOTS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
STRENGTH = np.array([1.0, 2.0, 4.0])
SQUARE = np.array([[0, 0], [0, 2], [2, 2], [2, 0]])
MESH = (
    np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [5, 5, 5], [5, 5, 6], [5, 6, 5]], float),
    np.array([[0, 1, 2], [3, 4, 5]]),
)


def output(kind: LayerKind, data: object, size: str = "", **attributes: object) -> JobOutput:
    """Return an output of a job whose sigma was 2 and whose radius was 3."""
    return JobOutput(
        "o",
        Path("o"),
        "",
        "Result",
        DataOutput(name="o", size=size),
        loaded=LoadedOutput(data, kind, attributes),
        metadata={"parameters": {"sigma": 2.0, "spot_diameter": 3, "reach": 3, "what": "x"}},
    )


def added(viewer, made: JobOutput, **sources: object):
    """Add an output with its look, as the window does."""
    data, attributes, kind = made.as_layer_data_tuple()
    return getattr(viewer, f"add_{kind}")(data, **{**attributes, **first_look(made, sources)})


@pytest.mark.parametrize(
    ("size", "diameter"),
    [("sigma", 4 * 2**0.5), ("spot_diameter", 3), ("reach", 6), ("what", 10), ("", 10)],
)
def test_spots_are_rings_as_large_as_the_detection(model_viewer, size, diameter):
    features = {"strength": STRENGTH}
    layer = added(model_viewer, output(LayerKind.POINTS, SPOTS, size, features=features))
    assert layer.size == pytest.approx([diameter] * 3)
    assert not layer.face_color[:, 3].any()
    assert len({tuple(color) for color in layer.border_color}) == 3
    assert layer.border_color_mode == "colormap"


@pytest.mark.parametrize(
    ("name", "share"), [("radius", 1), ("RADIUS", 1), ("Diameter (px)", 0.5), ("sigma_px", 2**0.5)]
)
def test_a_column_says_the_size_of_each_spot(model_viewer, name, share):
    features = {name: STRENGTH, "label": np.arange(3)}
    layer = added(model_viewer, output(LayerKind.POINTS, SPOTS, "sigma", features=features))
    assert layer.size == pytest.approx(2 * share * STRENGTH)
    assert layer.border_color_mode == "direct"  # nothing tells good from bad


@pytest.mark.parametrize(
    "column", [np.array([1.0, np.nan, 2.0]), np.array(["a", "b", "c"]), np.zeros(3)]
)
def test_columns_that_say_nothing_are_left_out(model_viewer, column):
    features = {"radius": column, "strength": column}
    layer = added(model_viewer, output(LayerKind.POINTS, SPOTS, features=features))
    assert [*layer.size] == [10] * 3
    assert layer.border_color_mode == "direct"


def test_spots_and_tracks_have_the_colour_of_what_was_measured(model_viewer):
    features = {"frame": np.arange(3), "radius": np.array([1.5, 2, 3]), "snr_db": STRENGTH / 8}
    layer = added(model_viewer, output(LayerKind.POINTS, SPOTS, features=features))
    assert layer.border_color_mode == "colormap"
    assert len({tuple(color) for color in layer.border_color}) == 3
    moves = np.array([[1, 0, 1, 1], [1, 1, 1, 2], [2, 0, 5, 5]], float)
    layer = added(model_viewer, output(LayerKind.TRACKS, moves, features=features))
    assert layer.color_by == "snr_db"
    layer = added(model_viewer, output(LayerKind.TRACKS, moves))
    assert layer.color_by == "track_id"  # nothing was measured


def test_an_image_is_added_to_the_other_channels_once_its_input_is_hidden(model_viewer):
    pixels = np.zeros((4, 4))
    source = model_viewer.add_image(pixels, blending="additive")
    made = output(LayerKind.IMAGE, pixels, colormap="cyan")
    assert added(model_viewer, made, image=source).blending != "additive"  # it is seen itself
    source.visible = False
    assert added(model_viewer, made, image=source).blending == "additive"
    assert (
        added(model_viewer, output(LayerKind.IMAGE, pixels), image=source).blending != "additive"
    )


def test_what_a_file_says_of_the_look_stays():
    made = output(LayerKind.POINTS, SPOTS, "sigma", border_width=0.3, face_color="red")
    look = first_look(made, {})
    assert {"border_width", "face_color"}.isdisjoint(look)
    assert {"border_color", "size"} <= {*look}


def test_no_spots_at_all(model_viewer):
    features = {"strength": np.zeros(0), "radius": np.zeros(0)}
    made = output(LayerKind.POINTS, np.zeros((0, 2)), "sigma", features=features)
    assert len(added(model_viewer, made).data) == 0


def test_outlines_are_not_filled_and_have_the_colours_of_their_labels(model_viewer):
    labels = model_viewer.add_labels(np.array([[0, 5], [7, 0]]))
    shapes = [SQUARE, SQUARE + 5]
    made = output(
        LayerKind.SHAPES, shapes, shape_type="polygon", features={"label": np.array([5, 7])}
    )
    layer = added(model_viewer, made, labels=labels)
    assert layer.edge_color == pytest.approx(np.array([labels.get_color(5), labels.get_color(7)]))
    assert not layer.face_color[:, 3].any()
    plain = added(model_viewer, output(LayerKind.SHAPES, shapes, shape_type="polygon"))
    assert not plain.face_color[:, 3].any()
    assert len({tuple(color) for color in plain.edge_color}) == 1


def test_surfaces_have_a_colour_for_each_object(model_viewer):
    numbers = np.array([1, 1, 1, 2, 2, 2])
    layer = added(model_viewer, output(LayerKind.SURFACE, (*MESH, numbers)))
    assert layer.vertex_colors.shape == (6, 4)
    assert len(np.unique(layer.vertex_colors, axis=0)) == 2


@pytest.mark.parametrize(
    "values", [[0.5] * 6, [1, 2, 3, 4, 5, 6], [0] * 6, None], ids=["parts", "smooth", "none", "no"]
)
def test_values_of_a_surface_that_are_no_objects_stay_values(values):
    mesh = MESH if values is None else (*MESH, np.array(values))
    assert first_look(output(LayerKind.SURFACE, mesh), {}) == {}


def test_other_kinds_look_as_the_viewer_has_them():
    assert first_look(output(LayerKind.LABELS, np.zeros((2, 2), int)), {}) == {}
    file = JobOutput("o", Path("o"), "", "Result", DataOutput(name="o"))
    assert first_look(file, {}) == {}


def test_labels_alone_are_shown_as_contours(model_viewer):
    labels = model_viewer.add_labels(np.ones((4, 4), int))
    show_contours([labels, model_viewer.add_image(np.zeros((4, 4)))])
    assert labels.contour == CONTOUR
