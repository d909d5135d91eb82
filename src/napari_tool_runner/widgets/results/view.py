"""A table with its title, filter, number of rows and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QPoint,
    Qt,
    Signal,
)
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.jobs import has_changed, look_into, size_changed
from napari_tool_runner.names import count_text, safe_name
from napari_tool_runner.widgets.parts.background import Task, soon
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.layouts import filled, menu_entry, plain_label
from napari_tool_runner.widgets.parts.texts import copy_text, notify, short, tooltip
from napari_tool_runner.widgets.results.filtering import example, matching, with_term, without_term
from napari_tool_runner.widgets.results.measures import cut_in
from napari_tool_runner.widgets.results.model import TableModel
from napari_tool_runner.widgets.results.remark import Remark
from napari_tool_runner.widgets.results.remarks import Remarks
from napari_tool_runner.widgets.results.saving import KINDS, as_text, save_table

if TYPE_CHECKING:
    from napari_tool_runner.widgets.parts.messages import Button
    from napari_tool_runner.widgets.results.rows import Rows

__all__ = ["TableView"]

MARKED = 500
"""So many runs of chosen lines are marked; Qt takes its time for each."""
TOUCHES = "touches_edge"
"""The column that says in a saved table which objects the edge cuts."""
STALE = "changed_since_measured"
"""The column that says in a saved table whose rows tell of objects, or pixels, of before."""
AT_ONCE = 20_000
"""So many cells are written while the window waits."""
LIKE_A_CELL = 2_000
"""So many bytes of a layer are read in the time of a cell."""


class TableView(QWidget):
    """A table that is sorted, filtered, copied and saved."""

    chosen_changed = Signal(object, int)
    """A person chose other rows; carries them, and the one that was chosen last (or −1)."""
    together = Signal(object)
    """Several rows were chosen whose objects are to be seen together; carries them."""
    looked = Signal()
    """It was read whether the objects have changed."""
    rows_changed = Signal()
    """Another table is shown, or other rows of it."""

    def __init__(self, rows: Rows, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.chosen = np.zeros(0, int)
        self.model = TableModel(rows)
        self.table = QTableView()
        # napari's themes give no colour for every second row
        self.table.setAlternatingRowColors(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setSortingEnabled(True)
        self.table.setWordWrap(False)
        self._set_up_headers()
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName("Filter the table")
        self.filter.setToolTip(
            tooltip(
                "Columns are compared (>, <, =, ≤, ≥, ≠), joined by “and”; or a word or number."
            )
        )
        self.filter.setMinimumWidth(80)
        self._aside = ""
        """A filter that does not fit the columns of this table, until one comes that it fits."""
        self.filter.textEdited.connect(self._forget_aside)
        self._soon = soon(self._apply_filter, 150, self)
        self.filter.textChanged.connect(lambda _: self._soon.start())
        self.copy_button = IconButton("copy", "Copy the chosen rows, or all (Ctrl+C)")
        self.copy_button.clicked.connect(self.copy)
        self.save_button = IconButton("file", "Save the table as CSV, Parquet or Excel…")
        self.save_button.clicked.connect(self._save)
        self.bar = filled(QHBoxLayout(), (self.filter, 1), self.copy_button, self.save_button)
        self.remarks = Remarks()
        self.remarks.picked.connect(self._pick)
        self.remarks.added.connect(lambda term: self._refilter(with_term, term))
        self.remarks.dropped.connect(lambda term: self._refilter(without_term, term))
        self.problem = plain_label(wrap=True)
        self.problem.hide()
        self.body = QSplitter(Qt.Orientation.Horizontal)
        self.body.setChildrenCollapsible(False)
        self.body.addWidget(self.table)
        self.table.setMinimumSize(160, 60)
        self.changed = Remark()
        parts = self.bar, self.remarks, self.problem, self.changed, (self.body, 1)
        filled(QVBoxLayout(self), *parts, spacing=4).addStretch(0)
        copies = QShortcut(QKeySequence(QKeySequence.StandardKey.Copy), self.table)
        copies.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        copies.activated.connect(self.copy)
        self.show_rows(rows)

    @property
    def rows(self) -> Rows:
        """The table that is shown."""
        return self.model.rows

    def show_rows(self, rows: Rows) -> None:
        """Show another table, sorted and filtered as this one where it has such columns."""
        header = self.table.horizontalHeader()
        assert header is not None
        same = self.model.names == [str(name) for name in rows.frame.columns]
        at, order = header.sortIndicatorSection(), header.sortIndicatorOrder()
        self.model = TableModel(rows)
        self.chosen = np.zeros(0, int)
        self.table.setModel(self.model)
        # Qt asks each column for each row whether it is chosen, whenever it paints the header
        header.setSelectionModel(QItemSelectionModel(self.model, self.model))
        if same and at >= 0:
            self.model.sort(at, order)
        else:
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.table.setAccessibleName(rows.title)
        self.model.modelReset.connect(self._reset)
        self._listen()
        self.filter.setPlaceholderText(example(rows.frame, of_objects=bool(rows.layers)))
        aside = "" if same else self._fit_filter()
        self._apply_filter()
        if aside:
            self.problem.setText(aside)
            self.problem.show()
        if not same:
            self._fit_columns()

    def say_changed(self, text: str, *buttons: Button, alone: bool = False) -> None:
        """Say above a table that it does not hold any more, with buttons; or `alone`: none is."""
        self.changed.say(text, "", *buttons)
        for part in (self.body, self.remarks):
            part.setHidden(alone)

    def choose(self, rows: np.ndarray, *, scroll: bool = True) -> None:
        """Mark rows as chosen, without telling of it; those that are left out are not."""
        self.chosen = self._among_shown(np.asarray(rows, int))
        self._mark()
        lines = self.model.lines(self.chosen)
        if scroll and len(lines):
            self.table.scrollTo(
                self.model.index(int(lines[0]), 0), QAbstractItemView.ScrollHint.EnsureVisible
            )
        self._tell_count()

    def copy(self) -> None:
        """Copy the chosen lines that are shown, or all, separated by tabs, with their header."""
        taken = self.rows.frame.iloc[self._taken()]
        rows = count_text(len(taken), "row")
        chosen = len(self.model.lines(self.chosen)) > 0
        said = f"Copied the {rows} that {'are' if len(taken) != 1 else 'is'} chosen."
        said = said if chosen else f"Copied all {rows} that are shown."

        def copied(text: object) -> None:
            copy_text(str(text))
            notify(said)

        self._work(partial(as_text, taken, self.model.titles), taken.size, copied)

    def order_menu(self, column: int) -> QMenu:
        """Return what a header offers: each order of the rows by its name."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        own = "As in the layer" if self.rows.layers else "As it came"
        down, up = self.model.order_words(column)
        orders = Qt.SortOrder
        for text, at, order in (
            (down, column, orders.DescendingOrder),
            (up, column, orders.AscendingOrder),
            (own, -1, orders.AscendingOrder),
        ):
            menu_entry(menu, text, partial(self.table.sortByColumn, at, order))
        return menu

    # -- inside --------------------------------------------------------------------

    def _set_up_headers(self) -> None:
        header, lines = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None
        assert lines is not None
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setToolTip(
            tooltip("Click to sort, again for the other way; right click: all orders.")
        )
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._open_order_menu)
        header.sortIndicatorChanged.connect(self._to_top)
        lines.setDefaultSectionSize(22)
        corner = self.table.findChild(QAbstractButton)  # Qt gives it no name
        assert corner is not None
        corner.setAccessibleName("Choose all rows")
        corner.setToolTip(tooltip("Choose all rows that are shown (Ctrl+A)"))

    def _open_order_menu(self, at: QPoint) -> None:
        header = self.table.horizontalHeader()
        assert header is not None
        self.order_menu(header.logicalIndexAt(at)).popup(header.mapToGlobal(at))

    def _to_top(self) -> None:
        self.table.scrollToTop()

    def _taken(self) -> np.ndarray:
        """Return the rows to copy, in the order in which they are shown."""
        lines = self.model.lines(self.chosen)
        return self.model.shown[lines] if len(lines) else self.model.shown

    def _listen(self) -> None:
        chooser = self.table.selectionModel()
        assert chooser is not None
        chooser.selectionChanged.connect(self._selected)

    def _reset(self) -> None:
        before, self.chosen = self.chosen, self._among_shown(self.chosen)
        self._mark()
        self._tell_count()
        self.remarks.tell(self.rows, self.model.shown, self.filter.text())
        self.rows_changed.emit()
        if len(self.chosen) < len(before):
            self.chosen_changed.emit(self.chosen, -1)

    def _among_shown(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.isin(rows, self.model.shown)]

    def _mark(self) -> None:
        chooser = self.table.selectionModel()
        assert chooser is not None
        lines = self.model.lines(self.chosen)
        breaks = np.flatnonzero(np.diff(lines) > 1)
        firsts = lines[np.append(0, breaks + 1)] if len(lines) else lines
        lasts = lines[np.append(breaks, len(lines) - 1)] if len(lines) else lines
        last = self.model.columnCount() - 1
        marked = QItemSelection()
        for top, bottom in zip(firsts[:MARKED].tolist(), lasts[:MARKED].tolist(), strict=True):
            marked.append(
                QItemSelectionRange(self.model.index(top, 0), self.model.index(bottom, last))
            )
        blocked = chooser.blockSignals(True)
        chooser.select(marked, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        chooser.blockSignals(blocked)
        viewport = self.table.viewport()
        if viewport is not None:
            viewport.update()

    def _selected(self, *_: object) -> None:
        chooser = self.table.selectionModel()
        assert chooser is not None
        taken = np.zeros(self.model.rowCount(), bool)
        parts = chooser.selection()
        for part in (parts[at] for at in range(len(parts))):
            taken[part.top() : part.bottom() + 1] = True
        self.chosen = self.model.shown[taken]
        current = chooser.currentIndex()
        line = current.row() if current.isValid() and taken[current.row()] else -1
        self._tell_count()
        self.chosen_changed.emit(self.chosen, int(self.model.shown[line]) if line >= 0 else -1)

    def _forget_aside(self, _: str) -> None:
        self._aside = ""

    def _fit_filter(self) -> str:
        """Set a filter aside that does not fit the columns, or take it again; says the former."""
        wanted = self.filter.text() or self._aside
        try:
            matching(self.rows.frame, wanted, cut_in(self.rows))
        except ParameterError:
            self._aside, wanted = wanted, ""
        else:
            self._aside = ""
        blocked = self.filter.blockSignals(True)
        self.filter.setText(wanted)
        self.filter.blockSignals(blocked)
        if not self._aside:
            return ""
        return (
            f"The filter “{short(self._aside)}” is set aside: “{short(self.rows.title)}” has "
            "other columns."
        )

    def _apply_filter(self) -> None:
        self._soon.stop()
        try:
            mask = matching(self.rows.frame, self.filter.text(), cut_in(self.rows))
        except ParameterError as error:
            mask = None
            self.problem.setText(str(error))
            self.problem.show()
        else:
            self.problem.hide()
        self.model.filter(mask)

    def _tell_count(self) -> None:
        total, shown, chosen = len(self.rows), self.model.rowCount(), len(self.chosen)
        noun = "object" if self.rows.layers else "row"
        text = count_text(total, noun)
        text = f"{shown:,} of {text}" if shown != total else text
        widest = f"{text}, {total:,} chosen"
        self.remarks.say_count(f"{text}, {chosen:,} chosen" if chosen else text, widest)

    def _pick(self, rows: np.ndarray) -> None:
        self.choose(rows)
        self.chosen_changed.emit(self.chosen, int(rows[0]) if len(rows) == 1 else -1)
        if len(rows) > 1:
            self.together.emit(rows)

    def _refilter(self, change: Callable[[str, str], str], term: str) -> None:
        self.filter.setText(change(self.filter.text(), term))

    def _fit_columns(self) -> None:
        header = self.table.horizontalHeader()
        assert header is not None
        header.setResizeContentsPrecision(50)
        self.table.resizeColumnsToContents()

    def _save(self) -> None:
        left = f" ({self.filter.text().strip()})" if self.model.rowCount() < len(self.rows) else ""
        proposed = f"{safe_name(f'{self.rows.title}{left}')}.csv"
        name, kind = QFileDialog.getSaveFileName(self, "Save table", proposed, ";;".join(KINDS))
        if not name:
            return
        rows, then = self.rows, partial(self._write, self.rows, self.model.shown, Path(name), kind)
        size = sum(int(getattr(getattr(one, "data", None), "nbytes", 0)) for one in rows.layers)
        self._work(look_into(rows.layers), size // LIKE_A_CELL, then)

    def _write(
        self, rows: Rows, shown: np.ndarray, path: Path, kind: str, note: Callable[[], None]
    ) -> None:
        """Write the rows `shown`, now that it is known whether their objects have changed."""
        note()
        self.looked.emit()
        frame, cut = rows.frame.iloc[shown], cut_in(rows)
        if cut is not None and TOUCHES not in frame.columns:
            frame = frame.assign(**{TOUCHES: cut[shown]})
        stale = np.array([has_changed(one) or size_changed(one) for one in rows.layers], bool)
        if stale.any():
            frame = frame.assign(**{STALE: stale[rows.owners[shown]]})
        self._work(
            partial(save_table, frame, path, KINDS[kind]),
            frame.size,
            partial(self._saved, len(frame), bool(stale.any())),
        )

    def _saved(self, count: int, stale: bool, path: object) -> None:
        # the name first: of a long text a notification shows the begin
        if isinstance(path, Path):
            text = f"Saved {path.name}: {count_text(count, 'row')}, in {path.parent}."
            told = f" Measured before the last change, as its column {STALE} says."
            notify(text + told * stale, "warning" if stale else "info")

    def _work(self, work: Callable[[], object], cells: int, then: Callable[..., object]) -> None:
        """Do something with so many cells: of many in the background."""
        if cells > AT_ONCE:
            task = Task(work, self)
            task.done.connect(then)
            task.failed.connect(lambda error: notify(str(error), "error"))
            task.start()
            return
        try:
            made = work()
        except (OSError, ToolRunnerError) as error:
            notify(str(error), "error")
        else:
            then(made)
