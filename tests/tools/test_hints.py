from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.tools.formats import FORMATS, LayerKind
from napari_tool_runner.tools.hints import hinted, input_kinds, is_picture

NAMES = st.lists(st.sampled_from(sorted(FORMATS)), max_size=4)
WORDS = st.sampled_from(["Label map", "spots", "tracks of cells", "ROIs", "a table", "image", ""])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("labelImage_out", "labels"),
        ("labelmap", "labels"),
        ("Segmentation mask", "labels"),
        ("connected components", "labels"),
        ("Regions of interest", "labels shapes"),
        ("pointCoordinates", "points"),
        ("seed points", "points"),
        ("tracked spots", "points tracks"),
        ("trajectories", "tracks"),
        ("Outlines", "shapes"),
        ("Measurements", "table"),
        ("Input image", ""),
        ("unmasking", ""),
    ],
)
def test_words(text: str, kinds: str) -> None:
    assert {kind.value for kind in hinted(text)} == set(kinds.split())


def test_a_picture_of_labels_is_a_picture() -> None:
    assert is_picture("colorized labels")
    assert is_picture("labels_overlay")
    assert not is_picture("labels")


@given(NAMES, WORDS)
def test_a_word_moves_a_kind_to_the_front_and_nothing_more(names: list[str], text: str) -> None:
    plain, found = input_kinds(names), input_kinds(names, text)
    assert sorted(found) == sorted(plain)
    moved = [kind for kind in found if kind in hinted(text)]
    assert list(found) == moved + [kind for kind in plain if kind not in moved]


def test_without_formats_anything_goes() -> None:
    assert input_kinds([], "labels") == (LayerKind.ANY,)
    assert input_kinds(["pdf"], "labels") == (LayerKind.ANY,)
