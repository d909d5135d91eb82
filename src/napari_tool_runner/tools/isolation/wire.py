"""What crosses between this process and the reader: typed JSON, one line each way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from napari_tool_runner.errors import (
    DescriptorError,
    OutputError,
    ParameterError,
    TemplateError,
    ToolRunnerError,
    UnsafeDescriptorError,
)
from napari_tool_runner.tools.dialect import DataCollection, DataFile
from napari_tool_runner.tools.formats import FORMATS, Carrier, Format, Formats, LayerKind, Trait

__all__ = [
    "MESSAGE",
    "decode",
    "encode",
    "error_from",
    "format_from",
    "formats_from",
    "refused",
    "tell_error",
    "tell_format",
    "tell_formats",
    "to_line",
]

MESSAGE = 64
"""Bytes of every message between the starting process and the one that forks."""

_ERRORS: tuple[type[ToolRunnerError], ...] = (
    DescriptorError, OutputError, ParameterError, TemplateError, UnsafeDescriptorError,
)  # fmt: skip


def to_line(message: Mapping[str, object]) -> bytes:
    """Return a message as it is sent."""
    return json.dumps(message).encode() + b"\n"


def encode(value: object) -> object:
    """Return a value of a tool in JSON types.

    Raises
    ------
    TypeError
        It is of a kind that no value of a tool has.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, DataFile):
        facts = {key: encode(entry) for key, entry in value.metadata.items()}
        return {"file": [str(value.path), value.format, value.name, facts]}
    if isinstance(value, DataCollection):
        elements = [[name, encode(entry)] for name, entry in value.elements]
        return {"collection": [value.type, elements, value.name]}
    if isinstance(value, Mapping):
        return {"map": [[str(key), encode(entry)] for key, entry in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [encode(entry) for entry in value]}
    if isinstance(value, list):
        return [encode(entry) for entry in value]
    plain = getattr(value, "tolist", None)  # numbers and arrays of numpy
    if callable(plain):
        return encode(plain())
    raise TypeError(f"{value!r} is no value of a tool")


def decode(told: object) -> object:
    """Return what `encode` was given; raises ValueError for what it never makes."""
    if isinstance(told, list):
        return [decode(entry) for entry in told]
    if not isinstance(told, dict):
        return told
    if len(told) != 1:
        raise ValueError("no single kind")
    ((kind, body),) = told.items()
    match kind, body:
        case "path", str():
            return Path(body)
        case "file", [str(path), str(name_of_format), str(name), dict(facts)]:
            metadata = {key: decode(entry) for key, entry in facts.items()}
            return DataFile(Path(path), name_of_format, name, metadata)
        case "collection", [str(type_), list(elements), str(name)]:
            return DataCollection(type_, tuple(map(_element, elements)), name)
        case "map", list():
            return dict(map(_pair, body))
        case "tuple", list():
            return tuple(decode(entry) for entry in body)
    raise ValueError(f"{kind!r} is not known")


def _pair(told: object) -> tuple[str, object]:
    match told:
        case [str(name), entry]:
            return name, decode(entry)
    raise ValueError("no entry of a map")


def _element(told: object) -> tuple[str, DataFile | DataCollection]:
    match told:
        case [str(name), entry]:
            value = decode(entry)
            if isinstance(value, DataFile | DataCollection):
                return name, value
    raise ValueError("no element of a collection")


def tell_formats(formats: Formats) -> list[object]:
    """Return the rows in which `formats` differs from the built-in table."""
    return [tell_format(row) for name, row in formats.items() if FORMATS.get(name) != row]


def tell_format(row: Format) -> list[object]:
    """Return a format in JSON types."""
    return [
        row.name, row.extension, [*row.kinds], row.carrier, [*row.aliases], [*row.parents],
        sorted(row.traits),
    ]  # fmt: skip


def formats_from(rows: list[list[object]]) -> Formats:
    """Return the table that `tell_formats` was given."""
    found = [format_from(row) for row in rows]
    return FORMATS.extended(found) if found else FORMATS


def format_from(row: object) -> Format:
    """Return the format that `tell_format` was given."""
    match row:
        case [str(name), str(end), list(kinds), str(carrier), *names] if len(names) == 3:
            aliases, parents, traits = (_listed(entry) for entry in names)
            return Format(
                name,
                end,
                tuple(map(LayerKind, _listed(kinds))),
                Carrier(carrier),
                tuple(aliases),
                tuple(parents),
                frozenset(map(Trait, traits)),
            )
    raise ValueError("no format")


def _listed(told: object) -> list[str]:
    if not isinstance(told, list):
        raise ValueError("no list")
    return [str(entry) for entry in told]


def tell_error(error: BaseException) -> dict[str, object]:
    """Return an error in JSON types; what is no sentence of ours is told by its type."""
    if isinstance(error.__cause__, MemoryError):
        error = error.__cause__
    if isinstance(error, ToolRunnerError):
        name, line = getattr(error, "name", ""), getattr(error, "line", "")
        kind = type(error).__name__
        return {"error": kind, "message": error.message, "hint": error.hint, "name": name,
                "line": line}  # fmt: skip
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    return {"error": kind, "message": f"{kind}: {error}"[:2000]}


def refused(sentence: str, path: Path) -> DescriptorError:
    """Return the error of a descriptor that the reader gave up on, or that made it lie."""
    hint = "The descriptor is wrong, or means harm; it is not used."
    return DescriptorError(sentence, path=path, hint=hint)


def error_from(
    told: Mapping[str, object],
    what: str,
    path: Path,
    blame: Callable[[str, Path], ToolRunnerError] = refused,
) -> ToolRunnerError:
    """Return the error that the reader told of; `what` it was doing to `path`."""
    kind, message = str(told.get("error")), str(told.get("message"))
    hint = str(told.get("hint") or "")
    if kind == "MemoryError":
        return blame(f"To {what} takes more memory than it may.", path)
    found = {one.__name__: one for one in _ERRORS}.get(kind)
    if found is ParameterError:
        return ParameterError(message, name=str(told.get("name") or ""), hint=hint)
    if found is TemplateError:
        return TemplateError(message, line=str(told.get("line") or ""), hint=hint)
    if found is OutputError:
        return OutputError(message, hint=hint)
    if found is UnsafeDescriptorError:
        return UnsafeDescriptorError(message, path=path, hint=hint)
    if found is DescriptorError:
        return DescriptorError(message, path=path, hint=hint)
    return blame(f"To {what} failed: {message}.", path)
