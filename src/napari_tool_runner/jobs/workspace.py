"""The folder of one job: record and logs, and beside them ``io/``, all that its program sees."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from napari_tool_runner import sealed
from napari_tool_runner._lazy import compiled
from napari_tool_runner.errors import (
    JobTimeoutError,
    OutputError,
    RunnerError,
    WorkspaceError,
    is_full,
)
from napari_tool_runner.names import safe_name, size_text
from napari_tool_runner.plugins import Progress
from napari_tool_runner.quoting import obeyed_by_none, one_line, visible_text
from napari_tool_runner.tools.dialect import JobPaths

if TYPE_CHECKING:
    from napari_tool_runner.plugins import ExecContext, OutputLine, Session
    from napari_tool_runner.tools.dialect import RenderedCommand

__all__ = [
    "PREVIEW",
    "PROGRAM_VERSION",
    "RECORD",
    "TRIED",
    "JobLog",
    "Workspace",
    "ask_version",
    "made_at",
    "make_folders",
    "new_job_id",
    "parse_notes",
    "parse_progress",
    "remove_scratch",
    "tool_folder",
    "workspace_problem",
]

RECORD = "record.json"
PREVIEW = "preview-"
"""Begins the name of a live preview's folder: it is no job's, and goes at once."""
TRIED = "tried"
"""Beside or instead of the record: whose trial a run is, which may go without a trace."""
PROGRAM_VERSION = "program_version"
"""What a record's runner tells of the program."""
IO = "io"
"""The folder in a job's folder that its program sees."""
KEPT_LINES = 5000
KEPT_BYTES = 2 * 2**20
"""Memory of the lines of a job, which fifty jobs of a session have each."""
MAX_WORDS = 300
JUDGED_BYTES = 32 * 2**20
LOG_BYTES = 128 * 2**20
"""What a log file holds at most."""
_BAR_END = compiled(r"\| ?\d+/\d+")
_BAR_SIGNS = compiled(r"[|%]")
_LAST_NUMBER = compiled(r"(?<!\d)\d{1,3}\Z|\d{3}\Z")
_PERCENT = compiled(r"(?P<percent>\d{1,3}(?:\.\d+)?) ?%")
_COUNT = compiled(r"(?:^|[ \[(])(?P<done>\d+) ?(?:/|of) ?(?P<total>\d+)(?=$|[ \]):,.;])")
_SLICER = compiled(r"<filter-progress> ?(?P<part>0(?:\.\d+)?|1(?:\.0+)?) ?</filter-progress>")
_JOB_ID = compiled(r"\d{8}-\d{6}-[0-9a-f]{6}")
_LONGEST = 300
_NOTE = compiled(r"^(?:note|warning): \S.{0,1000}", re.MULTILINE)
_MOST_NOTES = 10
_VERSION_SECONDS, _VERSION_BYTES = 60.0, 4096
_versions: dict[str, str] = {}
"""Environment and tool -> what was told there."""


def new_job_id() -> str:
    """Return a name that sorts by time and is unique on this computer."""
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)


def made_at(job_id: str) -> datetime | None:
    """Return when a name of `new_job_id` was made; None for any other name."""
    if _JOB_ID.fullmatch(job_id) is None:
        return None
    try:
        return datetime.strptime(job_id[:15], "%Y%m%d-%H%M%S").astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # the year 1, and others that no system knows
        return None


def tool_folder(root: Path, tool_id: str) -> Path:
    """Return the folder that holds the jobs of one tool (one mount for containers)."""
    return root / safe_name(tool_id, fallback="tool")


class Workspace:
    """The files of one job.

    The host writes and reads ``record.json`` and the logs here; a program is shown
    `paths` only, so that it cannot put anything in their place.

    Parameters
    ----------
    root : Path
        The job's own folder; made by `create`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = JobPaths(root / IO)
        self.log = root / "log.txt"
        self.record_path = root / RECORD

    @property
    def kept(self) -> Path:
        """Where the job keeps inputs that its program is lent; made with the first one."""
        return self.root / "inputs"

    def claim(self) -> None:
        """Make the job's own folder, for the record to come; raises OSError."""
        _make_private(self.root)

    def create(self) -> None:
        """Make the folders that the program sees; raises OSError."""
        self.claim()
        make_folders(self.paths)

    def piece(self, number: int) -> JobPaths:
        """Return the folders of one slice, which are not made."""
        return JobPaths(self.pieces / f"{number:05d}", self.paths.top)

    @property
    def pieces(self) -> Path:
        """Where the folders of slices are."""
        return self.paths.root / "pieces"

    def sha256(self, path: Path) -> str:
        """Return the content hash of an original, or of what a program could have changed.

        Raises
        ------
        OSError, OutputError
        """
        top = self.paths.top
        return sealed.content_sha256(path, top if path.is_relative_to(top) else None)

    def remove_scratch(self) -> None:
        """Delete ``tmp`` and ``home``, which nobody needs after the run."""
        remove_scratch(self.paths)


def make_folders(paths: JobPaths) -> None:
    """Make the folders that a program sees; raises OSError, OutputError.

    A program of the job may have run before (on another slice): what it left is no way.
    """
    if paths.root != paths.top:
        sealed.make_folder(paths.root, paths.top)
    for folder in (paths.inputs, paths.outputs, paths.work, paths.temp, paths.home):
        if paths.root == paths.top:
            _make_private(folder)
        else:
            sealed.make_folder(folder, paths.top)


def remove_scratch(paths: JobPaths) -> None:
    """Delete ``tmp`` and ``home`` of a job or slice, never what a link in them leads to."""
    for folder in (paths.temp, paths.home):
        with suppress(OSError, OutputError):  # deleted with the job at last
            sealed.remove(folder, paths.top)


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user only.

    Below a folder that others may write to (a workspace of a group) the folders of tools
    stay as open as the system makes them: the jobs in them are private.
    """
    if folder.is_dir():
        return
    missing = [folder]
    while not missing[-1].parent.is_dir():
        missing.append(missing[-1].parent)
    shared = os.name == "posix" and missing[-1].parent.stat().st_mode & 0o022
    for number, one in enumerate(reversed(missing), start=1):
        opened = shared and number < len(missing)
        one.mkdir(0o777 if opened else 0o700, exist_ok=True)


class JobLog:
    """Lines of a job, kept in its folder. Thread-safe; files are opened with the first line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._lines: deque[OutputLine] = deque()
        self._count = self._size = 0
        self._files: dict[str, TextIO] = {}
        self._room: dict[str, int] = {}
        self.problem: OSError | None = None

    def add(self, line: OutputLine) -> None:
        """Keep `line`; a disk that is full is remembered in `problem`."""
        line = replace(line, text=obeyed_by_none(line.text))  # the files are read in terminals
        with self._lock:
            self._lines.append(line)
            self._count += 1
            self._size += sys.getsizeof(line.text)
            while len(self._lines) > KEPT_LINES or self._size > KEPT_BYTES:
                self._size -= sys.getsizeof(self._lines.popleft().text)
            if line.transient:  # a progress bar, which the next line replaces
                return
            try:
                self._write("log", f"{line.text}\n")
                if line.stream != "runner":
                    self._write(line.stream, f"{line.text}\n")
            except OSError as error:
                self.problem = self.problem or error

    def since(self, count: int) -> tuple[int, list[OutputLine]]:
        """Return (new count, lines after the first `count` that are still kept)."""
        with self._lock:
            new = self._count - count
            return self._count, list(self._lines)[-new:] if new > 0 else []

    def tail(self, number: int = 20) -> tuple[str, ...]:
        """Return the last lines as text."""
        with self._lock:
            lines = [line.text for line in self._lines if not line.transient]
        return tuple(lines[-number:])

    def last_words(self) -> str:
        """Return the last line that the program wrote on stderr, empty if there is none.

        Programs say there why they stop; of a Python traceback it is the error itself.
        """
        with self._lock:
            lines = [line.text.strip() for line in self._lines if line.stream == "stderr"]
        return next((line[:MAX_WORDS] for line in reversed(lines) if line), "")

    def size(self, stream: str) -> int:
        """Return how many bytes the program has written on ``stdout`` or ``stderr``."""
        path = self._path(stream)
        return path.stat().st_size if path.exists() else 0

    def text(self, stream: str, start: int = 0) -> str:
        """Return what the program wrote on ``stdout`` or ``stderr`` from byte `start` on."""
        path = self._path(stream)
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(JUDGED_BYTES).decode("utf-8", "replace")

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files.values():
                try:
                    file.close()
                except OSError as error:
                    self.problem = self.problem or error
            self._files.clear()

    def _write(self, name: str, text: str) -> None:
        file = self._files.get(name)
        if file is None:
            # a line at a time: the file can be read while the tool runs (3 µs a line)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            file = os.fdopen(
                os.open(self._path(name), flags, 0o600),
                "a",
                buffering=1,
                encoding="utf-8",
                errors="replace",
            )
            self._files[name] = file
            self._room.setdefault(name, LOG_BYTES)
        room = self._room[name]
        if room <= 0:
            return
        self._room[name] = room - len(text)
        if len(text) >= room:
            text = f"… the rest is left out: it is more than {size_text(LOG_BYTES)} …\n"
        file.write(text)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.txt"


def parse_progress(line: str) -> Progress | None:
    """Return the progress that `line` tells, None if it tells none.

    Understood: ``37%``, ``12.5 %``, ``3/10``, ``[[3/10]] text``, ``3 of 10``, tqdm
    bars, and ``<filter-progress>0.4</filter-progress>``. A percentage above 100 or a
    count above its total is no progress. The time it takes grows with the length only.
    """
    if len(line) > _LONGEST or not ("%" in line or "/" in line or "of" in line):
        return None
    line = " ".join(line.split())  # one space at most: no pattern has to try several
    if found := _SLICER.search(line):
        return Progress("Running", float(found["part"]), 1.0)
    before, bar, after = line.partition("%|")
    percent = _LAST_NUMBER.search(before) if bar and _BAR_END.search(after) else None
    if percent is not None and int(percent[0]) <= 100:
        text = _BAR_SIGNS.split(before[: percent.start()])[-1].strip(" :")
        return Progress(text or "Running", float(percent[0]), 100.0)
    done, total, after = 0.0, 0.0, ""
    if found := _COUNT.search(line):
        done, total, after = int(found["done"]), int(found["total"]), line[found.end() :]
    elif found := _PERCENT.search(line):
        done, total = float(found["percent"]), 100.0
    if found is None or not 0 < total >= done:
        return None
    rest = f"{line[: found.start()]} {after}".strip(" []():,.;-")
    return Progress(" ".join(rest.split())[:60] or "Running", done, total)


def parse_notes(said: str) -> tuple[str, ...]:
    """Return what a program wants to be known: its lines ``note: …`` and ``warning: …``.

    Each once, at most ten; of a warning the word is kept.
    """
    found = dict.fromkeys(one_line(line) for line in _NOTE.findall(said))
    told = [line.partition(":") for line in list(found)[:_MOST_NOTES]]
    return tuple(
        f"{text.strip()[:1].upper()}{text.strip()[1:]}" if word == "note" else f"Warning:{text}"
        for word, _, text in told
    )


def ask_version(
    session: Session, context: ExecContext, command: RenderedCommand, paths: JobPaths, tool: str
) -> list[str]:
    """Let the program say which one it is, for the record; return why it is not known, if so.

    It is asked as the program is run, once for each `tool` (a digest) in an environment
    that tells what it is; on this computer itself anew, as programs change there.
    """
    place = f"{tool} {context.provenance!r}" if context.provenance else ""
    said, limit = _versions.get(place, ""), context.timeout
    try:
        if not said:
            context.timeout = min(limit or _VERSION_SECONDS, _VERSION_SECONDS)
            code = session.exec(list(command.version))
            with sealed.open_file(paths.version, paths.top) as file:
                said = visible_text(file.read(_VERSION_BYTES).decode(errors="replace").strip())
            if code or not said:
                told = f"“{one_line(said)}”" if said else "nothing was printed"
                return [f"The program's version is not known: exit code {code}, {told}."]
    except (RunnerError, JobTimeoutError, OutputError, OSError) as error:
        return [f"The program's version is not known: {one_line(str(error))}"]
    finally:
        context.timeout = limit
    if place:
        _versions[place] = said
    context.provenance[PROGRAM_VERSION] = said
    return []


def workspace_problem(error: OSError, place: Path) -> WorkspaceError:
    """Say in plain words why a job's folder, or a file elsewhere, cannot be used."""
    if is_full(error):
        return WorkspaceError(
            f"The disk that holds {place} is full.",
            hint="Free some space (napari-tool-runner clean), or set “workspace” in the "
            "configuration to another disk.",
        )
    named = error.filename if isinstance(error.filename, str) else ""
    near = Path(named).is_relative_to(place) or place.is_relative_to(named)
    if os.path.isabs(named) and not near:
        return WorkspaceError(
            f"{one_line(named)} cannot be used: {error.strerror}.",
            hint="It is no file of the job's folder; see whether it is there and may be used.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorkspaceError(
            f"The folder {place} may not be written.",
            hint="Set “workspace” in the configuration to a folder that you may write.",
        )
    return WorkspaceError(
        f"The job's folder {place} cannot be used: {error.strerror or error}.",
        hint="Set “workspace” in the configuration to another folder.",
    )
