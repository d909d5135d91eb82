"""A list of check boxes that is as tall as its entries, up to a few."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QSizePolicy, QWidget

__all__ = ["ShortList"]


class ShortList(QListWidget):
    """Grows with its entries up to `most`, then scrolls; long names are elided."""

    def __init__(self, most: int = 7, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most = most
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Return the height of the entries."""
        row = self.sizeHintForRow(0) if self.count() else self.fontMetrics().height() + 2
        rows = min(max(self.count(), 1), self._most)
        return QSize(120, rows * row + 2 * self.frameWidth() + 4)

    def minimumSizeHint(self) -> QSize:
        """Return the same: a list that shows half an entry is of no use."""
        return QSize(60, self.sizeHint().height())
