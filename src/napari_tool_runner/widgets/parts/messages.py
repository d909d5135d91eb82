"""Sentences in the window, with buttons or not: a sign and words, never colour alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import Qt
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QFlowLayout

from napari_tool_runner.widgets.parts.icons import pixmap, sign_color, text_color
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.scrolling import Scrolled
from napari_tool_runner.widgets.parts.texts import shown

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

__all__ = ["Button", "MessageBar", "MessageKind", "MessageLabel", "Sign"]

Button = tuple[str, Callable[[], object]]
"""The text of a button, and what it does."""
MessageKind = Literal["problem", "info", "failed", "done", "busy"]
_ICONS: dict[MessageKind, str] = {
    "problem": "warning_sign",
    "info": "info",
    "failed": "failed_sign",
    "done": "check",
    "busy": "clock",
}
_THEMED = {"warning_sign": "warning", "failed_sign": "error"}
"""Icons in a colour of the theme that says what they are; the others are as the text."""
_SPOKEN: dict[MessageKind, str] = {"problem": "Problem: ", "failed": "Failed: ", "done": "Done: "}


class Sign(QWidget):
    """A small icon in the colour of the text, or in the theme's own of failures and warnings."""

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
        role = _THEMED.get(self._name)
        own = text_color(self, QPalette.ColorRole.WindowText)
        color = (sign_color(role, self) if role else own).name()
        painter = QPainter(self)
        painter.drawPixmap(0, 2, pixmap(self._name, color, self._size, self.devicePixelRatioF()))
        painter.end()


class MessageLabel(QWidget):
    """A sentence and its sign; hidden while it has nothing to say.

    Parameters
    ----------
    lines : int
        So many at most take room, where what stands beside has to stay whole; then it scrolls.
    """

    def __init__(self, parent: QWidget | None = None, *, lines: int = 0) -> None:
        super().__init__(parent)
        self._kind: MessageKind = "info"
        self._sign = Sign()
        self._text = plain_label(wrap=True, shrinks=True)
        self._text.setIndent(0)  # AlignTop would indent the first line
        self._text.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        told: QWidget = self._text
        if lines:
            told = QWidget()
            filled(QVBoxLayout(told), self._text)
            told = Scrolled(told, lines=lines)
        row = filled(QHBoxLayout(self), self._sign, (told, 1), spacing=5)
        row.setAlignment(self._sign, Qt.AlignmentFlag.AlignTop)
        self.hide()

    def text(self) -> str:
        """Return the sentence."""
        return self._text.text()

    def kind(self) -> MessageKind:
        """Return what kind of sentence it is."""
        return self._kind

    def say(self, text: str, kind: MessageKind = "info") -> None:
        """Show `text`; an empty text hides the label."""
        text = shown(text)
        if text != self._text.text() or kind != self._kind:
            self._kind = kind
            self._text.setText(text)
            self.setAccessibleName(_SPOKEN.get(kind, "") + text)
            self._sign.show_icon(_ICONS[kind])
        self.setVisible(bool(text))


class MessageBar(QWidget):
    """Tells what happened, or asks something that buttons answer; never a dialog.

    Parameters
    ----------
    stays : bool
        The sentence stays when one of its buttons is pressed.
    lines : int
        As for `MessageLabel`.
    """

    def __init__(
        self, parent: QWidget | None = None, *, stays: bool = False, lines: int = 0
    ) -> None:
        super().__init__(parent)
        self._stays = stays
        self.label = MessageLabel(lines=lines)
        self._box = QWidget()
        self._row = QFlowLayout(self._box)  # in a second row before a word is cut
        self._row.setContentsMargins(19, 0, 0, 0)
        self._row.setHorizontalSpacing(4)
        self._row.setVerticalSpacing(4)
        self._box.hide()
        filled(QVBoxLayout(self), self.label, self._box, spacing=3)
        self._buttons: list[QPushButton] = []
        self.hide()

    def text(self) -> str:
        """Return the sentence."""
        return self.label.text()

    def kind(self) -> MessageKind:
        """Return what kind of sentence it is."""
        return self.label.kind()

    @property
    def buttons(self) -> tuple[QPushButton, ...]:
        """The buttons of the present sentence."""
        return tuple(self._buttons)

    def say(self, text: str, kind: MessageKind = "info", buttons: Sequence[Button] = ()) -> None:
        """Show `text` and its buttons; an empty text hides both."""
        for button in self._buttons:
            self._row.removeWidget(button)
            button.hide()
            button.deleteLater()
        self._buttons = []
        for label, action in buttons:
            button = QPushButton(label)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # it goes; the keyboard stays
            button.clicked.connect(lambda _=False, action=action: self._answer(action))
            self._row.addWidget(button)
            self._buttons.append(button)
        self.label.say(text, kind)
        self._box.setVisible(bool(self._buttons))
        self.setVisible(bool(text))

    def set_aside(self, aside: bool) -> None:
        """Hide what was said, until something else is; or show it again."""
        self.setVisible(not aside and bool(self.text()))

    def _answer(self, action: Callable[[], object]) -> None:
        if not self._stays:
            self.say("")
        action()
