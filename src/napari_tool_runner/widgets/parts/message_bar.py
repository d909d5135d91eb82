"""One sentence with the buttons that belong to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tool_runner.widgets.parts.messages import MessageKind, MessageLabel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MessageBar"]


class MessageBar(QWidget):
    """Tells what happened, or asks something that buttons answer; never a dialog.

    Parameters
    ----------
    stays : bool
        The sentence stays when one of its buttons is pressed.
    """

    def __init__(self, parent: QWidget | None = None, *, stays: bool = False) -> None:
        super().__init__(parent)
        self._stays = stays
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        self.label = MessageLabel()
        layout.addWidget(self.label)
        self._box = QWidget()
        self._row = QHBoxLayout(self._box)
        self._row.setContentsMargins(19, 0, 0, 0)
        self._row.setSpacing(4)
        self._row.addStretch(1)
        self._box.hide()
        layout.addWidget(self._box)
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

    def say(
        self,
        text: str,
        kind: MessageKind = "info",
        buttons: Sequence[tuple[str, Callable[[], object]]] = (),
    ) -> None:
        """Show `text` and its buttons; an empty text hides both."""
        for button in self._buttons:
            button.hide()
            button.deleteLater()
        self._buttons = []
        for place, (label, action) in enumerate(buttons):
            button = QPushButton(label)
            button.clicked.connect(lambda _=False, action=action: self._answer(action))
            self._row.insertWidget(place, button)
            self._buttons.append(button)
        self.label.say(text, kind)
        self._box.setVisible(bool(self._buttons))
        self.setVisible(bool(text))

    def _answer(self, action: Callable[[], object]) -> None:
        if not self._stays:
            self.say("")
        action()
