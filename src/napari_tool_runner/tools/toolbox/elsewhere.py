"""What napari or this plugin's own windows do, so that no tool does it: a sentence says where."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from napari_tool_runner.tools.toolbox.stems import stem, words_of
from napari_tool_runner.tools.toolbox.words import is_subject

__all__ = ["elsewhere"]


def elsewhere(words: Sequence[str]) -> tuple[str, list[str]]:
    """Return where a query's wish is met, and its words that say something; empty: nowhere known.

    That is told by the longest phrase of `elsewhere.toml` beside which the query says no more.
    """
    stems = {stem(word): word for word in words}
    for phrase, beside, sentence in _table():
        if phrase <= stems.keys():
            others = (word for one, word in stems.items() if one not in phrase | beside)
            if all(map(is_subject, others)):
                left = beside - phrase
                return sentence, [word for one, word in stems.items() if one not in left]
    return "", []


@cache
def _table() -> tuple[tuple[frozenset[str], frozenset[str], str], ...]:
    """Return phrases, the longest first, what may stand beside each, and what it tells."""
    text = Path(__file__).with_name("elsewhere.toml").read_text(encoding="utf-8")
    told = tomllib.loads(text)
    always = _stems(" ".join(told["beside"]))
    rows = []
    for sentence, phrases in told["says"].items():
        each = [_stems(phrase) for phrase in phrases]
        beside = always.union(*(one for one in each if len(one) == 1))  # czi to tiff
        rows += [(one, beside, sentence) for one in each]
    return tuple(sorted(rows, key=lambda row: -len(row[0])))


def _stems(text: str) -> frozenset[str]:
    return frozenset(map(stem, words_of(text)))
