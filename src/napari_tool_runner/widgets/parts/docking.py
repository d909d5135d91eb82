"""Docks in napari's window: found where they are, opened where they are not, kept in sight."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDockWidget, QLayout, QMainWindow, QTabWidget, QVBoxLayout, QWidget

from napari_tool_runner.widgets.menu_plan import titled
from napari_tool_runner.widgets.parts.background import soon
from napari_tool_runner.widgets.parts.layouts import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari.components import ViewerModel

    from napari_tool_runner.widgets.parts.layouts import Part

__all__ = [
    "column_in_sight",
    "dock_of",
    "float_low",
    "heighten",
    "raise_dock",
    "screen_room",
    "stand_below",
]

_W = TypeVar("_W", bound=QWidget)
_MOVES = (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.WindowStateChange)
_NARROW = 240
"""A dock below the canvas that is not so wide floats: no table is read in it."""
_SETTLED = 50
"""Milliseconds after which docks have their places that moved."""
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

    It floats if it is too narrow there, or most of it lies beyond the edge of the screen: napari's
    window does not get smaller than its docks, and is thus larger than a small screen.
    """
    dock = _around(widget)
    main = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(main, QMainWindow) or dock.isFloating():
        return
    if main.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea:
        if dock.height() < height:
            main.resizeDocks([dock], [height], Qt.Orientation.Vertical)
        place = QRect(dock.mapToGlobal(QPoint()), dock.size())
        seen = place.intersected(screen_room(main))
        if 2 * seen.height() < place.height() or seen.width() < _NARROW:
            dock.setFloating(True)
            _fit(main)


def _fit(window: QMainWindow) -> None:
    """Make a window as large as the screen at most that a dock made larger, which has gone."""
    layout = window.layout()
    if layout is not None:
        layout.activate()
    frame, room = window.frameGeometry().size(), screen_room(window).size()
    window.resize(window.size() - (frame - frame.boundedTo(room)))


class _InSight(QObject):
    """Keeps a dock that floats, and grows with its content, above the lower edge of the screen."""

    def eventFilter(self, dock: QObject | None, event: QEvent | None) -> bool:
        """Move it up, unless a person drags it."""
        grown = event is not None and event.type() == QEvent.Type.Resize
        if grown and isinstance(dock, QDockWidget) and dock.isFloating() and not _is_dragged():
            place, room = dock.geometry(), screen_room(dock)
            if place.bottom() > room.bottom():
                dock.move(place.x(), max(room.top(), room.bottom() + 1 - place.height()))
        return False


def _is_dragged() -> bool:
    return QGuiApplication.mouseButtons() != Qt.MouseButton.NoButton


def float_low(widget: QWidget, size: QSize, free: type[QWidget]) -> None:
    """Give the floating dock of `widget` a size, at the lower left: forms stand at the right.

    Parameters
    ----------
    free : type
        Widgets of the window that are not covered, where there is any other place.
    """
    dock = _around(widget)
    main = dock.parentWidget() if dock is not None else None
    if dock is None or main is None or not dock.isFloating():
        return
    inside = main.geometry().intersected(screen_room(main))
    size = size.boundedTo(QSize(inside.width(), int(_LOWEST * inside.height())))
    kept = QRect()
    for part in main.findChildren(free):
        if not part.visibleRegion().isEmpty():
            kept = kept.united(QRect(part.mapToGlobal(QPoint()), part.size()))
    place = _beside(kept.intersected(inside), inside, size, dock.minimumSizeHint())
    dock.resize(size.boundedTo(place.size()))
    if not _is_dragged():
        dock.move(place.left(), max(place.top(), place.bottom() + 1 - dock.height()))


def _beside(kept: QRect, inside: QRect, size: QSize, least: QSize) -> QRect:
    """Return the part of `inside` beside `kept` where most of `size` has room; else all of it."""
    if kept.isEmpty():
        return inside
    left, right, above = QRect(inside), QRect(inside), QRect(inside)
    left.setRight(kept.left() - 1)
    right.setLeft(kept.right() + 1)
    above.setBottom(kept.top() - 1)

    def area(place: QRect) -> int:
        most = size.boundedTo(place.size())
        return most.width() * most.height()

    wide = [one for one in (left, right, above) if least.boundedTo(one.size()) == least]
    return max(wide, key=area, default=inside)


def column_in_sight(
    panel: QWidget,
    *parts: Part | tuple[Part, int],
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
    spacing: int | None = None,
) -> QVBoxLayout:
    """Put `parts` below one another into `panel`, above the lower edge of the screen.

    napari's window is as high as its docks at the left need it to be. Where the screen is lower,
    what stands at the foot of a panel, as Run does, would be out of reach.
    """
    column = filled(QVBoxLayout(panel), *parts, margins=margins, spacing=spacing)
    panel.installEventFilter(_Foot(panel, column))
    return column


def screen_room(window: QWidget) -> QRect:
    """Return what windows may take of the screen that `window` is on."""
    screen = window.screen()
    return window.geometry() if screen is None else screen.availableGeometry()


class _Foot(QObject):
    """Keeps free what of a panel the screen does not show, and the panel where it is seen."""

    def __init__(self, panel: QWidget, layout: QLayout) -> None:
        super().__init__(panel)
        self._panel, self._layout = panel, layout
        self._own = layout.contentsMargins().bottom()
        self._heard: list[weakref.ref[QWidget]] = []
        """The panel's window and dock: references that keep nothing of napari's alive."""
        self._narrow = soon(self._leave_canvas, 0, self)
        self._move = soon(self._share, _SETTLED, self)
        self._shrinks = False

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look again when the panel, its dock or its window moved."""
        if event is not None and event.type() in _MOVES:
            dock = _around(self._panel)
            if dock is not None and dock.widget() is self._panel:
                self._hear(dock)
                self._settle()
                self._move.start()
        return False

    def _hear(self, dock: QDockWidget) -> None:
        window = self._panel.window()
        there = [dock] if window is None or window is dock else [dock, window]
        known = [part for heard in self._heard if (part := heard()) is not None]
        if there != known:
            for part in known:
                part.removeEventFilter(self)
            for part in there:
                part.installEventFilter(self)
            self._heard = [weakref.ref(part) for part in there]
            self._narrow.start()

    def _settle(self) -> None:
        window, dock = self._panel.window(), _around(self._panel)
        if isinstance(window, QMainWindow) and dock is not None:
            # tabs come and go above: what stands at the foot stays where it is
            window.setTabPosition(window.dockWidgetArea(dock), QTabWidget.TabPosition.North)
        margins = self._layout.contentsMargins()
        bottom = self._own + self._beyond()
        if bottom != margins.bottom():
            margins.setBottom(bottom)
            self._layout.setContentsMargins(margins)

    def _leave_canvas(self) -> None:
        """Take no more width than needed where hardly any is left to the canvas."""
        window, dock = self._panel.window(), _around(self._panel)
        canvas = window.centralWidget() if isinstance(window, QMainWindow) else None
        if isinstance(window, QMainWindow) and dock is not None and canvas is not None:
            wanted = self._panel.minimumSizeHint().width()
            if canvas.width() < _NARROW and dock.width() > wanted:
                window.resizeDocks([dock], [wanted], Qt.Orientation.Horizontal)

    def _share(self) -> None:
        """Stand as a tab on a dock of the same column, where that is too high for the screen.

        The window is as high as its highest column needs it to be.
        """
        window, dock = self._panel.window(), _around(self._panel)
        if not isinstance(window, QMainWindow) or dock is None:
            return
        if _is_dragged():
            self._move.start()
            return
        over = window.frameGeometry().height() - screen_room(window).height()
        needed = window.minimumSizeHint().height()
        if over > 0 and self._shrinks:
            _fit(window)
        self._shrinks = False
        if over > 0 and needed >= window.height():
            place = _better_place(window, dock)
            if place is not None:
                window.tabifyDockWidget(place, dock)
                dock.raise_()
                self._shrinks = True
                self._move.start()

    def _beyond(self) -> int:
        """Return how much of the panel a screen does not show that is lower than the window."""
        window = self._panel.window()
        if not isinstance(window, QMainWindow):
            return 0
        room = screen_room(window)
        if window.frameGeometry().height() <= room.height():
            return 0  # a person moved it there
        foot = self._panel.mapToGlobal(QPoint(0, self._panel.height())).y()
        return max(0, foot - room.bottom() - 1)


def _mates(window: QMainWindow, dock: QDockWidget) -> list[QDockWidget]:
    """Return the docks above and below `dock`, of which each shows something."""
    area, on_it = window.dockWidgetArea(dock), window.tabifiedDockWidgets(dock)
    return [
        one
        for one in window.findChildren(QDockWidget)
        if one not in (dock, *on_it)
        and window.dockWidgetArea(one) == area
        and not one.isFloating()
        and one.isVisible()
        and not one.visibleRegion().isEmpty()
    ]


def _better_place(window: QMainWindow, dock: QDockWidget) -> QDockWidget | None:
    """Return the dock on which `dock` takes no height from its column, or is seen at least."""

    def least(one: QDockWidget) -> int:
        group = (one, *window.tabifiedDockWidgets(one))
        return max(each.minimumSizeHint().height() for each in group)

    mates = _mates(window, dock)
    best = max(mates, key=_seen, default=None)
    if best is None or _seen(dock) < least(dock):
        return best if best is not None and _seen(best) > _seen(dock) else None
    lowest = all(one.height() <= least(one) for one in (dock, *mates))
    cut = any(_seen(one) < least(one) for one in mates)
    return best if (lowest or cut) and not window.tabifiedDockWidgets(dock) else None


def _seen(dock: QDockWidget) -> int:
    """Return how much of the height of `dock` the screen shows."""
    place = QRect(dock.mapToGlobal(QPoint()), dock.size())
    return place.intersected(screen_room(dock)).height()


def _around(widget: QWidget) -> QDockWidget | None:
    above = widget.parentWidget()
    while above is not None and not isinstance(above, QDockWidget):
        above = above.parentWidget()
    return above
