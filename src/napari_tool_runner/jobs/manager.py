"""The session's jobs: a queue with a few workers, shared by all windows and scripts."""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Unpack

from napari_tool_runner.errors import JobCancelledError
from napari_tool_runner.jobs.job import Job, execute
from napari_tool_runner.jobs.listeners import Listeners
from napari_tool_runner.jobs.request import make_request
from napari_tool_runner.jobs.weights import check_weights

if TYPE_CHECKING:
    from psygnal import SignalInstance

    from napari_tool_runner.jobs.request import RunOptions, ToolLike

__all__ = ["JobManager", "job_manager", "prepare"]

CLOSE_SECONDS = 10.0
_HANGS_SECONDS = 10.0
_LEFT_SECONDS = 5.0
KEPT_JOBS = 50
_logger = logging.getLogger(__name__)


def prepare(tool: ToolLike, values: Mapping[str, object], **options: Unpack[RunOptions]) -> Job:
    """Make a job that has not started; see `RunOptions` for the options.

    Call it on the thread that owns the layers; it copies no pixels.

    Raises
    ------
    UnknownToolError, DescriptorError, TrustError, ParameterError,
    UnsupportedLayerError, ConfigError, UnknownRunnerError
        Nothing was started.
    """
    request = make_request(tool, values, **options)
    check_weights(request.tool, request.values)
    return Job(request)


class JobManager:
    """Runs jobs in the order of their submission, `max_parallel` at once.

    Workers are daemon threads that exist only while there is work.
    """

    def __init__(self, max_parallel: int | None = None) -> None:
        self._max_parallel = max_parallel
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()
        self._running: set[Job] = set()
        self._beside: set[Job] = set()
        self._jobs: list[Job] = []
        self._closed = False
        self._submitted = Listeners[Job]("submitted", _complain)
        _at_exit(self)

    @property
    def submitted(self) -> SignalInstance:
        """What emits each new job, in the submitting thread, before it starts."""
        return self._submitted.signal()

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs of this session, oldest first: those that have not ended, and the last others.

        What is older is told by its record (`history`).
        """
        with self._lock:
            return tuple(self._jobs)

    @property
    def active(self) -> tuple[Job, ...]:
        """The jobs that have not ended, with those that run beside the list."""
        with self._lock:
            known = (*self._jobs, *self._beside)
        return tuple(job for job in known if not job.state.is_finished)

    def submit(
        self, tool: ToolLike, values: Mapping[str, object], **options: Unpack[RunOptions]
    ) -> Job:
        """Queue a job and return it at once; takes and raises what `prepare` does."""
        job = prepare(tool, values, **options)
        self.add(job)
        return job

    def add(self, job: Job) -> None:
        """Queue a prepared job."""
        with self._lock:
            if self._closed:
                raise JobCancelledError("napari-tool-runner is closing; no new jobs are taken.")
            self._jobs.append(job)
            ended = [one for one in self._jobs if one.state.is_finished]
            for one in ended[:-KEPT_JOBS]:
                self._jobs.remove(one)
            self._queue.append(job)
            self._tell_places()
        job.run.context.cancel.on_cancel(lambda: self._cancelled(job))
        self._submitted.tell(job)
        self._start_next()

    def run_beside(self, job: Job, ended: Callable[[], object]) -> None:
        """Execute `job` in a thread of its own: it waits for no other and is in no list.

        It ends with the session from now on. `ended` is called in that thread.
        """
        with self._lock:
            if self._closed:
                job.cancel()
            self._beside.add(job)
        threading.Thread(
            target=self._work_beside, args=(job, ended), name=f"beside-{job.id}", daemon=True
        ).start()

    def _work_beside(self, job: Job, ended: Callable[[], object]) -> None:
        try:
            execute(job)
        finally:
            with self._lock:
                self._beside.discard(job)
        ended()

    def shutdown(self, timeout: float = CLOSE_SECONDS) -> None:
        """Cancel everything and wait up to `timeout` seconds; then take no more jobs."""
        with self._lock:
            self._closed = True
        active = self.active
        for job in active:
            job.cancel()
        deadline = time.monotonic() + timeout
        for job in active:
            job.wait(max(0.0, deadline - time.monotonic()))

    def _tell_places(self) -> None:
        """Say in the phase of those that wait how many are before them (lock held)."""
        for place, job in enumerate(self._queue):
            job.phase = f"Waiting, {place} before it" if place else "Waiting, next in turn"

    def _full(self, job: Job) -> bool:
        """Whether `job` has to wait for one of those that run (lock held)."""
        return len(self._running) >= (self._max_parallel or job.request.config.max_parallel)

    def _start_next(self) -> None:
        with self._lock:
            if not self._queue or (self._running and self._full(self._queue[0])):
                return
            job = self._queue.popleft()
            self._running.add(job)
            self._tell_places()
        threading.Thread(target=self._work, args=(job,), name=f"job-{job.id}", daemon=True).start()

    def _work(self, job: Job) -> None:
        try:
            execute(job)
        finally:
            with self._lock:
                self._running.discard(job)
            self._start_next()

    def _give_up(self, job: Job) -> None:
        """Let the next one run in the place of a cancelled job that does not end."""
        with self._lock:
            hangs = job in self._running
            self._running.discard(job)
        if hangs:
            _logger.warning("“%s” was cancelled and does not end", job.tool.name)
            self._start_next()

    def _cancelled(self, job: Job) -> None:
        """End a job that still waits in the queue; a running one ends by itself.

        What hangs in a call that nothing can end (a reader of a broken file) gives up its turn.
        """
        with self._lock:
            if job in self._running:
                late = threading.Timer(_HANGS_SECONDS, self._give_up, (job,))
                late.daemon = True
                late.start()
            if job not in self._queue:
                return
            self._queue.remove(job)
            self._tell_places()
        # it has no folder yet: nothing to write
        job.end_unstarted()


def _complain(error: BaseException) -> None:
    _logger.error("A listener for new jobs failed", exc_info=error)


@cache
def job_manager() -> JobManager:
    """Return the manager of this session."""
    return JobManager()


def _at_exit(manager: JobManager) -> None:
    """Cancel the jobs of `manager` at exit; a job that hangs does not keep the process alive.

    Before Python waits for threads: one of a library may hang in a call that nothing ends.
    """
    known = weakref.ref(manager)

    def end() -> None:
        one = known()
        if one is None or not one.active:
            return
        one.shutdown()
        if one.active:
            _logger.warning("%d jobs do not end; the process is ended", len(one.active))
            # by a thread of C, which a call that holds Python's lock does not stop
            nowhere = os.open(os.devnull, os.O_WRONLY)
            faulthandler.dump_traceback_later(_LEFT_SECONDS, exit=True, file=nowhere)

    getattr(threading, "_register_atexit", atexit.register)(end)
