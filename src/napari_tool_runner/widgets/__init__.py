"""What a person sees. The only room that imports Qt and napari."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.widgets.dock import ToolRunnerWidget
    from napari_tool_runner.widgets.forms.form import FormWidget
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["FormWidget", "ToolRunnerWidget", "ToolWidget"]

# on demand: menu entries need none of them until one is chosen
_HOMES = {
    "FormWidget": "napari_tool_runner.widgets.forms.form",
    "ToolRunnerWidget": "napari_tool_runner.widgets.dock",
    "ToolWidget": "napari_tool_runner.widgets.tool_widget",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
