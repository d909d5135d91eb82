"""Objects where objects are wanted, intensities where these are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array
import numpy as np
import pytest
import skimage.data
import skimage.draw
import skimage.io
import skimage.measure
import skimage.segmentation
import tifffile
from exchange_helpers import parameter
from napari.layers import Image, Labels
from scipy import ndimage

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange import export, handover, misfit, refused, snapshot, wanted
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


def test_colours_are_told_where_one_channel_is_taken():
    any_image = parameter("imagetiff", kinds=(LayerKind.IMAGE,))
    one = replace(any_image, rgb=False)
    pixels = np.zeros((9, 9, 3), np.uint8)
    told = [
        misfit(wanted, LayerKind.IMAGE, pixels, "n", rgb=rgb)
        for wanted, rgb in ((any_image, True), (one, False), (one, True), (WANTS_OBJECTS, True))
    ]
    assert told == ["", "", "", ""]
    one_channel = "“n” is a colour picture, and the tool takes one channel of it: choose one."
    no_objects = "“n” is a colour picture, not objects: choose a channel, and threshold that."
    assert [
        refused(wanted, LayerKind.IMAGE, pixels, "n", rgb=rgb)
        for wanted, rgb in ((any_image, True), (one, False), (one, True), (WANTS_OBJECTS, True))
    ] == ["", "", one_channel, no_objects]


def test_fractions_and_nothing_are_no_objects(tmp_path):
    def told(pixels, *, whole=False):
        return refused(WANTS_OBJECTS, LayerKind.IMAGE, pixels, "n", rgb=False, whole=whole)

    mask = np.zeros((3, 2000, 2000), np.float32)
    mask[1, 5, 5] = 255
    assert told(mask) == told(mask, whole=True) == ""
    mask[0, 1500, 600] = 0.5  # in none of the parts that a form looks at
    assert (told(mask), "has fractions" in told(mask, whole=True)) == ("", True)
    for value in (0.5, np.nan, np.inf, 1e12, 1j):
        assert "has fractions" in told(np.full((4, 4), value)), value
        with pytest.raises(UnsupportedLayerError, match="has fractions"):
            export(snapshot(np.full((4, 4), value)), WANTS_OBJECTS, tmp_path / f"{value}")
    assert told(np.zeros((0, 9))).startswith("“n” has no pixels: its size is 0 × 9")
    any_image = parameter("imagetiff", kinds=(LayerKind.IMAGE,))
    assert refused(any_image, LayerKind.IMAGE, mask, "n", rgb=False) == ""


@pytest.mark.parametrize("source", ["layer", "tiff", "png"])
def test_colours_reach_no_program_that_takes_one_channel(tmp_path, source):
    pixels = np.zeros((9, 9, 3), np.uint8)
    given: object = Image(pixels, rgb=True, name="n")
    if source != "layer":
        given = tmp_path / f"n.{source}"
        skimage.io.imsave(given, pixels, check_contrast=False)
    one = parameter("imagetiff", kinds=(LayerKind.IMAGE,))
    assert export(snapshot(given), one, tmp_path / "all").file.path.is_file()
    with pytest.raises(UnsupportedLayerError, match=r"is a colour picture.*Colour to grey"):
        export(snapshot(given), replace(one, rgb=False), tmp_path / "one")


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


def sampled(path):
    """One plane of an image that scikit-image ships."""
    image = np.load(path) if path.suffix == ".npy" else skimage.io.imread(path)
    image = image[..., 1] if image.ndim == 3 and image.shape[-1] in (3, 4) else image
    while image.ndim > 2:
        image = image[len(image) // 2]
    return image


# drawn with few greys, or of less than a hundred pixels: nobody can tell
UNTOLD = {
    "chessboard_GRAY.png", "chessboard_RGB.png", "phantom.png", "multipage_rgb.tif",
    "no_time_for_that_tiny.gif",
}  # fmt: skip
SHIPPED = [
    path
    for path in sorted(Path(skimage.data.__file__).parent.iterdir())
    if path.suffix in {".png", ".jpg", ".tif", ".gif", ".npy"}
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_raw_images_are_told(path):
    assert wanted.is_bright(sampled(path)) == (path.name not in UNTOLD)


def drawn(count, radius, size=512, seed=0):
    """Discs with numbers, later ones over earlier ones."""
    rng, labels = np.random.default_rng(seed), np.zeros((size, size), np.int64)
    for number in range(1, count + 1):
        where = skimage.draw.disk(rng.integers(0, size, 2), radius, shape=labels.shape)
        labels[where] = number
    return labels


def poisson(mean, size=512):
    return np.random.default_rng(1).poisson(mean, (size, size)).astype(np.uint16)


NOISE = np.random.default_rng(0).random((512, 512))
SMOOTH = ndimage.gaussian_filter(NOISE, 6)
LEVELS = np.quantile(SMOOTH, [0.2, 0.4, 0.6, 0.8])
MARKERS = np.zeros((512, 512), int)
MARKERS.flat[np.random.default_rng(2).permutation(512 * 512)[:400]] = np.arange(1, 401)
CORNER = np.pad(poisson(20, 300), ((0, 1700), (0, 1700)))


@pytest.mark.parametrize("radius", [1.5, 2, 4, 10, 40])
@pytest.mark.parametrize("kind", [np.uint16, np.int64, np.float32, "large", "stack", "dask"])
def test_drawn_objects_are_not_told(radius, kind):
    labels = drawn(int(20000 / radius**2), radius)
    if kind == "large":
        labels = np.where(labels > 0, labels.astype(np.uint64) * 7919 + 2**40, 0)
    elif kind == "stack":
        labels = np.stack([labels] * 3)
    elif kind == "dask":
        labels = dask.array.from_array(labels, chunks=100)
    else:
        labels = labels.astype(kind)
    assert not wanted.is_bright(labels)


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (poisson(0.01), True),
        (poisson(0.2), True),
        (poisson(1), True),
        (poisson(0.01) * np.random.default_rng(3).integers(100, 1000, (512, 512)), True),
        ((255 * SMOOTH / SMOOTH.max()).astype(np.uint8), True),
        (SMOOTH, True),
        (ndimage.distance_transform_edt(drawn(60, 25)), True),
        (np.rint(ndimage.gaussian_filter(NOISE, 40) * 4000).astype(np.uint16), True),
        (np.tile(np.arange(512) // 4, (512, 1)).astype(np.uint8), True),
        (
            np.where(np.arange(512) % 20 < 12, np.arange(512) // 10 + 1, 0)[:, None]
            * np.ones(512),
            False,
        ),
        (CORNER, True),
        (ndimage.median_filter(skimage.data.moon(), 9), True),
        ((NOISE > 0.5) * 255, False),
        (NOISE > 0.5, False),
        (ndimage.label(NOISE > 0.6)[0], False),
        (skimage.measure.label(NOISE > 0.58), False),
        (skimage.measure.label(skimage.data.coins() > 110), False),
        (np.digitize(SMOOTH, LEVELS) + 1, False),
        (drawn(150, 10) % 5, False),
        (np.where(drawn(150, 10) > 0, drawn(150, 10), np.nan), False),
        (MARKERS, False),
        (skimage.segmentation.slic(skimage.data.astronaut(), 400), False),
        (np.zeros((512, 512), complex), False),
        (drawn(150, 10)[250], False),
    ],
)
def test_sparse_smooth_and_odd_images(pixels, told):
    assert wanted.is_bright(pixels) == told


def test_a_lazy_image_is_read_in_few_places():
    read = []

    def block(info):
        read.append(info[None]["chunk-location"])
        return np.zeros((1, 512, 512), np.uint16)

    lazy = dask.array.map_blocks(
        lambda block_info: block(block_info),
        chunks=((1,) * 30, (512,) * 8, (512,) * 8),
        dtype=np.uint16,
        meta=np.zeros((0, 0, 0), np.uint16),
    )
    read.clear()
    assert not wanted.is_bright(lazy)
    assert len(read) <= 20
