"""An image is brought onto the pixels of another one, against coordinates computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from napari.layers import Image, Labels, Layer
from scipy import ndimage

import napari_tool_runner as ntr
from napari_tool_runner.errors import ExchangeError

RNG = np.random.default_rng(3)
PICTURE = ndimage.gaussian_filter(RNG.random((40, 50)), 3) * 1000


def linear(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate between the four pixels around a place; 0 outside of the pixels."""
    inside = (y >= -0.5) & (x >= -0.5) & (y <= image.shape[0] - 0.5) & (x <= image.shape[1] - 0.5)
    y, x = np.clip(y, 0, image.shape[0] - 1), np.clip(x, 0, image.shape[1] - 1)
    y0 = np.minimum(y.astype(int), image.shape[0] - 2)
    x0 = np.minimum(x.astype(int), image.shape[1] - 2)
    dy, dx = y - y0, x - x0
    top = image[y0, x0] * (1 - dx) + image[y0, x0 + 1] * dx
    low = image[y0 + 1, x0] * (1 - dx) + image[y0 + 1, x0 + 1] * dx
    return np.where(inside, top * (1 - dy) + low * dy, 0)


def made(image: object, reference: object) -> Layer:
    return Layer.create(*ntr.resample_onto(image, reference).as_layer_data_tuple())


def test_sizes_units_and_offsets() -> None:
    coarse = Image(PICTURE, scale=(0.5, 0.5), translate=(2, 3), units="um", name="a")
    fine = Image(
        np.zeros((90, 130)), scale=(200, 150), translate=(4000, 1000), units="nm", name="b"
    )
    result = made(coarse, fine)
    y, x = np.mgrid[:90, :130].astype(float)
    expected = linear(PICTURE, (4 + 0.2 * y - 2) / 0.5, (1 + 0.15 * x - 3) / 0.5)
    np.testing.assert_allclose(result.data, expected, rtol=1e-6, atol=1e-6)
    assert result.name == "a on b"
    np.testing.assert_allclose(result.extent.world, fine.extent.world)
    assert [str(unit) for unit in result.units] == ["nanometer", "nanometer"]


@pytest.mark.parametrize("how", ["rotate", "affine"])
def test_turned_images(how: str) -> None:
    angle = math.radians(30)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    placed = (
        {"rotate": turn}
        if how == "rotate"
        else {"affine": np.block([[turn, np.zeros((2, 1))], [0, 0, 1]])}
    )
    turned = Image(PICTURE, scale=(2, 1), **placed)
    grid = Image(np.zeros((30, 60)), translate=(5, 4))
    y, x = np.mgrid[:30, :60].astype(float)
    back = np.linalg.inv(turn @ np.diag([2, 1]))
    at = np.einsum("ij,jyx->iyx", back, np.stack([y + 5, x + 4]))
    result = ntr.resample_onto(turned, grid)
    np.testing.assert_allclose(result.data, linear(PICTURE, *at), rtol=1e-6, atol=1e-6)
    # and the other way: what comes back lies where the turned image lies
    again = made(grid, turned)
    corner, far = again.data_to_world((0, 0)), again.data_to_world((39, 49))
    np.testing.assert_allclose(corner, turned.data_to_world((0, 0)), atol=1e-9)
    np.testing.assert_allclose(far, turned.data_to_world((39, 49)), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_labels_stay_labels(dtype: type) -> None:
    labels = np.zeros((20, 20), dtype)
    labels[4:10, 5:12] = np.iinfo(dtype).max
    labels[12:18, 2:8] = 3
    result = made(Labels(labels, scale=(2, 2)), Image(np.zeros((40, 40)), translate=(-0.5, -0.5)))
    assert isinstance(result, Labels)
    np.testing.assert_array_equal(result.data, np.kron(labels, np.ones((2, 2), dtype)))


@pytest.mark.parametrize("dtype", ["u1", "u4", "u8", "i8"])
def test_the_largest_and_smallest_values_stay(dtype: str) -> None:
    limits = np.iinfo(dtype)
    for value in (limits.max, limits.min):
        image = Image(np.full((8, 8), value, dtype), scale=(2, 2))
        found = made(image, Image(np.zeros((16, 16), "u1")))
        assert np.unique(found.data[2:-2, 2:-2]).tolist() == [value]


def test_labels_far_below_zero_stay() -> None:
    numbers = (
        np.array([[-(2**53) - 1, -(2**53) - 2, -(2**53) - 3]], "i8").repeat(4, 0).repeat(4, 1)
    )
    found = made(Labels(numbers), Image(np.zeros((8, 24)), scale=(0.5, 0.5)))
    assert set(np.unique(found.data)) - {0} == set(np.unique(numbers))


def test_time_and_channels_stay() -> None:
    movie = np.stack([PICTURE * k for k in (1, 2, 3)]).astype(np.uint16)
    layer = Image(movie, scale=(5, 1, 1), translate=(10, 0, 0), axis_labels=("t", "y", "x"))
    grid = Image(np.zeros((4, 20, 25)), scale=(9, 2, 2), axis_labels=("z", "y", "x"))
    result = made(layer, grid)
    assert result.data.shape == (3, 20, 25)
    assert (result.data.dtype, tuple(result.scale)) == (np.uint16, (5, 2, 2))
    assert tuple(result.translate) == (10, 0, 0)
    smooth = ndimage.gaussian_filter(movie[2].astype(float), 0.5, mode="nearest")
    np.testing.assert_allclose(result.data[2], smooth[::2, ::2], atol=0.51)


def movie(frames: object, step: float = 2, start: float = 0, unit: str = "s") -> Image:
    data = np.stack([np.full((6, 7), frame, np.uint8) for frame in np.asarray(frames)])
    place = {"scale": (step, 1, 1), "translate": (start, 0, 0), "units": (unit, "um", "um")}
    return Image(data, axis_labels=("t", "y", "x"), name="film", **place)


@pytest.mark.parametrize(
    ("own", "other", "seen"),
    [
        (movie([5, 6, 7, 8]), movie([0] * 4, start=4), [7, 8, 0, 0]),
        (movie([5, 6, 7, 8], start=4), movie([0] * 4), [0, 0, 5, 6]),
        (movie([5, 6, 7, 8]), movie([0, 0], step=4), [5, 7]),
        (movie([5, 6, 7, 8]), movie([0, 0], step=4000, unit="ms"), [5, 7]),
        (movie([5, 6, 7]), movie([0] * 5), [5, 6, 7, 0, 0]),
        (movie([5], start=4), movie([0] * 4), [0, 0, 5, 0]),
        (movie([5], step=9), movie([0] * 4), [5]),  # one picture for all frames
    ],
)
def test_frames_are_brought_to_the_moments_of_the_other(own, other, seen) -> None:
    result = ntr.resample_onto(own, other)
    assert np.asarray(result.data)[:, 3, 3].tolist() == seen
    layer = Layer.create(*result.as_layer_data_tuple())
    assert layer.axis_labels == ("t", "y", "x")
    if len(seen) > 1:
        np.testing.assert_allclose(layer.extent.world, other.extent.world)
        assert [str(unit) for unit in layer.units] == [str(unit) for unit in other.units]
        assert "each frame goes to its moment" in result.notes[1]
        assert ("does not have are 0" in result.notes[1]) is (0 in seen)


def test_frames_between_others_stay_and_are_told() -> None:
    between = movie([5, 6, 7, 8], start=1)
    with pytest.raises(ExchangeError, match="lie between frames of the first"):
        ntr.resample_onto(between, movie([0] * 4))
    with pytest.raises(ExchangeError, match="some frames of the second lie between"):
        ntr.resample_onto(movie([5, 6, 7, 8], step=4), movie([0] * 7))  # four of seven
    with pytest.raises(ExchangeError, match="lie nowhere over each other"):
        ntr.resample_onto(movie([5, 6], start=40), movie([0] * 4))
    wider = movie([0] * 4)
    wider.translate = (0, 1, 0)
    result = ntr.resample_onto(between, wider)
    assert np.asarray(result.data)[:, 3, 3].tolist() == [5, 6, 7, 8]
    assert result.attributes["translate"] == (1, 1, 0)
    assert any("lie between frames of the first" in note for note in result.notes)


def test_axes_in_another_order() -> None:
    layer = Image(PICTURE.T, scale=(1, 2), axis_labels=("x", "y"))
    grid = Image(np.zeros((70, 45)), translate=(1, 2), axis_labels=("y", "x"))
    result = made(layer, grid)
    y, x = np.mgrid[:70, :45].astype(float)
    np.testing.assert_allclose(result.data.T, linear(PICTURE, (y + 1) / 2, x + 2), atol=1e-6)
    assert tuple(result.translate) == (2, 1)


def test_colours_and_notes() -> None:
    colours = (RNG.random((8, 9, 3)) * 255).astype(np.uint8)
    result = ntr.resample_onto((colours, {"rgb": True, "name": "c"}, "image"), np.zeros((8, 12)))
    np.testing.assert_array_equal(result.data[:, :9], colours)
    assert not result.data[:, 9:].any()
    assert "interpolated linearly; what lies outside of it is 0" in result.notes[0]


def test_what_cannot_be_brought_together() -> None:
    with pytest.raises(ExchangeError, match="lie nowhere over each other"):
        ntr.resample_onto(Image(PICTURE), Image(PICTURE, translate=(500, 0)))
    with pytest.raises(ExchangeError, match="is no image"):
        ntr.resample_onto({"x": [1.0]}, Image(PICTURE))
