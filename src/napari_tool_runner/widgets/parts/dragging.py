"""A number changed by dragging its label sideways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QMouseEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QWidget

__all__ = ["DragSteps"]

_PIXELS = 6
"""Of the mouse, for one step."""


class DragSteps(QObject):
    """Lets the mouse drag `handle` to the right for more, to the left for less.

    Parameters
    ----------
    handle : QWidget
    step : callable
        Takes how many steps up (or, below 0, down) the value goes.
    """

    def __init__(self, handle: QWidget, step: Callable[[int], object]) -> None:
        super().__init__(handle)
        self._step = step
        self._from: float | None = None
        handle.setCursor(Qt.CursorShape.SizeHorCursor)
        handle.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take what the left button does."""
        if not isinstance(event, QMouseEvent):
            return False
        place = event.globalPosition().x()
        if event.type() == QEvent.Type.MouseButtonPress:
            self._from = place if event.button() == Qt.MouseButton.LeftButton else None
        elif event.type() == QEvent.Type.MouseButtonRelease:
            self._from = None
        elif event.type() == QEvent.Type.MouseMove and self._from is not None:
            steps = int((place - self._from) / _PIXELS)
            if steps:
                self._from += steps * _PIXELS
                self._step(steps)
            return True
        return False
