"""Past and present jobs as a Qt model: sorted, filtered, always up to date."""

from __future__ import annotations

from bisect import bisect_left
from enum import IntEnum
from typing import TYPE_CHECKING

from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    Signal,
)

from napari_tool_runner.errors import ConfigError
from napari_tool_runner.jobs import JobRow, JobState, Scan, live_row, taken_back
from napari_tool_runner.widgets.history.words import (
    duration_text,
    line_of,
    row_tip,
    state_text,
    when_text,
)
from napari_tool_runner.widgets.parts.background import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_tool_runner.jobs import Job, JobManager, Stamp

__all__ = ["NEWS", "REST", "ROW", "Column", "HistoryFilter", "HistoryModel"]

ROW = int(Qt.ItemDataRole.UserRole)
"""Role of the `JobRow`."""
SORT = ROW + 1
"""Role of what a column is sorted by."""
NEWS = SORT + 1
"""Role of what a job has made, and of what differs from the run before."""
REST = NEWS + 1
"""Role of its other inputs and parameters: those that were so in the run before."""
_BATCH = 100
"""Rows that are shown at once; then as many again as are there, as each time all are laid out."""
_NEAR = 200
"""Among so many jobs the run before is looked for."""
_TICK_MS = 30
_LIVE_MS = 400


class Column(IntEnum):
    """Columns of the list."""

    STATE = 0
    TOOL = 1
    WHEN = 2
    TIME = 3
    PARAMETERS = 4


_COLUMNS = len(Column)
_TITLES = ("State", "Tool", "When", "Duration", "Parameters")


class HistoryModel(QAbstractTableModel):
    """All jobs, newest first.

    Parameters
    ----------
    manager : JobManager
        Its jobs are followed while they run.
    workspaces : callable
        Returns the folder of the records; asked at each `refresh`.
    """

    loaded = Signal()
    """All records were read."""
    job_ended = Signal(str)
    """A job of this session came to its end; carries its id."""

    def __init__(
        self, manager: JobManager, workspaces: Callable[[], Path], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._manager = manager
        self._workspaces = workspaces
        self._rows: list[JobRow] = []
        self._by_id: dict[str, JobRow] = {}
        self._stamps: dict[Path, Stamp] = {}
        self._live: dict[str, Job] = {}
        self._scan: Scan | None = None
        self._found: list[tuple[Path, Stamp, JobRow]] = []
        self._again = False
        self._taken_back: frozenset[str] = frozenset()
        self.problem = ""
        self._ticks = QTimer(self)
        self._ticks.setInterval(_TICK_MS)
        self._ticks.timeout.connect(self._take)
        self._pulse = QTimer(self)
        self._pulse.setInterval(_LIVE_MS)
        self._pulse.timeout.connect(self.follow)

    # -- what is in it -----------------------------------------------------------------

    @property
    def rows(self) -> tuple[JobRow, ...]:
        """Every job, newest first."""
        return tuple(self._rows)

    @property
    def busy(self) -> bool:
        """Whether records are being read."""
        return self._scan is not None

    def find(self, job_id: str) -> JobRow | None:
        """Return the job of that id."""
        return self._by_id.get(job_id)

    def place(self, job_id: str) -> int:
        """Return the row number of a job; -1 if it is not there."""
        row = self._by_id.get(job_id)
        return -1 if row is None else self._place_of(row)

    def _before(self, row: JobRow) -> JobRow | None:
        """Return the run of the same tool before that of `row`, if few jobs lie between."""
        first = self._place_of(row) + 1
        older = self._rows[first : first + _NEAR]
        return next((one for one in older if one.tool_name == row.tool_name), None)

    def job(self, job_id: str) -> Job | None:
        """Return the job itself while it has not ended."""
        return self._live.get(job_id)

    # -- keeping up --------------------------------------------------------------------

    def watch(self, on: bool) -> None:
        """Follow the session's jobs (while the list is visible)."""
        if on:
            self.follow()
            self._pulse.start()
        else:
            self._pulse.stop()

    def refresh(self) -> None:
        """Look at the folder of records again; returns at once."""
        if self._scan is not None:
            self._again = True
            return
        try:
            folder = self._workspaces()
        except ConfigError as error:
            self.problem = str(error)
            self.loaded.emit()
            return
        self.problem = ""
        self._scan = Scan(folder, self._stamps)
        Task(self._scan.run, self).start()
        self._ticks.start()

    def follow(self) -> None:
        """Look at the jobs of this session."""
        for job in self._manager.jobs:
            if job.id not in self._live and not job.state.is_finished:
                self._live[job.id] = job
            elif job.id not in self._by_id and job.workspace.record_path.exists():
                self._put(live_row(job))
        for job in self._live.values():
            self._put(live_row(job))
        ended = [job for job in self._live.values() if job.state.is_finished and job.wait(0)]
        for job in ended:
            del self._live[job.id]
            self.job_ended.emit(job.id)
        told = taken_back()
        for job_id in told ^ self._taken_back:
            if (place := self.place(job_id)) >= 0:
                self.dataChanged.emit(self.index(place, 0), self.index(place, _COLUMNS - 1))
        self._taken_back = told

    def forget(self, ids: Iterable[str]) -> None:
        """Take jobs out of the list (their folders are gone)."""
        for job_id in ids:
            row = self._by_id.pop(job_id, None)
            if row is None:
                continue
            place = self._place_of(row)
            self._stamps.pop(row.folder, None)
            self.beginRemoveRows(QModelIndex(), place, place)
            del self._rows[place]
            self.endRemoveRows()

    def _take(self) -> None:
        """Take what the background thread has found so far."""
        scan = self._scan
        if scan is None:
            self._ticks.stop()
            return
        over = scan.ended.is_set()
        self._found += scan.batch()
        if not over and len(self._found) < max(_BATCH, len(self._rows)):
            return
        found, self._found = self._found, []
        rows: list[JobRow] = []
        for folder, stamp, row in found:
            if row.id in self._live:
                continue
            if row.final:  # what may still change is read again next time
                self._stamps[folder] = stamp
            rows.append(row)
        self._put_all(rows)
        if not over:
            return
        self._scan = None
        self._ticks.stop()
        gone = [
            r.id for r in self._rows if r.folder not in scan.present and r.id not in self._live
        ]
        self.forget(gone)
        self.loaded.emit()
        if self._again:
            self._again = False
            self.refresh()

    def _put_all(self, rows: list[JobRow]) -> None:
        """Insert rows; those that follow the last one in one go."""
        new = [row for row in rows if row.id not in self._by_id]
        new.sort(key=_key)
        if new and (not self._rows or _key(new[0]) > _key(self._rows[-1])):
            first = len(self._rows)
            self.beginInsertRows(QModelIndex(), first, first + len(new) - 1)
            self._rows += new
            self._by_id |= {row.id: row for row in new}
            self.endInsertRows()
            rows = [row for row in rows if self._by_id.get(row.id) is not row]
        for row in rows:
            self._put(row)

    def _put(self, row: JobRow) -> None:
        present = self._by_id.get(row.id)
        if present == row:
            return
        if present is not None and present.order == row.order:
            place = self._place_of(row)
            self._rows[place] = row
            self._by_id[row.id] = row
            self.dataChanged.emit(self.index(place, 0), self.index(place, self.columnCount() - 1))
            return
        if present is not None:
            self.forget([row.id])
        place = self._place_of(row)
        self.beginInsertRows(QModelIndex(), place, place)
        self._rows.insert(place, row)
        self._by_id[row.id] = row
        self.endInsertRows()

    def _place_of(self, row: JobRow) -> int:
        return bisect_left(self._rows, _key(row), key=_key)

    # -- Qt's questions ----------------------------------------------------------------

    def index(self, row: int, column: int, parent: QModelIndex | None = None) -> QModelIndex:
        """Return the index of a cell: asked for every row at once, so without more questions."""
        inside = 0 <= row < len(self._rows) and 0 <= column < _COLUMNS
        if not inside or (parent is not None and parent.isValid()):
            return QModelIndex()
        return self.createIndex(row, column)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of jobs."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else _COLUMNS

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return the title of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return a cell: text, tooltip, the `JobRow`, or what it is sorted by."""
        if not index.isValid() or index.row() >= len(self._rows):
            return None
        row = self._rows[index.row()]
        if role == ROW:
            return row
        if role == NEWS:
            before = self._before(row)
            return line_of(row.found, row.changes(before) if before is not None else "")
        if role == REST:
            return row.summary(self._before(row))
        if role == Qt.ItemDataRole.DisplayRole and index.column() == Column.PARAMETERS:
            return line_of(str(self.data(index, NEWS)), str(self.data(index, REST)))
        if role == Qt.ItemDataRole.DisplayRole:
            return _TEXTS[index.column()](row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return row_tip(row)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(filter(None, (text(row) for text in _TEXTS)))
        if role == SORT:
            return _VALUES[index.column()](row)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == Column.TIME:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class HistoryFilter(QSortFilterProxyModel):
    """Lets through what has all the words, and the state asked for."""

    def __init__(self, model: HistoryModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self._states: frozenset[JobState] = frozenset()
        self.setSourceModel(model)
        self.setSortRole(SORT)

    def set_words(self, text: str) -> None:
        """Show only jobs in which every word of `text` occurs."""
        words = tuple(text.casefold().split())
        if words != self._words:
            self._words = words
            self.invalidate()

    def set_states(self, states: Iterable[JobState]) -> None:
        """Show only jobs in one of these states; none: all."""
        self._states = frozenset(states)
        self.invalidate()

    def filterAcceptsRow(self, source_row: int, source_parent: QModelIndex) -> bool:
        """Return whether a job is shown."""
        model = self.sourceModel()
        assert isinstance(model, HistoryModel)
        row = model._rows[source_row]
        if self._states and row.state not in self._states:
            return False
        return all(word in row.words for word in self._words)


def _key(row: JobRow) -> tuple[float, str]:
    created, job_id = row.order
    stamp = created.timestamp() if row.created is not None else 0.0
    # negative, so that the newest comes first; ids as a stable second word
    return (-stamp, job_id)


_TEXTS: tuple[Callable[[JobRow], str], ...] = (
    state_text,
    lambda row: row.tool_name,
    lambda row: when_text(row.created),
    lambda row: duration_text(row),
    JobRow.summary,
)
"""What a column shows, and by what it is sorted."""
_VALUES: tuple[Callable[[JobRow], object], ...] = (
    lambda row: row.state.word,
    lambda row: row.tool_name.casefold(),
    lambda row: -_key(row)[0],
    lambda row: row.seconds,
    lambda row: row.summary().casefold(),
)
