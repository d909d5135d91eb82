"""The same tool over many files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.jobs.manager import JobManager
from napari_tool_runner.names import unique_names
from napari_tool_runner.tools.model import DataParameter

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.tools.model import Tool

__all__ = ["BatchItem", "notes_by_kind", "plan_batch", "run_batch"]


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One call of a batch: its values, and the stem its results are named after."""

    stem: str
    values: Mapping[str, object]


def plan_batch(tool: Tool, values: Mapping[str, object]) -> list[BatchItem]:
    """Unfold the globs of data values into one call for each file.

    Several globs are walked together, in the order of their sorted names, and must
    match equally many files; a glob that matches one file is used for every call. What is
    told beside a glob, ``(glob, {"axis_labels": "TYX"})``, is told of each of its files; so is
    which image is meant (``*.tif#2``).

    Raises
    ------
    ParameterError
        A glob matches nothing, or the counts differ.
    """
    data = {p.name for p in tool.parameters() if isinstance(p, DataParameter) and not p.multiple}
    found: dict[str, list[str]] = {}
    beside: dict[str, tuple[object, ...]] = {}
    for name, value in values.items():
        pattern, *more = value if isinstance(value, tuple) and value else (value,)
        if name.rsplit("|", 1)[-1] in data and isinstance(pattern, str | os.PathLike):
            pattern = os.path.expanduser(pattern)
            matches = sorted(glob.glob(pattern, recursive=True))
            base, mark, number = str(pattern).rpartition("#")
            if not matches and mark and number.isdecimal():  # that image of each file
                matches = [f"{one}#{number}" for one in sorted(glob.glob(base, recursive=True))]
            if not matches:
                raise ParameterError(
                    f"“{name}”: no file matches {pattern}.", name=name, hint="Check the pattern."
                )
            found[name], beside[name] = matches, tuple(more)
    counts = {name: len(files) for name, files in found.items() if len(files) > 1}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} matches {count}" for name, count in counts.items())
        raise ParameterError(
            f"The patterns match different numbers of files: {told}.",
            hint="Each pattern must match as many files, or just one.",
        )
    total = max((len(files) for files in found.values()), default=1)
    leader = next((n for n in found if len(found[n]) == total), None)
    files = found[leader] if leader else ["run"]
    wanted = [tool.formats.split(Path(name).name)[0] for name in files]
    stems = unique_names(wanted, numbered="_{}", first=2)

    def given(name: str, index: int) -> object:
        file = found[name][index if len(found[name]) > 1 else 0]
        return (file, *beside[name]) if beside[name] else file

    return [
        BatchItem(stems[index], {**values, **{name: given(name, index) for name in found}})
        for index in range(total)
    ]


def run_batch(
    tool: Tool,
    items: list[BatchItem],
    *,
    runner: str | None = None,
    config: Config | None = None,
    parallel: int = 1,
) -> Iterator[tuple[BatchItem, Job | ToolRunnerError]]:
    """Run `items`, `parallel` at once, and yield each with its ended job, in order.

    An item whose values cannot be used comes with the error instead of a job; the
    others go on. Leaving the iteration cancels what is left.
    """
    manager = JobManager(max_parallel=parallel)
    jobs: list[tuple[BatchItem, Job | ToolRunnerError]] = []
    try:
        for item in items:
            try:
                jobs.append(
                    (item, manager.submit(tool, item.values, runner=runner, config=config))
                )
            except ToolRunnerError as error:
                jobs.append((item, error))
        for item, job in jobs:
            if not isinstance(job, ToolRunnerError):
                job.wait()
            yield item, job
    finally:
        manager.shutdown()


def notes_by_kind(ended: Iterable[tuple[BatchItem, Job | ToolRunnerError]]) -> list[str]:
    """Return the notes of many items: of each kind the first, and how many items have it.

    Notes are of one kind when they differ only in numbers and in the names of files.
    """
    kinds: dict[str, tuple[str, dict[str, None]]] = {}
    for item, job in ended:
        given = (v[0] if isinstance(v, tuple) and v else v for v in item.values.values())
        files = [Path(v) for v in given if isinstance(v, str | os.PathLike)]
        names = sorted({n for f in files for n in (f.name, f.stem) if n}, key=len, reverse=True)
        same = re.compile("|".join([*map(re.escape, names), r"\d+(?:[.,]\d+)*"]))
        if isinstance(job, ToolRunnerError):
            continue
        for note in [n for n in job.run.notes if n not in job.request.config.notes]:
            kinds.setdefault(same.sub("#", note), (note, {}))[1][item.stem] = None
    return [
        f"{next(iter(stems))}: {note}" + f" ({len(stems)} items)" * (len(stems) > 1)
        for note, stems in kinds.values()
    ]
