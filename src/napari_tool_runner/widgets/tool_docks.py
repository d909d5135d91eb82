"""Tools in docks of their own: several open at once, each raised when asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.docks import PLUGIN, raise_dock
from napari_tool_runner.widgets.finding.favourites import Favourites
from napari_tool_runner.widgets.tool_widget import ToolWidget

if TYPE_CHECKING:
    from napari import Viewer

    from napari_tool_runner.tools.toolbox.box import Toolbox

__all__ = ["open_in_dock"]


def open_in_dock(key: str, toolbox: Toolbox, viewer: Viewer) -> ToolWidget | None:
    """Show the page of a tool in a dock of its own; None (and a notification) if it cannot be.

    Parameters
    ----------
    key : str
        Key of the tool in `toolbox`.
    """
    from napari.utils.notifications import show_error

    try:
        tool = toolbox[key]
    except KeyError:
        show_error(f"The tool “{key}” is no longer in the toolbox.")
        return None
    except ToolRunnerError as error:
        show_error(str(error))
        return None
    window = viewer.window
    page = _docked(viewer, key)
    if page is not None and page.tool is not tool and not page.active_jobs:
        # its descriptor changed on disk
        window.remove_dock_widget(page)
        page.deleteLater()
        page = None
    if page is None:
        page = ToolWidget(tool, viewer, toolbox=toolbox, open_sample=_open_sample)
        page.setObjectName(_object_name(key))
        name = tool.name if tool.name not in window.dock_widgets else f"{tool.name} ({key})"
        window.add_dock_widget(page, name=name, area="right", tabify=True)
    raise_dock(page)
    rows = page.form.field_rows()
    if rows:
        rows[0].field.focus_widget().setFocus(Qt.FocusReason.OtherFocusReason)
    Favourites().used(key)
    return page


def _object_name(key: str) -> str:
    return f"{PLUGIN}:{key}"


def _docked(viewer: Viewer, key: str) -> ToolWidget | None:
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, ToolWidget) and widget.objectName() == _object_name(key):
            return widget
    return None


def _open_sample() -> None:
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.open_sample(PLUGIN, "cells_2d")
