"""The list of jobs: two lines a job in a narrow dock, columns where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QStyleOptionViewItem, QTreeView, QWidget

from napari_tool_runner.jobs import JobState, taken_back
from napari_tool_runner.widgets.history.model import NEWS, REST, ROW, Column, HistoryFilter
from napari_tool_runner.widgets.history.words import duration_text, line_of, state_text, when_text
from napari_tool_runner.widgets.parts.row_delegate import RowDelegate

if TYPE_CHECKING:
    from qtpy.QtGui import QPainter, QResizeEvent

    from napari_tool_runner.jobs import JobRow

__all__ = ["HistoryView"]

_ICONS = {
    JobState.QUEUED: "clock",
    JobState.PREPARING: "clock",
    JobState.RUNNING: "play",
    JobState.LOADING: "clock",
    JobState.DONE: "check",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "stop",
    JobState.INTERRUPTED: "warning",
}
_PAD = 4
_ICON = 14
_ROOM = 520
"""Width in pixels from which on the columns are shown."""


class HistoryDelegate(RowDelegate):
    """Draws the first column: a whole job in two lines, or its state with the icon."""

    compact = True

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the height; the width is the view's."""
        lines = 2 if self.compact else 1
        return QSize(90, lines * option.fontMetrics.height() + 2 * _PAD)

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw it."""
        row: JobRow | None = index.data(ROW)
        if painter is None or row is None or index.column() != Column.STATE:
            super().paint(painter, option, index)
            return
        _, line = self.begin(painter, option, index, _PAD)
        top = line.top() + (line.height() - _ICON) // 2
        name = _ICONS[row.state] if row.id not in taken_back() else "reset"
        self.draw_icon(painter, name, line.left(), top, _ICON)
        line.setLeft(line.left() + _ICON + 5)
        if self.compact:
            self._two_lines(painter, row, index, line, option)
        else:
            self.draw_text(painter, line, state_text(row))
        painter.restore()

    def _two_lines(
        self,
        painter: QPainter,
        row: JobRow,
        index: QModelIndex,
        line: QRect,
        option: QStyleOptionViewItem,
    ) -> None:
        metrics = option.fontMetrics
        plain, faint = painter.pen().color(), painter.pen().color()
        faint.setAlphaF(0.65)
        below = line.translated(0, metrics.height())
        news, said = str(index.data(NEWS)), row.message or str(index.data(REST))
        known = state_text(row), duration_text(row)
        # the icon says that a job is done; what sets it apart must not be cut
        done = row.state is JobState.DONE and row.id not in taken_back()
        facts = line_of(news, *known, said) if done else line_of(known[0], news, known[1], said)
        when = when_text(row.created)
        width = metrics.horizontalAdvance(when)
        painter.setPen(faint)
        right = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(line, right, when)
        self.draw_text(painter, below, facts)
        painter.setPen(plain)
        self.draw_text(painter, line.adjusted(0, 0, -width - 8, 0), row.tool_name)


class HistoryView(QTreeView):
    """Shows a `HistoryFilter`; several jobs can be selected."""

    chosen = Signal()
    """Return, or a double click."""

    def __init__(self, model: HistoryFilter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self._model = model
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setAccessibleName("Jobs")
        self._delegate = HistoryDelegate(self)
        self.setItemDelegate(self._delegate)
        self._compact: bool | None = None
        self.activated.connect(lambda _: self.chosen.emit())
        header = self.header()
        assert header is not None
        header.setMinimumSectionSize(40)
        self._adapt()

    @property
    def compact(self) -> bool:
        """Whether every job takes two lines."""
        return bool(self._compact)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show columns when there is room for them."""
        super().resizeEvent(event)
        self._adapt()

    def _adapt(self) -> None:
        compact = self.width() < _ROOM
        if compact == self._compact:
            return
        self._compact = self._delegate.compact = compact
        header = self.header()
        assert header is not None
        for column in Column:
            self.setColumnHidden(column, compact and column != Column.STATE)
        self.setHeaderHidden(compact)
        if compact:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(Column.STATE, QHeaderView.ResizeMode.Stretch)
            # in two lines nobody can sort: back to newest first
            self.setSortingEnabled(False)
            self._model.sort(-1)
        else:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            header.setStretchLastSection(True)
            unit = self.fontMetrics().averageCharWidth()
            for column, letters in zip(Column, (16, 24, 18, 11, 30), strict=True):
                self.setColumnWidth(column, letters * unit)
            self.setSortingEnabled(True)
            self.sortByColumn(Column.WHEN, Qt.SortOrder.DescendingOrder)
        self.scheduleDelayedItemsLayout()

    def rows(self) -> list[JobRow]:
        """Return the selected jobs, from top to bottom."""
        selection = self.selectionModel()
        if selection is None:
            return []
        found = sorted(selection.selectedRows(Column.STATE), key=lambda index: index.row())
        return [index.data(ROW) for index in found if index.data(ROW) is not None]
