"""What the colours of objects mean: a strip from the lowest value of a column to the highest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from napari_tool_runner.exchange import column_title
from napari_tool_runner.quoting import one_line
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import tooltip
from napari_tool_runner.widgets.results.looks import color_by, own_colors, scale_colors, scale_over
from napari_tool_runner.widgets.results.measures import plotted, value_text

if TYPE_CHECKING:
    from napari_tool_runner.widgets.results.looks import Scale
    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["ColorScale", "color_rows"]

STOPS = 9
MOST = 18
"""So many letters of a name leave room for the strip."""


class ColorScale(QWidget):
    """One line: a column, its lowest value, the colours, its highest value."""

    taken_off = Signal()
    """The objects are to have their own colours again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.column, self.low, self.high = (plain_label() for _ in range(3))
        self.strip = _Strip()
        self.off = IconButton("cross", "Give the objects their own colours again")
        self.off.clicked.connect(self.taken_off)
        parts = (self.column, self.low, (self.strip, 1), self.high, self.off)
        filled(QHBoxLayout(self), *parts, spacing=6)
        self.hide()

    def tell(self, rows: Rows, scale: Scale | None) -> None:
        """Tell a scale; None: the colours are by no column."""
        told = scale is not None and scale.column in rows.frame.columns
        self.setVisible(told)
        if scale is None or not told:
            return
        title = column_title(scale.column, of_objects=bool(rows.layers))
        self.column.setText(f"{one_line(title, MOST)}:")
        self.column.setToolTip(tooltip(f"The objects are coloured by “{title}”."))
        column = plotted(rows.frame[scale.column])
        known = scale.low == scale.low
        same = scale.low == scale.high
        low, high = (value_text(column, end) if known else "" for end in (scale.low, scale.high))
        self.low.setText("" if same else low)
        self.high.setText(f"all the same, {low}" if same else high or "no values")
        self.strip.show_shares(np.full(STOPS, 0.5) if same else np.linspace(0, 1, STOPS))
        self.strip.setVisible(known)


def color_rows(rows: Rows, name: str) -> None:
    """Colour objects by the column `name`, all on one scale; empty: as they were before."""
    values = plotted(rows.frame[name]).values if name else np.zeros(0)
    scale = scale_over(name, values)
    for place, layer in enumerate(rows.layers):
        own = rows.owners == place
        if name:
            color_by(layer, rows.numbers[own], values[own], scale)
        else:
            own_colors(layer)


class _Strip(QWidget):
    """A strip of the colours."""

    def __init__(self) -> None:
        super().__init__()
        self._colors: list[QColor] = []
        self.setMinimumWidth(30)
        self.setFixedHeight(10)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_shares(self, shares: np.ndarray) -> None:
        """Show the colours of shares of the scale, from left to right."""
        self._colors = [QColor.fromRgbF(*map(float, one)) for one in scale_colors(shares)]
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the colours."""
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for at, color in enumerate(self._colors):
            gradient.setColorAt(at / (len(self._colors) - 1), color)
        QPainter(self).fillRect(self.rect(), gradient)
