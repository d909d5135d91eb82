"""A past job once more, from its record: run again, edit and run again, its results."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import (
    DescriptorError,
    ExchangeError,
    TrustError,
    UnknownToolError,
    WorkspaceError,
)
from napari_tool_runner.exchange import ReadApart, load
from napari_tool_runner.jobs.joins import joined_as_then
from napari_tool_runner.jobs.manager import prepare
from napari_tool_runner.jobs.outputs import JobOutput, JobResult
from napari_tool_runner.jobs.past.history import own_folder
from napari_tool_runner.jobs.past.packages import with_packages_of
from napari_tool_runner.jobs.record import present
from napari_tool_runner.jobs.typed_json import as_object
from napari_tool_runner.quoting import one_line, some_paths
from napari_tool_runner.sealed import below
from napari_tool_runner.storage import read_json
from napari_tool_runner.tools import find_tool, load_toolbox
from napari_tool_runner.tools.binding import nest
from napari_tool_runner.tools.dialect import CollectedFile
from napari_tool_runner.tools.model import DataOutput, LayerKind, Tool
from napari_tool_runner.tools.named import named_paths
from napari_tool_runner.tools.toolbox.gate import unnamed
from napari_tool_runner.tools.toolbox.trust import TrustState, trust_state
from napari_tool_runner.tools.tree import with_lists

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.exchange import LayerSnapshot
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.record import RecordedOutput, RunRecord
    from napari_tool_runner.jobs.request import ToolLike
    from napari_tool_runner.tools.toolbox.trust import Trust

__all__ = [
    "allowed_values",
    "borrowed",
    "borrowed_by",
    "borrowed_words",
    "recorded_form",
    "recorded_result",
    "recorded_tool",
    "rerun",
]

_LAYERS = frozenset(LayerKind) - {LayerKind.ANY}


def rerun(
    record: RunRecord,
    config: Config,
    *,
    runner: str | None = None,
    tool: ToolLike | None = None,
    lend: Collection[Path] = (),
) -> tuple[Job, list[str]]:
    """Prepare the job of `record` again, with the packages from PyPI that it had.

    Parameters
    ----------
    tool : Tool, str or path, optional
        Named by the caller in place of what the record names, which is nobody's consent.
    lend : collection of Path
        Of what `borrowed` returns, what the tool may get; all of it has to be named.

    Returns
    -------
    job : Job
        Not started.
    remarks : list of str
        Why the result may differ: another version of the tool, changed inputs.

    Raises
    ------
    UnknownToolError
        The tool is gone.
    TrustError
        Its toolbox is not approved (any more), or the record names it by its path, or
        files that are not lent.
    WorkspaceError
        An input is gone.
    """
    named = tool is not None
    tool = recorded_tool(record, config) if tool is None else find_tool(tool, config=config)
    if not named and not (trust := trust_state(tool, config)).ok:
        raise _not_by_record(tool, trust)
    record = _lent(record, tool, lend)
    remarks: list[str] = []
    if tool.digest != record.tool.digest:
        remarks.append(
            f"The descriptor of “{tool.name}” has changed since (version "
            f"{record.tool.version} then, {tool.version} now); the result may differ."
        )
    tool = with_packages_of(tool, record)
    values = {**record.settable, **_recorded_values(record, remarks)}
    then = record.runner.service
    # a stranger's record could choose a service without walls
    service = runner or (then if record.ours else None)
    extent = record.slices
    # whether it comes to the same again is what is asked
    job = prepare(tool, values, runner=service, config=config, extent=extent, cache=False)
    if service is None and job.request.choice.name not in ("", then):
        remarks.append(f"It ran with {then} then; here {job.request.choice.name} is chosen.")
    return job, remarks


def _lent(record: RunRecord, tool: Tool, lend: Collection[Path]) -> RunRecord:
    """Return a record whose files may go to the tool; raises TrustError, WorkspaceError."""
    if record.ours:
        if record.keeps_inputs and not record.state.is_finished:
            raise WorkspaceError(
                f"“{tool.name}” was not run again: the job still runs, and its program could "
                "change meanwhile what it was given.",
                hint="Run it again when it has ended.",
            )
        return record
    own, record = own_folder(record), _settled(record)
    if asked := _once(_borrowed(record, tool, own, lend)):
        raise TrustError(
            f"“{tool.name}” was not run again: {borrowed_words(asked)}",
            hint="Lend them by a word (napari-tool-runner rerun RECORD --lend), or choose the "
            "data yourself.",
        )
    return record


def borrowed(record: RunRecord, tool: Tool) -> list[Path]:
    """Return what a rerun would give to the tool and is not known to be the record's own.

    Empty for a record that this installation wrote where it lies. What its own folder holds
    counts by where it leads to, as do links inside a folder.
    """
    return _once(borrowed_by(record, tool))


def borrowed_by(
    record: RunRecord, tool: Tool, lend: Collection[Path] = ()
) -> dict[str, list[Path]]:
    """Return the full names of values -> what of `borrowed` they name, and is not in `lend`."""
    return {} if record.ours else _borrowed(record, tool, own_folder(record), lend)


def _borrowed(
    record: RunRecord, tool: Tool, folder: Path | None, lend: Collection[Path]
) -> dict[str, list[Path]]:
    told = named_paths(tool.inputs, record.settable).items()
    named = {name: paths for name, (_, paths) in told if paths}
    for one in record.inputs:
        if (place := one.locate(record.root)) is not None:
            named.setdefault(one.name, []).append(place)
    own = folder and os.path.realpath(folder)
    found: dict[str, list[Path]] = {}
    for name, paths in named.items():
        real = [Path(os.path.realpath(path)) for path in paths]
        if own:
            each = ([p] if not p.is_relative_to(own) else _not_own(p, own) for p in real)
            real = [path for some in each for path in some]
        if asked := [path for path in real if path not in lend]:
            found[name] = asked
    return found


def _once(named: Mapping[str, Sequence[Path]]) -> list[Path]:
    return [*dict.fromkeys(path for paths in named.values() for path in paths)]


def _settled(record: RunRecord) -> RunRecord:
    """Return a record with the inputs where links lead now: what was asked about is given."""
    places = [(one, one.locate(record.root)) for one in record.inputs]
    real = (replace(one, path=Path(os.path.realpath(at))) if at else one for one, at in places)
    return replace(record, inputs=tuple(real))


def _not_own(path: Path, own: str) -> list[Path]:
    """Return what of a file or folder below `own` lies elsewhere, by links of any kind."""
    try:
        if not path.is_dir():
            return [path] if path.stat().st_nlink > 1 else []
        entries = [(Path(one.path), one.stat(follow_symlinks=False)) for one in below(path)]
    except OSError as error:
        raise WorkspaceError(
            f"{one_line(str(path), 500)} cannot be looked at: {error.strerror or error}."
        ) from error
    led = (Path(os.path.realpath(one)) for one, facts in entries if stat.S_ISLNK(facts.st_mode))
    more = [one for one, facts in entries if stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1]
    return [to for to in led if not to.is_relative_to(own)] + more


def borrowed_words(paths: Sequence[Path]) -> str:
    """Say what a record of others asks for."""
    return (
        "its record was not written by this installation, and it gives the tool what is not known "
        f"to be a part of it: {some_paths(paths)}."
    )


def _not_by_record(tool: Tool, trust: Trust) -> TrustError:
    """Return why a record alone does not run a tool again, and what does."""
    if trust.state is TrustState.FORBIDDEN:
        return TrustError(f"“{tool.name}” was not run again: {trust.policy} does not allow it.")
    changed = trust.state is TrustState.CHANGED
    state = "has changed since you approved it" if changed else "is not approved"
    return TrustError(
        f"“{tool.name}” was not run again: a record is no permission, and the toolbox "
        f"{trust.folder} {state}.",
        hint=f"Approve it (napari-tool-runner trust {shlex.quote(str(trust.folder))}), or name "
        f"the descriptor yourself: --tool {shlex.quote(tool.uri)}.",
    )


def recorded_tool(record: RunRecord, config: Config) -> Tool:
    """Return the tool of a record: from its descriptor, else by id; raises UnknownToolError.

    That a record names a path is no consent to run what lies there.
    """
    then, box = record.tool, load_toolbox(config)
    if then.id in box and box[then.id].uri == then.descriptor:
        return box[then.id]
    if present(then.file):
        return unnamed(find_tool(then.descriptor, None))
    if then.id in box:
        return box[then.id]
    raise UnknownToolError(
        f"The tool “{record.tool_name}” of this job is gone: {then.descriptor} does not "
        "exist, and no toolbox has it.",
        hint="Add its toolbox again, then repeat.",
    )


def _recorded_values(record: RunRecord, remarks: list[str]) -> dict[str, object]:
    """Return the data values of a record as snapshots (lists where several went in).

    `remarks`: takes a sentence for each that has other bytes than then.

    Raises
    ------
    WorkspaceError
        An input is gone.
    """
    found: dict[str, list[object]] = {}
    for entry in record.inputs:
        remark, place = entry.remark(record.root), entry.locate(record.root)
        if place is None:
            raise WorkspaceError(
                remark,
                hint="The job cannot be repeated as it was; run the tool on the data again.",
            )
        remarks += [remark] if remark else []
        found.setdefault(entry.name, []).append(entry.snapshot(place))
    return {name: many if len(many) > 1 else many[0] for name, many in found.items()}


def recorded_form(
    record: RunRecord, tool: Tool, without: Collection[str] = ()
) -> dict[str, object]:
    """Return the parameters that are no data as a form takes them: nested, repeats as lists.

    Names that `tool` no longer has are kept: the form tells about them. `without`: names of
    `borrowed_by`.
    """
    return allowed_values(tool, record.settable, without)


def allowed_values(
    tool: Tool, values: Mapping[str, object], without: Collection[str] = ()
) -> dict[str, object]:
    """Return values of others as a form takes them, without those of some full names."""
    if without:
        told = named_paths(tool.inputs, values).items()
        values = {name: value for name, (value, _) in told if name not in without}
    return with_lists(tool.inputs, nest(values))


# -- results -------------------------------------------------------------------------


def recorded_result(record: RunRecord, config: Config) -> tuple[JobResult, list[str]]:
    """Return the result of a past job, as its own `Job.result` did.

    The tool need not exist any more: the record knows format, kind and name of every
    output and where the inputs lay.

    Returns
    -------
    result : JobResult
    remarks : list of str
        A sentence for every output that is gone or cannot be read.

    Raises
    ------
    WorkspaceError
        Nothing is left, or the job made nothing.
    """
    if not record.outputs:
        raise WorkspaceError(
            f"The job of “{record.tool_name}” made no results (it is {record.state}).",
            hint="Its log says what happened.",
        )
    remarks: list[str] = []
    tool = _tool(record, config)
    with ReadApart(record.folder) as read:  # a record may be a stranger's and name a tool of ours
        outputs = _outputs(record, tool, remarks, read)
    if not outputs:
        raise WorkspaceError(
            f"The results of this job of “{record.tool_name}” are gone: {remarks[0]}",
            hint="Run it again to make them anew.",
        )

    def on_disk() -> dict[str, object]:
        return as_object(read_json(record.path))

    outputs = joined_as_then(outputs)
    result = JobResult(outputs, record.log, record.folder, record.id, on_disk, tool.formats)
    return result, remarks


def _outputs(
    record: RunRecord, tool: Tool, remarks: list[str], read: ReadApart
) -> dict[str, JobOutput]:
    inputs = {entry.name: entry.snapshot() for entry in record.inputs}
    summary = record.summary()
    outputs: dict[str, JobOutput] = {}
    for told in record.outputs:
        made = _output(told, tool, inputs, summary, remarks, read, record.root)
        if made is None:
            continue
        if not told.element:
            outputs[told.name] = made
            continue
        whole = outputs.get(told.name)
        outputs[told.name] = replace(
            made,
            name=told.name,
            path=made.path.parent,
            loaded=None,
            elements={**(whole.elements if whole else {}), told.element: made},
            metadata={**summary, "output": told.name, "element": ""},
        )
    return outputs


def _output(
    told: RecordedOutput,
    tool: Tool,
    inputs: Mapping[str, LayerSnapshot],
    summary: Mapping[str, object],
    remarks: list[str],
    read: ReadApart,
    root: Path | None,
) -> JobOutput | None:
    layer_name = told.layer_name or told.name
    if told.locate(root) is None:
        remarks.append(f"“{layer_name}” is no longer there ({told.path}).")
        return None
    kind = LayerKind(told.layer_type) if told.layer_type in _LAYERS else None
    try:
        declared = tool.output(told.name)
    except KeyError:
        declared = DataOutput(name=told.name)
    output = replace(declared, format=told.format, kind=kind)
    loaded = None
    if kind is not None:
        try:
            file = CollectedFile(told.path, told.format, name=told.element)
            loaded = load(file, output, tool, inputs=inputs, kind=kind, root=read.root, read=read)
        except ExchangeError as error:
            remarks.append(f"“{layer_name}” cannot be opened: {error}")
    return JobOutput(
        told.element or told.name,
        told.path,
        told.format,
        layer_name,
        output,
        loaded=loaded,
        metadata={**summary, "output": told.name, "element": told.element},
        join=told.join,
        column=told.column,
    )


def _tool(record: RunRecord, config: Config) -> Tool:
    """Return the tool, or as much of it as the record has."""
    try:
        return recorded_tool(record, config)
    except (UnknownToolError, DescriptorError):
        return Tool(id=record.tool.id, name=record.tool_name, version=record.tool.version)
