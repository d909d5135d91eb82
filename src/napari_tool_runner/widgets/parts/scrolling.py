"""What gives way where there is no room: it scrolls, and what stands beside it stays whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_tool_runner.widgets.parts.background import soon
from napari_tool_runner.widgets.parts.docking import column_in_sight
from napari_tool_runner.widgets.parts.layouts import filled

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

__all__ = ["Footed", "Scrolled"]

_NARROWEST, _LEAST = 280, 240
_SPACING = 2
_INNER = 100
"""Pixels of height that a content has beside what it needs, while it is scrolled."""


class Scrolled(QScrollArea):
    """Shows `content` in its whole width, and scrolls it where it is higher than its room.

    Qt's own resizable area scrolls as soon as there is less room than a content *wants* whose
    height follows its width; this one as soon as there is less than it *needs*.

    Parameters
    ----------
    content : QWidget
        Has a layout.
    lines : int
        Is as high as its content, up to so many lines of text; 0: as high as its place.
    """

    def __init__(self, content: QWidget, *, lines: int = 0) -> None:
        super().__init__()
        self._lines = lines
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._target: QWidget | None = None
        self._go = soon(self._go_to_target, 30, self)
        if lines:
            policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
            policy.setHeightForWidth(True)
            self.setSizePolicy(policy)

    def reveal(self, part: QWidget) -> None:
        """Scroll to `part`, which is just being shown, when it has its place."""
        self._target = part
        self._go.start()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the content what room there is."""
        super().resizeEvent(event)
        self._settle()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow the content, when it needs another height."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._settle()
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def heightForWidth(self, width: int) -> int:
        """Return the height of the content, up to the most lines."""
        most = self._lines * self.fontMetrics().lineSpacing()
        return min(_needed(self.widget(), width - self._frame()), most) + self._frame()

    def hasHeightForWidth(self) -> bool:
        """Whether it is as high as its content."""
        return bool(self._lines)

    def sizeHint(self) -> QSize:
        """Return the size of the content."""
        content = self.widget()
        wanted = QSize() if content is None else content.sizeHint()
        return QSize(wanted.width(), self.heightForWidth(self.width())) if self._lines else wanted

    def minimumSizeHint(self) -> QSize:
        """Return a width that cuts nothing; no height of what gives way."""
        content = self.widget()
        if self._lines or content is None:
            return QSize(0, self.heightForWidth(self.width()))
        return QSize(content.minimumSizeHint().width() + self._frame(), 0)

    def _frame(self) -> int:
        """Return what a theme draws around the content."""
        return self.width() - self.maximumViewportSize().width()

    def _settle(self) -> None:
        content, bar, room = self.widget(), self.verticalScrollBar(), self.maximumViewportSize()
        assert content is not None
        assert bar is not None
        height = _needed(content, room.width())
        if height <= room.height():
            content.resize(room)
            return
        width = room.width() - bar.sizeHint().width()
        # two areas that scroll in one another: the inner one is high enough to be used
        more = 0 if self._lines else _INNER
        content.resize(width, _needed(content, width) + more)

    def _go_to_target(self) -> None:
        if self._target is not None and self._target.isVisible():
            self.ensureWidgetVisible(self._target)
        self._target = None


def _needed(part: QWidget | None, width: int) -> int:
    layout = part.layout() if part is not None else None
    if layout is None:
        return 0
    hangs = layout.hasHeightForWidth()
    return layout.minimumHeightForWidth(width) if hangs else layout.minimumSize().height()


class Footed(QWidget):
    """A page with a foot that is always whole; what stands above it scrolls down to nothing."""

    def column_above(self, foot: QWidget) -> QVBoxLayout:
        """Put `foot` at the foot; returns the layout of what stands above it."""
        self._foot, self.above = foot, QWidget()
        self._scrolled = Scrolled(self.above)
        column_in_sight(self, (self._scrolled, 1), foot, spacing=_SPACING)
        return filled(QVBoxLayout(self.above), spacing=_SPACING)

    def reveal(self, part: QWidget) -> None:
        """Scroll to `part` of what stands above the foot."""
        self._scrolled.reveal(part)

    def sizeHint(self) -> QSize:
        """Return a modest size; the dock decides."""
        return QSize(320, 560)

    def minimumSizeHint(self) -> QSize:
        """Return room for the foot, and for a part of what stands above it.

        A foot that grows takes it from that part: docks that share a column stay as they are.
        """
        foot = _needed(self._foot, max(_NARROWEST, self.width()))
        return QSize(_NARROWEST, max(_LEAST, foot + _SPACING))
