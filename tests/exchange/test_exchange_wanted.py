"""Objects where objects are wanted, intensities where these are."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.io
import tifffile
from exchange_helpers import parameter
from napari.layers import Image, Labels

from napari_tool_runner.exchange import export, handover, misfit, snapshot, wanted
from napari_tool_runner.tools.model import LayerKind

RAW = np.random.default_rng(0).integers(1, 4000, (64, 64)).astype(np.uint16)
OBJECTS = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int)).astype(np.uint16)
KINDS = (LayerKind.LABELS, LayerKind.IMAGE)
WANTS_OBJECTS = parameter("imagetiff", kinds=KINDS)
TOLD = "looks like intensities, not objects: threshold it first."


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (RAW, True),
        (RAW.astype(float) / 7, True),
        (np.stack([RAW] * 5), True),
        (OBJECTS, False),
        (RAW > 2000, False),
        ((RAW > 2000).astype(np.uint8) * 255, False),
        (np.zeros((64, 64), np.uint8), False),
        (np.full((64, 64), 7, np.uint8), False),
        (np.zeros((0, 4)), False),
        (RAW[:3, :3], False),
    ],
    ids=[
        "raw",
        "fractions",
        "stack",
        "objects",
        "mask",
        "mask of 255",
        "0",
        "flat",
        "none",
        "few",
    ],
)
def test_objects_are_told_by_their_neighbours(pixels, told):
    text = misfit(WANTS_OBJECTS, LayerKind.IMAGE, pixels, "n", rgb=False)
    assert (TOLD in text) == told


@pytest.mark.parametrize("kinds", [(LayerKind.LABELS, LayerKind.IMAGE), (LayerKind.LABELS,)])
def test_layers_arrays_and_files_of_intensities_are_told_alike(tmp_path, kinds):
    path = tmp_path / "raw.tif"
    tifffile.imwrite(path, RAW)
    wanted = parameter("imagetiff", kinds=kinds)
    for given in (Image(RAW, name="raw"), RAW, path):
        notes = export(snapshot(given), wanted, tmp_path / "in").notes
        assert [note for note in notes if TOLD in note], given
    tifffile.imwrite(path, OBJECTS)
    for given in (Image(OBJECTS), Labels(OBJECTS), OBJECTS, path):
        assert not export(snapshot(given), wanted, tmp_path / "in").notes


def test_objects_in_the_place_of_intensities_are_told(tmp_path):
    only = parameter("imagetiff", kinds=(LayerKind.IMAGE,))
    both = parameter("imagetiff", kinds=(LayerKind.IMAGE, LayerKind.LABELS))
    layer = Labels(OBJECTS, name="cells")
    assert "“cells” holds objects" in export(snapshot(layer), only, tmp_path).notes[-1]
    assert not export(snapshot(layer), both, tmp_path).notes


def test_a_table_that_cannot_be_read_is_told(tmp_path):
    path = tmp_path / "spots.csv"
    path.write_text("x,y\n1,2\n3\n4,5,6,7,8\n")
    wanted = parameter("tablecsv", kinds=(LayerKind.POINTS,))
    given = export(snapshot(path), wanted, tmp_path / "in")
    assert given.notes, given
    path.write_bytes(b"x,y\n\0\0,2\n")
    given = export(snapshot(path), wanted, tmp_path / "in")
    assert any("as it is" in note for note in given.notes), given


@pytest.mark.parametrize("name", ["raw.tif", "raw.png"])
def test_a_file_is_opened_once(tmp_path, name, monkeypatch):
    opened, kept = [], handover.read_file

    def counted(path, *more, **how):
        opened.append(path)
        return kept(path, *more, **how)

    for module in (handover, wanted):
        monkeypatch.setattr(module, "read_file", counted)
    skimage.io.imsave(tmp_path / name, RAW, check_contrast=False)
    for formats in (("imagetiff",), ("png", "imagetiff")):
        opened.clear()
        given = export(
            snapshot(tmp_path / name), parameter(*formats, kinds=KINDS), tmp_path / "in"
        )
        assert any(TOLD in note for note in given.notes)
        assert len(opened) == 1
