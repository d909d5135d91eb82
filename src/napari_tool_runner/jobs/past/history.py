"""All jobs that left a record on this computer, also those of earlier sessions."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs.record import (
    METADATA_KEY,
    JobState,
    RecordedError,
    RecordedTimes,
    RecordedTool,
    RunRecord,
)
from napari_tool_runner.jobs.secrets import forget_left
from napari_tool_runner.jobs.workspace import PREVIEW, RECORD, TRIED, made_at
from napari_tool_runner.names import count_text, is_folder, real_path
from napari_tool_runner.processes import is_running
from napari_tool_runner.storage import NewerError, read_json, read_limited
from napari_tool_runner.tools.own_folder import folder_is_shared
from napari_tool_runner.tools.toolbox.own import shared_places

_MOST = 4_000_000
"""Characters of what a layer remembers; a value counts as some."""
_VALUE = 40

__all__ = [
    "ended_jobs",
    "find_record",
    "history",
    "known_record",
    "left_previews",
    "own_folder",
    "read_record",
    "record_files",
    "remembered",
]

_logger = logging.getLogger(__name__)
_OF_A_JOB = frozenset(
    {RECORD, TRIED, "log.txt", "stdout.txt", "stderr.txt", "io", "inputs", "outputs", "work"}
    | {"descriptor", "ro-crate-metadata.json", "ro-crate-preview.html", ".DS_Store"}
)
"""What lies in the folder of a job, also of an older version, or of a crate."""
_KILLED = "It was killed, or the disk was full, before it could write its record."
_LEFT = 3600.0
"""Seconds after which a live preview's folder without a mark is nobody's: it lives for one run."""
RECORD_BYTES = 32 * 2**20
"""More than any job tells of itself."""


def history(workspaces: Path) -> list[RunRecord]:
    """Return every job below `workspaces`, newest first.

    A job whose record cannot be read is there with what its folder tells, and why; what
    is no job of ours, or of a newer version, is logged.
    """
    found: list[RunRecord] = []
    for path in record_files(workspaces):
        try:
            found.append(known_record(path))
        except WorkspaceError as error:
            _logger.warning("%s", error)
    return sorted(found, key=lambda record: record.id, reverse=True)


def find_record(reference: str | Path, workspaces: Path) -> RunRecord:
    """Return the job of an id (or its unique start), a record's path, or its folder.

    Raises
    ------
    WorkspaceError
        There is none, or several.
    """
    path = Path(os.path.expanduser(reference))
    if os.path.isdir(path):
        path = path / RECORD
    if os.path.isfile(path) or _is_trace(path.parent):
        return read_record(path)
    found = [record for record in history(workspaces) if record.id.startswith(str(reference))]
    if len(found) == 1:
        return found[0]
    what = count_text(len(found), "job") if found else "no job"
    raise WorkspaceError(
        f"There is {what} called “{reference}”.",
        hint=f"See napari-tool-runner history, or give the path of a {RECORD}.",
    )


def known_record(path: Path) -> RunRecord:
    """Return a job, also one whose record is damaged; raises WorkspaceError for no job of ours."""
    try:
        return read_record(path)
    except WorkspaceError as error:
        if not _is_trace(path.parent) or isinstance(error.__cause__, NewerError):
            raise
        return _trace(path.absolute().parent, error.message)


def read_record(path: Path) -> RunRecord:
    """Read one record.json; raises WorkspaceError.

    A job whose session died before it could write one is known by its folder only.
    """
    if not os.path.lexists(path) and _is_trace(path.parent):
        return _trace(path.absolute().parent)
    try:
        told = read_json(path, limit=RECORD_BYTES, follow=False)
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"The record {path} cannot be read: {error}.",
            hint="It may be half-written or of another program.",
        ) from error
    folder = path.absolute().parent
    return RunRecord.from_json(told, real_path(folder) if folder.is_symlink() else folder)


def own_folder(record: RunRecord) -> Path | None:
    """Return the folder whose files are part of a record; None when none is known to be.

    Of a record of ours it is the job's. One of others is as good as what lies there: a folder
    with this record, of a job or crate and nothing else, that nobody but the user can change.
    """
    folder = record.folder
    if record.ours:
        return folder
    try:
        alone = _OF_A_JOB.issuperset(os.listdir(folder))
        there = read_record(record.path) if alone else None
    except (OSError, WorkspaceError):
        return None
    # what a layer remembers names a place, and is not what lies there
    if there is None or json.dumps(there.to_json()) != json.dumps(record.to_json()):
        return None
    shared = folder_is_shared(folder, installed=True) or next(shared_places(folder), None)
    return None if shared else folder


def remembered(layer: object) -> RunRecord | None:
    """Return what `layer` remembers of the job that made it; None when none of ours did.

    Other programs may write under our name, and files of others hold anything: what is no
    record, or larger than one, is none of ours.
    """
    metadata = getattr(layer, "metadata", None)
    told = metadata.get(METADATA_KEY) if isinstance(metadata, Mapping) else None
    match told:
        case {"id": str(name), **rest} if name and _is_small(told):
            place = rest.get("record")
        case _:
            return None
    try:
        return RunRecord.from_json(told, Path(place if isinstance(place, str) else RECORD).parent)
    except WorkspaceError:
        return None


def _is_small(told: object) -> bool:
    """Whether it is looked through at once: it is, whenever its layer is selected."""
    left, waiting = _MOST, [told]
    while waiting and left > 0:
        match waiting.pop():
            case str() | bytes() as text:
                left -= len(text)
            case Mapping() as one if len(one) * _VALUE < left:
                waiting += [*one, *one.values()]
            case list() | tuple() as one if len(one) * _VALUE < left:
                waiting += one
            case Mapping() | list() | tuple():
                return False
        left -= _VALUE
    return left > 0


def ended_jobs(workspaces: Path, older_than_days: float = 0) -> list[RunRecord]:
    """Return the jobs that have ended and are older than that, newest first.

    A folder without a record may belong to a job that begins now, so it has to be a
    minute old. Where somebody put a record into a folder of another name, the folder is
    that person's.
    """
    now, day = datetime.now(UTC), timedelta(days=1)

    def age(one: RunRecord) -> float:
        created = one.times.created
        if created is not None and created > now:  # by a clock that was wrong
            created = None
            with suppress(OSError):
                created = datetime.fromtimestamp(min(one.folder.stat().st_mtime, time.time()), UTC)
        return float("inf") if created is None else (now - created) / day

    return [
        one
        for one in history(workspaces)
        if one.state.is_finished
        and made_at(one.folder.name) is not None
        and age(one) >= older_than_days
        and (age(one) * 24 * 60 > 1 or os.path.lexists(one.path))
    ]


def record_files(workspaces: Path) -> Iterator[Path]:
    """Yield the place of record.json of every job, in no order; the file may be missing.

    What killed sessions left of secrets is deleted.
    """
    forget_left()
    for tool in _folders(workspaces):
        for folder in _folders(tool):
            path = folder / RECORD
            if folder.name.startswith(PREVIEW):
                continue  # it is no job's
            if os.path.lexists(path) or _is_trace(folder):
                yield path


def left_previews(workspaces: Path) -> Iterator[Path]:
    """Yield the folders of live previews of sessions that were killed."""
    for folder in (one for tool in _folders(workspaces) for one in _folders(tool)):
        if folder.parent.is_symlink():
            continue
        if folder.name.startswith(PREVIEW) and not (folder.is_symlink() or _is_tried(folder)):
            with suppress(OSError):
                marked = os.path.lexists(folder / TRIED)
                if marked or time.time() - folder.lstat().st_mtime > _LEFT:
                    yield folder


def _folders(folder: Path) -> list[Path]:
    """Return the folders in one; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [Path(one.path) for one in entries if is_folder(one)]
    except OSError:
        return []


def _is_trace(folder: Path) -> bool:
    if made_at(folder.name) is None or not folder.is_dir() or folder.is_symlink():
        return False
    return not _is_tried(folder)


def _is_tried(folder: Path) -> bool:
    """Whether a session that goes on tries values there: it is no job unless it is kept."""
    try:
        return is_running(read_limited(folder / TRIED, 1000, follow=False).decode())
    except (OSError, ValueError):
        return False


def _trace(folder: Path, why: str = _KILLED) -> RunRecord:
    """Return what a folder without a record, or with a damaged one, tells of its job."""
    return RunRecord(
        folder=folder,
        id=folder.name,
        state=JobState.INTERRUPTED,
        tool=RecordedTool(folder.parent.name),
        times=RecordedTimes(created=made_at(folder.name)),
        error=RecordedError("WorkspaceError", why),
        log=folder / "log.txt",
    )
