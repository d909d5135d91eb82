"""What a person sees. The only room that imports Qt and napari."""

from __future__ import annotations

from napari_tool_runner.widgets.dock import ToolRunnerWidget
from napari_tool_runner.widgets.form import FormWidget
from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["FormWidget", "ToolRunnerWidget", "ToolWidget"]
