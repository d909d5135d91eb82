"""Toolboxes are followed while somebody writes them: a save is seen at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from qtpy.QtCore import QFileSystemWatcher, QObject, Signal

from napari_tool_runner.tools.python_needs import SAY_NEEDS
from napari_tool_runner.tools.reader import may_be_descriptor
from napari_tool_runner.tools.toolbox.index import is_passed_over
from napari_tool_runner.widgets.parts.background import Latest, soon

if TYPE_CHECKING:
    from napari_tool_runner.tools.toolbox.box import Toolbox

__all__ = ["ToolboxWatcher"]

_SETTLE_MS = 100
_SLOWEST_MS = 5000
_MOST = 2000
"""Files and folders that are watched: the system lends so many only to one program."""


class ToolboxWatcher(QObject):
    """Tells when something changed in the folders of a toolbox that the user may write.

    The system tells it; nothing is polled. While changes do not end, they are told less and less
    often. Of a toolbox with more than `_MOST` descriptors and folders the first are watched, the
    others are looked at with *Look for new tools*.
    """

    changed = Signal()
    followed = Signal()
    """What `follow` was given is watched."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._watcher: QFileSystemWatcher | None = None
        self._pause = _SETTLE_MS
        self._told = float("-inf")
        self._soon = soon(self._tell, _SETTLE_MS, self)
        self._paths = Latest(self)
        self._paths.done.connect(self._watch)
        self._roots: list[Path] = []
        self._present: frozenset[Path] | None = None
        self._looks = Latest(self)
        self._looks.done.connect(self._compare)

    @property
    def watched(self) -> list[str]:
        """Paths that are watched."""
        watcher = self._watcher
        return [*watcher.files(), *watcher.directories()] if watcher is not None else []

    def follow(self, toolbox: Toolbox) -> None:
        """Watch the folders of `toolbox`, and nothing else, when they were walked through."""
        roots = [one.path for one in toolbox.folders if not one.bundled]
        if roots != self._roots:
            self._roots, self._present = roots, None
        self._paths.ask(partial(_first, self._roots))

    def _watch(self, found: tuple[set[str], frozenset[Path]]) -> None:
        wanted, there = found
        self._compare(there)
        if self._watcher is None and wanted:
            self._watcher = QFileSystemWatcher(self)
            self._watcher.fileChanged.connect(self.touch)
            self._watcher.directoryChanged.connect(self._changed)
        if self._watcher is not None:
            present = {*self.watched}
            if gone := present - wanted:
                self._watcher.removePaths([*gone])
            new = wanted - present  # also what an editor replaced, which ends the watch on it
            if new and {*self._watcher.addPaths([*new])} != new:
                self.touch()  # what changed between the reading and the watch is not told
        self.followed.emit()

    def _changed(self, folder: str) -> None:
        """Tell that a folder changed; above a toolbox, only if that is gone, or there again."""
        if any(Path(folder).is_relative_to(root) for root in self._roots):
            self.touch()
        else:
            self._looks.ask(partial(_present, self._roots))

    def _compare(self, present: frozenset[Path]) -> None:
        before, self._present = self._present, present
        if before is not None and before != present:
            self.touch()

    def touch(self, _: object = None) -> None:
        """Tell soon that something changed."""
        if self._soon.isActive():
            return
        quiet = (perf_counter() - self._told) * 1000 > 2 * self._pause
        self._pause = _SETTLE_MS if quiet else min(2 * self._pause, _SLOWEST_MS)
        self._soon.start(self._pause)

    def _tell(self) -> None:
        self._told = perf_counter()
        self.changed.emit()


def _present(roots: Sequence[Path]) -> frozenset[Path]:
    return frozenset(root for root in roots if root.is_dir())


def _first(roots: Sequence[Path]) -> tuple[set[str], frozenset[Path]]:
    present = _present(roots)
    # the system does not tell that a folder which it watches has got another name
    found = {str(root.parent) for root in roots if root.parent.is_dir()}
    for path in _paths(roots):  # toolboxes may lie in one another
        if len(found) >= _MOST:
            break
        found.add(path)
    return found, present


def _is_part(name: str) -> bool:
    """Whether a file may be a descriptor, or say something of the tools beside it."""
    more = name.startswith(".shed.") or name.endswith(".py") or name in SAY_NEEDS
    return more or may_be_descriptor(name)


def _paths(roots: Iterable[Path]) -> Iterator[str]:
    """Yield folders, the upper ones first, and what may be descriptors or parts of them there."""
    waiting = deque(str(root) for root in roots if os.access(root, os.W_OK))
    while waiting:
        folder = waiting.popleft()
        try:
            with os.scandir(folder) as entries:
                yield folder
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not is_passed_over(entry.name):
                            waiting.append(entry.path)
                    elif entry.is_file() and _is_part(entry.name):
                        yield entry.path
        except OSError:
            continue  # it is gone, or may not be read: the list of problems tells that
