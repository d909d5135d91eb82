"""A layer is what a job made for as long as its own content is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers")
from napari.layers import Labels, Points, Shapes, Surface

from napari_tool_runner.exchange import snapshot
from napari_tool_runner.jobs.makers import maker_of, note_maker
from napari_tool_runner.jobs.record import METADATA_KEY

MADE = {METADATA_KEY: {"id": "job", "output": "out"}}


def test_objects_that_are_measured_are_still_those_of_their_job() -> None:
    layer = Labels(np.eye(4, dtype=np.uint8), metadata=MADE)
    note_maker(layer)
    before = snapshot(layer).key
    layer.features = {"index": [1], "area": [4.0]}
    assert maker_of(layer) == "job/out"
    assert snapshot(layer).key != before, "a table of them is another one"
    layer.paint((0, 3), 1)
    assert maker_of(layer) == ""


def test_points_with_other_features_are_others() -> None:
    layer = Points([[1, 2]], metadata=MADE)
    note_maker(layer)
    assert maker_of(layer) == "job/out"
    layer.features = {"area": [4.0]}
    assert maker_of(layer) == ""


def test_points_that_were_written_to_without_an_event_are_others() -> None:
    layer = Points([[1, 2], [3, 4]], features={"area": [4.0, 5.0]}, metadata=MADE)
    note_maker(layer)
    layer.features.loc[0, "area"] = 7.0
    assert maker_of(layer) == ""
    layer.features.loc[0, "area"] = 4.0
    assert maker_of(layer) == "job/out"
    layer.data[0] = [9, 9]
    assert maker_of(layer) == ""


def test_shapes_and_surfaces_too() -> None:
    corners = np.array([[0, 0], [0, 2], [2, 2.0]])
    layer = Surface((corners, np.array([[0, 1, 2]])), metadata=MADE)
    shapes = Shapes([corners], shape_type="polygon", metadata=MADE)
    for one in (layer, shapes):
        note_maker(one)
        assert maker_of(one) == "job/out"
    layer.vertices[0] = 1
    assert maker_of(layer) == ""
