"""Any order of axes: records, slices and what is drawn are those of the usual order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from exchange_helpers import parameter
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.layers import Image

from napari_tool_runner.exchange import (
    LayerSnapshot,
    export,
    geometry_record,
    open_snapshot,
    snapshot,
    snapshot_from_record,
)

ORDERS = st.sets(st.sampled_from("tzcyxq"), min_size=2).flatmap(
    lambda axes: st.permutations(sorted(axes))
)
SIZES = dict(zip("tzcyxq", (2, 3, 4, 5, 6, 1), strict=True))


def layer_of(axes: list[str], *, cube: bool) -> Image:
    """Return an image whose axes differ in everything but, of a cube, their length."""
    n = len(axes)
    shape = (3,) * n if cube else tuple(SIZES[axis] for axis in axes)
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
