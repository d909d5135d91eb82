"""What never scrolls away: Run, Cancel, where it runs, how far it is, and its log.

The log never stalls the window, is bounded, and is opened when a run fails.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QFontDatabase, QTextCursor
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_tool_runner.names import size_text
from napari_tool_runner.widgets.parts.icons import IconButton, TextIconButton
from napari_tool_runner.widgets.parts.inputs import keep_narrow
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import copy_text, open_path, tooltip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_tool_runner.jobs import Job
    from napari_tool_runner.plugins import Progress
    from napari_tool_runner.widgets.parts.messages import Button, MessageKind

__all__ = [
    "AUTOMATIC",
    "LogView",
    "RunBar",
    "clean_line",
    "elapsed_text",
    "log_text",
    "progress_text",
    "took_text",
]

AUTOMATIC = "Automatic"
MOST_LINES = 5000
FLUSH_MS = 60
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


def progress_text(progress: Progress | None) -> str:
    """Return ``42 %``, ``3 of 10``, ``12 of 80 MB`` or an empty text."""
    if progress is None:
        return ""
    if progress.unit == "bytes":
        done = size_text(progress.done)
        return f"{done} of {size_text(progress.total)}" if progress.total else done
    if not progress.total:
        return ""
    if progress.total in (1, 100) or progress.total != int(progress.total):
        return f"{100 * progress.done / progress.total:.0f} %"
    return f"{progress.done:.0f} of {progress.total:.0f}"


def took_text(job: Job) -> str:
    """Return how long a job took, or that an earlier one had its results."""
    return "from an earlier run" if job.recorded().earlier else elapsed_text(job.elapsed)


def elapsed_text(seconds: float) -> str:
    """Return ``0:07``, ``2:05`` or ``1:02:05``."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


class RunBar(QWidget):
    """Run and Cancel, the runner service, progress, and one sentence with its buttons."""

    run_requested = Signal()
    cancel_requested = Signal()
    sweep_requested = Signal()
    runner_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queued = 0
        self.run_button = TextIconButton("play", "Run")
        self.run_button.setMinimumWidth(84)
        self.run_button.clicked.connect(self.run_requested)
        self.sweep_button = IconButton("grid", "Sweep: try several values and compare")
        self.sweep_button.clicked.connect(self.sweep_requested)
        self.cancel_button = TextIconButton("stop", "Cancel")
        self.cancel_button.setToolTip("End the run, and every program it started (Esc)")
        self.cancel_button.clicked.connect(self.cancel_requested)
        self.cancel_button.hide()
        self.where_label = QLabel("on")
        self.where = QComboBox()
        keep_narrow(self.where)
        self.where.setMinimumWidth(140)
        self.where.setAccessibleName("Where the tool runs")
        self.where_label.setBuddy(self.where)
        self.where.addItem(AUTOMATIC)
        self.where.activated.connect(lambda _: self.runner_changed.emit())
        self.phase = plain_label(shrinks=True)
        self.elapsed = QLabel()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setAccessibleName("Progress of the run")
        self.progress_box = QWidget()
        words = filled(QHBoxLayout(), (self.phase, 1), self.elapsed)
        filled(QVBoxLayout(self.progress_box), words, self.progress, spacing=2)
        self.progress_box.hide()
        self.message = MessageBar(stays=True)
        row = filled(
            QHBoxLayout(),
            (self.run_button, 2),
            self.sweep_button,
            (self.cancel_button, 1),
            self.where_label,
            (self.where, 1),
            spacing=4,
        )
        parts = row, self.progress_box, self.message
        filled(QVBoxLayout(self), *parts, margins=(6, 4, 6, 2), spacing=4)

    # -- what can be pressed -------------------------------------------------------

    def set_ready(self, ready: bool, why_not: str = "") -> None:
        """Enable Run, or disable it and say why."""
        self.run_button.setEnabled(ready)
        self.sweep_button.setEnabled(ready)
        self.run_button.setToolTip(tooltip("Run the tool (Ctrl+Enter)" if ready else why_not))
        self.run_button.setAccessibleDescription("" if ready else why_not)

    def show_live(self, part: bool) -> None:
        """Say of Run what it does, while a preview shows a part."""
        self.run_button.setText("Apply to all" if part else "Run")

    def set_busy(self, busy: bool, queued: int = 0) -> None:
        """Show Cancel and the progress; Run stays and puts another job in the queue."""
        self.cancel_button.setVisible(busy)
        self.progress_box.setVisible(busy)
        self.where_label.setVisible(not busy)  # makes room for Cancel
        self._queued = queued
        if not busy:
            self.cancel_button.setEnabled(True)
            self.cancel_button.setText("Cancel")

    def show_cancelling(self) -> None:
        """Say that Cancel was heard."""
        self.cancel_button.setEnabled(False)
        self.cancel_button.setText("Cancelling…")

    # -- where -----------------------------------------------------------------------

    def set_runners(self, names: Sequence[str], present: str | None, tips: dict[str, str]) -> None:
        """Offer the services `names`; `present` is the chosen one (None: automatic)."""
        role = Qt.ItemDataRole.ToolTipRole
        with signals_blocked(self.where):
            self.where.clear()
            self.where.addItems([AUTOMATIC, *names])
            self.where.setItemData(0, tooltip("Chosen for each tool by what it requires."), role)
            for place, name in enumerate(names, start=1):
                self.where.setItemData(place, tooltip(tips.get(name, "")), role)
            self.where.setCurrentIndex([None, *names].index(present) if present in names else 0)

    def show_choice(self, name: str, reason: str) -> None:
        """Say in the first entry which service the automatic choice means."""
        self.where.setItemText(0, name or AUTOMATIC)
        self.where.setToolTip(tooltip("Where the tool runs", reason))

    def runner(self) -> str | None:
        """Return the chosen service, None for the automatic choice."""
        return None if self.where.currentIndex() <= 0 else self.where.currentText()

    # -- how far ---------------------------------------------------------------------

    def show_progress(self, phase: str, progress: Progress | None, elapsed: float) -> None:
        """Show the phase in words, the progress as far as it is known, and the time."""
        told = progress_text(progress)
        words = f"{phase} · {told}" if told else f"{phase}…"
        self.phase.setText(f"{words} · {self._queued} waiting" if self._queued else words)
        self.elapsed.setText(elapsed_text(elapsed))
        if progress is not None and progress.total:
            self.progress.setRange(0, 1000)
            self.progress.setValue(int(1000 * min(1.0, progress.done / progress.total)))
        else:
            self.progress.setRange(0, 0)

    # -- what happened ----------------------------------------------------------------

    def say(self, text: str, kind: MessageKind = "info", buttons: Sequence[Button] = ()) -> None:
        """Show one sentence and the buttons that belong to it; an empty text hides both."""
        self.message.say(text, kind, buttons)


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
    """A closed line "Log" that opens to the lines of a job.

    Lines are not sent here one by one: a timer asks the job's own buffer for what is
    new and appends it in one go, so that 50,000 lines a second cost nothing.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._job: Job | None = None
        self._seen = 0
        self.toggle = IconButton("right", "Show or hide the log")
        self.toggle.setText("Log")
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggle.clicked.connect(lambda: self.set_open(not self.is_open()))
        self.copy = IconButton("copy", "Copy the log")
        self.copy.clicked.connect(lambda: copy_text(self.text.toPlainText()))
        self.file = IconButton("file", "Open the log file")
        self.file.clicked.connect(self._open_file)
        self.text = log_text("Log of the run", "Nothing was printed yet.")
        self.text.setMaximumBlockCount(MOST_LINES)
        self.text.setMinimumSize(QSize(60, 60))
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.text.setFixedHeight(self.text.fontMetrics().lineSpacing() * 9 + 8)
        self.text.hide()
        head = filled(QHBoxLayout(), self.toggle, self.copy, self.file)
        head.insertStretch(1, 1)
        filled(QVBoxLayout(self), head, self.text, spacing=2)
        self._timer = QTimer(self)
        self._timer.setInterval(FLUSH_MS)
        self._timer.timeout.connect(self.flush)
        self._show_buttons()

    def is_open(self) -> bool:
        """Whether the lines are shown."""
        return not self.text.isHidden()

    def set_open(self, on: bool) -> None:
        """Show or hide the lines."""
        self.text.setVisible(on)
        self.toggle.show_icon("down" if on else "right")
        self._show_buttons()
        self._watch()
        if on:
            self._to_end()

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
                texts.insert(0, f"… {missed} lines left out; the log file has them …")
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
