"""The dock "Tool Problems": what is wrong with tools, beside the lines where it stands."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from napari_tool_runner.names import count_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.checker import check_paths
from napari_tool_runner.tools.model import Severity
from napari_tool_runner.widgets.parts.background import Latest
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import open_path, tooltip

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox

__all__ = ["Problem", "ProblemsPanel", "found_problems"]

_PATH = Qt.ItemDataRole.UserRole
_MOST_CHECKED = 200
"""Descriptors of a toolbox that is checked; of a larger one what cannot be used is told."""
_MOST_SHOWN = 500
_WORDS = {Severity.ERROR: "Cannot run", Severity.WARNING: "Mind", Severity.INFO: "Note"}


class Problem(NamedTuple):
    """One row. `line`: from 1, or 0 where nobody knows it."""

    path: Path
    line: int
    severity: Severity
    sentence: str


def found_problems(toolbox: Toolbox) -> list[Problem]:
    """Return what `check` tells of the toolboxes that somebody added; takes a while."""
    found: list[Problem] = []
    for folder in toolbox.folders:
        if folder.bundled or not folder.path.is_dir():
            continue
        own = [one for one in toolbox.entries if one.path.is_relative_to(folder.path)]
        told = [one for one in toolbox.problems if one.path.is_relative_to(folder.path)]
        if len(own) + len(told) > _MOST_CHECKED:
            found += [Problem(one.path, 0, Severity.ERROR, one.message) for one in told]
        elif own or told:
            found += [
                Problem(report.path, line, note.severity, f"{note.where}: {note.what}")
                for report in check_paths([folder.path], formats=toolbox.formats)
                for note, line in report.placed()
            ]
    return found


class ProblemsPanel(QWidget):
    """Problems of the tools of a toolbox, by file and line; a click opens the file."""

    shown = Signal()
    """What was found stands there."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found = Latest(self)
        self._found.done.connect(self._show)
        self._found.failed.connect(lambda error: self.message.say(str(error), "failed"))
        self.message = MessageLabel()
        self.rows = QTreeWidget()
        self.rows.setHeaderLabels(["File", "Line", "Problem"])
        self.rows.setRootIsDecorated(False)
        self.rows.setUniformRowHeights(False)
        self.rows.setWordWrap(True)
        self.rows.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.rows.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.rows.setAccessibleName("Problems of tools")
        self.rows.itemClicked.connect(lambda item, _: self._open(item))
        for keys in ("Return", "Enter"):
            shortcut = QShortcut(QKeySequence(keys), self.rows)
            shortcut.setContext(Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(lambda: self._open(self.rows.currentItem()))
        filled(QVBoxLayout(self), self.message, (self.rows, 1), margins=(6, 4, 6, 4), spacing=4)
        self.message.say("Looking…", "busy")

    def look(self, toolbox: Toolbox) -> None:
        """Look at the tools of `toolbox` again."""
        self._found.ask(partial(found_problems, toolbox))

    def _show(self, found: list[Problem]) -> None:
        self.rows.clear()
        for one in sorted(found, key=lambda one: (one.severity is not Severity.ERROR, one.path)):
            text = f"{_WORDS[one.severity]}: {one_line(one.sentence)}"
            line = str(one.line) if one.line else ""
            item = QTreeWidgetItem([one_line(one.path.name), line, text])
            item.setData(0, _PATH, str(one.path))
            item.setToolTip(0, tooltip(str(one.path)))
            item.setToolTip(2, tooltip(one.sentence))
            self.rows.addTopLevelItem(item)
            if self.rows.topLevelItemCount() == _MOST_SHOWN:
                break
        for column in (0, 1):
            self.rows.resizeColumnToContents(column)
        count = len(found)
        if not count:
            self.message.say("Nothing is wrong with the tools of your folders.", "done")
        else:
            first = f" (the first {_MOST_SHOWN} are shown)" if count > _MOST_SHOWN else ""
            self.message.say(f"{count_text(count, 'remark')}{first}; a click opens the file.")
        self.shown.emit()

    def _open(self, item: QTreeWidgetItem | None) -> None:
        if item is None:
            return
        path = Path(str(item.data(0, _PATH)))
        if not open_path(path):
            self.message.say(f"The system has no program for {path}.", "problem")
