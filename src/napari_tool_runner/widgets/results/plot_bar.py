"""What stands above a plot: its kind, its columns, its largest and smallest, colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tool_runner.exchange import column_title
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.texts import short, tooltip
from napari_tool_runner.widgets.results.measures import best_size, bright_column, number_columns

if TYPE_CHECKING:
    from qtpy.QtGui import QResizeEvent

    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["HISTOGRAM", "LINE", "SCATTER", "PlotBar"]

HISTOGRAM, SCATTER, LINE = "Histogram", "Scatter", "Line of means"
FRAMES = ("frame", "t", "time_s")
"""Columns of which each value has several objects."""
WIDE = 620
"""So wide all is in one row."""
ARROW = 40
"""What a list needs beside its text."""


class PlotBar(QWidget):
    """One row, two where that would cut the names of columns; nothing that is pressed moves."""

    changed = Signal()
    """Another kind, or another column."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: Rows | None = None
        self.kind, self.across, self.up = NarrowCombo(), NarrowCombo(), NarrowCombo()
        self.kind.addItems([HISTOGRAM, SCATTER, LINE])
        for box, name in ((self.kind, "Kind of plot"), (self.across, "Across"), (self.up, "Up")):
            box.setAccessibleName(name)
            box.activated.connect(self._turn if box is self.kind else self._pick)
        self.largest, self.smallest = QPushButton("Largest"), QPushButton("Smallest")
        self.color_button = IconButton("colors", "Colour the objects")
        parts = (self.kind, self.largest, self.smallest, self.color_button)
        self._row = filled(QHBoxLayout(), *parts, spacing=4)
        self._below = filled(QHBoxLayout(), self.across, self.up, spacing=4)
        filled(QVBoxLayout(self), self._row, self._below, spacing=4)

    @property
    def judged(self) -> NarrowCombo:
        """The list of the column by which rows are larger and smaller."""
        return self.across if self.kind.currentText() == HISTOGRAM else self.up

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put the lists of columns where there is room for their names."""
        super().resizeEvent(event)
        self.arrange()

    def arrange(self) -> None:
        """Show the lists that the kind of plot has, each as wide as its name wants."""
        self.up.setVisible(self.kind.currentText() != HISTOGRAM)
        row = self._row if self.width() >= WIDE else self._below
        for place, box in enumerate((self.across, self.up), 1 if row is self._row else 0):
            if row.indexOf(box) < 0:
                row.insertWidget(place, box)
            name = box.fontMetrics().horizontalAdvance(box.currentText())
            row.setStretchFactor(box, min(name, WIDE) + ARROW)
            box.setToolTip(box.currentData(Qt.ItemDataRole.ToolTipRole) or "")
        by = f"Colour the objects by “{self.judged.currentText()}”."
        self.color_button.setToolTip(tooltip(by))
        self._row.setStretchFactor(self.kind, 0 if row is self._row else 1)

    def offer(self, rows: Rows) -> None:
        """Offer the columns of a table."""
        self._rows = rows
        numbers, first = number_columns(rows.frame), best_size(rows.frame)
        bright = bright_column(rows.frame, first)
        every = [*map(str, rows.frame.columns)]
        for box, names, chosen in ((self.across, every, first), (self.up, numbers, bright)):
            box.clear()
            for at, name in enumerate(names):
                title = column_title(name, of_objects=bool(rows.layers))
                box.addItem(short(title), name)
                box.setItemData(at, tooltip(title), Qt.ItemDataRole.ToolTipRole)
            box.setCurrentIndex(names.index(chosen) if chosen else len(names) - 1)
        self._turn_columns(rows)

    def offer_utmost(self, differ: bool, *, all_same: bool) -> None:
        """Let the largest and the smallest be chosen where values `differ`; say what they are."""
        mean = "mean " if self.kind.currentText() == LINE else ""
        for button in (self.largest, self.smallest):
            button.setEnabled(differ)
            which = f"{button.text().lower()} {mean}“{self.judged.currentText()}”"
            told = f"Choose and show the {which}, of the rows that are shown."
            button.setToolTip(tooltip("All are the same." if all_same else told))

    def _pick(self, _: int) -> None:
        self.changed.emit()

    def _turn(self, _: int) -> None:
        if self._rows is not None:
            self._turn_columns(self._rows)
        self.changed.emit()

    def _turn_columns(self, rows: Rows) -> None:
        """Let a line show what was across as means of frames, and all else show that again."""
        numbers = number_columns(rows.frame)
        frames = next((n for n in FRAMES if n in numbers), "")
        across, up = self.across.currentData(), self.up.currentData()
        if not frames or (self.kind.currentText() == LINE) == (across in FRAMES):
            return
        now = (up, bright_column(rows.frame, up)) if across in FRAMES else (frames, across)
        for box, name in zip((self.across, self.up), now, strict=True):
            if box.findData(name) >= 0:
                box.setCurrentIndex(box.findData(name))
