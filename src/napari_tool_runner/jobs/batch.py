"""The same tool over many files."""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.jobs.delivery import real_text
from napari_tool_runner.jobs.manager import JobManager
from napari_tool_runner.names import file_stems, numbered_image
from napari_tool_runner.tools.model import DataParameter

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.tools.model import Tool

__all__ = ["BatchItem", "files_of", "notes_by_kind", "notes_of", "plan_batch", "run_batch"]


_QUEUED, _LOOKS = 8, 0.2
"""Items in the queue for each worker; seconds between two looks at how many there are."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One call of a batch: its values, the stem of its results' names, notes, its files."""

    stem: str
    values: Mapping[str, object]
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def plan_batch(tool: Tool, values: Mapping[str, object]) -> list[BatchItem]:
    """Unfold the globs of data values into one call for each file.

    Several globs are walked together: files belong together whose names have the same text in
    the place of the wildcards. Where no name has, they are taken in sorted order, which is told.
    A glob that matches one file is used for every call. What is told beside a glob,
    ``(glob, {"axis_labels": "TYX"})``, is told of each of its files; so is which image is meant
    (``*.tif#2``).

    Raises
    ------
    ParameterError
        A glob matches nothing, or some files have no partner.
    """
    data = {p.name for p in tool.parameters() if isinstance(p, DataParameter) and not p.multiple}
    found: dict[str, list[str]] = {}
    beside: dict[str, tuple[object, ...]] = {}
    patterns: dict[str, str] = {}
    for name, value in values.items():
        pattern, *more = value if isinstance(value, tuple) and value else (value,)
        if name.rsplit("|", 1)[-1] in data and isinstance(pattern, str | os.PathLike):
            pattern = os.path.expanduser(pattern)
            matches = sorted(glob.glob(pattern, recursive=True))
            base, number = numbered_image(str(pattern))
            if not matches and base != str(pattern):  # that image of each file
                matches = [f"{one}#{number}" for one in sorted(glob.glob(base, recursive=True))]
            if not matches:
                raise ParameterError(
                    f"“{name}”: no file matches {pattern}.", name=name, hint="Check the pattern."
                )
            found[name], beside[name], patterns[name] = matches, tuple(more), str(pattern)
    note = _pair(found, patterns)
    total = max((len(files) for files in found.values()), default=1)
    leader = next((n for n in found if len(found[n]) == total), None)
    files = found[leader] if leader else ["run"]
    stems = file_stems(tool.formats.split(Path(name).name)[0] for name in files)

    items: list[BatchItem] = []
    for index in range(total):
        own = {name: files[index if len(files) > 1 else 0] for name, files in found.items()}
        told = {name: (f, *beside[name]) if beside[name] else f for name, f in own.items()}
        items.append(BatchItem(stems[index], {**values, **told}, note, tuple(own.values())))
    return items


def files_of(items: Iterable[BatchItem]) -> set[str]:
    """Return where the files of all calls are, as `deliver` takes what it must not replace."""
    files = {file for item in items for file in item.files}
    return {real_text(f if os.path.lexists(f) else numbered_image(f)[0]) for f in files}


def _pair(found: dict[str, list[str]], patterns: Mapping[str, str]) -> tuple[str, ...]:
    """Put files that belong together into the same place; say so where only their order tells.

    Raises
    ------
    ParameterError
        Some have no partner.
    """
    several = [name for name, files in found.items() if len(files) > 1]
    if len(several) < 2:
        return ()
    keyed = {name: {_wild(patterns[name], file): file for file in found[name]} for name in several}
    shared = set.intersection(*(set(files) for files in keyed.values()))
    alone = [
        Path(file).name
        for files in keyed.values()
        for key, file in files.items()
        if key not in shared
    ]
    if len({len(found[name]) for name in several}) > 1 or (shared and alone):
        counts = ", ".join(f"{name} matches {len(found[name])}" for name in several)
        raise ParameterError(
            f"The patterns do not match files that belong together: {counts}"
            + (f"; without a partner: {', '.join(alone[:5])}." if shared else "."),
            hint="What stands in the place of * must be the same, as in a_*.tif and b_*.tif.",
        )
    if shared:
        found.update(
            {name: [files[key] for key in sorted(shared)] for name, files in keyed.items()}
        )
        return ()
    first = " with ".join(Path(found[name][0]).name for name in several)
    return (f"Files were put together in the order of their names only: {first}, and so on.",)


def _wild(pattern: str, file: str) -> tuple[str, ...]:
    """Return what stands in the place of each wildcard of a glob in the name of a file."""
    parts = re.split(r"(\*\*/|\*+|\?|\[!?\]?[^]]{0,255}\])", pattern)
    kinds = {"**/": "((?:.*/)?)", "**": "(.*)", "?": "([^/])"}
    texts = [
        re.escape(part)
        if not index % 2
        else kinds.get(part)
        or (f"([{part[1:-1].replace('!', '^', 1)}])" if part[0] == "[" else "([^/]*)")
        for index, part in enumerate(parts)
    ]
    match = re.fullmatch("".join(texts), file)
    return match.groups() if match else (file,)


def run_batch(
    tool: Tool,
    items: list[BatchItem],
    *,
    runner: str | None = None,
    config: Config | None = None,
    parallel: int = 1,
    cache: bool = True,
) -> Iterator[tuple[BatchItem, Job | ToolRunnerError]]:
    """Run `items`, `parallel` at once, and yield each with its ended job, in order.

    An item whose values cannot be used comes with the error instead of a job; the
    others go on. Few are queued before they are needed, however many there are. Leaving the
    iteration cancels what is left.
    """
    manager = JobManager(max_parallel=parallel)
    begun: deque[tuple[BatchItem, Job | ToolRunnerError]] = deque()
    rest = iter(items)

    def begin() -> None:
        """Queue so many that no worker waits while somebody looks at one that has ended."""
        for item in islice(rest, max(0, _QUEUED * parallel - len(manager.active))):
            try:
                job = manager.submit(tool, item.values, runner=runner, config=config, cache=cache)
            except ToolRunnerError as error:
                begun.append((item, error))
            else:
                begun.append((item, job))

    try:
        begin()
        while begun:
            item, job = begun.popleft()
            while not isinstance(job, ToolRunnerError) and not job.wait(_LOOKS):
                begin()  # the others go on while this one takes long
            yield item, job
            begin()
    finally:
        manager.shutdown()


def notes_of(item: BatchItem, job: Job | ToolRunnerError) -> list[str]:
    """Return what a person should know of one call."""
    return [*item.notes, *(() if isinstance(job, ToolRunnerError) else job.run.notes)]


def notes_by_kind(
    told: Iterable[tuple[BatchItem, Sequence[str]]], said: Collection[str] = ()
) -> list[str]:
    """Return the notes of many items: of each kind the first, and how many items have it.

    Notes are of one kind when they differ only in numbers and in the names of files. What was
    `said` already is left out.
    """
    kinds: dict[str, tuple[str, dict[str, None]]] = {}
    for item, notes in told:
        if not notes:
            continue
        files = [Path(file) for file in item.files]
        names = sorted({n for f in files for n in (f.name, f.stem) if n}, key=len, reverse=True)
        same = re.compile("|".join([*map(re.escape, names), r"\d+(?:[.,]\d+)*"]))
        for note in [n for n in notes if n not in said]:
            kinds.setdefault(same.sub("#", note), (note, {}))[1][item.stem] = None
    return [
        f"{next(iter(stems))}: {note}" + f" ({len(stems)} items)" * (len(stems) > 1)
        for note, stems in kinds.values()
    ]
