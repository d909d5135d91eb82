"""What people mean by the words that they type, as `words.toml` and `tongues.toml` have it."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from napari_tool_runner.tools.toolbox.stems import LEAST, fold, stem, words_of

__all__ = [
    "Meaning",
    "apart",
    "is_spelt",
    "is_subject",
    "is_told",
    "is_unsaid",
    "meanings",
    "spellings",
    "told_words",
]

_HEAD = "~"
"""Before a word that stands for others, so that *number objects* is not *number of cells*."""
_MOST_LETTERS = 40
"""Of a word that is taken apart."""
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


_Tools = tuple[tuple[str, ...], ...]


class _Table(NamedTuple):
    same: dict[str, str]
    means: dict[tuple[str, ...], _Tools]
    lacks: frozenset[tuple[str, ...]]
    by_length: dict[int, list[tuple[str, ...]]]
    by_first: dict[str, list[tuple[str, ...]]]
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
    also, names = (
        {
            " ".join(one.split()): tools.split(", ")
            for tools, several in told[key].items()
            for one in several.split(",")
        }
        for key in ("also", "names")
    )
    leads = told["means"] | also | names
    same = {
        _plain(words_of(word)): _HEAD + stem(name)
        for name, words in told["same"].items()
        for word in (name, *words)
    }
    means, lacks = _phrases(leads, told["lacks"], frozenset(names), same, unsaid)
    tells = {
        same.get(stem(word), stem(word)): much
        for much, key in ((_BRAND, "brands"), (_SUBJECT, "subjects"), (_GENERAL, "general"))
        for word in told[key]
    }
    by_length = defaultdict[int, list[tuple[str, ...]]](list)
    by_first = defaultdict[str, list[tuple[str, ...]]](list)
    for phrase in means:
        by_length[len(phrase)].append(phrase)
        by_first[phrase[0]].append(phrase)
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
    typed = {one for one in leads if one.isalpha()} | english.keys()
    texts = (*leads, *told["lacks"], *told["same"], *chain(*told["same"].values()))
    return _Table(
        same,
        means,
        lacks,
        dict(by_length),
        dict(by_first),
        unsaid,
        tells,
        joins,
        links,
        endings,
        english,
        frozenset(typed),
        frozenset(one for text in texts for one in words_of(text)),
    )


def _phrases(
    leads: Mapping[str, Sequence[str]],
    lacking: Mapping[str, Sequence[str]],
    names: frozenset[str],
    same: Mapping[str, str],
    unsaid: frozenset[str],
) -> tuple[dict[tuple[str, ...], _Tools], frozenset[tuple[str, ...]]]:
    """Return the tools of each phrase, as typed and as the kinds of its words; which lack one."""
    means: dict[tuple[str, ...], _Tools] = {}
    lacks = set[tuple[str, ...]]()
    for phrase, tools in {**leads, **lacking}.items():
        known = tuple(tuple(words_of(tool)) for tool in tools)
        plain = tuple(map(_plain, _said(words_of(phrase), same, unsaid)))
        head = tuple(same.get(word, word) for word in plain)
        if phrase in lacking:
            lacks.update({plain} if head in means else {plain, head})
        means[plain] = known
        # two words for objects are no “label objects”; a name of several words is not its kind,
        # nor is a program's (worm lab); what a kind means is said by its own name, if it is there
        several = " " in plain[0] and len(plain) == 1
        if head == (_HEAD + plain[0],):
            means[head] = known
        elif len(set(head)) == len(head) and not several and phrase not in names:
            means.setdefault(head, known)
    return means, frozenset(lacks)


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


def is_spelt(word: str) -> bool:
    """Return whether the table has `word` as it is, not another form of it."""
    return word in _table().spellings or _in_english(word) is not None


def is_unsaid(word: str) -> bool:
    """Return whether `word` says nothing of a tool."""
    return word in _table().unsaid


def is_subject(word: str) -> bool:
    """Return whether `word` says little of a tool: what is worked on, whose it is, or nothing."""
    plain, table = stem(word), _table()
    return (
        _is_letter(word)
        or word in table.unsaid
        or table.tells.get(table.same.get(plain, plain), 1.0) <= _SUBJECT
    )


def _is_letter(word: str) -> bool:
    """Return whether a word is one letter or digit, which says nothing beside words."""
    return len(word) == 1 and word.isascii()


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
    there = {*plain, *known}
    each = [one for word in there for one in table.by_first.get(word, ()) if there.issuperset(one)]
    for count in range(min(max(table.by_length), len(said)), 1, -1):
        fits = (_as_typed(one, plain, known) for one in each if len(one) == count)
        for _, phrase, places in sorted(fits):
            if free.issuperset(places):
                free.difference_update(places)
                found[places] = _meant(table, _flat(said[at] for at in places), phrase)
        last = range(len(said) - count, len(said))
        if open_end and free.issuperset(last) and (phrase := _begun(table, _flat(said[-count:]))):
            free.difference_update(last)
            found[tuple(last)] = _meant(table, _flat(said[-count:]), phrase, _BEGUN)
    words = {place for place in free if not _is_letter("".join(said[place]))}
    for place in words if words or found else free:
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
            elif end - at >= (LEAST if piece.isascii() else 1) and known(piece):
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
    if len(last) < LEAST - bool(whole):
        return ()
    before = tuple(map(stem, whole))
    for phrase in table.by_length.get(len(words), ()):
        if phrase[:-1] == before and phrase[-1].startswith(last):
            return phrase
    return ()
