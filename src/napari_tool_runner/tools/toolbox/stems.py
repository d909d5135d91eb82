"""A text as words that can be compared: folded, without their endings."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

__all__ = ["LEAST", "fold", "stem", "words_of"]

_WORD = re.compile(r"[^\W_]+")
_GREEK = re.compile("(?<![α-ω])[αβγδεκλστω](?![α-ω])")  # not μ, which is a unit's
_ENDING = re.compile(
    r"(?:i[sz]ations?|[ai][st]ions?|(?<=[cp]t)ions?|acion(?:es)?|ierung(?:en)?|ieren|ments?|ings?|ers?|ies|y|ed|es|s|e)$"
)
_DOUBLED = re.compile(r"(?:([bdgmnprt])\1|(?<=\w{3})(l)l)$")
_ROUNDS = 3
_COMPARED = frozenset(
    [
        "bigger",
        "larger",
        "smaller",
        "brighter",
        "darker",
        "thicker",
        "thinner",
        "dice",
        "blender",
        "grainy",
        "play",
    ]
)
"""What something shall become, which is not what it is; dice are no DIC, grainy is no grain, to
play is no PLA."""
_PIECE = 100
LEAST = 3
"""Letters that are left of a word without its ending."""


def fold(text: str) -> str:
    """Return `text` with neither accents nor capital letters."""
    if text.isascii():
        return text.lower()
    # by pieces: how long it takes to bring accents in order grows with the square of their number
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    plain = "".join(unicodedata.normalize("NFKD", piece) for piece in pieces)
    return "".join(ch for ch in plain if not unicodedata.combining(ch)).casefold()


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded; a Greek letter (γH2AX) is the word for it."""
    folded = fold(text)
    if not folded.isascii():
        folded = _GREEK.sub(lambda letter: f"{_letter(letter[0])} ", folded)
    return _WORD.findall(folded)


def _letter(greek: str) -> str:
    return unicodedata.name(greek).rpartition(" ")[2].lower().replace("lamda", "lambda")


@cache
def stem(word: str) -> str:
    """Return an English word without its endings, so that *trackers* are *track*."""
    for _ in range(_ROUNDS if word not in _COMPARED else 0):
        cut = _ENDING.sub("", word, count=1)
        if cut == word or len(cut) < LEAST:
            break
        doubled = len(cut) > LEAST and not word.endswith("y")
        word = _DOUBLED.sub(r"\1\2", cut) if doubled else cut
    return word
