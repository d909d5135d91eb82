"""A job that runs its tool on every slice, and makes one result of all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_tool_runner.errors import ExchangeError
from napari_tool_runner.exchange import cut, label_offsets, merge_parts
from napari_tool_runner.exchange.geometry import crop
from napari_tool_runner.exchange.model import Geometry, LayerSnapshot, LoadedOutput
from napari_tool_runner.jobs.model import JobOutput
from napari_tool_runner.jobs.naming import layer_name
from napari_tool_runner.jobs.program import Program
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.stages import check_missing, export_inputs, load_output
from napari_tool_runner.jobs.workspace import Workspace
from napari_tool_runner.plugins.contract import Progress
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.tree import map_data

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Index
    from napari_tool_runner.jobs.extent import Extent
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["cut_values", "run_pieces"]


def cut_values(tool: Tool, values: BoundValues, grid: Geometry, index: Index) -> BoundValues:
    """Return `values` with every snapshot cut to `index` of the grid."""

    def one(value: object) -> object:
        return cut(value, grid, index) if isinstance(value, LayerSnapshot) else value

    def convert(name: str, parameter: DataParameter, value: object) -> object:
        return [one(entry) for entry in value] if isinstance(value, list) else one(value)

    return map_data(tool.inputs, values, convert)


def run_pieces(job: Job) -> None:
    """Run the tool on each of ``job.pieces``: the service is prepared only once.

    Every piece has its own folders below ``pieces/``. Outputs of one kind become one
    file in ``outputs/`` (labels are renumbered, so that each occurs in one slice
    only); outputs that cannot be put together stay a collection.
    """
    extent, grid = cast("Extent", job.extent), cast("Geometry", job.grid)
    # the record names the whole layers: a repetition takes them apart again
    export_inputs(job, job.values, job.workspace.paths.inputs, whole=True)
    dialect = dialect_of(job.tool)
    results: dict[str, list[JobOutput]] = {}
    program: Program | None = None
    pieces = job.pieces
    try:
        for number, index in enumerate(pieces):
            job.report(Progress(f"Slice {number + 1} of {len(pieces)}", number, len(pieces)))
            workspace = Workspace(job.workspace.root / "pieces" / f"{number:05d}")
            workspace.create()
            paths = workspace.paths
            values = export_inputs(
                job, cut_values(job.tool, job.values, grid, index), paths.inputs, record=False
            )
            rendered = dialect.render(job.tool, values, paths, job.config.variables)
            if program is None:
                job.rendered = rendered
                job.notes += rendered.notes
                program = Program(job, values, rendered)
                program.__enter__()
            program.run(values, rendered, paths)
            collected = dialect.collect(job.tool, rendered, values, paths)
            check_missing(job, rendered, collected)
            for entry in collected:
                made = load_output(job, entry, cut_values(job.tool, job.values, grid, index))
                results.setdefault(entry.output.name, []).append(made)
            workspace.remove_scratch()
    finally:
        if program is not None:
            program.__exit__(None, None, None)
    job.enter(JobState.LOADING, "Putting the slices together")
    _merge(job, results, _Covered.of(job, extent, grid))


@dataclass(frozen=True, slots=True)
class _Covered:
    """The part of the grid that the pieces cover together.

    Parameters
    ----------
    loop, first : tuple of int
        Along each loop axis: how many pieces, and the index of the first.
    geometry : Geometry
    values : BoundValues
        With snapshots cut to that part; they lend the results their place.
    """

    loop: tuple[int, ...]
    first: tuple[int, ...]
    geometry: Geometry
    values: BoundValues

    @classmethod
    def of(cls, job: Job, extent: Extent, grid: Geometry) -> _Covered:
        ranges = extent.ranges(grid.shape)
        depth = extent.loop_axes(grid.shape)
        sizes = [stop - start for start, stop in ranges]
        starts = [start for start, _ in ranges]
        box = tuple(slice(start, stop) for start, stop in ranges)
        return cls(
            tuple(sizes[:depth]),
            tuple(starts[:depth]),
            crop(grid, starts, sizes),
            cut_values(job.tool, job.values, grid, box),
        )


def _merge(job: Job, results: dict[str, list[JobOutput]], covered: _Covered) -> None:
    offsets = {
        name: label_offsets([cast("LoadedOutput", part.loaded) for part in parts])
        for name, parts in results.items()
        if all(part.loaded and part.loaded.kind is LayerKind.LABELS for part in parts)
    }
    for name, parts in results.items():
        merged = None
        try:
            merged = _merge_one(job, name, parts, covered, offsets)
        except ExchangeError as reason:
            job.notes.append(f"“{name}” was left in slices: {reason}")
        job.outputs[name] = merged or _collection(job, name, parts)


def _merge_one(
    job: Job,
    name: str,
    parts: list[JobOutput],
    covered: _Covered,
    offsets: dict[str, list[int]],
) -> JobOutput | None:
    loaded = [part.loaded for part in parts if part.loaded is not None]
    complete = len(parts) == len(job.pieces) and len(loaded) == len(parts)
    if not complete or len({part.kind for part in loaded}) != 1:
        return None
    output = parts[0].output
    shift = offsets.get(name) or offsets.get(output.join)
    folder = job.workspace.paths.outputs
    axes = covered.geometry.axes[: len(covered.loop)]
    made = merge_parts(
        loaded, covered.loop, axes, covered.geometry, folder, name, shift, covered.first
    )
    if made is None:
        return None
    path, fmt = made
    whole = replace(output, format=fmt, kind=loaded[0].kind)
    entry = CollectedOutput(whole, (CollectedFile(path, fmt),))
    return load_output(job, entry, covered.values)


def _collection(job: Job, name: str, parts: list[JobOutput]) -> JobOutput:
    output = parts[0].output
    width = len(str(len(parts)))
    elements = {
        f"slice {number:0{width}d}": replace(part, layer_name=f"{part.layer_name} {number}")
        for number, part in enumerate(parts)
    }
    return JobOutput(
        name,
        Path(job.workspace.root / "pieces"),
        output.format,
        layer_name(job, output),
        output,
        elements=elements,
        metadata=job.recorded().summary(name),
    )
