"""What can be given to a data input, and to which."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile
import xarray as xr
import zarr
from exchange_helpers import GALAXY, parameter
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Tracks, Vectors

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange import (
    export,
    fitting_kinds,
    layer_kind,
    plan,
    snapshot,
    takes_features,
)
from napari_tool_runner.tools.model import LayerKind

LAYERS = [
    Image(np.zeros((4, 5))),
    Labels(np.zeros((4, 5), int)),
    Points([[1, 2]]),
    Shapes([np.array([[0, 0], [1, 1]])], shape_type="line"),
    Tracks([[1, 0, 2, 3]]),
    Vectors(np.zeros((1, 2, 2))),
    Surface((np.zeros((3, 3)), np.array([[0, 1, 2]]))),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer._type_string)
def test_every_layer_has_a_snapshot(layer):
    snap = snapshot(layer)
    assert snap.kind == layer._type_string
    assert snap.name == layer.name
    assert snap.geometry.ndim == layer.ndim
    assert snap.geometry.scale == tuple(layer.scale)
    assert (snap.data is layer.data) is (snap.kind in ("image", "labels"))
    again = snapshot(layer.as_layer_data_tuple())
    assert (again.kind, again.name, again.geometry.scale) == (
        snap.kind,
        snap.name,
        snap.geometry.scale,
    )


def test_coordinates_are_those_of_the_moment():
    layer = Points([[1.0, 2], [3, 4]], features={"q": [1, 2]})
    snap = snapshot(layer)
    layer.data[0] = (9, 9)
    layer.features.loc[0, "q"] = 7
    layer.remove_selected()
    assert snap.data.tolist() == [[1, 2], [3, 4]]
    assert list(snap.attributes["features"]["q"]) == [1, 2]


def test_subclasses_of_layers_are_known_by_their_base():
    class MyLabels(Labels):
        pass

    assert snapshot(MyLabels(np.zeros((3, 3), int))).kind is LayerKind.LABELS


def test_layers_of_a_viewer():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((2, 3, 4)), name="a", scale=(2, 1, 1))
    snap = snapshot(viewer.layers["a"])
    assert (snap.name, snap.geometry.axes, snap.geometry.scale) == ("a", "ZYX", (2, 1, 1))


@pytest.mark.parametrize(
    ("ndim", "labels", "units", "axes"),
    [
        (2, None, None, "YX"),
        (3, None, None, "ZYX"),
        (4, None, None, "TZYX"),
        (5, None, None, "TCZYX"),
        (6, None, None, "QTCZYX"),
        (3, None, ("s", "um", "um"), "TYX"),
        (3, ("time", "row", "col"), None, "TYX"),
        (3, ("Channel", "y", "x"), None, "CYX"),
        (3, ("x", "y", "z"), None, "XYZ"),
        (3, ("angle", "y", "x"), None, "QYX"),
        (4, ("t", "c", "y", "x"), None, "TCYX"),
    ],
)
def test_letters_of_axes(ndim, labels, units, axes):
    layer = Image(np.zeros((2,) * ndim), axis_labels=labels, units=units)
    assert snapshot(layer).geometry.axes == axes


def test_arrays_of_all_makes(tmp_path):
    store = zarr.create_array(tmp_path / "z", data=np.ones((3, 4)))
    for value in (np.ones((3, 4)), da.ones((3, 4)), store):
        snap = snapshot(value, "x")
        assert snap.data is value
        assert snap.kind is LayerKind.IMAGE
        assert snap.geometry.shape == (3, 4)
        assert not snap.rgb


def test_xarray_brings_its_axes():
    array = xr.DataArray(
        np.zeros((2, 3, 4)),
        dims=("t", "y", "x"),
        coords={"y": ("y", [1.0, 1.5, 2.0], {"units": "µm"}), "x": [0, 10, 20, 30]},
        name="flow",
    )
    snap = snapshot(array)
    assert snap.name == "flow"
    assert snap.geometry.axes == "TYX"
    assert snap.geometry.scale == (1, 0.5, 10)
    assert snap.geometry.translate == (0, 1, 0)
    assert snap.geometry.units == ("pixel", "micrometer", "pixel")


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        {"a": [1, 2], "b": ["x", "y"]},
        np.array([(1, "x"), (2, "y")], dtype=[("a", int), ("b", "U1")]),
        ({"a": [1, 2], "b": ["x", "y"]}, {}, "table"),
    ],
)
def test_tables_of_all_makes(table):
    snap = snapshot(table)
    assert snap.kind is LayerKind.TABLE
    assert {name: list(column) for name, column in snap.data.items()} == {
        "a": [1, 2],
        "b": ["x", "y"],
    }


def test_outputs_of_a_job(tmp_path):
    path = tmp_path / "o.tif"
    tifffile.imwrite(path, np.zeros((4, 5)))

    @dataclass
    class Output:
        path: Path
        data: object

        def as_layer_data_tuple(self):
            return self.data, {"name": "res", "scale": (2, 2)}, "image"

    data = tifffile.memmap(path, mode="r")
    assert snapshot(Output(path, data)).path == path
    assert snapshot(Output(path, data)).geometry.scale == (2, 2)
    # pixels that somebody may have edited are not taken from the file
    assert snapshot(Output(path, np.zeros((4, 5)))).path is None


@pytest.mark.parametrize(
    "value", [object(), [1, 2], (1, 2), {"a": [1], "b": [1, 2]}, {"a": [[1]]}, (0, {}, "cube")]
)
def test_what_cannot_be_data_is_told(value):
    with pytest.raises(UnsupportedLayerError):
        snapshot(value)


def test_a_snapshot_of_a_snapshot_can_be_renamed():
    snap = snapshot(np.zeros((3, 3)), "a")
    assert snapshot(snap) is snap
    assert snapshot(snap, "b").name == "b"


# -- keys --------------------------------------------------------------------------


def test_keys_follow_changes_that_layers_announce():
    layer = Labels(np.zeros((5, 5), int))
    keys = [snapshot(layer).key]
    assert snapshot(layer).key == keys[0]
    layer.fill((0, 0), 3)
    keys.append(snapshot(layer).key)
    layer.data = np.ones((5, 5), int)
    keys.append(snapshot(layer).key)
    layer.scale = (2, 2)
    keys.append(snapshot(layer).key)
    assert len(set(keys)) == 4


def test_names_and_looks_are_no_change():
    layer = Image(np.zeros((5, 5)))
    before = snapshot(layer).key
    layer.name, layer.visible, layer.colormap = "other", False, "red"
    assert snapshot(layer).key == before


def test_counting_keeps_no_layer_alive():
    import gc
    import weakref

    layer = Image(np.zeros((5, 5)))
    snapshot(layer)
    gone = weakref.ref(layer)
    del layer
    gc.collect()
    assert gone() is None


def test_arrays_have_no_key_and_files_have(tmp_path):
    assert snapshot(np.zeros((3, 3))).key == ""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 3)))
    first = snapshot(path).key
    assert first == snapshot(path).key
    tifffile.imwrite(path, np.zeros((4, 4)))
    assert snapshot(path).key != first


# -- which layers fit --------------------------------------------------------------

ANY = (LayerKind.ANY,)


@pytest.mark.parametrize(
    ("formats", "kinds", "expected"),
    [
        (("imagetiff",), ANY, "image labels shapes"),
        (("imagetiff",), (LayerKind.LABELS, LayerKind.IMAGE), "labels image shapes"),
        (("imagetiff",), (LayerKind.IMAGE,), "image labels"),
        (("tablecsv",), (LayerKind.POINTS,), "points"),
        (("tablecsv",), (LayerKind.TABLE,), "table points tracks vectors"),
        (("tabular", "geojson"), ANY, "points tracks vectors table shapes"),
        (("ply",), ANY, "surface"),
        (("txt",), ANY, ""),
        (("numbercsv",), ANY, "table"),
    ],
)
def test_matching_kinds(formats, kinds, expected):
    found = fitting_kinds(parameter(*formats, kinds=kinds))
    assert " ".join(found) == expected


@pytest.mark.parametrize("layer", [*LAYERS, Points([[1, 2]], features={"size": [3]})])
@pytest.mark.parametrize("declared", [k for k in LayerKind if k is not LayerKind.ANY])
@pytest.mark.parametrize("fmt", ["tiff", "tablecsv", "numbercsv", "geojson", "gif"])
def test_the_run_takes_what_the_form_offers(layer, declared, fmt):
    target, snap = parameter(fmt, kinds=(declared,)), snapshot(layer)
    offered = snap.kind in fitting_kinds(target)
    offered |= bool(snap.features()) and takes_features(target)
    if offered:
        assert plan(snap, target).kind in (snap.kind, LayerKind.LABELS, LayerKind.TABLE)
    else:
        with pytest.raises(UnsupportedLayerError):
            plan(snap, target)


def test_anything_takes_all_layers():
    kinds = set(LayerKind) - {LayerKind.ANY}
    assert set(fitting_kinds(parameter())) == kinds
    assert set(fitting_kinds(parameter("raw"))) == kinds


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer._type_string)
@pytest.mark.parametrize("formats", [("tiff",), ("csv",), ("geojson",), ("ply",), ("txt",), ()])
def test_what_matches_can_be_written(tmp_path, layer, formats):
    target = parameter(*formats)
    image = snapshot(Image(np.zeros((4, 5))))
    if layer._type_string in fitting_kinds(target):
        written = export(snapshot(layer), target, tmp_path, formats=GALAXY, reference=image)
        assert written.file.path.stat().st_size > 0
    else:
        with pytest.raises(UnsupportedLayerError, match="Input"):
            export(snapshot(layer), target, tmp_path, formats=GALAXY, reference=image)


# -- dimensions and axes that a tool wants -----------------------------------------


def test_too_many_dimensions_are_told(tmp_path):
    with pytest.raises(
        UnsupportedLayerError,
        match=r"3 dimensions \(Z, Y, X\), and the tool takes 2\. Run it on a slice",
    ):
        export(
            snapshot(np.zeros((3, 4, 5))), parameter("tiff", ndim=(2,)), tmp_path, formats=GALAXY
        )
    with pytest.raises(
        UnsupportedLayerError, match=r"has 2 dimensions, and the tool needs 3 or 4\.$"
    ):
        export(snapshot(Points([[1, 2]])), parameter("csv", ndim=(3, 4)), tmp_path, formats=GALAXY)


@pytest.mark.parametrize("make", [np.asarray, da.from_array, zarr.array])
def test_axes_of_size_one_may_go(tmp_path, make):
    array = make(np.arange(20, dtype="u1").reshape(1, 1, 4, 5))
    written = export(snapshot(array), parameter("tiff", ndim=(2, 3)), tmp_path, formats=GALAXY)
    assert written.file.metadata["shape"] == [1, 4, 5]


def test_axes_are_put_in_the_order_that_the_tool_wants(tmp_path):
    data = np.arange(24, dtype="u1").reshape(2, 3, 4)
    layer = Image(data, axis_labels=("x", "y", "z"), scale=(1, 2, 3))
    written = export(snapshot(layer), parameter("tiff", axes="ZYX"), tmp_path, formats=GALAXY)
    np.testing.assert_array_equal(tifffile.imread(written.file.path), data.transpose(2, 1, 0))
    named = Image(data, axis_labels=("t", "y", "x"))
    with pytest.raises(UnsupportedLayerError, match=r"axes T, Y, X.*takes Z, Y, X"):
        export(snapshot(named), parameter("tiff", axes="ZYX"), tmp_path, formats=GALAXY)


def test_unnamed_axes_are_what_the_tool_takes_them_for(tmp_path):
    snap = snapshot(np.zeros((2, 3, 4), "u1"))
    written = export(snap, parameter("tiff", axes="TYX"), tmp_path, formats=GALAXY)
    with tifffile.TiffFile(written.file.path) as tif:
        assert tif.series[0].axes == "TYX"


# -- tables that are features ------------------------------------------------------


def test_layers_are_rebuilt_from_any_output(round_trip):
    for layer, fmt in zip(LAYERS[2:6], ["csv", "geojson", "csv", "csv"], strict=True):
        _, loaded = round_trip(layer, fmt, formats=GALAXY)
        assert type(Layer.create(*loaded.as_layer_data_tuple())) is type(layer)


def test_a_layer_that_plugins_get_is_known_without_a_warning() -> None:
    from napari.utils._proxies import PublicOnlyProxy

    class Image:
        """Of another library."""

    class Own(Labels):
        """Of a plugin."""

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert layer_kind(PublicOnlyProxy(LAYERS[0])) == LAYERS[0]._type_string
        assert layer_kind(Own(np.zeros((2, 2), int))) == "labels"
        assert layer_kind(Image()) == "any"
