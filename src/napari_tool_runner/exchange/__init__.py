"""How pixels and coordinates travel between layers and files."""

from __future__ import annotations

from napari_tool_runner.exchange.api import Exported, export, load, matching_kinds, snapshot
from napari_tool_runner.exchange.linking import content_sha256
from napari_tool_runner.exchange.model import Geometry, LayerData, LayerSnapshot, LoadedOutput
from napari_tool_runner.exchange.naming import layer_names, safe_name, unique_name

__all__ = [
    "Exported",
    "Geometry",
    "LayerData",
    "LayerSnapshot",
    "LoadedOutput",
    "content_sha256",
    "export",
    "layer_names",
    "load",
    "matching_kinds",
    "safe_name",
    "snapshot",
    "unique_name",
]
