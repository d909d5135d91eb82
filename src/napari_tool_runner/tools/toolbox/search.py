"""Fuzzy, ranked search over the light entries, fast enough for every keystroke.

Words of all fields but the help form one vocabulary. Each word of the query finds words
of the vocabulary (equal, beginning, inside, or misspelt), and these their tools; the help
is looked through as it is, which is as fast and needs no preparation. A tool is found
when every word of the query found it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.entries import ToolEntry


__all__ = ["SearchIndex", "edam_label"]

_WORD = re.compile(r"[^\W_]+")
# how much a field tells, from the name to the help
_NAME, _ID, _CATEGORY, _DESCRIPTION, _FORMAT, _EDAM, _HELP = 100, 80, 50, 40, 30, 30, 10
_EQUAL, _BEGINNING, _INSIDE, _MISSPELT = 1.0, 0.8, 0.5, 0.4
_FEW = 4
"""Fewer tools than this, and likely misspellings are looked for too."""
_LIKELY = 40


class SearchIndex:
    """An index over `entries`; made once, asked at every keystroke."""

    def __init__(self, entries: Sequence[ToolEntry]) -> None:
        self._entries = tuple(entries)
        self._postings: dict[str, dict[int, int]] = defaultdict(dict)
        self._names: list[str] = []
        self._helps = [_fold(entry.help) for entry in self._entries]
        for number, entry in enumerate(self._entries):
            name = _fold(entry.name)
            self._names.append(name)
            # the last field wins: go from the least to the most telling
            terms = (*entry.edam, *map(edam_label, entry.edam))
            self._add(number, _EDAM, " ".join(terms))
            self._add(number, _FORMAT, " ".join(entry.formats))
            self._add(number, _DESCRIPTION, entry.description)
            self._add(number, _CATEGORY, " ".join(entry.categories))
            self._add(number, _ID, entry.id)
            self._add(number, _NAME, name)

    def search(self, text: str, limit: int | None = None) -> list[ToolEntry]:
        """Return the entries that fit `text`, best first; all of them for empty text."""
        query = _fold(text).strip()
        words = _WORD.findall(query)
        if not words:
            return list(self._entries[:limit])
        scores: dict[int, float] | None = None
        for word in dict.fromkeys(words):
            found = self._word(word)
            if scores is None:
                scores = found
            else:
                scores = {key: scores[key] + found[key] for key in scores.keys() & found.keys()}
        assert scores is not None
        if not scores:
            scores = self._letters(query)
        for number in scores:
            name = self._names[number]
            if name == query or _fold(self._entries[number].id) == query:
                scores[number] += 3 * _NAME
            elif name.startswith(query):
                scores[number] += _NAME
            elif query in name:
                scores[number] += _NAME / 2
        order = sorted(scores, key=lambda n: (-scores[n], len(self._names[n]), self._names[n]))
        return [self._entries[number] for number in order[:limit]]

    def _add(self, number: int, weight: int, text: str) -> None:
        for word in set(_WORD.findall(_fold(text))):
            self._postings[word][number] = weight

    def _word(self, word: str) -> dict[int, float]:
        """Return number of entry -> score for one word of the query."""
        scores: dict[int, float] = {}
        for known in self._postings:
            if word not in known:
                continue
            if known == word:
                quality = _EQUAL
            elif known.startswith(word):
                quality = _BEGINNING
            elif len(word) > 1:
                quality = _INSIDE
            else:
                continue
            self._collect(known, quality, scores)
        if len(word) > 1:
            for number, text in enumerate(self._helps):
                if word in text and number not in scores:
                    scores[number] = _HELP
        if len(scores) < _FEW and len(word) > 3 and word.isalpha():
            for known, likeness in self._misspelt(word):
                self._collect(known, _MISSPELT * likeness, scores)
        return scores

    def _collect(self, known: str, quality: float, scores: dict[int, float]) -> None:
        for number, weight in self._postings[known].items():
            value = weight * quality
            if value > scores.get(number, 0.0):
                scores[number] = value

    def _misspelt(self, word: str) -> list[tuple[str, float]]:
        """Return words of the vocabulary that look like `word`, with their likeness.

        A swap of neighbours counts 1. What was typed may be the misspelt beginning of a
        longer word.
        """
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        allowed = 1 if len(word) < 7 else 2
        least = len(word) - allowed
        likely = [known for known in self._postings if len(known) >= least]
        best: dict[str, int] = {}
        for length in (len(word), len(word) + allowed):
            cut = [known[:length] for known in likely]
            found = extract(word, cut, scorer=OSA.distance, score_cutoff=allowed, limit=_LIKELY)
            for _, distance, number in found:
                known = likely[number]
                best[known] = min(distance, best.get(known, distance))
        return [(known, 1 - distance / len(word)) for known, distance in best.items()]

    def _letters(self, query: str) -> dict[int, float]:
        """Find names that have the letters of `query` in this order (``gblur``)."""
        letters = re.sub(r"\W+", "", query)
        if len(letters) < 2:
            return {}
        pattern = re.compile(r"\b" + ".{0,12}?".join(map(re.escape, letters)))
        found: dict[int, float] = {}
        for number, name in enumerate(self._names):
            match = pattern.search(name)
            if match:
                found[number] = 10 * len(letters) / len(match[0])
        return found


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text)
    return "".join(ch for ch in plain if not unicodedata.combining(ch)).casefold()


# -- EDAM ----------------------------------------------------------------------------

# terms of EDAM 1.25 about imaging and the general ones beside them; others are found by
# their identifier
_EDAM_LABELS = {
    "operation_3434": "Conversion",
    "operation_3443": "Image analysis",
    "operation_3446": "Cell migration analysis",
    "operation_3450": "Neurite measurement",
    "operation_3457": "Single particle analysis",
    "operation_3458": "Single particle alignment and classification",
    "operation_3465": "Correlation",
    "operation_3659": "Regression analysis",
    "operation_3664": "Statistical modelling",
    "operation_3695": "Filtering",
    "topic_3382": "Imaging",
    "topic_3383": "Bioimaging",
    "topic_3384": "Medical imaging",
    "topic_3385": "Light microscopy",
    "topic_3452": "Tomography",
    "topic_3473": "Data mining",
    "topic_3474": "Machine learning",
}


def edam_label(term: str) -> str:
    """Return the label of `term`, which may be a whole address; unknown: `term`."""
    match = re.search(r"(operation|topic|data|format)_\d{4}$", term.strip())
    return _EDAM_LABELS.get(match[0], term) if match else term
