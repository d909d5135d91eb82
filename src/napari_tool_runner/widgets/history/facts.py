"""What is known of a job: how it was made (or how two differ), and its log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_tool_runner.errors import OutputError
from napari_tool_runner.jobs import compare_runs, facts_of
from napari_tool_runner.sealed import open_file
from napari_tool_runner.widgets.history.words import when_text
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.texts import copy_text, shown, tooltip
from napari_tool_runner.widgets.running.log_view import clean_line, log_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_tool_runner.jobs import RunRecord

__all__ = ["JobDetails"]

_MOST_LINES = 6
_MOST_ROWS = 500
_MARGINS = 8
_SHARE = 0.9
"""Of an equal share of the width, the names get so much at most."""
_LOG_BYTES = 200_000


class _Wrapping(QStyledItemDelegate):
    """Gives long names and values as many lines as they need, up to a few."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Return the size of a name or value in its column; a section's title has one line."""
        size = super().sizeHint(option, index)
        view = self.parent()
        if not index.parent().isValid() or not isinstance(view, FactsView):
            return size
        indent = 0 if index.column() else view.indentation()
        wide = view.columnWidth(index.column()) - indent - _MARGINS
        room = QRect(0, 0, max(40, wide), 10_000)
        flags = int(Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap)
        wanted = option.fontMetrics.boundingRect(room, flags, str(index.data() or "")).height()
        most = _MOST_LINES * option.fontMetrics.lineSpacing()
        return QSize(size.width(), max(size.height(), min(wanted, most) + 2))


class FactsView(QTreeWidget):
    """Sections of facts; long values are in the tooltip, Ctrl+C copies what is selected."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRootIsDecorated(False)
        self.setHeaderHidden(True)  # a tree without columns shows a 1 there
        self.setIndentation(8)
        self.setWordWrap(True)
        self.setItemDelegate(_Wrapping(self))
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("How it was made")
        header = self.header()
        assert header is not None
        header.sectionResized.connect(lambda *_: self.scheduleDelayedItemsLayout())
        copy = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self)
        copy.setContext(Qt.ShortcutContext.WidgetShortcut)
        copy.activated.connect(self.copy)

    def show_record(self, record: RunRecord) -> None:
        """Show how a job's results were made."""
        self._columns(["", ""], hidden=True)
        self._fill((fact.section, [fact.what, fact.text]) for fact in facts_of(record))

    def show_pair(self, first: RunRecord, second: RunRecord) -> int:
        """Show what differs between two jobs; returns how many facts do."""
        found = compare_runs(first, second)
        titles = [f"{one.tool_name}\n{when_text(one.times.created)}" for one in (first, second)]
        self._columns(["", *titles], hidden=False)
        self._fill((one.section, [one.what, one.first, one.second]) for one in found)
        return len(found)

    def facts(self) -> list[list[str]]:
        """Return the rows that are shown, without the sections' titles."""
        found = (self.topLevelItem(place) for place in range(self.topLevelItemCount()))
        sections = [section for section in found if section is not None]
        rows = [one.child(number) for one in sections for number in range(one.childCount())]
        return [self._texts(row) for row in rows if row is not None]

    def copy(self) -> None:
        """Copy the selected facts, separated by tabs."""
        lines = ["\t".join(self._texts(item)) for item in self.selectedItems()]
        if lines:
            copy_text("\n".join(lines))

    def _texts(self, item: QTreeWidgetItem) -> list[str]:
        return [item.text(column) for column in range(self.columnCount())]

    def _columns(self, titles: Sequence[str], *, hidden: bool) -> None:
        self.clear()
        self.setColumnCount(len(titles))
        self.setHeaderLabels(list(titles))
        self.setHeaderHidden(hidden)
        header = self.header()
        assert header is not None
        header.setMinimumSectionSize(50)
        header.setStretchLastSection(True)
        for column in range(1, len(titles)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)

    def _fit_names(self) -> None:
        """Give the names the width that they need, or wrap them."""
        names = [self.fontMetrics().horizontalAdvance(row[0]) for row in self.facts()]
        wanted = max(names, default=0) + self.indentation() + 2 * _MARGINS
        self.setColumnWidth(0, min(wanted, int(_SHARE * self.width() / self.columnCount())))

    def _fill(self, rows: Iterable[tuple[str, list[str]]]) -> None:
        sections: dict[str, QTreeWidgetItem] = {}
        for title, texts in rows:
            section = sections.get(title)
            if section is None:
                section = sections[title] = QTreeWidgetItem(self, [title])
                font = section.font(0)
                font.setBold(True)
                section.setFont(0, font)
                section.setFlags(Qt.ItemFlag.ItemIsEnabled)
                section.setFirstColumnSpanned(True)
            number = section.childCount()
            if number >= _MOST_ROWS:  # a stranger's record may tell anything
                if number == _MOST_ROWS:
                    QTreeWidgetItem(section, ["…", "There is more, in the record itself."])
                continue
            item = QTreeWidgetItem(section, [" ".join(shown(text).split()) for text in texts])
            for column, text in enumerate(texts):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignTop)
                item.setToolTip(column, tooltip(text))
            section.setExpanded(True)
        self._fit_names()


class JobDetails(QTabWidget):
    """The facts of the selected jobs, and the log of one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._log: Path | None = None
        self.setDocumentMode(True)
        self.facts = FactsView()
        self.log = log_text("Log of the job", "Nothing was printed.")
        self.addTab(self.facts, "How it was made")
        self.addTab(self.log, "Log")
        self.currentChanged.connect(lambda _: self._read_log())

    def show_jobs(self, records: Sequence[RunRecord], log: Path | None) -> bool:
        """Show how a job was made, or in what two (the older first) differ.

        Returns
        -------
        bool
            False when two jobs differ in nothing.
        """
        self.facts.clear()
        self.setTabText(0, "What differs" if len(records) == 2 else "How it was made")
        self._log = log
        self._read_log()
        if len(records) == 1:
            self.facts.show_record(records[0])
        return len(records) != 2 or bool(self.facts.show_pair(*records))

    def show_facts(self) -> None:
        """Bring the facts to the front."""
        self.setCurrentWidget(self.facts)

    def show_log(self) -> None:
        """Bring the log to the front."""
        if self.currentWidget() is self.log:
            self._read_log()
        self.setCurrentWidget(self.log)

    def _read_log(self) -> None:
        """Read the log, when somebody looks at it."""
        if self.currentWidget() is not self.log:
            return
        if self._log is None:
            self.log.clear()
            return
        task = Task(partial(_tail, self._log), self)
        task.done.connect(self._show_log)
        task.start()

    def _show_log(self, found: tuple[Path, str]) -> None:
        path, text = found
        if path == self._log:
            self.log.setPlainText(text)


def _tail(path: Path) -> tuple[Path, str]:
    """Return a log file and its end; a job that printed nothing has none."""
    try:
        with open_file(path) as stream:
            stream.seek(0, 2)
            size = stream.tell()
            stream.seek(max(0, size - _LOG_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except (OSError, OutputError):
        return path, ""
    lines = [clean_line(line) for line in text.splitlines()]
    if size > _LOG_BYTES:
        lines = ["… the log file has the lines before …", *lines[1:]]
    return path, "\n".join(lines)
