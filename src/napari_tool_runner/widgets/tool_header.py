"""The head of a tool's page: name, version, what it does, its notes, its menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_tool_runner.names import count_text
from napari_tool_runner.tools.model import Severity
from napari_tool_runner.widgets.parts.icons import IconButton, MenuButton
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["ToolHeader"]

_SHOWN_NOTES = 2


class ToolHeader(QWidget):
    """Name, version and description of a tool, its notes, and buttons.

    `back_button` is hidden where there is nowhere to go back to; `add_button` puts
    another button beside the menu (help, cite, star).
    """

    back = Signal()

    def __init__(self, tool: Tool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool = tool
        self.back_button = IconButton("back", "Back to all tools (Alt+Left)")
        self.back_button.setShortcut("Alt+Left")
        self.back_button.clicked.connect(self.back)
        self.back_button.hide()
        self.title = QElidingLabel(tool.name)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        font = self.title.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.title.setFont(font)
        self.title.setToolTip(tooltip(tool.name, f"{tool.id} {tool.version}", tool.uri))
        self.title.setMinimumWidth(40)
        version = QElidingLabel(tool.version)
        version.setTextFormat(Qt.TextFormat.PlainText)
        version.setToolTip(tooltip(f"Version of the tool: {tool.version}"))
        version.setEnabled(False)
        version.setMaximumWidth(110)
        self._buttons = filled(QHBoxLayout(), spacing=0)
        self.menu_button = MenuButton("more", "Reset, presets and more")
        about = plain_label(tool.description, wrap=True, shrinks=True)
        for label in (version, about):
            if not label.text():
                label.hide()
        self.notes: list[MessageLabel] = []
        self._notes_box = filled(QVBoxLayout(), spacing=2)
        parts = self.back_button, (self.title, 1), version, self._buttons, self.menu_button
        row = filled(QHBoxLayout(), *parts, spacing=2)
        column = row, about, self._notes_box
        filled(QVBoxLayout(self), *column, margins=(6, 2, 6, 2), spacing=3)
        self._add_notes()

    def add_button(self, button: QWidget) -> None:
        """Put `button` beside the menu."""
        self._buttons.addWidget(button)

    def _add_notes(self) -> None:
        order = [Severity.ERROR, Severity.WARNING]
        shown = [note for note in self.tool.notes if note.severity in order]
        shown.sort(key=lambda note: order.index(note.severity))
        for number, note in enumerate(shown):
            label = MessageLabel(self)
            label.say(note.what, "problem")
            label.setToolTip(tooltip(note.what, f"In the descriptor: {note.where}"))
            label.setVisible(number < _SHOWN_NOTES)
            self._notes_box.addWidget(label)
            self.notes.append(label)
        rest = len(shown) - _SHOWN_NOTES
        if rest > 0:
            more = QToolButton()
            more.setAutoRaise(True)
            more.setText(f"{count_text(rest, 'more note')}…")
            self._notes_box.addWidget(more)

            def show_all() -> None:
                for label in self.notes:
                    label.show()
                more.hide()

            more.clicked.connect(show_all)
