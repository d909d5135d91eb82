"""Several jobs that are one run to a person: the slices of a stack."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import JobState
from napari_tool_runner.plugins.contract import OutputLine, Progress

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.jobs import Job, JobResult
    from napari_tool_runner.jobs.workspace import Workspace

__all__ = ["GroupJob", "GroupLog"]

T = TypeVar("T")


class GroupLog:
    """The logs of several jobs, one after the other."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._lines: list[OutputLine] = []
        self._place = 0
        self._seen = 0

    def since(self, count: int) -> tuple[int, list[OutputLine]]:
        """Return (new count, lines after the first `count`)."""
        while self._place < len(self._jobs):
            job = self._jobs[self._place]
            ended = job.state.final
            seen, lines = job.log.since(self._seen)
            if lines and self._seen == 0:
                title = f"— slice {self._place + 1} of {len(self._jobs)} —"
                self._lines.append(OutputLine(title, "runner"))
            self._lines += lines
            self._seen = seen
            if not ended:
                break
            self._place += 1
            self._seen = 0
        return len(self._lines), self._lines[count:]

    def tail(self, number: int = 20) -> tuple[str, ...]:
        """Return the last lines as text."""
        _, lines = self.since(0)
        return tuple(line.text for line in lines[-number:])


class GroupJob(Generic[T]):
    """Looks like a `Job` to those that show one. The first failure ends the others.

    Parameters
    ----------
    jobs : sequence of Job
        Already queued.
    assemble : callable
        Makes one result of all; runs in a thread of its own when all jobs are done.
    """

    def __init__(self, jobs: Sequence[Job], assemble: Callable[[Sequence[JobResult]], T]) -> None:
        self.jobs = tuple(jobs)
        self.tool = jobs[0].tool
        self.number = jobs[0].number
        self.id = jobs[0].id
        self.runner = jobs[0].runner
        self.runner_reason = jobs[0].runner_reason
        self.log = GroupLog(self.jobs)
        self.assembled: T | None = None
        self._assemble = assemble
        self._assembly_error: ToolRunnerError | None = None
        self._done = threading.Event()
        threading.Thread(target=self._watch, name=f"slices-{self.id}", daemon=True).start()

    @property
    def state(self) -> JobState:
        """The state of the run as a whole."""
        states = {job.state for job in self.jobs}
        if not self._done.is_set():
            if all(state.final for state in states):
                return JobState.LOADING
            started = states - {JobState.QUEUED}
            return JobState.RUNNING if started else JobState.QUEUED
        if JobState.FAILED in states or self._assembly_error is not None:
            return JobState.FAILED
        return JobState.CANCELLED if JobState.CANCELLED in states else JobState.DONE

    @property
    def finished(self) -> int:
        """How many of the jobs have ended."""
        return sum(job.state.final for job in self.jobs)

    @property
    def phase(self) -> str:
        """What is going on, in words."""
        if self.state is JobState.QUEUED:
            return "Waiting"
        if self.state is JobState.LOADING:
            return "Putting slices together"
        return "Slices"

    @property
    def progress(self) -> Progress | None:
        """How many slices are done."""
        return Progress(self.phase, self.finished, len(self.jobs))

    @property
    def elapsed(self) -> float:
        """Seconds since the first start, until the last end."""
        starts = [job.started for job in self.jobs if job.started is not None]
        if not starts:
            return 0.0
        return max((job.started or 0) + job.elapsed for job in self.jobs) - min(starts)

    @property
    def error(self) -> ToolRunnerError | None:
        """The error of the first slice that failed."""
        failed = self._shown_job.error
        return self._assembly_error or failed

    @property
    def workspace(self) -> Workspace:
        """The workspace of the slice that tells most."""
        return self._shown_job.workspace

    @property
    def log_path(self) -> Path:
        """The log file of the slice that tells most."""
        return self._shown_job.log_path

    @property
    def _shown_job(self) -> Job:
        for state in (JobState.FAILED, JobState.RUNNING):
            for job in self.jobs:
                if job.state is state:
                    return job
        return self.jobs[0]

    def wait(self, timeout: float | None = None) -> bool:
        """Block until everything is over; False when `timeout` seconds passed first."""
        return self._done.wait(timeout)

    def cancel(self) -> None:
        """Cancel all jobs."""
        for job in self.jobs:
            job.cancel()

    def _watch(self) -> None:
        try:
            for job in self.jobs:
                job.wait()
                if job.state is not JobState.DONE:
                    self.cancel()
            if all(job.state is JobState.DONE for job in self.jobs):
                self.assembled = self._assemble([job.result() for job in self.jobs])
        except ToolRunnerError as error:
            self._assembly_error = error
        except (ValueError, TypeError, OSError, MemoryError) as error:
            self._assembly_error = ToolRunnerError(
                f"The results of the slices could not be put together: {error}",
                hint="The workspaces of the slices hold them one by one.",
            )
        finally:
            self._done.set()
