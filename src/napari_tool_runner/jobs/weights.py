"""Trained weights that a tool fetches: where it keeps them, and when it may have the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.names import safe_name
from napari_tool_runner.storage import private_folder, short_digest, user_data
from napari_tool_runner.tools.toolbox.entries import ships

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["has_network", "weights_folder", "with_weights"]


def has_network(tool: Tool, values: BoundValues) -> bool:
    """Whether a run with `values` may use the network: always, or as somebody ticked."""
    return tool.network and (not tool.network_if or values.get(tool.network_if) is True)


def weights_folder(tool: Tool) -> Path:
    """Return the folder in which `tool` keeps weights, outside of any environment.

    Two tools of one id in different toolboxes have two.
    """
    name = safe_name(tool.id, fallback="tool")
    if not ships(tool):
        name = f"{name}-{short_digest(tool.toolbox or str(tool.path.parent))}"
    return user_data() / "weights" / name


def with_weights(tool: Tool, variables: Mapping[str, str]) -> dict[str, str]:
    """Return `variables` of a program and those that name the folder, which is made."""
    if not tool.weights:
        return dict(variables)
    folder = weights_folder(tool)
    private_folder(folder)
    return {**variables, **dict.fromkeys(tool.weights, str(folder))}
