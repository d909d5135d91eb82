"""Any order of axes: records, slices and what is drawn are those of the usual order."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from exchange_helpers import collected, make_tool, parameter
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Shapes, Tracks

from napari_tool_runner.exchange import (
    LayerSnapshot,
    cut,
    export,
    geometry_record,
    label_offsets,
    load,
    merge_parts,
    open_snapshot,
    refused_beside,
    snapshot,
    snapshot_from_record,
)
from napari_tool_runner.jobs import Extent
from napari_tool_runner.tools.model import DataOutput, LayerKind, Likeness

TIFF = parameter("imagetiff")
IMAGE = DataOutput(name="o", kind=LayerKind.IMAGE)
ORDERS = st.sets(st.sampled_from("tzcyxq"), min_size=2).flatmap(
    lambda axes: st.permutations(sorted(axes))
)
SIZES = dict(zip("tzcyxq", (2, 3, 2, 4, 5, 1), strict=True))


def layer_of(axes: list[str], *, cube: bool) -> Image:
    """Return an image whose axes differ in everything but, of a cube, their length."""
    n = len(axes)
    shape = (2,) * n if cube else tuple(SIZES[axis] for axis in axes)
    places = ["tzcyxq".index(axis) + 1 for axis in axes]
    units = ["second" if axis == "t" else "um" if axis in "zyx" else "pixel" for axis in axes]
    return Image(
        np.arange(np.prod(shape), dtype=np.uint16).reshape(shape),
        axis_labels=["wavelength" if axis == "q" else axis for axis in axes],
        scale=[0.5 * place for place in places],
        translate=[10.0 * place for place in places],
        units=units,
    )


def recorded(snap: LayerSnapshot, fmt: str, folder: Path, **more: object) -> LayerSnapshot:
    """Return `snap` as a record tells it."""
    written = export(snap, parameter(fmt, **more), folder)
    told = geometry_record(snap, written.file.metadata.get("axes"))
    return snapshot_from_record(written.file.path, "i", told)


@pytest.mark.parametrize("fmt", ["imagetiff", "ome.tif", "npy", "zarr"])
@settings(max_examples=40, deadline=None)
@given(axes=ORDERS, cube=st.booleans())
def test_a_recorded_input_opened_again_is_the_layer(fmt: str, axes: list[str], cube: bool) -> None:
    layer = layer_of(axes, cube=cube)
    snap = snapshot(layer)
    with tempfile.TemporaryDirectory() as folder:
        again = open_snapshot(recorded(snap, fmt, Path(folder)))
        values = np.asarray(again.pixels[(slice(None),) * len(axes)])
    np.testing.assert_array_equal(values, layer.data)
    for fact in ("axes", "shape", "scale", "translate", "units", "labels"):
        assert getattr(again.geometry, fact) == getattr(snap.geometry, fact), fact


def test_a_tool_may_ask_for_an_order_of_its_own(tmp_path: Path) -> None:
    snap = snapshot(layer_of([*"zcyx"], cube=True))
    for fmt in ("npy", "imagetiff"):
        again = open_snapshot(recorded(snap, fmt, tmp_path / fmt, axes="CZYX"))
        np.testing.assert_array_equal(np.asarray(again.data), snap.data)
        assert again.geometry.axes == "ZCYX"


# -- slice by slice --------------------------------------------------------------------------


def in_slices(layer: Image, inner: int, folder: Path) -> Image:
    """Return what a tool that minds each pixel's place makes of each slice, put together."""
    snap = snapshot(layer)
    grid, extent = snap.geometry, Extent("each", ndim=inner)
    parts = []
    for number, index in enumerate(extent.indices(grid.shape, grid.axes)):
        piece = cut(snap, grid, index)
        written = export(piece, TIFF, folder / str(number))
        with tifffile.TiffFile(written.file.path) as tif:
            values, axes = tif.series[0].asarray(), tif.series[0].axes
        made = folder / f"{number}.tif"
        running = np.cumsum(values.reshape(-1), dtype=np.uint32).reshape(values.shape)
        tifffile.imwrite(
            made, running, ome=True, metadata={"axes": axes}, photometric="minisblack"
        )
        parts.append(load(collected(made, "imagetiff"), IMAGE, make_tool(), inputs={"i": piece}))
    loop = extent.loop_axes(grid.shape, grid.axes)
    made_of_all = merge_parts(parts, loop, grid, folder, "all", label_offsets(parts))
    assert made_of_all is not None
    whole = load(collected(*made_of_all), IMAGE, make_tool(), inputs={"i": snap})
    return Image(np.array(whole.data), **{k: whole.attributes[k] for k in ("scale", "translate")})


@settings(max_examples=15, deadline=None)
@given(
    axes=st.sets(st.sampled_from("tzcq"), min_size=1, max_size=2).flatmap(
        lambda others: st.permutations(["y", "x", *sorted(others)])
    ),
    cube=st.booleans(),
    data=st.data(),
)
def test_each_slice_is_that_of_the_usual_order(axes: list[str], cube: bool, data) -> None:
    inner = data.draw(st.sampled_from([2, 3] if "z" in axes and len(axes) > 3 else [2]))
    layer = layer_of(axes, cube=cube)
    order = sorted(range(len(axes)), key=lambda i: "qtczyx".index(axes[i]))
    usual = layer_of([axes[i] for i in order], cube=cube)
    usual.data = layer.data.transpose(order)
    with tempfile.TemporaryDirectory() as folder:
        one, other = (in_slices(image, inner, Path(folder) / str(n)) for n, image in
                      enumerate((layer, usual)))  # fmt: skip
    np.testing.assert_array_equal(one.data.transpose(order), other.data)
    np.testing.assert_allclose(one.scale, layer.scale)
    np.testing.assert_allclose(one.translate, layer.translate)


@pytest.mark.parametrize("order", ["".join(p) for p in itertools.permutations("zyx")])
def test_shapes_are_drawn_into_rows_and_columns(tmp_path: Path, order: str) -> None:
    box = np.array([[1, 0.6, 0.6], [1, 0.6, 3.4], [1, 2.4, 3.4], [1, 2.4, 0.6]])  # z, y, x
    image = layer_of([*order], cube=False)
    places = ["zyx".index(axis) for axis in order]
    shapes = Shapes([box[:, places]], shape_type="polygon", scale=image.scale)
    shapes.translate, shapes.units = image.translate, image.units
    wanted = np.zeros((3, 4, 5), int)
    wanted[1, 1:3, 1:4] = 1
    labels = parameter("imagetiff", kinds=(LayerKind.LABELS,))
    written = export(snapshot(shapes), labels, tmp_path, reference=snapshot(image))
    np.testing.assert_array_equal(tifffile.imread(written.file.path), wanted)


@pytest.mark.parametrize("order", ["tyx", "yxt", "xyt", "tzyx", "zyxt", "xyzt", "ztyx"])
def test_tracks_have_time_by_name(tmp_path: Path, order: str) -> None:
    """Coordinates of tracks are in the pixels of an image that has time anywhere."""
    image = layer_of([*order], cube=False)
    inner = "tzyx" if "z" in order else "tyx"
    pixels = np.array([[1.0, 0, *range(1, len(inner))], [1, 1, *range(2, len(inner) + 1)]])
    at = [order.index(axis) for axis in inner]
    place = {"scale": image.scale[at], "translate": image.translate[at]}
    tracks = Tracks(pixels, **place, units=[image.units[i] for i in at])
    reference = snapshot(image)
    for layer in (tracks, Tracks(pixels, axis_labels=tuple(inner), **place, units=tracks.units)):
        table = parameter("tablecsv", kinds=(LayerKind.TRACKS,))
        written = export(snapshot(layer), table, tmp_path, reference=reference)
        columns = pd.read_csv(written.file.path)
        np.testing.assert_allclose(columns[["ID", *inner.upper()]], pixels)


def test_tracks_come_and_go_on_a_layer_of_another_order(tmp_path: Path) -> None:
    table = pd.DataFrame({"ID": [1, 1], "T": [0, 1], "Y": [1, 2], "X": [3, 3]})
    table.to_csv(tmp_path / "t.csv", index=False)
    file, output = (
        collected(tmp_path / "t.csv", "tablecsv"),
        DataOutput(name="o", kind=LayerKind.TRACKS),
    )
    for order, told in (("txy", False), ("xyt", True)):
        image = layer_of([*order], cube=False)
        loaded = load(file, output, make_tool(), inputs={"i": snapshot(image)})
        assert any("time first" in note for note in loaded.notes) == told
        data, attributes, _ = loaded.as_layer_data_tuple()
        names = "".join(attributes["axis_labels"])
        assert names == ("tyx" if told else order)
        scale = image.scale[[order.index(axis) for axis in names]]
        np.testing.assert_allclose(attributes["scale"], scale)
        tracks = parameter("tablecsv", kinds=(LayerKind.TRACKS,))
        layer = snapshot(Tracks(data, **attributes))
        again = export(layer, tracks, tmp_path / order, reference=snapshot(image))
        np.testing.assert_array_equal(pd.read_csv(again.file.path)[[*table]], table)


def test_others_are_cut_along_the_axes_of_the_same_name() -> None:
    grid = snapshot(layer_of([*"yxc"], cube=False)).geometry
    mask = snapshot(Labels(np.arange(20).reshape(4, 5)))
    part = cut(mask, grid, (slice(1, 3), slice(0, 2), 1))
    np.testing.assert_array_equal(part.data, [[5, 6], [10, 11]])
    stack = snapshot(layer_of([*"cyx"], cube=False))
    np.testing.assert_array_equal(
        cut(stack, grid, (slice(0, 4), slice(0, 5), 1)).data, stack.data[1]
    )


@pytest.mark.parametrize("order", ["zyx", "xyz", "yxz"])
def test_shapes_go_with_their_slice(tmp_path: Path, order: str) -> None:
    places = ["zyx".index(axis) for axis in order]
    image = layer_of([*order], cube=False)
    box = np.array([[0, 0.6, 0.6], [0, 0.6, 2.4], [0, 2.4, 2.4], [0, 2.4, 0.6]])
    where = {"scale": image.scale, "translate": image.translate, "units": image.units}
    shapes = Shapes(
        [(box + np.array([z, 0, z]))[:, places] for z in (0, 2)],
        shape_type="polygon",
        features={"n": ["a", "b"]},
        axis_labels=tuple(order),
        **where,
    )
    grid = snapshot(image).geometry
    labels = parameter("imagetiff", kinds=(LayerKind.LABELS,))
    for z, index in enumerate(Extent("each").indices(grid.shape, grid.axes)):
        piece, part = cut(snapshot(image), grid, index), cut(snapshot(shapes), grid, index)
        assert list(part.features(len(part.parts)).get("n", [])) == {0: ["a"], 2: ["b"]}.get(z, [])
        written = export(part, labels, tmp_path / str(z), reference=piece)
        wanted = np.zeros((4, 5), int)
        if z != 1:
            wanted[1:3, 1 + z : 3 + z] = 1
        np.testing.assert_array_equal(tifffile.imread(written.file.path), wanted)


@pytest.mark.parametrize("order", ["czyx", "zcyx"])
def test_the_slice_of_a_longer_axis_is_where_the_grid_has_one(order: str) -> None:
    """Labels of one channel or slice are measured in that one of the image."""
    shape = [{"c": 3, "z": 4}.get(axis, 5) for axis in order]
    scale = [{"z": 2.0}.get(axis, 1.0) for axis in order]
    image = snapshot(
        Image(np.arange(np.prod(shape)).reshape(shape), axis_labels=order, scale=scale)
    )
    for axis, size in enumerate(shape[:2]):
        for at in range(size):
            one = [slice(None)] * 4
            one[axis] = slice(at, at + 1)
            place = [at * scale[axis] if i == axis else 0.0 for i in range(4)]
            grid = snapshot(
                Labels(
                    np.ones(np.empty(shape)[tuple(one)].shape, np.uint8),
                    axis_labels=order,
                    scale=scale,
                    translate=place,
                )
            ).geometry
            index = tuple(0 if i == axis else slice(None) for i in range(4))
            part = cut(image, grid, index)
            np.testing.assert_array_equal(part.data, np.take(image.data, at, axis))
            between = tuple(p + (0.4 if i == axis else 0) for i, p in enumerate(place))
            off = dataclasses.replace(grid, translate=between)
            assert cut(image, off, index).geometry.ndim == 4, "nothing lies there"


def test_what_lies_in_one_slice_goes_with_that_of_a_stack() -> None:
    image = snapshot(Image(np.zeros((2, 5, 6)), axis_labels=("c", "y", "x"))).geometry
    one = snapshot(Labels(np.ones((1, 5, 6), np.uint8), axis_labels=("c", "y", "x"))).geometry
    plane = snapshot(Labels(np.ones((5, 6), np.uint8), axis_labels=("y", "x"))).geometry
    like = parameter("imagetiff", like="labels", likeness=Likeness.SIZE)
    assert "or work on each slice" in refused_beside(like, "i", image, "l", one)
    assert refused_beside(like, "i", image, "l", one, cut=True) == ""
    assert refused_beside(like, "i", image, "l", plane, cut=True), "no slice of it is meant"
