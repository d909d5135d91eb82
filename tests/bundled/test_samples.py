"""The sample images: what napari gets, and that they are what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, spatial

from bundled import direct
from bundled import make_samples as generate
from napari_tool_runner import sample_data

SHAPES = {
    "cells_2d": [(512, 512)] * 2,
    "nuclei_3d": [(24, 160, 160)],
    "moving_spots": [(15, 128, 128)],
    "drifted_pair": [(256, 256)] * 2,
    "spots_2d": [(256, 256)],
}
SCALES = {
    "cells_2d": (0.32, 0.32),
    "nuclei_3d": (1.0, 0.25, 0.25),
    "moving_spots": (2.0, 0.108, 0.108),
    "drifted_pair": (0.32, 0.32),
    "spots_2d": (0.108, 0.108),
}


@pytest.mark.parametrize("key", sample_data.SAMPLES)
def test_layers_with_size_and_units(key):
    layers = getattr(sample_data, key)()
    assert [data.shape for data, _, _ in layers] == SHAPES[key]
    names = [attributes["name"] for _, attributes, _ in layers]
    assert len(set(names)) == len(names)
    for data, attributes, kind in layers:
        assert kind == "image"
        assert data.dtype == np.uint16
        assert attributes["scale"] == SCALES[key]
        assert len(attributes["axis_labels"]) == len(attributes["units"]) == data.ndim
        assert attributes["units"][-1] == "micrometer"
        assert attributes["rgb"] is False
    if key == "cells_2d":
        assert names[-1] == "Nuclei", "the layer that napari selects"
    if key == "moving_spots":
        assert layers[0][1]["units"][0] == "second"
        assert layers[0][1]["axis_labels"] == ("t", "y", "x")


@pytest.mark.parametrize("key", sample_data.SAMPLES)
def test_napari_takes_them(key):
    layers = pytest.importorskip("napari.layers", reason="needs napari")
    for data in getattr(sample_data, key)():
        layer = layers.Layer.create(*data)
        assert tuple(layer.scale) == SCALES[key]


def test_files_stay_small():
    files = [*(direct.TOOLS.parent / "sample_data").glob("*.tif")]
    assert len(files) == len(sample_data.SAMPLES)
    assert sum(file.stat().st_size for file in files) < 1_500_000


def _close(image, truth):
    # another NumPy may draw other photons, never another scene
    difference = np.abs(image.astype(float) - truth.astype(float))
    return difference.mean() < 0.1 * truth.std()


def test_the_files_come_from_the_generator():
    spots, positions = generate.spots_2d()
    assert _close(sample_data.spots_2d()[0][0], spots)
    assert len(positions) == 130
    fixed, moving, motion = generate.drifted_pair()
    pair = sample_data.drifted_pair()
    assert _close(pair[0][0], fixed)
    assert _close(pair[1][0], moving)
    assert motion[2] == 4.0


def test_cells_touch_and_the_light_is_uneven():
    image, nuclei = generate.cells_2d()
    count = len(np.unique(nuclei)) - 1
    assert count > 60
    assert ndimage.label(nuclei)[1] < 0.85 * count, "some nuclei must touch"
    background = np.where(ndimage.binary_dilation(nuclei > 0, iterations=8), np.nan, image[0])
    corners = [np.nanmedian(background[:120, -120:]), np.nanmedian(background[-120:, :120])]
    assert corners[0] - corners[1] > 5


def test_vesicles_never_merge():
    _, tracks = generate.moving_spots()
    for frame in range(15):
        places = tracks[tracks[:, 1] == frame, 2:]
        assert len(places) == 22
        assert spatial.distance.pdist(places).min() >= 7.0
