"""What never scrolls away and never moves: Run, Cancel, where it runs, and how far it is.

The bar stands at the foot of a page, so that what grows (a sentence, a log) grows upwards.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget
from superqt import QElidingLabel
from superqt.utils import signals_blocked

from napari_tool_runner.names import size_text
from napari_tool_runner.widgets.parts.icons import IconButton, TextIconButton
from napari_tool_runner.widgets.parts.inputs import NarrowCombo
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import tooltip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_tool_runner.jobs import Job
    from napari_tool_runner.plugins import Progress
    from napari_tool_runner.widgets.parts.messages import Button, MessageKind

__all__ = ["AUTOMATIC", "RunBar", "elapsed_text", "progress_text", "with_time"]

AUTOMATIC = "Automatic"
_ALL = "Run on all"
_COUNTED = re.compile(r"\d of \d")
"""A phase that counts itself: ``Slice 7 of 24``."""


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


def with_time(sentence: str, job: Job) -> str:
    """Return what is told of a job, with how long it took, or that an earlier one did it."""
    answered = job.recorded().answered
    if answered and answered in sentence:
        return sentence
    return f"{sentence} ({'from an earlier run' if answered else elapsed_text(job.elapsed)})"


def elapsed_text(seconds: float) -> str:
    """Return ``0:07``, ``2:05`` or ``1:02:05``."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


class RunBar(QWidget):
    """Run and Cancel, the runner service, progress, and one sentence with its buttons.

    Parameters
    ----------
    log_head : QWidget
        What opens the log; it stands beside the phase.
    """

    run_requested = Signal()
    cancel_requested = Signal()
    sweep_requested = Signal()
    runner_changed = Signal()

    def __init__(self, log_head: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queued = 0
        self._cancelling = False
        self._given: Mapping[str, object] = {}
        self.run_button = TextIconButton("play", _ALL)
        self.run_button.setMinimumWidth(self.run_button.sizeHint().width())
        self.run_button.setText("Run")
        self.run_button.clicked.connect(self.run_requested)
        self.sweep_button = IconButton("grid", "Sweep: try several values and compare")
        self.sweep_button.clicked.connect(self.sweep_requested)
        self.cancel_button = TextIconButton("stop", "Cancel")
        self.cancel_button.setToolTip("End the run, and every program it started (Esc)")
        self.cancel_button.clicked.connect(self.cancel_requested)
        self.cancel_button.setEnabled(False)
        self.where = NarrowCombo()
        self.where.setMinimumWidth(90)
        self.where.setAccessibleName("Where the tool runs")
        self.where.addItem(AUTOMATIC)
        self.where.activated.connect(lambda _: self.runner_changed.emit())
        self.phase = QElidingLabel()
        self.phase.setTextFormat(Qt.TextFormat.PlainText)
        self.phase.setMinimumWidth(40)
        self.elapsed = QLabel()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setAccessibleName("Progress of the run")
        policy = self.progress.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(policy)
        self.progress.hide()
        self.message = MessageBar(stays=True, lines=8)
        told = (self.phase, 1), self.elapsed, self.sweep_button, log_head
        words = filled(QHBoxLayout(), *told, spacing=6)
        # together as wide as the dock mostly is, with the name of the service to its end
        pressed = (self.run_button, 5), self.cancel_button, (self.where, 7)
        row = filled(QHBoxLayout(), *pressed, spacing=4)
        parts = self.message, words, self.progress, row
        filled(QVBoxLayout(self), *parts, margins=(6, 4, 6, 4), spacing=4)

    # -- what can be pressed -------------------------------------------------------

    def set_ready(self, ready: bool, why_not: str = "") -> None:
        """Enable Run, or disable it and say why."""
        self.run_button.setEnabled(ready)
        self.sweep_button.setEnabled(ready)
        self.run_button.setToolTip(tooltip("Run the tool (Ctrl+Enter)" if ready else why_not))
        self.run_button.setAccessibleDescription("" if ready else why_not)

    def show_live(self, on: bool, *, part: bool = False) -> None:
        """Say of Run what it does, while a preview shows a part; what was told is not of that."""
        self.run_button.setText(_ALL if part else "Run")
        self.message.set_aside(on)

    def set_busy(self, busy: bool, queued: int = 0) -> None:
        """Offer Cancel and show the progress; Run stays and puts another job in the queue."""
        self._queued = queued
        self.progress.setVisible(busy)
        self.cancel_button.setEnabled(busy and not self._cancelling)
        if not busy:
            self._cancelling = False
            self._say_phase("")
            self.elapsed.clear()

    def show_starting(self, given: Mapping[str, object]) -> None:
        """Say at once that Run was heard; `given`: the values of the form."""
        self._given = given
        self.show_progress("Starting", None, 0)
        self.progress.show()
        for part in (self.phase, self.progress):
            part.repaint()

    def show_cancelling(self) -> None:
        """Say at once that Cancel was heard."""
        self._cancelling = True
        self.cancel_button.setEnabled(False)
        self._say_phase("Cancelling…")
        for part in (self.phase, self.cancel_button):
            part.repaint()

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
        self.where.setToolTip(tooltip("Where the tool runs", name, reason))

    def runner(self) -> str | None:
        """Return the chosen service, None for the automatic choice."""
        return None if self.where.currentIndex() <= 0 else self.where.currentText()

    # -- how far ---------------------------------------------------------------------

    def show_progress(self, phase: str, progress: Progress | None, elapsed: float) -> None:
        """Show the phase in words, the progress as far as it is known, and the time."""
        told = progress_text(progress)
        words = phase if _COUNTED.search(phase) else f"{phase} · {told}" if told else f"{phase}…"
        words = f"{words} · {self._queued} waiting" if self._queued else words
        self._say_phase("Cancelling…" if self._cancelling else words)
        self.elapsed.setText(elapsed_text(elapsed))
        if progress is not None and progress.total:
            self.progress.setRange(0, 1000)
            self.progress.setValue(int(1000 * min(1.0, progress.done / progress.total)))
        else:
            self.progress.setRange(0, 0)

    def _say_phase(self, text: str) -> None:
        self.phase.setText(text)
        self.phase.setToolTip(tooltip(text))

    # -- what happened ----------------------------------------------------------------

    def is_free(self, own: str, values: Mapping[str, object]) -> bool:
        """Whether what is told is but `own`, of other layers, or a failure on other values."""
        told = self.message
        stale = told.kind() == "failed" and values != self._given
        stale = stale or (bool(self._given) and _layers(values) != _layers(self._given))
        return told.text() in ("", own) or stale

    def say(self, text: str, kind: MessageKind = "info", buttons: Sequence[Button] = ()) -> None:
        """Show one sentence and the buttons that belong to it; an empty text hides both."""
        self.message.say(text, kind, buttons)


def _layers(values: Mapping[str, object]) -> list[object]:
    """Return the layers among the values of a form."""
    return [value for value in values.values() if hasattr(value, "as_layer_data_tuple")]
