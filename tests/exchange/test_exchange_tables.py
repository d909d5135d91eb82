"""Coordinates and tables as CSV and TSV."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import tifffile
from exchange_helpers import GALAXY, collected, make_tool, parameter
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image, Labels, Layer, Points, Shapes, Tracks, Vectors

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange import export, grid_of, load, snapshot
from napari_tool_runner.exchange.carriers import cells, tables
from napari_tool_runner.exchange.carriers.tables import read_table
from napari_tool_runner.exchange.columns import coordinate_columns, counting_notes
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_a_line_of_names_may_be_longer_than_a_cell(separator, tmp_path):
    """Tables of genes have thousands of columns."""
    path = tmp_path / "genes.csv"
    names = [f"gene{number}".ljust(30, "x") for number in range(6000)]
    rows = [names, *[["1"] * len(names)] * 3]
    path.write_text("\n".join(map(separator.join, rows)))
    assert [*read_table(path, root=tmp_path).data] == names
    path.write_text("name\n" + "x" * 2**18)
    with pytest.raises(OutputError, match="cannot be read: field larger"):
        read_table(path, root=tmp_path)


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


TRACKMATE = """LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME
Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame
Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame
,,,(quality),(micron),(micron),(micron),(sec),
ID1,7,2,5.1,1.25,0.75,0,0,0
ID2,8,2,5.1,2,1.5,0,10,1
ID3,9,None,5.1,2,1.5,0,10,1
"""
SPOTS = {  # all of them: (1.5, 2.5) and (3, 4) in pixels of 0.5 µm
    "semicolons": "y;x\n1.5;2.5\n3;4\n",
    "decimal comma": "x;y;q\n2,5;1,5;0,1\n4,0;3,0;0,2\n",
    "three decimals": "x;y\n2,500;1,500\n4,000;3,000\n",
    "decimal comma and tabs": "x\ty\n2,5\t1,5\n4\t3\n",
    "thousands": 'x;y;n\n2,5;1,5;1.234\n4;3;2.000\n',
    "thousands, english": 'x,y,n\n2.5,1.5,"1,234"\n4,3,"2,000"\n',
    "bars": "x|y\n2.5|1.5\n4|3\n",
    "blanks": "  x    y\n2.5  1.5\n  4  3\n",
    "R": '"x" "y"\n"1" 2.5 1.5\n"2" 4 3\n',
    "NumPy": "# x,y\n2.5,1.5\n4,3\n",
    "comments": "% made by\n%\nx,y\n2.5,1.5\n# half\n4,3\n% end\n",
    "comments of semicolons": ";; made by\nx;y\n2.5;1.5\n4;3\n",
    "Excel": "sep=;\nx;y\n2,5;1,5\n4;3\n",
    "ThunderSTORM": '"id","frame ","x [nm]","y [nm]"\n1,,1250,750\n2,,2000,1500\n',
    "QuPath": "Name\tCentroid X µm\tCentroid Y µm\na\t1.25\t0.75\nb\t2\t1.5\n",
    "QuPath without scale": "Name,Centroid X px,Centroid Y px\na,2.5,1.5\nb,4,3\n",
    "CellProfiler": "ObjectNumber,AreaShape_BoundingBoxMaximum_X,AreaShape_Center_X,"
    "AreaShape_Center_Y,AreaShape_Center_Z\n1,9,2.5,1.5,0\n2,9,4,3,0\n",
    "CellProfiler's locations": "Location_Center_X,Location_Center_Y\n2.5,1.5\n4,3\n",
    "Imaris, each line ends in a comma": "\nPosition\n ==== \nPosition X,Position Y,Unit,ID,\n"
    "1.25,0.75,um,0,\n2,1.5,um,1,\n",
    "Imaris": "\nPosition\n=======\nPosition X,Position Y,Unit,ID\n1.25,0.75,um,0\n2,1.5,um,1\n",
    "CellProfiler's two lines": "Image,Nuclei,Nuclei,Nuclei\nImageNumber,ObjectNumber,"
    "Location_Center_X,Location_Center_Y\n1,1,2.5,1.5\n1,2,4,3\n",
    "scikit-image": "label,centroid-0,centroid-1\n1,1.5,2.5\n2,3,4\n",
    "MATLAB": "Centroid_1,Centroid_2\n2.5,1.5\n4,3\n",
    "ilastik": "Center of the object_0,Center of the object_1\n2.5,1.5\n4,3\n",
    "ImageJ": " ,Area,Mean,X,Y\n1,10,5,2.5,1.5\n2,12,5,4,3\n",
    "units below": "x,y\nnm,nm\n1250,750\n2000,1500\n",
    "two units": "x_um,y_um,x_px,y_px\n9,9,2.5,1.5\n9,9,4,3\n",
    "inch": "x (mm),y (mm)\n1.25e-3,0.75e-3\n2e-3,1.5e-3\n",
    "row, col": "row,col\n1.5,2.5\n3,4\n",
    "X_position": "X_position,Y_position\n2.5,1.5\n4,3\n",
    "UTF-16": "x,y\r\n2.5,1.5\r\n4,3\r\n",
    "missing": "x,y,q\n2.5,1.5,1\nNaN,3,2\n4,3,3\n,,4\n",
    "quoted": '"x";"y"\n"2,5";"1,5"\n"4";"3"\n',
}  # fmt: skip


def loaded_from(tmp_path, text, kind=None, *, axes="YX", encoding="utf-8"):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    steps = {"T": (2.0, "second"), "Y": (0.5, "micrometer"), "X": (0.5, "micrometer")}
    scale, units = zip(*[steps[axis] for axis in axes], strict=True)
    image = Image(np.zeros((8,) * len(axes)), scale=scale, units=units, axis_labels=list(axes))
    output = DataOutput(name="o", format="tablecsv", kind=kind)
    return load(collected(path, "tablecsv"), output, make_tool(), inputs={"i": snapshot(image)})


@pytest.mark.parametrize("name", SPOTS)
def test_spots_of_other_programs(tmp_path, name):
    encoding = "utf-16" if name == "UTF-16" else "utf-8-sig"
    loaded = loaded_from(tmp_path, SPOTS[name], LayerKind.POINTS, encoding=encoding)
    np.testing.assert_allclose(loaded.data, [[1.5, 2.5], [3, 4]])
    assert loaded.attributes["scale"] == (0.5, 0.5)


def test_what_was_made_of_a_table_is_told(tmp_path):
    def notes(name, **more):
        return " ".join(loaded_from(tmp_path, SPOTS[name], LayerKind.POINTS, **more).notes)

    assert "x [nm] (0.5 micrometer)" in notes("ThunderSTORM")
    assert "say no unit: they were taken as pixels" in notes("semicolons")
    for corner in ("QuPath", "QuPath without scale", "ThunderSTORM", "ImageJ"):
        assert "corner of the first pixel" in notes(corner)
    for middle in ("CellProfiler", "CellProfiler's locations", "scikit-image", "two units", "R"):
        assert "first pixel" not in notes(middle)
    assert "count pixels from 1" in notes("MATLAB")
    movie = {name: np.arange(2) for name in ("t", "Centroid_1", "Centroid_2")}
    told = counting_notes(movie, coordinate_columns(movie))
    assert "Centroid_2, Centroid_1 may count pixels from 1" in " ".join(told)
    assert "decimal comma" in notes("decimal comma")
    assert "“1.234” in the column “n” was read as 1234." in notes("thousands")
    assert "2 of 4 rows have no place (NaN) and were left out" in notes("missing")
    assert "2 lines before the table" in notes("comments")


def test_lengths_without_a_pixel_size_are_told(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x [nm],y [nm]\n2.5,1.5\n")
    output = DataOutput(name="o", format="tablecsv")
    inputs = {"i": snapshot(Image(np.zeros((8, 8))))}
    loaded = load(collected(path, "tablecsv"), output, make_tool(), inputs=inputs)
    np.testing.assert_array_equal(loaded.data, [[1.5, 2.5]])
    assert "does not say how large its pixels are" in " ".join(loaded.notes)
    alone = load(collected(path, "tablecsv"), output, make_tool(), inputs={})
    assert [str(unit) for unit in alone.attributes["units"]] == ["nanometer", "nanometer"]


def test_tracks_of_trackmate(tmp_path):
    loaded = loaded_from(tmp_path, TRACKMATE, axes="TYX")
    assert loaded.kind is LayerKind.TRACKS
    np.testing.assert_array_equal(loaded.data, [[2, 0, 1.5, 2.5], [2, 1, 3, 4]])
    assert list(loaded.attributes["features"]["ID"]) == [7, 8]


def test_tables_of_objects_stay_tables(tmp_path):
    for name in ("ImageJ", "CellProfiler", "scikit-image"):
        assert loaded_from(tmp_path, SPOTS[name]).kind is LayerKind.TABLE


def test_places_that_are_nan_are_left_out_of_shapes_and_vectors(tmp_path):
    shapes = (
        "index,shape-type,vertex-index,axis-0,axis-1\n"
        "0,line,0,1,1\n0,line,1,2,2\n1,line,0,nan,1\n1,line,1,2,2\n"
    )
    loaded = loaded_from(tmp_path, shapes)
    assert (loaded.kind, len(loaded.data)) == (LayerKind.SHAPES, 1)
    assert "1 of 2 shapes" in loaded.notes[0]
    vectors = "axis-0,axis-1,direction-0,direction-1\n1,1,0,1\n1,nan,0,1\n"
    loaded = loaded_from(tmp_path, vectors)
    assert (loaded.kind, len(loaded.data)) == (LayerKind.VECTORS, 1)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2**53 + 1, -(2**53) - 1],
        [0, 2**63 - 1, -(2**63)],
        [2**64 - 1, 0, 1],
        [2**24 + 1, 1_234_567, 999_999_999_999],
        [-1, 2**64 - 1, 3],
        [0.1, 1 / 3, 1e-300],
        [np.float32(0.1), np.float32(16777217), np.float32(1e30)],
    ],
    ids=str,
)
@pytest.mark.parametrize("missing", [False, True])
def test_no_number_is_rounded(tmp_path, values, missing):
    path = tmp_path / "t.csv"
    cells = ["" if missing and i == 0 else str(v) for i, v in enumerate(values)]
    path.write_text("name,v\n" + "".join(f"a,{cell}\n" for cell in cells))
    loaded = load(collected(path, "csv"), DataOutput(name="t"), make_tool(), inputs={})
    again = list(loaded.data["v"])[missing:]
    assert [type(v)(w) for v, w in zip(values[missing:], again, strict=True)] == values[missing:]
    if isinstance(values[0], int):
        assert [int(value) for value in again] == values[missing:]


@pytest.mark.parametrize("name", SPOTS)
def test_files_of_points_are_given_as_a_layer_of_points_is(tmp_path, name):
    path, image = tmp_path / "spots.csv", tmp_path / "image.tif"
    path.write_bytes(SPOTS[name].encode("utf-16" if name == "UTF-16" else "utf-8"))
    size = {"PhysicalSizeX": 500, "PhysicalSizeXUnit": "nm"}
    size |= {"PhysicalSizeY": 500, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(image, np.zeros((8, 8), np.uint8), ome=True, metadata=size)
    points = parameter("tablecsv", kinds=(LayerKind.POINTS,))
    reference = grid_of([snapshot(path), snapshot(image)], FORMATS)
    written = export(snapshot(path), points, tmp_path / "in", reference=reference)
    table = pd.read_csv(written.file.path)
    assert list(table)[:3] == ["index", "axis-0", "axis-1"]
    np.testing.assert_allclose(table[["axis-0", "axis-1"]], [[1.5, 2.5], [3, 4]])
    assert "with the columns that layers are given with" in written.notes[0]
    assert path.read_bytes()  # the person's own file stays


@pytest.mark.parametrize("text", ["index,axis-0,axis-1\n0,1,2\n", "name,v\na,1\n"])
def test_other_files_go_as_they_are(tmp_path, text):
    path = tmp_path / "spots.csv"
    path.write_text(text)
    written = export(
        snapshot(path), parameter("tablecsv", kinds=(LayerKind.POINTS,)), tmp_path / "in"
    )
    assert (written.copied, written.notes) == (False, ())
    any_table = parameter("tablecsv", kinds=(LayerKind.POINTS, LayerKind.TABLE))
    path.write_text("x;y\n1;2\n")
    assert not export(snapshot(path), any_table, tmp_path / "in2").copied


def test_a_number_that_is_missing_is_written_as_one(tmp_path):
    layer = Points([[1, np.nan]], features={"name": ["a"], "q": [np.nan]})
    written = export(snapshot(layer), parameter("tablecsv"), tmp_path)
    assert written.file.path.read_text() == "index,axis-0,axis-1,name,q\n0,1.0,NaN,a,NaN\n"


@pytest.mark.parametrize(
    "text", ["area\n2,5\n3,5\n", "x,y\n2,5,1,5\n4,0,3,0\n", "n,area\n1,2,5\n", "a;b\n5;2;3\n"]
)
def test_cells_without_a_name_are_told_with_their_line(tmp_path, text):
    with pytest.raises(OutputError, match=r"t\.csv, line 2 .* cells for"):
        loaded_from(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "columns", "note"),
    [
        ('"x" "y"\n"a" 1 2\n"b" 3 4\n', ["index", "x", "y"], "names of rows"),
        ("a,b,c\n1,2\n3,4,5\n", ["a", "b", "c"], "1 row has fewer cells"),
        ("a,b\n1,2,\n3,4,\n", ["a", "b"], "ends in an empty cell"),
        ("a\n1\nx\n3\n", ["a"], "as text: of its 3 cells 1 is no number, first “x”"),
        ("I,A,A,B\nn,id,q,id\n1,1,2,3\n", ["n", "A_id", "q", "B_id"], "two lines of names"),
    ],
)
def test_what_is_odd_in_rows_is_told(tmp_path, text, columns, note):
    loaded = loaded_from(tmp_path, text, LayerKind.TABLE)
    assert list(loaded.data) == columns
    assert note in " ".join(loaded.notes)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.decimals(-999, 999, places=1), min_size=width, max_size=width),
            min_size=1,
            max_size=5,
        )
    )
)
def test_decimal_commas_between_commas_never_change_numbers(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    # As people's programs write them: whole numbers bare, others with a comma.
    cells = [[f"{cell.normalize():f}".replace(".", ",") for cell in row] for row in rows]
    head = ",".join("abcd"[: len(rows[0])])
    path.write_text("\n".join([head, *map(",".join, cells)]) + "\n")
    try:
        content = read_table(path)
    except OutputError:
        return
    found = np.column_stack([*content.table.values()])
    assert content.notes or np.array_equal(found, np.array(rows, float))


@pytest.mark.parametrize("name", ["frame", "Frame", "Slice", "Time", "t [frame]"])
@pytest.mark.parametrize("first", [0, 1])
def test_frames_that_may_count_from_one_are_told(name, first):
    table = {"x": np.arange(3.0), "y": np.arange(3.0), name: np.arange(first, first + 3)}
    columns = coordinate_columns(table)
    assert columns[0].name == name
    told = [note for note in counting_notes(table, columns) if "may count from 1" in note]
    assert len(told) == first


COORDINATES = {  # header: the columns that are coordinates, and their axes
    "ID,POSITION_X,POSITION_Y,POSITION_T,FRAME": ("FRAME POSITION_Y POSITION_X", "TYX"),
    "frame,t,x,y": ("frame y x", "TYX"),
    "T,x,y,frame": ("frame y x", "TYX"),
    "t [s],timepoint,y,x": ("timepoint y x", "TYX"),
    "object_id,timestep,x,y": ("timestep y x", "TYX"),
    "x,y,time,frame_number": ("frame_number y x", "TYX"),
    "ImageNumber,Location_Center_X,Location_Center_Y,Metadata_T": (
        "Metadata_T Location_Center_Y Location_Center_X", "TYX",
    ),
    "time_ms,x,y": ("time_ms y x", "TYX"),
    "Time_min,x_um,y_um": ("Time_min y_um x_um", "TYX"),
    "x_min,y_min,x_max,y_max,t_min": ("", ""),
    "xnm,ynm,znm,frame": ("frame znm ynm xnm", "TZYX"),
    "Time,Time Index,x,y": ("Time Index y x", "TYX"),
    "Metadata_Row,Metadata_Col,Metadata_T": ("", ""),
    "frame,label,centroid-0,centroid-1": ("frame centroid-0 centroid-1", "TYX"),
    "label,centroid-0,centroid-1,centroid-2,t": (
        "t centroid-0 centroid-1 centroid-2", "TZYX",
    ),
    "frame,weighted_centroid-0,weighted_centroid-1,centroid-0,centroid-1": (
        "frame centroid-0 centroid-1", "TYX",
    ),
    "frame,centroid_weighted-0,centroid_weighted-1": (
        "frame centroid_weighted-0 centroid_weighted-1", "TYX",
    ),
    "frame,centroid_local-0,centroid_local-1": ("", ""),
    "frame,bbox-0,bbox-1,bbox-2,bbox-3": ("", ""),
    "timestep,Center of the object_0,Center of the object_1": (
        "timestep Center of the object_1 Center of the object_0", "TYX",
    ),
    "label,centroid-0,centroid-1,centroid-2": ("centroid-0 centroid-1 centroid-2", ""),
    "frame,axis-0,axis-1": ("frame axis-0 axis-1", "TYX"),
    "index,axis-0,axis-1,frame,t,z,axis-ratio": ("axis-0 axis-1", ""),
    "axis-0,axis-1,x,y,t": ("axis-0 axis-1", ""),
    "pos_x,pos_y,frame,index,axis-0,axis-1,axis-2,t,z": ("frame pos_y pos_x", "TYX"),
    "pos_x,pos_y,index,axis-0,axis-1,frame": ("pos_y pos_x", "YX"),
    "ID,T,Y,X,Z,frame": ("T Y X", "TYX"),
    "ID,t,x,y,z,parent": ("t z y x", "TZYX"),
    "x [px],y [µm],frame": ("frame y [µm] x [px]", "TYX"),
    "x [nm],y [µm],z [mm]": ("z [mm] y [µm] x [nm]", "ZYX"),
    "x [px],y [px],z [µm],frame": ("frame z [µm] y [px] x [px]", "TZYX"),
    "x_um,y_um,x_px,y_px,z_um": ("z_um y_px x_px", "ZYX"),
}  # fmt: skip


@pytest.mark.parametrize("header", COORDINATES)
def test_which_columns_are_coordinates(header):
    names = header.split(",")
    table = {name: np.arange(3) * (i + 2) for i, name in enumerate(names)}
    found = coordinate_columns(table)
    assert (" ".join(c.name for c in found), "".join(c.axis for c in found)) == COORDINATES[header]


def test_a_centre_that_is_the_frame_is_no_depth():
    table = {name: np.arange(3) for name in ("frame", "centroid-0")}
    table |= {name: np.arange(3) + 7.5 for name in ("centroid-1", "centroid-2")}
    found = coordinate_columns(table)
    assert [(c.name, c.axis) for c in found][:2] == [("centroid-0", "T"), ("centroid-1", "Y")]
    assert "same as the column of frames" in " ".join(counting_notes(table, found))


@pytest.mark.parametrize(
    ("times", "note"),
    [
        ({"t": 2 * np.arange(3)}, "“t” has steps of 2 and says no unit"),
        ({"t": 0.5 * np.arange(3)}, "“t” has steps of 0.5 and says no unit"),
        ({"t": np.arange(3)}, ""),
        ({"t": np.array([0, np.nan, 1])}, ""),
        ({"frame": 2 * np.arange(3)}, ""),
        ({"frame": np.arange(3), "POSITION_T": 2 * np.arange(3)}, "not “POSITION_T”"),
        ({"frame": np.arange(3), "t": np.arange(3)}, ""),
        ({"frame": np.arange(3), "t [s]": 2 * np.arange(3)}, ""),
        ({"ImageNumber": np.arange(3)}, "“ImageNumber” was not taken for time"),
        ({"Timestamp": np.arange(3)}, "“Timestamp” was not taken for time"),
        ({"frame": np.array(["a.tif", "b.tif", "c.tif"], object)}, "“frame” was not taken"),
        ({"frame name": np.array(["a.tif"] * 3, object)}, ""),
    ],
)
def test_what_is_doubtful_of_a_time_is_told(times, note):
    table = {"x": np.arange(3.0), "y": np.arange(3.0), **times}
    told = counting_notes(table, coordinate_columns(table))
    assert len(told) == bool(note)
    assert note in " ".join(told)


NAMED_AS_COORDINATES = (
    "axis-ratio", "axis-2", "axis-7", "Axis 3", "direction-0", "t", "frame", "z", "Z", "T", "ID",
    "x", "index", "vertex-index", "pos_x", "centroid-0",
)  # fmt: skip


@pytest.mark.parametrize("kind", [Points, Tracks, Vectors, Shapes])
@pytest.mark.parametrize("fmt", ["tablecsv", "tabular"])
def test_features_that_are_called_as_coordinates_stay_features(round_trip, kind, fmt):
    data = {
        Points: [[1.0, 2], [3, 4], [5, 7]],
        Tracks: [[0.0, 0, 1, 2], [0, 1, 3, 4], [1, 1, 5, 6]],
        Vectors: RNG.random((3, 2, 2)),
        Shapes: [np.array([[0, 0], [i, 4.0]]) for i in (1, 2, 3)],
    }[kind]
    more = {"shape_type": "line"} if kind is Shapes else {}
    features = {name: [7.5, 8.5, 9 + i] for i, name in enumerate(NAMED_AS_COORDINATES)}
    layer = kind(data, features=features, **more)
    _, loaded = round_trip(layer, fmt, formats=GALAXY, override=LayerKind(kind.__name__.lower()))
    assert np.shape(loaded.data) == np.shape(layer.data)
    np.testing.assert_array_equal(np.asarray(loaded.data), np.asarray(layer.data))
    found = loaded.attributes["features"]
    assert {name: list(found[name]) for name in NAMED_AS_COORDINATES} == features


def test_a_file_of_tracks_is_given_as_points_where_only_points_go(tmp_path):
    path = tmp_path / "tracks.csv"
    path.write_text("ID,T,Y,X,q\n1,0,5,6,.5\n")
    for kinds, columns in (
        ((LayerKind.POINTS,), ["index", "axis-0", "axis-1", "axis-2", "ID", "q"]),
        ((LayerKind.POINTS, LayerKind.TRACKS), ["ID", "T", "Y", "X", "q"]),
    ):
        written = export(snapshot(path), parameter("tablecsv", kinds=kinds), tmp_path / "in")
        assert list(pd.read_csv(written.file.path)) == columns


def test_blanks_around_names_are_no_part_of_them(tmp_path):
    path = tmp_path / "spots.csv"
    path.write_text("index, axis-0, axis-1\n0, 1, 2\n")
    points = parameter("tablecsv", kinds=(LayerKind.POINTS,))
    written = export(snapshot(path), points, tmp_path / "in")
    assert list(pd.read_csv(written.file.path)) == ["index", "axis-0", "axis-1"]


def test_an_index_that_is_no_running_number_is_a_feature(tmp_path):
    loaded = loaded_from(tmp_path, "index,x,y\n7,1,2\n9,3,4\n", LayerKind.POINTS)
    assert list(loaded.attributes["features"]["index"]) == [7, 9]


def test_columns_are_counted_before_they_get_names(tmp_path, monkeypatch):
    path = tmp_path / "wide.csv"
    path.write_text(f"{','.join('a' * 20_000)}\n{','.join('1' * 20_000)}\n")
    monkeypatch.setattr(tables, "unique_names", lambda names: pytest.fail("they were named"))
    with pytest.raises(OutputError, match="has 20000 columns; a table may have 10000"):
        read_table(path)


LONE = 'label\tname\tsize\n1\tab\t5\n2\t"x\t6\n3\tline\t7\n'


@pytest.mark.parametrize(
    ("text", "column", "cells"),
    [
        (LONE, "name", ["ab", '"x', "line"]),
        (LONE.replace("line", 'end"'), "name", ["ab", '"x', 'end"']),
        (LONE.replace("ab", '"q"'), "name", ['"q"', '"x', "line"]),
        (LONE.replace("ab", 'a "b"'), "name", ['a "b"', '"x', "line"]),
        (LONE + "4\n", "name", ["ab", '"x', "line", ""]),
        (LONE.replace('"x', "'x"), "name", ["ab", "'x", "line"]),
        ('n\ts\n1\t"a\tb"\n2\t"c ""d"""\n', "s", ["a\tb", 'c "d"']),
        ('n\ts\n1\t"a\nb"\n2\tc\n', "s", ["a\nb", "c"]),
    ],
)
def test_a_quote_between_tabs_is_one_only_where_it_is_closed(tmp_path, text, column, cells):
    (tmp_path / "a.tsv").write_text(text)
    table = read_table(tmp_path / "a.tsv", tabs=True).table
    assert ["" if value is np.nan else value for value in table[column]] == cells
    if "size" in table:
        assert table["size"][:3].tolist() == [5, 6, 7]


def test_a_quote_between_tabs_is_no_quote_for_a_csv(tmp_path):
    (tmp_path / "a.tsv").write_text(LONE)
    made = export(snapshot(tmp_path / "a.tsv"), parameter("csv"), tmp_path / "in")
    rows = list(csv.reader(made.file.path.open(newline="")))
    assert rows == [line.split("\t") for line in LONE.splitlines()]


def test_an_open_quote_between_commas_is_told_with_its_line(tmp_path):
    (tmp_path / "a.csv").write_text('label,name\n1,ab\n2,"x\n3,line\n')
    with pytest.raises(OutputError, match=r"a.csv, line 3 .*never closed") as told:
        read_table(tmp_path / "a.csv")
    assert "Error tokenizing" not in str(told.value)


def test_what_quotes_are_for_is_told_where_tabs_part_cells(tmp_path):
    table = {"n": np.arange(3), "s": np.array(["a\tb", 'he said "hi"', 'c"'], dtype=object)}
    made = export(snapshot(table), parameter("tsv"), tmp_path)
    assert made.file.path.read_text() == 'n\ts\n0\t"a\tb"\n1\the said "hi"\n2\tc"\n'
    assert "1 row holds a tab" in " ".join(made.notes)
    assert read_table(made.file.path, tabs=True).table["s"].tolist() == table["s"].tolist()


def test_names_behind_a_mark_of_comments_are_names_above_rows_of_words(tmp_path):
    (tmp_path / "a.tsv").write_text("# by x\n#chrom\tstart\tname\nchr1\t1\tab\nchr2\t5\tcd\n")
    table = read_table(tmp_path / "a.tsv", tabs=True).table
    assert list(table) == ["chrom", "start", "name"]
    assert table["start"].tolist() == [1, 5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# hi, there\na,b,c\n1,2,3\n", "# hi, there\na\tb\tc\n1\t2\t3\n"),
        ("# one, two\n# hi, you, there, all\n#a,b\n1,2\n", "# hi, you, there, all\n#a\tb\n1\t2\n"),
        ("a,b\n# hi, there\n1,2\n", "a\tb\n# hi\t there\n1\t2\n"),
    ],
)
def test_a_comment_above_a_table_is_one_cell(tmp_path, text, told):
    (tmp_path / "a.csv").write_text(text)
    tables.rewrite_table(tmp_path / "a.csv", ",", tmp_path / "a.tsv", tabs=True)
    assert told in (tmp_path / "a.tsv").read_text()


def test_what_is_no_table_is_not_said_of_an_output(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,\0\0\n")
    with pytest.raises(OutputError) as caught:
        cells.table_text(tmp_path / "a.csv", None)
    assert "binary" in str(caught.value)
    assert "output" not in str(caught.value)
