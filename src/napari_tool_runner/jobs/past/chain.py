"""The chain of jobs that led to a result, as far as their records are there."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from pathlib import Path

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs.past.history import read_record
from napari_tool_runner.jobs.record import (
    JobState,
    RecordedInput,
    RecordedOutput,
    RunRecord,
    SourceKind,
)
from napari_tool_runner.jobs.workspace import RECORD, made_at
from napari_tool_runner.names import is_folder, unique_name

__all__ = ["Step", "chain_of"]

_MOST = 100
"""Steps of a chain; whoever pastes more reads none of them."""
_TAKEN = frozenset({"run", "run_job", "prepare", "Extent", "name", "output", "print"})


@dataclass(frozen=True, slots=True)
class Step:
    """A job of a chain.

    Parameters
    ----------
    name : str
        A name for Python, of its tool.
    made : mapping
        Number of an input -> the name of the step and the output that it is.
    remarks : tuple of str
        What went in, and no step of the chain made.
    """

    record: RunRecord
    name: str
    made: Mapping[int, tuple[str, RecordedOutput]]
    remarks: tuple[str, ...]


def chain_of(record: RunRecord) -> list[Step]:
    """Return the jobs that led to the results of `record`, each after those that it needs.

    The last one is `record` itself. Only records of ours are followed, and only where what
    they began with is still there.
    """
    steps: dict[str, Step] = {}
    _follow(record, steps)
    return list(steps.values())


def _follow(record: RunRecord, steps: dict[str, Step]) -> Step:
    """Add to `steps` what comes before a job, and it; return it."""
    found: dict[int, tuple[str, RecordedOutput]] = {}
    remarks: list[str] = []
    for number, entry in enumerate(record.inputs):
        reference = _maker(entry, record)
        try:
            if reference is not None:
                found[number] = _before(record, *reference, steps)
            elif remark := _unmade(entry):
                remarks.append(f"“{entry.label}” {remark}.")
        except WorkspaceError as error:
            remarks.append(
                f"“{entry.label}” was made by another job: {error.message.rstrip('.')}."
            )
    step = steps[record.id] = Step(record, _variable(record, steps), found, tuple(remarks))
    return step


def _before(
    record: RunRecord, job: str, output: str, steps: dict[str, Step]
) -> tuple[str, RecordedOutput]:
    """Return the step that made an output, and this; raises WorkspaceError without it."""
    tried = dict(steps)
    if job not in tried:
        if len(tried) >= _MOST:
            raise WorkspaceError("the chain is too long")
        _follow(_find(record, job), tried)
    before = tried[job]
    made = [one for one in before.record.outputs if output in (one.title, str(one.path))]
    if not made or before.record.state is not JobState.DONE:
        raise WorkspaceError("its record tells of no such result")
    if any(map(_lost, tried.values())):
        raise WorkspaceError("what that began with is gone")
    steps |= tried
    return before.name, made[0]


def _lost(step: Step) -> bool:
    """Whether an input is neither there nor made."""
    given = enumerate(step.record.inputs)
    root = step.record.root
    return any(n not in step.made and one.locate(root) is None for n, one in given)


def _maker(entry: RecordedInput, record: RunRecord) -> tuple[str, str] | None:
    """Return the job that made an input, and its output (a name or a path)."""
    if not record.ours:
        return None
    job, _, output = entry.source.job.partition("/")
    if output:
        return job, output
    path, workspaces = Path(entry.source.path), record.folder.parent.parent
    if entry.source.kind is SourceKind.FILE and path.is_relative_to(workspaces):
        parts = path.relative_to(workspaces).parts
        if len(parts) > 2 and parts[1] != record.id:
            return parts[1], str(path)
    return None


def _find(record: RunRecord, job: str) -> RunRecord:
    """Return the record of another job of the same workspace; raises WorkspaceError."""
    gone = WorkspaceError("its record is gone")
    if made_at(job) is None or os.sep in job:
        raise gone
    workspaces = record.folder.parent.parent
    with os.scandir(workspaces) as entries:
        tools = [Path(one.path) for one in entries if is_folder(one)]
    found = [tool / job / RECORD for tool in tools if os.path.isfile(tool / job / RECORD)]
    before = read_record(found[0]) if found else None
    if before is None or not before.ours or before.id != job:
        raise gone
    return before


def _unmade(entry: RecordedInput) -> str:
    """Say what an input is that no tool made; nothing of a file, which is named."""
    kind = entry.source.kind
    if kind is SourceKind.LAYER:
        return "is a layer that no tool made, or that was changed since"
    return "" if kind is SourceKind.FILE else f"came from a script ({kind.value})"


def _variable(record: RunRecord, known: dict[str, Step]) -> str:
    """Return a free name for the result of a tool; its id is a stranger's text."""
    word = re.sub(r"[^A-Za-z0-9]+", "_", record.tool.id)[:40].strip("_").lower() or "step"
    if word[0].isdigit() or keyword.iskeyword(word) or keyword.issoftkeyword(word):
        word = f"step_{word}"
    return unique_name(word, _TAKEN | {one.name for one in known.values()}, "_{}", 2)
