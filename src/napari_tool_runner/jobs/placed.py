"""The result of one slice of a stack, put back to where the slice lies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner.exchange import in_its_slice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_tool_runner.exchange import Geometry
    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.jobs.outputs import JobOutput, JobResult

__all__ = ["placed_result"]


def placed_result(job: Job, result: JobResult) -> JobResult:
    """Return `result` with the axes that a single slice left out; else unchanged.

    Without its place a flat result would be shown on every slice of the viewer.
    """
    extent, grid = job.request.extent, job.request.grid
    if extent is None or grid is None or extent.mode == "whole":
        return result
    pieces = extent.indices(grid.shape, grid.axes)
    if len(pieces) != 1 or job.request.pieces:  # put together by the engine: it has its axes
        return result
    index = {axis: entry for axis, entry in enumerate(pieces[0]) if isinstance(entry, int)}
    if not index:
        return result
    outputs = {name: _placed(output, grid, index) for name, output in result.outputs.items()}
    return replace(result, outputs=outputs)


def _placed(output: JobOutput, grid: Geometry, index: Mapping[int, int]) -> JobOutput:
    elements = {name: _placed(part, grid, index) for name, part in output.elements.items()}
    loaded = output.loaded and in_its_slice(output.loaded, grid, index)
    return replace(output, loaded=loaded, elements=elements)
