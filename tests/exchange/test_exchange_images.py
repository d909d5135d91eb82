"""Images and labels: layer -> TIFF -> layer, nothing lost."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import tifffile
from exchange_helpers import GALAXY, collected, make_tool, parameter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Layer

from napari_tool_runner.errors import LossyConversionError
from napari_tool_runner.exchange import export, features_for, load, snapshot
from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.carriers.tables import read_table, write_table
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(0)
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "float32", "float64"]
SHAPES = {1: (7,), 2: (5, 7), 3: (3, 5, 7), 4: (2, 3, 5, 7), 5: (2, 2, 3, 5, 7)}


def pixels(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = RNG.integers(0, 100, shape)
    return (values > 50) if dtype == "bool" else values.astype(dtype)


@pytest.mark.parametrize("ndim", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", TYPES)
def test_image_comes_back_with_values_type_and_place(round_trip, ndim, dtype):
    data = pixels(SHAPES[ndim], dtype)
    scale = tuple(np.arange(1, ndim + 1) / 4)
    layer = Image(
        data,
        name="cells",
        scale=scale,
        translate=np.arange(ndim),
        units=["s", *["um"] * (ndim - 1)] if ndim > 3 else ["um"] * ndim,
    )
    written, loaded = round_trip(layer)
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(again, Image)
    assert again.data.dtype == data.dtype
    np.testing.assert_array_equal(np.asarray(again.data), data)
    np.testing.assert_allclose(again.scale, layer.scale)
    np.testing.assert_allclose(again.translate, layer.translate)
    assert again.units == layer.units
    assert written.file.format == "imagetiff"


@pytest.mark.parametrize("ndim", [2, 3])
def test_rotation_shear_and_affine_come_back(round_trip, ndim):
    rotate = 30 if ndim == 2 else (10, 20, 30)
    shear = [0.2] if ndim == 2 else [0.1, 0.2, 0.3]
    affine = np.eye(ndim + 1)
    affine[0, -1], affine[0, 1] = 4.0, 0.25
    layer = Image(
        pixels(SHAPES[ndim], "uint8"),
        scale=[2] * ndim,
        rotate=rotate,
        shear=shear,
        affine=affine,
        translate=[1] * ndim,
    )
    _, loaded = round_trip(layer)
    again = Layer.create(*loaded.as_layer_data_tuple())
    for point in np.eye(ndim) * 3:
        np.testing.assert_allclose(again.data_to_world(point), layer.data_to_world(point))


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("bool", "uint8"), ("float16", "float32"), ("int64", "int32"), ("uint64", "uint32")],
)
def test_types_that_ome_lacks_travel_without_loss(round_trip, dtype, stored):
    data = pixels((5, 7), dtype)
    written, loaded = round_trip(data, kind=LayerKind.IMAGE)
    assert loaded.data.dtype == stored
    np.testing.assert_array_equal(np.asarray(loaded.data), data.astype(stored))
    assert any(stored in note or "1/0" in note for note in written.notes)


@pytest.mark.parametrize("layer", [Image, Labels])
@pytest.mark.parametrize("fmt", ["ome.tiff", "png"])
def test_integers_that_do_not_fit_are_refused_and_leave_no_file(tmp_path, layer, fmt):
    with pytest.raises(LossyConversionError, match="1099511627776"):
        export(snapshot(layer(np.full((4, 4), 2**40))), parameter(fmt), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", ["imagetiff", "tiff", "image"])
def test_tiff_takes_any_integer_and_says_its_pixel_sizes(round_trip, fmt):
    data, axes = np.full((2, 4, 4), 2**40), ("z", "y", "x")
    layer = Image(data, scale=(3, 0.5, 0.5), units=("um",) * 3, axis_labels=axes)
    written, loaded = round_trip(layer, fmt)
    assert loaded.data.dtype == np.int64
    np.testing.assert_array_equal(np.asarray(loaded.data), data)
    assert any("plain TIFF" in note and "depth" in note for note in written.notes)
    found = read_file(written.file.path, FORMATS["imagetiff"], name="a").geometry
    assert (found.scale, set(found.units)) == ((3.0, 0.5, 0.5), {"micrometer"})


@settings(max_examples=40, deadline=None)
@given(
    ids=st.sets(st.integers(1, 2**64 - 1), min_size=1, max_size=5),
    fmt=st.sampled_from(["imagetiff", "npy", "imagezarr"]),
)
@example(ids={2**40}, fmt="imagetiff")
@example(ids={7, 4 * 10**9}, fmt="imagetiff")
@example(ids={2**53 + 1, 2**63 + 5}, fmt="imagetiff")
def test_ids_survive_the_way_to_a_tool_and_back_and_its_table(ids, fmt):
    numbers = sorted(ids)
    data = np.zeros((6, 8), np.int64 if numbers[-1] < 2**63 else np.uint64)
    for row, number in enumerate(numbers):
        data[row, 1:4] = number
    layer, output = Labels(data), DataOutput(name="o", format=fmt, kind=LayerKind.LABELS)
    with TemporaryDirectory() as folder:
        file = export(snapshot(layer), parameter(fmt), Path(folder)).file
        loaded = load(collected(file.path, file.format), output, make_tool(), inputs={})
        np.testing.assert_array_equal(np.asarray(loaded.data), data)
        again = Labels(np.asarray(loaded.data))
        write_table({"label": np.array(numbers, data.dtype)}, Path(folder) / "t.csv")
        table = read_table(Path(folder) / "t.csv").table
    for features in (pd.DataFrame(), pd.DataFrame({"index": [0, 3], "area": [1, 2]})):
        again.features = features
        rows = features_for(again, table | {"row": np.arange(len(numbers))})
        assert rows is not None
        assert set(numbers) <= set(rows["index"].tolist()) <= {*numbers, 0, 3}


@pytest.mark.parametrize("shape", [(1, 1, 8, 9), (1, 4, 8, 9), (4, 1, 8, 9), (1, 9), (1, 1)])
def test_singleton_axes_are_kept(round_trip, shape):
    layer = Image(pixels(shape, "uint8"), scale=np.arange(1, len(shape) + 1))
    _, loaded = round_trip(layer)
    assert loaded.data.shape == shape
    np.testing.assert_allclose(loaded.attributes["scale"], layer.scale)


@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("lead", [(), (3,)])
def test_rgb_is_told_by_the_file(round_trip, samples, lead):
    layer = Image(pixels((*lead, 40, 41, samples), "uint8"), rgb=True)
    _, loaded = round_trip(layer)
    assert loaded.attributes["rgb"] is True
    assert len(loaded.attributes["scale"]) == 2 + len(lead)
    np.testing.assert_array_equal(np.asarray(loaded.data), layer.data)


def test_rgb_is_never_guessed_from_the_shape(round_trip):
    _, loaded = round_trip(pixels((40, 41, 3), "uint8"))
    assert loaded.attributes["rgb"] is False
    assert Layer.create(*loaded.as_layer_data_tuple()).ndim == 3


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool"])
def test_labels_come_back_as_labels(round_trip, dtype):
    data = np.zeros((6, 30, 30), dtype)
    data[:, 3:9, 3:9] = 1
    if dtype != "bool":
        data[:, 12:20, 12:20] = 42
    layer = Labels(data, scale=(2, 0.5, 0.5), units="um")
    written, loaded = round_trip(layer, kind=LayerKind.LABELS)
    again = Layer.create(*loaded.as_layer_data_tuple())
    assert isinstance(again, Labels)
    np.testing.assert_array_equal(again.data, data)
    assert again.units == layer.units
    tifffile.memmap(written.file.path, mode="r")  # raises for what is compressed
    again.data[0, 0, 0] = 1  # a person may paint


def test_metadata_is_written_where_tools_look(tmp_path):
    layer = Image(
        pixels((2, 3, 4, 8, 9), "uint16"),
        scale=(2, 1, 0.5, 0.25, 0.25),
        units=("s", "pixel", "um", "um", "um"),
        axis_labels=("t", "c", "z", "y", "x"),
        metadata={"channel_names": ["dapi", "gfp", "rfp"]},
    )
    written = export(snapshot(layer), parameter("imagetiff"), tmp_path)
    with tifffile.TiffFile(written.file.path) as tif:
        assert tif.series[0].axes == "TCZYX"
        metadata = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
        assert not tif.is_bigtiff
    assert metadata["PhysicalSizeX"] == 0.25
    assert metadata["PhysicalSizeXUnit"] == "µm"
    assert metadata["PhysicalSizeZ"] == 0.5
    assert metadata["TimeIncrement"] == 2
    assert metadata["TimeIncrementUnit"] == "s"
    assert [c["Name"] for c in metadata["Channel"]] == ["dapi", "gfp", "rfp"]


def test_outputs_are_memory_mapped(round_trip):
    _, loaded = round_trip(pixels((50, 60), "uint16"))
    assert isinstance(loaded.data, np.memmap)


def test_name_and_safe_file(tmp_path):
    snap = snapshot(Image(np.zeros((3, 4)), name="Zellen “α” / 1; rm -rf"))
    written = export(snap, parameter("imagetiff"), tmp_path)
    assert written.file.name == "Zellen “α” / 1; rm -rf"
    assert written.file.path.name.isascii()
    assert not set(written.file.path.name) & set(" ;/\"'")


def test_same_names_do_not_collide(tmp_path):
    snaps = [snapshot(np.zeros((3, 4)), "A"), snapshot(np.ones((3, 4)), "a")]
    files = [export(s, parameter("imagetiff"), tmp_path) for s in snaps]
    assert len({f.file.path for f in files}) == 2
    assert tifffile.imread(files[1].file.path).max() == 1


def test_declared_output_kind_wins(tmp_path):
    path = tmp_path / "o.tif"
    tifffile.imwrite(path, RNG.integers(0, 60000, (40, 40)).astype("uint16"))
    output = DataOutput(name="o", format="imagetiff", kind=LayerKind.LABELS)
    loaded = load(collected(path, "imagetiff"), output, make_tool(), inputs={})
    assert loaded.kind is LayerKind.LABELS


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ({}, {}, ""),
        ({"translate": (0, 5)}, {}, "lie at different places"),
        ({"scale": (0.5, 0.5)}, {}, "differ in pixel size"),
        ({"rotate": 30}, {}, "lie at different places"),
        (
            {"scale": (500, 500), "units": ("nanometer",) * 2},
            {"scale": (0.5, 0.5), "units": ("micrometer",) * 2},
            "",
        ),
        ({"scale": (2, 1, 1)}, {}, ""),  # a stack and a mask of each plane
        ({"scale": (2, 1, 1), "translate": (0, 0, 3)}, {}, "lie at different places"),
    ],
)
def test_images_that_do_not_lie_on_each_other_are_told(
    one: dict[str, object], other: dict[str, object], said: str, tmp_path
) -> None:
    shape = (3, 8, 8) if len(np.atleast_1d(one.get("scale", 1))) == 3 else (8, 8)
    first = snapshot((np.zeros((8, 8), np.uint8), other, "labels"), "mask")
    second = snapshot((np.zeros(shape, np.uint8), one, "image"), "cells")
    notes = export(second, parameter("tiff"), tmp_path, formats=GALAXY, reference=first).notes
    told = [note.split(" as they are. ") for note in notes if "pixels of both" in note]
    assert [first for first, _ in told] == (
        [f"“cells” and “mask” {said}; the tool is given the pixels of both"] if said else []
    )
    assert all("“Resample onto”" in hint and "itself" in hint for _, hint in told)


def test_files_that_do_not_lie_on_layers_or_files_are_told_where_they_say_so(tmp_path) -> None:
    def file(name: str, size: float | None, unit: str = "um") -> Path:
        path, told = tmp_path / name, {} if size is None else {"unit": unit}
        more = {} if size is None else {"resolution": (1 / size, 1 / size)}
        tifffile.imwrite(path, np.eye(8, dtype=np.uint8), imagej=True, metadata=told, **more)
        return path

    layer = Image(np.zeros((8, 8)), name="layer", scale=(0.5, 0.5), units=("um", "um"))
    half, same, nm = file("half.tif", 0.5), file("same.tif", 0.5), file("nm.tif", 500, "nm")
    coarse, silent = file("coarse.tif", 2), file("silent.tif", None)
    for one, other, told in (
        (half, coarse, True),
        (layer, coarse, True),
        (coarse, layer, True),
        (half, layer, False),
        (half, nm, False),
        (half, same, False),
        (silent, layer, False),
        (half, silent, False),
        (Image(np.zeros((8, 8)), scale=(2, 2)), half, True),
    ):
        first, second = snapshot(one), snapshot(other)
        notes = export(second, parameter("tiff"), tmp_path / "in", reference=first).notes
        assert ["pixel size" in note for note in notes].count(True) == told, (one, other, notes)


TYX = {"axis_labels": ("t", "y", "x")}
SECONDS = TYX | {"units": ("s", "um", "um"), "scale": (2, 0.5, 0.5)}


@pytest.mark.parametrize(
    ("other", "frames", "said"),
    [
        ({}, 4, ""),
        ({"units": ("ms", "um", "um"), "scale": (2000, 0.5, 0.5)}, 4, ""),
        ({"translate": (4, 0, 0)}, 4, "begin 2 frames apart"),
        ({"translate": (1, 0, 0)}, 4, "begin 0.5 frames apart"),
        ({"scale": (5, 0.5, 0.5)}, 4, "differ in the time from frame to frame"),
        (
            {"scale": (5, 1, 1)},
            4,
            "differ in pixel size and differ in the time from frame to frame",
        ),
        ({"translate": (4, 2, 0)}, 4, "lie at different places and begin 2 frames apart"),
        ({}, 3, "have 3 and 4 frames"),
        ({"translate": (2, 0, 0)}, 3, "begin 1 frame apart and have 3 and 4 frames"),
        ({"scale": (9, 0.5, 0.5)}, 1, ""),  # one mask for all frames
        ({"translate": (4, 0, 0)}, 1, "begin 2 frames apart"),
    ],
)
@pytest.mark.parametrize("as_files", [0, 1, 2])
def test_movies_that_lie_apart_in_time_are_told(
    other: dict[str, object], frames: int, said: str, as_files: int, tmp_path
) -> None:
    movie = snapshot((np.zeros((4, 8, 8), np.uint8), SECONDS, "image"), "movie")
    mask = snapshot((np.zeros((frames, 8, 8), np.uint8), SECONDS | other, "labels"), "mask")
    if as_files:
        zarr = parameter("ome_zarr")
        mask = snapshot(export(mask, zarr, tmp_path / "a").file.path, "mask")
        if as_files > 1:
            movie = snapshot(export(movie, zarr, tmp_path / "b").file.path, "movie")
    notes = export(mask, parameter("ome_zarr"), tmp_path, reference=movie).notes
    told = [note.split(";")[0] for note in notes if "pixels of both" in note]
    assert told == ([f"“mask” and “movie” {said}"] if said else [])


def test_a_file_that_says_no_time_says_nothing_of_it(tmp_path) -> None:
    path = tmp_path / "silent.tif"
    tifffile.imwrite(
        path, np.zeros((4, 8, 8), np.uint8), imagej=True, resolution=(2, 2),
        metadata={"axes": "TYX", "unit": "um"},
    )  # fmt: skip
    movie = snapshot((np.zeros((4, 8, 8), np.uint8), SECONDS, "image"), "movie")
    for one, other in ((movie, snapshot(path)), (snapshot(path), movie)):
        notes = export(one, parameter("tiff"), tmp_path / "in", reference=other).notes
        assert not any("pixels of both" in note for note in notes)
    longer = snapshot((np.zeros((5, 8, 8), np.uint8), SECONDS, "image"), "movie")
    (note,) = export(longer, parameter("tiff"), tmp_path / "in", reference=snapshot(path)).notes
    assert "“movie” and “silent.tif” have 5 and 4 frames" in note


def test_what_is_moved_or_mirrored_beside_a_silent_file_is_told(tmp_path) -> None:
    path = tmp_path / "silent.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    for place, said in (
        ({"translate": (0, 5)}, "lie at different places"),
        ({"rotate": 20}, "lie at different places"),
        ({"scale": (0.5, 0.5), "units": ("um", "um"), "translate": (0, 5)}, "lie at different"),
        ({"scale": (-1, 1)}, "are mirrored"),
        ({"scale": (0.5, 0.5), "units": ("um", "um")}, ""),
    ):
        layer = snapshot((np.zeros((8, 8), np.uint8), place, "image"), "layer")
        for one, other in ((layer, snapshot(path)), (snapshot(path), layer)):
            notes = export(one, parameter("tiff"), tmp_path / "in", reference=other).notes
            assert [said in note for note in notes] == [True] * bool(said), (place, notes)


def test_mirrored_layers_are_told_as_such(tmp_path) -> None:
    def layer(**place: object) -> Image:
        return Image(np.zeros((8, 8)), name="a", **place)

    for place, said in (
        ({"scale": (-1, 1)}, "are mirrored"),
        ({"affine": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]}, "are mirrored"),
        ({"scale": (-1, -1)}, "lie at different places"),  # turned
        ({"scale": (-2, 1)}, "differ in pixel size"),
    ):
        first, second = snapshot(layer()), snapshot(layer(**place), "b")
        (note,) = export(second, parameter("tiff"), tmp_path, reference=first).notes
        assert note.startswith(f"“b” and “a” {said}"), (place, note)


def test_sizes_in_metres_are_compared_as_closely_as_others(tmp_path) -> None:
    first, second = (
        snapshot(Image(np.zeros((8, 8)), scale=(size, size), units=("m", "m")), name)
        for name, size in (("a", 2e-7), ("b", 2.04e-7))
    )
    (note,) = export(second, parameter("tiff"), tmp_path, reference=first).notes
    assert "differ in pixel size" in note


@pytest.mark.parametrize(
    ("scale", "told"),
    [((-1, 1), [None, None]), ((-2, 1), [2, 1]), ((1, 1), [None, None]), ((1, 3), [1, 3])],
)
def test_proportions_are_told_of_all_axes_of_space_or_of_none(tmp_path, scale, told) -> None:
    layer = snapshot((np.zeros((8, 8), np.uint8), {"scale": scale}, "image"))
    path = export(layer, parameter("tiff"), tmp_path).file.path
    content = read_file(path, FORMATS["tiff"], name="a")
    assert not content.notes
    assert content.geometry.scale == tuple(size or 1 for size in told)
    with tifffile.TiffFile(path) as file:
        assert [f"PhysicalSize{axis}=" in file.ome_metadata for axis in "YX"] == [
            size is not None for size in told
        ]
