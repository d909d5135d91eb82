"""The bar that never scrolls away: Run, Cancel, where it runs, how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_tool_runner.storage import size_text
from napari_tool_runner.widgets.forms.field_base import keep_narrow
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import elapsed_text, tooltip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_tool_runner.plugins import Progress
    from napari_tool_runner.widgets.parts.messages import Button, MessageKind

__all__ = ["AUTOMATIC", "RunBar", "progress_text"]

AUTOMATIC = "Automatic"


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


class RunBar(QWidget):
    """Run and Cancel, the runner service, progress, and one sentence with its buttons."""

    run_requested = Signal()
    cancel_requested = Signal()
    runner_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._queued = 0
        self.run_button = TextIconButton("play", "Run")
        self.run_button.setMinimumWidth(84)
        self.run_button.clicked.connect(self.run_requested)
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
        self.run_button.setToolTip(tooltip("Run the tool (Ctrl+Enter)" if ready else why_not))
        self.run_button.setAccessibleDescription("" if ready else why_not)

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

    def buttons(self) -> list[QPushButton]:
        """Return the buttons of the present sentence."""
        return list(self.message.buttons)
