"""The dialog "New tool": a folder with descriptor, script and test."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner import settings
from napari_tool_runner.config import load_config, toolbox_texts
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import RUNS_IT, Making, NewTools, Origin, new_tool
from napari_tool_runner.names import safe_name
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.toolbox.approvals import approval_of
from napari_tool_runner.tools.toolbox.own import MINE_MEANS
from napari_tool_runner.tools.toolbox.trust import approve
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.icons import TextIconButton
from napari_tool_runner.widgets.parts.layouts import filled, plain_label
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.settings.config_hub import config_hub

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NewToolDialog"]


class NewToolDialog(QDialog):
    """Asks what a new tool is to be called and made of, and makes it."""

    made = Signal(object)
    """It is there; carries the path of its descriptor, of several the first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New tool")
        self._found: NewTools | None = None
        self._making = Making()
        self.name = QLineEdit()
        self.name.setPlaceholderText("my filter")
        self.folder = QLineEdit(str(_home()))
        self.script = QLineEdit()
        self.script.setPlaceholderText("none: a small example that you change")
        self.script.setClearButtonEnabled(True)
        self.conda = QLineEdit()
        self.conda.setPlaceholderText("none: napari’s own Python, or -c conda-forge python scipy")
        self.consent = QCheckBox("Start this script to learn its options")
        self.means = plain_label(RUNS_IT, wrap=True)
        self.mine = QCheckBox("Add this folder to my toolboxes, as mine: follow its changes")
        self.mine_means = plain_label(MINE_MEANS, wrap=True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Name", self.name)
        form.addRow("In the folder", _with_button(self.folder, self._ask_folder))
        form.addRow("From the script", _with_button(self.script, self._ask_script))
        form.addRow("Conda packages", self.conda)
        self.notes = QPlainTextEdit()
        self.notes.setReadOnly(True)
        self.notes.setAccessibleName("What was guessed or left out")
        self.notes.setFixedHeight(8 * self.fontMetrics().lineSpacing())
        self.notes.hide()
        self.message = MessageLabel()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        cancel = self.buttons.button(QDialogButtonBox.StandardButton.Cancel)
        make = self.buttons.addButton("Make", QDialogButtonBox.ButtonRole.AcceptRole)
        assert cancel is not None
        assert make is not None
        self.cancel_button, self.make_button = cancel, make
        parts = form, self.consent, self.means, self.mine, self.mine_means, self.message
        filled(
            QVBoxLayout(self),
            *parts,
            (self.notes, 1),
            self.buttons,
            margins=(9, 9, 9, 9),
            spacing=6,
        )
        self.script.textChanged.connect(lambda: self.consent.setChecked(False))
        for line in (self.name, self.folder, self.script):
            line.textChanged.connect(self._judge)
        self.consent.toggled.connect(self._judge)
        self.mine.toggled.connect(self._judge)
        self.buttons.accepted.connect(self._make)
        self.buttons.rejected.connect(self.reject)
        self.mine.setChecked(True)
        self.resize(560, 200)
        self._judge()

    def _judge(self) -> None:
        """Show what applies, and say what is missing."""
        script, place = self.script.text().strip(), self._place()
        for part in (self.consent, self.means):
            part.setVisible(bool(script))
        known = _is_mine(place.parent)
        self.mine.setVisible(not known)
        self.mine_means.setVisible(not known and self.mine.isChecked())
        why = ""
        if not self.name.text().strip():
            why = "Give it a name."
        elif place.exists():
            why = f"{place} is there already."
        elif script and not Path(script).expanduser().is_file():
            why = f"There is no file {script}."
        self.message.say(why, "info")
        self.make_button.setEnabled(not why and (not script or self.consent.isChecked()))
        self._grow()

    def _grow(self) -> None:
        """Give what is shown its height: lines that break have more than a dialog grants."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        height = layout.totalHeightForWidth(self.width())
        if height > self.height():
            self.resize(self.width(), height)

    def _place(self) -> Path:
        name = self.name.text().strip().lower().replace(" ", "_")
        return Path(self.folder.text()).expanduser() / safe_name(name)

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Where the folder of the tool is to be")
        if name:
            self.folder.setText(name)

    def _ask_script(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A Python script", "", "Python (*.py)")
        if name:
            self.script.setText(name)
            if not self.name.text().strip():
                self.name.setText(Path(name).stem)

    def _make(self) -> None:
        if self._found is not None:  # its notes were read
            self._done()
            return
        text = self.script.text().strip()
        origin = Origin(Path(text).expanduser() if text else None, self.conda.text().strip())
        self.make_button.setEnabled(False)
        self.message.say("It is made, tried and tested…", "busy")
        self._making = Making()
        title = self.name.text().strip()
        making = partial(new_tool, self._place(), origin, title=title, making=self._making)
        task = Task(making, self)
        task.done.connect(self._made)
        task.failed.connect(self._failed)
        task.start()

    def reject(self) -> None:
        """Close; what is being made is not made."""
        self._making.stop()
        super().reject()

    def _failed(self, error: ToolRunnerError) -> None:
        self.message.say(str(error), "failed")
        self.make_button.setEnabled(True)

    def _made(self, found: NewTools) -> None:
        self._found = found
        try:
            if self.mine.isVisible() and self.mine.isChecked():
                _add_as_mine(found.paths[0].parent.parent)
        except ToolRunnerError as error:
            self.message.say(f"The tool is made. {error}", "problem")
        else:
            if not found.notes:
                self._done()
                return
            self.message.say("The tool is made. Look at what was guessed or left out:", "done")
        self.notes.setPlainText("\n".join(map(one_line, found.notes)))
        self.notes.show()
        self._grow()
        self.cancel_button.setText("Close")
        self.make_button.setText("Open it")
        self.make_button.setEnabled(True)

    def _done(self) -> None:
        assert self._found is not None
        self.made.emit(self._found.paths[0])
        self.accept()


def _home() -> Path:
    """Return where new tools go: the first toolbox that is the user's own, else a new one."""
    try:
        folders = load_config().toolbox_dirs
    except ToolRunnerError:
        folders = ()
    return next((one for one in folders if _is_mine(one)), Path.home() / "napari-tools")


def _is_mine(folder: Path) -> bool:
    approval = approval_of(folder)  # asked at each letter: rights are looked at when it is run
    return approval is not None and approval.mine


def _add_as_mine(folder: Path) -> None:
    """Put a folder into the configuration, and mark it; raises ToolRunnerError."""
    approve(folder, mine=True)
    config = load_config()
    if folder not in config.toolbox_dirs:
        config_hub().write({settings.TOOLBOXES.key: [*toolbox_texts(config), str(folder)]})


def _with_button(line: QLineEdit, ask: Callable[[], None]) -> QHBoxLayout:
    button = TextIconButton("folder", "Choose…")
    button.setAutoDefault(False)
    button.clicked.connect(lambda _=False: ask())
    return filled(QHBoxLayout(), (line, 1), button, spacing=4)
