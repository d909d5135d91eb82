"""Asking about a toolbox that the user added: what it is, what would run, with which rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPlainTextEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.errors import ToolRunnerError, TrustError
from napari_tool_runner.storage import size_text
from napari_tool_runner.tools.toolbox.trust import (
    Review,
    Trust,
    TrustState,
    approve,
    discard,
    review,
)
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.messages import MessageLabel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TrustDialog", "trust_sentence"]

_RIGHTS = (
    "Its programs run with your own rights: they can read and change your files. "
    "Only in a container (DOCKER) are they kept to the data that you give them."
)


def trust_sentence(trust: Trust) -> str:
    """Return why a tool must not run yet, an empty text when it may."""
    if trust.ok:
        return ""
    name = f"The toolbox “{trust.folder.name}”"
    if trust.state is TrustState.FORBIDDEN:
        return f"{name} is not among those that your facility allows ({trust.policy})."
    if trust.state is TrustState.CHANGED:
        return f"{name} has changed since you approved it. Review it to run its tools."
    return f"{name} is not approved yet. Review it to run its tools."


class TrustDialog(QDialog):
    """Shows a toolbox folder and asks whether its tools may run.

    Parameters
    ----------
    folder : Path
    tools : sequence of str
        Names of the tools in it.
    runner : str
        The service that would run the tool at hand.
    """

    def __init__(
        self, folder: Path, tools: Sequence[str], runner: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Approve a toolbox")
        self._folder = folder
        self._review: Review | None = None
        layout = QVBoxLayout(self)
        question = QLabel("May the tools of this folder run on your computer?")
        font = question.font()
        font.setBold(True)
        question.setFont(font)
        layout.addWidget(question)
        self._facts = QFormLayout()
        self._facts.addRow("Folder", _text(str(folder)))
        shown = ", ".join(tools[:8]) + (f" and {len(tools) - 8} more" if len(tools) > 8 else "")
        self._facts.addRow("Tools", _text(shown or "none"))
        if runner:
            self._facts.addRow("Run by", _text(runner))
        self._content = _text("is being looked at…")
        self._facts.addRow("Content", self._content)
        layout.addLayout(self._facts)
        self._changes = QPlainTextEdit()
        self._changes.setReadOnly(True)
        self._changes.setMaximumHeight(110)
        self._changes.hide()
        layout.addWidget(self._changes)
        self._warning = MessageLabel()
        layout.addWidget(self._warning)
        layout.addWidget(_text(_RIGHTS))
        self.buttons = QDialogButtonBox()
        approve_button = self.buttons.addButton("Approve", QDialogButtonBox.ButtonRole.AcceptRole)
        keep = self.buttons.addButton("Not now", QDialogButtonBox.ButtonRole.RejectRole)
        assert approve_button is not None
        assert keep is not None
        self.approve_button = approve_button
        self.approve_button.setEnabled(False)
        keep.setDefault(True)
        self.buttons.accepted.connect(self._approve)
        self.buttons.rejected.connect(self.reject)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(420)
        # a toolbox may hold gigabytes: the window goes on while it is hashed
        task = Task(partial(review, folder), self)
        task.done.connect(self._show)
        task.failed.connect(self._fail)
        task.start()

    def _fail(self, error: ToolRunnerError) -> None:
        self._content.setText("cannot be read")
        self._warning.say(str(error), "problem")

    def _show(self, found: Review) -> None:
        self._review = found
        self._content.setText(
            f"{found.files} files, {size_text(found.size)}\n{found.digest[:23]}…"
        )
        if found.trust.changes:
            self._changes.setPlainText("\n".join(found.trust.changes))
            self._changes.show()
        if found.writable_by_others:
            self._warning.say(
                "Other users of this computer can change "
                f"{', '.join(found.writable_by_others[:3])}.",
                "problem",
            )
        self.approve_button.setEnabled(True)

    def reject(self) -> None:
        """Close without an answer: the copy that was looked at goes."""
        if self._review is not None:
            discard(self._review)
        super().reject()

    def _approve(self) -> None:
        if self._review is None:
            return
        try:
            approve(self._folder, digest=self._review.digest)
        except TrustError as error:
            self._warning.say(str(error), "problem")
            return
        self.accept()


def _text(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
