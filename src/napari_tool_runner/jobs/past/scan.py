"""The jobs of all sessions as light rows, read in the background and remembered."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs.past.history import known_record, record_files
from napari_tool_runner.jobs.workspace import RECORD
from napari_tool_runner.names import count_text
from napari_tool_runner.tools.wording import plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from napari_tool_runner.jobs import Job
    from napari_tool_runner.jobs.record import JobState, RunRecord

__all__ = ["JobRow", "Scan", "Stamp", "live_row", "row_of"]

_log = logging.getLogger(__name__)
_LONGEST = 60
_MOST = 3
"""So many counts of objects are told of a job."""
_WORK = _REST = 0.004
"""Seconds: whoever shows what is read needs Python's lock, too, and for less than it reads."""
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class JobRow:
    """What the list shows of a job; the record itself is read again when it is asked for.

    Parameters
    ----------
    live : bool
        It belongs to this session and has not ended.
    parameters : tuple of (str, str)
        Labels and values that are no data, in words.
    inputs : tuple of str
        What the data was called.
    found : str
        How many objects it made, where that was counted.
    """

    id: str
    folder: Path
    tool_name: str
    state: JobState
    created: datetime | None
    seconds: float
    parameters: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    message: str = ""
    found: str = ""
    live: bool = False
    words: str = field(default="", repr=False)

    @property
    def path(self) -> Path:
        """Where its record lies."""
        return self.folder / RECORD

    @property
    def order(self) -> tuple[datetime, str]:
        """What rows are sorted by; the newest is the greatest."""
        return (self.created or _EARLIEST, self.id)

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state.is_finished

    def summary(self, before: JobRow | None = None) -> str:
        """Return inputs and parameters in one line: of `before`, those that were so then, too."""
        parts = [", ".join(self.inputs)] * (before is None or self.inputs == before.inputs)
        was = self.parameters if before is None else before.parameters
        parts += [f"{name} {value}" for name, value in self.parameters if (name, value) in was]
        return " · ".join(filter(None, parts))

    def changes(self, before: JobRow) -> str:
        """Return the inputs and parameters that the run `before` had not, in one line."""
        was = dict(before.parameters)
        parts = [", ".join(self.inputs)] * (self.inputs != before.inputs)
        for name, value in self.parameters:
            if name not in was:
                parts.append(f"{name} {value}")
            elif was[name] != value:
                parts.append(f"{name} {was[name]} → {value}")
        return " · ".join(filter(None, parts))


def row_of(record: RunRecord, *, live: bool = False) -> JobRow:
    """Return the row of a record."""
    values = record.parameters.items()
    plain = [(name.split("|")[-1], _text(plain_words(value))) for name, value in values]
    parameters = tuple(
        (_text(record.label(name)), _text(record.value(name))) for name in record.parameters
    )
    inputs = tuple(entry.label for entry in record.inputs)
    said = record.message or record.answered
    counts = [output.objects for output in record.outputs if output.objects is not None]
    found = ", ".join(count_text(count, "object") for count in counts[:_MOST])
    words = " ".join(
        [record.tool.id, record.tool_name, record.state.word, said, record.id]
        + [f"{name} {value} {name}={value}" for name, value in plain]
        + [f"{label} {value}" for label, value in parameters]
        + list(inputs)
    )
    return JobRow(
        record.id,
        record.folder,
        record.tool_name,
        record.state,
        record.times.created,
        record.times.seconds,
        parameters,
        inputs,
        said,
        found,
        live,
        words.casefold(),
    )


def live_row(job: Job) -> JobRow:
    """Return the row of a job of this session, as it stands now."""
    return row_of(job.recorded(), live=not job.state.is_finished)


def _text(told: str) -> str:
    text = " ".join(told.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


Stamp = tuple[int, int]
"""Time of change and size of a record: it is read again when they differ."""


class Scan:
    """One look at all records below a folder; `run` it in a thread of its own.

    Rows arrive in `batch`, the newest first; `present` is complete once `ended` is set.

    Parameters
    ----------
    known : mapping
        Folder -> stamp of what need not be read again.
    """

    def __init__(self, workspaces: Path, known: Mapping[Path, Stamp]) -> None:
        self._workspaces = workspaces
        self._known = dict(known)
        self._found: deque[tuple[Path, Stamp, JobRow]] = deque()
        self.present: set[Path] = set()
        self.ended = threading.Event()

    def batch(self) -> list[tuple[Path, Stamp, JobRow]]:
        """Return the rows that were not returned yet."""
        return [self._found.popleft() for _ in range(len(self._found))]

    def run(self) -> None:
        """Read what is new."""
        try:
            found = list(_with_rests(self._folders()))
            found.sort(key=lambda one: one[0].name, reverse=True)
            for folder, stamp in _with_rests(found):
                self.present.add(folder)
                if self._known.get(folder) != stamp:
                    self._read(folder, stamp)
        finally:
            self.ended.set()

    def _read(self, folder: Path, stamp: Stamp) -> None:
        try:
            row = row_of(known_record(folder / RECORD))
        except WorkspaceError as error:
            # a record of another program, or half of one: it hides no other
            _log.info("A record was left out: %s", error)
            return
        self._found.append((folder, stamp, row))

    def _folders(self) -> Iterator[tuple[Path, Stamp]]:
        for path in record_files(self._workspaces):
            with suppress(OSError):  # deleted meanwhile
                # without a record the folder stands for it
                found = (path if path.exists() else path.parent).stat()
                yield path.parent, (found.st_mtime_ns, found.st_size)


def _with_rests(found: Iterable[tuple[Path, Stamp]]) -> Iterator[tuple[Path, Stamp]]:
    """Yield what was found, and do nothing for a moment after each moment of work."""
    end = time.perf_counter() + _WORK
    for one in found:
        yield one
        if time.perf_counter() >= end:
            time.sleep(_REST)
            end = time.perf_counter() + _WORK
