"""Objects are counted, specks told apart, masks known."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_tool_runner.exchange import (
    Counted,
    LoadedOutput,
    at_edge,
    counted,
    doubtful_in,
    edge_words,
    giant_words,
    is_noisy,
    is_unnumbered,
    soft_words,
    speck_words,
    uneven_in,
)
from napari_tool_runner.exchange import counting as module
from napari_tool_runner.exchange.noise import noise_share
from napari_tool_runner.tools.hints import are_numbered
from napari_tool_runner.tools.model import LayerKind

FLAT = np.full((128, 128), 100.0)
FLAT[30:90, 30:90] = 300
ROUGH = np.random.default_rng(3).normal(0, 20, FLAT.shape)


def labels_of(*sides: int) -> np.ndarray:
    """Return squares side by side, numbered from 1."""
    pixels = np.zeros((32, 40 * len(sides)), np.uint16)
    for place, side in enumerate(sides):
        pixels[1 : 1 + side, 40 * place : 40 * place + side] = place + 1
    return pixels


def count(data: object, kind: LayerKind = LayerKind.LABELS) -> Counted | None:
    return counted(LoadedOutput(data, kind, {}))


def test_labels_are_counted_by_their_numbers() -> None:
    assert count(labels_of(10, 12, 14)) == Counted(3, 0, 8)
    assert count(labels_of(10, 12, 14).astype(np.int64) * 10**12) == Counted(3, 0, 8)
    assert count(np.where(labels_of(10, 12) > 0, -3, 0)) == Counted(2, 0, 8, unnumbered=True)
    assert count(np.zeros((4, 4), np.uint8)) == Counted(0)


@pytest.mark.parametrize("axes", [("c", "y", "x"), ("y", "channel", "x")])
def test_channels_are_counted_one_by_one(axes: tuple[str, ...]) -> None:
    pixels = np.stack([labels_of(10, 12, 14), 5 * (labels_of(10, 12, 0) == 1)])
    pixels = np.moveaxis(pixels, 0, [name[0] for name in axes].index("c"))
    told = counted(LoadedOutput(pixels, LayerKind.LABELS, {"axis_labels": axes}), numbered=True)
    assert told is not None
    assert (told.count, told.channels) == (4, (3, 1))
    movie = {"axis_labels": ("t", "y", "x")}
    told = counted(LoadedOutput(pixels, LayerKind.LABELS, movie), numbered=True)
    assert told is not None
    assert told.channels == ()


def test_specks_are_much_smaller_than_what_most_pixels_belong_to() -> None:
    found = count(labels_of(20, 22, 21, 1, 2, 1, 1, 2, 1))
    assert found == Counted(9, 6, 23)


def test_giants_are_far_larger_than_the_middle_one() -> None:
    alike = (20, 21, 20, 22, 21, 20, 22)
    assert count(labels_of(*alike, 31)) == Counted(8, 0, 23, 1, 8, 961, 441)
    assert count(labels_of(*alike, 29)) == Counted(8, 0, 23)
    assert count(labels_of(*alike[1:], 31)) == Counted(7, 0, 25), "too few"
    found = count(labels_of(8, 11, 15, 21, 25, 28, 30, 31))
    assert found is not None
    assert found.giants == 0, "their sizes differ"
    assert giant_words(2, 2325, 970) == (
        "2 of them have up to 2,325 pixels, the middle one 970: several in one?"
    )
    apart = count(labels_of(*alike, 31).astype(np.int64) * 10**12)
    assert apart is not None
    assert (apart.giants, apart.giant) == (1, 8 * 10**12)


@pytest.mark.parametrize(
    ("pixels", "noisy"),
    [
        (FLAT + ROUGH, True),
        (FLAT + ROUGH / 8, False),
        (np.stack([FLAT] * 3) + ROUGH, True),
        (FLAT, False),
        (np.zeros((9, 9)), False),
        (np.full((9, 9), np.nan), False),
        (FLAT > 100, False),
        (np.zeros(9), False),
    ],
    ids=["noise", "little", "stack", "none", "even", "missing", "bool", "line"],
)
def test_noise_is_weighed_against_contrast(pixels: np.ndarray, noisy: bool) -> None:
    assert is_noisy(pixels) is noisy


def test_noise_is_what_was_added() -> None:
    assert noise_share(FLAT + ROUGH) == pytest.approx(0.1, rel=0.1)
    assert noise_share((FLAT + ROUGH).astype(np.uint16)) == pytest.approx(0.1, rel=0.1)


def test_objects_at_an_edge_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((3, 9, 9), int)
    pixels[1, 0, 4] = 3
    pixels[1, 4, 8] = 4
    pixels[1, 4, 4] = 5
    pixels[2, 4, 5] = 6
    stack = Labels(pixels, axis_labels=("z", "y", "x"))
    movie = Labels(pixels, axis_labels=("t", "y", "x"))
    assert at_edge(stack).tolist() == [3, 4, 6]
    assert at_edge(movie).tolist() == [3, 4], "an object of the last frame is whole"
    assert at_edge(Labels(pixels[1])).tolist() == [3, 4]
    assert not len(at_edge(Image(pixels)))
    assert not len(at_edge(object()))
    monkeypatch.setattr(module, "_MOST", 10)
    assert not len(at_edge(stack))
    assert edge_words(1) == "1 of them touches the edge: its size is too small."


def test_one_speck_is_one() -> None:
    assert speck_words(1, 23) == "1 of them is a speck of less than 23 pixels."
    assert speck_words(2000, 23) == "2,000 of them are specks of less than 23 pixels."


def test_what_is_large_lazy_or_no_object_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count(np.zeros((4, 4)), LayerKind.IMAGE) is None
    monkeypatch.setattr(module, "_MOST", 10)
    assert count(labels_of(10)) is None


def test_points_are_counted_one_by_one() -> None:
    assert count(np.zeros((7, 2)), LayerKind.POINTS) == Counted(7)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (labels_of(5, 5) > 0, True),
        ((labels_of(5, 5) > 0).astype(np.uint8) * 255, True),
        (labels_of(5, 5), False),
        (labels_of(5) > 0, False),
        (np.zeros((8, 8), int), False),
        (np.stack([labels_of(5, 5) > 0] * 3 + [labels_of(5, 5) > 1]).astype(int), True),
        (np.stack([labels_of(5, 5), labels_of(5, 5) > 0, labels_of(5, 5)]), False),
        (np.array([0, 1, 0, 1]), True),
    ],
    ids=["bool", "255", "numbers", "one", "none", "stack", "elsewhere", "line"],
)
def test_a_mask_has_one_number_for_its_pieces(pixels: np.ndarray, expected: bool) -> None:
    assert is_unnumbered(pixels) is expected


def test_of_a_large_plane_only_parts_are_looked_at() -> None:
    rough = np.tile(FLAT + ROUGH, (16, 10))
    assert noise_share(rough) == pytest.approx(noise_share(FLAT + ROUGH), rel=0.2)
    rough[1000, 700] = np.nan  # in a part
    assert noise_share(rough) == 0
    # whole, it would take a gigabyte for each of the steps
    row = (FLAT + ROUGH)[50]
    assert noise_share(np.broadcast_to(np.tile(row, 80), (13_000, 128 * 80))) >= 0
    assert noise_share(np.broadcast_to(np.float32(1), (3, 10**9))) == 0


def test_objects_that_may_be_none_are_known_by_the_note_that_tells_them() -> None:
    note = "3 of them hardly stand out and may be none (number 3, 12, 40, …); 7 of them touch it"
    assert doubtful_in([note, "1 of them touches the edge"]) == (3, 12, 40)
    assert doubtful_in(["5 of them are thin (number 3)"]) == ()


def test_what_sizes_are_worth_is_known_by_the_note_that_tells_it() -> None:
    notes = [
        "Typical diameter 9.7 µm; up to ±12% of a size by where its soft edge is set",
        "of 2: up to ±18% of a size by where its soft edge is set",
    ]
    assert soft_words(notes) == "Up to ±18% of a size by where its soft edge is set."
    assert soft_words(["sizes differ"]) == ""


def test_what_a_tool_numbers_is_no_mask_and_of_two_none_is_a_speck() -> None:
    apart = np.minimum(labels_of(20, 2), 1)
    assert count(apart) == Counted(2, 0, 20, unnumbered=True)
    assert counted(LoadedOutput(apart, LayerKind.LABELS, {}), numbered=True) == Counted(1, 0, 21)
    assert count(labels_of(20, 2)) == Counted(2, 0, 20)
    assert count(labels_of(20, 21, 2)) == Counted(3, 1, 23)
    said = ["Objects", "Numbered objects", "instances", "Remaining objects", "Mask", ""]
    assert [are_numbered(label) for label in said] == [True, True, True, False, False, False]


def test_a_warning_of_uneven_light_is_known() -> None:
    assert uneven_in(["A note.", "Warning: objects cover 56% of the image: is the light uneven?"])
    assert not uneven_in(["The light is uneven by 5 grey values: it was taken away."])
