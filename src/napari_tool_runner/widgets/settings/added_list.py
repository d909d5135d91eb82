"""The toolboxes that were added, with their state; to be reviewed and removed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.config import load_config
from napari_tool_runner.jobs import remove_toolbox
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.toolbox.added import added_toolboxes, is_fetched
from napari_tool_runner.tools.toolbox.trust import trust_state
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.texts import tooltip
from napari_tool_runner.widgets.settings.trust import STATE_WORDS, TrustDialog

if TYPE_CHECKING:
    from napari_tool_runner.errors import ToolRunnerError
    from napari_tool_runner.tools.toolbox.added import AddedToolbox
    from napari_tool_runner.widgets.parts.messages import MessageBar

__all__ = ["AddedList"]


class _Row(NamedTuple):
    """A toolbox that was added, and whether its tools may run."""

    toolbox: AddedToolbox
    state: str


class AddedList(QWidget):
    """Lists the toolboxes that do not ship; hidden while there are none.

    Parameters
    ----------
    message : MessageBar
        Where it asks, and says what happened.
    """

    changed = Signal()
    """One was removed or approved."""
    newer_wanted = Signal(str)
    """Another version is to be looked for; carries from where."""
    kept = Signal()
    """What it asked in the `message` was answered with no."""

    def __init__(self, message: MessageBar) -> None:
        super().__init__()
        self._message = message
        self.rows = QListWidget()
        self.rows.setAccessibleName("Toolboxes that were added")
        self.rows.setMinimumHeight(4 * self.fontMetrics().lineSpacing())
        self.rows.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.review_button = QPushButton("Review…")
        self.review_button.setToolTip("See what its tools would run, and let them run")
        self.newer_button = QPushButton("Look for another version")
        self.remove_button = QPushButton("Remove")
        row = self.review_button, self.newer_button, self.remove_button
        buttons = filled(QHBoxLayout(), *row)
        buttons.addStretch(1)
        filled(QVBoxLayout(self), plain_label("Added so far"), (self.rows, 1), buttons)
        self.rows.itemSelectionChanged.connect(self._selected)
        self.review_button.clicked.connect(self._review)
        self.newer_button.clicked.connect(self._look_for_newer)
        self.remove_button.clicked.connect(self._ask_removal)
        self.hide()
        self.look()

    def look(self) -> None:
        """Show what there is now."""
        task = Task(_rows, self)
        task.done.connect(self._show)
        task.failed.connect(self._failed)
        task.start()

    def ask_trust(self, toolbox: AddedToolbox) -> None:
        """Ask whether its tools may run."""
        dialog = TrustDialog(toolbox.folder, (), parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(self.changed)
        dialog.open()

    def _show(self, rows: list[_Row]) -> None:
        chosen = self._chosen()
        self.rows.clear()
        for row in rows:
            item = QListWidgetItem(f"{row.toolbox.name}\n    {row.state}")
            item.setToolTip(tooltip(one_line(row.toolbox.about.text), str(row.toolbox.folder)))
            item.setData(Qt.ItemDataRole.UserRole, row.toolbox)
            self.rows.addItem(item)
            if chosen is not None and row.toolbox.folder == chosen.folder:
                self.rows.setCurrentItem(item)
        self.setVisible(bool(rows))
        self._selected()

    def _chosen(self) -> AddedToolbox | None:
        item = self.rows.currentItem()
        found: AddedToolbox | None = item.data(Qt.ItemDataRole.UserRole) if item else None
        return found

    def _selected(self) -> None:
        one = self._chosen()
        self.review_button.setEnabled(one is not None and one.shown)
        self.remove_button.setEnabled(one is not None)
        self.newer_button.setEnabled(one is not None and one.about.kind in ("package", "zip"))

    def _look_for_newer(self) -> None:
        if (one := self._chosen()) is not None:
            self.newer_wanted.emit(one.about.origin)

    def _review(self) -> None:
        if (one := self._chosen()) is not None:
            self.ask_trust(one)

    def _ask_removal(self) -> None:
        one = self._chosen()
        if one is None:
            return
        files = " and its files" if is_fetched(one.folder) else "; its files stay"
        self._message.say(
            f"Remove “{one.name}”{files}?",
            "problem",
            [("Remove", partial(self._remove, one)), ("Keep", self.kept.emit)],
        )

    def _remove(self, toolbox: AddedToolbox) -> None:
        def done(said: str) -> None:
            self._message.say(said, "done")
            self.changed.emit()

        task = Task(partial(_remove, toolbox), self)
        task.done.connect(done)
        task.failed.connect(self._failed)
        task.start()

    def _failed(self, error: ToolRunnerError) -> None:
        self._message.say(str(error), "failed")


def _remove(toolbox: AddedToolbox) -> str:
    return remove_toolbox(str(toolbox.folder), load_config())


def _rows() -> list[_Row]:
    return [_Row(one, _state(one)) for one in added_toolboxes(load_config())]


def _state(one: AddedToolbox) -> str:
    if not one.folder.is_dir():
        return "is not there"
    said = STATE_WORDS[trust_state(one.folder).state] if one.shown else "not shown"
    return said if one.about.kind == "folder" else f"{one_line(one.about.text)}: {said}"
