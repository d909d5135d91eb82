"""The log of a run: never stalls the window, is bounded, and is opened when a run fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QFontDatabase, QTextCursor
from qtpy.QtWidgets import QHBoxLayout, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from napari_tool_runner.names import count_text
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.texts import copy_text, open_path

if TYPE_CHECKING:
    from napari_tool_runner.jobs import Job

__all__ = ["LogView", "clean_line", "log_text"]

MOST_LINES = 5000
FLUSH_MS = 60
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


def clean_line(text: str) -> str:
    """Return a line without terminal colours; of a redrawn bar only the last state."""
    text = _ESCAPES.sub("", text)
    if "\r" in text:
        parts = [part for part in text.split("\r") if part]
        text = parts[-1] if parts else ""
    return "".join(c if c >= " " or c == "\t" else " " for c in text)


def log_text(name: str, empty: str) -> QPlainTextEdit:
    """Return the box for the lines of a log; `empty` is said while there are none."""
    text = QPlainTextEdit()
    text.setReadOnly(True)
    text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    text.setPlaceholderText(empty)
    text.setAccessibleName(name)
    return text


class LogView(QWidget):
    """The lines of a job, closed at first; `head` is what opens them, and stands elsewhere.

    Lines are not sent here one by one: a timer asks the job's own buffer for what is
    new and appends it in one go, so that 50,000 lines a second cost nothing.
    """

    opened = Signal()
    """The lines are shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._seen = 0
        self._by_itself = False
        """Whether a failure opened it."""
        self.toggle = IconButton("right", "Show or hide the log")
        self.toggle.setText("Log")
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggle.clicked.connect(self._toggled)
        self.copy = IconButton("copy", "Copy the log")
        self.copy.clicked.connect(lambda: copy_text(self.text.toPlainText()))
        self.file = IconButton("file", "Open the log file")
        self.file.clicked.connect(self._open_file)
        self.text = log_text("Log of the run", "Nothing was printed yet.")
        self.text.setMaximumBlockCount(MOST_LINES)
        self.text.setMinimumSize(QSize(60, 60))
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.text.setFixedHeight(self.text.fontMetrics().lineSpacing() * 9 + 8)
        self.head = QWidget()
        filled(QHBoxLayout(self.head), self.copy, self.file, self.toggle, spacing=0)
        filled(QVBoxLayout(self), self.text)
        self.hide()
        self._timer = QTimer(self)
        self._timer.setInterval(FLUSH_MS)
        self._timer.timeout.connect(self.flush)
        self._show_buttons()

    def is_open(self) -> bool:
        """Whether the lines are shown."""
        return not self.isHidden()

    def _toggled(self) -> None:
        self._by_itself = False
        self.set_open(not self.is_open())

    def set_open(self, on: bool) -> None:
        """Show or hide the lines."""
        self.setVisible(on)
        self.toggle.show_icon("down" if on else "right")
        self._show_buttons()
        self._watch()
        if on:
            self._to_end()
            self.opened.emit()

    def show_failure(self, job: Job) -> None:
        """Show the log of a job that failed, until the next one begins."""
        self.follow(job)
        self._by_itself = not self.is_open()
        self.set_open(True)

    def rest(self) -> None:
        """Close what a failure opened, and no person."""
        if self._by_itself:
            self.set_open(False)

    def follow(self, job: Job) -> None:
        """Show the log of `job` from its beginning, unless it is the one shown."""
        if job is self._job:
            return
        self._job = job
        self._seen = 0
        self.text.clear()
        self._show_buttons()
        self._watch()

    def flush(self) -> None:
        """Append what is new."""
        job = self._job
        if job is None:
            return
        ended = job.finished is not None
        seen, lines = job.log.since(self._seen)
        missed = seen - self._seen - len(lines)
        self._seen = seen
        if lines:
            bar = self.text.verticalScrollBar()
            assert bar is not None
            at_end = bar.value() >= bar.maximum() - 2
            texts = [clean_line(line.text) for line in lines]
            if missed > 0:
                texts.insert(0, f"… {count_text(missed, 'line')} left out: the log file has all …")
            self.text.appendPlainText("\n".join(texts))
            if at_end:
                self._to_end()
        if ended:
            self._timer.stop()

    def _watch(self) -> None:
        """Look for new lines as long as they can be seen."""
        if self._job is not None and self.is_open():
            self.flush()
            self._timer.start()
        else:
            self._timer.stop()

    def _to_end(self) -> None:
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        self.text.moveCursor(QTextCursor.MoveOperation.StartOfLine)

    def _show_buttons(self) -> None:
        for button in (self.copy, self.file):
            button.setVisible(self.is_open() and self._job is not None)

    def _open_file(self) -> None:
        if self._job is not None:
            open_path(self._job.log_path)
