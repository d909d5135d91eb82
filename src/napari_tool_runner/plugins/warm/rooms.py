"""The folders of processes that import ahead; those of a napari that was killed are deleted."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.locks import join_lock
from napari_tool_runner.sealed import remove

__all__ = ["room", "sweep"]

_PREFIX = "napari-tool-runner-warm-"
_NEW = 60.0  # seconds in which one may not yet be held
_log = logging.getLogger(__name__)


@contextmanager
def room() -> Iterator[Path]:
    """Give a temporary folder; its name is short, since sockets lie in it."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    free = join_lock(folder / "held", alone=False)
    try:
        yield folder
    finally:
        _remove(folder)
        if free is not None:
            free()


def sweep() -> None:
    """Delete what nobody holds any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            told = folder.lstat()
        except OSError:
            continue
        mine = stat.S_ISDIR(told.st_mode) and told.st_uid == os.getuid()
        if mine and time.time() - told.st_mtime > _NEW:
            free = join_lock(folder / "held", alone=True)
            if free is not None:
                _remove(folder)
                free()


def _remove(folder: Path) -> None:
    try:
        remove(folder, folder.parent)
    except (OSError, ToolRunnerError) as error:
        _log.warning("%s could not be deleted: %s", folder, error)
