"""Regular expressions that strangers wrote: each match has a time that it may take.

A pattern of a few characters can keep `re` busy for years, and nothing can stop it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import TypeAlias

import regex

from napari_tool_runner.tools.shared_time import left, together

__all__ = [
    "LIKE_RE",
    "Match",
    "PatternError",
    "SlowPatternError",
    "expanded",
    "find",
    "is_match",
    "match_each",
    "match_start",
    "problem_of",
]

_SECONDS = 0.3
_LONGEST = 10_000

Match: TypeAlias = regex.Match[str]


class PatternError(ValueError):
    """A pattern that is not valid."""


class SlowPatternError(PatternError):
    """A pattern that took longer than it may: what it was to check was not checked."""


def match_start(pattern: str, text: str, *, whole: bool = False, flags: int = 0) -> Match | None:
    """Return where `pattern` matches the beginning of `text`, or all of it, as `re` would.

    Raises
    ------
    PatternError
        It is not valid, or takes too long.
    """
    compiled = _compiled(pattern, flags)
    take = compiled.fullmatch if whole else compiled.match
    with _in_time(pattern, _SECONDS) as seconds:
        return take(text, timeout=seconds)


def match_each(pattern: str, texts: Iterable[str]) -> list[bool]:
    """Say of each text whether `match_start` finds something; all of them share the time."""
    with together():
        return [match_start(pattern, text) is not None for text in texts]


def find(pattern: str, text: str, *, flags: int = 0, seconds: float = _SECONDS) -> Match | None:
    """Return where `pattern` is found first in `text`; raises what `match_start` does."""
    with _in_time(pattern, seconds) as available:
        return _compiled(pattern, flags).search(text, timeout=available)


def expanded(hit: Match, text: str) -> str:
    """Return `text` with the groups of `hit` in the places that it names; raises PatternError."""
    try:
        return hit.expand(text)
    except (regex.error, IndexError) as error:
        raise PatternError(str(error)) from error


def is_match(value: object) -> bool:
    """Whether it is what `match_start` and `find` return."""
    return isinstance(value, regex.Match)


def problem_of(pattern: str) -> str:
    """Say why a pattern is not valid; empty when it is."""
    try:
        _compiled(pattern, 0)
    except PatternError as error:
        return str(error)
    return ""


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: int) -> regex.Pattern[str]:
    if len(pattern) > _LONGEST:
        raise PatternError(f"a pattern of {len(pattern):,} characters is too long")
    try:
        return regex.compile(pattern, flags)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise PatternError(str(error) or "it is nested too deeply") from error


@contextmanager
def _in_time(pattern: str, seconds: float) -> Iterator[float]:
    """Give the seconds that a match may take; tell of one that was ended since it took longer."""
    try:
        available = min(seconds, left())
        if available <= 0:
            raise TimeoutError
        yield available
    except TimeoutError as error:
        shown = pattern if len(pattern) < 60 else f"{pattern[:59]}…"
        what = f"the pattern “{shown}” takes too long; it was not checked"
        raise SlowPatternError(what) from error


def _like_re(name: str) -> Callable[..., object]:
    """Return a function of `re` that gives up (`SlowPatternError`)."""

    def call(pattern: object, text: object, flags: int = 0) -> object:
        if not isinstance(pattern, str) or not isinstance(text, str):
            raise TypeError("expected a pattern and a text")
        if name in ("match", "fullmatch"):
            return match_start(pattern, text, whole=name == "fullmatch", flags=flags & re.I)
        if name == "search":
            return find(pattern, text, flags=flags & re.I)
        with _in_time(pattern, _SECONDS) as seconds:
            return _compiled(pattern, flags & re.I).findall(text, timeout=seconds)

    return call


LIKE_RE = SimpleNamespace(
    **{name: _like_re(name) for name in ("match", "search", "fullmatch", "findall")}, I=re.I
)
"""What an expression of a stranger has instead of the module `re`."""
