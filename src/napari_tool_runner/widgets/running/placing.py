"""The result of one slice of a stack, put back to where the slice lies.

Without its place a flat result would be shown on every slice of the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Geometry
    from napari_tool_runner.exchange.model import LoadedOutput
    from napari_tool_runner.jobs import Job, JobOutput, JobResult

__all__ = ["placed_result"]

_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)
_ALONG_AXES = ("scale", "translate", "units", "axis_labels")


def placed_result(job: Job, result: JobResult) -> JobResult:
    """Return `result` with the axes that a single slice left out; else unchanged."""
    grid = job.grid
    if job.extent is None or grid is None or job.extent.mode == "whole":
        return result
    pieces = job.extent.indices(grid.shape)
    if len(pieces) != 1 or job.pieces:  # put together by the engine: it has its axes
        return result
    index = [entry for entry in pieces[0] if isinstance(entry, int)]
    if not index:
        return result
    outputs = {name: _placed(output, grid, index) for name, output in result.outputs.items()}
    return replace(result, outputs=outputs)


def _placed(output: JobOutput, grid: Geometry, index: Sequence[int]) -> JobOutput:
    elements = {name: _placed(part, grid, index) for name, part in output.elements.items()}
    loaded = output.loaded
    if loaded is not None:
        loaded = _with_axes(loaded, grid, index)
    return replace(output, loaded=loaded, elements=elements)


def _with_axes(loaded: LoadedOutput, grid: Geometry, index: Sequence[int]) -> LoadedOutput:
    """Put the leading axes that `index` cut away in front of what is left."""
    count, flat = len(index), grid.ndim - len(index)
    if len(cast("Sequence[object]", loaded.attributes.get("scale", ()))) not in (0, flat):
        return loaded  # the tool made another number of axes: its place is not known
    data: object
    if loaded.kind in _PIXELS:
        data = np.asanyarray(loaded.data)[(np.newaxis,) * count]
    elif loaded.kind is LayerKind.POINTS:
        data = _in_front(np.asarray(loaded.data), index)
    elif loaded.kind is LayerKind.SHAPES:
        shapes = cast("Sequence[object]", loaded.data)
        data = [_in_front(np.asarray(shape), index) for shape in shapes]
    else:
        return loaded
    attributes = dict(loaded.attributes)
    scale = grid.scale[:count] or (1.0,) * count
    start = grid.translate[:count] or (0.0,) * count
    before: dict[str, Sequence[object]] = {
        "scale": scale,
        "translate": start,
        "units": grid.units[:count] or ("pixel",) * count,
        "axis_labels": grid.labels[:count] or tuple(grid.axes[:count].lower()),
    }
    if loaded.kind in _PIXELS:  # one slice thick, at its height
        before["translate"] = [
            origin + step * number
            for origin, step, number in zip(start, scale, index, strict=True)
        ]
    after = {"scale": 1.0, "translate": 0.0, "units": "pixel", "axis_labels": ""}
    for name in _ALONG_AXES:
        given = attributes.get(name)
        if given is None and name in ("units", "axis_labels"):
            continue
        rest = list(cast("Sequence[object]", given)) if given is not None else [after[name]] * flat
        attributes[name] = (*before[name], *rest)
    for name in ("rotate", "affine"):
        if attributes.get(name) is not None:
            attributes[name] = _grown(np.asarray(attributes[name]), count)
    shear = attributes.get("shear")
    if shear is not None:  # the values above the diagonal
        matrix = np.eye(flat)
        matrix[np.triu_indices(flat, 1)] = np.asarray(shear, float)
        attributes["shear"] = _grown(matrix, count)[np.triu_indices(flat + count, 1)]
    return replace(loaded, data=data, attributes=attributes)


def _in_front(rows: np.ndarray, index: Sequence[int]) -> np.ndarray:
    rows = np.asarray(rows, float)
    return np.hstack([np.tile(np.asarray(index, float), (len(rows), 1)), rows])


def _grown(matrix: np.ndarray, count: int) -> np.ndarray:
    """Return `matrix` acting on the last axes of `count` more."""
    if matrix.ndim != 2:
        return matrix
    size = len(matrix) + count
    grown = np.eye(size)
    grown[count:, count:] = matrix
    return grown
