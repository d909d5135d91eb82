"""Layouts filled in one go, labels that show a text as it is, entries of menus."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QResizeEvent
from qtpy.QtWidgets import QBoxLayout, QFrame, QLabel, QLayout, QMenu, QSizePolicy, QWidget

from napari_tool_runner.widgets.parts.texts import tooltip

__all__ = ["Part", "filled", "menu_entry", "plain_label", "thin_line"]

_UNBROKEN = re.compile(r"[^\s/]+/?|/")
"""What a line of Qt does not break: a word, a part of a path."""
_L = TypeVar("_L", bound=QBoxLayout)
Part = QWidget | QLayout
"""What a layout takes."""


def filled(
    layout: _L,
    *parts: Part | tuple[Part, int],
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
    spacing: int | None = None,
) -> _L:
    """Put widgets and layouts into `layout`, as (part, stretch) where one takes more room."""
    layout.setContentsMargins(*margins)
    if spacing is not None:
        layout.setSpacing(spacing)
    for entry in parts:
        part, stretch = entry if isinstance(entry, tuple) else (entry, 0)
        if isinstance(part, QWidget):
            layout.addWidget(part, stretch)
        else:
            layout.addLayout(part, stretch)
    return layout


class _Wrapped(QLabel):
    """A text in lines, in which a word that is wider than the label is cut in its middle."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._whole = ""
        self.setText(text)

    def text(self) -> str:
        """Return the whole text."""
        return self._whole

    def setText(self, text: str | None) -> None:
        """Show `text`, as much of each word as there is room for."""
        self._whole = text or ""
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Cut more of the words, or less."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        metrics, room = self.fontMetrics(), self.contentsRect().width()

        def fitting(word: re.Match[str]) -> str:
            return metrics.elidedText(word[0], Qt.TextElideMode.ElideMiddle, room)

        seen = _UNBROKEN.sub(fitting, self._whole)
        super().setText(seen)
        self.setToolTip("" if seen == self._whole else tooltip(self._whole))


def plain_label(text: str = "", *, wrap: bool = False, shrinks: bool = False) -> QLabel:
    """Return a label that reads no markup; `shrinks`: its text never widens the window."""
    label = _Wrapped(text) if wrap and shrinks else QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(wrap)
    if shrinks:
        height = QSizePolicy.Policy.Minimum if wrap else QSizePolicy.Policy.Fixed
        label.setSizePolicy(QSizePolicy.Policy.Ignored, height)
    return label


def thin_line() -> QFrame:
    """Return a line across, between parts of a column."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    return line


def menu_entry(menu: QMenu, text: str, act: Callable[[], object]) -> QAction:
    """Append an entry that calls `act`."""
    action = QAction(text, menu)
    action.triggered.connect(lambda _=False: act())
    menu.addAction(action)
    return action
