"""What a tool is: the model, the dialects, the toolbox, rendering, checking.

Names are loaded when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import (
        LayerKind,
        Note,
        Severity,
        Tool,
    )
    from napari_tool_runner.tools.reader import dialect_of, dialects, read_tool
    from napari_tool_runner.tools.toolbox import (
        Toolbox,
        find_tool,
        load_toolbox,
    )
    from napari_tool_runner.tools.values import bind

__all__ = [
    "LayerKind",
    "Note",
    "Severity",
    "Tool",
    "Toolbox",
    "bind",
    "dialect_of",
    "dialects",
    "find_tool",
    "load_toolbox",
    "read_tool",
]

_HOMES = {
    "LayerKind": "model",
    "Note": "model",
    "Severity": "model",
    "Tool": "model",
    "Toolbox": "toolbox",
    "bind": "values",
    "dialect_of": "reader",
    "dialects": "reader",
    "find_tool": "toolbox",
    "load_toolbox": "toolbox",
    "read_tool": "reader",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
