"""The objects of layers: a row for each, and where each lies."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels, Points, Shapes, Tracks

from napari_tool_runner.exchange import (
    column_title,
    counted_only,
    features_for,
    features_of,
    whereabouts,
)


def test_labels_have_a_row_for_each_object_and_none_for_the_background():
    labels = Labels(np.array([[0, 3], [7, 7]]))
    labels.features = pd.DataFrame({"index": [0, 3, 7], "pixels": [np.nan, 1, 2]})
    frame, numbers = features_of(labels)
    assert numbers.tolist() == [3, 7]
    assert list(frame.columns) == ["label", "pixels"]
    assert frame["pixels"].dtype.kind == "i"
    assert len(labels.features) == 3


def test_labels_whose_features_have_no_numbers_are_counted():
    labels = Labels(np.array([[0, 1], [2, 2]]))
    labels.features = pd.DataFrame({"area": [0.0, 1.5, 2.5]})
    frame, numbers = features_of(labels)
    assert numbers.tolist() == [1, 2]
    assert frame["label"].tolist() == [1, 2]
    assert "label" not in labels.features


def test_points_are_their_places():
    points = Points(np.zeros((3, 2)), features={"size": [1.0, 2.0, 3.0]})
    frame, numbers = features_of(points)
    assert numbers.tolist() == [0, 1, 2]
    assert frame["size"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array])
def test_a_label_lies_at_its_pixel_nearest_to_the_middle(wrap):
    ring = np.zeros((5, 9, 9), int)
    ring[3, 2:7, 2:7] = 4
    ring[3, 3:6, 3:6] = 0
    place = whereabouts(Labels(wrap(ring)))(4, None)
    assert place is not None
    assert ring[tuple(map(int, place))] == 4


def test_a_label_of_one_frame_lies_in_it():
    movie = np.zeros((3, 8, 8), int)
    movie[0, 1, 1] = movie[2, 6, 6] = 1
    where = whereabouts(Labels(movie))
    assert where(1, 2) == [2, 6, 6]
    assert where(1, 1) is None


def test_a_label_that_moves_is_shown_where_it_begins():
    stack = np.zeros((2, 2, 4, 4), int)
    stack[0, 1, 1, 1] = stack[1, 0, 3, 3] = 5
    assert whereabouts(Labels(stack))(5, None) == [0, 1, 1, 1]


def test_places_of_things_without_pixels():
    points = Points(np.array([[1.0, 2], [3, 4]]))
    assert whereabouts(points)(1, None) == [3, 4]
    assert whereabouts(points)(2, None) is None
    square = Shapes([np.array([[0, 0], [0, 2], [2, 2], [2, 0]])])
    assert whereabouts(square)(0, None) == [1, 1]
    tracks = Tracks(np.array([[1.0, 0, 5, 6], [1, 1, 7, 8]]))
    assert whereabouts(tracks)(1, None) == [1, 7, 8]


def test_points_and_tracks_say_in_which_frame_and_when_they_are():
    told = {"axis_labels": ("t", "y", "x"), "units": ("minute", "um", "um"), "scale": (0.5, 1, 1)}
    places = [[0, 1, 2], [3, 1, 2]]
    frame, _ = features_of(Points(places, features={"strength": [8.0, 9.0]}, **told))
    assert list(frame) == ["frame", "time_s", "strength"]
    assert frame["frame"].tolist() == [0, 3]
    assert frame["time_s"].tolist() == [0, 90]
    assert column_title("time_s") == "time (s)"
    own, _ = features_of(Points(places, features={"frame": ["a", "b"]}, **told))
    assert own["frame"].tolist() == ["a", "b"]
    volume, _ = features_of(Points(places, features={"q": [1, 2]}, axis_labels=("z", "y", "x")))
    assert list(volume) == ["q"]
    tracks, _ = features_of(Tracks([[7, 0, 1, 2], [7, 1, 1, 3]], features={"q": [1, 2]}))
    assert list(tracks) == ["track_id", "frame", "q"]
    assert tracks["frame"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("area_um2", "area (µm²)"),
        ("volume_µm3", "volume (µm³)"),
        ("length_px", "length (px)"),
        ("perimeter_nm", "perimeter (nm)"),
        ("intensity_min", "intensity_min"),
        ("intensity_sum", "intensity_sum"),
        ("Area (µm²)", "Area (µm²)"),
        ("album", "album"),
        ("centroid_y", "centroid_y (px)"),
        ("centroid-0", "centroid-0 (px)"),
        ("centroid_um", "centroid (µm)"),
        ("length_um of GFP", "length of GFP (µm)"),
        ("mean by Other tool", "mean by Other tool"),
    ],
)
def test_titles_say_units(name, title):
    assert column_title(name) == title
    assert column_title(name, of_objects=True) == title


def test_counted_pixels_of_objects_are_their_sizes():
    assert column_title("pixels") == "pixels"
    assert column_title("pixels", of_objects=True) == "area (px)"
    assert column_title("voxels", of_objects=True) == "volume (voxels)"


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        (["label", "pixels", "perimeter_px"], True),
        (["voxels"], True),
        (["pixels", "area_um2"], False),
        (["label", "mean"], False),
    ],
)
def test_sizes_of_an_image_without_a_pixel_size_are_counted_only(names, counted):
    assert counted_only(names) is counted


@pytest.mark.parametrize(
    ("told", "labels"),
    [(["3", "x", None], [3]), ([10**400, 7, 2.0], [7, 2]), ([np.inf, np.nan, 7], [7])],
)
def test_what_is_no_label_is_of_no_object(told: list[object], labels: list[int]):
    """Features come from anybody's file."""
    layer = Labels(np.array([[0, 3], [7, 7]]))
    cells = pd.Series(told, dtype=object if 10**400 in told else None)
    layer.features = pd.DataFrame({"index": cells, "size": [1, 2, 3]})
    frame, numbers = features_of(layer)
    assert numbers.tolist() == labels
    assert len(frame) == len(labels)


def test_numbers_that_no_integer_holds_stay_what_they_are():
    layer = Labels(np.array([[0, 1], [2, 2]]))
    told = {"index": [0, 1, 2], "large": [np.nan, 1e300, -4.0], "count": [np.nan, 2.0**53, 4.0]}
    layer.features = pd.DataFrame(told)
    frame, _ = features_of(layer)
    assert frame["large"].tolist() == [1e300, -4.0]
    assert frame["count"].tolist() == [2**53, 4]
    assert frame["count"].dtype == np.int64


TWO = np.array([[0, 3], [7, 7]])


@pytest.mark.parametrize(
    "told",
    [
        {"label": [3, 7], "area": [1.0, 2.0]},
        {"area": [1.0, 2.0], "label": [3.0, 7.0]},
        {"Label": [3, 7], "area": [1.0, 2.0]},
        {"label": [np.nan, 3, 7], "area": [np.nan, 1.0, 2.0]},
        {"label": pd.array([0, 3, 7], "Int64"), "area": pd.array([None, 1.0, 2.0], "Float64")},
        {"index": [3, 7], "label": ["a", "b"], "area": [1.0, 2.0]},
    ],
)
def test_a_column_that_holds_labels_is_their_numbers(told: dict[str, object]):
    """What scikit-image and napari-skimage-regionprops call it."""
    layer = Labels(TWO)
    layer.features = pd.DataFrame(told)
    frame, numbers = features_of(layer)
    assert numbers.tolist() == [3, 7]
    assert set(frame.columns) == set(told), "no column twice"
    assert frame["area"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "told",
    [["a", "b", "c"], [1, 1, 2], [0.5, 1.5, 2.5], [True, False, True], [np.nan, np.nan, np.nan]],
)
def test_a_column_label_that_holds_no_labels_stays_beside_the_numbers(told: list[object]):
    layer = Labels(TWO)
    layer.features = pd.DataFrame({"label": told, "object": ["x", "y", "z"]})
    frame, numbers = features_of(layer)
    assert numbers.tolist() == [1, 2]
    assert list(frame.columns) == ["object 2", "label", "object"]
    assert [str(cell) for cell in frame["label"]] == [str(cell) for cell in told[1:]]


def test_what_is_measured_joins_rows_by_the_label_that_they_name():
    layer = Labels(TWO)
    layer.features = pd.DataFrame({"label": [3, 7], "area": [1.0, 2.0]})
    made = features_for(layer, {"label": [7, 3], "mean": [70.0, 30.0]})
    assert made is not None
    layer.features = made
    frame, numbers = features_of(layer)
    assert numbers.tolist() == [3, 7]
    assert frame["area"].tolist() == [1, 2]
    assert frame["mean"].tolist() == [30, 70]
