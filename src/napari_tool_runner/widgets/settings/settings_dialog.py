"""The settings in a window of our own: toolboxes with their approval, runner, limits."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_tool_runner import settings
from napari_tool_runner.config import Config, changed_config, config_path, load_config
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.tools.toolbox.trust import TrustState, trust_state
from napari_tool_runner.widgets.parts.icons import IconButton
from napari_tool_runner.widgets.parts.messages import MessageLabel
from napari_tool_runner.widgets.parts.texts import open_path, tooltip
from napari_tool_runner.widgets.running.run_bar import AUTOMATIC
from napari_tool_runner.widgets.settings.config_hub import config_hub
from napari_tool_runner.widgets.settings.trust import TrustDialog

__all__ = ["SettingsDialog"]

_WORDS = {
    TrustState.BUNDLED: "approved",
    TrustState.NAMED: "approved",
    TrustState.APPROVED: "approved",
    TrustState.CHANGED: "changed since it was approved",
    TrustState.UNKNOWN: "not approved yet",
}
_LABELS = {
    "runner.memory": "Memory",
    "runner.cpus": "Processors",
    "runner.service": "Where tools run",
    "jobs.max_parallel": "Jobs at once",
    "jobs.timeout": "Longest run",
    "workspace": "Folder for jobs",
    "process.xml_dirs": "Toolboxes",
}
_FOLDER = int(Qt.ItemDataRole.UserRole)


class SettingsDialog(QDialog):
    """Changes config.json; what it does not show stays as it is."""

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
        row = QHBoxLayout()
        self.add_button = QPushButton("Add folder…")
        self.remove_button = QPushButton("Remove")
        self.review_button = QPushButton("Review…")
        self.review_button.setToolTip("See what the folder holds, and let its tools run")
        for button in (self.add_button, self.remove_button, self.review_button):
            row.addWidget(button)
        row.addStretch(1)
        layout.addLayout(row)
        layout.addWidget(_title("Running"))
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.service = QComboBox()
        self.service.addItem(AUTOMATIC)
        self.service.setToolTip("Automatic: chosen for each tool by what it requires")
        form.addRow("Where tools run", self.service)
        self.parallel = QSpinBox()
        self.parallel.setRange(1, 64)
        form.addRow("Jobs at once", self.parallel)
        self.timeout = QSpinBox()
        self.timeout.setRange(0, 10_000_000)
        self.timeout.setSuffix(" s")
        self.timeout.setSpecialValueText("no limit")
        form.addRow("Longest run", self.timeout)
        place = QHBoxLayout()
        self.workspace = QLineEdit()
        self.workspace.setPlaceholderText(str(Config().workspaces))
        self.browse_button = IconButton("folder", "Choose the folder for jobs")
        place.addWidget(self.workspace, 1)
        place.addWidget(self.browse_button)
        form.addRow("Folder for jobs", place)
        layout.addLayout(form)
        layout.addWidget(_title("Limits of containers"))
        limits = QFormLayout()
        self.cpus = QDoubleSpinBox()
        self.cpus.setRange(0, 4096)
        self.cpus.setDecimals(1)
        self.cpus.setSpecialValueText("no limit")
        limits.addRow("Processors", self.cpus)
        self.memory = QLineEdit()
        self.memory.setPlaceholderText("no limit; such as 8G")
        limits.addRow("Memory", self.memory)
        self.network = QCheckBox("Programs may use the network")
        limits.addRow("", self.network)
        layout.addLayout(limits)
        self.message = MessageLabel()
        layout.addWidget(self.message)
        foot = QHBoxLayout()
        self.file_button = QPushButton("Open config.json")
        self.file_button.setToolTip(tooltip(str(config_path())))
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        foot.addWidget(self.file_button)
        foot.addWidget(self.buttons, 1)
        layout.addLayout(foot)
        self.setMinimumWidth(440)
        self._fill()
        self.add_button.clicked.connect(self._ask_folder)
        self.remove_button.clicked.connect(self.remove_folder)
        self.review_button.clicked.connect(self.review_folder)
        self.browse_button.clicked.connect(self._ask_workspace)
        self.file_button.clicked.connect(self._open_file)
        self.buttons.accepted.connect(self.save)
        self.buttons.rejected.connect(self.reject)
        self.folders.itemSelectionChanged.connect(self._selected)
        for signal in (
            self.workspace.textChanged,
            self.memory.textChanged,
            self.service.currentIndexChanged,
        ):
            signal.connect(lambda *_: self.check())
        self._selected()
        if problem:
            self.message.say(problem, "problem")

    # -- values ------------------------------------------------------------------------

    def values(self) -> dict[str, object]:
        """Return what the fields say, as keys of config.json."""
        service = self.service.currentText()
        cpus = self.cpus.value()
        return {
            "process.xml_dirs": self.folder_paths() or None,
            "runner.service": None if self.service.currentIndex() == 0 else service,
            "jobs.max_parallel": self.parallel.value(),
            "jobs.timeout": self.timeout.value() or None,
            "workspace": self.workspace.text().strip() or None,
            "runner.cpus": (int(cpus) if cpus == int(cpus) else cpus) or None,
            "runner.memory": self.memory.text().strip() or None,
            "runner.network": self.network.isChecked() or None,
        }

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
        present = self._fields_then
        changed = {key: value for key, value in self.values().items() if value != present[key]}
        try:
            if changed:
                self._hub.write(changed)
        except ConfigError as error:
            self.message.say(str(error), "failed")
            return
        self.accept()

    def _fill(self) -> None:
        from napari_tool_runner.plugins import runnerServices

        config = self._config
        for text, path in zip(_raw_folders(config), config.own(settings.TOOLBOXES), strict=True):
            self._add_item(text, path)
        names = list(runnerServices.names())
        if config.service and config.service not in names:
            names.append(config.service)
        self.service.addItems(names)
        self.service.setCurrentText(config.service or AUTOMATIC)
        self.parallel.setValue(config.max_parallel)
        self.timeout.setValue(int(config.timeout or 0))
        self.workspace.setText(str(config.data.get("workspace") or ""))
        self.cpus.setValue(config.cpus or 0)
        memory = config.said("runner.memory")
        self.memory.setText("" if memory is None else str(memory))
        self.network.setChecked(config.network)
        self._fields_then = self.values()

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

    def _add_item(self, text: str, path: Path) -> None:
        item = QListWidgetItem()
        item.setData(_FOLDER, text)
        self._describe(item, path)
        self.folders.addItem(item)

    def _describe(self, item: QListWidgetItem, path: Path) -> None:
        text = str(item.data(_FOLDER))
        state = _WORDS[trust_state(path).state] if path.is_dir() else "is not there"
        item.setText(f"{text}\n    {state}")
        item.setToolTip(tooltip(str(path), state))

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

    def _ask_workspace(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder for jobs", self.workspace.text())
        if name:
            self.workspace.setText(name)

    def _open_file(self) -> None:
        path = config_path()
        if not path.exists():
            self.message.say(f"There is no {path} yet; Save makes it.", "info")
        elif not open_path(path):
            self.message.say(f"The system has no program for {path}.", "problem")


def _in_words(message: str) -> str:
    """Name the field where a message names the key and the file."""
    for key, label in _LABELS.items():
        start, found, rest = message.partition(f"“{key}” in ")
        if found and not start:
            return f"“{label}” is {rest.partition(' is ')[2]}"
    return message


def _read() -> tuple[Config, str]:
    """Return the configuration; a broken one is told, and defaults are shown."""
    try:
        return changed_config(load_config(), {}), ""
    except ConfigError as error:
        return Config(name="personal"), f"{error} Below are the defaults."


def _raw_folders(config: Config) -> list[str]:
    given = config.raw("process.xml_dirs")
    entries = [given] if isinstance(given, str) else list(given) if isinstance(given, list) else []
    return [str(entry) for entry in entries if entry != ""]


def _folder_problem(folder: Path) -> str:
    """Say why jobs cannot be kept in `folder`; it need not exist yet."""
    if folder.exists() and not folder.is_dir():
        return f"“Folder for jobs”: {folder} is a file."
    parent = next((one for one in (folder, *folder.parents) if one.exists()), None)
    if parent is None or not _writable(parent):
        return f"“Folder for jobs”: {folder} may not be written."
    return ""


def _writable(folder: Path) -> bool:
    import os

    return os.access(folder, os.W_OK | os.X_OK)


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
