"""The run record: what is kept of a job, enough to repeat it elsewhere.

Written and read here only. On disk paths inside the job's folder are relative to it, so
that a record can move with its folder. Version 1 told the source of an input as a text
(a path, or "array"); version 2 says of what kind it is.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import napari_tool_runner
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import OutputError, ParameterError, WorkspaceError
from napari_tool_runner.exchange import snapshot_from_record, was_written_to
from napari_tool_runner.jobs.extent import Extent  # noqa: TC001 (read by its hints)
from napari_tool_runner.jobs.secrets import is_ours
from napari_tool_runner.jobs.typed_json import as_object, from_json, to_json
from napari_tool_runner.jobs.workspace import RECORD
from napari_tool_runner.processes import boot_mark, process_mark, system_name
from napari_tool_runner.sealed import content_sha256, is_own, usage
from napari_tool_runner.storage import NewerError, check_depth
from napari_tool_runner.tools.candidate import split_entry
from napari_tool_runner.tools.wording import plain_words

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LayerSnapshot

__all__ = [
    "METADATA_KEY",
    "JobState",
    "RecordedCommand",
    "RecordedError",
    "RecordedHost",
    "RecordedInput",
    "RecordedOutput",
    "RecordedRunner",
    "RecordedSource",
    "RecordedTimes",
    "RecordedTool",
    "RunRecord",
    "SourceKind",
    "difference",
    "present",
]

VERSION = 2
METADATA_KEY = "napari_tool_runner"
"""Under it the metadata of a layer tell how it was made."""
_A_DAY = 24 * 3600.0
_SUMMARY = ("version", "id", "tool", "runner", "parameters", "inputs", "command", "notes")


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    LOADING = "loading"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """Its session died meanwhile; said of a record, never of a job."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen."""
        return self in _FINISHED

    @property
    def word(self) -> str:
        """What a person reads."""
        return "Waiting" if self is JobState.QUEUED else self.capitalize()


_FINISHED = frozenset((JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED))


@dataclass(frozen=True, slots=True)
class RecordedTool:
    """Which tool it was. `descriptor`: path (``path#entry``); `digest`: of its content."""

    id: str
    name: str = ""
    version: str = ""
    dialect: str = ""
    descriptor: str = ""
    digest: str = ""

    @property
    def file(self) -> Path:
        """The file of the descriptor."""
        return split_entry(self.descriptor)[0]


class SourceKind(StrEnum):
    """What an input was before it became a file of the job."""

    FILE = "file"
    LAYER = "layer"
    ARRAY = "array"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class RecordedSource:
    """Where an input came from: `path` of a file (absolute), or a plugin's `sample`, if any.

    A layer may tell the file that it was once opened from; its data are its own. `job`: of a
    layer that a job made and nobody changed, ``ID/OUTPUT``.
    """

    kind: SourceKind
    path: str = ""
    sample: str = ""
    job: str = ""

    @classmethod
    def of_input(cls, snap: LayerSnapshot | None, path: Path) -> RecordedSource:
        """Return where the data came from that a tool got as `path`; may read them all."""
        if snap is None:
            return cls.of(str(path))
        by_hand = snap.made_by and was_written_to(snap.data)  # which no event told
        source = replace(cls.of(snap.source), job="" if by_hand else snap.made_by)
        if snap.path is None and source.kind is SourceKind.FILE:
            source = replace(source, kind=SourceKind.LAYER)  # its data are not the file's
        return source

    @classmethod
    def of(cls, text: str) -> RecordedSource:
        """Return what a snapshot's `source` says; records of version 1 have that text."""
        if text in tuple(SourceKind):
            return cls(SourceKind(text))
        if Path(text).is_absolute():
            return cls(SourceKind.FILE, text)
        return cls(SourceKind.LAYER, sample=text)


@dataclass(frozen=True, slots=True)
class RecordedInput:
    """A data input.

    Parameters
    ----------
    name : str
        Full name of the parameter.
    label : str
        What the data was called.
    path : Path
        The file that the tool got: mostly the job's own copy. Need not exist any more.
    layer : mapping or None
        What the file does not carry of a layer (`exchange.geometry_record`).
    """

    name: str
    label: str
    path: Path
    format: str = ""
    sha256: str | None = None
    source: RecordedSource = RecordedSource(SourceKind.LAYER)
    layer: Mapping[str, object] | None = None

    def locate(self, root: Path | None = None) -> Path | None:
        """Return where it lies: the file that the tool got, else the one that it is.

        None when neither is there, or a layer was not that file. Walks through a folder, and
        reads a file of an older record.

        Parameters
        ----------
        root : Path, optional
            `RunRecord.root`.
        """
        if _lies(self.path, root):
            return self.path
        origin = Path(self.source.path or self.path)
        if self.source.kind is not SourceKind.FILE or not present(origin):
            return None
        if root and origin.is_relative_to(root):
            return None
        # older records call a layer, also an edited one, the file that it was opened from
        was_layer = self.layer is not None and self.layer.get("kind") not in (None, "any")
        return None if was_layer and difference(origin, self.sha256, root) else origin

    def remark(self, root: Path | None = None) -> str:
        """Say that it is gone, or has other bytes than then; else empty. Reads the file."""
        place = self.locate(root)
        if place is None:
            changed = "has a link in its place or in it, which is not followed"
            state = changed if root and os.path.lexists(self.path) else "is gone"
            return f"The input “{self.label}” {state} ({self.path})."
        own = place == self.path
        if own and not self.sha256:
            return ""
        more = "" if own else ", or was converted then, and the job's own copy is gone"
        told = difference(place, self.sha256, root, more)
        return told and f"The input “{self.label}” ({place}) {told}."

    def snapshot(self, place: Path | None = None) -> LayerSnapshot:
        """Return it as it went in, from where it lies now. Raises WorkspaceError."""
        try:
            return snapshot_from_record(place or self.path, self.label, self.layer)
        except (TypeError, ValueError, OverflowError) as error:
            raise WorkspaceError(
                f"What is recorded of the layer “{self.label}” is of no use: {error}."
            ) from error


@dataclass(frozen=True, slots=True)
class RecordedOutput:
    """A file that the tool made. `element`: which one of a collection, else empty.

    `join`, `column`: whose objects the rows of a table are, see `JobOutput`; `objects`: how many
    it holds, where they were counted; `label`: what the tool calls it.
    """

    name: str
    element: str
    path: Path
    format: str = ""
    layer_type: str = "file"
    layer_name: str = ""
    sha256: str | None = None
    join: str = ""
    column: str = ""
    objects: int | None = None
    label: str = ""

    def locate(self, root: Path | None = None) -> Path | None:
        """Return where it lies, None when it is gone; `root`: `RunRecord.root`."""
        return self.path if _lies(self.path, root, link=True) else None

    @property
    def title(self) -> str:
        """``name``, or ``name/element``."""
        return f"{self.name}/{self.element}" if self.element else self.name

    @property
    def in_words(self) -> str:
        """The `title` as a person reads it; of older records with the name of the output."""
        return "/".join(filter(None, (self.label or self.name, self.element)))


@dataclass(frozen=True, slots=True)
class RecordedCommand:
    """What was executed; `files`: path -> text of what was written for it."""

    argv: tuple[str, ...] = ()
    script: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedError:
    """Why it ended without a result; `log`: the last lines of a tool that failed."""

    type: str
    message: str
    hint: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedRunner:
    """The runner service, why it was chosen, and what it told of its environment."""

    service: str = ""
    reason: str = ""
    provenance: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedTimes:
    """When (UTC); `seconds`: how long it took, or takes so far."""

    created: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordedHost:
    """The computer and the process that ran the job.

    `process`: which one had the number `pid` (`process_mark`).
    """

    name: str = ""
    platform: str = ""
    python: str = ""
    napari_tool_runner: str = ""
    pid: int | None = None
    process: str = ""

    @classmethod
    def here(cls) -> RecordedHost:
        """Return this computer and process."""
        return cls(
            socket.gethostname(),
            system_name(),
            platform.python_version(),
            napari_tool_runner.__version__,
            os.getpid(),
            process_mark(os.getpid()),
        )

    def runs(self, touched: float) -> bool:
        """Whether the process that this is lives.

        Parameters
        ----------
        touched : float
            When the job last wrote something (seconds). Of another computer that is all
            that can be known: its job counts as running for a day after it.
        """
        if self.pid is None:
            return False
        boot = self.process.partition(" ")[0]
        if boot and boot == boot_mark():
            return process_mark(self.pid) == self.process
        if self.name == socket.gethostname():
            return False  # an older version, or before this computer was started anew
        return abs(time.time() - touched) < _A_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A job of the past, or of now: all that is known of it.

    Parameters
    ----------
    folder : Path
        The job's folder; not written.
    ours : bool
        This installation wrote it there: known by its seal, never by what it says.
    parameters : mapping
        Full name -> value of what is no data, in JSON types.
    words : mapping
        Full name -> label, and the value where it alone does not tell it (a label, a unit), for
        people; older records have none.
    hidden : tuple of str
        Parameters that nobody may set.
    extent : Extent or None
        The part of the data that the job worked on.
    earlier : str
        The job whose results these are: nothing was run. Empty for a job that ran.
    """

    folder: Path
    id: str
    # a layer remembers no state: the job that made it came to its end
    state: JobState = JobState.DONE
    tool: RecordedTool
    runner: RecordedRunner = RecordedRunner()
    parameters: Mapping[str, object] = field(default_factory=dict)
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    extent: Extent | None = None
    inputs: tuple[RecordedInput, ...] = ()
    outputs: tuple[RecordedOutput, ...] = ()
    command: RecordedCommand = RecordedCommand()
    times: RecordedTimes = RecordedTimes()
    exit_code: int | None = None
    error: RecordedError | None = None
    notes: tuple[str, ...] = ()
    earlier: str = ""
    user: str = ""
    host: RecordedHost = RecordedHost()
    log: Path = Path("log.txt")
    ours: bool = False

    @property
    def path(self) -> Path:
        """Where the record itself lies."""
        return self.folder / RECORD

    @property
    def root(self) -> Path | None:
        """The folder below which nothing is reached through a link: that of a job of ours.

        Of one of others it is asked where its links lead to.
        """
        return self.folder if self.ours else None

    @property
    def keeps_inputs(self) -> bool:
        """Whether an input lies where the program of the job can write."""
        return any(one.path.is_relative_to(self.folder) for one in self.inputs)

    @property
    def tool_name(self) -> str:
        """What the tool was called."""
        return self.tool.name or self.tool.id

    @property
    def message(self) -> str:
        """Why it failed, empty otherwise."""
        return self.error.message if self.error else ""

    @property
    def answered(self) -> str:
        """Say that nothing was run, and whose results these are; empty for a job that ran."""
        return f"From an earlier run (job {self.earlier})" if self.earlier else ""

    @property
    def settable(self) -> dict[str, object]:
        """The parameters that one may set."""
        return {name: v for name, v in self.parameters.items() if name not in self.hidden}

    def label(self, name: str) -> str:
        """Return what a person reads of an input or a parameter; of older records its name."""
        return self.words.get(name, ("", ""))[0] or name.rsplit("|", 1)[-1]

    def value(self, name: str) -> str:
        """Return the value of a parameter as a person reads it."""
        return self.words.get(name, ("", ""))[1] or plain_words(self.parameters.get(name))

    @property
    def slices(self) -> Extent | None:
        """How the layers were taken apart; a single part was recorded as it was."""
        return self.extent if self.extent is not None and self.extent.mode == "each" else None

    def inside(self, path: Path) -> str:
        """Return `path` as the record tells it: inside the folder relative to it."""
        return str(to_json(path, self.folder))

    def output_paths(self) -> dict[str, Path]:
        """Output name (``name/element`` in collections) -> file, also if it is gone."""
        return {output.title: output.path for output in self.outputs}

    def size(self) -> int:
        """Bytes that the disk has free without the job's folder."""
        return usage(self.folder).freed

    def summary(self) -> dict[str, object]:
        """Return what a layer carries in its metadata: JSON types, and where the rest is."""
        told = self.to_json()
        return {**{key: told[key] for key in _SUMMARY}, "record": str(self.path)}

    def to_json(self) -> dict[str, object]:
        """Return what is written, in JSON types."""
        told = as_object(to_json(self, self.folder))
        del told["folder"], told["ours"]
        # what the service told stands beside its name
        runner = as_object(told["runner"])
        provenance = as_object(runner.pop("provenance"))
        told["runner"] = {**runner, **provenance}
        return {"version": VERSION, **told}

    @classmethod
    def from_json(cls, value: object, folder: Path) -> RunRecord:
        """Return the record that was written as `value`, of this or an older version.

        Parameters
        ----------
        folder : Path
            The job's folder.

        Raises
        ------
        WorkspaceError
            It is no run record, or a newer version of this plugin wrote it.
        """
        place = folder / RECORD
        try:
            check_depth(value)
            told = dict(as_object(value))
            told["folder"] = ""
            told["ours"] = is_ours(as_object(value), folder)
            told.setdefault("id", folder.name)
            if told.get("log") is None:
                told["log"] = "log.txt"  # of this folder, not of where we stand
            version = told.pop("version", 1)
            if type(version) is not int or version < 1:
                raise TypeError(f"{version!r:.60} is no version")
            if version > VERSION:
                raise WorkspaceError(
                    f"The record {place} was written by a newer napari-tool-runner.",
                    hint="Update this one to read it.",
                ) from NewerError()
            if version == 1:
                told["inputs"] = _of_version_1(told.get("inputs") or [])
            runner = dict(as_object(told.get("runner") or {}))
            named = {key: runner.pop(key, None) for key in ("service", "reason")}
            told["runner"] = {**named, "provenance": runner}
            record = from_json(cls, told, folder)
        except (TypeError, ValueError, ParameterError, RecursionError) as error:
            raise WorkspaceError(
                f"{place} is not a run record: {error}.",
                hint="Give a record.json that this plugin wrote.",
            ) from error
        assert isinstance(record, RunRecord)
        if record.state.is_finished or record.host.runs(_touched(folder)):
            return record
        return replace(record, state=JobState.INTERRUPTED)


def present(path: Path) -> bool:
    """Whether there is a file or folder; False also for what cannot be a path."""
    return os.path.isfile(path) or os.path.isdir(path)


def _lies(path: Path, root: Path | None, *, link: bool = False) -> bool:
    """Whether what a tool got or made is there; outside of `root` it may be a `link`.

    A program may have put a link in the place of its input, of a folder on the way, or of a
    chunk: in a job of ours nothing is reached through one.
    """
    if root and path.is_relative_to(root):
        return is_own(path, root)
    return present(path) and (link or not os.path.islink(path))


def difference(path: Path, sha256: str | None, root: Path | None, more: str = "") -> str:
    """Say that it has other bytes than `sha256` (and `more`), or cannot be read; else empty.

    `root`: `RunRecord.root`.
    """
    try:
        same = content_sha256(path, wary=root is None) == sha256
    except OSError as error:
        return f"cannot be compared with what it was ({error.strerror or error})"
    except OutputError as error:
        return f"cannot be compared with what it was: {error.message.rstrip('.')}"
    return "" if same else f"has changed since{more}"


def _of_version_1(inputs: object) -> list[object]:
    """Return the inputs of a record of version 1 as those of version 2."""
    if not isinstance(inputs, list):
        raise TypeError(f"{inputs!r:.60} is not a list")
    entries = [as_object(one) for one in inputs]
    sources = [RecordedSource.of(str(one.get("source") or "layer")) for one in entries]
    return [
        {**one, "source": to_json(source)} for one, source in zip(entries, sources, strict=True)
    ]


def _touched(folder: Path) -> float:
    """Return when a job last wrote into its record or log, 0 when it never did."""
    times = [0.0]
    for name in (RECORD, "log.txt"):
        with suppress(OSError):
            times.append((folder / name).lstat().st_mtime)
    return max(times)
