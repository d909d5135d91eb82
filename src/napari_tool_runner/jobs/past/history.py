"""All jobs that left a record on this computer, also those of earlier sessions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import psutil

from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs.workspace import RECORD, folder_size

__all__ = ["HistoryEntry", "ended_entries", "find_entry", "history", "read_record"]

_logger = logging.getLogger(__name__)
_CLOCK_SLACK = 2.0
"""Seconds by which the start of a process is known inexactly."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A job of the past (or of now, when it still runs).

    Parameters
    ----------
    record : mapping
        The run record as read.
    folder : Path
        The job's folder.
    """

    record: Mapping[str, object]
    folder: Path

    @property
    def id(self) -> str:
        """Id of the job."""
        return str(self.record.get("id", self.folder.name))

    @property
    def tool_id(self) -> str:
        """Id of the tool."""
        return str(_inner(self.record, "tool").get("id", ""))

    @property
    def tool_name(self) -> str:
        """Name of the tool."""
        return str(_inner(self.record, "tool").get("name", "")) or self.tool_id

    @property
    def state(self) -> str:
        """The state of the record; ``interrupted`` when its session died meanwhile."""
        state = str(self.record.get("state", ""))
        if state in ("done", "failed", "cancelled"):
            return state
        pid = _inner(self.record, "host").get("pid")
        return state if _runs(pid, self.created) else "interrupted"

    @property
    def created(self) -> datetime | None:
        """When it was submitted (UTC)."""
        text = _inner(self.record, "times").get("created")
        return datetime.fromisoformat(text) if isinstance(text, str) else None

    @property
    def seconds(self) -> float:
        """How long it took."""
        value = _inner(self.record, "times").get("seconds", 0.0)
        return float(value) if isinstance(value, int | float) else 0.0

    @property
    def message(self) -> str:
        """Why it failed, empty otherwise."""
        return str(_inner(self.record, "error").get("message", ""))

    @property
    def parameters(self) -> dict[str, object]:
        """Parameters that are no data, flat."""
        return dict(_inner(self.record, "parameters"))

    def output_paths(self) -> dict[str, Path]:
        """Output name (``name/element`` in collections) -> file, also if it is gone."""
        found: dict[str, Path] = {}
        for entry in cast("list[dict[str, str]]", self.record.get("outputs", [])):
            name = f"{entry['name']}/{entry['element']}" if entry["element"] else entry["name"]
            found[name] = self.folder / entry["path"]
        return found

    def locate(self, told: Mapping[str, object]) -> Path | None:
        """Return where an entry of ``inputs`` lies: the job's own copy, else its origin.

        None when neither is there. An origin that is no absolute path ("array", "layer")
        says what the data was and names no file.
        """
        origin = Path(str(told.get("source") or ""))
        places = [self.folder / str(told["path"]), *([origin] if origin.is_absolute() else [])]
        return next((place for place in places if place.exists()), None)

    def size(self) -> int:
        """Bytes of the job's folder."""
        return folder_size(self.folder)


def history(workspaces: Path) -> list[HistoryEntry]:
    """Return every job below `workspaces`, newest first; unreadable records are logged."""
    return sorted(_entries(workspaces), key=lambda entry: entry.id, reverse=True)


def find_entry(reference: str | Path, workspaces: Path) -> HistoryEntry:
    """Return the job of an id (or its unique start), a record's path, or its folder.

    Raises
    ------
    WorkspaceError
        There is none, or several.
    """
    path = Path(reference).expanduser()
    if path.is_dir():
        path = path / RECORD
    if path.is_file():
        return read_record(path)
    found = [entry for entry in history(workspaces) if entry.id.startswith(str(reference))]
    if len(found) == 1:
        return found[0]
    what = "no job" if not found else f"{len(found)} jobs"
    raise WorkspaceError(
        f"There is {what} called “{reference}”.",
        hint="See napari-tool-runner history, or give the path of a record.json.",
    )


def read_record(path: Path) -> HistoryEntry:
    """Read one record.json.

    Raises
    ------
    WorkspaceError
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"The record {path} cannot be read: {error}.",
            hint="It may be half-written or of another program.",
        ) from error
    if not isinstance(record, dict) or "tool" not in record:
        raise WorkspaceError(
            f"{path} is not a run record.", hint="Give a record.json that this plugin wrote."
        )
    return HistoryEntry(record, path.absolute().parent)


def ended_entries(workspaces: Path, older_than_days: float = 0) -> list[HistoryEntry]:
    """Return the jobs that have ended and are older than that, newest first."""
    limit = datetime.now(UTC) - timedelta(days=older_than_days)
    return [
        entry
        for entry in history(workspaces)
        if entry.state in ("done", "failed", "cancelled", "interrupted")
        and (entry.created is None or entry.created <= limit)
    ]


def _runs(pid: object, created: datetime | None) -> bool:
    """Whether the process that made a job lives; its number may be another's by now."""
    if not isinstance(pid, int) or created is None:
        return False
    try:
        began = psutil.Process(pid).create_time()
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:
        return True
    return began <= created.timestamp() + _CLOCK_SLACK


def _entries(workspaces: Path) -> Iterator[HistoryEntry]:
    for path in workspaces.glob(f"*/*/{RECORD}"):
        try:
            yield read_record(path)
        except WorkspaceError as error:
            _logger.warning("%s", error)


def _inner(record: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = record.get(key)
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
