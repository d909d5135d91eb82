"""The settings in a window of our own: toolboxes with their approval, runner, limits."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner import settings
from napari_tool_runner.config import (
    Config,
    changed_config,
    config_path,
    load_config,
    toolbox_texts,
)
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.tools.toolbox.trust import trust_state
from napari_tool_runner.widgets.parts.background import Task
from napari_tool_runner.widgets.parts.layouts import filled
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import GET_MORE, open_path, tooltip
from napari_tool_runner.widgets.settings.computer import Computer
from napari_tool_runner.widgets.settings.config_hub import config_hub
from napari_tool_runner.widgets.settings.fields import SHOWN, SettingField
from napari_tool_runner.widgets.settings.more_tools import MoreToolsDialog
from napari_tool_runner.widgets.settings.trust import STATE_WORDS, TrustDialog

__all__ = ["SettingsDialog"]

_FOLDER = int(Qt.ItemDataRole.UserRole)


class SettingsDialog(QDialog):
    """Changes the personal config.json; what it does not show stays as it is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings of the Tool Runner")
        self._hub = config_hub()
        self._config, problem = _read()
        layout = QVBoxLayout(self)
        layout.addWidget(_title("Toolboxes"))
        self.folders = QListWidget()
        self.folders.setAccessibleName("Toolbox folders")
        self.folders.setMaximumHeight(130)
        self.folders.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        layout.addWidget(self.folders)
        self.add_button = QPushButton("Add folder…")
        self.remove_button = QPushButton("Remove")
        self.review_button = QPushButton("Review…")
        self.review_button.setToolTip("See what the folder holds, and let its tools run")
        self.more_button = QPushButton(GET_MORE)
        self.more_button.setToolTip("From a zip, a git checkout, or a package of PyPI")
        buttons = self.add_button, self.remove_button, self.review_button, self.more_button
        row = filled(QHBoxLayout(), *buttons)
        row.addStretch(1)
        layout.addLayout(row)
        self.toolboxes_origin = MessageLabel()
        layout.addWidget(self.toolboxes_origin)
        self.fields: dict[str, SettingField] = {}
        for title, section in (("Running", "running"), ("Limits of containers", "limits")):
            layout.addWidget(_title(title))
            layout.addLayout(self._section(section))
        layout.addWidget(_title("This computer"))
        self.computer = Computer()
        layout.addWidget(self.computer)
        layout.addStretch(1)
        self.notes = MessageLabel()
        layout.addWidget(self.notes)
        self.message = MessageLabel()
        layout.addWidget(self.message)
        self.file_button = QPushButton("Open config.json")
        self.file_button.setToolTip(tooltip(str(config_path())))
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        layout.addLayout(filled(QHBoxLayout(), self.file_button, (self.buttons, 1)))
        self.setMinimumWidth(440)
        self._fill()
        self.add_button.clicked.connect(self._ask_folder)
        self.remove_button.clicked.connect(self.remove_folder)
        self.review_button.clicked.connect(self.review_folder)
        self.more_button.clicked.connect(self.get_more)
        self._hub.changed.connect(self._follow)
        self.file_button.clicked.connect(self._open_file)
        self.buttons.accepted.connect(self.save)
        self.buttons.rejected.connect(self.reject)
        self.folders.itemSelectionChanged.connect(self._selected)
        self._selected()
        if problem:
            self.message.say(problem, "problem")

    # -- values ------------------------------------------------------------------------

    def values(self) -> dict[str, object]:
        """Return what was edited, as keys of config.json; None: nothing is to stand there."""
        found = {key: field.stored() for key, field in self.fields.items() if field.edited}
        if self.folder_paths() != self._folders_then:
            found[settings.TOOLBOXES.key] = self.folder_paths() or None
        return found

    def folder_paths(self) -> list[str]:
        """Return the toolbox folders as they are written down."""
        items = [self.folders.item(row) for row in range(self.folders.count())]
        return [str(item.data(_FOLDER)) for item in items if item is not None]

    def check(self) -> bool:
        """Say under the fields what is wrong; return whether all is well."""
        text = ""
        try:
            made = changed_config(self._config, self.values())
        except ConfigError as error:
            text = _in_words(error.message)
        else:
            text = _folder_problem(made.workspaces)
        self.message.say(text, "problem")
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        if save is not None:
            save.setEnabled(not text)
        return not text

    def save(self) -> None:
        """Write config.json and close; where it cannot be written, say so and stay."""
        if not self.check():
            return
        try:
            if changed := self.values():
                self._hub.write(changed, self._config)
        except ConfigError as error:
            self.message.say(str(error), "failed")
            return
        self.accept()

    def _section(self, section: str) -> QFormLayout:
        """Return a form with the settings of a section of the table."""
        from napari_tool_runner.plugins import runnerServices

        config = self._config
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for key, (setting, look) in SHOWN.items():
            if look.place.partition(".")[0] != section:
                continue
            names: list[str] = []
            if setting is settings.RUNNER_SERVICE:
                names = sorted({*runnerServices.names(), *filter(None, [config.service])})
            field = self.fields[key] = SettingField(key, config, names)
            field.changed.connect(self.check)
            form.addRow(look.label, field)
        return form

    def _fill(self) -> None:
        config = self._config
        for text, path in zip(toolbox_texts(config), config.own(settings.TOOLBOXES), strict=True):
            self._add_item(text, path)
        self._folders_then = self.folder_paths()
        others = [layer for layer in config.layers[1:] if layer.own(settings.TOOLBOXES)]
        lock = config.lock_of(settings.TOOLBOXES.key)
        if lock is not None:
            self.toolboxes_origin.say(
                "Locked by your facility: "
                + (", ".join(map(str, config.toolbox_dirs)) or "only the tools that ship")
            )
            for widget in (self.folders, self.add_button, self.more_button):
                widget.setEnabled(False)
        elif others:
            names = ", ".join(str(p) for one in others for p in one.own(settings.TOOLBOXES))
            self.toolboxes_origin.say(f"Your facility adds: {names}.")
        line = self.fields[settings.WORKSPACE.key].editor
        assert isinstance(line, QLineEdit)
        line.setPlaceholderText(str(Config().workspaces))
        places = ", ".join(one.place for one in config.layers if one.name == "facility")
        notes = [f"Your facility’s settings: {places}"] if places else []
        self.notes.say("\n".join((*notes, *config.notes)))

    # -- toolboxes ---------------------------------------------------------------------

    def add_folder(self, folder: Path) -> None:
        """Add a toolbox folder to the list (written by Save)."""
        if str(folder) not in self.folder_paths():
            self._add_item(str(folder), folder)
            self.folders.setCurrentRow(self.folders.count() - 1)
        self.check()

    def remove_folder(self) -> None:
        """Take the selected folder from the list; its files stay."""
        row = self.folders.currentRow()
        if row >= 0:
            self.folders.takeItem(row)
        self.check()

    def review_folder(self) -> None:
        """Show what the selected folder holds, and ask whether its tools may run."""
        item = self.folders.currentItem()
        if item is None:
            return
        path = self._path_of(str(item.data(_FOLDER)))
        dialog = TrustDialog(path, _tool_names(path), parent=self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self._describe(item, path))
        dialog.open()

    def get_more(self) -> MoreToolsDialog:
        """Open the dialog that gets more tools; what it adds is there at once."""
        dialog = MoreToolsDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()
        return dialog

    def _follow(self) -> None:
        """Show the folders that were added or removed elsewhere; what was edited here stays."""
        config, _ = _read()
        texts = toolbox_texts(config)
        for row, text in reversed([*enumerate(self.folder_paths())]):
            if text in self._folders_then and text not in texts:
                self.folders.takeItem(row)
        for text, path in zip(texts, config.own(settings.TOOLBOXES), strict=True):
            if text not in self._folders_then and text not in self.folder_paths():
                self._add_item(text, path)
        self._folders_then = texts

    def _add_item(self, text: str, path: Path) -> None:
        item = QListWidgetItem()
        item.setData(_FOLDER, text)
        self._describe(item, path)
        self.folders.addItem(item)

    def _describe(self, item: QListWidgetItem, path: Path) -> None:
        text = str(item.data(_FOLDER))

        def tell(state: str) -> None:
            item.setText(f"{text}\n    {state}")
            item.setToolTip(tooltip(str(path), state))

        if not path.is_dir():
            tell("is not there")
            return
        tell("is being looked at…")
        task = Task(partial(trust_state, path), self)
        task.done.connect(lambda trust: tell(STATE_WORDS[trust.state]))
        task.failed.connect(lambda error: tell(str(error)))
        task.start()

    def _path_of(self, text: str) -> Path:
        return settings.TOOLBOXES.read(text, self._config.base)[0]

    def _selected(self) -> None:
        item = self.folders.currentItem()
        self.remove_button.setEnabled(item is not None)
        there = item is not None and self._path_of(str(item.data(_FOLDER))).is_dir()
        self.review_button.setEnabled(there)

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Add a folder with tools")
        if name:
            self.add_folder(Path(name))

    def _open_file(self) -> None:
        path = config_path()
        if not path.exists():
            self.message.say(f"There is no {path} yet; Save makes it.", "info")
        elif not open_path(path):
            self.message.say(f"The system has no program for {path}.", "problem")


def _in_words(message: str) -> str:
    """Name the field where a message names the key and the file."""
    for key, (_, look) in SHOWN.items():
        start, found, rest = message.partition(f"“{key}” in ")
        if found and not start:
            return f"“{look.label}” is {rest.partition(' is ')[2]}"
    return message


def _read() -> tuple[Config, str]:
    """Return the configuration; a broken one is told, and defaults are shown."""
    try:
        return changed_config(load_config(), {}), ""
    except ConfigError as error:
        return Config(name="personal"), f"{error} Below are the defaults."


def _folder_problem(folder: Path) -> str:
    """Say why jobs cannot be kept in `folder`; it need not exist yet."""
    if folder.exists() and not folder.is_dir():
        return f"“Folder for jobs”: {folder} is a file."
    parent = next((one for one in (folder, *folder.parents) if one.exists()), None)
    if parent is None or not os.access(parent, os.W_OK | os.X_OK):
        return f"“Folder for jobs”: {folder} may not be written."
    return ""


def _tool_names(folder: Path) -> list[str]:
    from napari_tool_runner.tools.toolbox.box import Toolbox, ToolboxFolder

    return [entry.name for entry in Toolbox([ToolboxFolder(folder.name, folder)]).entries]


def _title(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    return label
