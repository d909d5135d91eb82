"""Shapes drawn as labels, for tools that take only images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange.geometry import convert_coordinates
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import LayerSnapshot

__all__ = ["shapes_as_labels"]

_LARGEST = 2**31


def shapes_as_labels(
    snap: LayerSnapshot, reference: LayerSnapshot | None, notes: list[str]
) -> LayerSnapshot:
    """Draw shapes, numbered from 1, into the pixel grid of `reference`.

    Later shapes cover earlier ones. A shape lies in one plane of the leading axes
    (the rounded mean of its vertices there).

    Raises
    ------
    UnsupportedLayerError
        Without an image whose grid could be taken.
    """
    grid = None if reference is None else reference.geometry
    if grid is None or not grid.shape:
        raise UnsupportedLayerError(
            f"“{snap.name}” are shapes; to draw them as labels an image is needed, whose size "
            "they take.",
            hint="Choose an image for another input, or turn the shapes into Labels in napari.",
        )
    if int(np.prod(grid.shape, dtype=np.int64)) > _LARGEST:
        raise UnsupportedLayerError(
            f"“{snap.name}” cannot be drawn in an image of {grid.shape} pixels.",
            hint="Crop the image first.",
        )
    from skimage.draw import line_nd, polygon

    shapes = [np.asarray(s, dtype=float) for s in cast("Sequence[object]", snap.data)]
    types = snap.attributes.get("shape_type", "polygon")
    names = [types] * len(shapes) if isinstance(types, str) else list(cast("Sequence[str]", types))
    labels = np.zeros(grid.shape, np.uint16 if len(shapes) < 2**16 else np.uint32)
    outside = 0
    for number, (shape, name) in enumerate(zip(shapes, names, strict=True), start=1):
        points = convert_coordinates(shape, snap.geometry, grid)
        full = np.zeros((len(points), len(grid.shape)))
        width = min(points.shape[1], full.shape[1])
        full[:, full.shape[1] - width :] = points[:, points.shape[1] - width :]
        lead = np.rint(full[:, :-2].mean(axis=0)).astype(int)
        if np.any(lead < 0) or np.any(lead >= grid.shape[:-2]):
            outside += 1
            continue
        plane = labels[tuple(lead)]
        outline = ellipse_outline(full[:, -2:]) if name == "ellipse" else full[:, -2:]
        if name in ("line", "path"):
            for start, stop in itertools.pairwise(outline):
                rows, columns = line_nd(start, stop, endpoint=True)  # type: ignore[no-untyped-call]
                inside = (rows >= 0) & (columns >= 0)
                inside &= (rows < plane.shape[0]) & (columns < plane.shape[1])
                plane[rows[inside], columns[inside]] = number
        else:
            filled = polygon(outline[:, 0], outline[:, 1], plane.shape)  # type: ignore[no-untyped-call]
            plane[filled] = number
    if outside:
        notes.append(f"{outside} shapes lie outside the image and were left out.")
    notes.append(f"The shapes of “{snap.name}” were drawn as labels 1 to {len(shapes)}.")
    return replace(
        snap,
        data=labels,
        kind=LayerKind.LABELS,
        geometry=replace(grid, shape=tuple(labels.shape)),
        attributes={},
        path=None,
    )


def ellipse_outline(corners: np.ndarray, count: int = 64) -> np.ndarray:
    """Return an ellipse, given by the four corners of its box, as a polygon."""
    center = corners.mean(axis=0)
    first = (corners[1] - corners[0]) / 2
    second = (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    return cast("np.ndarray", center + np.cos(angles) * first + np.sin(angles) * second)
