"""Docks in napari's window: found where they are, opened where they are not; one for each tool."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtWidgets import QDockWidget, QWidget

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.finding.favourites import Favourites
from napari_tool_runner.widgets.menu_plan import PLUGIN
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.texts import notify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari import Viewer
    from napari.components import ViewerModel

    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["dock_of", "open_tool_dock", "why_no_tool"]

_log = logging.getLogger(__name__)
_W = TypeVar("_W", bound=QWidget)


def dock_of(viewer: ViewerModel, kind: type[_W], name: str, make: Callable[[], _W]) -> _W | None:
    """Return the docked widget of that kind, raised; None without a window.

    Parameters
    ----------
    name : str
        What the manifest calls it.
    make : callable
        Makes the widget where the plugin is not installed (a script).
    """
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    docked: Mapping[str, object] = window.dock_widgets
    for widget in docked.values():
        if isinstance(widget, kind):
            _raise(widget)
            return widget
    try:
        made = window.add_plugin_dock_widget(PLUGIN, name, tabify=True)[1]
    except (KeyError, ValueError) as error:
        _log.debug("%s is docked without the plugin: %s", name, error)
        made = make()
        window.add_dock_widget(made, name=name, area="right", tabify=True)
    if not isinstance(made, kind):
        return None
    _raise(made)
    return made


def _raise(widget: QWidget) -> None:
    """Bring the dock that holds `widget` to the front."""
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QDockWidget):
        above = above.parentWidget()
    if above is not None:
        above.show()
        above.raise_()


def open_tool_dock(key: str, toolbox: Toolbox, viewer: Viewer) -> ToolWidget | None:
    """Show the page of a tool in a dock of its own; None (and a notification) if it cannot be.

    None, too, when its descriptor was never read: it is read in the background first.

    Parameters
    ----------
    key : str
        Key of the tool in `toolbox`.
    """
    from napari_tool_runner.widgets.tool_widget import ToolWidget

    window, name = viewer.window, f"{PLUGIN}:{key}"
    try:
        if not toolbox.is_quick(key):
            task = Task(partial(toolbox.__getitem__, key), window._qt_window)
            task.done.connect(lambda _: open_tool_dock(key, toolbox, viewer))
            task.failed.connect(lambda error: notify(why_no_tool(key, error), "error"))
            task.start()
            return None
        tool = toolbox[key]
    except (KeyError, ToolRunnerError) as error:
        notify(why_no_tool(key, error), "error")
        return None
    pages = (page for page in window.dock_widgets.values() if isinstance(page, ToolWidget))
    page = next((page for page in pages if page.objectName() == name), None)
    if page is not None and page.tool is not tool and not page.active_jobs:
        # its descriptor changed on disk
        window.remove_dock_widget(page)
        page.deleteLater()
        page = None
    if page is None:
        page = ToolWidget(
            tool,
            viewer,
            toolbox=toolbox,
            open_sample=_open_sample,
            open_tool=partial(open_tool_dock, toolbox=toolbox, viewer=viewer),
        )
        page.setObjectName(name)
        title = tool.name if tool.name not in window.dock_widgets else f"{tool.name} ({key})"
        window.add_dock_widget(page, name=title, area="right", tabify=True)
    _raise(page)
    page.form.focus_first()
    Favourites().used(key)
    return page


def why_no_tool(key: str, error: KeyError | ToolRunnerError) -> str:
    """Return what to say of a tool that its toolbox does not give."""
    if isinstance(error, ToolRunnerError):
        return str(error)
    return f"The tool “{key}” is no longer in the toolbox."


def _open_sample() -> None:
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        viewer.open_sample(PLUGIN, "cells_2d")
