"""A live preview: a tool run on a part of the data, again whenever what it is given changes.

One run is under way, and the newest wish waits: what comes meanwhile takes its place. A run that
is quick ends and is shown; one that is not is cancelled for the next. Nothing is kept of it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Unpack

import numpy as np

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import OutputError, ToolRunnerError
from napari_tool_runner.jobs.job import Job
from napari_tool_runner.jobs.locality import choices, differ, middle
from napari_tool_runner.jobs.manager import job_manager
from napari_tool_runner.jobs.past.room import let_go
from napari_tool_runner.jobs.placed import placed_result
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.request import make_request
from napari_tool_runner.jobs.workspace import PREVIEW, TRIED
from napari_tool_runner.processes import process_mark
from napari_tool_runner.tools.wording import label_of

if TYPE_CHECKING:
    from napari_tool_runner.exchange import LayerSnapshot
    from napari_tool_runner.jobs.manager import JobManager
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult
    from napari_tool_runner.jobs.request import Request, RunOptions
    from napari_tool_runner.tools.model import Tool

__all__ = ["LivePreview", "PreviewJob", "Previewed", "is_quick", "note_time"]

QUICK = 0.5
"""Seconds that a run may take to be made for every change."""
_MOST = 2**28  # bytes of a result that are taken into memory
_MOST_BLOCKS = 1024  # of it; each takes a moment
_took: dict[str, tuple[int, float]] = {}
"""Digest of a tool -> pixels and seconds of its last run in this session."""
_differs: dict[Hashable, bool] = {}
"""Choices of a tool -> whether its result of a part was seen to differ."""


class PreviewJob(Job):
    """A job that leaves nothing: no record, no folder; its result is in memory.

    Attributes
    ----------
    shown : JobResult or None
        What is to be seen of it, once it is done.
    """

    shown: JobResult | None = None
    _named = PREVIEW

    def write_record(self, *, durable: bool = True) -> None:
        """Write none, but the mark of who is at work when it begins."""
        if not self.state.is_finished:
            (self.workspace.root / TRIED).write_text(process_mark(os.getpid()), encoding="ascii")

    def end(self, state: JobState, error: ToolRunnerError | None = None) -> None:
        """Take the result into memory, delete the folder, and close the job."""
        if state is JobState.DONE:
            try:
                self.shown = _in_memory(placed_result(self, self._made(self.run.outputs)))
            except (ToolRunnerError, OSError, ValueError, MemoryError) as problem:
                state, error = JobState.FAILED, self.run.failure(str(problem), "", problem)
        self._release(error)
        self._close(state, error)
        let_go(self.workspace.root)
        self._done.set()
        self._tell(state)


@dataclass(frozen=True, slots=True)
class Previewed:
    """How a run of a live preview ended.

    Parameters
    ----------
    job : PreviewJob or None
        None: it could not begin.
    error : ToolRunnerError or None
        Why there is nothing to be shown.
    notes : tuple of str
        How it differs from what a run makes.
    """

    job: PreviewJob | None = None
    error: ToolRunnerError | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    values: Mapping[str, object]
    options: RunOptions


class LivePreview:
    """Runs a tool on the newest of the values that it is given, one run at a time.

    All but the runs themselves happens in the thread that calls `ask` and `look`: that which owns
    the layers.

    Parameters
    ----------
    tool : Tool
    show : callable
        Takes each `Previewed`, in the thread that called `ask` or `look`.
    ring : callable
        Called in another thread when a run has ended: `look` is to be called.
    manager : JobManager, optional
        Ends the run with the session. Default: that of the session.
    """

    def __init__(
        self,
        tool: Tool,
        show: Callable[[Previewed], object],
        ring: Callable[[], object],
        manager: JobManager | None = None,
    ) -> None:
        self._tool, self._show, self._ring = tool, show, ring
        self._manager = manager
        self._wanted: _Wish | None = None
        self._begun: _Wish | None = None
        self._job: PreviewJob | None = None
        self._slow = False
        self._probed: Previewed | None = None
        """What the present run, on its middle, is to be compared with."""

    @property
    def working(self) -> bool:
        """Whether a run is under way."""
        return self._job is not None

    def ask(self, values: Mapping[str, object], **options: Unpack[RunOptions]) -> None:
        """Want a preview of `values`; takes the options of `prepare`."""
        wish, job = _Wish(values, options), self._job
        if job is None:
            self._begin(wish)
            return
        self._wanted = wish
        if self._slow or job.elapsed > QUICK:
            job.cancel()

    def look(self) -> None:
        """Begin what is wanted when the run before has ended, and show what that gave."""
        job = self._job
        if job is None or not job.wait(0):
            return
        probed, wish = self._probed, self._wanted
        self._job = self._probed = self._wanted = None
        if wish is not None and not self._begin(wish):  # it runs while the layers are drawn
            return  # why it could not is what is shown
        if probed is not None:
            self._compare(probed, job)
            return
        self._slow = job.elapsed > QUICK
        made = Previewed(job, job.error, _notes(job))
        if job.state is JobState.DONE:
            note_time(job)
        if job.state is not JobState.CANCELLED:
            self._show(made)
        if self._begun is not None and not self.working and not self._slow:
            self._probe(made, self._begun)

    def stop(self) -> None:
        """Cancel the run and want nothing."""
        job, self._job, self._wanted, self._probed = self._job, None, None, None
        if job is not None:
            job.cancel()

    def _begin(self, wish: _Wish) -> bool:
        """Start a run; False: it could not be, which is shown."""
        wish.options["cache"] = False
        try:
            request = make_request(self._tool, wish.values, **wish.options)
        except ToolRunnerError as error:
            self._show(Previewed(error=error))
            return False
        self._begun = wish
        job = self._job = PreviewJob(request)
        (self._manager or job_manager()).run_beside(job, self._tell)
        late = threading.Timer(QUICK, self._overdue, (job,))
        late.daemon = True
        late.start()
        return True

    def _probe(self, made: Previewed, wish: _Wish) -> None:
        """Run the tool on the middle of what is shown, unless it is known whether it is local."""
        if made.job is None or made.job.shown is None or not self._tool.local:
            return
        inner = middle(made.job.request)
        if inner is not None and choices(made.job.request) not in _differs:
            options: RunOptions = {**wish.options, "extent": inner}
            self._probed = made if self._begin(_Wish(wish.values, options)) else None

    def _compare(self, probed: Previewed, job: PreviewJob) -> None:
        """Say of what is shown that it differs, if that of its middle does."""
        shown = probed.job
        if shown is None or shown.shown is None or job.shown is None:
            return
        differs = differ(shown.shown, shown.request, job.shown, job.request)
        _differs[choices(job.request)] = differs
        if differs and self._job is None:
            self._show(replace(probed, notes=_notes(shown)))

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the window is gone
            self._ring()

    def _overdue(self, job: PreviewJob) -> None:
        if self._job is job and self._wanted is not None:
            job.cancel()


def note_time(job: Job) -> None:
    """Remember how long a job that has ended took, for `is_quick`, unless nothing was run."""
    if not job.recorded().earlier:
        _took[job.tool.digest] = _pixels(job), job.elapsed


def is_quick(tool: Tool, pixels: int) -> bool:
    """Whether a run of `tool` in this session says that one on so many pixels is quick."""
    before, seconds = _took.get(tool.digest, (0, QUICK))
    return seconds * max(1.0, pixels / max(1, before)) < QUICK


def _notes(job: PreviewJob) -> tuple[str, ...]:
    """Return how what is shown of a job differs from what a run makes."""
    request = job.request
    if request.extent is None or not any(request.extent.crop):
        return ()
    snaps = _images(request)
    notes = [
        f"“{snap.name}” is of another size and goes in whole."
        for snap in snaps
        if snap.geometry.shape[-2:] != snaps[0].geometry.shape[-2:]
    ]
    if not request.tool.local or _differs.get(choices(request)):
        notes.insert(0, "A run may give other values: the tool looks at more than what you see.")
    return tuple(notes)


def _pixels(job: Job) -> int:
    """Return how many pixels went into a job, of its largest input."""
    return max((prod(snap.geometry.shape) for snap in _images(job.request)), default=0)


def _images(request: Request) -> list[LayerSnapshot]:
    return [snap for _, snap in request.snapshots(request.values) if snap.kind.is_pixels]


def _in_memory(result: JobResult) -> JobResult:
    """Return `result` without any file behind it; of a pyramid its finest level."""
    outputs = {name: _read(output) for name, output in result.outputs.items()}
    return replace(result, outputs=outputs)


def _read(output: JobOutput) -> JobOutput:
    elements = {name: _read(part) for name, part in output.elements.items()}
    loaded = output.loaded
    if loaded is not None and loaded.kind.is_pixels:
        level = loaded.levels[0]
        size, blocks = getattr(level, "nbytes", 0), getattr(level, "npartitions", 1)
        if size > _MOST or blocks > _MOST_BLOCKS:
            raise OutputError(
                f"“{label_of(output.output)}” is too large for a preview.",
                hint="Run the tool: what it gives is opened bit by bit.",
            )
        attributes = {**loaded.attributes, "multiscale": False}
        loaded = replace(loaded, data=np.array(level), attributes=attributes)
    return replace(output, loaded=loaded, elements=elements)
