"""The session's jobs: a queue with a few workers, shared by all windows and scripts."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import DescriptorError, JobCancelledError, ParameterError
from napari_tool_runner.exchange import open_snapshot, snapshot
from napari_tool_runner.exchange.model import LayerSnapshot
from napari_tool_runner.jobs.execute import execute
from napari_tool_runner.jobs.job import Job
from napari_tool_runner.jobs.model import JobOutput
from napari_tool_runner.jobs.pieces import cut_values
from napari_tool_runner.jobs.workspace import new_job_id, tool_folder
from napari_tool_runner.plugins.runners_factory import Choice, choose_service, runnerServices
from napari_tool_runner.tools import bind, find_tool
from napari_tool_runner.tools.dialect import DataCollection, DataFile
from napari_tool_runner.tools.model import DataParameter, LayerKind, Tool
from napari_tool_runner.tools.toolbox.trust import require_trust
from napari_tool_runner.tools.tree import BoundValues, leaves, map_data

if TYPE_CHECKING:
    import os

    from napari_tool_runner.exchange.model import Geometry
    from napari_tool_runner.jobs.extent import Extent

__all__ = ["JobManager", "job_manager", "prepare"]

CLOSE_SECONDS = 10.0


def prepare(
    tool: Tool | str | os.PathLike[str],
    values: Mapping[str, object],
    *,
    runner: str | None = None,
    config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    kinds: Mapping[str, LayerKind | str] | None = None,
    extent: Extent | None = None,
) -> Job:
    """Make a job that has not started: bind values, take snapshots, choose the service.

    Call it on the thread that owns the layers; it copies no pixels.

    Raises
    ------
    UnknownToolError, DescriptorError, TrustError, ParameterError,
    UnsupportedLayerError, ConfigError, UnknownRunnerError
        Nothing was started.
    """
    settings = load_config(config)
    runner, timeout, ignored = _heard(settings, runner, timeout)
    tool = find_tool(tool, config=settings)
    require_trust(tool, settings)
    if tool.problems:
        raise DescriptorError(
            f"“{tool.name}” cannot be run: {tool.problems[0].what}",
            path=tool.path,
            hint="See the notes of the tool (napari-tool-runner check).",
        )
    sources: dict[str, object] = {}

    def take(name: str, parameter: DataParameter, value: object) -> object:
        entries = value if isinstance(value, list | tuple) else [value]
        for entry in entries:
            if hasattr(entry, "as_layer_data_tuple") and not isinstance(entry, JobOutput):
                sources.setdefault(name, entry)
        return _snapshot(name, parameter, value)

    bound = map_data(tool.inputs, bind(tool, values), take)
    grid = None
    if extent is not None and not extent.trivial:
        bound = map_data(tool.inputs, bound, _open)
        grid = _grid(tool, bound)
    if extent is not None and grid is not None:
        pieces = extent.indices(grid.shape)
        if not extent.apart(grid.shape):
            bound = cut_values(tool, bound, grid, pieces[0])
    choice = _choose(tool, settings, runner)
    job_id = new_job_id()
    job = Job(
        tool,
        bound,
        job_id=job_id,
        folder=tool_folder(settings.workspaces, tool.id) / job_id,
        runner=choice.name,
        runner_reason=choice.reason,
        config=settings,
        timeout=timeout,
        kinds={name: LayerKind(kind) for name, kind in (kinds or {}).items()},
        extent=extent,
        grid=grid,
    )
    job.notes += [*settings.notes, *ignored]
    job.remember_sources(sources)
    return job


def _heard(
    config: Config, runner: str | None, timeout: float | None
) -> tuple[str | None, float | None, list[str]]:
    """Return what the call may say besides the configuration, and notes about the rest."""
    notes = []
    if runner is not None and config.lock_of("runner.service") and runner != config.service:
        notes.append(f"The runner {runner} is not used: your facility has locked the choice.")
        runner = None
    if timeout is not None and config.lock_of("jobs.timeout"):
        notes.append("The time limit of the call is not used: your facility has locked it.")
        timeout = None
    return runner, timeout, notes


def _open(name: str, parameter: DataParameter, value: object) -> object:
    """Look into files that are to be taken apart (lazily)."""
    if isinstance(value, list):
        return [_open(name, parameter, entry) for entry in value]
    return open_snapshot(value) if isinstance(value, LayerSnapshot) else value


def _grid(tool: Tool, values: BoundValues) -> Geometry | None:
    """Return the geometry of the first image or labels, which an extent refers to."""
    for leaf in leaves(tool.inputs, values):
        entries = leaf.value if isinstance(leaf.value, list) else [leaf.value]
        for entry in entries:
            if (
                isinstance(entry, LayerSnapshot)
                and entry.kind in (LayerKind.IMAGE, LayerKind.LABELS)
                and entry.data is not None
            ):
                return entry.geometry
    return None


def _choose(tool: Tool, config: Config, runner: str | None) -> Choice:
    name = runner or config.service
    if name is None:
        # asking an engine may take its time: that is the job's, not the caller's
        return Choice("", "") if tool.requirements else choose_service(tool, config.runner)
    runnerServices.get(name, **config.runner)  # an unknown name is told now, not in the job
    return Choice(name, "as asked" if runner else "as the configuration says")


def _snapshot(name: str, parameter: DataParameter, value: object) -> object:
    if isinstance(value, DataFile | DataCollection):
        return value
    if parameter.collection and isinstance(value, Mapping):
        # identifiers and what they stand for: {"forward": …, "reverse": …}
        return [replace(_take(entry, str(key)), name=str(key)) for key, entry in value.items()]
    if parameter.multiple:
        entries = list(value) if isinstance(value, list | tuple) else [value]
        return [
            entry if isinstance(entry, DataFile) else _take(entry, f"{name}_{index}")
            for index, entry in enumerate(entries)
        ]
    if isinstance(value, list):
        raise ParameterError(
            f"“{name}” takes one dataset, not {len(value)}.",
            name=name,
            hint="Give one layer, array or path.",
        )
    return _take(value, name)


def _take(value: object, name: str) -> LayerSnapshot:
    # what has a name of its own keeps it; a bare array is called as its parameter
    bare = hasattr(value, "dtype") and not hasattr(value, "as_layer_data_tuple")
    return snapshot(value, name if bare else "")


class JobManager:
    """Runs jobs in the order of their submission, `max_parallel` at once.

    Workers are daemon threads that exist only while there is work.
    """

    def __init__(self, max_parallel: int | None = None) -> None:
        self._max_parallel = max_parallel
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()
        self._running: set[Job] = set()
        self._jobs: list[Job] = []
        self._listeners: list[Callable[[Job], None]] = []
        self._closed = False

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job of this session, oldest first."""
        with self._lock:
            return tuple(self._jobs)

    @property
    def active(self) -> tuple[Job, ...]:
        """The jobs that have not ended."""
        return tuple(job for job in self.jobs if not job.state.is_finished)

    def submit(
        self,
        tool: Tool | str | os.PathLike[str],
        values: Mapping[str, object],
        *,
        runner: str | None = None,
        config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        kinds: Mapping[str, LayerKind | str] | None = None,
        extent: Extent | None = None,
    ) -> Job:
        """Queue a job and return it at once; raises what `prepare` raises."""
        job = prepare(
            tool,
            values,
            runner=runner,
            config=config,
            timeout=timeout,
            kinds=kinds,
            extent=extent,
        )
        self.add(job)
        return job

    def add(self, job: Job) -> None:
        """Queue a prepared job."""
        with self._lock:
            if self._closed:
                raise JobCancelledError("napari-tool-runner is closing; no new jobs are taken.")
            self._jobs.append(job)
            self._queue.append(job)
            self._tell_places()
            listeners = list(self._listeners)
        job.cancel_token.on_cancel(lambda: self._cancelled(job))
        for listener in listeners:
            listener(job)
        self._start_next()

    def on_submit(self, listener: Callable[[Job], None]) -> Callable[[], None]:
        """Call `listener` for each new job, in the submitting thread; returns what undoes it."""
        with self._lock:
            self._listeners.append(listener)

        def remove() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return remove

    def shutdown(self, timeout: float = CLOSE_SECONDS) -> None:
        """Cancel everything and wait up to `timeout` seconds; then take no more jobs."""
        with self._lock:
            self._closed = True
        active = self.active
        for job in active:
            job.cancel()
        for job in active:
            job.wait(timeout)

    def _tell_places(self) -> None:
        """Say in the phase of those that wait how many are before them (lock held)."""
        for place, job in enumerate(self._queue):
            job.phase = f"Waiting, {place} before it" if place else "Waiting, next in turn"

    def _limit(self, job: Job) -> int:
        return self._max_parallel or job.config.max_parallel

    def _start_next(self) -> None:
        with self._lock:
            if not self._queue or len(self._running) >= self._limit(self._queue[0]):
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

    def _cancelled(self, job: Job) -> None:
        """End a job that still waits in the queue; a running one ends by itself."""
        with self._lock:
            if job not in self._queue:
                return
            self._queue.remove(job)
            self._tell_places()
        # it has no folder yet: nothing to write
        job.end_unstarted()


@cache
def job_manager() -> JobManager:
    """Return the manager of this session; at exit its jobs are cancelled."""
    manager = JobManager()
    atexit.register(manager.shutdown)
    return manager
