"""Jobs of this and earlier sessions: found, repeated, compared, taken along, deleted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QItemSelectionModel, QPoint, QSize, Qt
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import JobState
from napari_tool_runner.names import count_text, safe_name
from napari_tool_runner.proxies import bare
from napari_tool_runner.widgets.history.actions import Form, HistoryActions, record_of
from napari_tool_runner.widgets.history.facts import JobDetails
from napari_tool_runner.widgets.history.model import HistoryFilter, HistoryModel
from napari_tool_runner.widgets.history.view import HistoryView
from napari_tool_runner.widgets.parts.background import soon
from napari_tool_runner.widgets.parts.docking import column_in_sight
from napari_tool_runner.widgets.parts.icons import IconButton, MenuButton, TextIconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from qtpy.QtGui import QHideEvent, QShowEvent

    from napari_tool_runner.jobs import JobManager, JobRow, RunRecord
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.tool_widget import ToolWidget

__all__ = ["HistoryPanel"]

_SEARCH_MS = 120
_SEVERAL = (
    "Choose one job. To repeat several, choose the last of them: “Copy as Python” (…) makes a "
    "script of all that led to it."
)
_STATES: dict[str, tuple[JobState, ...]] = {
    "All": (),
    "Running": tuple(state for state in JobState if not state.is_finished),
    "Done": (JobState.DONE,),
    "Failed": (JobState.FAILED,),
    "Cancelled": (JobState.CANCELLED, JobState.INTERRUPTED),
}


class HistoryPanel(QWidget):
    """The dock "Tool History".

    Parameters
    ----------
    napari_viewer : napari.Viewer or ViewerModel
    manager : JobManager, optional
        Default: the session's.
    workspaces : callable, optional
        Returns the folder of the jobs; default: what the configuration says.
    open_tool : callable, optional
        Shows the form of a tool; without it there is no place for forms.
    """

    def __init__(
        self,
        napari_viewer: ViewerModel | None,
        parent: QWidget | None = None,
        *,
        manager: JobManager | None = None,
        workspaces: Callable[[], Path] | None = None,
        open_tool: Callable[[Tool], ToolWidget | None] | None = None,
    ) -> None:
        super().__init__(parent)
        if manager is None:
            from napari_tool_runner.jobs import job_manager

            manager = job_manager()
        self._wanted = ""
        self._shown: tuple[tuple[str, str], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.model = HistoryModel(manager, workspaces or (lambda: load_config().workspaces), self)
        self.filter = HistoryFilter(self.model, self)
        self.view = HistoryView(self.filter)
        self.actions_ = HistoryActions(
            bare(napari_viewer), manager, open_tool or (lambda _: None), self
        )
        self._build()
        self._make_actions()
        self._search_timer = soon(self._search, _SEARCH_MS, self)
        self.search.textChanged.connect(lambda _: self._search_timer.start())
        self.states.activated.connect(lambda _: self._search())
        self.actions_.told.connect(self.message.say)
        self.actions_.deleted.connect(self.model.forget)
        self.model.loaded.connect(self._loaded)
        self.model.job_ended.connect(lambda _: self._selected(force=True))
        self.model.dataChanged.connect(lambda *_: self._selected())
        for signal in (self.filter.rowsInserted, self.filter.rowsRemoved, self.filter.modelReset):
            signal.connect(lambda *_: self._count())
        selection = self.view.selectionModel()
        assert selection is not None
        selection.selectionChanged.connect(lambda *_: self._selected())
        self.view.customContextMenuRequested.connect(self._context_menu)
        self.view.chosen.connect(self.layers_action.trigger)
        self.setFocusProxy(self.search)
        self._selected(force=True)
        self._count()

    # -- parts -------------------------------------------------------------------------

    def _build(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Tool, parameter, layer, message…")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search in the jobs")
        self.states = NarrowCombo()
        self.states.addItems(list(_STATES))
        self.states.setFixedWidth(self.fontMetrics().averageCharWidth() * 15)
        self.states.setAccessibleName("State of the jobs that are shown")
        self.reload_button = IconButton("reset", "Look for new jobs (F5)")
        self.reload_button.setShortcut("F5")
        self.reload_button.clicked.connect(self.model.refresh)
        self.count = QLabel()
        self.count.setEnabled(False)
        above = QWidget()
        filled(QVBoxLayout(above), (self.view, 1), self.count, spacing=2)
        self.again_button = TextIconButton("play", "Run again")
        self.edit_button = TextIconButton("", "Edit…")
        self.layers_button = TextIconButton("", "Show layers")
        self.more_button = MenuButton("more", "More that can be done with the job")
        buttons = (self.again_button, 1), (self.edit_button, 1), (self.layers_button, 1)
        row = filled(QHBoxLayout(), *buttons, self.more_button, spacing=4)
        self.message = MessageBar()
        self.tabs = JobDetails()
        self.facts, self.log = self.tabs.facts, self.tabs.log
        below = QWidget()
        filled(QVBoxLayout(below), row, self.message, (self.tabs, 1), spacing=4)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(above)
        self.splitter.addWidget(below)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setSizes([420, 300])
        top = filled(QHBoxLayout(), (self.search, 1), self.states, self.reload_button, spacing=4)
        column_in_sight(self, top, (self.splitter, 1), margins=(6, 4, 6, 4), spacing=4)

    def _make_actions(self) -> None:
        self.menu = QMenu(self)
        does = self.actions_
        self.again_action = self._with_one("Run again", "Ctrl+R", does.run_again)
        self.edit_action = self._with_one("Edit and run again…", "Ctrl+E", does.edit)
        self.layers_action = self._with_one("Show layers it made", "Ctrl+L", does.show_layers)
        self.menu.addSeparator()
        self.compare_action = self._action("Compare two runs", "Ctrl+D", self.tabs.show_facts)
        self.log_action = self._action("Show log", "Ctrl+G", self.tabs.show_log)
        self.menu.addSeparator()
        self.python_action = self._copying("Copy as Python", "Ctrl+Shift+Y", "python")
        self.command_action = self._copying("Copy as command line", "", "command")
        self.json_action = self._copying("Copy as JSON", "", "json")
        self.export_action = self._with_one("Export crate…", "", self._export)
        self.test_action = self._with_one("Make a test of this run…", "", does.make_test)
        self.folder_action = self._with_one(
            "Open workspace folder", "Ctrl+Shift+W", does.open_folder
        )
        self.menu.addSeparator()
        self.cancel_action = self._action("Cancel", "", self._cancel)
        self.delete_action = self._action("Delete…", QKeySequence.StandardKey.Delete, self._delete)
        self.more_button.set_menu(self.menu)
        self._hints: dict[QWidget, str] = {}
        for button, action in (
            (self.again_button, self.again_action),
            (self.edit_button, self.edit_action),
            (self.layers_button, self.layers_action),
        ):
            button.clicked.connect(action.trigger)
            action.enabledChanged.connect(button.setEnabled)
            keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
            self._hints[button] = f"{action.text().rstrip('…')} ({keys})"

    def _action(
        self, text: str, keys: str | QKeySequence.StandardKey, slot: Callable[[], object]
    ) -> QAction:
        action = QAction(text, self)
        if keys:
            action.setShortcut(QKeySequence(keys))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(lambda _=False: slot())
        # on the list only: in the search box Delete deletes a letter
        self.view.addAction(action)
        self.menu.addAction(action)
        return action

    def _with_one(self, text: str, keys: str, act: Callable[[RunRecord], object]) -> QAction:
        """Return an action on the one job that is selected."""

        def do() -> None:
            records = self._records()
            if len(records) == 1:
                act(records[0])

        return self._action(text, keys, do)

    def _copying(self, text: str, keys: str, form: Form) -> QAction:
        return self._action(text, keys, lambda: self.actions_.copy(self._records(), form))

    # -- what is shown -----------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look for new jobs whenever the list comes into view."""
        super().showEvent(event)
        self.model.refresh()
        self.model.watch(True)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Rest while nobody looks."""
        super().hideEvent(event)
        self.model.watch(False)

    def select(self, job_id: str) -> bool:
        """Show one job, as soon as it is read; return whether it is there already."""
        self._wanted = job_id
        if self.model.find(job_id) is None:
            self.model.follow()
            self.model.refresh()
        return self._select_wanted()

    def show_remembered(self, record: RunRecord) -> None:
        """Show what a layer remembers of a job whose files are gone."""
        self.view.clearSelection()
        self.tabs.show_facts()
        self.facts.show_record(record)
        self.message.say(
            "The files of the job that made this layer are gone. "
            "Below is what the layer itself remembers.",
            "problem",
        )

    def rows(self) -> list[JobRow]:
        """Return the selected jobs."""
        return self.view.rows()

    def _select_wanted(self) -> bool:
        place = self.model.place(self._wanted) if self._wanted else -1
        if place < 0:
            return False
        index = self.filter.mapFromSource(self.model.index(place, 0))
        if not index.isValid():  # hidden by the filter
            self.search.clear()
            self.states.setCurrentIndex(0)
            self._search()
            index = self.filter.mapFromSource(self.model.index(place, 0))
        self._wanted = ""
        selection = self.view.selectionModel()
        assert selection is not None
        flags = QItemSelectionModel.SelectionFlag
        selection.setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
        self.view.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)
        return True

    def _search(self) -> None:
        self.filter.set_words(self.search.text())
        self.filter.set_states(_STATES[self.states.currentText()])
        self._count()

    def _count(self) -> None:
        shown, every = self.filter.rowCount(), self.model.rowCount()
        if every == 0:
            text = "Reading…" if self.model.busy else "No jobs yet: run a tool, and it is here."
        else:
            jobs = count_text(every, "job")
            text = jobs if shown == every else f"{shown:,} of {jobs}"
        self.count.setText(text)

    def _loaded(self) -> None:
        if self.model.problem:
            self.message.say(self.model.problem, "problem")
        self._count()
        if self._wanted and not self._select_wanted():
            self._wanted = ""
            text = (
                "The record of the job that made this layer is gone. "
                "What the layer itself remembers is in its metadata."
            )
            self.message.say(text, "problem")

    def _selected(self, *, force: bool = False) -> None:
        """Show what is known of the selection, when it or its state changed."""
        rows = self.rows()
        shown = tuple((row.id, row.state) for row in rows)
        if shown == self._shown and not force:
            return
        self._shown = shown
        one, final = len(rows) == 1, all(row.final for row in rows)
        for action in (self.edit_action, self.export_action, self.folder_action, self.log_action):
            action.setEnabled(one)
        self.again_action.setEnabled(one and final)
        self.test_action.setEnabled(one and rows[0].state is JobState.DONE)
        self.layers_action.setEnabled(one and rows[0].state is JobState.DONE)
        self.compare_action.setEnabled(len(rows) == 2)
        self.cancel_action.setEnabled(any(row.live for row in rows))
        self.delete_action.setEnabled(bool(rows) and final)
        for action in (self.python_action, self.command_action, self.json_action):
            action.setEnabled(bool(rows))
        self._say_why(len(rows), final)
        self._show_details(rows)

    def _say_why(self, count: int, final: bool) -> None:
        """Say of buttons what they do, and why those that are grey do not."""
        of_one = "This job made no layers." if final else "This job has not ended yet."
        why = {0: "Choose a job.", 1: of_one}.get(count, _SEVERAL)
        for button, hint in self._hints.items():
            button.setToolTip(tooltip(hint, "" if button.isEnabled() else why))

    def _show_details(self, rows: list[JobRow]) -> None:
        records: list[RunRecord] = []
        try:
            if len(rows) <= 2:
                records = [self._record(row) for row in sorted(rows, key=lambda row: row.order)]
        except ToolRunnerError as error:
            self.message.say(str(error), "problem")
        log = rows[0].folder / "log.txt" if len(rows) == 1 else None
        if not self.tabs.show_jobs(records, log):
            self.message.say("These two runs are the same in all that is recorded.")

    # -- what can be done --------------------------------------------------------------

    def _record(self, row: JobRow) -> RunRecord:
        return record_of(row, self.model.job(row.id))

    def _records(self) -> list[RunRecord]:
        """Return the selected records; what cannot be read is told and left out."""
        found: list[RunRecord] = []
        for row in self.rows():
            try:
                found.append(self._record(row))
            except ToolRunnerError as error:
                self.message.say(str(error), "failed")
        return found

    def _export(self, record: RunRecord) -> None:
        start = f"{safe_name(record.tool.id)}-{record.id}.crate.zip"
        name, _ = QFileDialog.getSaveFileName(self, "Export crate", start, "Crates (*.zip)")
        if name:
            target = Path(name)
            self.actions_.export(record, target if target.suffix else target.with_suffix(".zip"))

    def _cancel(self) -> None:
        for row in self.rows():
            job = self.model.job(row.id)
            if job is not None:
                job.cancel()

    def _delete(self) -> None:
        rows = self.rows()
        gone = [row.id for row in rows if not os.path.exists(row.folder)]
        if gone:  # somebody else deleted them: the list follows
            self.model.forget(gone)
            self.message.say(f"The files of {len(gone)} of these jobs were gone already.")
        records = self._records()
        if records:
            self.actions_.ask_delete(records)

    def _context_menu(self, place: QPoint) -> None:
        viewport = self.view.viewport()
        if self.rows() and viewport is not None:
            self.menu.popup(viewport.mapToGlobal(place))

    def sizeHint(self) -> QSize:
        """Return a modest size; the dock decides."""
        return QSize(340, 600)

    def minimumSizeHint(self) -> QSize:
        """Return a size that never pushes the window."""
        return QSize(260, 200)
