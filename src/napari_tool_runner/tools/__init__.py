"""What a tool is: the model, the dialects, the toolbox, rendering, checking.

Names are loaded when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.tools.checker import Report, check_paths
    from napari_tool_runner.tools.model import LayerKind, Note, Severity, Tool
    from napari_tool_runner.tools.reader import dialect_of, dialects, read_tool
    from napari_tool_runner.tools.toolbox.box import Toolbox, find_tool, load_toolbox
    from napari_tool_runner.tools.toolbox.entries import ToolEntry
    from napari_tool_runner.tools.toolbox.trust import require_trust, trust_state
    from napari_tool_runner.tools.values import bind

__all__ = [
    "LayerKind",
    "Note",
    "Report",
    "Severity",
    "Tool",
    "ToolEntry",
    "Toolbox",
    "bind",
    "check_paths",
    "dialect_of",
    "dialects",
    "find_tool",
    "load_toolbox",
    "read_tool",
    "require_trust",
    "trust_state",
]

_HOMES = {
    "LayerKind": "model",
    "Note": "model",
    "Report": "checker",
    "Severity": "model",
    "Tool": "model",
    "ToolEntry": "toolbox.entries",
    "Toolbox": "toolbox.box",
    "bind": "values",
    "check_paths": "checker",
    "dialect_of": "reader",
    "dialects": "reader",
    "find_tool": "toolbox.box",
    "load_toolbox": "toolbox.box",
    "read_tool": "reader",
    "require_trust": "toolbox.trust",
    "trust_state": "toolbox.trust",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
