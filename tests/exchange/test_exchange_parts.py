"""Parts for tools of fewer dimensions, and their results as one."""

from __future__ import annotations

import numpy as np
import pytest
from exchange_helpers import collected, make_tool
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels, Layer, Points

from napari_tool_runner.errors import ExchangeError
from napari_tool_runner.exchange import (
    LoadedOutput,
    cut,
    label_offsets,
    load,
    merge_parts,
    snapshot,
)
from napari_tool_runner.exchange.blocks import read
from napari_tool_runner.exchange.carriers.tables import read_table
from napari_tool_runner.exchange.geometry import attributes_of, geometry_of
from napari_tool_runner.tools.model import DataOutput, LayerKind

RNG = np.random.default_rng(5)


@settings(max_examples=30)
@given(
    start=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    angle=st.floats(-90, 90),
)
def test_a_crop_lies_where_it_was(start, size, angle):
    layer = Image(RNG.random((8, 8, 8)), scale=(2, 1, 0.5), rotate=angle, translate=(5, 6, 7))
    snap = snapshot(layer)
    index = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    part = cut(snap, snap.geometry, index)
    np.testing.assert_array_equal(part.data, layer.data[index])
    cropped = Image(part.data, **attributes_of(part.geometry, []))
    for corner in ((0, 0, 0), (1, 2, 3)):
        np.testing.assert_allclose(
            cropped.data_to_world(corner), layer.data_to_world(np.add(start, corner))
        )


def test_a_lazy_part_reads_only_itself():
    class Lazy:
        shape, dtype = (40, 30, 20), np.dtype("u2")

        def __init__(self):
            self.read = 0

        def __getitem__(self, key):
            values = np.ones(
                [len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True)], "u2"
            )
            self.read += values.size
            return values

    lazy = Lazy()
    snap = snapshot(lazy)
    part = cut(snap, snap.geometry, (3, slice(5, 9), slice(None)))
    assert lazy.read == 0
    assert read(part.data, (slice(None), slice(1, 3))).shape == (4, 2)
    assert lazy.read == 8


def merged(parts, tmp_path, loop, whole) -> Layer:
    offsets = label_offsets(parts) if parts[0].kind is LayerKind.LABELS else None
    geometry = snapshot(whole).geometry
    assert [*loop] == [*geometry.shape[: len(loop)]]
    path, fmt = merge_parts(parts, [*range(len(loop))], geometry, tmp_path, "all", offsets)
    output = DataOutput(name="o", format=fmt, kind=parts[0].kind)
    loaded = load(collected(path, fmt), output, make_tool(), inputs={"i": snapshot(whole)})
    return Layer.create(*loaded.as_layer_data_tuple())


def test_labels_of_slices_stay_different(tmp_path):
    whole = Image(RNG.random((3, 8, 9)), scale=(2, 1, 1))
    labels = np.zeros((8, 9), "u1")
    labels[:4], labels[4:6] = 200, 1
    parts = [LoadedOutput(labels, LayerKind.LABELS, {})] * 3
    again = merged(parts, tmp_path, [3], whole)
    assert isinstance(again, Labels)
    assert np.unique(again.data).tolist() == [0, 1, 200, 201, 400, 401, 600]
    np.testing.assert_array_equal(again.scale, (2, 1, 1))


@pytest.mark.parametrize(("value", "fits"), [(2**31, True), (2**62, True), (2**63, False)])
def test_labels_are_never_wrapped(tmp_path, value, fits):
    whole = Image(RNG.random((2, 4, 4)))
    parts = [LoadedOutput(np.full((4, 4), value, "u8"), LayerKind.LABELS, {})] * 2
    if fits:
        assert np.unique(merged(parts, tmp_path, [2], whole).data).tolist() == [value, 2 * value]
    else:
        with pytest.raises(ExchangeError, match="too large"):
            merged(parts, tmp_path, [2], whole)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("value", "fits"), [(2**61, True), (2**62, True), (2**63, False)])
def test_numbers_of_objects_in_tables_are_never_wrapped_and_0_is_none(tmp_path, value, fits):
    table = {"label": np.array([0, value], "u8"), "area": np.array([5.0, 6.0])}
    parts = [LoadedOutput(table, LayerKind.TABLE, {})] * 2
    geometry = snapshot(np.zeros((2, 4, 4))).geometry
    if not fits:
        with pytest.raises(ExchangeError, match="too large"):
            merge_parts(parts, [0], geometry, tmp_path, "all", [0, value])
        return
    path, _ = merge_parts(parts, [0], geometry, tmp_path, "all", [0, value])
    assert read_table(path).table["label"].tolist() == [0, value, 0, 2 * value]


def test_points_and_shapes_keep_their_features(tmp_path):
    whole = Image(RNG.random((2, 2, 8, 9)), scale=(3, 2, 1, 1))
    points = [
        LoadedOutput(np.full((n, 2), n * 1.0), LayerKind.POINTS, {"features": {"q": [n] * n}})
        for n in (1, 0, 2, 1)
    ]
    again = merged(points, tmp_path, [2, 2], whole)
    assert isinstance(again, Points)
    assert again.data.tolist() == [[0, 0, 1, 1], [1, 0, 2, 2], [1, 0, 2, 2], [1, 1, 1, 1]]
    assert list(again.features["q"]) == [1, 2, 2, 1]
    line = np.array([[0.0, 0], [1, 1]])
    shapes = [
        LoadedOutput(
            [line] * 2,
            LayerKind.SHAPES,
            {"shape_type": ["line", "line"], "features": {"n": ["a", "b"]}},
        )
    ] * 4
    again = merged(shapes, tmp_path / "", [2, 2], whole)
    assert list(again.features["n"]) == ["a", "b"] * 4
    assert again.data[6].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_parts_of_other_layers_follow_the_grid():
    grid = geometry_of(3, (4, 8, 8))
    labels = snapshot(Labels(np.arange(64).reshape(8, 8)))
    part = cut(labels, grid, (2, slice(0, 4), slice(4, 8)))
    np.testing.assert_array_equal(part.data, np.arange(64).reshape(8, 8)[:4, 4:])
