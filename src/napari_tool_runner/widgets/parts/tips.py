"""Tooltips let the mouse through: what they hang over is pressed at the first click."""

from __future__ import annotations

from functools import cache, partial

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_tool_runner.widgets.parts.background import soon

__all__ = ["let_clicks_through"]

_SHOWN = QEvent.Type.Show


class _Tips(QObject):
    """Makes each tip of the application transparent for input.

    A tip is a window of its own. It goes 0.3 s after the pointer has left what it is of, and a
    press on it meanwhile ends there.
    """

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at each tip that is shown."""
        if (
            event is not None
            and event.type() == _SHOWN
            and isinstance(watched, QWidget)
            and watched.inherits("QTipLabel")
        ):
            # not at once: X forgets it of a window that is not mapped yet
            soon(partial(_open, watched), 0, watched).start()
        return False


def _open(tip: QWidget) -> None:
    window = tip.windowHandle()
    if window is not None:
        window.setFlag(Qt.WindowType.WindowTransparentForInput, True)


@cache
def let_clicks_through() -> None:
    """Do so from now on, for all tips: those of others hang over our buttons, too."""
    app = QApplication.instance()
    if app is not None:
        app.installEventFilter(_Tips(app))
