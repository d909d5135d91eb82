"""Room on the disk: when jobs take more than they may, the files of the oldest go.

Only files that nothing refers to: of sessions that have ended, and of this one where the layers
that were made of them are gone. Record and log stay, and the log says it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from napari_tool_runner import sealed, settings
from napari_tool_runner.errors import OutputError, WorkspaceError
from napari_tool_runner.jobs.past.history import known_record, left_previews, record_files
from napari_tool_runner.jobs.workspace import RECORD, made_at
from napari_tool_runner.names import held, real_path, size_text
from napari_tool_runner.storage import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.config import Config

__all__ = ["Room", "let_go", "remove_job", "room"]

_logger = logging.getLogger(__name__)
_FILES = ("io", "inputs", "draft")
_TOLD = ".taken.json"
_A_DAY = 24 * 3600.0
_AGAIN = 30.0
"""Seconds after which it is looked again whether something can go, when all was referred to."""


class Room:
    """What the jobs of a folder take, as this session knows it. Thread-safe."""

    def __init__(self) -> None:
        self._lock, self._working = threading.Lock(), threading.Lock()
        self._shown: dict[Path, list[weakref.ref[object]]] = {}
        self._looked: dict[Path, float] = {}
        self._swept: set[Path] = set()

    def shown(self, folder: Path, holders: Iterable[object]) -> None:
        """Note that the files of a job are not needed once all `holders` are gone."""
        with self._lock:
            self._shown[folder] = [weakref.ref(one) for one in holders]

    def ended(self, folder: Path, config: Config) -> None:
        """Look in the background whether there is room, now that a job has ended."""
        threading.Thread(target=self.tidy, args=(folder, config), daemon=True).start()

    def tidy(self, folder: Path, config: Config) -> None:
        """Count what the job in `folder` takes, and make room if that is too much."""
        jobs, limit = config.workspaces, config.value(settings.DISK)
        with self._working, suppress(OSError):  # a disk that refuses is told by the job
            if jobs not in self._swept:
                self._swept.add(jobs)
                for left in left_previews(jobs):
                    let_go(left)
            taken, counted = _told(jobs)
            if not 0 <= time.time() - counted < _A_DAY:
                taken, counted = _taken_by_all(jobs), time.time()
            else:
                taken += _taken(folder)
            since = time.monotonic() - self._looked.get(jobs, float("-inf"))
            if taken > limit and since > _AGAIN:
                taken, counted = self._make_room(jobs, limit), time.time()
            told = {"bytes": int(taken), "counted": counted}
            write_json(jobs / _TOLD, told, indent=None, durable=False)

    def _make_room(self, jobs: Path, limit: int) -> float:
        """Delete what may go until the rest fits; return what that takes."""
        taken = _taken_by_all(jobs)
        for path in sorted(record_files(jobs), key=lambda one: one.parent.name):
            if taken <= limit:
                break
            folder = path.parent
            if folder.is_symlink() or folder.parent.is_symlink():  # put there by somebody
                continue
            if not _parts(folder) or not self._is_free(folder):
                continue
            freed = sum(sealed.usage(part).freed for part in _parts(folder))
            try:
                _delete(folder)
            except (OSError, OutputError) as error:
                _logger.warning("The files of %s were not deleted: %s", folder, error)
                continue
            taken -= freed
            with suppress(OSError), (folder / "log.txt").open("a", encoding="utf-8") as log:
                log.write(
                    f"The files of this job were deleted: all jobs took more than "
                    f"{size_text(limit)} (“jobs.disk” of the configuration).\n"
                )
        if taken > limit:
            self._looked[jobs] = time.monotonic()
            _logger.info("Jobs take %s; what is left is in use.", size_text(taken))
        return taken

    def _is_free(self, folder: Path) -> bool:
        """Whether nothing that is known refers to the files of a job."""
        with self._lock:
            holders = self._shown.get(folder)
        if holders is not None and os.name == "posix":  # what is mapped may be deleted there
            return all(one() is None for one in holders)
        try:
            record = known_record(folder / RECORD)
            touched = (folder / RECORD).stat().st_mtime
        except (OSError, WorkspaceError):
            return False
        mine = record.ours and made_at(folder.name) is not None
        return mine and record.state.is_finished and not record.host.runs(touched)


@cache
def room() -> Room:
    """Return that of this session."""
    return Room()


def _told(jobs: Path) -> tuple[float, float]:
    """Return what all jobs take as far as is known, and when that was counted; else zeros.

    To count 10,000 jobs takes seconds, so each job adds to what was counted within a day.
    """
    try:
        match read_json(jobs / _TOLD, follow=False):
            case {"bytes": int(taken), "counted": float(counted)} if taken >= 0:
                return taken, counted
    except (OSError, ValueError):
        pass
    return 0.0, 0.0


def _parts(folder: Path) -> list[Path]:
    return [part for name in _FILES if (part := folder / name).is_dir() and not part.is_symlink()]


def _taken(folder: Path) -> float:
    """Return the bytes of a job's files; of one with several names, its part."""
    files = (facts for part in _parts(folder) for facts in sealed.facts_below(part))
    return sum((held(facts) / max(1, facts.st_nlink) for facts in files), 0.0)


def _taken_by_all(jobs: Path) -> float:
    return sum(_taken(path.parent) for path in record_files(jobs))


def _delete(folder: Path) -> None:
    tool = real_path(folder.parent)
    for part in _parts(folder):
        sealed.remove(tool / folder.name / part.name, tool / folder.name)


def remove_job(folder: Path) -> None:
    """Delete a job's folder, however a program left it; nothing that a link leads to.

    Raises
    ------
    FileNotFoundError
        Somebody else deleted it.
    OSError, OutputError
    """
    folder.lstat()
    tool = real_path(folder.parent)
    sealed.remove(tool / folder.name, tool)


def let_go(folder: Path) -> None:
    """Delete the folder of a job that nobody asks for again; the log says what could not be."""
    try:
        remove_job(folder)
    except FileNotFoundError:
        return
    except (OSError, OutputError) as error:
        _logger.warning("%s was not deleted: %s", folder, error)
