"""What the value of a setting may be: how it is read, and what is accepted in words."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from napari_tool_runner.data_classes import dataclass

__all__ = [
    "FLAG",
    "MIRRORS",
    "PATH",
    "PATHS",
    "SERVICE",
    "SIZE",
    "TEXT",
    "TEXTS",
    "TEXT_MAP",
    "VARIABLES",
    "Field",
    "Secret",
    "Type",
    "both",
    "is_blank",
    "is_secret_name",
    "merged",
    "number",
    "unknown_in_rows",
    "whole",
]

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|credential"
    r"|(^|_)(pass|tokens?|(api|access|private)_?key)($|_)",
    re.IGNORECASE,
)
_LEAST = 4
"""Characters that a secret has at least: a shorter one would be met everywhere."""


def is_secret_name(name: str) -> bool:
    """Whether a variable is called like a secret."""
    return _SECRET_NAME.search(name) is not None


class Secret(str):
    """A value that is put into no command line, no record and no message."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Field:
    """How the Settings dialog and napari's Preferences show a setting.

    Parameters
    ----------
    place : str
        ``section.name`` in the Preferences.
    label, hint : str
    none : str
        Shown where there is no value (``no limit``); the text of a check box.
    unit : str
        Written behind the number.
    """

    place: str
    label: str
    hint: str
    none: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Type(Generic[T_co]):
    """What a value may be.

    Parameters
    ----------
    accepted : str
        In words, as in "… must be a number".
    read : callable
        Value of the JSON, folder at which relative paths start -> value; raises
        `ValueError`, `TypeError`, `LookupError`, `OverflowError` or `RuntimeError` (a home
        that nobody has) when it is none.
    json : str
        What napari's Preferences call it.
    least, most : float
        The smallest and the largest number.
    """

    accepted: str
    read: Callable[[object, Path], T_co]
    json: str = "string"
    least: float = 0
    most: float = 0


def _flag(value: object, _: Path) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError


def _text(value: object, _: Path) -> str:
    if isinstance(value, str):
        return value.strip()
    raise TypeError


def _path(value: object, base: Path) -> Path:
    if not isinstance(value, str | Path):
        raise TypeError
    raw = os.fsencode(value)
    if b"\0" in raw or max(map(len, raw.split(b"/"))) > 255 or len(raw) > 4000:
        raise ValueError
    return (base / Path(value).expanduser()).absolute()


def _each(value: object) -> list[object]:
    """One value counts as a list of one."""
    if isinstance(value, str | Path):
        return [value]
    if isinstance(value, list | tuple):
        return list(value)
    raise TypeError


def is_blank(value: object) -> bool:
    """Whether it is a text that says nothing."""
    return isinstance(value, str) and not value.strip()


def _paths(value: object, base: Path) -> tuple[Path, ...]:
    return tuple(_path(entry, base) for entry in _each(value) if not is_blank(entry))


def _texts(value: object, base: Path) -> tuple[str, ...]:
    return tuple(_text(str(e) if isinstance(e, Path) else e, base) for e in _each(value))


def _size(value: object, _: Path) -> int:
    units = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    text = str(value).strip().lower().removesuffix("ib").removesuffix("b").strip()
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    if unit not in units:
        raise ValueError
    amount = int(float(number) * units[unit])
    if not 0 < amount <= 2**60:
        raise ValueError
    return amount


def _mirrors(value: object, base: Path) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise TypeError
    found = {str(name): _texts(addresses, base) for name, addresses in value.items()}
    return {name: addresses for name, addresses in found.items() if any(addresses)}


def _text_map(value: object, base: Path) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {str(name): _text(text, base) for name, text in value.items()}


def _variables(value: object, _: Path) -> dict[str, str]:
    if not isinstance(value, list):
        raise TypeError
    found: dict[str, str] = {}
    for entry in value:
        name, text = (entry["name"], entry["value"]) if isinstance(entry, Mapping) else ("", "")
        known = isinstance(text, str | int | float) and not isinstance(text, bool)
        if not (isinstance(name, str) and name.strip() and known):
            raise TypeError
        secret = entry.get("secret", is_secret_name(name))
        found[name] = Secret(text) if secret and len(str(text)) >= _LEAST else str(text)
    return found


def number(
    least: float = 0, words: Mapping[str, float] | None = None, most: float = 10_000_000
) -> Type[float]:
    """Return the type of numbers from `least` to `most`, and of `words` that mean one."""

    def read(value: object, _: Path) -> float:
        if words and isinstance(value, str) and value in words:
            return words[value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if not least <= value <= most:  # nor what is no number
            raise ValueError
        return value

    also = "".join(f", or “{word}”" for word in words or ())
    accepted = f"a number of at least {least:g} and at most {most:.0f}{also}"
    return Type(accepted, read, "number", least, most)


def whole(
    least: int = 0, words: Mapping[str, int] | None = None, most: int = 10_000_000
) -> Type[int]:
    """Return the type of whole numbers, otherwise as `number`."""
    plain = number(least, words, most)

    def read(value: object, base: Path) -> int:
        found = plain.read(value, base)
        if found != int(found):
            raise ValueError
        return int(found)

    accepted = plain.accepted.replace("a number", "a whole number", 1)
    return Type(accepted, read, "integer", least, most)


FLAG = Type("true or false (without quotation marks)", _flag, "boolean")
TEXT = Type("a text", _text)
TEXTS = Type("a text or a list of texts", _texts)
PATH = Type("a path; “~name” is the home of a user", _path)
PATHS = Type("a path or a list of paths; “~name” is the home of a user", _paths)
SIZE = Type("a size such as 8G", _size)
MIRRORS = Type('an object such as {"conda-forge": "https://…"}', _mirrors)
TEXT_MAP = Type('an object such as {"/scratch": "size=4g"}', _text_map)
VARIABLES = Type('a list of {"name": "…", "value": a text or number}', _variables)
SERVICE = Type("the name of a runner service", _text)


def both(upper: tuple[Path, ...], lower: tuple[Path, ...]) -> tuple[Path, ...]:
    """Join the paths of a higher and of a lower layer."""
    return tuple(dict.fromkeys((*upper, *lower)))


def merged(upper: dict[str, str], lower: dict[str, str]) -> dict[str, str]:
    """Join the entries of a higher and of a lower layer."""
    return {**lower, **upper}


def unknown_in_rows(rows: object, known: set[str], what: str, place: str) -> Iterator[str]:
    """Name the keys that mean nothing in a list of objects, each with a ``name``."""
    for row in rows if isinstance(rows, list) else ():
        told = dict(row) if isinstance(row, Mapping) else {}
        for key in sorted(told.keys() - known):
            where = f"of the {what} “{told.get('name')}” in {place}"
            yield f"“{key}” {where} is not known and not used."
