"""Commands of napari's menus about the selected layer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

# napari hands these in by the annotation, so the name must be there
from napari.viewer import Viewer  # noqa: TC002

from napari_tool_runner.errors import ToolRunnerError, WorkspaceError
from napari_tool_runner.widgets.dock import history_dock, open_in_dock
from napari_tool_runner.widgets.history import made_by
from napari_tool_runner.widgets.parts.texts import notify

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_again_on", "show_how_made"]


def show_how_made(viewer: Viewer) -> None:
    """Show the job that made the selected layer."""
    _with_layer(viewer, lambda layer: made_by.show_how_made(layer, partial(history_dock, viewer)))


def run_again_on(viewer: Viewer) -> None:
    """Open the form of the tool that made the selected layer, with its parameters."""
    _with_layer(viewer, lambda layer: made_by.run_again_on(layer, partial(open_in_dock, viewer)))


def _with_layer(viewer: Viewer, act: Callable[[object], None]) -> None:
    layer = viewer.layers.selection.active
    try:
        if layer is None:
            raise WorkspaceError("No layer is selected.", hint="Select one that a tool made.")
        act(layer)
    except ToolRunnerError as error:
        notify(str(error))
