"""A titled part that opens and closes, and the thin line that shows what belongs to it.

superqt's collapsible fixes its height when it opens and sets a style sheet; parts that
are filled later, messages and the themes need neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QPainter
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_tool_runner.widgets.parts.icons import IconButton, text_color
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from qtpy.QtGui import QPaintEvent

__all__ = ["Folding", "Indented"]


class Folding(QWidget):
    """A title that opens its content; the content is made when it first opens.

    Subclasses implement `make_content`.
    """

    def __init__(self, title: str, help_text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._expanded = False
        self._content: QWidget | None = None
        self.button = IconButton("right", title)
        self._help_text = help_text
        self.set_title(title)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setAccessibleDescription("closed part of the form")
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._body = Indented()
        self._body.hide()
        filled(QVBoxLayout(self), self.button, self._body, margins=(0, 2, 0, 2), spacing=2)
        self.button.clicked.connect(lambda: self.set_expanded(not self._expanded))

    def set_title(self, title: str) -> None:
        """Show another title."""
        if title != self.button.text():
            self.button.setText(title)
            self.button.setAccessibleName(title)
            self.button.setToolTip(tooltip(title, self._help_text))

    def make_content(self) -> QWidget:
        """Return what is shown when the part is open."""
        raise NotImplementedError

    def opened(self) -> None:
        """React to the first sight of the content."""

    def content(self) -> QWidget:
        """Return the content, made on demand."""
        if self._content is None:
            self._content = self.make_content()
            self._body.add(self._content)
        return self._content

    def set_expanded(self, expanded: bool) -> None:
        """Open or close."""
        if expanded == self._expanded:
            return
        self._expanded = expanded
        if expanded:
            self.content()
            self.opened()
        self.button.show_icon("down" if expanded else "right")
        word = "open" if expanded else "closed"
        self.button.setAccessibleDescription(f"{word} part of the form")
        self._body.setVisible(expanded)


class Indented(QWidget):
    """Content moved in by a thin line, to show what belongs together."""

    def __init__(self, *widgets: QWidget) -> None:
        super().__init__()
        self._inner = filled(QVBoxLayout(self), *widgets, margins=(10, 0, 0, 0), spacing=3)

    def add(self, widget: QWidget) -> None:
        """Append a widget."""
        self._inner.addWidget(widget)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the line, a shade of the text's colour."""
        super().paintEvent(event)
        color = text_color(self)
        color.setAlphaF(0.3)
        painter = QPainter(self)
        painter.fillRect(3, 2, 1, self.height() - 4, color)
        painter.end()
