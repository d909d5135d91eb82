"""Current slice, each slice, only what is seen: what goes in, and where results lie."""

from __future__ import annotations

import numpy as np
import pytest
from run_tools import make_tool

from napari_tool_runner.widgets.scope import Scope, available_scopes, extent_of

LABEL = """
import sys
import numpy as np, tifffile
from scipy import ndimage
image = tifffile.imread(sys.argv[1])
assert image.ndim == 2, image.shape
labels, count = ndimage.label(image > 100)
tifffile.imwrite(sys.argv[2], labels.astype(np.uint16))
with open(sys.argv[3], "w") as out:
    out.write("label,area\\n")
    for label in range(1, count + 1):
        out.write(f"{label},{(labels == label).sum()}\\n")
"""
MEAN = """
import sys
import tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], 255 - image)
"""


@pytest.fixture
def label_tool(tmp_path):
    return make_tool(
        tmp_path / "label",
        LABEL,
        name="label2d",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" ndim="2"'
        ' label="Image"/>',
        outputs='<data name="o" format="imagetiff" layer="labels" reference="i" label="Objects"/>'
        '<data name="t" format="tablecsv" layer="table" join="o" label="Areas"/>',
        arguments="${i} ${o} ${t}",
    )


@pytest.fixture
def invert(tmp_path):
    return make_tool(
        tmp_path / "invert",
        MEAN,
        name="invert",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>',
        outputs='<data name="o" format="imagetiff" layer="image" reference="i" label="Inverted"/>',
        arguments="${i} ${o}",
    )


@pytest.fixture
def stack() -> np.ndarray:
    """Three slices with one, two and no objects (ZYX, 3 x 16 x 16)."""
    image = np.zeros((3, 16, 16), np.uint8)
    image[0, 2:5, 2:5] = 200
    image[1, 2:4, 2:4] = 200
    image[1, 8:12, 8:12] = 200
    return image


def test_what_is_offered(model_viewer, label_tool, invert, stack, cells):
    flat = model_viewer.add_image(cells)
    deep = model_viewer.add_image(stack)
    flat.corner_pixels = deep.corner_pixels = np.zeros((2, 2), int)
    assert list(available_scopes(label_tool, {"i": flat}, model_viewer)) == [Scope.WHOLE]
    deep.corner_pixels = np.zeros((2, 3), int)
    assert list(available_scopes(label_tool, {"i": deep}, model_viewer)) == [
        Scope.WHOLE,
        Scope.SLICE,
        Scope.EACH,
    ]
    assert available_scopes(label_tool, {"i": None}, model_viewer) == {}


def test_what_is_seen_of_a_stack_is_a_part_of_one_slice(model_viewer, invert, label_tool, stack):
    layer = model_viewer.add_image(stack)
    layer.corner_pixels = np.array([[0, 2, 3], [2, 9, 11]])
    model_viewer.dims.set_current_step(0, 1)
    extent = extent_of(Scope.VIEW, invert, {"i": layer}, model_viewer)
    assert extent.mode == "current"
    assert extent.position[0] == 1
    assert extent.crop == (None, (2, 10), (3, 12))
    model_viewer.dims.ndisplay = 3
    assert extent_of(Scope.VIEW, invert, {"i": layer}, model_viewer).mode == "whole"
    assert extent_of(Scope.WHOLE, invert, {"i": layer}, model_viewer) is None
