"""Docks in napari's window: found where they are, opened where they are not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_tool_runner.widgets.menu_plan import PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

__all__ = ["dock_of", "raise_dock"]

_log = logging.getLogger(__name__)
_W = TypeVar("_W", bound=QWidget)


def dock_of(
    viewer: ViewerModel, kind: type[_W], name: str, make: Callable[[], _W], *, area: str = "right"
) -> _W | None:
    """Return the docked widget of that kind, raised; None without a window.

    Parameters
    ----------
    name : str
        What the manifest calls it.
    make : callable
        Makes the widget where the plugin is not installed (a script).
    area : str
        Where in the window it stands when it is opened.
    """
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    docked: Mapping[str, object] = window.dock_widgets
    for widget in docked.values():
        if isinstance(widget, kind):
            raise_dock(widget)
            return widget
    try:
        dock, made = window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        main = dock.parentWidget()
        if area == "bottom" and isinstance(main, QMainWindow):  # napari's choice is the right
            main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    except (KeyError, ValueError) as error:
        _log.debug("%s is docked without the plugin: %s", name, error)
        made = make()
        window.add_dock_widget(made, name=name, area=area, tabify=True)
    if not isinstance(made, kind):
        return None
    raise_dock(made)
    return made


def raise_dock(widget: QWidget) -> None:
    """Bring the dock that holds `widget` to the front."""
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QDockWidget):
        above = above.parentWidget()
    if above is not None:
        above.show()
        above.raise_()
