"""One line about a table, and buttons that do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.widgets.parts.messages import Button

__all__ = ["Remark"]


_SPARE = 16
"""Pixels that a line needs beside its letters before it is broken."""


class Remark(QWidget):
    """A line that becomes two where there is no room for one; hidden without a text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._acts: list[Callable[[], object]] = []
        self._label = plain_label(wrap=True)
        self.buttons = (QPushButton(), QPushButton())
        for place, button in enumerate(self.buttons):
            button.clicked.connect(lambda _=False, place=place: self._acts[place]())
        filled(QHBoxLayout(self), (self._label, 1), *self.buttons, spacing=4)
        self.hide()

    @property
    def button(self) -> QPushButton:
        """The first of its buttons."""
        return self.buttons[0]

    def text(self) -> str:
        """Return the line."""
        return self._label.text()

    def sizeHint(self) -> QSize:
        """Return the size of all on one line, as far as its parent is so wide."""
        parts = [self._label, *self.buttons]
        for part in parts:
            part.ensurePolished()  # with the font that it will have
        there = [part for part in parts if not part.isHidden()]
        wide = self._label.fontMetrics().horizontalAdvance(self.text()) + _SPARE
        wide += sum(part.sizeHint().width() + 4 for part in there[1:])
        parent = self.parentWidget()
        room = wide if parent is None else min(wide, max(parent.width(), 1))
        height = max(part.sizeHint().height() for part in (self.button, *there[1:]))
        lines = self._label.heightForWidth(max(1, self._label_room(room)))
        return QSize(room, max(height, lines))

    def minimumSizeHint(self) -> QSize:
        """Return a size that never widens the table."""
        return QSize(80, self.sizeHint().height())

    def say(self, text: str, more: str = "", *buttons: Button) -> None:
        """Show `text`; what is `more` stands in the tip; `buttons` are two at most."""
        self._label.setText(text)
        self._label.setToolTip(tooltip(text, more))
        self._acts = [act for _, act in buttons]
        for place, button in enumerate(self.buttons):
            button.setText(buttons[place][0] if place < len(buttons) else "")
            button.setHidden(place >= len(buttons))
        self.setVisible(bool(text))
        self.updateGeometry()

    def _label_room(self, wide: int) -> int:
        there = [button for button in self.buttons if not button.isHidden()]
        return wide - sum(button.sizeHint().width() + 4 for button in there)
