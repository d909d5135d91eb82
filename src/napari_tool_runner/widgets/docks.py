"""A dock for each tool, beside the one that finds them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.finding.favourites import Favourites
from napari_tool_runner.widgets.menu_plan import PLUGIN
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.docking import raise_dock
from napari_tool_runner.widgets.parts.texts import notify

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari import Viewer

    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["open_tool_dock", "why_no_tool"]


def open_tool_dock(
    key: str,
    toolbox: Toolbox,
    viewer: Viewer,
    *,
    fill: Callable[[ToolWidget], object] | None = None,
) -> ToolWidget | None:
    """Show the page of a tool in a dock of its own; None (and a notification) if it cannot be.

    None, too, when its descriptor was never read: it is read in the background first.

    Parameters
    ----------
    key : str
        Key of the tool in `toolbox`.
    fill : callable, optional
        Fills the page in.
    """
    from napari_tool_runner.widgets.tool_widget import ToolWidget

    window, name = viewer.window, f"{PLUGIN}:{key}"
    try:
        if not toolbox.is_quick(key):
            task = Task(partial(toolbox.__getitem__, key), window._qt_window)
            task.done.connect(lambda _: open_tool_dock(key, toolbox, viewer, fill=fill))
            task.failed.connect(lambda error: notify(why_no_tool(key, error), "error"))
            task.start()
            return None
        tool = toolbox[key]
    except (KeyError, ToolRunnerError) as error:
        notify(why_no_tool(key, error), "error")
        return None
    pages = (page for page in window.dock_widgets.values() if isinstance(page, ToolWidget))
    page = next((page for page in pages if page.objectName() == name), None)
    if page is not None and page.tool is not tool and not page.is_busy:
        # its descriptor changed on disk
        window.remove_dock_widget(page)
        page.deleteLater()
        page = None
    if page is not None:
        page.service_lookup.refresh()
    else:
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
    raise_dock(page)
    page.form.focus_first()
    Favourites().used(key)
    if fill is not None:
        fill(page)
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
