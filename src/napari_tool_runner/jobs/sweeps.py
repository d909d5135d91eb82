"""A sweep: one tool on the same data with several values of one or two parameters.

Its runs are trials: they are in no history and their files go with the sweep, unless one is
kept. Each becomes a cell: its values, how it ended, small pictures and figures of its results.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Unpack

from napari_tool_runner import sealed, settings
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.exchange import Thumbnail, figures_of, thumbnail_of
from napari_tool_runner.jobs.delivery import parts_of
from napari_tool_runner.jobs.job import Job
from napari_tool_runner.jobs.manager import JobManager
from napari_tool_runner.jobs.past.room import let_go
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.request import make_request
from napari_tool_runner.jobs.swept import axes_of
from napari_tool_runner.jobs.workspace import TRIED
from napari_tool_runner.names import file_stems, unique_name
from napari_tool_runner.processes import process_mark
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools import bind
from napari_tool_runner.tools.tree import leaves, with_value

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_tool_runner.jobs.job import JobEvent
    from napari_tool_runner.jobs.outputs import JobResult
    from napari_tool_runner.jobs.request import Request, RunOptions, ToolLike
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["Cell", "Sweep", "TrialJob"]


class TrialJob(Job):
    """A job without a record, so in no history, until it is kept; then it is like any other.

    While this session goes on, a mark in its folder says that it is no job that was killed.

    Parameters
    ----------
    kept : bool
        It is like any other from the beginning.
    """

    def __init__(self, request: Request, *, kept: bool) -> None:
        super().__init__(request)
        self._kept = kept

    def write_record(self, *, durable: bool = True) -> None:
        """Write none, but the mark when it begins."""
        if self._kept:
            super().write_record(durable=durable)
        elif not self.state.is_finished:
            (self.workspace.root / TRIED).write_text(process_mark(os.getpid()), encoding="ascii")

    def kept_result(self) -> JobResult:
        """Let it be like any job from now on, with a record, in the history; return its result.

        Raises
        ------
        WorkspaceError
            Its files are gone: the runs before it took all room.
        """
        result = self.result()
        self.record()  # waits for content hashes
        self._kept = True
        self.write_record()
        with suppress(OSError):
            (self.workspace.root / TRIED).unlink()
        return result

    def discard(self) -> None:
        """Delete its folder, unless it was kept or has not ended."""
        if not self._kept and self.wait(0):
            let_go(self.workspace.root)


@dataclass(slots=True, eq=False)
class Cell:
    """One combination of values, and what came of it.

    Parameters
    ----------
    values : mapping
        Full name of a swept parameter -> its value.
    words : tuple of str
        The same as a person reads it.
    message : str
        Why there is no result.
    thumbnails : mapping
        What a result is called -> its small picture.
    figures : mapping
        Name -> number: of labels, points and shapes how many, of tables of their columns.
    stem : str
        What stands before the names of its files; no other cell has it.
    job : TrialJob or None
        None: its values cannot be used together.
    """

    values: Mapping[str, object]
    words: tuple[str, ...]
    state: JobState = JobState.QUEUED
    message: str = ""
    seconds: float = 0.0
    thumbnails: Mapping[str, Thumbnail] = field(default_factory=dict, repr=False)
    figures: Mapping[str, float] = field(default_factory=dict)
    stem: str = ""
    job: TrialJob | None = field(default=None, repr=False)

    def result(self) -> JobResult:
        """Return the result; raises what `Job.result` does, and ToolRunnerError without a run."""
        if self.job is None or self.message:
            raise ToolRunnerError(self.message or "This cell was not run.")
        return self.job.result()

    def files(self) -> dict[str, Path]:
        """Return output name -> file; none where there is no result."""
        if self.job is None or self.state is not JobState.DONE:
            return {}
        return {name: part.path for name, part in parts_of(self.job.run.outputs).items()}


def _told(cell: Cell) -> str:
    return "_".join(f"{name.rsplit('|', 1)[-1]}_{value}" for name, value in cell.values.items())


class Sweep:
    """Runs of one tool with all combinations of some values.

    Make it on the thread that owns the layers. `start` returns at once.

    Parameters
    ----------
    over : mapping
        Name of a parameter -> values, or a text of them (``1, 2, 5``; ``1:10:1``;
        ``0.1:100:4 log``).
    values : mapping
        All others, as for `prepare`.
    told : callable, optional
        Called in another thread after every change of a cell.
    kept : bool
        Whether every run is a job like any other from the beginning.

    Raises
    ------
    ToolRunnerError
        As `prepare`; and ParameterError for what cannot be swept. Nothing was started.
    """

    def __init__(
        self,
        tool: ToolLike,
        over: Mapping[str, str | Iterable[object]],
        values: Mapping[str, object],
        *,
        told: Callable[[], object] = lambda: None,
        kept: bool = False,
        **options: Unpack[RunOptions],
    ) -> None:
        self._base = make_request(tool, values, idle=True, **options)
        self.tool = self._base.tool
        self.axes = axes_of(self.tool, self._base.values, over)
        self.cells = tuple(map(self._cell, itertools.product(*(one.values for one in self.axes))))
        for cell, stem in zip(self.cells, file_stems(map(_told, self.cells)), strict=True):
            cell.stem = stem
        self._refuse_idle()
        self._told, self._kept = told, kept
        self._manager = JobManager()
        self._ended: SimpleQueue[tuple[Cell, TrialJob]] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sweep", daemon=True)
        self._cancelled = False
        self._room = self._base.config.value(settings.DISK)
        weakref.finalize(self, _discard, self.cells)  # at exit

    def __repr__(self) -> str:
        """Return one line: the tool, what is swept, and how many runs have ended."""
        swept = " × ".join(f"{len(one.values)} {one_line(one.name, 60)}" for one in self.axes)
        ended = sum(cell.state.is_finished for cell in self.cells)
        return f"<Sweep of {self.tool.id}: {swept}, {ended} of {len(self.cells)} have ended>"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the configuration or the call says in vain."""
        return self._base.notes

    @property
    def working(self) -> bool:
        """Whether there is a cell to come."""
        return self._thread.is_alive()

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest takes, by those that have ended; None: not known yet."""
        ended = [cell.seconds for cell in self.cells if cell.state is JobState.DONE]
        left = sum(not cell.state.is_finished for cell in self.cells)
        if not ended:
            return None
        return sum(ended) / len(ended) * left / self._base.config.max_parallel

    def limits(self, output: str) -> tuple[float, float]:
        """Return what is black and what is white in the pictures of an output, in all alike."""
        made = [one for cell in self.cells if (one := cell.thumbnails.get(output)) is not None]
        return (
            min((one.low for one in made), default=0.0),
            max((one.high for one in made), default=0.0),
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """Begin and wait until there is no cell to come; Ctrl-C cancels all."""
        self.start()
        try:
            while self._thread.is_alive():
                self._thread.join(0.5)  # short waits let Ctrl-C through on every platform
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """End all runs that have not ended; returns at once."""
        self._cancelled = True
        for job in self._manager.active:
            job.cancel()

    def close(self) -> None:
        """Cancel, and delete the files of what was not kept; returns at once."""
        self.cancel()
        threading.Thread(target=self._end, name="sweep-end", daemon=True).start()

    def table(self) -> pd.DataFrame:
        """Return a row for each cell: values, state, seconds, figures, files, message."""
        from pandas import DataFrame  # slow to import

        return DataFrame(self.columns())

    def columns(
        self, places: Mapping[Cell, Mapping[str, Path]] | None = None
    ) -> dict[str, list[object]]:
        """Return the columns of the table.

        `places`: cell -> output name -> file; without it those of the runs that are kept.
        """
        if places is None:
            places = {cell: cell.files() for cell in self.cells if self._kept}
        figures = dict.fromkeys(name for cell in self.cells for name in cell.figures)
        files = [places.get(cell, {}) for cell in self.cells]
        columns: dict[str, list[object]] = {
            axis.name: [cell.values[axis.name] for cell in self.cells] for axis in self.axes
        }
        columns["state"] = [cell.state.value for cell in self.cells]
        columns["seconds"] = [round(cell.seconds, 3) for cell in self.cells]
        for name in figures:
            free = unique_name(name, columns.keys() | {"message"}, " {}", 2)
            columns[free] = [cell.figures.get(name) for cell in self.cells]
        for name in dict.fromkeys(name for found in files for name in found):
            columns[f"file of {name}"] = [str(found.get(name, "")) for found in files]
        columns["message"] = [cell.message for cell in self.cells]
        return columns

    def _cell(self, values: Sequence[object]) -> Cell:
        pairs = list(zip(self.axes, values, strict=True))
        words = tuple(axis.sentence(one) for axis, one in pairs)
        return Cell({axis.name: one for axis, one in pairs}, words)

    def _refuse_idle(self) -> None:
        """Raise ParameterError for what is swept and has no effect in any cell."""
        idle = {axis.name: axis.label for axis in self.axes if axis.parameter.applies}
        known = False
        for cell in self.cells if idle else ():
            with suppress(ToolRunnerError):  # they do not go together: the cell tells it
                values = self._values(cell)
                known = True
                for leaf in leaves(self.tool.inputs, values):
                    idle.pop(leaf.name, None)
        for name, label in idle.items() if known else ():
            raise ParameterError(f"“{label}” has no effect with these values.", name=name)

    # -- in threads --------------------------------------------------------------------------

    def _work(self) -> None:
        begun = sum([self._begin(cell) for cell in self.cells])
        self._told()
        for _ in range(begun):
            cell, job = self._ended.get()
            self._look(cell, job)
            self._told()

    def _end(self) -> None:
        with suppress(RuntimeError):  # it never began
            self._thread.join()
        _discard(self.cells)

    def _begin(self, cell: Cell) -> bool:
        """Queue the run of a cell; whether there is one."""
        if self._cancelled:
            cell.state = JobState.CANCELLED
            return False
        try:
            job = TrialJob(self._request(cell), kept=self._kept)
            job.subscribe(partial(self._heard, cell))
            self._manager.add(job)
        except ToolRunnerError as error:
            cell.state, cell.message = JobState.FAILED, str(error)
            return False
        cell.job = job
        if self._cancelled:  # meanwhile
            job.cancel()
        return True

    def _request(self, cell: Cell) -> Request:
        """Return the call with the values of a cell; its data are those of all, taken once."""
        return replace(self._base, values=self._values(cell))

    def _values(self, cell: Cell) -> BoundValues:
        """Return the bound values of a cell."""
        values = self._base.values
        for axis in self.axes:
            try:
                values = with_value(values, axis.name, cell.values[axis.name], axis.decides)
            except (KeyError, IndexError) as error:
                raise ParameterError(
                    f"“{axis.label}” does not apply with these values.", name=axis.name
                ) from error
        return bind(self.tool, values)

    def _heard(self, cell: Cell, job: Job, event: JobEvent) -> None:
        if not isinstance(event, JobState):
            return
        if event.is_finished and isinstance(job, TrialJob):
            self._ended.put((cell, job))
        else:
            cell.state = event
            self._told()

    def _look(self, cell: Cell, job: TrialJob) -> None:
        """Take what is to be seen of a run that has ended."""
        cell.seconds = job.elapsed
        if job.state is not JobState.DONE:
            cell.message = str(job.error) if job.state is JobState.FAILED else ""
            cell.state = job.state
            return
        try:
            cell.thumbnails, cell.figures = _glance(job.result())
            cell.state = JobState.DONE
            self._make_room(job)
        except (ToolRunnerError, OSError, ValueError, TypeError, MemoryError) as error:
            cell.message = f"The result cannot be looked at: {error}"
            cell.state = JobState.FAILED

    def _make_room(self, job: TrialJob) -> None:
        """Let the files of a run go at once when those before take all that jobs may take."""
        self._room -= sealed.usage(job.workspace.root).freed
        if self._room < 0 and not self._kept:
            job.discard()


def _glance(result: JobResult) -> tuple[dict[str, Thumbnail], dict[str, float]]:
    """Return small pictures by the name of their output, and all figures."""
    pictures: dict[str, Thumbnail] = {}
    figures: dict[str, dict[str, float]] = {}
    for place, part in parts_of(result.outputs).items():
        if part.loaded is None or part.output.hidden:
            continue
        picture = thumbnail_of(part.loaded)
        if picture is not None:
            pictures[place] = picture
        if found := figures_of(part.loaded):
            figures[place] = found
    several = len(figures) > 1
    return pictures, {
        f"{place}: {name}" if several else name: figure
        for place, found in figures.items()
        for name, figure in found.items()
    }


def _discard(cells: Iterable[Cell]) -> None:
    for cell in cells:
        if cell.job is not None:
            cell.job.discard()
