"""`Job`: one run of one tool on given values, observable from any thread."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_tool_runner.errors import (
    JobCancelledError,
    ToolFailedError,
    ToolRunnerError,
    WorkspaceError,
)
from napari_tool_runner.exchange import geometry_record
from napari_tool_runner.jobs.log import JobLog
from napari_tool_runner.jobs.model import JobOutput, JobResult
from napari_tool_runner.jobs.progress import parse_progress
from napari_tool_runner.jobs.record import (
    JobState,
    RecordedCommand,
    RecordedError,
    RecordedHost,
    RecordedInput,
    RecordedOutput,
    RecordedRunner,
    RecordedSource,
    RecordedTimes,
    RecordedTool,
    RunRecord,
)
from napari_tool_runner.jobs.workspace import Workspace
from napari_tool_runner.plugins import RunnerService, choose_service, runnerServices
from napari_tool_runner.plugins.contract import (
    CancelToken,
    Event,
    ExecContext,
    OutputLine,
    Progress,
    Resources,
)
from napari_tool_runner.tools.model import DataParameter, HiddenParameter
from napari_tool_runner.tools.tree import leaves
from napari_tool_runner.typed_json import to_json

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.exchange import Geometry, Index
    from napari_tool_runner.exchange.model import LayerSnapshot
    from napari_tool_runner.jobs.extent import Extent
    from napari_tool_runner.tools.dialect import DataFile, RenderedCommand
    from napari_tool_runner.tools.model import LayerKind, Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["Job", "JobEvent", "JobInput", "JobListener"]

_logger = logging.getLogger(__name__)
_numbers = itertools.count(1)

JobEvent: TypeAlias = "Event | JobState"
JobListener: TypeAlias = "Callable[[Job, JobEvent], None]"


@dataclass(slots=True)
class JobInput:
    """A data input of a job: what went in, as what file."""

    name: str
    snapshot: LayerSnapshot | None
    file: DataFile
    copied: bool
    sha256: str = ""

    def recorded(self) -> RecordedInput:
        """Return its entry in the run record."""
        snap, file = self.snapshot, self.file
        return RecordedInput(
            self.name,
            file.name,
            file.path,
            file.format,
            self.sha256 or None,
            RecordedSource.of(snap.source if snap else str(file.path)),
            geometry_record(snap) if snap else None,
        )


class Job:
    """One run of one tool.

    Made by `JobManager.submit`; the run itself is `napari_tool_runner.jobs.execute`.

    Parameters
    ----------
    values : BoundValues
        Bound values; data leaves are `LayerSnapshot`s, lists of them, or `DataFile`s.
    runner : str
        Name of the service; `runner_reason` says why this one. Empty: it is chosen by
        what the tool requires and what works here, once the job starts.
    kinds : mapping
        Output name -> layer kind, the user's overrides.
    extent : Extent, optional
        The part of the data to work on; `grid` is the geometry it refers to.
    """

    def __init__(
        self,
        tool: Tool,
        values: BoundValues,
        *,
        job_id: str,
        folder: Path,
        runner: str,
        runner_reason: str,
        config: Config,
        timeout: float | None = None,
        kinds: Mapping[str, LayerKind] | None = None,
        extent: Extent | None = None,
        grid: Geometry | None = None,
    ) -> None:
        self.id = job_id
        self.number = next(_numbers)
        self.tool = tool
        self.values = values
        self.runner = runner
        self.runner_reason = runner_reason
        self.config = config
        self.kinds = dict(kinds or {})
        self.extent = extent
        self.grid = grid
        self.must_load = True
        """Whether an output that cannot be opened as a layer fails the job."""
        self.must_write = True
        """Whether an output that the tool did not write fails the job."""
        self.workspace = Workspace(folder)
        self.log = JobLog(self.workspace)
        self.cancel_token = CancelToken()
        self.context = ExecContext(
            work_dir=self.workspace.paths.work,
            temp_dir=self.workspace.paths.temp,
            home_dir=self.workspace.paths.home,
            resources=Resources(config.cpus, config.memory_bytes, config.gpus),
            network=config.network or tool.network,
            timeout=timeout if timeout is not None else config.timeout,
            cancel=self.cancel_token,
            report=self.report,
        )
        self.rendered: RenderedCommand | None = None
        self.inputs: list[JobInput] = []
        self.outputs: dict[str, JobOutput] = {}
        self.output_digests: dict[Path, str] = {}
        self.notes: list[str] = []
        self.exit_code: int | None = None
        self.error: ToolRunnerError | None = None
        self.state = JobState.QUEUED
        self.phase = "Waiting"
        self.progress: Progress | None = None
        self.created = time.time()
        self.started: float | None = None
        self.finished: float | None = None
        self._lock = threading.RLock()
        self._listeners: list[JobListener] = []
        self._done = threading.Event()
        self._in_pieces = bool(self.pieces)
        self._sources: dict[str, weakref.ref[object]] = {}
        self._hashes: list[threading.Thread] = []
        self._record_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Job {self.number}: {self.tool.id} {self.state.value}>"

    def settle_runner(self) -> None:
        """Choose the service, when nobody did. May ask a daemon: not for a GUI thread."""
        if not self.runner:
            choice = choose_service(self.tool, self.config.runner)
            self.runner, self.runner_reason = choice.name, choice.reason

    def service(self) -> RunnerService:
        """Return the service that runs this job."""
        self.settle_runner()
        return runnerServices.service(self.runner, self.config.runner)

    @property
    def pieces(self) -> list[Index]:
        """The slices that are run one by one; empty when the job runs once."""
        if self.extent is None or self.grid is None:
            return []
        shape = self.grid.shape
        return self.extent.indices(shape) if self.extent.apart(shape) else []

    @property
    def log_path(self) -> Path:
        """The log file (exists once something was logged)."""
        return self.workspace.log

    @property
    def elapsed(self) -> float:
        """Seconds since the start (0 while queued), until the end when it ended."""
        if self.started is None:
            return 0.0
        return (self.finished or time.time()) - self.started

    def remember_sources(self, layers: Mapping[str, object]) -> None:
        """Remember which layers the inputs came from, without keeping them alive."""
        self._sources = {name: weakref.ref(layer) for name, layer in layers.items()}

    @property
    def sources(self) -> dict[str, object]:
        """Full parameter name -> the layer that went in, as far as it still exists."""
        found = {name: reference() for name, reference in self._sources.items()}
        return {name: layer for name, layer in found.items() if layer is not None}

    # -- observing ---------------------------------------------------------------

    def subscribe(self, listener: JobListener) -> Callable[[], None]:
        """Call ``listener(job, event)`` for every event, from the thread it happens in.

        Returns the function that unsubscribes. A listener that raises is logged and
        does not disturb the job.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    def report(self, event: Event) -> None:
        """Take an event of the service: log lines, follow progress, tell listeners."""
        if isinstance(event, OutputLine):
            self.log.add(event)
            # of slices the number of the slice is what a person waits for
            follow = self.state is JobState.RUNNING and not self._in_pieces
            if event.stream != "runner" and follow:
                told = parse_progress(event.text)
                if told is not None:
                    self.progress = told
                    self._tell(told)
        else:
            self.progress = event
            self.phase = event.phase
        self._tell(event)

    def say(self, text: str) -> None:
        """Write a line of ours into the log."""
        self.report(OutputLine(text, "runner"))

    def enter(self, state: JobState, phase: str) -> None:
        """Move to `state`; raises JobCancelledError when cancel came first."""
        if not state.is_finished and self.cancel_token.requested:
            raise JobCancelledError(f"“{self.tool.name}” was cancelled.")
        with self._lock:
            if self.state.is_finished:
                return
            self.state = state
            self.phase = phase
            self.progress = None
            if self.started is None and state is JobState.PREPARING:
                self.started = time.time()
            if state.is_finished:
                self.finished = time.time()
        self._tell(state)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended; False when `timeout` seconds passed first."""
        return self._done.wait(timeout)

    def cancel(self) -> None:
        """Ask the job to stop; returns at once, idempotent."""
        self.cancel_token.cancel()

    def result(self) -> JobResult:
        """Wait for the end and return the result.

        Raises
        ------
        ToolFailedError
            The job failed.
        JobCancelledError
            The job was cancelled.
        """
        self.wait()
        if self.error is not None:
            raise self.error
        return JobResult(
            outputs=dict(self.outputs),
            log=self.log_path,
            workspace=self.workspace.root,
            job_id=self.id,
            read_record=self.record,
        )

    # -- record ------------------------------------------------------------------

    def record(self) -> dict[str, object]:
        """Return the record; after the end it is complete and equals the file."""
        for thread in self._hashes:
            thread.join()
        return self.recorded().to_json()

    def recorded(self) -> RunRecord:
        """Return the record as it stands now."""
        tool, rendered, root = self.tool, self.rendered, self.workspace.root
        values = list(leaves(tool.inputs, self.values))
        return RunRecord(
            folder=root,
            id=self.id,
            state=self.state,
            tool=RecordedTool(
                tool.id, tool.name, tool.version, tool.dialect, tool.uri, tool.digest
            ),
            runner=RecordedRunner(self.runner, self.runner_reason, self.context.provenance),
            parameters={
                leaf.name: to_json(leaf.value)
                for leaf in values
                if not isinstance(leaf.parameter, DataParameter)
            },
            hidden=tuple(
                leaf.name for leaf in values if isinstance(leaf.parameter, HiddenParameter)
            ),
            extent=self.extent,
            inputs=tuple(entry.recorded() for entry in self.inputs),
            outputs=tuple(
                RecordedOutput(
                    name,
                    element,
                    entry.path,
                    entry.format,
                    entry.layer_type,
                    entry.layer_name,
                    self.output_digests.get(entry.path),
                )
                for name, output in self.outputs.items()
                for element, entry in output.files().items()
            ),
            command=RecordedCommand(
                rendered.argv,
                rendered.script,
                rendered.environment,
                {str(to_json(path, root)): text for path, text in rendered.files.items()},
            )
            if rendered
            else RecordedCommand(),
            times=RecordedTimes(
                _utc(self.created), _utc(self.started), _utc(self.finished), round(self.elapsed, 3)
            ),
            exit_code=self.exit_code,
            error=self.recorded_error(),
            notes=tuple(self.notes),
            user=self.config.user,
            host=RecordedHost.here(),
            log=self.workspace.log,
        )

    def recorded_error(self) -> RecordedError | None:
        """Return the error as the record tells it."""
        if self.error is None:
            return None
        cause = self.error.__cause__
        return RecordedError(
            type(cause or self.error).__name__,
            self.error.message,
            self.error.hint,
            self.log.tail() if isinstance(self.error, ToolFailedError) else (),
        )

    def write_record(self) -> None:
        """Write the record as it stands; a disk that refuses is told in the notes."""
        try:
            with self._record_lock:
                self.workspace.write_record(self.recorded().to_json())
        except WorkspaceError as error:
            _logger.warning("The record of job %s was not written: %s", self.id, error)
            self.notes.append(str(error))

    def hash_later(self, work: Callable[[], None]) -> None:
        """Run `work` in the background; `record` waits for it."""
        thread = threading.Thread(target=work, name=f"hash-{self.id}", daemon=True)
        self._hashes.append(thread)
        thread.start()

    def end(self, state: JobState, error: ToolRunnerError | None = None) -> None:
        """Close the job. Called once, by the executor."""
        self._close(state, error, record=True)

    def end_unstarted(self) -> None:
        """Close a job that was cancelled while it waited; it leaves no folder."""
        error = JobCancelledError(f"“{self.tool.name}” was cancelled before it started.")
        self._close(JobState.CANCELLED, error, record=False)

    def _close(self, state: JobState, error: ToolRunnerError | None, *, record: bool) -> None:
        self.error = error
        phase = {JobState.DONE: "Done", JobState.FAILED: "Failed"}.get(state, "Cancelled")
        self.finished = time.time()
        with self._lock:
            self.state = state
            self.phase = phase
        if record:
            self.write_record()
        self._done.set()
        self._tell(state)

    def _tell(self, event: JobEvent) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(self, event)
            except Exception:
                _logger.exception("A listener of job %s failed", self.id)


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
