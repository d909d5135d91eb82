"""The run of a job, stage by stage. Whatever happens ends in the job's state."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import (
    JobCancelledError,
    ToolFailedError,
    ToolRunnerError,
    UnsupportedLayerError,
)
from napari_tool_runner.exchange import export, load
from napari_tool_runner.exchange.model import LayerSnapshot
from napari_tool_runner.jobs.job import Job, JobInput
from napari_tool_runner.jobs.model import JobOutput, JobState
from napari_tool_runner.jobs.naming import layer_name, record_summary
from napari_tool_runner.jobs.record import file_digest
from napari_tool_runner.jobs.workspace import workspace_problem
from napari_tool_runner.plugins import Process, as_service, runnerServices
from napari_tool_runner.plugins.contract import Mount
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.dialect import CollectedFile, DataCollection, DataFile
from napari_tool_runner.tools.model import (
    CollectionOutput,
    DataOutput,
    DataParameter,
    DirectoryParameter,
    FileParameter,
    LayerKind,
)
from napari_tool_runner.tools.values import leaves, map_data

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import CollectedOutput, PlannedOutput, RenderedCommand
    from napari_tool_runner.tools.values import BoundValues

__all__ = ["execute"]

_logger = logging.getLogger(__name__)


def execute(job: Job) -> None:
    """Run `job` to its end in the calling thread. Never raises."""
    state = JobState.DONE
    error: ToolRunnerError | None = None
    try:
        _run(job)
    except JobCancelledError as stop:
        state, error = JobState.CANCELLED, stop
    except ToolFailedError as failure:
        state, error = JobState.FAILED, failure
    except ToolRunnerError as failure:
        state, error = JobState.FAILED, _failed(job, failure.message, failure.hint, failure)
    except OSError as failure:
        problem = workspace_problem(failure, job.workspace.root)
        state, error = JobState.FAILED, _failed(job, problem.message, problem.hint, failure)
    except Exception as failure:
        # the boundary of the engine: a bug must end one job, with its traceback kept
        _logger.exception("Job %s broke", job.id)
        reason = f"napari-tool-runner itself broke: {type(failure).__name__}: {failure}."
        state, error = (
            JobState.FAILED,
            _failed(
                job, reason, "Please report it with the log and the record of this job.", failure
            ),
        )
    if error is not None:
        job.say(str(error))
    job.log.close()
    job.workspace.remove_scratch()
    _hash_in_background(job, outputs=state is JobState.DONE)
    job.end(state, error)


def _run(job: Job) -> None:
    job.enter(JobState.PREPARING, "Writing inputs")
    job.workspace.create()
    job.write_record()  # a crash of this process leaves a trace
    job.say(f"{job.tool.name} {job.tool.version} — {job.runner}: {job.runner_reason}")
    values = _export_inputs(job)
    dialect = dialect_of(job.tool)
    rendered = dialect.render(job.tool, values, job.workspace.paths, job.config.variables)
    job.rendered = rendered
    job.notes += rendered.notes
    _exec(job, values, rendered)
    stdout, stderr = job.log.text("stdout"), job.log.text("stderr")
    if job.log.problem is not None:
        raise workspace_problem(job.log.problem, job.workspace.root) from job.log.problem
    verdict = dialect.judge(job.tool, job.exit_code, stdout, stderr)
    job.notes += verdict.warnings
    if not verdict.ok:
        raise _failed(job, verdict.reason, "The log below says more.")
    job.enter(JobState.LOADING, "Loading results")
    collected = dialect.collect(job.tool, rendered, values, job.workspace.paths)
    _check_missing(job, rendered, collected)
    for entry in collected:
        job.outputs[entry.output.name] = _load_output(job, entry)


# -- before ------------------------------------------------------------------------


def _export_inputs(job: Job) -> BoundValues:
    snaps = _snapshots(job)
    grid = next((s for s in snaps if s.kind in (LayerKind.IMAGE, LayerKind.LABELS)), None)
    total = len(snaps)

    def one(name: str, parameter: DataParameter, value: object) -> DataFile | DataCollection:
        if isinstance(value, DataCollection):
            return value
        if isinstance(value, DataFile):
            job.inputs.append(JobInput(name, None, value, copied=False))
            return value
        snap = cast("LayerSnapshot", value)
        if job.cancel_token.requested:
            raise JobCancelledError(f"“{job.tool.name}” was cancelled.")
        exported = export(
            snap,
            parameter,
            job.workspace.paths.inputs,
            dialect=job.tool.dialect,
            reference=grid if snap is not grid else None,
        )
        for note in exported.notes:
            job.say(note)
        job.notes += exported.notes
        job.inputs.append(JobInput(name, snap, exported.file, exported.copied, exported.sha256))
        job.enter(JobState.PREPARING, f"Writing inputs ({len(job.inputs)}/{total})")
        return exported.file

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        if isinstance(value, list | tuple):
            return [one(name, parameter, entry) for entry in value]
        return one(name, parameter, value)

    return map_data(job.tool.inputs, job.values, convert)


def _snapshots(job: Job) -> list[LayerSnapshot]:
    found: list[LayerSnapshot] = []
    for leaf in leaves(job.tool.inputs, job.values):
        entries = leaf.value if isinstance(leaf.value, list | tuple) else [leaf.value]
        found += [entry for entry in entries if isinstance(entry, LayerSnapshot)]
    return found


def _mounts(job: Job, values: BoundValues) -> list[Mount]:
    """Everything that the command names: the tool's jobs, its folder, foreign files."""
    home = job.workspace.root.parent
    mounts = {home: Mount(home, read_only=False)}
    mounts[job.tool.folder] = Mount(job.tool.folder)
    foreign = [entry.file.path for entry in job.inputs]
    for leaf in leaves(job.tool.inputs, values):
        if isinstance(leaf.parameter, FileParameter | DirectoryParameter) and leaf.value:
            foreign.append(Path(str(leaf.value)))
        if isinstance(leaf.value, DataCollection):
            foreign += _collection_paths(leaf.value)
    for path in foreign:
        if path.is_absolute() and path.exists() and not path.is_relative_to(home):
            mounts.setdefault(path, Mount(path))
    return list(mounts.values())


def _collection_paths(collection: DataCollection) -> list[Path]:
    found: list[Path] = []
    for _, element in collection.elements:
        if isinstance(element, DataCollection):
            found += _collection_paths(element)
        else:
            found.append(element.path)
    return found


# -- the program -------------------------------------------------------------------


def _exec(job: Job, values: BoundValues, rendered: RenderedCommand) -> None:
    service = as_service(runnerServices.get(job.runner, **job.config.runner), job.runner)
    context = job.context
    context.mounts = _mounts(job, values)
    context.environment = dict(rendered.environment)
    process = Process(job.tool, values, rendered.outputs, context, job.number)
    job.enter(JobState.PREPARING, f"Preparing {job.runner}")
    try:
        service.call_set_up(process)
        for path, text in rendered.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        job.enter(JobState.RUNNING, "Running")
        _hash_in_background(job, outputs=False)
        job.exit_code = service.call_exec(process, list(rendered.argv))
    finally:
        service.call_tear_down(process)


# -- after -------------------------------------------------------------------------


def _check_missing(
    job: Job, rendered: RenderedCommand, collected: list[CollectedOutput] | tuple[()] | object
) -> None:
    found = {entry.output.name for entry in cast("list[CollectedOutput]", collected)}
    missing = [plan for plan in rendered.outputs if plan.output.name not in found]
    wanted = [plan for plan in missing if not _may_be_absent(plan)]
    for plan in missing:
        if plan not in wanted:
            job.notes.append(f"Output “{plan.output.name}” is empty: nothing was found for it.")
    if wanted:
        names = ", ".join(
            f"“{plan.output.label or plan.output.name}” ({_expected(plan)})" for plan in wanted
        )
        raise _failed(
            job,
            f"The tool ended without an error but did not write {names}.",
            "The log may say why; the job's folder is kept.",
        )


def _may_be_absent(plan: PlannedOutput) -> bool:
    return isinstance(plan.output, CollectionOutput) or bool(plan.output.discover)


def _expected(plan: PlannedOutput) -> str:
    return plan.output.from_work_dir or plan.path.name


def _load_output(job: Job, entry: CollectedOutput) -> JobOutput:
    if isinstance(entry.output, CollectionOutput) or len(entry.files) > 1:
        elements = {
            file.name or str(index): _load_file(job, file, entry.output, file.name or str(index))
            for index, file in enumerate(entry.files)
        }
        folder = entry.files[0].path.parent if entry.files else job.workspace.paths.outputs
        return JobOutput(
            entry.output.name,
            folder,
            entry.output.format,
            layer_name(job, entry.output),
            entry.output,
            elements=elements,
            metadata=record_summary(job, entry.output.name),
        )
    return _load_file(job, entry.files[0], entry.output)


def _load_file(job: Job, file: CollectedFile, output: DataOutput, element: str = "") -> JobOutput:
    inputs = {entry.name: entry.snapshot for entry in job.inputs if entry.snapshot is not None}
    try:
        loaded = load(file, output, job.tool, inputs=inputs, kind=job.kinds.get(output.name))
    except UnsupportedLayerError as reason:  # a file that no viewer can show is still a result
        job.notes.append(str(reason))
        loaded = None
    if loaded is not None and loaded.kind is LayerKind.ANY:  # text, an archive, …
        loaded = None
    if loaded is not None:
        job.notes += [f"{output.name}: {note}" for note in loaded.notes]
    return JobOutput(
        element or output.name,
        file.path,
        file.format,
        layer_name(job, output, element),
        output,
        loaded=loaded,
        metadata=record_summary(job, output.name, element),
    )


def _hash_in_background(job: Job, *, outputs: bool) -> None:
    """Fill the content hashes that writing did not give; the run does not wait."""
    inputs = [entry for entry in job.inputs if not entry.sha256]
    files = [
        entry.path
        for output in job.outputs.values()
        for entry in (output.elements.values() or [output])
        if outputs
    ]
    if not inputs and not files:
        return

    def work() -> None:
        try:
            for entry in inputs:
                entry.sha256 = entry.sha256 or file_digest(entry.file.path)
            for path in files:
                job.output_digests[path] = file_digest(path)
        except OSError as error:
            job.notes.append(f"A content hash is missing from the record: {error}.")
        if job.state.final:
            job.write_record()

    job.hash_later(work)


def _failed(
    job: Job, reason: str, hint: str, cause: BaseException | None = None
) -> ToolFailedError:
    error = ToolFailedError(
        reason,
        tool=job.tool.id,
        exit_code=job.exit_code,
        argv=job.rendered.argv if job.rendered else (),
        log_tail=job.log.tail(),
        workspace=job.workspace.root,
        hint=hint,
    )
    error.__cause__ = cause
    return error
