"""Arrays of HDF5 and Zarr whose writers say in words of their own what their axes are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_tool_runner.exchange.carriers import read_file
from napari_tool_runner.exchange.knowing import is_guess
from napari_tool_runner.tools.formats import FORMATS

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Content

h5py = pytest.importorskip("h5py")
SHAPES = {2: (5, 6), 3: (4, 5, 6), 4: (2, 4, 5, 6)}


def tags(*keys: str, **more: object) -> str:
    return json.dumps({"axes": [{"key": key, "typeFlags": 2, **more} for key in keys]})


def hdf5(path: Path, ndim: int, told: dict[str, object], name: str = "data") -> Content:
    with h5py.File(path, "w") as file:
        data = file.create_dataset(name, data=np.zeros(SHAPES[ndim], np.uint8))
        data.attrs.update(told)
    return read_file(path, FORMATS["hdf5"], name=path.name)


def zarr(path: Path, ndim: int, told: dict[str, object]) -> Content:
    import zarr as library

    array = library.create_array(path, shape=SHAPES[ndim], dtype="u1", zarr_format=2)
    array.attrs.update(told)
    return read_file(path, FORMATS["zarr"], name=path.name)


@pytest.mark.parametrize(
    ("ndim", "told", "axes"),
    [
        (3, {"axistags": tags("y", "x", "t")}, "YXT"),
        (4, {"axistags": tags("t", "y", "x", "c", resolution=0)}, "TYXC"),
        (3, {"DIMENSION_LABELS": ["time", "row", "column"]}, "TYX"),
        (3, {"DIMENSION_LABELS": [b"c", b"y", b"x"]}, "CYX"),
        (3, {"axes": "tyx"}, "TYX"),
        (3, {"axes": "t, y, x"}, "TYX"),
        (3, {"axis_names": ["t", "y", "x"]}, "TYX"),
        (4, {"axes": "TCYX"}, "TCYX"),
    ],
)
def test_axes_are_those_that_a_file_names(tmp_path: Path, ndim: int, told, axes: str) -> None:
    content = hdf5(tmp_path / "a.h5", ndim, told)
    assert content.geometry.axes == axes
    assert not is_guess(content.geometry)
    assert content.geometry.shape == SHAPES[ndim]
    assert not content.notes


@pytest.mark.parametrize("told", [{}, {"axes": "yx"}, {"axistags": "{"}, {"axes": ["", "", ""]}])
def test_names_that_say_nothing_are_none(tmp_path: Path, told) -> None:
    content = hdf5(tmp_path / "a.h5", 3, told)
    assert (content.geometry.axes, content.geometry.labels) == ("ZYX", ())
    assert is_guess(content.geometry)


@pytest.mark.parametrize(
    ("ndim", "told", "axes", "steps"),
    [
        (3, {"element_size_um": [2.0, 0.5, 0.4]}, "ZYX", (2, 0.5, 0.4)),
        (2, {"element_size_um": [2.0, 0.5, 0.4]}, "YX", (0.5, 0.4)),
        (4, {"element_size_um": [2, 0.5, 0.4], "axes": "czyx"}, "CZYX", (1, 2, 0.5, 0.4)),
        (3, {"element_size_um": [1, 0.5, 0.5], "axistags": tags(*"tyx")}, "TYX", (1, 0.5, 0.5)),
        (3, {"element_size_um": [3, 3, 3], "axistags": tags(*"xyz")}, "XYZ", (3, 3, 3)),
    ],
)
def test_sizes_are_those_that_a_file_tells(tmp_path: Path, ndim: int, told, axes, steps) -> None:
    content = hdf5(tmp_path / "a.h5", ndim, told)
    assert content.calibrated
    assert content.geometry.axes == axes
    assert content.geometry.scale == steps
    units = ["micrometer" if axis in "ZYX" else "pixel" for axis in axes]
    assert content.geometry.units == tuple(units)
    assert not content.notes


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"resolution": [40, 4, 4]}, "resolution: 40, 4, 4"),
        ({"voxel_size": [2.0, 0.5, 0.5]}, "voxel_size: 2, 0.5, 0.5"),
        ({"element_size_um": [0.0, 2, 1]}, "element_size_um: 0, 2, 1"),
        ({"element_size_um": [9.0, 1]}, "element_size_um: 9, 1"),
        ({"element_size_um": [1.0, 2, 3], "axes": "xyz"}, "element_size_um: 1, 2, 3"),
        ({"axistags": tags(*"zyx", resolution=0.25)}, "axistags: 0.25, 0.25, 0.25"),
    ],
)
def test_sizes_of_unknown_order_or_unit_are_told(tmp_path: Path, told, said: str) -> None:
    content = hdf5(tmp_path / "a.h5", 3, told)
    assert not content.calibrated
    (note,) = content.notes
    assert note == f"It says {said}; that was not taken for the size of its pixels."


def test_scales_of_its_axes_say_where_pixels_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("signal", data=np.zeros((4, 5, 6), np.uint8))
        for i, (name, unit) in enumerate((("time", "s"), ("y", "um"), ("x", "um"))):
            scale = file.create_dataset(name, data=np.arange(SHAPES[3][i]) * 0.5 + 7 * (i == 0))
            scale.attrs["units"] = unit
            scale.make_scale(name)
            data.dims[i].attach_scale(scale)
    content = read_file(path, FORMATS["hdf5"], name="a")
    own = content.geometry
    assert (own.axes, own.scale, content.calibrated) == ("TYX", (0.5, 0.5, 0.5), True)
    assert own.units == ("second", "micrometer", "micrometer")
    with h5py.File(path, "a") as file:
        file["x"][...] = [0, 1, 2, 3, 5, 8]
    content = read_file(path, FORMATS["hdf5"], name="a")
    assert content.geometry.units[-1] == "pixel"
    assert any("x is not evenly spaced" in note for note in content.notes)


def test_volumes_of_big_data_viewer_and_imaris(tmp_path: Path) -> None:
    seen = hdf5(tmp_path / "a.h5", 3, {}, "t00000/s00/0/cells")
    assert (seen.geometry.axes, seen.geometry.labels) == ("ZYX", ("z", "y", "x"))
    assert any("XML beside it" in note for note in seen.notes)
    path = tmp_path / "b.h5"
    with h5py.File(path, "w") as file:
        channel = file.create_group("DataSet/ResolutionLevel 0/TimePoint 0/Channel 0")
        channel.create_dataset("Data", data=np.ones((4, 6, 8), np.uint8))
        about = file.create_group("DataSetInfo/Image").attrs
        for i, (axis, size) in enumerate(zip("XYZ", (6, 5, 4), strict=True)):
            channel.attrs[f"ImageSize{axis}"] = np.array([*str(size)], "S1")
            about[f"ExtMin{i}"] = np.array([*"10"], "S1")
            about[f"ExtMax{i}"] = np.array([*str(10 + size * (i + 1) / 4)], "S1")
        about["Unit"] = np.array([*"um"], "S1")
    seen = read_file(path, FORMATS["hdf5"], name="b")
    assert (seen.geometry.axes, seen.geometry.shape) == ("ZYX", (4, 5, 6))
    np.testing.assert_allclose(seen.geometry.scale, (0.75, 0.5, 0.25))
    assert {*seen.geometry.units} == {"micrometer"}
    assert seen.pixels.shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("told", "axes"),
    [
        ({"_ARRAY_DIMENSIONS": ["time", "y", "x"]}, "TYX"),
        ({"axis_names": ["c", "y", "x"]}, "CYX"),
        ({"axes": [{"name": "t", "unit": "s"}, {"name": "y"}, {"name": "x"}]}, "TYX"),
    ],
)
def test_zarr_of_other_writers(tmp_path: Path, told, axes: str) -> None:
    content = zarr(tmp_path / "a.zarr", 3, told)
    assert content.geometry.axes == axes
    assert not content.notes
    again = zarr(tmp_path / "b.zarr", 3, told | {"resolution": [4, 4, 4], "offset": [0, 0, 0]})
    assert again.notes == (
        "It says resolution: 4, 4, 4; that was not taken for the size of its pixels.",
    )


def test_ome_zarr_whose_axes_are_words(tmp_path: Path) -> None:
    import zarr as library

    group = library.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=(4, 5, 6), dtype="u1")
    axes = [{"name": name} for name in ("time", "row", "column")]
    steps = [{"type": "scale", "scale": [0, 0, 0]}]
    level = {"path": "0", "coordinateTransformations": steps}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    content = read_file(tmp_path / "a.zarr", FORMATS["ome_zarr"], name="a")
    assert (content.geometry.axes, content.geometry.scale) == ("TYX", (1, 1, 1))
    assert not is_guess(content.geometry)


def test_nothing_that_a_file_says_is_looked_for_elsewhere(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file.create_group("Image").attrs.update({"axes": "tyx", "resolution": [7, 7, 7]})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["DataSetInfo"] = h5py.ExternalLink(str(tmp_path / "theirs.h5"), "/")
        file.create_dataset("data", data=np.zeros((4, 5, 6), np.uint8))
    content = read_file(tmp_path / "a.h5", FORMATS["hdf5"], name="a")
    assert (content.geometry.labels, content.notes) == ((), ())


def test_what_a_plain_tiff_says_in_the_words_of_imagej_is_told(tmp_path: Path) -> None:
    for told, said in (
        ({"axes": "ZYX", "spacing": 2.0, "unit": "um"}, ["It says spacing: 2; that was"]),
        ({"axes": "TYX", "finterval": 0.5}, ["It says finterval: 0.5; that was"]),
        ({"axes": "ZYX", "spacing": 1.0}, []),
        ({"axes": "ZYX", "PhysicalSizeZ": 2.0}, []),
    ):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5, 6), np.uint8), metadata=told)
        notes = read_file(tmp_path / "a.tif", FORMATS["tiff"], name="a").notes
        assert [note.split(" not")[0] for note in notes] == said
