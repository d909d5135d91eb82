"""Fuzzy, ranked search over the light entries, fast enough for every keystroke.

Words of all fields but the help form one vocabulary. Each word of the query finds words
of the vocabulary (equal, of one stem, beginning, inside, or misspelt), and these their tools;
the help is looked through as it is, which is as fast and needs no preparation. What people
call it otherwise (`words`) finds tools, too. A tool is found when every word or phrase of the
query found it, but for those that say less than others (on what something is done); where there
is none, when some did.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.tools.toolbox.elsewhere import elsewhere
from napari_tool_runner.tools.toolbox.spelling import LONG, Spelling
from napari_tool_runner.tools.toolbox.stems import fold, stem, words_of
from napari_tool_runner.tools.toolbox.words import (
    Meaning,
    apart,
    is_spelt,
    is_told,
    is_unsaid,
    meanings,
    spellings,
    told_words,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.entries import ToolEntry

__all__ = ["Hits", "SearchIndex", "edam_label"]

# how much a field tells, from the name to the help
_NAME, _ID, _FORMAT, _CATEGORY, _DESCRIPTION, _EDAM, _HELP = 100, 80, 60, 50, 40, 30, 10
_LABEL = 35
_EQUAL, _STEM, _BEGINNING, _INSIDE, _MISSPELT = 1.0, 0.9, 0.8, 0.5, 0.4
_FEW = 4
"""Fewer tools than this, and likely misspellings are looked for too."""
_LIKELY = 40
_TELLING = 60
"""A score from which on a word is one of a tool's name, not of its help."""
_WEAK = 0.6
_KEPT = 256
"""Words whose tools are remembered."""
_MOST_LETTERS = 40
"""Of a query that are looked for in names."""
_ACRONYM = re.compile(r"\b[A-Z][A-Z0-9]{1,4}\b")
_SHORT = 4
"""Letters up to which a word is neither a part of another one nor misspelt."""
_ALIKE, _MOST_ALIKE = 70, 3
"""Percent of the letters that words share which look alike, and how many are named."""
_NEAR = range(1, 14)
"""How far a letter is from the one before it."""


class Hits(NamedTuple):
    """What a search found, best first; not `whole`: no tool fits every word, these do some.

    `lacks`: it is known that no tool does it; these are the nearest. `elsewhere`: a sentence that
    says where it is done.
    """

    entries: tuple[ToolEntry, ...]
    whole: bool = True
    lacks: bool = False
    elsewhere: str = ""


class _Found(NamedTuple):
    """Number of entry -> score, and what `Hits` says of them."""

    scores: dict[int, float]
    whole: bool = True
    lacks: bool = False


class SearchIndex:
    """An index over `entries`; made once, asked at every keystroke."""

    def __init__(self, entries: Sequence[ToolEntry]) -> None:
        self._entries = tuple(entries)
        self._postings: dict[str, dict[int, int]] = defaultdict(dict)
        self._stems: dict[str, list[str]] = defaultdict(list)
        self._names: list[str] = []
        self._ids = [fold(entry.id) for entry in self._entries]
        self._helps = [f" {' '.join(words_of(entry.help))} " for entry in self._entries]
        for number, entry in enumerate(self._entries):
            name = fold(entry.name)
            self._names.append(name)
            # the last field wins: go from the least to the most telling
            terms = (*entry.edam, *map(edam_label, entry.edam))
            self._add(number, _EDAM, " ".join(terms))
            self._add(number, _FORMAT, " ".join(entry.formats))
            self._add(number, _LABEL, entry.labels)
            self._add(number, _DESCRIPTION, entry.description)
            self._add(number, _CATEGORY, " ".join(entry.categories))
            self._add(number, _ID, entry.id)
            self._add(number, _NAME, name)
        for word in self._postings:
            self._stems[stem(word)].append(word)
        # what a word means is made of words that come again, also with the next keystroke
        self._word = lru_cache(maxsize=_KEPT)(self._find_word)
        self._spelling = Spelling((*self._postings, *spellings()), told_words())
        meanings("")  # the table is read now, not at the first keystroke

    def search(self, text: str, limit: int | None = None) -> Hits:
        """Return the entries that fit `text`, best first; all of them for empty text."""
        text = text.rpartition(">")[2].strip() or text  # the last entry of a menu
        query = fold(text).strip()
        words = words_of(query)
        exactly = frozenset() if text.isupper() and len(words) > 1 else _acronyms(text)
        if not words:  # an emoji is no question that all tools answer
            return Hits((), whole=False) if query else Hits(self._entries[:limit])
        words = self._spelling.mended(words, self._known, self._names_tool)
        unsaid = len(query) > 1 and all(map(is_unsaid, words))
        said, told = elsewhere(words)
        if said:  # it is no beginning of other words
            words, exactly = told, exactly.union(told)
        parts = {one: apart(one, self._is_part) for one in words if not self._known(one)}
        joined = {
            one: pieces for one, (pieces, all_known) in parts.items() if all_known and pieces
        }
        found = self._found(query, words, joined, exactly)
        near = len(parts) < len(words) or any(pieces for pieces, _ in parts.values())
        if not found.scores and near:
            some = {one: _ends(one, pieces) for one, (pieces, _) in parts.items()}
            found = self._found(query, words, some, exactly, loosely=True)
            found = found._replace(whole=False)
        if said and not (found.whole or found.lacks):
            found = _Found({}, whole=False)
        if unsaid:
            scores = {n: score for n, score in found.scores.items() if self._is_named(n, words)}
            found = _Found(scores, whole=bool(scores))
        elif (said or not found.whole) and max(found.scores.values(), default=0) < _LABEL:
            found = _Found({}, whole=False)  # a word of a help, or one spelt so, is no tool
        return Hits(self._best(query, found.scores, limit), found.whole, found.lacks, said)

    def alike(self, text: str) -> tuple[tuple[str, ...], tuple[ToolEntry, ...]]:
        """Return words that look like one of `text` that nobody knows, and their tools."""
        from rapidfuzz.fuzz import ratio
        from rapidfuzz.process import extract

        telling = (word for word, of in self._postings.items() if max(of.values()) >= _LABEL)
        known = {*telling, *told_words()}
        found = [
            (likeness, word)
            for one in dict.fromkeys(words_of(text))
            if len(one) >= _SHORT
            for word, likeness, _ in extract(
                one[:_MOST_LETTERS], known, scorer=ratio, score_cutoff=_ALIKE, limit=_MOST_ALIKE
            )
        ]
        best = [word for _, word in sorted(found, reverse=True)[:_MOST_ALIKE]]
        tools = dict.fromkeys(entry for word in best for entry in self.search(word, 2).entries)
        return tuple(dict.fromkeys(best)), tuple(tools)

    def _found(
        self,
        query: str,
        words: Sequence[str],
        apart: Mapping[str, Sequence[str]],
        exactly: frozenset[str],
        *,
        loosely: bool = False,
    ) -> _Found:
        """Find what fits words, some of which are taken `apart`; `loosely`: or what comes near.

        Those of `exactly` are no beginning of longer ones.
        """
        said = " ".join(part for one in words for part in apart.get(one, [one]))
        meant = meanings(said, loosely=loosely, exactly=exactly)
        found = [self._meaning(one, exactly) for one in meant]
        best = [max(scores.values(), default=0) for scores in found]
        most = max(
            (meant[n].tells for n, one in enumerate(best) if one >= _DESCRIPTION), default=0
        )
        acts = [n for n, one in enumerate(meant) if one.tells >= most]
        for n, one in enumerate(meant):
            if one.tells < most:  # what is done tells the tool, what it is done to little
                found[n] = {number: one.tells * score for number, score in found[n].items()}
            elif best[n] < _DESCRIPTION and most:  # stands in helps, where no word says much
                found[n] = {number: most * score for number, score in found[n].items()}
        needed = [n for n in acts if most and (meant[n].instead or best[n] >= _TELLING)] or acts
        some: dict[int, float] = {}
        for scores in found:
            for number, score in scores.items():
                some[number] = some.get(number, 0.0) + score
        having = [{number for number, score in scores.items() if score} for scores in found]
        whole = {n: some[n] for n in set(some).intersection(*(having[n] for n in needed))}
        if max(whole.values(), default=0) < _WEAK * max(some.values(), default=0):
            whole = {}  # all words stand somewhere in its help: another tool has the most of them
        elif not whole and not exactly and (letters := self._letters(query)):
            return _Found(letters)
        lacking = any(
            one.lacks and one.tells >= most and not self._has(one.words) for one in meant
        )
        fitting = bool(set(whole).intersection(*(having[n] for n in acts)))
        return _Found(whole or some, fitting and not lacking, lacking)

    def _known(self, word: str) -> bool:
        """Whether a tool or the table has a word."""
        return is_told(word) or bool(self._stems.get(stem(word)))

    def _is_part(self, word: str) -> bool:
        """Whether a word may be a part of another one: as it is spelt, or nearly so."""
        spelt = word in self._postings or is_spelt(word)
        near = _SHORT <= len(word) <= 2 * len(stem(word))
        return (spelt or near) and self._known(word)

    def _names_tool(self, word: str) -> bool:
        """Whether a word is one of a tool's name."""
        return max(self._postings.get(word, {0: 0}).values()) >= _ID

    def _is_named(self, number: int, words: Iterable[str]) -> bool:
        """Whether a tool is named with, or begins with, one of `words`."""
        return any(self._word(word, False).get(number, 0) >= _TELLING for word in words)

    def _has(self, words: Sequence[str]) -> bool:
        """Whether a tool says itself that it does what `words` are."""
        return max(self._together(words, min).values(), default=0) >= _DESCRIPTION

    def _best(
        self, query: str, scores: dict[int, float], limit: int | None
    ) -> tuple[ToolEntry, ...]:
        for number in scores:
            name = self._names[number]
            if query in (name, self._ids[number]):
                scores[number] += 3 * _NAME
            elif name.startswith(query):
                scores[number] += _NAME
            elif query in name:
                scores[number] += _NAME / 2
        order = sorted(scores, key=lambda n: (-scores[n], len(self._names[n]), self._names[n], n))
        return tuple(self._entries[number] for number in order[:limit])

    def _meaning(self, meaning: Meaning, exactly: frozenset[str]) -> dict[int, float]:
        """Return number of entry -> score for a word or phrase, or what stands for it."""
        scores = self._together(meaning.words, exactly=exactly)
        for quality, words in meaning.instead:
            for number, score in self._together(words, min).items():
                if (value := quality * score) > scores.get(number, 0.0):
                    scores[number] = value
        return scores

    def _together(
        self,
        words: Sequence[str],
        of: Callable[[Sequence[float]], float] = fmean,
        exactly: frozenset[str] = frozenset(),
    ) -> dict[int, float]:
        """Return number of entry -> mean (or least) score of the words, where it has them all."""
        each = [self._word(word, word in exactly) for word in words]
        if len(each) == 1:
            return each[0].copy()
        common = set(each[0]).intersection(*each[1:])
        return {number: of([one[number] for one in each]) for number in common}

    def _add(self, number: int, weight: int, text: str) -> None:
        for word in set(words_of(text)):
            self._postings[word][number] = weight

    def _find_word(self, word: str, exactly: bool) -> dict[int, float]:
        """Return number of entry -> score for one word of the query; `exactly`: an acronym."""
        scores: dict[int, float] = {}
        for known in self._postings:
            if word not in known:
                continue
            if known == word:
                quality = _EQUAL
            elif exactly:
                continue
            elif known.startswith(word):
                quality = _BEGINNING
            elif len(word) > _SHORT:
                quality = _INSIDE
            else:
                continue
            self._collect(known, quality, scores)
        for known in self._stems.get(stem(word), ()):
            self._collect(known, _STEM, scores)
        if exactly:
            return scores
        if len(word) > 1:
            begun = word if not word.isascii() else f" {word}" + " " * (len(word) <= _SHORT)
            for number, text in enumerate(self._helps):
                if begun in text and number not in scores:
                    scores[number] = _HELP
        if len(scores) < _FEW and len(word) > _SHORT and word.isalpha():
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

        allowed = 1 if len(word) < LONG else 2
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
        letters = re.sub(r"\W+", "", query)[:_MOST_LETTERS]
        if len(letters) < _SHORT:
            return {}
        in_order = re.compile("".join(f"[^{letter}]*+{letter}" for letter in letters))
        found: dict[int, float] = {}
        for number, name in enumerate(self._names):
            if in_order.match(name) and (length := _length(name, letters)):
                found[number] = 10 * len(letters) / length
        return found


def _ends(word: str, pieces: Sequence[str]) -> tuple[str, ...]:
    """Return those `pieces` of a word that nobody knows that say what it is; none: itself."""
    ends = (one for one in pieces if len(one) >= _SHORT or not one.isascii())
    return tuple(one for one in ends if word.startswith(one) or word.endswith(one)) or (word,)


def _acronyms(text: str) -> frozenset[str]:
    """Return the words of a query in capital letters (MFI), folded."""
    return frozenset(map(fold, _ACRONYM.findall(text)))


def _length(name: str, letters: str) -> int:
    """Return how much of `name`, from the beginning of a word, has `letters` near each other.

    0: they are not, in this order. Places are the bits of a number, so that a name of a stranger
    that has a letter many times is gone through once.
    """
    places = dict.fromkeys(letters, 0)
    for at, letter in enumerate(name):
        if letter in places:
            places[letter] |= 1 << at
    words = re.finditer(rf"\b{letters[0]}", name)
    reached = [sum(1 << word.start() for word in words)]
    for letter in letters[1:]:
        before = reached[-1]
        reached.append(places[letter] & reduce(or_, (before << far for far in _NEAR)))
    end = place = reached[-1] & -reached[-1]  # the first
    for before in reached[-2::-1]:
        place = before & reduce(or_, (place >> far for far in _NEAR))
    return end.bit_length() - place.bit_length() + 1 if end else 0


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
