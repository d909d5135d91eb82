"""Frozen dataclasses as JSON and back, by their type hints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Literal, TypeAlias, get_args, get_origin, get_type_hints

__all__ = ["as_object", "from_json", "to_json"]

Reader: TypeAlias = Callable[[object, Path], object]
_PLAIN = frozenset({str, int, float, bool, type(None)})


def to_json(value: object, folder: Path | None = None) -> object:
    """Return `value` in JSON types; what JSON has no word for becomes text.

    `folder`: paths inside it are told relative to it.
    """
    kind: type = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(entry, folder) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [to_json(entry, folder) for entry in value]
    if isinstance(value, Path) and folder is not None and value.is_relative_to(folder):
        return value.relative_to(folder).as_posix()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if hasattr(value, "tolist"):  # of numpy
        return to_json(value.tolist(), folder)
    if is_dataclass(value):
        return {name: to_json(getattr(value, name), folder) for name in _readers(kind)}
    return str(value)


def from_json(hint: type, value: object, folder: Path) -> object:
    """Return a JSON value as the type that `hint` names.

    Understood: plain types, StrEnum, datetime, Path (begins in `folder`), ``X | None``,
    Literal, tuples, mappings, and dataclasses of these, whose fields may be absent or
    null when they have a default; what a dataclass has no field for is passed over.

    Raises
    ------
    TypeError, ValueError
        It is of another type.
    """
    return _reader(hint)(value, folder)


def as_object(value: object) -> dict[str, object]:
    """Return a JSON object, the very one; TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.60} is not an object")
    return value


@cache
def _readers(kind: type) -> Mapping[str, Reader]:
    return {name: _reader(hint) for name, hint in get_type_hints(kind).items()}


@cache
def _reader(hint: type) -> Reader:
    """Return what reads values of `hint`: made once, for there are many records."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:  # … | None
        some = _reader(inner[0])
        return lambda value, folder: None if value is None else some(value, folder)
    if origin is Mapping:
        entry = _reader(inner[1])
        return lambda value, folder: {k: entry(v, folder) for k, v in as_object(value).items()}
    if origin is tuple:
        return _tuple_reader([_reader(one) for one in inner if one is not ...], ... in inner)
    if origin is Literal:
        words = f"one of {', '.join(map(str, inner))}"
        return lambda value, folder: _checked(value, value in inner, words)
    if hint is object:
        return lambda value, folder: value
    if is_dataclass(hint):

        def read(value: object, folder: Path) -> object:
            told = as_object(value)
            known = _readers(hint).items()
            return hint(**{k: one(told[k], folder) for k, one in known if told.get(k) is not None})

        return read
    if issubclass(hint, Path):
        return lambda value, folder: folder / _text(value)
    if issubclass(hint, datetime):
        return lambda value, folder: _time(_text(value))
    if issubclass(hint, StrEnum):
        return lambda value, folder: hint(_text(value))
    if hint is float:
        return lambda value, folder: _checked(value, _is_number(value), "float")
    return lambda value, folder: _checked(value, isinstance(value, hint), hint.__name__)


def _tuple_reader(readers: Sequence[Reader], more: bool) -> Reader:
    def read(value: object, folder: Path) -> object:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{value!r:.60} is not a list")
        each = [readers[0]] * len(value) if more else readers
        return tuple(one(entry, folder) for one, entry in zip(each, value, strict=True))

    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is not text")
    return value


def _time(text: str) -> datetime:
    """Return a time with its zone; what tells none is in UTC, as all that we write."""
    time = datetime.fromisoformat(text)
    if not 1970 <= time.year < 9999:  # what every system and time zone can tell
        raise ValueError(f"{text!r} is no time of a job")
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _checked(value: object, right: bool, words: str) -> object:
    if not right:
        raise TypeError(f"{value!r:.60} is not {words}")
    return value
