"""What people mean by the words that they type, as `words.toml` and `tongues.toml` have it."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Meaning",
    "apart",
    "fold",
    "is_told",
    "meanings",
    "spellings",
    "stem",
    "told_words",
    "words_of",
]

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
    ]
)
"""What something shall become, which is not what it is; dice are no DIC, grainy is no grain."""
_HEAD = "~"
"""Before a word that stands for others, so that *number objects* is not *number of cells*."""
_PIECE = 100
_MOST_LETTERS = 40
"""Of a word that is taken apart."""
_LEAST = 3
"""Letters that are left of a word without its ending."""
# a name that has the word somewhere counts half as much again, one that begins with it twice:
# what a word most means goes between them
_WORD_MEANS, _PHRASE_MEANS, _NEXT, _LESS, _BEGUN = 1.6, 1.2, 0.9, 0.08, 0.9
_BRAND, _SUBJECT, _GENERAL = 0.05, 0.1, 0.4


class Meaning(NamedTuple):
    """A word or phrase of a query, and what tools may have instead of it.

    Parameters
    ----------
    words : tuple of str
        As they were typed.
    instead : tuple of (float, tuple of str)
        How much it counts that a tool has all of those words; typed ones count 1.
    tells : float
        How much it says of a tool beside words that say more: what is worked on says the least.
    lacks : bool
        No tool that ships does it; those are the nearest.
    """

    words: tuple[str, ...]
    instead: tuple[tuple[float, tuple[str, ...]], ...] = ()
    tells: float = 1.0
    lacks: bool = False


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
        if cut == word or len(cut) < _LEAST:
            break
        doubled = len(cut) > _LEAST and not word.endswith("y")
        word = _DOUBLED.sub(r"\1\2", cut) if doubled else cut
    return word


_Tools = tuple[tuple[str, ...], ...]


class _Table(NamedTuple):
    same: dict[str, str]
    means: dict[tuple[str, ...], _Tools]
    lacks: frozenset[tuple[str, ...]]
    by_length: dict[int, list[tuple[frozenset[str], tuple[str, ...]]]]
    unsaid: frozenset[str]
    tells: dict[str, float]
    joins: frozenset[str]
    links: frozenset[str]
    endings: dict[str, str]
    english: dict[str, list[str]]
    typed: frozenset[str]
    spellings: frozenset[str]


@cache
def _table() -> _Table:
    here = Path(__file__).parent
    told = tomllib.loads((here / "words.toml").read_text(encoding="utf-8"))
    tongues = tomllib.loads((here / "tongues.toml").read_text(encoding="utf-8"))
    unsaid = frozenset(map(fold, told["unsaid"] + tongues["small"]))
    same = {
        _plain(words_of(word)): _HEAD + stem(name)
        for name, words in told["same"].items()
        for word in (name, *words)
    }
    means: dict[tuple[str, ...], _Tools] = {}
    lacks = set[tuple[str, ...]]()
    for phrase, tools in (told["means"] | told["lacks"]).items():
        known = tuple(tuple(words_of(tool)) for tool in tools)
        plain = tuple(map(_plain, _said(words_of(phrase), same, unsaid)))
        head = tuple(same.get(word, word) for word in plain)
        if phrase in told["lacks"]:
            lacks.update({plain} if head in means else {plain, head})
        means[plain] = known
        # two words for objects are no “label objects”; a name of several words is not its kind
        if len(set(head)) == len(head) and not (
            " " in plain[0] and len(plain) == 1 and head != (_HEAD + plain[0],)
        ):
            means.setdefault(head, known)
    tells = {
        same.get(stem(word), stem(word)): much
        for much, key in ((_BRAND, "brands"), (_SUBJECT, "subjects"), (_GENERAL, "general"))
        for word in told[key]
    }
    by_length: dict[int, list[tuple[frozenset[str], tuple[str, ...]]]] = {}
    for phrase in means:
        by_length.setdefault(len(phrase), []).append((frozenset(phrase), phrase))
    english = {
        fold(word): words_of(name) for name, words in tongues["english"].items() for word in words
    }
    joins = frozenset(told["joins"])
    links = frozenset(tongues["links"])
    endings = {
        stem(ending): _HEAD + stem(name)
        for name, several in told["endings"].items()
        for ending in several
    }
    typed = {one for one in told["means"] if one.isalpha()} | english.keys()
    texts = (*told["means"], *told["lacks"], *told["same"], *chain(*told["same"].values()))
    return _Table(
        same,
        means,
        frozenset(lacks),
        by_length,
        unsaid,
        tells,
        joins,
        links,
        endings,
        english,
        frozenset(typed),
        frozenset(one for text in texts for one in words_of(text)),
    )


@cache
def _told() -> frozenset[str]:
    """The stems of the table's words."""
    table = _table()
    in_phrases = (word for phrase in (table.same, *table.means) for word in phrase)
    return frozenset(one for word in in_phrases for one in word.split())


def is_told(word: str) -> bool:
    """Return whether the table has `word`."""
    return (
        word in _table().unsaid
        or stem(word) in _told()
        or _in_english(word) is not None
        or bool(_by_ending(stem(word)))
    )


def _by_ending(word: str) -> str:
    """Return what a word stands for that ends as names of such things do (hepatocyte)."""
    endings = _table().endings
    ends = (head for ending, head in endings.items() if word.endswith(ending) and word != ending)
    return next(ends, "")


def told_words() -> frozenset[str]:
    """Return the single words that the table leads to a tool, as they are typed."""
    return _table().typed


def spellings() -> frozenset[str]:
    """Return the words of the table, as they are spelt."""
    return _table().spellings


def _in_english(word: str) -> list[str] | None:
    """Return a word of another tongue, or its plural, in English; None: it is none."""
    english = _table().english
    return english.get(word) or english.get(word.removesuffix("s"))


def _said(
    words: Sequence[str], same: Mapping[str, str], unsaid: frozenset[str]
) -> list[tuple[str, ...]]:
    """Return words without those that say nothing; those of one name are together (how many)."""
    together, at = list[tuple[str, ...]](), 0
    while at < len(words):
        count = next((n for n in (3, 2) if _plain(words[at : at + n]) in same), 1)
        together.append(tuple(words[at : at + count]))
        at += count
    return [one for one in together if len(one) > 1 or one[0] not in unsaid] or together


def _plain(words: Sequence[str]) -> str:
    return " ".join(map(stem, words))


def _flat(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(chain.from_iterable(names))


def meanings(
    text: str, *, loosely: bool = False, exactly: frozenset[str] = frozenset()
) -> list[Meaning]:
    """Return what the words of a query mean; the last one may be only begun.

    `loosely`: a word may stand for the shortest phrase that has it. `exactly`: words that are
    not begun.
    """
    table = _table()
    typed = [word for one in words_of(text) for word in _in_english(one) or [one]]
    said = _said(typed, table.same, table.unsaid)
    plain = list(map(_plain, said))
    known = [table.same.get(word) or _by_ending(word) or word for word in plain]
    free = set(range(len(said)))
    open_end = bool(said) and said[-1][-1] not in exactly
    found: dict[tuple[int, ...], Meaning] = {}
    for count in range(min(max(table.by_length), len(said)), 1, -1):
        fits = (one for words, one in table.by_length.get(count, ()) if words <= {*plain, *known})
        for _, phrase, places in sorted(_as_typed(one, plain, known) for one in fits):
            if free.issuperset(places):
                free.difference_update(places)
                found[places] = _meant(table, _flat(said[at] for at in places), phrase)
        last = range(len(said) - count, len(said))
        if open_end and free.issuperset(last) and (phrase := _begun(table, _flat(said[-count:]))):
            free.difference_update(last)
            found[tuple(last)] = _meant(table, _flat(said[-count:]), phrase, _BEGUN)
    for place in free:
        own, head, sure = (plain[place],), (known[place],), 1.0
        phrase = next((one for one in (own, head) if one in table.means), ())
        if not phrase and open_end and place == len(said) - 1:
            phrase, sure = _begun(table, said[place]), _BEGUN
        if loosely and not phrase:
            having = (one for one in table.means if plain[place] in one or known[place] in one)
            phrase = min(having, key=len, default=())
        tells = table.tells.get(known[place], 1.0)
        found[place,] = _meant(table, said[place], phrase, sure, tells)
    return [found[places] for places in sorted(found)]


def apart(word: str, known: Callable[[str], bool]) -> tuple[tuple[str, ...], bool]:
    """Return the words that `word` joins (``maskimage``, ``imtophat``), and whether they are all.

    Of several ways it is the one that leaves the fewest letters, with the fewest words; none
    where it leaves more than half.
    """
    joins, links = _table().joins, _table().links
    word = word[:_MOST_LETTERS]
    best: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, ())]  # letters left, pieces
    for end in range(1, len(word) + 1):
        left, count, pieces = best[-1]
        fits = [(left + 1, count, pieces)]
        for at in range(end):
            piece = word[at:end]
            left, count, pieces = best[at]
            if piece in joins or (piece in links and pieces and not left and end < len(word)):
                fits.append((left, count + 1, pieces))
            elif end - at >= (_LEAST if piece.isascii() else 1) and known(piece):
                fits.append((left, count + 1, (*pieces, piece)))
        best.append(min(fits))
    left, _, pieces = best[-1]
    return pieces if 2 * left <= len(word) or not word.isascii() else (), not left


def _as_typed(
    phrase: tuple[str, ...], plain: Sequence[str], known: Sequence[str]
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[int, ...]]:
    """Return how far a phrase is from what was typed, the phrase, and where its words stand.

    Nearest is what has its words next to each other, the same ones (none that stands for
    another), in this order, first.
    """
    places, others = list[int](), 0
    for word in phrase:
        exact = [n for n, one in enumerate(plain) if one == word and n not in places]
        fits = exact or [n for n, one in enumerate(known) if one == word and n not in places]
        others += not exact
        places += fits[:1]
    there = tuple(sorted(places))
    if len(there) < len(phrase):  # one word of the query for two of the phrase
        return (len(plain),), phrase, (len(plain),)
    between = there[-1] - there[0] - len(there) + 1
    return (between, others, places != [*there], there[0]), phrase, there


def _meant(
    table: _Table,
    typed: tuple[str, ...],
    phrase: tuple[str, ...],
    sure: float = 1.0,
    tells: float = 1.0,
) -> Meaning:
    """Return what typed words mean that are, or begin, a phrase of the table; empty: none."""
    tools = table.means.get(phrase, ())
    first = _PHRASE_MEANS if len(phrase) > 1 else _WORD_MEANS
    each = (first, *(_NEXT - _LESS * rank for rank in range(len(tools))))
    instead = tuple((sure * weight, tool) for weight, tool in zip(each, tools, strict=False))
    return Meaning(typed, instead, tells, phrase in table.lacks)


def _begun(table: _Table, words: Sequence[str]) -> tuple[str, ...]:
    """Return the first phrase that begins with `words`, of which the last is cut; else none."""
    *whole, last = words
    if len(last) < _LEAST - bool(whole):
        return ()
    before = tuple(map(stem, whole))
    for _, phrase in table.by_length.get(len(words), ()):
        if phrase[:-1] == before and phrase[-1].startswith(last):
            return phrase
    return ()
