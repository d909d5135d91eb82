"""What this computer has: its graphics card, and the models that tools have fetched."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_tool_runner.errors import PreparationError, ToolRunnerError
from napari_tool_runner.jobs import forget_weights, kept_weights, weights_place
from napari_tool_runner.names import size_text
from napari_tool_runner.plugins import graphics
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageBar
from napari_tool_runner.widgets.parts.texts import tooltip

__all__ = ["Computer"]


class Computer(QWidget):
    """Says which card was found and how much room models take, and removes these."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.card = plain_label("is being looked for…", wrap=True)
        self.models = plain_label("…", wrap=True)
        self.models.setToolTip(tooltip(str(weights_place())))
        self.remove_button = QPushButton("Remove…")
        self.remove_button.setToolTip("Delete the models that tools have fetched")
        self.remove_button.setEnabled(False)
        self.remove_button.clicked.connect(self._ask)
        self.message = MessageBar()
        self._kept: dict[str, int] = {}
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Graphics card", self.card)
        form.addRow("Fetched models", filled(QHBoxLayout(), (self.models, 1), self.remove_button))
        filled(QVBoxLayout(self), form, self.message)
        task = Task(lambda: graphics().text, self)
        task.done.connect(self.card.setText)
        task.start()
        self._look()

    def _look(self) -> None:
        task = Task(lambda: dict(kept_weights()), self)
        task.done.connect(self._show)
        task.start()

    def _show(self, kept: dict[str, int]) -> None:
        self._kept = kept
        told = f"{size_text(sum(kept.values()))}: {', '.join(kept)}" if kept else "none"
        self.models.setText(told)
        self.remove_button.setEnabled(bool(kept))

    def _ask(self) -> None:
        size = size_text(sum(self._kept.values()))
        self.message.say(
            f"Delete the models of {', '.join(self._kept)} ({size})? Runs fetch them anew.",
            "problem",
            [("Delete", self.remove), ("Keep", lambda: None)],
        )

    def remove(self) -> None:
        """Delete all models, in the background."""
        self.remove_button.setEnabled(False)
        task = Task(partial(_remove, list(self._kept)), self)
        task.done.connect(lambda _: self._look())
        task.failed.connect(self._failed)
        task.start()

    def _failed(self, error: ToolRunnerError) -> None:
        self.message.say(str(error), "failed")
        self._look()


def _remove(names: list[str]) -> None:
    for name in names:
        try:
            forget_weights(name)
        except OSError as error:
            raise PreparationError(f"{name} stays: {error.strerror or error}.") from error
