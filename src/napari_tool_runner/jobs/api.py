"""The calls of a script: `run`, `submit` and `sweep`."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.jobs.job import execute
from napari_tool_runner.jobs.manager import job_manager, prepare

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobResult
    from napari_tool_runner.jobs.request import ConfigLike, ToolLike
    from napari_tool_runner.jobs.sweeps import Sweep

__all__ = ["merged", "run", "run_job", "submit", "sweep"]


def run(
    tool: ToolLike,
    runner: str | None = None,
    config: ConfigLike = None,
    values: Mapping[str, object] | None = None,
    cache: bool = True,
    **more: object,
) -> JobResult:
    """Run a tool and wait for its result.

    Parameters
    ----------
    tool : Tool, str or path
        A tool, the id of one, or the path of a descriptor.
    runner : str, optional
        Runner service (``LOCAL``, ``CONDA``, ``DOCKER``, …); without it the
        configuration decides, else what the tool requires.
    config : path, mapping or Config, optional
        See `napari_tool_runner.config.load_config`.
    values : mapping, optional
        Values by name, nested (``{"cond": {"x": 1}}``) or flat (``{"cond|x": 1}``).
        Data values are layers, arrays, paths or layer-data tuples.
    cache : bool
        Whether an earlier run of the same may answer at once (its result says so); False:
        it is run.
    **more
        More values, for names that are Python identifiers.

    Returns
    -------
    JobResult

    Raises
    ------
    ToolFailedError
        The run failed; carries exit code, argv, last log lines and workspace.
    ParameterError, UnknownToolError, DescriptorError, UnsupportedLayerError, ConfigError
        Before anything was started.
    """
    given = merged(values, more)
    job = _warned(prepare(tool, given, runner=runner, config=config, cache=cache))
    job.request.with_likeness()
    return run_job(job)


def submit(
    tool: ToolLike,
    runner: str | None = None,
    config: ConfigLike = None,
    values: Mapping[str, object] | None = None,
    cache: bool = True,
    **more: object,
) -> Job:
    """Queue a run of a tool and return its handle at once; takes and raises what `run` does.

    Returns
    -------
    Job
        ``job.state``, ``job.progress``; ``job.events.connect(listener)`` for every change
        (called in the thread of the run); ``job.cancel()``; ``job.result()`` waits.
    """
    given = merged(values, more)
    return job_manager().submit(tool, given, runner=runner, config=config, cache=cache)


def sweep(
    tool: ToolLike,
    over: Mapping[str, str | Iterable[object]],
    runner: str | None = None,
    config: ConfigLike = None,
    values: Mapping[str, object] | None = None,
    cache: bool = True,
    **more: object,
) -> Sweep:
    """Run a tool with all combinations of several values, and wait.

    Each run is a job like any other, with its record. One that fails stops no other.

    Parameters
    ----------
    over : mapping
        Name of a parameter (a number, a choice, yes or no) -> its values, or a text of them:
        ``"1, 2, 5"``, ``"1:10:1"`` (from, to, step), ``"1:100:5 log"`` (so many, equal ratios).
    tool, runner, config, values, cache, **more
        As for `run`.

    Returns
    -------
    Sweep
        ``sweep.table()``: values, figures and files, a row for each run, as a DataFrame;
        ``sweep.cells``: of each combination the values and the `result`.

    Raises
    ------
    ParameterError, UnknownToolError, DescriptorError, UnsupportedLayerError, ConfigError
        Before anything was started.
    """
    from napari_tool_runner.jobs.sweeps import Sweep  # a single run needs none of it

    given = merged(values, more)
    made = Sweep(tool, over, given, kept=True, runner=runner, config=config, cache=cache)
    _warn(made.notes)
    made.finish()
    return made


def run_job(job: Job) -> JobResult:
    """Execute a prepared job and wait; Ctrl-C cancels it and its program."""
    thread = threading.Thread(target=execute, args=(job,), name=f"job-{job.id}", daemon=True)
    thread.start()
    try:
        job.wait()
    except BaseException:
        job.cancel()
        job.wait(10)
        raise
    return job.result()


def _warned(job: Job) -> Job:
    _warn(job.request.notes, above=1)
    return job


def _warn(notes: Iterable[str], above: int = 0) -> None:
    """Tell a script what its configuration says in vain, in Python's way."""
    for note in notes:
        warnings.warn(note, stacklevel=3 + above)


def merged(values: Mapping[str, object] | None, more: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a call, given in either way; raises ParameterError for one in both."""
    found = dict(values or {})
    twice = found.keys() & more.keys()
    if twice:
        name = sorted(twice)[0]
        raise ParameterError(
            f"“{name}” is given twice, in values and by itself.", name=name, hint="Give it once."
        )
    return {**found, **more}
