"""Trained weights that a tool fetches: where it keeps them, and when it may have the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.names import safe_name
from napari_tool_runner.storage import private_folder, short_digest, user_data, write_whole
from napari_tool_runner.tools.isolation.rendering import render
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.tools.toolbox.entries import ships
from napari_tool_runner.tools.tree import leaves
from napari_tool_runner.tools.values import check_value, coerce
from napari_tool_runner.tools.wording import label_of

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import JobPaths
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = [
    "check_weights",
    "fetch_command",
    "forget_weights",
    "has_network",
    "is_fetched",
    "kept_weights",
    "note_fetched",
    "weights_folder",
    "weights_place",
    "with_weights",
]

_FETCHED = ".fetched"
"""After the name of a folder: which commands have filled it."""


def has_network(tool: Tool, values: BoundValues) -> bool:
    """Whether a run with `values` may use the network: always, or as somebody ticked."""
    return tool.network and (not tool.network_if or values.get(tool.network_if) is True)


def check_weights(tool: Tool, values: BoundValues) -> None:
    """Refuse a run that could only fail, before an environment is made for it.

    Raises
    ------
    ParameterError
        There are no weights, none were given, and nobody ticked that they may be fetched.
    """
    if not (tool.prepare and tool.weights and tool.network_if) or has_network(tool, values):
        return
    own = [
        leaf
        for leaf in leaves(tool.inputs, values)
        if isinstance(leaf.parameter, DataParameter) and leaf.parameter.optional
    ]
    if any(leaf.value is not None for leaf in own):
        return
    if sealed.usage(weights_folder(tool)).content:
        return
    tick = next(one for one in tool.parameters() if one.name == tool.network_if)
    others = "".join(f", or give “{label_of(leaf.parameter)}”" for leaf in own)
    raise ParameterError(
        f"The model is not on this computer: tick “{label_of(tick)}”{others}.",
        name=tool.network_if,
    )


def weights_folder(tool: Tool) -> Path:
    """Return the folder in which `tool` keeps weights, outside of any environment.

    Two tools of one id in different toolboxes have two.
    """
    name = safe_name(tool.id, fallback="tool")
    if not ships(tool):
        name = f"{name}-{short_digest(tool.toolbox or str(tool.path.parent))}"
    return weights_place() / name


def with_weights(tool: Tool, variables: Mapping[str, str]) -> dict[str, str]:
    """Return `variables` of a program and those that name the folder, which is made."""
    if not tool.weights:
        return dict(variables)
    folder = weights_folder(tool)
    private_folder(folder)
    return {**variables, **dict.fromkeys(tool.weights, str(folder))}


def fetch_command(tool: Tool, values: Mapping[str, object], paths: JobPaths) -> tuple[str, ...]:
    """Return the command that only fetches the weights that a run with `values` needs.

    Parameters
    ----------
    values : mapping
        Of its parameters, perhaps as text; data and what is missing play no part.

    Raises
    ------
    ParameterError, TemplateError
    """
    given: dict[str, object] = {}
    for one in tool.parameters():
        if one.name not in values or isinstance(one, DataParameter):
            continue
        given[one.name] = coerce(one, values[one.name], one.name)
        if problem := check_value(one, given[one.name]):
            raise ParameterError(f"{one.name}: {problem}", name=one.name)
    return tuple(render(replace(tool, command=tool.prepare), given, paths, {}).argv)


def is_fetched(tool: Tool, command: tuple[str, ...]) -> bool:
    """Whether this command has fetched what is in the folder now."""
    folder = weights_folder(tool)
    with suppress(OSError, ValueError):
        return bool(sealed.usage(folder).content) and _mark(tool, command) in _fetched(folder)
    return False


def note_fetched(tool: Tool, command: tuple[str, ...]) -> None:
    """Remember that this command has fetched weights; raises OSError."""
    folder = weights_folder(tool)
    known: set[str] = set()
    with suppress(OSError, ValueError):
        known = _fetched(folder)
    told = json.dumps(sorted({*known, _mark(tool, command)}))
    write_whole(folder.with_name(folder.name + _FETCHED), told.encode())


def kept_weights() -> Iterator[tuple[str, int]]:
    """Yield the names of the folders with weights, and their sizes."""
    with suppress(OSError):
        for folder in sorted(one for one in weights_place().iterdir() if one.is_dir()):
            found = sealed.usage(folder)
            if found.content:  # some tools make folders that they do not fill
                yield folder.name, found.freed


def forget_weights(name: str) -> None:
    """Delete a folder with weights; raises OutputError, OSError."""
    (weights_place() / (name + _FETCHED)).unlink(missing_ok=True)
    sealed.remove(weights_place() / name, weights_place())


def _mark(tool: Tool, command: tuple[str, ...]) -> str:
    """Return what stands for a command, wherever the tool lies."""
    return short_digest("\0".join(command).replace(str(tool.folder), ""))


def _fetched(folder: Path) -> set[str]:
    told = json.loads(folder.with_name(folder.name + _FETCHED).read_text(encoding="utf-8"))
    return {str(one) for one in told} if isinstance(told, list) else set()


def weights_place() -> Path:
    """Return where the folders of all tools lie."""
    return user_data() / "weights"
