"""Coordinates and tables as CSV and TSV."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from exchange_helpers import GALAXY, collected, make_tool, parameter
from napari.layers import Image, Labels, Layer, Points, Shapes, Tracks, Vectors

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange import export, load, snapshot
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("ndim", [2, 3, 4])
@pytest.mark.parametrize(
    ("fmt", "formats"), [("tablecsv", FORMATS), ("tabular", GALAXY), ("csv", GALAXY)]
)
def test_points_come_back_with_features_and_place(round_trip, ndim, fmt, formats):
    points = RNG.normal(size=(9, ndim)) * 100
    features = {"quality": RNG.random(9), "name": [f"p {i}" for i in range(9)]}
    layer = Points(points, features=features, scale=np.arange(1, ndim + 1), translate=[3] * ndim)
    _, loaded = round_trip(layer, fmt, formats=formats)
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(again, Points)
    np.testing.assert_array_equal(again.data, points)
    np.testing.assert_allclose(again.scale, layer.scale)
    np.testing.assert_allclose(again.translate, layer.translate)
    np.testing.assert_array_equal(again.features["quality"], features["quality"])
    assert list(again.features["name"]) == features["name"]


def test_points_have_napari_columns(tmp_path):
    snap = snapshot(Points([[1.5, 2], [3, 4]], features={"q": [1, 2]}))
    written = export(snap, parameter("tablecsv"), tmp_path)
    assert written.file.path.read_text() == "index,axis-0,axis-1,q\n0,1.5,2.0,1\n1,3.0,4.0,2\n"


def test_galaxy_tables_begin_with_x_and_y(tmp_path):
    snap = snapshot(Points([[1.0, 2.0]]))
    written = export(snap, parameter("tabular"), tmp_path, formats=GALAXY)
    header, row = written.file.path.read_text().splitlines()
    assert header.split("\t") == ["pos_x", "pos_y", "index", "axis-0", "axis-1"]
    assert row.split("\t")[:2] == ["2.0", "1.0"]


@pytest.mark.parametrize("ndim", [2, 3])
def test_tracks(round_trip, ndim):
    data = np.array([[k, t, *RNG.random(ndim)] for k in (1, 2) for t in range(4)])
    layer = Tracks(data, features={"speed": RNG.random(8)}, scale=[1, *[0.5] * ndim])
    _, loaded = round_trip(layer, "tablecsv")
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(again, Tracks)
    np.testing.assert_array_equal(again.data, data)
    np.testing.assert_allclose(again.scale, layer.scale)
    np.testing.assert_array_equal(again.features["speed"], layer.features["speed"])


@pytest.mark.parametrize("ndim", [2, 3])
def test_vectors(round_trip, ndim):
    layer = Vectors(RNG.random((5, 2, ndim)), features={"a": np.arange(5)})
    _, loaded = round_trip(layer, "csv")
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(again, Vectors)
    np.testing.assert_array_equal(again.data, layer.data)


def test_shapes_as_table(round_trip):
    shapes = [np.array([[0, 0], [0, 4], [3, 4], [3, 0.5]]), np.array([[1.0, 2], [3, 4]])]
    layer = Shapes(shapes, shape_type=["polygon", "line"], features={"n": ["a", "b"]})
    _, loaded = round_trip(layer, "tablecsv")
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(again, Shapes)
    assert list(again.shape_type) == ["polygon", "line"]
    for one, other in zip(again.data, layer.data, strict=True):
        np.testing.assert_array_equal(one, other)
    assert list(again.features["n"]) == ["a", "b"]


@pytest.mark.parametrize("fmt", ["tablecsv", "tabular"])
def test_tables_are_columns(round_trip, fmt):
    frame = pd.DataFrame(
        {"label": [1, 2, 3], "area": [0.1, 1e-300, 3.0], "name": ["a,b", 'c"d', "é\tf"]}
    )
    _, loaded = round_trip(frame, fmt)
    assert loaded.kind is LayerKind.TABLE
    assert list(loaded.data) == ["label", "area", "name"]
    assert loaded.data["label"].dtype.kind == "i"
    np.testing.assert_array_equal(loaded.data["area"], frame["area"])
    assert list(loaded.data["name"]) == list(frame["name"])


@pytest.mark.parametrize(("text", "values"), [("12", [12]), ("1.5,2,-3\n", [1.5, 2, -3])])
def test_numbers_are_no_header(tmp_path, text, values):
    path = tmp_path / "n.csv"
    path.write_text(text)
    output = DataOutput(name="count", format="numbercsv")
    loaded = load(collected(path, "numbercsv"), output, make_tool(), inputs={})
    assert loaded.kind is LayerKind.TABLE
    np.testing.assert_array_equal(loaded.data["count"], values)


@pytest.mark.parametrize("fmt", ["arraycsv", "numbercsv"])
def test_numbers_go_out_without_header(tmp_path, fmt):
    written = export(snapshot(np.array([7])), parameter(fmt), tmp_path)
    assert written.file.path.read_text() == "7\n"


def test_a_matrix_goes_into_a_table(tmp_path):
    written = export(snapshot(np.eye(2)), parameter("tabular"), tmp_path, formats=GALAXY)
    assert written.file.path.read_text() == "1.0\t0.0\n0.0\t1.0\n"


@pytest.mark.parametrize("header", ["y,x", "Y,X", "pos_y,pos_x", "centroid-0,centroid-1"])
def test_spots_are_points_whatever_their_columns(tmp_path, header):
    path = tmp_path / "spots.csv"
    path.write_text(f"{header},q\n1,2,9\n3,4,8\n")
    output = DataOutput(name="spots", format="tablecsv")
    image = snapshot(Image(np.zeros((4, 8, 8)), scale=(3, 0.5, 0.5)))
    loaded = load(collected(path, "tablecsv"), output, make_tool(), inputs={"i": image})
    assert loaded.kind is LayerKind.POINTS
    np.testing.assert_array_equal(loaded.data, [[1, 2], [3, 4]])
    assert loaded.attributes["scale"] == (0.5, 0.5)


def test_x_y_z_frame_are_put_in_order(tmp_path):
    path = tmp_path / "spots.tsv"
    path.write_text("x\ty\tz\tframe\n1\t2\t3\t4\n")
    output = DataOutput(name="spots", format="tabular")
    loaded = load(collected(path, "tabular"), output, make_tool(), inputs={})
    np.testing.assert_array_equal(loaded.data, [[4, 3, 2, 1]])


def test_measurements_stay_a_table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("label,area,centroid-0,centroid-1\n1,5,1,2\n")
    output = DataOutput(name="properties", format="tablecsv")
    loaded = load(collected(path, "tablecsv"), output, make_tool(), inputs={})
    assert loaded.kind is LayerKind.TABLE


def test_features_of_labels_go_out_as_table(tmp_path):
    layer = Labels(np.eye(3, dtype=int), features={"index": [0, 1], "area": [6, 3]}, name="L")
    written = export(snapshot(layer), parameter("tablecsv"), tmp_path)
    assert written.file.path.read_text() == "index,area\n0,6\n1,3\n"


def test_points_cannot_be_an_image(tmp_path):
    with pytest.raises(UnsupportedLayerError, match=r"points layer.*takes image"):
        export(snapshot(Points([[1, 2]], name="P")), parameter("imagetiff"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"\x00\x01\x02binary\x00", b"a,b\n1,2\n1,2,3,4\n"])
def test_what_is_no_table_is_told(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"t\.csv"):
        load(collected(path, "tablecsv"), DataOutput(name="o"), make_tool(), inputs={})


@pytest.mark.parametrize("kind", [None, LayerKind.POINTS])
def test_nothing_found_is_an_empty_layer(tmp_path, kind):
    path = tmp_path / "spots.csv"
    path.write_text("y,x,intensity\n")
    output = DataOutput(name="spots", format="tablecsv", kind=kind)
    loaded = load(collected(path, "tablecsv"), output, make_tool(), inputs={})
    layer = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(layer, Points)
    assert layer.data.shape == (0, 2)


def test_words_that_look_like_nothing_stay(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("name,v\nNA,1\nNone,\nx,NA\n")
    loaded = load(collected(path, "csv"), DataOutput(name="t"), make_tool(), inputs={})
    assert list(loaded.data["name"]) == ["NA", "None", "x"]
    np.testing.assert_array_equal(loaded.data["v"], [1, np.nan, np.nan])


@pytest.mark.parametrize(
    ("fmt", "text"), [("tabular", "a\tb\n1\t2\n"), ("tablecsv", "a,b\n1,2\n")]
)
def test_tables_are_converted_between_separators(tmp_path, fmt, text):
    path = tmp_path / ("t.csv" if fmt == "tabular" else "t.tsv")
    path.write_text("a,b\n1,2\n" if fmt == "tabular" else "a\tb\n1\t2\n")
    written = export(snapshot(path), parameter(fmt), tmp_path / "in", formats=GALAXY)
    assert written.file.path.read_text() == text


@pytest.mark.parametrize("text", ["a;b\n1;2\n", "a, b\n1, 2\n", "\ufeffa,b\r\n1,2\r\n"])
def test_tables_of_other_programs(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    loaded = load(collected(path, "csv"), DataOutput(name="t"), make_tool(), inputs={})
    assert {k: list(v) for k, v in loaded.data.items()} == {"a": [1], "b": [2]}


def test_the_unnamed_index_of_pandas(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"area": [5, 6]}, index=[1, 2]).to_csv(path)
    loaded = load(collected(path, "csv"), DataOutput(name="t"), make_tool(), inputs={})
    assert list(loaded.data) == ["index", "area"]
