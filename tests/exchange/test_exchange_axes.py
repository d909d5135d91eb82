"""Axes in any order: into files, and results back onto the layer."""

from __future__ import annotations

import itertools
from dataclasses import replace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile
from exchange_helpers import collected, make_tool, parameter
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from napari.plugins import _initialize_plugins

from napari_tool_runner.errors import ParameterError, UnsupportedLayerError
from napari_tool_runner.exchange import (
    export,
    guess_notes,
    learned,
    load,
    open_snapshot,
    read_axes,
    snapshot,
    with_known_axes,
)
from napari_tool_runner.exchange.geometry import data_to_world, for_file, plain_geometry
from napari_tool_runner.tools.model import DataOutput, LayerKind

SIZES = {"t": 2, "c": 3, "z": 4, "y": 6, "x": 7}
TIFF = parameter("imagetiff")
IMAGE = DataOutput(name="o", kind=LayerKind.IMAGE)


def named(labels: str, **more: object) -> Image:
    shape = tuple(SIZES[label] for label in labels)
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    scale = tuple(float("tczyx".index(label) + 1) for label in labels)
    return Image(data, axis_labels=tuple(labels), scale=scale, **more)


def read(path) -> tuple[np.ndarray, str]:
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        return series.asarray(), series.axes


@pytest.mark.parametrize("labels", ["".join(p) for p in itertools.permutations("tyx")])
@pytest.mark.parametrize("lazy", [False, True])
def test_rows_and_columns_are_last_in_a_file_and_back(tmp_path, labels: str, lazy: bool) -> None:
    layer = named(labels)
    if lazy:
        layer.data = da.from_array(layer.data, chunks=2)
    snap = snapshot(layer)
    written = export(snap, TIFF, tmp_path / "in")
    values, axes = read(written.file.path)
    assert axes == "TYX"
    order = [labels.index(axis) for axis in "tyx"]
    np.testing.assert_array_equal(values, np.asarray(layer.data).transpose(order))
    assert written.file.metadata["axes"] == "TYX"
    loaded = load(
        collected(written.file.path, "imagetiff"), IMAGE, make_tool(), inputs={"input": snap}
    )
    np.testing.assert_array_equal(loaded.data, layer.data)
    assert loaded.attributes["axis_labels"] == tuple(labels)
    assert loaded.attributes["scale"] == tuple(layer.scale)


@pytest.mark.parametrize(
    ("labels", "axes"),
    [
        ("tzcyx", "TZCYX"),  # a file may have these in any order
        ("yxtzc", "TCZYX"),
        ("xyzt", "TZYX"),
        ("zx", "YX"),  # a plane is a plane
        ("tz", "TYX"),
        ("tc", "TCYX"),
    ],
)
def test_any_axes_have_a_place_in_a_file(tmp_path, labels: str, axes: str) -> None:
    layer = named(labels)
    snap = snapshot(layer)
    written = export(snap, TIFF, tmp_path)
    assert read(written.file.path)[1] == axes
    loaded = load(
        collected(written.file.path, "imagetiff"), IMAGE, make_tool(), inputs={"i": snap}
    )
    np.testing.assert_array_equal(loaded.data, layer.data)
    assert loaded.attributes["axis_labels"] == tuple(labels)
    assert loaded.attributes["scale"] == tuple(layer.scale)


def test_a_cube_is_told_by_its_letters(tmp_path) -> None:
    data = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    snap = snapshot(Image(data, axis_labels=("x", "y", "z")))
    written = export(snap, TIFF, tmp_path)
    path = collected(written.file.path, "imagetiff")
    loaded = load(path, IMAGE, make_tool(), inputs={"i": snap})
    np.testing.assert_array_equal(loaded.data, data)


def test_a_projection_and_a_new_axis_lie_on_the_layer(tmp_path) -> None:
    layer = named("yxz")
    values = layer.data.transpose(2, 0, 1)
    for axes, result, there in (
        ("YX", values.max(axis=0), ("y", "x")),
        ("ZCYX", np.stack([values] * 2, 1), ("c", "y", "x", "z")),
    ):
        path = tmp_path / f"{axes}.tif"
        tifffile.imwrite(path, result, ome=True, metadata={"axes": axes})
        loaded = load(
            collected(path, "imagetiff"), IMAGE, make_tool(), inputs={"i": snapshot(layer)}
        )
        assert loaded.attributes["axis_labels"] == there
        wanted = layer.data.max(axis=2) if axes == "YX" else np.stack([layer.data] * 2)
        np.testing.assert_array_equal(loaded.data, wanted)


def test_colours_stay_last(tmp_path) -> None:
    data = np.random.default_rng(0).integers(0, 99, (5, 8, 9, 3), dtype=np.uint8)
    snap = snapshot(Image(data, axis_labels=("x", "y", "z"), rgb=True))
    written = export(snap, TIFF, tmp_path)
    assert read(written.file.path)[0].shape == (9, 8, 5, 3)
    loaded = load(
        collected(written.file.path, "imagetiff"), IMAGE, make_tool(), inputs={"i": snap}
    )
    np.testing.assert_array_equal(loaded.data, data)
    assert loaded.attributes["rgb"]


def test_points_and_shapes_go_and_come_as_their_image(tmp_path) -> None:
    image = snapshot(named("xyz"))
    places = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])
    points = snapshot(Points(places, scale=tuple(image.geometry.scale)))
    written = export(points, parameter("tablecsv"), tmp_path, reference=image)
    table = pd.read_csv(written.file.path)
    assert table["axis-0"].tolist() == [3, 0], "of the file: z, y, x"
    output = DataOutput(name="o", kind=LayerKind.POINTS)
    inputs = {"image": image, "points": points}
    loaded = load(collected(written.file.path, "tablecsv"), output, make_tool(), inputs=inputs)
    np.testing.assert_array_equal(loaded.data, places)
    assert loaded.attributes["scale"] == tuple(image.geometry.scale)

    outline = np.array([[1.0, 2.0, 3.0], [4.0, 2.0, 3.0], [4.0, 5.0, 3.0]])
    shapes = snapshot(Shapes([outline], shape_type="polygon", scale=tuple(image.geometry.scale)))
    written = export(
        shapes, parameter("tablecsv", kinds=(LayerKind.SHAPES,)), tmp_path / "s", reference=image
    )
    assert pd.read_csv(written.file.path)["axis-0"].tolist() == [3, 3, 3]


def test_six_axes_and_none(tmp_path) -> None:
    data = np.zeros((2, 2, 2, 3, 8, 9), np.uint8)
    snap = snapshot(data, "six")
    written = export(snap, TIFF, tmp_path)
    assert any("no room for the axes ?, T, C, Z, Y, X" in note for note in written.notes)
    loaded = load(
        collected(written.file.path, "imagetiff"), IMAGE, make_tool(), inputs={"i": snap}
    )
    assert loaded.data.shape == data.shape
    with pytest.raises(UnsupportedLayerError, match=r"“empty” has no pixels: its size is 0 × 9"):
        export(snapshot(np.zeros((0, 9), np.uint8), "empty"), TIFF, tmp_path / "empty")


@pytest.mark.parametrize("axes", ["XYZ", "YXQ", "ZX", "TZ", "TC", "X", "CYX"])
def test_the_place_of_what_is_in_a_file(axes: str) -> None:
    shape = tuple(range(2, 2 + len(axes)))
    own = plain_geometry(shape, axes, [(i + 2.0, "pixel") for i in range(len(axes))])
    told, order = for_file(own)
    assert told.axes.endswith("YX")
    index = np.array([*range(1, 1 + len(axes)), 1.0])
    there = np.array([index[i] if i >= 0 else 0.0 for i in order] + [1.0])
    world = data_to_world(own) @ index
    moved = data_to_world(told) @ there
    assert [moved[k] for k, i in enumerate(order) if i >= 0] == [world[i] for i in order if i >= 0]


# -- known, told, guessed ----------------------------------------------------------------------


def hyperstack(path, axes: str = "TZCYX", **more: object) -> np.ndarray:
    shape = tuple(SIZES[axis.lower()] for axis in axes)
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(path, data, metadata={"axes": axes}, **more)
    return data


@pytest.mark.parametrize(
    ("axes", "how"),
    [("TZCYX", "imagej"), ("ZCYX", "imagej"), ("CYX", "imagej"), ("TCYX", "ome"), ("CZYX", "ome")],
)
def test_the_file_behind_a_layer_tells_its_axes(tmp_path, axes: str, how: str) -> None:
    path = tmp_path / "a.tif"
    hyperstack(path, axes, **{how: True})
    _initialize_plugins()
    viewer = ViewerModel()
    (layer,) = viewer.open(str(path), plugin="napari")
    snap = with_known_axes(snapshot(layer))
    assert snap.geometry.axes == axes
    written = export(snap, TIFF, tmp_path / "in")
    assert read(written.file.path)[1] == axes
    assert not guess_notes([("a", snap.geometry)])
    if "C" in axes[1:]:
        several = viewer.open(str(path), plugin="napari", channel_axis=axes.index("C"))
        assert with_known_axes(snapshot(several[0])).geometry.axes == axes.replace("C", "")


def test_a_file_of_another_shape_or_without_names_tells_nothing(tmp_path) -> None:
    path = tmp_path / "a.tif"
    data = hyperstack(path, imagej=True)
    snap = replace(snapshot(data[0], "x"), source=str(path))
    known = with_known_axes(snap)
    assert known.geometry == snap.geometry
    assert "the tool is given the layer" in known.remarks[0]
    plain = tmp_path / "b.tif"
    tifffile.imwrite(plain, data[0, 0], photometric="minisblack")
    snap = replace(snapshot(data[0, 0], "x"), source=str(plain))
    assert with_known_axes(snap) == snap
    assert with_known_axes(snap, "TYX").geometry.axes == "TYX", "what the tool takes them for"
    for gone in ("nowhere/c.tif", "https://example.org/c.tif", "array", "cells3d", "\0"):
        assert with_known_axes(replace(snap, source=gone)) == replace(snap, source=gone)


def test_names_of_the_layer_count_more_than_its_file(tmp_path) -> None:
    path = tmp_path / "a.tif"
    data = hyperstack(path, "CYX", imagej=True)
    snap = replace(snapshot((data, {"axis_labels": "tyx"}, "image")), source=str(path))
    assert with_known_axes(snap).geometry.axes == "TYX"


@pytest.mark.parametrize(
    ("shape", "attributes", "guessed"),
    [
        ((5, 6), {}, False),  # rows and columns
        ((1, 5, 6), {}, False),
        ((4, 5, 6), {}, True),
        ((4, 5, 6), {"axis_labels": "zyx"}, False),
        ((4, 5, 6), {"axis_labels": ("angle", "y", "x")}, True),
        ((4, 5, 6), {"units": ("um", "um", "um")}, False),
        ((4, 5, 6), {"units": ("s", "um", "um")}, False),
        ((4, 5, 6), {"units": ("pixel", "um", "um")}, True),
        ((4, 5, 3), {"rgb": True}, False),
    ],
)
def test_what_is_a_guess(shape, attributes, guessed: bool) -> None:
    snap = snapshot((np.zeros(shape, np.uint8), attributes, "image"))
    assert bool(guess_notes([("a", snap.geometry)])) is guessed


def test_guesses_are_told_together() -> None:
    one, other = snapshot(np.zeros((2, 3, 4))).geometry, snapshot(np.zeros((2, 2, 3, 4))).geometry
    notes = guess_notes([("a", one), ("b", one), ("c", one), ("d", other), ("e", None)])
    assert [note.split(";")[0] for note in notes] == [
        "The axes of “a”, “b” and 1 more are not known",
        "The axes of “d” are not known",
    ]


def test_a_file_that_names_no_axes_is_a_guess_too(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5, 6), np.uint8), photometric="minisblack")
    for formats in ("imagetiff", "npy"):
        written = export(snapshot(path), parameter(formats), tmp_path / formats)
        assert any("“a.tif” are not known" in note for note in written.notes)
        if formats == "imagetiff":
            assert read(written.file.path)[1] == "ZYX", "the tool gets what the note says"


@pytest.mark.parametrize("labels", ["TZYX", ("t", "z", "y", "x"), ("Time", "depth", "row", "col")])
def test_axes_of_a_file_can_be_told(tmp_path, labels) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2, 4, 5, 6), np.uint8), photometric="minisblack")
    told = open_snapshot(snapshot((path, {"axis_labels": labels})))
    assert told.geometry.axes == "TZYX"
    assert not guess_notes([("a", told.geometry)])
    with pytest.raises(
        ParameterError, match=r"does not name 4 axes. Write 4 letters of T C Z Y X"
    ):
        open_snapshot(snapshot((path, {"axis_labels": "TYX"})))


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("tzcyx", "tzcyx"), ("T · Z · Y", "tzy"), ("time, row/col", "tyx"), ("?yx", "?yx"),
        ("Q Y X", "?yx"), ("tzz", ""), ("ab", ""), ("", ""), ("x y w", ""),
    ],
)  # fmt: skip
def test_axes_as_people_write_them(text: str, axes: str) -> None:
    if axes:
        assert "".join(read_axes(text, len(axes))) == axes
    else:
        with pytest.raises(ParameterError, match="does not name"):
            read_axes(text, len(text.split()) or 1)


def test_a_guess_learns_from_an_input_of_its_shape() -> None:
    movie = snapshot((np.zeros((3, 4, 5)), {"name": "movie", "axis_labels": "tyx"}))
    colours = snapshot((np.zeros((2, 3, 4, 5)), {"name": "two", "axis_labels": "ctyx"}))
    stack = snapshot((np.zeros((3, 4, 5)), {"name": "stack", "axis_labels": "zyx"}))
    mask = snapshot((np.zeros((3, 4, 5), int), {"name": "mask"}, "labels"))
    for other in (movie, colours):
        found = learned(mask, [mask, other])
        assert (found.geometry.axes, found.geometry.labels) == ("TYX", ("t", "y", "x"))
        told = f"The axes of “mask” were taken to be those of “{other.name}”: T, Y, X."
        assert found.remarks == (told,)
        assert not guess_notes([("mask", found.geometry)])
    assert learned(mask, [movie, stack]) == mask, "inputs that differ teach nothing"
    assert learned(stack, [movie]) == stack, "a name counts more"


@pytest.mark.parametrize("fmt", ["npy", "hdf5"])
def test_files_without_names_that_go_as_they_are_are_told(tmp_path, fmt: str) -> None:
    path = tmp_path / f"a.{fmt}"
    export(snapshot(np.zeros((3, 4, 5)), "a"), parameter(fmt), tmp_path / "w")
    (made,) = (tmp_path / "w").iterdir()
    made.rename(path)
    if fmt == "hdf5":
        with pytest.importorskip("h5py").File(path, "a") as file:
            del file["data"].attrs["axes"]
    for axes, words in (("", "Z, Y, X"), ("TYX", "T, Y, X")):
        taken = parameter(fmt, kinds=(LayerKind.IMAGE,), axes=axes)
        written = export(snapshot(path), taken, tmp_path / f"in{axes}")
        assert not written.copied
        (note,) = [note for note in written.notes if "not known" in note]
        assert f"{path.name}” are not known; they were taken for {words}" in note


def test_a_name_that_means_nothing_is_told() -> None:
    layer = Image(np.zeros((3, 4, 5)), axis_labels=("wavelength", "y", "x"), name="a")
    (note,) = guess_notes([("a", snapshot(layer).geometry)])
    assert note.startswith("The axes of “a” are not known (nobody knows what “wavelength” is)")


def test_a_name_that_two_axes_have_is_told() -> None:
    layer = Image(np.zeros((2, 2, 3, 8, 8)), axis_labels=("x", "x", "z", "y", "x"))
    (note,) = guess_notes([("cells", snapshot(layer).geometry)])
    assert "several are called X" in note
