"""The other carriers: Zarr, pictures, arrays, movies, shapes, meshes, tracks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from exchange_helpers import GALAXY, collected, make_tool, parameter
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Tracks
from PIL import Image as Picture

from napari_tool_runner.errors import LossyConversionError, OutputError, UnsupportedLayerError
from napari_tool_runner.exchange import export, load, snapshot
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(2)


def rebuilt(loaded) -> Layer:
    return Layer.create(*loaded.as_layer_data_tuple())


# -- Zarr --------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["zarr", "ome_zarr", "zarr3"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "bool"])
def test_zarr_holds_any_type(round_trip, fmt, dtype):
    data = RNG.integers(0, 2, (3, 40, 50)).astype(dtype)
    layer = Image(data, scale=(2, 0.5, 0.5), translate=(1, 2, 3), units="um")
    written, loaded = round_trip(layer, fmt, formats=GALAXY, kind=LayerKind.IMAGE)
    assert written.file.path.is_dir()
    assert loaded.data.dtype == dtype
    again = rebuilt(loaded)
    np.testing.assert_array_equal(np.asarray(again.data), data)
    np.testing.assert_allclose(again.scale, layer.scale)
    np.testing.assert_allclose(again.translate, layer.translate)
    assert again.units == layer.units


@pytest.mark.parametrize(("fmt", "zarr_format"), [("imagezarr", 2), ("zarr3", 3)])
def test_zarr_metadata_are_ome(tmp_path, fmt, zarr_format):
    layer = Image(
        RNG.random((2, 3, 8, 9)),
        scale=(2, 1, 0.5, 0.5),
        translate=(0, 0, 5, 6),
        units=("s", "pixel", "um", "um"),
        axis_labels=("t", "c", "y", "x"),
        metadata={"channel_names": ["a", "b", "c"]},
        name="N",
    )
    written = export(snapshot(layer), parameter(fmt), tmp_path)
    root = zarr.open_group(written.file.path, mode="r")
    assert root.metadata.zarr_format == zarr_format
    attributes = root.attrs.asdict()
    attributes = attributes.get("ome", attributes)
    image = attributes["multiscales"][0]
    assert [a["name"] for a in image["axes"]] == list("tcyx")
    assert [a["type"] for a in image["axes"]] == ["time", "channel", "space", "space"]
    assert [a.get("unit") for a in image["axes"]] == ["second", None, "micrometer", "micrometer"]
    scale, translation = image["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [2, 1, 0.5, 0.5]
    assert translation["translation"] == [0, 0, 5, 6]
    assert [c["label"] for c in attributes["omero"]["channels"]] == ["a", "b", "c"]
    assert root["0"].shape == (2, 3, 8, 9)


def test_zarr_labels_are_labels_and_can_be_edited(round_trip):
    data = np.zeros((4, 30, 30), np.int64)
    data[1:, 4:9, 4:9] = 2**40
    _, loaded = round_trip(Labels(data), "zarr", formats=GALAXY)
    again = rebuilt(loaded)
    assert isinstance(again, Labels)
    np.testing.assert_array_equal(again.data, data)
    again.data[0, 0, 0] = 5


def test_rgb_goes_into_zarr_as_channels(round_trip):
    data = RNG.integers(0, 255, (40, 50, 3)).astype("uint8")
    written, loaded = round_trip(Image(data, rgb=True), "zarr", formats=GALAXY)
    assert loaded.data.shape == (3, 40, 50)
    np.testing.assert_array_equal(np.asarray(loaded.data), np.moveaxis(data, -1, 0))
    assert any("channel axis" in note for note in written.notes)


def test_pyramid_is_opened_with_all_levels(tmp_path):
    root = zarr.open_group(tmp_path / "p.zarr", mode="w", zarr_format=2)
    for i, size in enumerate((64, 32, 16)):
        root.create_array(str(i), data=np.full((size, size), i, "u2"))
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [s, s]}]}
        for i, s in enumerate((0.5, 1.0, 2.0))
    ]
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    root.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    output = DataOutput(name="o", format="zarr")
    loaded = load(collected(tmp_path / "p.zarr", "zarr"), output, make_tool(), inputs={})
    again = rebuilt(loaded)
    assert again.multiscale
    assert [level.shape for level in again.data] == [(64, 64), (32, 32), (16, 16)]
    np.testing.assert_allclose(again.scale, (0.5, 0.5))


def test_zarr_without_an_image_is_told(tmp_path):
    zarr.open_group(tmp_path / "e.zarr", mode="w")
    output = DataOutput(name="o", format="zarr")
    with pytest.raises(OutputError, match="0 arrays"):
        load(collected(tmp_path / "e.zarr", "zarr"), output, make_tool(), inputs={})


# -- pictures ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("samples", [(), (3,), (4,)])
def test_png_is_exact(round_trip, dtype, samples):
    data = RNG.integers(0, np.iinfo(dtype).max, (31, 37, *samples)).astype(dtype)
    layer = Image(data, rgb=bool(samples))
    _, loaded = round_trip(layer, "png", formats=GALAXY)
    assert loaded.data.dtype == dtype
    np.testing.assert_array_equal(loaded.data, data)
    assert loaded.attributes["rgb"] is bool(samples)


@pytest.mark.parametrize("filter_type", [1, 2, 3, 4])
def test_deep_png_of_others_is_exact(tmp_path, filter_type):
    """Rows filtered by the definition in the PNG specification, pixel by pixel."""
    import struct
    import zlib

    data = RNG.integers(0, 65536, (5, 6, 3)).astype(">u2")
    rows = data.reshape(5, -1).view(np.uint8).astype(int)
    step, out = 6, bytearray()
    for y, row in enumerate(rows):
        out.append(filter_type)
        for x, value in enumerate(row):
            a = row[x - step] if x >= step else 0
            b = rows[y - 1][x] if y else 0
            c = rows[y - 1][x - step] if y and x >= step else 0
            p = a + b - c
            paeth = min((a, b, c), key=lambda v: abs(p - v))
            guess = {1: a, 2: b, 3: (a + b) // 2, 4: paeth}[filter_type]
            out.append((value - guess) % 256)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 6, 5, 16, 2, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(bytes(out))), (b"IEND", b"")]
    path = tmp_path / "d.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, part in chunks:
            file.write(struct.pack(">I", len(part)) + kind + part)
            file.write(struct.pack(">I", zlib.crc32(kind + part)))
    output = DataOutput(name="o", format="png")
    loaded = load(collected(path, "png"), output, make_tool(), inputs={})
    np.testing.assert_array_equal(loaded.data, data)


def test_png_is_only_the_last_choice(tmp_path):
    snap = snapshot(RNG.integers(0, 9, (8, 9)).astype("uint8"))
    written = export(snap, parameter("png", "tiff"), tmp_path, formats=GALAXY)
    assert written.file.format == "tiff"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (np.zeros((3, 8, 9), "uint8"), UnsupportedLayerError),
        (np.zeros((8, 9), "float32"), LossyConversionError),
        (np.full((8, 9), 70000, "int32"), LossyConversionError),
        (np.full((8, 9), -1, "int8"), LossyConversionError),
    ],
)
def test_png_refuses_what_it_cannot_hold(tmp_path, data, error):
    with pytest.raises(error):
        export(snapshot(data), parameter("png"), tmp_path, formats=GALAXY)
    assert not list(tmp_path.iterdir())


def test_int_labels_that_fit_go_into_png(round_trip):
    data = np.zeros((20, 20), np.int32)
    data[2:9, 2:9] = 300
    written, loaded = round_trip(Labels(data), "png", formats=GALAXY, kind=LayerKind.LABELS)
    np.testing.assert_array_equal(loaded.data, data)
    assert any("uint16" in note for note in written.notes)


@pytest.mark.parametrize("fmt", ["jpg", "bmp"])
def test_pictures_of_tools_that_take_nothing_better(round_trip, fmt):
    data = np.full((16, 16, 3), 77, "uint8")
    written, loaded = round_trip(Image(data, rgb=True), fmt, formats=GALAXY)
    assert loaded.attributes["rgb"] is True
    np.testing.assert_allclose(np.asarray(loaded.data, float), data, atol=2)
    assert any("JPEG" in note for note in written.notes) is (fmt == "jpg")


def test_labels_never_become_jpeg(tmp_path):
    with pytest.raises((LossyConversionError, UnsupportedLayerError)):
        export(snapshot(Labels(np.eye(9, dtype="u1"))), parameter("jpg"), tmp_path, formats=GALAXY)


def test_an_interlaced_deep_png_is_read(tmp_path):
    # seven passes of one row each, of a single pixel
    path = tmp_path / "i.png"
    import struct
    import zlib

    pixel = struct.pack(">3H", 1, 300, 65535)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 1))]
    chunks += [(b"IDAT", zlib.compress(b"\0" + pixel)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    loaded = load(collected(path, "png"), DataOutput(name="o"), make_tool(), inputs={})
    assert loaded.data.tolist() == [[[1, 300, 65535]]]


@pytest.mark.parametrize("compression", ["lzw", "zstd", "jpeg2000"])
def test_tiff_is_read_however_it_is_compressed(tmp_path, compression):
    data = RNG.integers(0, 255, (40, 50)).astype(np.uint8)
    path = tmp_path / "c.tif"
    tifffile.imwrite(path, data, compression=compression)
    loaded = load(collected(path, "tiff"), DataOutput(name="o"), make_tool(), inputs={})
    np.testing.assert_array_equal(loaded.data, data)


def test_a_table_that_begins_like_a_picture_is_a_table(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("BMI,age\n21.5,40\n")
    loaded = load(collected(path, "csv"), DataOutput(name="o"), make_tool(), inputs={})
    assert list(loaded.data) == ["BMI", "age"]


def test_labels_go_into_bmp_and_movies_but_not_into_gif(round_trip, tmp_path):
    data = np.arange(20, dtype=np.uint8).reshape(4, 5)
    _, loaded = round_trip(Labels(data), "bmp", kind=LayerKind.LABELS)
    np.testing.assert_array_equal(loaded.data, data)
    stack = np.arange(40, dtype=np.uint8).reshape(2, 4, 5)
    _, loaded = round_trip(Labels(stack), "movietxt", kind=LayerKind.LABELS)
    np.testing.assert_array_equal(loaded.data, stack)
    with pytest.raises(UnsupportedLayerError, match="is a labels layer"):
        export(snapshot(Labels(data)), parameter("gif"), tmp_path)


def test_truncated_png_is_told(tmp_path):
    path = tmp_path / "p.png"
    Picture.fromarray(RNG.integers(0, 255, (64, 64)).astype("uint8")).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(OutputError, match=r"“o”.*p\.png"):
        load(collected(path, "png"), DataOutput(name="o"), make_tool(), inputs={})


# -- arrays and movies -------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["npy", "h5"])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "bool"])
def test_array_files_are_exact(round_trip, fmt, dtype):
    data = RNG.integers(0, 2, (3, 8, 9)).astype(dtype)
    _, loaded = round_trip(data, fmt, formats=GALAXY, kind=LayerKind.IMAGE)
    assert loaded.data.dtype == dtype
    np.testing.assert_array_equal(np.asarray(loaded.data), data)


def test_nobody_is_advised_to_trust_a_file(tmp_path):
    """NumPy's own words on a long header are to allow pickles."""
    path = tmp_path / "o.npy"
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(20_000).encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + b"\0" * 4)
    with pytest.raises(OutputError, match="longer than any of an image") as caught:
        load(collected(path, "npy"), DataOutput(name="o"), make_tool(), inputs={})
    assert not {"allow_pickle", "trust"} & {*str(caught.value).replace("=", " ").split()}


def test_npy_never_unpickles(tmp_path):
    path = tmp_path / "o.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(OutputError, match=r"o\.npy"):
        load(collected(path, "npy"), DataOutput(name="o"), make_tool(), inputs={})


def test_movie_is_frames_beside_a_text_file(round_trip):
    data = RNG.integers(0, 99, (5, 8, 9)).astype("uint16")
    layer = Image(data, scale=(2, 0.5, 0.5), name="my film")
    written, loaded = round_trip(layer, "movietxt")
    lines = written.file.path.read_text().splitlines()
    assert lines == [f"my_film_t{i:04d}.tif" for i in range(5)]
    assert tifffile.imread(written.file.path.parent / lines[3]).tolist() == data[3].tolist()
    np.testing.assert_array_equal(np.asarray(loaded.data), data)
    np.testing.assert_allclose(loaded.attributes["scale"], layer.scale)


def test_a_movie_cannot_name_files_outside(tmp_path):
    (tmp_path / "out").mkdir()
    tifffile.imwrite(tmp_path / "secret.tif", np.zeros((4, 4)))
    path = tmp_path / "out" / "m.txt"
    path.write_text("../secret.tif\n")
    with pytest.raises(OutputError, match="outside its folder"):
        load(collected(path, "movietxt"), DataOutput(name="o"), make_tool(), inputs={})


# -- shapes ------------------------------------------------------------------------

SHAPES = [
    (np.array([[0, 0], [0, 4.5], [3, 4], [3, 0.5]]), "polygon"),
    (np.array([[1.0, 1], [1, 5], [6, 5], [6, 1]]), "rectangle"),
    (np.array([[1.0, 1], [1, 5], [6, 5], [6, 1]]), "ellipse"),
    (np.array([[1.0, 2], [3, 4]]), "line"),
    (np.array([[1.0, 2], [3, 4], [9, 9]]), "path"),
]


@pytest.mark.parametrize("lead", [(), (3.0,), (2.0, 3.0)])
def test_shapes_as_geojson(round_trip, lead):
    data = [np.column_stack([np.tile(lead, (len(v), 1)), v]) for v, _ in SHAPES]
    layer = Shapes(
        data,
        shape_type=[kind for _, kind in SHAPES],
        features={"n": list("abcde"), "v": [1.5, 2, 3, 4, 5]},
        scale=np.arange(1, 3 + len(lead)),
    )
    _, loaded = round_trip(layer, "geojson", formats=GALAXY)
    again = rebuilt(loaded)
    assert isinstance(again, Shapes)
    assert list(again.shape_type) == list(layer.shape_type)
    for one, other in zip(again.data, layer.data, strict=True):
        np.testing.assert_allclose(one, other)
    assert list(again.features["n"]) == list("abcde")
    np.testing.assert_allclose(again.scale, layer.scale)


def test_geojson_is_what_others_read(tmp_path):
    layer = Shapes([SHAPES[0][0], SHAPES[2][0]], shape_type=["polygon", "ellipse"])
    written = export(snapshot(layer), parameter("geojson"), tmp_path, formats=GALAXY)
    document = json.loads(written.file.path.read_text())
    polygon, ellipse = (feature["geometry"] for feature in document["features"])
    assert polygon["type"] == ellipse["type"] == "Polygon"
    assert polygon["coordinates"][0][1] == [4.5, 0]  # x before y
    assert polygon["coordinates"][0][0] == polygon["coordinates"][0][-1]
    ring = np.array(ellipse["coordinates"][0])
    assert ring.min(axis=0) == pytest.approx([1, 1], abs=0.01)
    assert ring.max(axis=0) == pytest.approx([5, 6], abs=0.01)


def test_points_as_geojson(round_trip):
    layer = Points(RNG.random((4, 3)) * 9, features={"r": [1, 2, 3, 4]})
    _, loaded = round_trip(layer, "geojson", formats=GALAXY)
    again = rebuilt(loaded)
    assert isinstance(again, Points)
    np.testing.assert_allclose(again.data, layer.data)
    assert list(again.features["r"]) == [1, 2, 3, 4]


def test_geojson_of_others(tmp_path):
    square = [[0, 0], [4, 0], [4, 2], [0, 2], [0, 0]]
    hole = [[1, 1], [2, 1], [2, 2], [1, 1]]
    document = [
        {
            "type": "Feature",
            "geometry": {
                "type": "MultiPolygon",
                "coordinates": [[square, hole], [square]],
                "plane": {"c": -1, "z": 2, "t": 0},
            },
            "properties": {"classification": {"name": "tumor"}},
        }
    ]
    path = tmp_path / "q.geojson"
    path.write_text(json.dumps(document))
    output = DataOutput(name="o", format="geojson")
    loaded = load(collected(path, "geojson"), output, make_tool(), inputs={})
    again = rebuilt(loaded)
    assert again.nshapes == 2
    np.testing.assert_array_equal(
        again.data[0], [[0, 2, 0, 0], [0, 2, 0, 4], [0, 2, 2, 4], [0, 2, 2, 0]]
    )
    assert any("Holes" in note for note in loaded.notes)


@pytest.mark.parametrize("text", ["{", "[]{}", '{"type": "Feature"', '{"type": "Topology"}', "3"])
def test_damaged_geojson_is_told(tmp_path, text):
    path = tmp_path / "d.geojson"
    path.write_text(text)
    with pytest.raises(OutputError, match=r"d\.geojson"):
        load(collected(path, "geojson"), DataOutput(name="o"), make_tool(), inputs={})


def test_shapes_are_drawn_for_tools_that_take_images(tmp_path):
    image = snapshot(Image(np.zeros((3, 20, 20)), scale=(1, 0.5, 0.5)))
    square = np.array([[1, 1.0, 1], [1, 1, 4], [1, 4, 4], [1, 4, 1]])
    layer = Shapes([square, square + np.array([1, 2, 2])], shape_type="polygon", name="cells")
    written = export(snapshot(layer), parameter("tiff"), tmp_path, formats=GALAXY, reference=image)
    drawn = tifffile.imread(written.file.path)
    assert drawn.shape == (3, 20, 20)
    assert not drawn[0].any()
    assert drawn[1, 4, 4] == 1  # world (2, 2) is pixel (4, 4) of the image
    assert drawn[2, 8, 8] == 2
    assert any("drawn as labels" in note for note in written.notes)


def test_shapes_need_an_image_to_be_drawn_in(tmp_path):
    layer = Shapes([SHAPES[0][0]], shape_type="polygon")
    with pytest.raises(UnsupportedLayerError, match="an image is needed"):
        export(snapshot(layer), parameter("tiff"), tmp_path, formats=GALAXY)


# -- meshes and tracks -------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["obj", "ply", "plybinary", "stl", "off", "glb"])
def test_surfaces(round_trip, fmt):
    vertices = np.array([[0, 0, 0], [0, 0, 1.5], [0, 2, 0], [3, 0, 0]])
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]])
    values = np.array([0.1, 0.2, 0.3, 0.4])
    layer = Surface((vertices, faces, values), scale=(2, 1, 1))
    written, loaded = round_trip(layer, fmt, formats=GALAXY)
    again = rebuilt(loaded)
    assert isinstance(again, Surface)
    np.testing.assert_allclose(again.scale, layer.scale)
    triangles = lambda l: sorted(np.sort(l.vertices[f], axis=0).tolist() for f in l.faces)  # noqa: E731, E741
    assert triangles(again) == triangles(layer)
    if fmt.startswith("ply"):
        np.testing.assert_array_equal(again.vertex_values, values)
    else:
        assert any("values" in note for note in written.notes)


@pytest.mark.parametrize("fmt", ["obj", "ply", "plybinary", "off"])
def test_surfaces_keep_every_digit(round_trip, fmt):
    vertices, faces = RNG.random((4, 3)) * 1e6, np.array([[0, 1, 2], [1, 2, 3]])
    _, loaded = round_trip(Surface((vertices, faces)), fmt)
    np.testing.assert_array_equal(loaded.data[0], vertices)
    np.testing.assert_array_equal(loaded.data[1], faces)


def test_a_mesh_opens_no_other_file(tmp_path):
    path = tmp_path / "m.obj"
    path.write_text("mtllib secret.mtl\nv 0 0 0\nv 0 0 1\nv 0 1 0\nv 0 1 1\nusemtl a\nf 1 2 4 3\n")
    (tmp_path / "secret.mtl").mkdir()  # to open it would raise
    loaded = load(collected(path, "obj"), DataOutput(name="o"), make_tool(), inputs={})
    assert loaded.data[1].shape == (2, 3)


def test_napari_reads_our_obj(tmp_path):
    builtins = pytest.importorskip("napari_builtins.io")
    if not hasattr(builtins, "napari_get_obj_reader"):
        pytest.skip("this napari reads no OBJ")
    vertices = RNG.random((3, 3))
    snap = snapshot(Surface((vertices, np.array([[0, 1, 2]]))))
    written = export(snap, parameter("obj"), tmp_path, formats=GALAXY)
    reader = builtins.napari_get_obj_reader(str(written.file.path))
    data, *_ = reader(str(written.file.path))[0]
    np.testing.assert_array_equal(data[0], vertices)


@pytest.mark.parametrize(
    "text", ["ply\nformat ascii 1.0\nelement vertex 5\n", "f 1 2 3\n", "v 1 2\n"]
)
def test_damaged_meshes_are_told(tmp_path, text):
    suffix = "ply" if text.startswith("ply") else "obj"
    path = tmp_path / f"m.{suffix}"
    path.write_text(text)
    with pytest.raises(OutputError, match=rf"m\.{suffix}"):
        load(collected(path, suffix), DataOutput(name="o"), make_tool(), inputs={})


TRACKMATE = """<TrackMate version="7"><Model spatialunits="um" timeunits="s">
<AllSpots nspots="4">{spots}</AllSpots>
<AllTracks><Track TRACK_ID="0">{edges}</Track></AllTracks></Model>
<Settings><ImageData pixelwidth="0.5" pixelheight="0.5" voxeldepth="1.0"/></Settings></TrackMate>
"""


def test_trackmate_becomes_tracks_with_splits(tmp_path):
    spots = "".join(
        f'<SpotsInFrame frame="{t}"><Spot ID="{i}" FRAME="{t}" POSITION_X="{i}" POSITION_Y="2" '
        f'POSITION_Z="0" QUALITY="9"/></SpotsInFrame>'
        for i, t in ((1, 0), (2, 1), (3, 2), (4, 2))
    )
    edges = "".join(
        f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}"/>' for a, b in ((1, 2), (2, 3), (4, 2))
    )
    path = tmp_path / "m.xml"
    path.write_text(TRACKMATE.format(spots=spots, edges=edges))
    output = DataOutput(name="o", format="trackmatemodel")
    loaded = load(collected(path, "trackmatemodel"), output, make_tool(), inputs={})
    again = rebuilt(loaded)
    assert isinstance(again, Tracks)
    assert again.data[:, :2].tolist() == [[1, 0], [1, 1], [2, 2], [3, 2]]
    assert again.data[:, 3].tolist() == [2, 4, 6, 8]  # pixels, not micrometres
    assert again.graph == {2: [1], 3: [1]}


@pytest.mark.parametrize(
    ("spots", "size", "told"),
    [('<Spot ID="1"/>', "0.5", "'POSITION_Z' is missing"), ("", "wide", "'wide'")],
)
def test_damaged_trackmate_is_told(tmp_path, spots, size, told):
    path = tmp_path / "m.xml"
    path.write_text(TRACKMATE.format(spots=spots, edges="").replace('"0.5"', f'"{size}"'))
    output = DataOutput(name="o", format="trackmatemodel")
    with pytest.raises(OutputError, match=told):
        load(collected(path, "trackmatemodel"), output, make_tool(), inputs={})


def test_shapes_and_points_in_one_file(tmp_path):
    features = [
        {
            "type": "Feature",
            "properties": {"radius": 2},
            "geometry": {"type": "Point", "coordinates": [10, 5]},
        },
        {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 2], [0, 0]]]},
        },
    ]
    path = tmp_path / "m.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    output = DataOutput(name="o", format="geojson")
    loaded = load(collected(path, "geojson"), output, make_tool(), inputs={})
    again = rebuilt(loaded)
    assert list(again.shape_type) == ["ellipse", "polygon"]
    np.testing.assert_array_equal(again.data[0].min(axis=0), [3, 8])
    assert any("circles" in note for note in loaded.notes)


@pytest.mark.parametrize("kind", [None, LayerKind.POINTS])
def test_geojson_without_features(tmp_path, kind):
    path = tmp_path / "m.geojson"
    path.write_text('{"type": "FeatureCollection", "features": []}')
    output = DataOutput(name="o", format="geojson", kind=kind)
    loaded = load(collected(path, "geojson"), output, make_tool(), inputs={})
    assert len(rebuilt(loaded).data) == 0
