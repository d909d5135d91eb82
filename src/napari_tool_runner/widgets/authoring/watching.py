"""Toolboxes are followed while somebody writes them: a save is seen at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QFileSystemWatcher, QObject, Signal

from napari_tool_runner.tools.reader import may_be_descriptor
from napari_tool_runner.widgets.parts.background import soon

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox

__all__ = ["ToolboxWatcher"]

_SETTLE_MS = 100
_MOST = 2000
"""Files and folders that are watched: the system lends so many only to one program."""


class ToolboxWatcher(QObject):
    """Tells when something changed in the folders of a toolbox that the user may write.

    The system tells it; nothing is polled. Of a toolbox with more than `_MOST` descriptors and
    folders the first are watched, the others are looked at with *Look for new tools*.
    """

    changed = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._watcher: QFileSystemWatcher | None = None
        self._soon = soon(self.changed.emit, _SETTLE_MS, self)

    def follow(self, toolbox: Toolbox) -> None:
        """Watch the folders of `toolbox`, and nothing else."""
        wanted = {str(path) for path in _first(_paths(toolbox))}
        if self._watcher is None:
            if not wanted:
                return
            self._watcher = QFileSystemWatcher(self)
            self._watcher.fileChanged.connect(self._touched)
            self._watcher.directoryChanged.connect(self._touched)
        present = {*self._watcher.files(), *self._watcher.directories()}
        if gone := present - wanted:
            self._watcher.removePaths([*gone])
        new = wanted - present  # also what an editor replaced, which ends the watch on it
        if new and {*self._watcher.addPaths([*new])} != new:
            self._soon.start()  # what changed between the reading and the watch is not told

    def _touched(self, _: str) -> None:
        self._soon.start()


def _first(paths: Iterable[Path]) -> Iterator[Path]:
    for number, path in enumerate(dict.fromkeys(paths)):
        if number == _MOST:
            return
        yield path


def _paths(toolbox: Toolbox) -> Iterator[Path]:
    """Yield folders, and what may be descriptors or parts of them (macros) in these."""
    roots = [
        one.path for one in toolbox.folders if not one.bundled and os.access(one.path, os.W_OK)
    ]
    named = [*(entry.path for entry in toolbox.entries), *(one.path for one in toolbox.problems)]
    for root in roots:
        yield root
        own = (path for path in named if path.is_relative_to(root))
        above = (place for path in own for place in path.parents if place.is_relative_to(root))
        for folder in dict.fromkeys([root, *above]):
            if not folder.is_dir():
                continue
            yield folder
            with os.scandir(folder) as entries:
                yield from (
                    Path(entry.path)
                    for entry in entries
                    if may_be_descriptor(entry.name) or entry.name.startswith(".shed.")
                )
