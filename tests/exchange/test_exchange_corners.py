"""Corners of carriers, places and tables: what is rare is written right, or refused in words."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from exchange_helpers import GALAXY, collected, make_tool, parameter
from napari.layers import Image, Labels, Points, Shapes, Surface, Tracks
from PIL import Image as Picture
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from napari_tool_runner.errors import (
    ExchangeError,
    LossyConversionError,
    OutputError,
    UnsupportedLayerError,
)
from napari_tool_runner.exchange import carriers, cut, export, load, merge_parts, placing, snapshot
from napari_tool_runner.exchange.blocks import blocks, chunk_sizes, plan_type, read, transposed
from napari_tool_runner.exchange.carriers import write_pixels
from napari_tool_runner.exchange.carriers.geojson import write_geojson
from napari_tool_runner.exchange.carriers.mesh import write_mesh
from napari_tool_runner.exchange.carriers.raster import write_raster
from napari_tool_runner.exchange.carriers.zarr_store import SealedStore
from napari_tool_runner.exchange.coordinates import coordinate_data, track_columns
from napari_tool_runner.exchange.drawing import shapes_as_labels
from napari_tool_runner.exchange.exporting import _in_pixels_of
from napari_tool_runner.exchange.featured import features_for
from napari_tool_runner.exchange.geometry import plain_geometry, same_place, select
from napari_tool_runner.exchange.model import Content, Pixels, ShapeList, SurfaceData
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(11)


def pixels_of(array: object, axes: str = "", **more: object) -> Pixels:
    shape = np.shape(array)[:-1] if more.get("rgb") else np.shape(array)
    return Pixels(array, plain_geometry(shape, axes), "p", **more)


def read_file(path, fmt) -> Content:
    return carriers.read_file(path, fmt, name="o")


def format_of(carrier: str):
    return next(GALAXY[name] for name in GALAXY if GALAXY[name].carrier.name == carrier)


# -- blocks ------------------------------------------------------------------------------------


def test_axes_in_another_order_are_read_as_they_are() -> None:
    data = RNG.integers(0, 99, (4, 6, 8))
    lazy = transposed(da.from_array(data, chunks=(2, 3, 8)), (2, 0, 1))
    assert (lazy.shape, lazy.dtype) == ((8, 4, 6), data.dtype)
    assert chunk_sizes(lazy) == ((8,), (2, 2), (3, 3))
    part = (slice(1, 3), slice(0, 4), slice(5, 6))
    np.testing.assert_array_equal(read(lazy, part), data.transpose(2, 0, 1)[part])
    plain = SimpleNamespace(shape=(4, 6, 8), dtype=data.dtype)
    assert chunk_sizes(transposed(plain, (2, 0, 1))) is None  # type: ignore[arg-type]


class Lazy:
    """Gives what it is told to for any part."""

    shape, dtype, chunks = (2, 2), np.dtype("u1"), None

    def __init__(self, part: object) -> None:
        self.part = part

    def __getitem__(self, key: object) -> object:
        if isinstance(self.part, BaseException):
            raise self.part
        return self.part


def test_what_computes_later_is_computed() -> None:
    whole = (slice(None), slice(None))
    done = SimpleNamespace(result=lambda: [[1, 2], [3, 4]])
    tensor = SimpleNamespace(read=lambda: done, domain="2×2")
    np.testing.assert_array_equal(read(Lazy(tensor), whole), [[1, 2], [3, 4]])
    with pytest.raises(MemoryError):
        read(Lazy(MemoryError()), whole)
    with pytest.raises(ExchangeError, match="The pixels cannot be read: a bad block"):
        read(Lazy(OSError("a bad block")), whole)


@pytest.mark.parametrize(
    ("chunks", "found"),
    [((2, 2), ((2, 2), (2, 2, 2))), (((3, 1), 6), ((3, 1), (6,))), (("auto", 6), None),
     (((3, 3), 6), None), ((0, 6), None), ((4,), None)],
)  # fmt: skip
def test_only_chunks_that_cover_count(chunks: object, found: object) -> None:
    assert chunk_sizes(SimpleNamespace(shape=(4, 6), chunks=chunks)) == found  # type: ignore[arg-type]


def test_nothing_has_no_blocks() -> None:
    assert list(blocks(np.zeros((3, 0)))) == []


def test_types_that_a_carrier_cannot_hold() -> None:
    assert plan_type(np.dtype(bool), [np.dtype("u2")]) is None
    assert plan_type(np.dtype("i8"), [np.dtype("f4")]) is None
    assert plan_type(np.dtype("c8"), [np.dtype("f4")]) is None


# -- carriers ----------------------------------------------------------------------------------


def test_shapes_that_lie_in_no_plane_keep_their_depth(tmp_path) -> None:
    slope = np.array([[0.0, 0, 0], [1, 4, 0], [2, 0, 4]])
    flat = np.array([[3.0, 0, 0], [3, 4, 0], [3, 0, 4]])
    odd = {"size": np.array([1.5, np.nan])}
    path = tmp_path / "s.geojson"
    write_geojson(ShapeList((slope, flat), ("polygon", "polygon"), odd), path)
    first, second = json.loads(path.read_text())["features"]
    assert first["geometry"]["coordinates"][0][1] == [0.0, 4.0, 1.0], "x, y, z"
    assert "plane" not in second["geometry"], "nobody named its axes"
    assert [one["properties"]["size"] for one in (first, second)] == [1.5, None]


def test_an_outline_that_is_not_closed_is_taken_as_it_is(tmp_path) -> None:
    path = tmp_path / "s.geojson"
    ring = [[0, 0], [4, 0], [4, 4]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    path.write_text(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}}))
    found = read_file(path, format_of("GEOJSON"))
    assert found.data.vertices[0].tolist() == [[0, 0], [0, 4], [4, 4]]


def test_meshes_that_cannot_be_written(tmp_path) -> None:
    faces = np.array([[0, 1, 2]])
    flat = SurfaceData(np.zeros((3, 2)), faces, None)
    with pytest.raises(UnsupportedLayerError, match="points of 3 coordinates, not 2"):
        write_mesh(flat, tmp_path / "m.ply", "ply")
    many = SurfaceData(np.eye(3), faces, np.ones((2, 3)))
    write_mesh(many, tmp_path / "m.ply", "ply")
    assert "property double value" not in (tmp_path / "m.ply").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", ""),
        ("m.ply", "ply\nformat ascii 1.0\nelement vertex 3\nelement face 1\nend_header\n",
         "without a property"),
    ],
)  # fmt: skip
def test_meshes_that_are_none(tmp_path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(OutputError, match=words):
        read_file(path, GALAXY.of_file(name)[0])


def test_a_mesh_that_is_too_large_is_not_parsed(tmp_path, monkeypatch) -> None:
    from napari_tool_runner.exchange.carriers import mesh

    monkeypatch.setattr(mesh, "MAX_PARSED", 10)
    path = tmp_path / "m.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(OutputError, match="a mesh may have 10 B"):
        read_file(path, GALAXY.of_file("m.obj")[0])


def test_pictures_that_a_format_cannot_hold(tmp_path) -> None:
    labels = pixels_of(np.ones((4, 4), np.uint8), labels=True)
    with pytest.raises(LossyConversionError, match="are labels; JPEG would change"):
        write_raster(labels, tmp_path / "p.jpg", "JPEG", lossy=True)
    with pytest.raises(UnsupportedLayerError, match="has no pixel; a PNG file has some"):
        write_raster(pixels_of(np.zeros((0, 4), np.uint8)), tmp_path / "p.png", "PNG")
    values = np.array([[0, 300]], np.uint16)
    with pytest.raises(LossyConversionError, match="values from 0 to 300"):
        write_raster(pixels_of(values), tmp_path / "p.bmp", "BMP")


def test_jpeg_has_no_transparency(tmp_path) -> None:
    picture = pixels_of(np.full((8, 8, 4), 128, np.uint8), rgb=True)
    notes = write_raster(picture, tmp_path / "p.jpg", "JPEG", lossy=True)
    assert "JPEG has no transparency; it was left out." in notes
    assert Picture.open(tmp_path / "p.jpg").mode == "RGB"


def test_a_grey_picture_of_32_bits_is_one_of_16_where_it_fits(tmp_path) -> None:
    from napari_tool_runner.exchange.carriers.raster import _frame

    small, large = np.array([[0, 65535]], np.int32), np.array([[0, 65536]], np.int32)
    assert _frame(Picture.fromarray(small)).dtype == np.uint16
    assert _frame(Picture.fromarray(large)).dtype == np.int32


def test_a_movie_has_frames(tmp_path) -> None:
    movie = format_of("MOVIE")
    with pytest.raises(UnsupportedLayerError, match="a movie has at least three"):
        write_pixels(pixels_of(np.zeros((4, 4))), movie, tmp_path / "m.txt")
    told: list[tuple[int, int]] = []
    frames = pixels_of(np.zeros((3, 4, 4), np.uint8), "TYX")
    write_pixels(frames, movie, tmp_path / "m.txt", progress=lambda *done: told.append(done))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_no_carrier_holds_is_refused(tmp_path) -> None:
    table = format_of("TABLE")
    with pytest.raises(UnsupportedLayerError, match="Pixels cannot be written as"):
        write_pixels(pixels_of(np.zeros((4, 4))), table, tmp_path / "m.csv")
    with pytest.raises(LossyConversionError, match="which TIFF cannot carry"):
        write_pixels(
            pixels_of(np.zeros((4, 4), "M8[s]")), FORMATS["imagetiff"], tmp_path / "m.tif"
        )


def test_tiff_says_what_ome_does_not_know(tmp_path) -> None:
    layer = Image(np.zeros((4, 6), np.uint8), scale=(2, 3), units=("degree", "um"))
    told: list[tuple[int, int]] = []
    written = export(
        snapshot(layer), parameter("imagetiff"), tmp_path, progress=lambda *d: told.append(d)
    )
    assert any("OME knows no unit “degree”" in note for note in written.notes)
    assert told[-1] == (24, 24)


def test_a_tiff_of_several_images_opens_the_first(tmp_path) -> None:
    path = tmp_path / "several.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(np.zeros((4, 5), np.uint8), photometric="minisblack", metadata=None)
        tif.write(np.ones((7, 8), np.uint16), photometric="minisblack", metadata=None)
    found = read_file(path, FORMATS["imagetiff"])
    assert found.pixels.shape == (4, 5)
    assert "It holds 2 images (4 × 5, 7 × 8); the first was opened." in found.notes


def test_a_pyramid_opens_in_full(tmp_path) -> None:
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as tif:
        options = {"photometric": "minisblack", "tile": (16, 16), "metadata": None}
        tif.write(np.zeros((64, 64), np.uint8), subifds=1, **options)
        tif.write(np.zeros((32, 32), np.uint8), subfiletype=1, **options)
    found = read_file(path, FORMATS["imagetiff"])
    assert found.pixels.shape == (64, 64)
    assert "It is a pyramid; its full resolution was opened." in found.notes


def test_a_tiff_without_an_image(tmp_path) -> None:
    path = tmp_path / "none.tif"
    path.write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(OutputError):
        read_file(path, FORMATS["imagetiff"])


SPOT = '<Spot ID="{0}" FRAME="{0}" POSITION_X="1" POSITION_Y="2" POSITION_Z="{1}"/>'


@pytest.mark.parametrize(
    ("spots", "edges", "words"),
    [(None, "", "is no TrackMate model: it has no spots"),
     (SPOT.format(1, 0), '<Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="9"/>', "'9' is missing")],
)  # fmt: skip
def test_tracks_that_are_none(tmp_path, spots: str | None, edges: str, words: str) -> None:
    path = tmp_path / "t.xml"
    kept = "" if spots is None else f"<AllSpots>{spots}</AllSpots>"
    path.write_text(f"<TrackMate><Model>{kept}<AllTracks><Track>{edges}</Track></AllTracks>"
                    "</Model></TrackMate>")  # fmt: skip
    trackmate = format_of("TRACKMATE")
    with pytest.raises(OutputError, match=words):
        read_file(path, trackmate)


def test_tracks_in_depth_keep_it(tmp_path) -> None:
    path = tmp_path / "t.xml"
    spots = SPOT.format(1, 5) + SPOT.format(2, 6)
    path.write_text(f'<TrackMate><Model><AllSpots>{spots}</AllSpots><AllTracks><Track><Edge '
                    'SPOT_SOURCE_ID="1" SPOT_TARGET_ID="2"/></Track></AllTracks></Model>'
                    '</TrackMate>')  # fmt: skip
    trackmate = format_of("TRACKMATE")
    assert read_file(path, trackmate).table["Z"].tolist() == [5, 6]


# -- zarr --------------------------------------------------------------------------------------


def test_zarr_gets_its_axes_in_ome_order(tmp_path) -> None:
    data = RNG.integers(0, 99, (5, 6, 3), dtype=np.uint8)
    layer = Image(data, axis_labels=("x", "y", "t"), rotate=(0, 0, 30), scale=(2, 3, 4))
    written = export(snapshot(layer), parameter("imagezarr"), tmp_path)
    group = zarr.open_group(written.file.path, mode="r")
    np.testing.assert_array_equal(group["0"][:], data.transpose(2, 1, 0))
    assert any("The axes XYT were written as TYX" in note for note in written.notes)
    assert any("without the rotation" in note for note in written.notes)


def test_the_first_of_several_images_in_a_zarr_is_opened(tmp_path) -> None:
    root = zarr.open_group(tmp_path / "z.zarr", mode="w")
    for name in ("b", "a"):
        root.create_group(name).create_array("0", shape=(4, 5), dtype="u1")
    found = read_file(tmp_path / "z.zarr", FORMATS["imagezarr"])
    assert found.pixels.shape == (4, 5)
    assert any("holds 2 images; “a” was opened" in note for note in found.notes)


def test_parts_of_a_sharded_zarr_are_read_alone(tmp_path) -> None:
    data = RNG.integers(0, 99, (64, 64), dtype=np.uint8)
    root = zarr.open_group(tmp_path / "z.zarr", mode="w", zarr_format=3)
    array = root.create_array("0", shape=(64, 64), dtype="u1", chunks=(16, 16), shards=(32, 32))
    array[:] = data
    found = read_file(tmp_path / "z.zarr", FORMATS["imagezarr"])
    np.testing.assert_array_equal(np.asarray(found.pixels[20:30, 40:41]), data[20:30, 40:41])


@pytest.mark.parametrize("beneath", [True, False])
def test_a_store_reads_files_and_no_links(tmp_path, beneath: bool) -> None:
    root = tmp_path / "z.zarr"
    root.mkdir()
    (root / "c").write_bytes(b"0123456789")
    (root / "g").mkdir()
    (root / "out").symlink_to("/etc/hostname")
    store = SealedStore(root, beneath=tmp_path if beneath else None).with_read_only()
    kind = default_buffer_prototype()
    wanted = [None, RangeByteRequest(2, 5), OffsetByteRequest(7), SuffixByteRequest(2)]

    async def ask() -> tuple[list[bytes], list[bool], list[str]]:
        await store._open()
        parts = await store.get_partial_values(kind, [("c", one) for one in wanted])
        there = [await store.exists(key) for key in ("c", "none")]
        return [part.to_bytes() for part in parts], there, [x async for x in store.list_dir("")]

    parts, there, listed = asyncio.run(ask())
    assert parts == [b"0123456789", b"234", b"789", b"89"]
    assert there == [True, False]
    assert set(listed) == ({"c", "g"} if beneath else {"c", "g", "out"})


# -- coordinates and tables --------------------------------------------------------------------


def columns(**given: list[float]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in given.items()}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["track_id", "t", "x", "y"], ["track_id", "t", "y", "x"]),
        (["track_id", "t", "axis-0", "axis-1"], ["track_id", "t", "axis-0", "axis-1"]),
        (["track_id", "t", "axis-0"], []),
        (["track_id", "axis-0", "axis-1", "axis-2"], ["track_id", "axis-0", "axis-1", "axis-2"]),
        (["track_id", "axis-0", "axis-1"], []),
        (["other", "t", "x", "y"], []),
    ],
)
def test_which_columns_are_tracks(names: list[str], found: list[str]) -> None:
    columns = track_columns({name: np.zeros(2) for name in names})
    assert [column.name for column in columns] == found


@pytest.mark.parametrize(
    ("kind", "xyz", "data"),
    [(LayerKind.TRACKS, False, [[1, 0, 5, 6], [1, 1, 7, 8]]),
     (LayerKind.POINTS, False, [[1, 1, 7, 8], [1, 0, 5, 6]])],
)  # fmt: skip
def test_a_table_without_names_is_taken_in_order(kind: LayerKind, xyz: bool, data: object) -> None:
    notes: list[str] = []
    content = Content(columns(a=[1, 1], b=[1, 0], c=[7, 5], d=[8, 6]), header=False)
    found = coordinate_data(content, kind, notes, xyz=xyz)
    np.testing.assert_array_equal(found[0], data)
    assert notes[0].startswith("The table has no header; its columns were taken as ")


def test_a_table_of_x_y_z() -> None:
    content = Content(columns(a=[1], b=[2], c=[3]), header=False)
    found = coordinate_data(content, LayerKind.POINTS, [], xyz=True)
    np.testing.assert_array_equal(found[0], [[3, 2, 1]])


def test_a_table_without_vectors() -> None:
    with pytest.raises(OutputError, match="no columns axis-0… and direction-0…"):
        coordinate_data(Content(columns(a=[1])), LayerKind.VECTORS, [])


def test_measurements_join_what_is_there() -> None:
    points = Points([[1, 2], [3, 4]], features={"name": ["a", "b"], "size": [1.0, 2.0]})
    joined = features_for(points, columns(index=[1, 0], size=[2.0, 1.0], area=[20, 10]))
    assert list(joined.columns) == ["name", "size", "index", "area"], "an equal column is one"
    assert joined["area"].tolist() == [10, 20]
    assert features_for(object(), columns(index=[0])) is None
    labels = Labels(np.zeros((2, 2), int))
    with_background = features_for(labels, columns(label=[0, 1], area=[5, 6]))
    assert with_background["index"].tolist() == [0, 1]


# -- places ------------------------------------------------------------------------------------


def turned(axes: str, shape: tuple[int, ...]):
    n = len(axes)
    linear = np.eye(n)
    linear[-2:, -2:] = [[0, 1], [-1, 0]]
    affine = np.eye(n + 1)
    affine[-3:-1, -1] = 7
    return replace(plain_geometry(shape, axes), linear=linear, affine=affine)


def test_new_axes_of_an_output_come_before_those_of_the_input() -> None:
    reference = turned("YX", (20, 30))
    own = plain_geometry((5, 20, 30), "YXQ")
    found, matched, notes = placing.place_pixels(own, reference, calibrated=False)
    assert (found.axes[-2:], found.shape, notes) == ("YX", (5, 20, 30), [])
    assert len(set(found.axes)) == 3, "letters stay unique"
    assert matched == [None, 0, 1]
    np.testing.assert_array_equal(found.linear[1:, 1:], reference.linear)
    np.testing.assert_array_equal(found.affine[1:, 1:], reference.affine)
    grown, *_ = placing.place_pixels(plain_geometry((9, 9, 9)), reference, calibrated=False)
    np.testing.assert_array_equal(grown.linear[1:, 1:], reference.linear)
    points, _, lost = placing.place_coordinates("", 3, reference)
    assert (points.axes[-2:], points.ndim, lost) == ("YX", 3, "")


def test_a_dropped_axis_of_another_size_is_no_singleton() -> None:
    reference = plain_geometry((1, 20, 30), "ZYX")
    found, *_ = placing.place_pixels(plain_geometry((10, 15)), reference, calibrated=False)
    assert (found.axes, found.shape, found.scale) == ("YX", (10, 15), (2, 2))


@pytest.mark.parametrize(
    ("given", "words"), [(False, "was not given"), (True, "has no geometry to take")]
)
def test_a_reference_that_lends_nothing_is_told(tmp_path, given: bool, words: str) -> None:
    points = tmp_path / "p.csv"
    points.write_text("axis-0,axis-1\n1,2\n")
    (tmp_path / "broken.tif").write_bytes(b"no tiff")
    inputs = {"other": snapshot(tmp_path / "broken.tif")}
    if given:
        inputs["image"] = snapshot(points)
    output = DataOutput(name="o", format="tablecsv", kind=LayerKind.POINTS, reference="image")
    loaded = load(collected(points, "tablecsv"), output, make_tool(), inputs=inputs)
    assert any(f"The reference “image” {words}." in note for note in loaded.notes)


def test_places_of_different_axes_are_different() -> None:
    assert not same_place(plain_geometry((4, 4)), plain_geometry((1, 4, 4)))
    mixed = turned("ZYX", (2, 3, 4))
    part, lost = select(mixed, [0, 2])
    assert part.ndim == 2
    assert "left out" in lost


# -- parts and their results -------------------------------------------------------------------


def test_points_of_a_part_keep_what_is_theirs() -> None:
    layer = Points([[0, 1, 1], [1, 2, 2], [1, 8, 8]], features={"n": [1, 2, 3]}, size=[3, 4, 5])
    grid = plain_geometry((2, 10, 10))
    part = cut(snapshot(layer), grid, (1, slice(0, 5), slice(0, 5)))
    assert part.data.tolist() == [[2, 2]]
    assert part.attributes["features"]["n"].tolist() == [2]
    assert len(np.atleast_1d(part.attributes.get("size", [4]))) == 1
    tracks = snapshot(Tracks([[1, 0, 1, 1], [1, 1, 2, 2]]))
    assert cut(tracks, grid, (1, slice(None), slice(None))) is tracks
    nothing = replace(tracks, data=None)
    assert cut(nothing, grid, (1, slice(None), slice(None))) is nothing


def result(data: object, kind: LayerKind):
    from napari_tool_runner.exchange import LoadedOutput

    return LoadedOutput(data, kind, {})


def test_results_of_slices_that_do_not_fit_together(tmp_path) -> None:
    grid = plain_geometry((2, 4, 4), "ZYX")
    options = {"outer": (0,), "geometry": grid, "folder": tmp_path, "name": "o"}
    uneven = [result(np.zeros((4, n)), LayerKind.IMAGE) for n in (4, 5)]
    with pytest.raises(OutputError, match="results of different sizes"):
        merge_parts(uneven, **options)
    deep = [result(np.zeros((4, 4, 4)), LayerKind.IMAGE)] * 2
    with pytest.raises(OutputError, match="more axes than went in"):
        merge_parts(deep, **options)
    meshes = [result((np.eye(3), np.array([[0, 1, 2]])), LayerKind.SURFACE)] * 2
    assert merge_parts(meshes, **options) is None


# -- coordinates for images --------------------------------------------------------------------


def test_coordinates_move_to_the_pixels_of_the_image() -> None:
    image = snapshot(Image(np.zeros((8, 8, 8)), scale=(2, 2, 2)))
    notes: list[str] = []
    surface = snapshot(Surface((np.eye(3) * 4, np.array([[0, 1, 2]]), np.ones(3))))
    vertices, faces, values = _in_pixels_of(surface, image, notes).data
    np.testing.assert_array_equal(vertices, np.eye(3) * 2)
    assert (faces.tolist(), values.tolist()) == ([[0, 1, 2]], [1, 1, 1])
    assert "was converted to the pixels of" in notes[0]
    table = replace(surface, kind=LayerKind.TABLE)
    assert _in_pixels_of(table, image, notes) is table


def test_shapes_outside_of_the_image_are_told() -> None:
    image = snapshot(Image(np.zeros((2, 8, 8))))
    square = np.array([[0, 0], [0, 3], [3, 3], [3, 0]])
    inside, outside = (np.column_stack([np.full(4, z), square]) for z in (1, 5))
    shapes = snapshot(Shapes([inside, outside], shape_type="polygon"))
    notes: list[str] = []
    drawn = shapes_as_labels(shapes, image, notes)
    assert np.unique(np.asarray(drawn.data)[1]).tolist() == [0, 1]
    assert "Shapes outside the image were left out: 1." in notes
    huge = replace(image, geometry=plain_geometry((2**20, 2**20)))
    with pytest.raises(UnsupportedLayerError, match="cannot be drawn in an image of"):
        shapes_as_labels(shapes, huge, notes)


def test_one_type_for_all_shapes() -> None:
    snap = snapshot((([np.eye(2), np.eye(2)]), {"shape_type": "line"}, "shapes"))
    assert snap.shape_types == ["line", "line"]
