"""Docks in napari's window: found where they are, opened where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_tool_runner.widgets.menu_plan import titled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

__all__ = ["dock_of", "float_low", "heighten", "raise_dock", "stand_below"]

_W = TypeVar("_W", bound=QWidget)
_LOWEST = 0.6
"""So much of the height of a window (of what the screen shows of it) a dock has that floats."""


def dock_of(
    viewer: ViewerModel, kind: type[_W], name: str, make: Callable[[], _W], *, area: str = "right"
) -> _W | None:
    """Return the docked widget of that kind, raised; None without a window.

    Parameters
    ----------
    name : str
        What the manifest calls it.
    make : callable
        Makes the widget.
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
    made = make()
    # named as napari's menu names it, which would open a second one otherwise
    window.add_dock_widget(made, name=titled(name), area=area, tabify=True)
    raise_dock(made)
    return made


def raise_dock(widget: QWidget) -> None:
    """Bring the dock that holds `widget` to the front."""
    dock = _around(widget)
    if dock is not None:
        dock.show()
        dock.raise_()


def stand_below(widget: QWidget, floated: Callable[[bool], object]) -> None:
    """Let only the canvas give way to the dock of `widget` below it; docks beside it stay whole.

    Parameters
    ----------
    floated : callable
        Hears when the dock leaves its place (True) and comes back.
    """
    dock = _around(widget)
    if dock is None:
        return
    dock.topLevelChanged.connect(floated)
    dock.installEventFilter(_InSight(dock))
    main = dock.parentWidget()
    if isinstance(main, QMainWindow):
        main.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        main.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)


def heighten(widget: QWidget, height: int) -> None:
    """Make the dock of `widget`, where it stands below the canvas, at least as high.

    It floats if most of it lies beyond the edge of the screen: napari's window does not get
    smaller than its docks, and is thus larger than a small screen.
    """
    dock = _around(widget)
    main = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(main, QMainWindow) or dock.isFloating():
        return
    if main.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea:
        if dock.height() < height:
            main.resizeDocks([dock], [height], Qt.Orientation.Vertical)
        place = QRect(dock.mapToGlobal(QPoint()), dock.size())
        if 2 * place.intersected(_room(main)).height() < place.height():
            dock.setFloating(True)


def _room(window: QWidget) -> QRect:
    """Return what windows may take of the screen that `window` is on."""
    screen = window.screen()
    return window.geometry() if screen is None else screen.availableGeometry()


class _InSight(QObject):
    """Keeps a dock that floats, and grows with its content, above the lower edge of the screen."""

    def eventFilter(self, dock: QObject | None, event: QEvent | None) -> bool:
        """Move it up, unless a person drags it."""
        grown = event is not None and event.type() == QEvent.Type.Resize
        if grown and isinstance(dock, QDockWidget) and dock.isFloating() and not _is_dragged():
            place, room = dock.geometry(), _room(dock)
            if place.bottom() > room.bottom():
                dock.move(place.x(), max(room.top(), room.bottom() + 1 - place.height()))
        return False


def _is_dragged() -> bool:
    return QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton


def float_low(widget: QWidget, size: QSize) -> None:
    """Give the floating dock of `widget` a size, at the lower left: forms stand at the right."""
    dock = _around(widget)
    main = dock.parentWidget() if dock is not None else None
    if dock is None or main is None or not dock.isFloating():
        return
    inside = main.geometry().intersected(_room(main))
    size = size.boundedTo(QSize(inside.width(), int(_LOWEST * inside.height())))
    dock.resize(size)
    if not _is_dragged():
        dock.move(inside.left(), inside.bottom() - dock.height())


def _around(widget: QWidget) -> QDockWidget | None:
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QDockWidget):
        above = above.parentWidget()
    return above
