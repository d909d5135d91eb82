"""What is given to a data input: layers and files, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from napari_tool_runner.exchange import layer_kind
from napari_tool_runner.widgets.parts.texts import tooltip

__all__ = ["as_list", "axes_told", "path_of", "told", "with_axes"]


def as_list(value: object) -> list[object]:
    """Return the data values of a node as a list.

    A file of which something is told, ``(path, {"axis_labels": …})``, is one of them.
    """
    if value is None:
        return []
    if _is_told(value):
        return [value if isinstance(value, tuple) else tuple(value)]
    return list(value) if isinstance(value, list | tuple) else [value]


def _is_told(value: object) -> TypeGuard[Sequence[object]]:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[0], str | Path)
        and isinstance(value[1], Mapping)
    )


def path_of(value: object) -> Path | None:
    """Return the path of a file, whether or not something is told of it; None of a layer."""
    path = value[0] if _is_told(value) else value
    return Path(path) if isinstance(path, str | Path) else None


def axes_told(value: object) -> tuple[str, ...]:
    """Return the names of axes that are told of a file, if any."""
    more = value[1] if _is_told(value) else None
    return tuple(map(str, more.get("axis_labels", ()))) if isinstance(more, Mapping) else ()


def with_axes(value: object, labels: Sequence[str]) -> object:
    """Return a file with other names of its axes; without any: the file itself."""
    path = path_of(value)
    return (path, {"axis_labels": tuple(labels)}) if labels else path


def told(value: object) -> tuple[str, str]:
    """Return the name of a layer or file, and a tooltip on it."""
    if not isinstance(value, str) and (path := path_of(value)) is not None:
        return path.name, tooltip(path.name, str(path))
    name = str(getattr(value, "name", value))
    return name, tooltip(name, _described(value))


def _described(value: object) -> str:
    """Return kind, size and data type of a layer."""
    kind = layer_kind(value).value
    data = getattr(value, "data", None)
    if getattr(value, "multiscale", False) and data is not None:
        data = data[0]
    shape, dtype = getattr(data, "shape", None), getattr(data, "dtype", None)
    if shape is None:
        return kind
    return f"{kind}, {' × '.join(map(str, shape))}, {dtype}"
