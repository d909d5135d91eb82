"""Files that others wrote: read rightly, or refused with a sentence that names them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image
from napari.layers._source import layer_source
from PIL import Image as Picture

from exchange.exchange_helpers import parameter
from napari_tool_runner.errors import (
    ExchangeError,
    OutputError,
    ToolRunnerError,
    UnsupportedLayerError,
)
from napari_tool_runner.exchange import export, plan, same_data, snapshot, with_known_axes
from napari_tool_runner.exchange.carriers import read_file, write_geometry, write_pixels
from napari_tool_runner.exchange.files import place_file
from napari_tool_runner.exchange.geometry import plain_geometry
from napari_tool_runner.exchange.model import Content, Pixels, ShapeList, SurfaceData
from napari_tool_runner.tools.file_types import content_type, file_type
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format

SQUARE = [[0, 0], [0, 2], [2, 2], [0, 0]]


def read(path: Path, fmt: str) -> Content:
    known = FORMATS.get(fmt)
    assert known is not None, fmt
    return read_file(path, known, name=path.stem)


def written(path: Path, content: str | bytes | object) -> Path:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# -- GeoJSON -------------------------------------------------------------------------


def feature(geometry: object, properties: object = None) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.mark.parametrize(
    "document",
    [
        feature(5),
        feature([1, 2]),
        feature({"type": "Point", "coordinates": [1, 2]}, [1]),
        feature({"type": "Point", "coordinates": [1, 2]}, {"napari": {"vertices": [1, 2]}}),
        feature({"type": "Point", "coordinates": [1, 2]}, {"napari": {"vertices": [[[1, 2]]]}}),
        feature({"type": "Point", "coordinates": [1]}),
        feature({"type": "Point", "coordinates": "ab"}),
        feature({"type": "Point", "coordinates": []}),
        feature({"type": "LineString", "coordinates": [[[1, 2]], [[3, 4]]]}),
        feature({"type": "LineString", "coordinates": [[1, 2], [3]]}),
        feature({"type": "Polygon", "coordinates": []}),
        feature({"type": "Polygon"}),
        feature({"type": "MultiPoint", "coordinates": 3}),
        feature({"type": "Point", "coordinates": [1, 2], "plane": {"z": "x"}}),
        feature({"type": "Point", "coordinates": [1, 2], "plane": 5}),
        feature({"type": "GeometryCollection", "geometries": 5}),
        {"type": "FeatureCollection", "features": 5},
        {"type": "FeatureCollection", "features": [5]},
        5,
    ],
    ids=lambda document: json.dumps(document)[:80],
)
def test_damaged_geojson_is_refused(tmp_path: Path, document: object) -> None:
    path = written(tmp_path / "shapes.geojson", document)
    with pytest.raises(OutputError, match=r"shapes\.geojson"):
        read(path, "geojson")


def test_collections_in_collections_have_an_end(tmp_path: Path) -> None:
    def nested(depth: int) -> Path:
        begin = '{"type": "GeometryCollection", "geometries": [' * depth
        text = begin + '{"type": "Point", "coordinates": [1, 2]}' + "]}" * depth
        return written(tmp_path / "deep.geojson", text)

    content = read(nested(10), "geojson")
    assert isinstance(content.data, ShapeList)
    assert content.data.types == ("point",)
    with pytest.raises(OutputError, match=r"deep\.geojson"):
        read(nested(50_000), "geojson")


def test_odd_geojson_is_read(tmp_path: Path) -> None:
    point, line = {"type": "Point", "coordinates": [3, 4]}, [[0, 0], [5, 6]]
    document = [
        feature(None, {"size": 9}),
        feature({"type": "GeometryCollection", "geometries": [point]}, {"size": 1}),
        {"type": "LineString", "coordinates": line},
        feature({"type": "Circle", "coordinates": [0, 0]}, {"size": 2}),
        feature({"type": "Point", "coordinates": [1, 2, 7]}, {"size": 3}),
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE, SQUARE]]},
    ]
    content = read(written(tmp_path / "a.geojson", document), "geojson")
    assert isinstance(content.data, ShapeList)
    assert content.data.types == ("point", "path", "point", "polygon", "polygon")
    first, path, flat, square, _ = content.data.vertices
    assert (first.tolist(), path.tolist()) == ([[4, 3]], [[0, 0], [6, 5]])
    assert flat.tolist() == [[2, 1]]  # the third coordinate was left out, not the first
    assert square.tolist() == [[0, 0], [2, 0], [2, 2]]
    assert list(content.data.features["size"][:3]) == [1, None, 3]
    told = " ".join(content.notes)
    assert "type Circle were left out" in told
    assert "Holes of polygons" in told
    assert "Only the x and y" in told


# -- Zarr ----------------------------------------------------------------------------

GOOD_ZARR = {
    "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
    "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [2, 3]}]}],
}


def store(path: Path, **metadata: object) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=np.arange(12, dtype="uint8").reshape(3, 4))
    group.attrs.update(metadata)
    return path


@pytest.mark.parametrize(
    "metadata",
    [
        {"multiscales": [5]},
        {"multiscales": "many"},
        {"multiscales": {"datasets": []}},
        {"multiscales": [{"datasets": []}]},
        {"multiscales": [{"datasets": [{"path": "9"}]}]},
        {"multiscales": [{"datasets": ["0"]}]},
        {"multiscales": [{"datasets": 5}]},
        {"multiscales": [GOOD_ZARR | {"axes": 5}]},
        {"multiscales": [GOOD_ZARR | {"coordinateTransformations": ["scale"]}]},
        {"multiscales": [GOOD_ZARR | {"coordinateTransformations": 5}]},
        {
            "multiscales": [
                GOOD_ZARR | {"coordinateTransformations": [{"type": "scale", "scale": ["a", 1]}]}
            ]
        },
        {"multiscales": [GOOD_ZARR], "omero": [5]},
        {"multiscales": [GOOD_ZARR], "omero": {"channels": ["red"]}},
    ],
    ids=lambda metadata: json.dumps(metadata)[:90],
)
def test_zarr_with_odd_metadata_is_refused(tmp_path: Path, metadata: dict[str, object]) -> None:
    with pytest.raises(OutputError, match=r"image\.zarr"):
        read(store(tmp_path / "image.zarr", **metadata), "ome_zarr")


def test_zarr_that_says_more_than_is_needed(tmp_path: Path) -> None:
    moved = [
        {"type": "scale", "scale": [10]},  # of another number of axes
        {"type": "identity"},
        {"type": "translation", "translation": [5, 7]},
    ]
    image = GOOD_ZARR | {"coordinateTransformations": moved}
    content = read(store(tmp_path / "a.zarr", multiscales=[image, GOOD_ZARR]), "ome_zarr")
    assert content.geometry is not None
    assert (content.geometry.scale, content.geometry.translate) == ((2, 3), (5, 7))
    assert content.notes == ("It holds several images; the first was opened.",)
    unknown = GOOD_ZARR | {"axes": ["a", "b", "c"]}
    content = read(store(tmp_path / "b.zarr", multiscales=[unknown]), "ome_zarr")
    assert content.geometry is not None
    assert content.geometry.axes == "YX"


def test_zarr_arrays_without_metadata(tmp_path: Path) -> None:
    data = np.arange(24, dtype="uint8").reshape(2, 3, 4)
    zarr.create_array(tmp_path / "a.zarr", data=data, dimension_names=("t", "y", "x"))
    content = read(tmp_path / "a.zarr", "zarr")
    assert content.geometry is not None
    assert (content.geometry.axes, content.geometry.labels) == ("TYX", ("t", "y", "x"))
    np.testing.assert_array_equal(np.asarray(content.pixels), data)
    alone = read(store(tmp_path / "b.zarr"), "zarr")
    assert tuple(alone.pixels.shape) == (3, 4)


def test_the_first_of_several_images_in_a_zarr(tmp_path: Path) -> None:
    outer = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    for name in ("b", "a"):
        group = outer.create_group(name)
        group.create_array("0", data=np.full((3, 4), ord(name), "uint8"))
        group.attrs.update(multiscales=[GOOD_ZARR])
    content = read(tmp_path / "plate.zarr", "ome_zarr")
    assert np.asarray(content.pixels)[0, 0] == ord("a")
    assert content.notes == ("plate.zarr holds 2 images; “a” was opened.",)


# -- pictures, arrays, movies, tables, tracks ----------------------------------------


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [("1", 1, True), ("LA", (9, 100), [9, 100]), ("P", 3, [30, 31, 32])],
)
def test_pictures_of_every_kind(
    tmp_path: Path, mode: str, pixel: object, expected: object
) -> None:
    picture = Picture.new(mode, (4, 3), 0)
    if mode == "P":
        picture.putpalette([value for n in range(256) for value in (10 * n % 256, 31, 32)])
    picture.putpixel((1, 2), pixel)
    picture.save(tmp_path / "a.png")
    content = read(tmp_path / "a.png", "png")
    assert content.geometry is not None
    # grey and alpha are no colour: two channels
    assert content.geometry.shape == ((3, 4, 2) if mode == "LA" else (3, 4))
    assert content.geometry.axes == ("YXC" if mode == "LA" else "YX")
    assert np.asarray(content.pixels)[2, 1].tolist() == expected
    assert content.rgb is (mode == "P")


def test_inks_are_channels(tmp_path: Path) -> None:
    Picture.new("CMYK", (4, 3), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    content = read(tmp_path / "a.jpg", "jpg")
    red = np.asarray(content.pixels)
    assert content.geometry is not None
    assert (red.shape, content.geometry.axes, content.rgb) == ((3, 4, 4), "YXC", False)
    assert red[0, 0].tolist() == pytest.approx([0, 255, 255, 0], abs=5)


def test_frames_of_different_colours(tmp_path: Path) -> None:
    frames = [Picture.new("L", (4, 3), 7), Picture.new("RGB", (4, 3), (250, 0, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    content = read(tmp_path / "a.gif", "gif")
    values = np.asarray(content.pixels)
    assert values.shape[:3] == (2, 3, 4)
    assert values[0, 0, 0, :3].tolist() == [7, 7, 7]
    assert values[1, 0, 0, :3].tolist() == [250, 0, 0]


def test_arrays_that_are_no_images(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(["a", "b"]))
    with pytest.raises(OutputError, match=r"a\.npy holds <U1, which is no image"):
        read(tmp_path / "a.npy", "npy")


def test_hdf5_without_an_array(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["names"] = ["a", "b"]
        file["one"] = 5
    with pytest.raises(OutputError, match=r"a\.h5 holds no array"):
        read(tmp_path / "a.h5", "h5")
    with pytest.raises(OutputError, match=r"b\.h5 cannot be read as HDF5"):
        read(written(tmp_path / "b.h5", "none"), "h5")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"\xff\xfe\x00", "is no list of frames"),
        (b"absent.tif\n", "does not exist: absent.tif"),
        (b"\nframe0.tif\n", "names no frame"),
        (b"frame0.tif\nframe1.tif\n", "differ in size or type"),
    ],
)
def test_movies_that_cannot_be_shown(tmp_path: Path, text: bytes, word: str) -> None:
    for number in range(2):
        tifffile.imwrite(tmp_path / f"frame{number}.tif", np.zeros((3, 4 + number), "uint8"))
    with pytest.raises(OutputError, match=word):
        read(written(tmp_path / "movie.txt", text), "movietxt")


def test_tables_of_others(tmp_path: Path) -> None:
    empty = read(written(tmp_path / "a.csv", " \n"), "csv")
    assert (empty.data, empty.notes) == ({}, ("The table is empty.",))
    latin = read(written(tmp_path / "b.csv", "name,n\né,1\n".encode("latin-1")), "csv")
    assert latin.table["name"].tolist() == ["é"]
    wide = read(written(tmp_path / "c.csv", "name,n\né,1\n".encode("utf-16")), "csv")
    assert wide.table["name"].tolist() == ["é"]
    with pytest.raises(OutputError, match="numbers only"):
        read(written(tmp_path / "d.csv", "1,two\n"), "numbercsv")


def test_trackmate_with_a_link_to_nothing(tmp_path: Path) -> None:
    spot = '<Spot ID="1" FRAME="0" POSITION_X="1" POSITION_Y="2" POSITION_Z="3"/>'
    text = (
        f"<TrackMate><Model><AllSpots><SpotsInFrame>{spot}</SpotsInFrame></AllSpots><AllTracks>"
        '<Track><Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="2"/></Track></AllTracks></Model>'
        "</TrackMate>"
    )
    with pytest.raises(OutputError, match=r"a\.xml is damaged: .*2"):
        read(written(tmp_path / "a.xml", text), "trackmatemodel")
    with pytest.raises(OutputError, match=r"b\.xml is no TrackMate file"):
        read(written(tmp_path / "b.xml", "<TrackMate"), "trackmatemodel")


# -- TIFF ----------------------------------------------------------------------------


def test_resolution_in_centimetres(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = np.zeros((3, 4), "uint8")
    tifffile.imwrite(path, data, resolution=(20000, 10000), resolutionunit="CENTIMETER")
    geometry = read(path, "tiff").geometry
    assert geometry is not None
    assert geometry.scale == pytest.approx((1, 0.5))
    assert set(geometry.units) == {"micrometer"}


@pytest.mark.parametrize(
    ("unit", "count", "size"),
    [("MILLIMETER", 5000, 0.2), ("MICROMETER", 5, 0.2), ("INCH", 127000, 0.2), ("INCH", 72, None),
     ("INCH", 300, None), ("INCH", 2400, None), ("CENTIMETER", 300 / 2.54, None)],
)  # fmt: skip
@pytest.mark.parametrize("imagej", [True, False])
def test_resolution_is_a_size_unless_it_is_that_of_a_print(
    tmp_path: Path, unit: str, count: float, size: float | None, *, imagej: bool
) -> None:
    path, data = tmp_path / "a.tif", np.zeros((3, 4), "uint8")
    told = {"axes": "YX"} if imagej else None
    tifffile.imwrite(
        path, data, imagej=imagej, resolution=(count, count), resolutionunit=unit, metadata=told
    )
    content = read(path, "tiff")
    assert content.geometry is not None
    assert content.geometry.scale == pytest.approx((size or 1,) * 2)
    assert set(content.geometry.units) == {"micrometer" if size else "pixel"}
    assert bool(content.notes) == (size is None and count != 72)


def test_each_axis_has_its_unit_in_imagej(tmp_path: Path) -> None:
    told = {"axes": "ZYX", "spacing": 1000.0, "unit": "um", "yunit": "mm", "zunit": "nm"}
    data = np.zeros((2, 3, 4), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(5, 5000), metadata=told)
    geometry = read(tmp_path / "a.tif", "tiff").geometry
    assert geometry is not None
    assert geometry.scale == pytest.approx((1000, 0.0002, 0.2))
    assert geometry.units == ("nanometer", "millimeter", "micrometer")


@pytest.mark.parametrize("unit", [{"unit": "pixel"}, {}])
def test_a_spacing_without_a_unit_is_how_many_pixels_deep(
    tmp_path: Path, unit: dict[str, str]
) -> None:
    told = {"axes": "ZYX", "spacing": 5.0, **unit}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 3, 4), "uint8"), imagej=True, metadata=told)
    content = read(tmp_path / "a.tif", "tiff")
    assert content.geometry is not None
    assert content.geometry.scale == (5, 1, 1)
    assert set(content.geometry.units) == {"pixel"}
    assert any("5 pixel widths" in note for note in content.notes)


def test_proportions_are_read_where_no_size_is(tmp_path: Path) -> None:
    stack, told = np.zeros((2, 3, 4), "uint8"), {"axes": "ZYX", "spacing": 5.0}
    imwrite = tifffile.imwrite
    imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(1, 2), metadata=told)
    imwrite(tmp_path / "fax.tif", stack[0], resolution=(204, 102), resolutionunit="INCH")
    content, fax = read(tmp_path / "a.tif", "tiff"), read(tmp_path / "fax.tif", "tiff")
    assert content.geometry is not None
    assert fax.geometry is not None
    assert (content.geometry.scale, fax.geometry.scale) == ((5, 0.5, 1), (2, 1))
    (note,) = content.notes
    assert "0.5 pixel widths along Y and 5 pixel widths along Z" in note
    assert "204 dots an inch" in fax.notes[1]


@pytest.mark.parametrize(
    ("sizes", "lacks", "steps"),
    [
        ({"X": (0.2, "µm")}, "along Y", [1, 0.2, 0.2]),
        ({"X": (-0.25, "µm"), "Y": (0.5, "µm")}, "along X", [1, 0.5, 0.5]),
        ({"X": (np.nan, "µm"), "Y": (0.5, "µm")}, "along X", [1, 0.5, 0.5]),
        ({"X": (0.25, "pixel"), "Y": (0.5, "µm")}, "along X", [1, 0.5, 0.5]),
        ({"X": (0.25, "µm"), "Y": (0.5, "pixel"), "Z": (2, "µm")}, "along Y", [2, 0.25, 0.25]),
        ({"X": (2, "pixel"), "Y": (1, "pixel"), "Z": (3, "µm")}, "along X and Y", [1, 1, 1]),
        ({"X": (2, "pixel"), "Y": (1, "pixel"), "Z": (3, "pixel")}, "", [3, 1, 2]),
    ],
)
def test_sizes_that_ome_tells_of_some_axes_only(tmp_path: Path, sizes, lacks, steps) -> None:
    path, data = tmp_path / "a.ome.tif", np.zeros((2, 6, 5), "u1")
    told = {f"PhysicalSize{axis}": size for axis, (size, _) in sizes.items()}
    told |= {f"PhysicalSize{axis}Unit": unit for axis, (_, unit) in sizes.items()}
    tifffile.imwrite(path, data, metadata={"axes": "ZYX", **told})
    content = read(path, "tiff")
    assert content.geometry is not None
    assert content.geometry.scale == tuple(steps)
    assert [lacks in note for note in content.notes] == [True] * bool(lacks)
    # the tool is told the same
    done = export(snapshot(path), parameter("imagetiff"), tmp_path / "in")
    assert read(done.file.path, "tiff").geometry == content.geometry
    assert any(lacks in note for note in done.notes)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("cf=0\nc0=-32768\nc1=1\nvunit=Gray Value\n", "as “Gray Value” (-32768 + 1 × value)"),
        ("cf=0\nc0=5\nc1=0.5\n", "(5 + 0.5 × value)"),
        ("cf=21\nvunit=Uncalibrated OD\n", "as “Uncalibrated OD” (along a curve)"),
        ("cf=0\nc0=0\nc1=1\nvunit=Gray Value\n", ""),
        ("cf=20\n", ""),
        ("", ""),
    ],
)
def test_values_that_imagej_calibrates_are_told(tmp_path: Path, words: str, said: str) -> None:
    path, data = tmp_path / "a.tif", np.full((3, 4), 32766, "uint16")
    tifffile.imwrite(path, data, description=f"ImageJ=1.54f\n{words}", metadata=None)
    content = read(path, "tiff")
    np.testing.assert_array_equal(content.pixels, data)
    told = [note for note in content.notes if "calibrated" in note]
    assert [said in note for note in told] == [True] * bool(said)
    with layer_source(path=str(path), reader_plugin="napari"):
        bare = Image(data)
        named = Image(data, axis_labels=("y", "x"), scale=(0.5, 0.5), units=("um", "um"))
        other = Image(data.astype("float32") - 32768)
    for layer in (bare, named):
        remarks = with_known_axes(snapshot(layer)).remarks
        assert [said in note for note in remarks if "calibrated" in note] == [True] * bool(said)
    assert not any("calibrated" in note for note in with_known_axes(snapshot(other)).remarks)


def test_channels_that_imagej_names(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    data = np.zeros((2, 3, 4), "uint8")
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": "CYX", "Labels": ["red", "green"]})
    assert read(path, "tiff").attributes["channel_names"] == ("red", "green")


def test_a_colour_table_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    colours = np.zeros((3, 256), "uint16")
    tifffile.imwrite(path, np.full((3, 4), 7, "uint8"), photometric="palette", colormap=colours)
    content = read(path, "tiff")
    assert np.asarray(content.pixels)[0, 0] == 7
    assert any("colour table" in note for note in content.notes)


def test_damaged_ome_metadata_do_not_hide_the_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    for text in ("<OME xmlns='http://www.openmicroscopy.org'><Image", "<OME><Nothing/></OME>"):
        tifffile.imwrite(path, np.full((3, 4), 7, "uint8"), description=text, metadata=None)
        assert np.asarray(read(path, "ome.tiff").pixels).tolist() == [[7] * 4] * 3


# -- anything at all ------------------------------------------------------------------

STRANGE = {
    "empty": b"",
    "zeros": bytes(200),
    "deep": b"[" * 100_000,
    "deep-object": b'{"a":' * 100_000,
    "deep-xml": b"<a>" * 100_000,
    "list": b"[1]",
    "null": b"null",
    "text": b"no such thing",
    "half-utf16": b"\xff\xfea",
    "tiff": b"II*\0\x08\0\0\0\x01",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x10\x02",
    "gif": b"GIF89a\1\0",
    "npy": b"\x93NUMPY\1\0\x76\0{'descr': [('a', '<f4')]",
    "hdf5": b"\x89HDF\r\n\x1a\n\0\0",
    "ply": b"ply\nformat ascii 1.0\nelement vertex -1\n",
    "glb": b"glTF\2\0\0\0\xff\xff\xff\xff",
}
OF_EVERY_FAMILY = {
    (entry.carrier, entry.extension): entry for entry in FORMATS.values() if entry.readable
}


@pytest.mark.parametrize("fmt", OF_EVERY_FAMILY.values(), ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE.keys())
def test_whatever_is_in_a_file_is_read_or_refused(
    tmp_path: Path, fmt: Format, content: bytes
) -> None:
    """As a file, as the metadata of a folder; as a result, and as what a tool cannot take."""
    file, folder = tmp_path / f"a{fmt.extension}", tmp_path / f"b{fmt.extension}"
    folder.mkdir()
    for place in (file, *(folder / name for name in ("zarr.json", ".zattrs", ".zgroup"))):
        place.write_bytes(content)
    for path in (file, folder):
        with suppress(OutputError):
            assert read_file(path, fmt, name="a").data is not None
        with suppress(ToolRunnerError):
            plan(
                snapshot(path),
                parameter("imagetiff" if fmt.carrier is not Carrier.TIFF else "csv"),
            )
        assert file_type(path)


def test_a_damaged_chunk_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=np.eye(4), chunks=(2, 2), zarr_format=2)
    (path / "1.1").write_bytes(b"junk")
    with pytest.raises(ExchangeError, match="The pixels cannot be read: "):
        export(snapshot(path), parameter("imagetiff"), tmp_path / "inputs")
    assert not list((tmp_path / "inputs").iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are of Unix")
@pytest.mark.parametrize("place", ["a.npy", "a.zarr/zarr.json", "a.zarr/0/c/0"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, place: str) -> None:
    pipe = tmp_path / place
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    path = tmp_path / place.partition("/")[0]
    refused = f"{pipe.name} is neither a file nor a folder"
    with pytest.raises(OutputError, match=refused):
        read(path, path.suffix)
    with pytest.raises(UnsupportedLayerError, match=refused):
        plan(snapshot(path), parameter("imagetiff"))
    with pytest.raises(ExchangeError, match=refused):
        place_file(path, tmp_path / "copy")
    assert file_type(path) in ("npy", "zarr", "ome_zarr")
    assert file_type(pipe)


# -- a format that a configuration gave another extension ------------------------------


def test_a_mesh_is_what_its_format_says(tmp_path: Path) -> None:
    vertices, faces = np.eye(3), np.array([[0, 1, 2]])
    snap = snapshot(((vertices, faces), {}, "surface"))
    for name, begin in (("ply", b"ply"), ("plyascii", b"ply"), ("off", b"OFF"), ("obj", b"v ")):
        fmt, path = replace(FORMATS[name], extension=".surf"), tmp_path / "a.surf"
        write_geometry(snap, fmt, path)
        assert path.read_bytes().startswith(begin)
        data = read_file(path, fmt, name="a").data
        assert isinstance(data, SurfaceData)
        np.testing.assert_array_equal(data.vertices, vertices)


@pytest.mark.parametrize("name", ["png", "jpg", "bmp", "gif"])
def test_a_picture_is_what_its_format_says(tmp_path: Path, name: str) -> None:
    fmt, path = replace(FORMATS[name], extension=".pic"), tmp_path / "a.pic"
    values = np.full((4, 5), 7, np.uint8)
    write_pixels(Pixels(values, plain_geometry(values.shape), "a"), fmt, path)
    assert content_type(path) == (name, "JPEG" if name == "jpg" else name.upper())
    assert read_file(path, fmt, name="a").pixels.shape[:2] == (4, 5)


# -- the same again ------------------------------------------------------------------


def test_what_differs_between_two_files(tmp_path: Path) -> None:
    def pair(suffix: str, one: str | bytes, other: str | bytes) -> tuple[Path, Path]:
        return written(tmp_path / f"1{suffix}", one), written(tmp_path / f"2{suffix}", other)

    assert same_data(*pair(".csv", "a,b\n1,2\n", "a,b\n1,2.0\n"), "csv") == ""
    assert same_data(*pair(".csv", "a,b\n1,2\n", "a,c\n1,2\n"), "csv") == (
        "the columns were a, b and are a, c"
    )
    assert same_data(*pair(".csv", "a\n1\n", "a\n1\n2\n"), "csv") == "it had 1 row, now 2"
    assert same_data(*pair(".csv", "a\n1\n", "a\n2\n"), "csv") == (
        "the column “a” has other values"
    )
    assert same_data(*pair(".xyz", "a", "b"), "xyz").startswith("the bytes differ, and")
    one, other = feature({"type": "Point", "coordinates": [1, 2]}), feature(None)
    assert same_data(*pair(".geojson", json.dumps(one), json.dumps(other)), "geojson") == (
        "the bytes differ"
    )
    arrays = [np.zeros((3, 4), "f4"), np.zeros((3, 4), "f4"), np.zeros((4, 4), "f4")]
    arrays[0][0, 0] = arrays[1][0, 0] = np.nan
    arrays[1][1, 1:3] = 5
    arrays += [arrays[0].astype("f8"), arrays[0].copy()]
    paths = [tmp_path / f"{n}.npy" for n in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    assert [same_data(paths[0], path, "npy") for path in paths[1:]] == [
        "2 of 12 pixels differ",
        "the shape was (3, 4) and is (4, 4)",
        "the type was float32 and is float64",
        "",
    ]
