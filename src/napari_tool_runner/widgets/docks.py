"""Our docks in napari's window: found where they are, opened where they are not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtWidgets import QDockWidget, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.dock import ToolRunnerWidget
    from napari_tool_runner.widgets.history.panel import HistoryPanel
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["history_dock", "open_in_dock", "runner_dock"]

_log = logging.getLogger(__name__)
_PLUGIN = "napari-tool-runner"
_W = TypeVar("_W", bound=QWidget)


def runner_dock(viewer: ViewerModel) -> ToolRunnerWidget | None:
    """Return the dock "Tool Runner" of the viewer's window; None without a window."""
    from napari_tool_runner.widgets.dock import ToolRunnerWidget

    return _dock(viewer, ToolRunnerWidget, "Tool Runner")


def history_dock(viewer: ViewerModel) -> HistoryPanel | None:
    """Return the dock "Tool History" of the viewer's window; None without a window."""
    from napari_tool_runner.widgets.history.panel import HistoryPanel

    return _dock(viewer, HistoryPanel, "Tool History")


def open_in_dock(viewer: ViewerModel, tool: Tool) -> ToolWidget | None:
    """Show the page of `tool` in the dock "Tool Runner"."""
    dock = runner_dock(viewer)
    return dock.show_tool(tool) if dock is not None else None


def _dock(viewer: ViewerModel, kind: type[_W], name: str) -> _W | None:
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    docked: Mapping[str, object] = window.dock_widgets
    for widget in docked.values():
        if isinstance(widget, kind):
            _raise(widget)
            return widget
    try:
        made = window.add_plugin_dock_widget(_PLUGIN, name, tabify=True)[1]
    except (KeyError, ValueError) as error:  # not installed as a plugin (a script)
        _log.debug("%s is docked without the plugin: %s", name, error)
        made = kind(viewer)
        window.add_dock_widget(made, name=name, area="right", tabify=True)
    if not isinstance(made, kind):
        return None
    _raise(made)
    return made


def _raise(widget: QWidget) -> None:
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QDockWidget):
        above = above.parentWidget()
    if above is not None:
        above.show()
        above.raise_()
