"""A line of text with a sign in front: told by shape and words, never by colour alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import Qt
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from napari_tool_runner.widgets.parts.icons import pixmap, text_color

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

__all__ = ["MessageKind", "MessageLabel", "Sign"]

MessageKind = Literal["problem", "info", "failed", "done", "busy"]
_ICONS: dict[MessageKind, str] = {
    "problem": "warning",
    "info": "info",
    "failed": "failed",
    "done": "check",
    "busy": "clock",
}
_SPOKEN: dict[MessageKind, str] = {
    "problem": "Problem: ",
    "failed": "Failed: ",
    "done": "Done: ",
    "info": "",
    "busy": "",
}


class Sign(QWidget):
    """A small icon in the colour of the text around it, whatever the theme."""

    def __init__(self, name: str = "info", size: int = 14, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._size = size
        self.setFixedSize(size, size + 2)

    def show_icon(self, name: str) -> None:
        """Show the icon `name`."""
        self._name = name
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the icon."""
        super().paintEvent(event)
        color = text_color(self, QPalette.ColorRole.WindowText).name()
        painter = QPainter(self)
        painter.drawPixmap(0, 2, pixmap(self._name, color, self._size, self.devicePixelRatioF()))
        painter.end()


class MessageLabel(QWidget):
    """A sentence and its sign; hidden while it has nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind: MessageKind = "info"
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        self._sign = Sign()
        self._text = QLabel()
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setIndent(0)  # AlignTop would indent the first line
        self._text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        layout.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._text, 1)
        self.hide()

    def text(self) -> str:
        """Return the sentence."""
        return self._text.text()

    def kind(self) -> MessageKind:
        """Return what kind of sentence it is."""
        return self._kind

    def say(self, text: str, kind: MessageKind = "info") -> None:
        """Show `text`; an empty text hides the label."""
        if text != self._text.text() or kind != self._kind:
            self._kind = kind
            self._text.setText(text)
            self.setAccessibleName(_SPOKEN[kind] + text)
            self._sign.show_icon(_ICONS[kind])
        self.setVisible(bool(text))
