"""Tells every window when the configuration changed, by whomever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QFileSystemWatcher, QObject, Signal

from napari_tool_runner.config import (
    changed_config,
    config_path,
    facility_path,
    load_config,
    save_config,
)
from napari_tool_runner.widgets.parts.background import soon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_tool_runner.config import Config

__all__ = ["ConfigHub", "config_hub"]

_SETTLE_MS = 80


class ConfigHub(QObject):
    """Watches config.json (the facility's, too) and writes the personal one.

    `changed` is emitted once after each change, also when an editor made it.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watcher = QFileSystemWatcher(self)
        self._watcher.fileChanged.connect(self._touched)
        self._watcher.directoryChanged.connect(self._touched)
        self._seen = self._stamp()
        self._soon = soon(self.look, _SETTLE_MS, self)
        self.watch()

    def watch(self) -> None:
        """Watch the file that applies now (an environment variable may name another)."""
        files = _files()
        folders = [path.parent for path in files]
        wanted = [str(one) for one in dict.fromkeys((*files, *folders)) if one.exists()]
        present = [*self._watcher.files(), *self._watcher.directories()]
        gone = [one for one in present if one not in wanted]
        new = [one for one in wanted if one not in present]
        if gone:
            self._watcher.removePaths(gone)
        if new:
            self._watcher.addPaths(new)

    def write(self, values: Mapping[str, object], read: Config | None = None) -> Config:
        """Change keys of the configuration (see `changed_config`) and tell everybody.

        `read`: the configuration that a person saw and changed, None: as it is now.

        Raises
        ------
        ConfigError
            A value is wrong, or the file cannot be written; nothing was changed.
        """
        config = changed_config(load_config() if read is None else read, values)
        save_config(config)
        self.watch()
        self.look()
        return config

    def look(self) -> None:
        """Emit `changed` if the file is another than when it was last looked at."""
        self.watch()  # an editor that replaces the file ends the watch on it
        if self._stamp() != self._seen:
            self.tell()

    def tell(self) -> None:
        """Emit `changed`: also for what the file does not say, as what toolboxes hold."""
        self.watch()
        self._seen = self._stamp()
        self.changed.emit()

    def _touched(self, _: str) -> None:
        self._soon.start()

    def _stamp(self) -> list[tuple[Path, bytes]]:
        return [(path, _content(path)) for path in _files()]


def _files() -> list[Path]:
    """Return the files of the layers: personal, and the facility's if there is one."""
    return [config_path(), *filter(None, [facility_path()])]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def config_hub() -> ConfigHub:
    """Return the hub of this application."""
    application = QCoreApplication.instance()
    assert application is not None, "the hub needs a Qt application"
    found = application.findChild(ConfigHub)
    if not isinstance(found, ConfigHub):
        found = ConfigHub(application)
    found.watch()
    return found
