"""`Job`: the handle of one run, observable from any thread; `execute` runs it."""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from napari_tool_runner import sealed
from napari_tool_runner.errors import JobCancelledError, ToolFailedError, ToolRunnerError
from napari_tool_runner.exchange import ReadApart
from napari_tool_runner.jobs.ahead import begin
from napari_tool_runner.jobs.answered import AnsweredRun
from napari_tool_runner.jobs.answers import wants_answers
from napari_tool_runner.jobs.digests import unhashed_bytes
from napari_tool_runner.jobs.execution import Run
from napari_tool_runner.jobs.joins import join_tables
from napari_tool_runner.jobs.listeners import Listeners
from napari_tool_runner.jobs.outputs import JobResult
from napari_tool_runner.jobs.past.room import room
from napari_tool_runner.jobs.record import JobState, RecordedError, RecordedTimes
from napari_tool_runner.jobs.secrets import with_seal
from napari_tool_runner.jobs.workspace import new_job_id, parse_progress, workspace_problem
from napari_tool_runner.plugins import Event, OutputLine
from napari_tool_runner.storage import write_json
from napari_tool_runner.tools.isolation.rendering import is_shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psygnal import SignalInstance

    from napari_tool_runner.jobs.outputs import JobOutput
    from napari_tool_runner.jobs.record import RunRecord
    from napari_tool_runner.jobs.request import Request
    from napari_tool_runner.plugins import Progress

__all__ = ["Job", "JobEvent", "JobListener", "execute"]

_logger = logging.getLogger(__name__)
_numbers = itertools.count(1)
_HASHED_AT_ONCE = 2**20
"""Bytes that are hashed before the end is told: sooner than writing the record again."""

_UNREAD_RESULTS = 4
"""Results that nobody took yet and that stay open, of the jobs that ended last."""
_unread: deque[Job] = deque()

_unhashed: set[Job] = set()
_LAST_HASHES, _LAST_WORDS = 10.0, 1.0
"""Seconds at exit for content hashes; to say which are missing."""

JobEvent: TypeAlias = "Event | JobState"
JobListener: TypeAlias = "Callable[[Job, JobEvent], None]"


class Job:
    """One run of one tool: what it was asked, how far it is, and its end.

    Made by `prepare` and queued by `JobManager`.

    Attributes
    ----------
    request : Request
        What it was asked to do.
    run : Run
        What its execution gathers: inputs, outputs, notes, exit code. Of the thread that
        executes it; complete after the end.
    workspace, log, log_path : Workspace, JobLog, Path
        Its folder; what was printed; the file of that, once something was.
    """

    _named: ClassVar[str] = ""

    def __init__(self, request: Request) -> None:
        self.id = self._named + new_job_id()
        self.number = next(_numbers)
        self.request = request
        self.tool = request.tool
        self.values = request.values
        self._in_pieces = bool(request.pieces)
        kind: type[Run] = AnsweredRun if wants_answers(request) else Run
        if self._in_pieces:
            from napari_tool_runner.jobs.pieces import SlicedRun

            kind = SlicedRun
        self.run = kind(request, self.id, self.number, self.enter, self._report)
        self.workspace = self.run.workspace
        self.log = self.run.log
        self.log_path = self.workspace.log
        self.error: ToolRunnerError | None = None
        self.state = JobState.QUEUED
        self.phase = "Waiting"
        self.progress: Progress | None = None
        self._listeners = Listeners[JobEvent]("events", self._complain)
        self.created = time.time()
        self.started: float | None = None
        self.finished: float | None = None
        self._result: JobResult | None = None
        self._shared: weakref.ref[JobResult] | None = None
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._completing: threading.Thread | None = None
        self._complaints: set[str] = set()

    def __repr__(self) -> str:
        return f"<Job {self.number}: {self.tool.id} {self.state.value}>"

    @property
    def runner(self) -> str:
        """Name of the service; empty until it is chosen."""
        return self.run.choice.name

    @property
    def elapsed(self) -> float:
        """Seconds since the start (0 while queued), until the end when it ended."""
        if self.started is None:
            return 0.0
        return (self.finished or time.time()) - self.started

    # -- to the outside ------------------------------------------------------------

    def subscribe(self, listener: JobListener) -> Callable[[], None]:
        """Call ``listener(job, event)`` for every event, from the thread it happens in.

        Returns the function that unsubscribes. A listener that raises is logged; the
        others hear the event all the same.
        """
        return self._listeners.add(partial(listener, self))

    @property
    def events(self) -> SignalInstance:
        """What emits every `JobEvent`, in the thread it happens in.

        A listener that raises is logged and does not disturb the job.
        """
        return self._listeners.signal()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the job has ended; False when `timeout` seconds passed first."""
        while timeout is None and not self._done.wait(0.5):
            pass  # short waits let Ctrl-C through on every platform
        return self._done.wait(timeout)

    def cancel(self) -> None:
        """Ask the job to stop; returns at once, idempotent."""
        self.run.context.cancel.cancel()

    def result(self) -> JobResult:
        """Wait for the end and return the result.

        The job itself holds no data once the result was taken: while nobody else holds it
        either, it is opened again from the job's files.

        Raises
        ------
        ToolFailedError
            The job failed.
        JobCancelledError
            The job was cancelled.
        WorkspaceError
            Its files are gone meanwhile.
        """
        self.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)
        with self._lock:
            result = self._result or (self._shared() if self._shared else None)
            if result is None:
                outputs, top = self.run.outputs.items(), self.workspace.paths.top
                with ReadApart(top, trusted=is_shipped(self.tool)) as read:
                    opened = {name: one.opened(self.tool, top, read) for name, one in outputs}
                result = self._made(opened)
            self._result = None
        with suppress(ValueError):
            _unread.remove(self)
        return result

    def _made(self, outputs: Mapping[str, JobOutput]) -> JobResult:
        root, formats = self.workspace.root, self.tool.formats
        given = (one.source.path for one in self.run.inputs)
        own = tuple(path for path in given if path and os.path.isabs(path))
        result = JobResult(dict(outputs), self.log_path, root, self.id, self.record, formats, own)
        self._shared = weakref.ref(result)
        return result

    def _let_go(self) -> None:
        """Forget a result that nobody took; it is opened again when it is asked for."""
        with self._lock:
            self._result = None

    def record(self) -> dict[str, object]:
        """Return the record; after the end it is complete and equals the file."""
        if self._completing is not None:
            self._completing.join()
        return self._told()

    def _told(self) -> dict[str, object]:
        """Return the record as it stands now, as it is kept."""
        return with_seal(self.recorded().to_json(), self.workspace.root)

    def recorded(self) -> RunRecord:
        """Return the record as it stands now; its times are whole milliseconds, as in the file."""
        created, started, finished = (
            None if seconds is None else datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)
            for seconds in (self.created, self.started, self.finished)
        )
        times = RecordedTimes(created, started, finished, round(self.elapsed, 3))
        return self.run.record(self.state, times, self.recorded_error())

    def recorded_error(self) -> RecordedError | None:
        """Return the error as the record tells it."""
        if self.error is None:
            return None
        kind = type(self.error.__cause__ or self.error).__name__
        lines = self.log.tail() if isinstance(self.error, ToolFailedError) else ()
        return RecordedError(kind, self.error.message, self.error.hint, lines)

    # -- from its execution ----------------------------------------------------------

    def enter(self, state: JobState, phase: str) -> None:
        """Move to `state`; raises JobCancelledError when cancel came first."""
        if self.run.context.cancel.requested:
            raise JobCancelledError(f"“{self.tool.name}” was cancelled.")
        with self._lock:
            self.state, self.phase, self.progress = state, phase, None
            self.started = self.started or time.time()
        self._tell(state)

    def end(self, state: JobState, error: ToolRunnerError | None = None) -> None:
        """Close the job: once, by what executes it."""
        if state is JobState.DONE:
            self._result = self._made(self.run.outputs)
            _unread.append(self)
            while len(_unread) > _UNREAD_RESULTS:
                _unread.popleft()._let_go()
        self._release(error)
        large = unhashed_bytes(self.run) > _HASHED_AT_ONCE
        if not large:
            self.run.hash_files()
        self._close(state, error)
        self.write_record()
        kept = self.run if state is JobState.DONE and isinstance(self.run, AnsweredRun) else None
        if kept is not None:
            kept.answers.end()
        if large:
            self._completing = threading.Thread(target=self._complete, args=(kept,), daemon=True)
            _unhashed.add(self)
            self._completing.start()
        self._done.set()
        self._tell(state)
        if kept is not None and not large:
            kept.keep()
        room().ended(self.workspace.root, self.request.config)

    def end_unstarted(self) -> None:
        """Close a job that was cancelled while it waited; it leaves no folder."""
        error = JobCancelledError(f"“{self.tool.name}” was cancelled before it started.")
        self._release(error)
        self._close(JobState.CANCELLED, error)
        self._done.set()
        self._tell(JobState.CANCELLED)

    def _release(self, error: BaseException | None) -> None:
        """Let go of the data: the handle keeps what was asked, paths, record and log."""
        run = self.run
        run.outputs = {name: output.closed() for name, output in run.outputs.items()}
        self.request = run.request = self.request.placed_only()
        self.values = self.request.values
        while error is not None:  # its frames hold what they worked on
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__ or error.__context__

    def _close(self, state: JobState, error: ToolRunnerError | None) -> None:
        with self._lock:
            self.error, self.finished = error, time.time()
            self.state, self.phase = state, state.word

    def _complete(self, kept: AnsweredRun | None) -> None:
        """Write the record once more, with the content hashes of everything."""
        self.run.hash_files()
        self.write_record()
        _unhashed.discard(self)
        if kept is not None:
            kept.keep()

    def _completed(self, seconds: float) -> bool:
        if self._completing is not None:
            self._completing.join(seconds)
        return self not in _unhashed

    def write_record(self, *, durable: bool = True) -> None:
        """Write the record as it stands; a disk that refuses is told in the notes.

        On a full disk the last one takes the place of the one that says that the job runs;
        if even that fails, no record is the truer one.
        """
        path, told = self.workspace.record_path, self._told()
        try:
            try:
                write_json(path, told, indent=2 if durable else None, durable=durable)
            except OSError:
                if not self.state.is_finished or self._done.is_set():
                    raise
                path.unlink(missing_ok=True)
                write_json(path, told, indent=None, durable=durable)
        except OSError as error:
            problem = str(workspace_problem(error, self.workspace.root))
            _logger.warning("The record of job %s was not written: %s", self.id, problem)
            self.run.notes.append(problem)

    def _report(self, event: Event) -> None:
        """Take an event of the run: log lines, follow progress, tell listeners."""
        if isinstance(event, OutputLine):
            self.log.add(event)
            # of slices the number of the slice is what a person waits for
            follow = self.state is JobState.RUNNING and not self._in_pieces
            told = parse_progress(event.text) if follow and event.stream != "runner" else None
            if told is not None:
                self.progress = told
                self._tell(told)
        else:
            self.progress, self.phase = event, event.phase
        self._tell(event)

    def _tell(self, event: JobEvent) -> None:
        self._listeners.tell(event)

    def _complain(self, error: BaseException) -> None:
        """Log what a listener raised, once for each place in the code that does."""
        place = str(traceback.extract_tb(error.__traceback__)[-1:])
        if place not in self._complaints:
            self._complaints.add(place)
            _logger.error("A listener of job %s failed", self.id, exc_info=error)


def execute(job: Job) -> None:
    """Run `job` to its end in the calling thread. Never raises."""
    run = job.run
    state = JobState.FAILED
    error: ToolRunnerError | None = None
    try:
        begin(job.tool, job.request.config)
        job.enter(JobState.PREPARING, "Writing inputs")
        run.workspace.claim()
        job.write_record(durable=False)  # a crash of this process leaves a trace
        run.workspace.create()
        run.settle()
        run.context.say(
            f"{job.tool.name} {job.tool.version} — {run.choice.name}, {run.choice.reason}"
        )
        for note in run.notes:
            run.context.say(note)
        with sealed.listening(run.stop_if_cancelled):
            run.execute()
            join_tables(run)
        state = JobState.DONE
    except JobCancelledError as stop:
        state, error = JobState.CANCELLED, stop
    except ToolFailedError as failure:
        error = failure
    except ToolRunnerError as failure:
        error = run.failure(failure.message, failure.hint, failure)
    except OSError as failure:
        problem = workspace_problem(failure, run.workspace.root)
        error = run.failure(problem.message, problem.hint, failure)
    except Exception as failure:
        # the boundary of the engine: a bug must end one job, with its traceback kept
        _logger.exception("Job %s broke", job.id)
        reason = f"napari-tool-runner itself broke: {type(failure).__name__}: {failure}."
        hint = "Please report it with the log and the record of this job."
        error = run.failure(reason, hint, failure)
    if error is not None:
        run.context.say(str(error))
    run.log.close()
    run.files.close()
    run.workspace.remove_scratch()
    job.end(state, error)


@atexit.register
def _complete_records() -> None:
    """Wait for content hashes before the process ends; what takes long is told as missing."""
    deadline = time.monotonic() + _LAST_HASHES
    for job in [*_unhashed]:
        if not job._completed(max(0.0, deadline - time.monotonic())):
            job.cancel()
            job._completed(_LAST_WORDS)
