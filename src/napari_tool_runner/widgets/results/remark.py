"""One line about a table, and a button that does something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget
from superqt import QElidingLabel

from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Remark"]


class Remark(QWidget):
    """Stays one line high, however narrow: the tip has all of it. Hidden without a text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._act: Callable[[], object] = lambda: None
        self._label = QElidingLabel()
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setMinimumWidth(40)
        self.button = QPushButton()
        self.button.clicked.connect(lambda: self._act())
        filled(QHBoxLayout(self), (self._label, 1), self.button)
        self.hide()

    def text(self) -> str:
        """Return the line."""
        return self._label.text()

    def say(
        self, text: str, more: str = "", label: str = "", act: Callable[[], object] | None = None
    ) -> None:
        """Show `text`; what is `more` stands in the tip; a button `label` that calls `act`."""
        self._label.setText(text)
        self._label.setToolTip(tooltip(text, more))
        self._act = act or (lambda: None)
        self.button.setText(label)
        self.button.setVisible(bool(label))
        self.setVisible(bool(text))
