"""The stages of a job's run: files in, what the program may see, files out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import (
    JobCancelledError,
    OutputError,
    ToolFailedError,
    UnsupportedLayerError,
)
from napari_tool_runner.exchange import export, load
from napari_tool_runner.exchange.model import LayerSnapshot
from napari_tool_runner.jobs.job import Job, JobInput
from napari_tool_runner.jobs.model import JobOutput
from napari_tool_runner.jobs.naming import layer_name
from napari_tool_runner.plugins.contract import Mount, Progress
from napari_tool_runner.storage import content_sha256
from napari_tool_runner.tools.dialect import CollectedFile, DataCollection, DataFile
from napari_tool_runner.tools.model import (
    CollectionOutput,
    DataOutput,
    DataParameter,
    DirectoryParameter,
    FileParameter,
    LayerKind,
)
from napari_tool_runner.tools.tree import leaves, map_data

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import CollectedOutput, PlannedOutput, RenderedCommand
    from napari_tool_runner.tools.tree import BoundValues

__all__ = [
    "check_missing",
    "export_inputs",
    "failed",
    "hash_in_background",
    "load_output",
    "mounts_of",
    "snapshots",
]


def export_inputs(
    job: Job, values: BoundValues, folder: Path, *, record: bool = True, whole: bool = False
) -> BoundValues:
    """Write the snapshots of `values` below `folder`; return the values with files.

    `record`: they are what the record names as the job's inputs. `whole`: the tool
    never sees these files, so any carrier will do.
    """
    snaps = snapshots(job, values)
    grid = next((s for s in snaps if s.kind in (LayerKind.IMAGE, LayerKind.LABELS)), None)

    def written(done: int, total: int) -> None:
        if job.cancel_token.requested:
            raise JobCancelledError(f"“{job.tool.name}” was cancelled.")
        job.report(Progress("Writing inputs", done, total, "bytes"))

    def one(name: str, parameter: DataParameter, value: object) -> DataFile | DataCollection:
        if isinstance(value, DataCollection):
            return value
        if isinstance(value, DataFile):
            if record:
                job.inputs.append(JobInput(name, None, value, copied=False))
            return value
        snap = cast("LayerSnapshot", value)
        if job.cancel_token.requested:
            raise JobCancelledError(f"“{job.tool.name}” was cancelled.")
        exported = export(
            snap,
            DataParameter(name=parameter.name) if whole else parameter,
            folder,
            formats=job.tool.formats,
            reference=grid if snap is not grid else None,
            progress=written,
        )
        for note in exported.notes:
            if note not in job.notes:
                job.notes.append(note)
                job.say(note)
        copied = exported.copied or _own_copy(exported.file.path, job.service().copies_below)
        if record:
            job.inputs.append(JobInput(name, snap, exported.file, copied, exported.sha256))
        return exported.file

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        if isinstance(value, list | tuple):
            return [one(name, parameter, entry) for entry in value]
        return one(name, parameter, value)

    return map_data(job.tool.inputs, values, convert)


def _own_copy(path: Path, below: int) -> bool:
    """Replace a link to an original by a copy, when it is smaller than `below` bytes."""
    if not path.is_file() or path.stat().st_size >= below:
        return False
    if not path.is_symlink() and path.stat().st_nlink < 2:
        return False
    draft = path.with_name(path.name + ".copy")
    shutil.copyfile(path, draft)
    draft.replace(path)
    return True


def snapshots(job: Job, values: BoundValues) -> list[LayerSnapshot]:
    """Return every snapshot among `values`, in the order of the form."""
    found: list[LayerSnapshot] = []
    for leaf in leaves(job.tool.inputs, values):
        entries = leaf.value if isinstance(leaf.value, list | tuple) else [leaf.value]
        found += [entry for entry in entries if isinstance(entry, LayerSnapshot)]
    return found


def mounts_of(job: Job, values: BoundValues) -> list[Mount]:
    """Return what the command names: the tool's jobs, its folder, foreign files."""
    home = job.workspace.root.parent
    mounts = {home: Mount(home, read_only=False)}
    mounts[job.tool.folder] = Mount(job.tool.folder)
    foreign = [entry.file.path for entry in job.inputs]
    for leaf in leaves(job.tool.inputs, values):
        if isinstance(leaf.parameter, FileParameter | DirectoryParameter) and leaf.value:
            foreign.append(Path(str(leaf.value)))
        if isinstance(leaf.value, DataCollection):
            foreign += _collection_paths(leaf.value)
    # a large file of another disk is linked into the job's folder
    foreign += [path.resolve() for path in foreign if path.is_symlink()]
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


# -- after -------------------------------------------------------------------------


def check_missing(
    job: Job, rendered: RenderedCommand, collected: Sequence[CollectedOutput]
) -> None:
    """Raise ToolFailedError when an output that must be there is not."""
    found = {entry.output.name for entry in collected}
    missing = [plan for plan in rendered.outputs if plan.output.name not in found]
    wanted = [plan for plan in missing if job.must_write and not _may_be_absent(plan)]
    for plan in missing:
        if plan not in wanted:
            job.notes.append(f"Output “{plan.output.name}” is empty: nothing was found for it.")
    if wanted:
        names = ", ".join(
            f"“{plan.output.label or plan.output.name}” ({_expected(plan)})" for plan in wanted
        )
        raise failed(
            job,
            f"The tool ended without an error but did not write {names}.",
            "The log may say why; the job's folder is kept.",
        )


def _may_be_absent(plan: PlannedOutput) -> bool:
    return isinstance(plan.output, CollectionOutput) or bool(plan.output.discover)


def _expected(plan: PlannedOutput) -> str:
    return plan.output.from_work_dir or plan.path.name


def load_output(job: Job, entry: CollectedOutput, values: BoundValues | None = None) -> JobOutput:
    """Open the files of an output as layers to be.

    `values`: what went in, when that is not the whole (its snapshots lend their place).
    """
    inputs = _lenders(job, values)
    if isinstance(entry.output, CollectionOutput) or len(entry.files) > 1:
        elements = {
            file.name or str(index): _load_file(
                job, file, entry.output, inputs, file.name or str(index)
            )
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
            metadata=job.recorded().summary(entry.output.name),
        )
    return _load_file(job, entry.files[0], entry.output, inputs)


def _lenders(job: Job, values: BoundValues | None) -> dict[str, LayerSnapshot]:
    if values is None:
        return {e.name: e.snapshot for e in job.inputs if e.snapshot is not None}
    return {
        leaf.name: leaf.value
        for leaf in leaves(job.tool.inputs, values)
        if isinstance(leaf.value, LayerSnapshot)
    }


def _load_file(
    job: Job,
    file: CollectedFile,
    output: DataOutput,
    inputs: Mapping[str, LayerSnapshot],
    element: str = "",
) -> JobOutput:
    try:
        loaded = load(file, output, job.tool, inputs=inputs, kind=job.kinds.get(output.name))
    except UnsupportedLayerError as reason:  # a file that no viewer can show is still a result
        job.notes.append(str(reason))
        loaded = None
    except OutputError as reason:
        if job.must_load:
            raise
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
        metadata=job.recorded().summary(output.name, element),
    )


def hash_in_background(job: Job, *, outputs: bool) -> None:
    """Fill the content hashes that writing did not give; the run does not wait."""
    inputs = [entry for entry in job.inputs if not entry.sha256]
    files = [
        entry.path
        for output in job.outputs.values()
        for entry in output.files().values()
        if outputs
    ]
    if not inputs and not files:
        return

    def work() -> None:
        try:
            for entry in inputs:
                entry.sha256 = entry.sha256 or content_sha256(entry.file.path)
            for path in files:
                job.output_digests[path] = content_sha256(path)
        except OSError as error:
            job.notes.append(f"A content hash is missing from the record: {error}.")
        if job.state.is_finished:
            job.write_record()

    job.hash_later(work)


def failed(
    job: Job, reason: str, hint: str, cause: BaseException | None = None
) -> ToolFailedError:
    """Return the error of a job that failed, with what is known of it."""
    said = job.log.last_words()
    if said and cause is None and said not in reason:
        reason = f"{reason.rstrip('.')}: {said}"
    if reason[-1:].isalnum():  # the hint follows
        reason += "."
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
