"""What was typed, as it is spelt: slips mended, halves of a word put together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from napari_tool_runner.tools.toolbox.stems import stem
from napari_tool_runner.tools.toolbox.words import apart

__all__ = ["LONG", "Spelling"]

_SHORT = 4
"""Letters up to which a word is a correction only if it leads to a tool and begins and ends as
what was typed (otzu); shorter ones are not corrected."""
LONG = 9
"""Letters from which on a word may be misspelt twice."""
_KEPT = 256
"""Words whose spelling is remembered."""

_Asked = Callable[[str], bool]


class Spelling:
    """How `words`, and short ones that are `told`, are spelt; made once, asked at every key."""

    def __init__(self, words: Iterable[str], told: Iterable[str] = ()) -> None:
        fit = {one for one in words if len(one) > _SHORT and one.isalpha() and one.isascii()}
        self._words = sorted(fit)
        self._short = sorted({one for one in told if len(one) == _SHORT and one.isalpha()})
        self._stems = sorted({one for one in map(stem, fit) if len(one) > _SHORT})
        self._nearest = lru_cache(maxsize=_KEPT)(self._find_nearest)

    def mended(self, typed: Sequence[str], known: _Asked, in_name: _Asked) -> list[str]:
        """Return typed words as they are spelt.

        Two are one (star dist) that is `known`, if one of them is not, or it is `in_name`.
        """
        told = list[str]()
        for word in typed:
            both = told[-1] + word if told else ""
            halves = both and not (known(told[-1]) and known(word))
            if (halves and known(both)) or in_name(both):
                told[-1] = both
            else:
                told.append(word)
        return [
            one if len(one) < _SHORT or known(one) else self._nearest(one, known) for one in told
        ]

    def _find_nearest(self, word: str, known: _Asked) -> str:
        """Return what a word that is none is meant to be; itself if it begins or joins some."""
        if not (word.isascii() and word.isalpha()):
            return word
        if len(word) == _SHORT:
            same_ends = (one for one in self._short if one[0] + one[-1] == word[0] + word[-1])
            if short := _closest(word, same_ends):
                return short
        at = bisect_left(self._words, word)
        begun = at < len(self._words) and self._words[at].startswith(word)
        if begun or apart(word, known)[1]:
            return word
        ended = _closest(cut, self._stems) if (cut := stem(word)) != word else ""
        return _closest(word, self._words) or ended or word


def _closest(word: str, words: Iterable[str]) -> str:
    """Return which of `words` a word is, but for a slip or two; empty: none."""
    from rapidfuzz.distance import OSA
    from rapidfuzz.process import extractOne

    if len(word) < _SHORT:
        return ""
    near = [known for known in words if known[0] in word[:2]]
    allowed = 1 if len(word) < LONG else 2
    found = extractOne(word, near, scorer=OSA.distance, score_cutoff=allowed)
    return found[0] if found else ""
