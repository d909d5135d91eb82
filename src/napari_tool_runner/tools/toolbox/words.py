"""What people mean by the words that they type, as the table `words.toml` has it."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["Meaning", "fold", "meanings", "stem", "words_of"]

_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?:i[sz]ations?|ations?|ings?|ers?|ies|ed|es|s|e)$")
_PIECE = 100
_LEAST = 3
"""Letters that are left of a word without its ending."""
# a name that has the word somewhere counts half as much again, one that begins with it twice:
# what a word most means goes between them
_WORD_MEANS, _PHRASE_MEANS, _NEXT, _LESS, _BEGUN = 1.6, 1.2, 0.9, 0.08, 0.9


class Meaning(NamedTuple):
    """A word or phrase of a query, and what tools may have instead of it.

    Parameters
    ----------
    words : tuple of str
        As they were typed.
    instead : tuple of (float, tuple of str)
        How much it counts that a tool has all of those words; typed ones count 1.
    """

    words: tuple[str, ...]
    instead: tuple[tuple[float, tuple[str, ...]], ...] = ()


def fold(text: str) -> str:
    """Return `text` with neither accents nor capital letters."""
    if text.isascii():
        return text.lower()
    # by pieces: how long it takes to bring accents in order grows with the square of their number
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    plain = "".join(unicodedata.normalize("NFKD", piece) for piece in pieces)
    return "".join(ch for ch in plain if not unicodedata.combining(ch)).casefold()


def words_of(text: str) -> list[str]:
    """Return the words of a text, folded."""
    return _WORD.findall(fold(text))


@cache
def stem(word: str) -> str:
    """Return an English word without its ending, so that *tracking* is *track*."""
    cut = _ENDING.sub("", word, count=1)
    return cut if len(cut) >= _LEAST else word


class _Table(NamedTuple):
    same: dict[str, str]
    means: dict[tuple[str, ...], tuple[tuple[str, ...], ...]]
    longest: int
    unsaid: frozenset[str]


@cache
def _table() -> _Table:
    told = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))
    unsaid = frozenset(told["unsaid"])
    same = {
        stem(word): stem(name) for name, words in told["same"].items() for word in (name, *words)
    }
    means: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {}
    for phrase, tools in told["means"].items():
        known = tuple(tuple(words_of(tool)) for tool in tools)
        plain = tuple(map(stem, _said(phrase, unsaid)))
        means[plain] = known
        if len(plain) > 1:
            means.setdefault(tuple(same.get(word, word) for word in plain), known)
    return _Table(same, means, max(map(len, means)), unsaid)


def _said(text: str, unsaid: frozenset[str]) -> list[str]:
    typed = words_of(text)
    return [word for word in typed if word not in unsaid] or typed


def meanings(text: str) -> list[Meaning]:
    """Return what the words of a query mean; the last one may be only begun."""
    said = _said(text, _table().unsaid)
    found: list[Meaning] = []
    place = 0
    while place < len(said):
        count, meaning = _longest(said[place:])
        found.append(meaning)
        place += count
    return found


def _longest(words: Sequence[str]) -> tuple[int, Meaning]:
    """Return how many of the first words are a phrase, and what it means."""
    table = _table()
    plain = [stem(word) for word in words]
    known = [table.same.get(word, word) for word in plain]
    for count in range(min(table.longest, len(words)), 0, -1):
        tools = table.means.get(tuple(plain[:count]))
        if tools is None and count > 1:
            tools = table.means.get(tuple(known[:count]))
        begun = _begun(table, words) if tools is None and count == len(words) else None
        if tools := tools or begun:
            first = _PHRASE_MEANS if count > 1 else _WORD_MEANS
            each = (first, *(_NEXT - _LESS * rank for rank in range(len(tools))))
            sure = 1 if begun is None else _BEGUN
            instead = ((sure * weight, tool) for weight, tool in zip(each, tools, strict=False))
            return count, Meaning(tuple(words[:count]), tuple(instead))
    return 1, Meaning((words[0],))


def _begun(table: _Table, words: Sequence[str]) -> tuple[tuple[str, ...], ...] | None:
    """Return what the first phrase means that begins with `words`, of which the last is cut."""
    *whole, last = words
    if len(last) < _LEAST - bool(whole):
        return None
    before = tuple(map(stem, whole))
    for phrase, tools in table.means.items():
        if len(phrase) == len(words) and phrase[:-1] == before and phrase[-1].startswith(last):
            return tools
    return None
