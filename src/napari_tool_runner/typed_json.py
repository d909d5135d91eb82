"""Frozen dataclasses as JSON and back, by their type hints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

__all__ = ["as_object", "from_json", "to_json"]

_hints_of = cache(get_type_hints)


def to_json(value: object, folder: Path | None = None) -> object:
    """Return `value` in JSON types; what JSON has no word for becomes text.

    `folder`: paths inside it are told relative to it.
    """
    if isinstance(value, StrEnum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path) and folder is not None and value.is_relative_to(folder):
        return value.relative_to(folder).as_posix()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if is_dataclass(value):
        names = _hints(type(value))
        return {name: to_json(getattr(value, name), folder) for name in names}
    if isinstance(value, Mapping):
        return {str(key): to_json(entry, folder) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [to_json(entry, folder) for entry in value]
    return str(value)


def from_json(hint: object, value: object, folder: Path) -> object:
    """Return a JSON value as the type that `hint` names.

    Understood: plain types, StrEnum, datetime, Path (begins in `folder`), ``X | None``,
    Literal, tuples, mappings, and dataclasses of these, whose fields may be absent or
    null when they have a default; what a dataclass has no field for is passed over.

    Raises
    ------
    TypeError, ValueError
        It is of another type.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:  # … | None
        return None if value is None else from_json(inner[0], value, folder)
    if origin is Mapping:
        return {key: from_json(inner[1], one, folder) for key, one in as_object(value).items()}
    if origin is tuple and isinstance(value, list | tuple):
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(from_json(k, one, folder) for k, one in zip(kinds, value, strict=True))
    if origin is Literal and value in inner:
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        told = as_object(value)
        known = {k: h for k, h in _hints(hint).items() if told.get(k) is not None}
        return hint(**{name: from_json(one, told[name], folder) for name, one in known.items()})
    if isinstance(value, str) and isinstance(hint, type):
        if issubclass(hint, Path):
            return folder / value
        if issubclass(hint, datetime):
            return datetime.fromisoformat(value)
        if issubclass(hint, StrEnum):
            return hint(value)
    if hint is float and isinstance(value, int):
        return float(value)
    if hint is object or (isinstance(hint, type) and isinstance(value, hint)):
        return value
    raise TypeError(f"{value!r:.60} is not {getattr(hint, '__name__', hint)}")


def _hints(kind: type) -> dict[str, object]:
    return _hints_of(kind)


def as_object(value: object) -> dict[str, object]:
    """Return a JSON object; TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r:.60} is not an object")
    return {str(key): entry for key, entry in value.items()}
