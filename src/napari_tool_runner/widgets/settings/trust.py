"""Asking about a toolbox that the user added: what it is, what would run, with which rights."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QListWidget,
    QPlainTextEdit,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner.config import load_config
from napari_tool_runner.jobs import Question
from napari_tool_runner.names import count_text, size_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.isolation.walls import missing_walls
from napari_tool_runner.tools.toolbox.own import MINE_MEANS, PUT_RIGHT, not_own
from napari_tool_runner.tools.toolbox.trust import (
    Trust,
    TrustState,
    approve,
    discard,
    review,
    revoke,
)
from napari_tool_runner.widgets.parts.background import Task, to_the_end
from napari_tool_runner.widgets.parts.layouts import plain_label
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import open_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_tool_runner.errors import ToolRunnerError
    from napari_tool_runner.tools.toolbox.trust import Review

__all__ = ["STATE_WORDS", "TrustDialog", "trust_sentence"]

STATE_WORDS = {
    TrustState.BUNDLED: "approved",
    TrustState.NAMED: "approved",
    TrustState.CONFIGURED: "approved by the configuration",
    TrustState.APPROVED: "approved",
    TrustState.MINE: "yours: changes are followed",
    TrustState.CHANGED: "changed since it was approved",
    TrustState.UNKNOWN: "not approved yet",
    TrustState.FORBIDDEN: "not allowed by your facility",
}
"""What is said beside a toolbox."""

_ASKED = frozenset({TrustState.APPROVED, TrustState.MINE, TrustState.CHANGED})
"""States that an answer to this question made."""

_RIGHTS = (
    "Approving keeps a copy, which its tools run from. When a file of the folder changes, you are "
    "asked again, with the difference."
)


def trust_sentence(trust: Trust) -> str:
    """Return why a tool must not run yet, an empty text when it may."""
    if trust.ok:
        return ""
    name = f"The toolbox “{trust.folder.name}”"
    if trust.state is TrustState.FORBIDDEN:
        return f"{name} is not among those that your facility allows ({trust.policy})."
    if trust.mine:
        return f"{name} is yours, but {trust.changes[0]}. {PUT_RIGHT}"
    if trust.state is TrustState.CHANGED:
        return f"{name} has changed since you approved it. Review it to run its tools."
    return f"{name} is not approved yet. Review it to run its tools."


class TrustDialog(QDialog):
    """Shows a toolbox folder, what its tools would run, and asks whether they may.

    Texts of the toolbox are shown as they are: none is markup, what cannot be seen is written.

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
        self._question: Question | None = None
        self._reading: Task | None = None
        self._answering: Task | None = None
        layout = QVBoxLayout(self)
        question = plain_label("May the tools of this folder run on your computer?")
        font = question.font()
        font.setBold(True)
        question.setFont(font)
        layout.addWidget(question)
        facts = QFormLayout()
        facts.addRow("Folder", _text(str(folder)))
        if runner:
            facts.addRow("Run by", _text(runner))
        self._content = _text("is being looked at…")
        facts.addRow("Content", self._content)
        layout.addLayout(facts)
        self._warning = MessageLabel()
        layout.addWidget(self._warning)
        self.tools = QListWidget()
        self.tools.setAccessibleName("Tools of the folder")
        self.tools.addItems([one_line(name) for name in tools])
        self.tools.currentRowChanged.connect(self._read)
        self.what = _Lines("What it would run, as it is written")
        split = QSplitter()
        split.addWidget(self.tools)
        split.addWidget(self.what)
        split.setStretchFactor(1, 3)
        self.changes = _Lines("What changed since it was approved")
        self.pages = QTabWidget()
        self.pages.addTab(split, "What would run")
        layout.addWidget(self.pages, 1)
        self.mine_box = QCheckBox("I write these tools: follow their changes without asking again")
        self.mine_box.setEnabled(False)
        self.mine_box.toggled.connect(self._say_rights)
        layout.addWidget(self.mine_box)
        self._rights = _text(_RIGHTS)
        layout.addWidget(self._rights)
        self._not_own = ""
        self._add_buttons(layout)
        self.resize(760, 600)
        # a toolbox may hold gigabytes: the window goes on while it is copied
        task = Task(partial(_look, folder), self)
        task.done.connect(self._show)
        task.failed.connect(self._fail)
        task.start()

    def _add_buttons(self, layout: QVBoxLayout) -> None:
        self.buttons = QDialogButtonBox()
        roles = QDialogButtonBox.ButtonRole
        approve_button = self.buttons.addButton("Approve", roles.AcceptRole)
        keep = self.buttons.addButton("Not now", roles.RejectRole)
        files = self.buttons.addButton("Show the files", roles.HelpRole)
        revoke_button = self.buttons.addButton("Take it back", roles.DestructiveRole)
        assert approve_button is not None
        assert keep is not None
        assert files is not None
        assert revoke_button is not None
        self.revoke_button = revoke_button
        revoke_button.clicked.connect(self._revoke)
        revoke_button.hide()
        self.approve_button = approve_button
        self.approve_button.setEnabled(False)
        files.clicked.connect(self._show_files)
        self.buttons.accepted.connect(self._approve)
        self.buttons.rejected.connect(self.reject)
        layout.addWidget(self.buttons)
        for button in (approve_button, files, revoke_button):  # the Enter key approves nothing
            button.setAutoDefault(False)
        keep.setDefault(True)
        keep.setFocus()

    def _fail(self, error: ToolRunnerError) -> None:
        self._content.setText("cannot be read")
        self._warning.say(str(error), "problem")

    def _show(self, found: _Look) -> None:
        self._question, difference, self._not_own = found
        state = self._question.review.trust.state
        self.mine_box.setEnabled(not self._not_own)
        self.mine_box.setChecked(state is TrustState.MINE)
        self.revoke_button.setVisible(state in _ASKED)
        self._say_rights()
        seen, entries = self._question.review, self._question.entries
        self._content.setText(
            f"{count_text(seen.files, 'file')}, {size_text(seen.size)}\n{seen.digest[:23]}…"
        )
        self.tools.clear()
        self.tools.addItems([one_line(entry.name) for entry in entries])
        self.tools.setCurrentRow(0)
        if not entries:
            self.what.setPlainText("It holds no tool that can be read.")
        if difference:
            self.changes.setPlainText(difference)
            self.pages.insertTab(0, self.changes, "What changed")
            self.pages.setCurrentIndex(0)
        warnings = []
        if seen.writable_by_others:
            names = ", ".join(map(one_line, seen.writable_by_others[:3]))
            warnings.append(f"Other users of this computer can change {names}.")
        if seen.left_out:
            names = ", ".join(map(one_line, seen.left_out[:3]))
            warnings.append(f"Left out, since it leads out of the folder or is no file: {names}.")
        if missing := missing_walls():
            warnings.append(f"What reads its templates is weaker on this computer: {missing}.")
        if warnings:
            self._warning.say(" ".join(warnings), "problem")
        self.approve_button.setEnabled(True)

    def _say_rights(self) -> None:
        """Say what the answer means, and why the folder cannot be the user's own."""
        told = MINE_MEANS if self.mine_box.isChecked() else _RIGHTS
        if self._not_own:
            told = f"{told} These tools cannot be marked as yours: {one_line(self._not_own)}."
        self._rights.setText(told)

    def _read(self, row: int) -> None:
        """Show what the tool of a row would run; descriptors of others are read in a thread."""
        if self._reading is not None:
            self._reading.drop()
        if self._question is None or row < 0:
            return
        key = self._question.entries[row].key
        self.what.setPlainText("is being read…")
        self._reading = Task(partial(self._question.tool_text, key), self)
        self._reading.done.connect(self.what.setPlainText)
        self._reading.failed.connect(lambda error: self.what.setPlainText(str(error)))
        self._reading.start()

    def _show_files(self) -> None:
        if self._question is not None:
            open_path(self._question.review.copy)

    def reject(self) -> None:
        """Close without an answer: the copy that was looked at goes."""
        if self._question is not None and self._answering is None:
            to_the_end(partial(discard, self._question.review), "discard")
        super().reject()

    def _approve(self) -> None:
        if self._question is not None:
            self._answer(partial(_approve, self._question.review, self.mine_box.isChecked()))

    def _revoke(self) -> None:
        seen = self._question.review if self._question is not None else None
        self._answer(partial(_revoke, self._folder, seen))

    def _answer(self, act: Callable[[], None]) -> None:
        """Do what was answered; the window goes on while the folder is looked through."""
        if self._answering is not None:
            return
        self.setDisabled(True)
        self._answering = Task(act, self)
        self._answering.done.connect(lambda _: self.accept())
        self._answering.failed.connect(self._complain)
        self._answering.start()

    def _complain(self, error: ToolRunnerError) -> None:
        self._answering = None
        self.setDisabled(False)
        self._warning.say(str(error), "problem")


def _approve(seen: Review, mine: bool) -> None:
    if mine:
        discard(seen)
    approve(seen.folder, seen=seen, mine=mine)


def _revoke(folder: Path, seen: Review | None) -> None:
    revoke(folder)
    if seen is not None:
        discard(seen)


class _Lines(QPlainTextEdit):
    """Text of others: plain, not to be changed, all letters equally wide."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setAccessibleName(name)
        self.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))


class _Look(NamedTuple):
    """What to show of a folder, what changed, and why it cannot be the user's own."""

    question: Question
    difference: str
    not_own: str


def _look(folder: Path) -> _Look:
    """Copy and read a folder."""
    config = load_config()
    found = Question(review(folder), config)
    _ = found.entries
    return _Look(found, found.difference(), not_own(folder, config))


def _text(text: str) -> QLabel:
    label = plain_label(text, wrap=True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label
