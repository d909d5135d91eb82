from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from napari_tool_runner.tools.toolbox.entries import ToolEntry
from napari_tool_runner.tools.toolbox.search import SearchIndex, edam_label


def entry(name: str, **more: object) -> ToolEntry:
    plain = ToolEntry(
        key=name.lower().replace(" ", "_"),
        id=name.lower().replace(" ", "_"),
        name=name,
        version="1",
        description="",
        categories=(),
        formats=(),
        edam=(),
        uri="",
        digest="",
        toolbox="",
        dialect="bioimageit",
        requirements=(),
        thumbnail="",
        help="",
    )
    return plain._replace(**more)  # type: ignore[arg-type]


BOX = SearchIndex(
    [
        entry("Gaussian filter", description="Blurs an image", categories=("Filtering",)),
        entry("Median filter", help="Removes salt and pepper noise; not like a Gaussian."),
        entry("Threshold", description="Makes a mask", formats=("imagetiff", "png")),
        entry("Auto-threshold", description="Otsu, Li and others", edam=("operation_3443",)),
        entry("Richardson–Lucy deconvolution", id="rl_deconv", categories=("Déconvolution",)),
        entry("Détection de spots", description="Finds spots"),
        entry("Split touching objects", description="Watershed"),
    ]
)


def names(text: str, limit: int | None = None) -> list[str]:
    return [found.name for found in BOX.search(text, limit).entries]


def test_every_field_finds() -> None:
    assert names("gaussian")[0] == "Gaussian filter"
    assert names("blurs")[0] == "Gaussian filter"
    assert set(names("filtering")) == {"Gaussian filter", "Median filter"}
    assert names("pepper") == ["Median filter"]
    assert names("png") == ["Threshold"]
    assert names("3443") == ["Auto-threshold"]
    assert names("image analysis") == ["Auto-threshold"]  # what EDAM calls it
    assert names("rl_deconv") == ["Richardson–Lucy deconvolution"]
    assert names("watershed") == ["Split touching objects"]


def test_ranking() -> None:
    assert names("gaussian") == ["Gaussian filter", "Median filter"]
    assert names("threshold") == ["Threshold", "Auto-threshold"]
    assert names("filter")[:2] == ["Median filter", "Gaussian filter"]
    assert names("filter", 1) == ["Median filter"]


def test_all_words_must_fit() -> None:
    assert names("median filter") == ["Median filter"]
    assert BOX.search("median filter").whole


def test_where_none_fits_all_words_those_that_fit_some_are_nearest() -> None:
    found = BOX.search("median png")
    assert not found.whole
    assert {entry.name for entry in found.entries} == {"Median filter", "Threshold"}
    assert BOX.search("gaussian threshold mask").entries[0].name == "Threshold"


def test_beginnings_accents_and_case() -> None:
    assert names("thr") == ["Threshold", "Auto-threshold"]
    assert names("DETECTION") == ["Détection de spots"]
    assert names("déconv") == ["Richardson–Lucy deconvolution"]
    assert names("lucy-richardson") == ["Richardson–Lucy deconvolution"]


def test_misspellings() -> None:
    for typo in ("treshold", "threshhold", "thershold", "threshodl"):
        assert names(typo)[:2] == ["Threshold", "Auto-threshold"]
    assert names("gausian")[0] == "Gaussian filter"
    assert names("deconvoltion") == ["Richardson–Lucy deconvolution"]
    assert names("medain") == ["Median filter"]
    assert names("zzzzzz") == []


def test_letters_in_order() -> None:
    assert names("gfilt") == ["Gaussian filter"]
    assert names("spltobj") == ["Split touching objects"]


def test_empty_text_is_everything() -> None:
    assert len(names("")) == 7
    assert names("  ", 2) == ["Gaussian filter", "Median filter"]
    assert BOX.search(" -_ ") == ((), False, False, "")  # signs are a question that none answers


def test_a_help_has_a_word_from_its_beginning_and_a_short_one_as_it_is() -> None:
    box = SearchIndex([entry("A", help="Removes pepper, foundOne, a list")])
    for typed, found in (("pepp", 0), ("peppe", 1), ("undone", 0), ("list", 1), ("lis", 0)):
        assert len(box.search(typed).entries) == found, typed


@given(st.text(max_size=40))
def test_any_text_is_a_query(text: str) -> None:
    found = BOX.search(text).entries
    assert len(found) == len(set(found))


@given(st.text("abcdefgh", min_size=7, max_size=9), st.integers(0, 5), st.sampled_from("dsr"))
def test_a_slip_of_the_pen_still_finds_the_word(word: str, place: int, slip: str) -> None:
    typed = {
        "d": word[:place] + word[place + 1 :],
        "s": word[:place] + word[place + 1] + word[place] + word[place + 2 :],
        "r": word[:place] + "z" + word[place + 1 :],
    }[slip]
    found = SearchIndex([entry("other"), entry(f"tool {word}")]).search(typed).entries
    assert [one.name for one in found] == [f"tool {word}"]


def test_the_work_of_a_keystroke_stays_small_with_many_tools() -> None:
    """Counted, not timed: how many words are compared letter by letter."""
    words = random.Random(1)
    made = [" ".join("".join(words.choices("abcdefgh", k=7)) for _ in "12") for _ in range(2000)]
    many = SearchIndex([entry(f"tool{n}", description=text) for n, text in enumerate(made)])
    assert len(many._postings) > 3000
    assert len(many._misspelt("abcdefg")) <= 80


def test_edam_labels() -> None:
    assert edam_label("http://edamontology.org/topic_3383") == "Bioimaging"
    assert edam_label("operation_9999") == "operation_9999"
    assert edam_label("Segmentation") == "Segmentation"
