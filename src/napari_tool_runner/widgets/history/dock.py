"""The dock "Tool History"."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.widgets.dock import open_in_dock
from napari_tool_runner.widgets.history.panel import HistoryPanel

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["ToolHistoryWidget"]


class ToolHistoryWidget(HistoryPanel):
    """The jobs; forms open in the dock "Tool Runner" beside it."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer, open_tool=partial(open_in_dock, napari_viewer))
