"""Shapes drawn as labels into the pixels of an image, and the grid of those pixels."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import np
from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange.axes import outer_axes
from napari_tool_runner.exchange.coordinates import ellipse_outline
from napari_tool_runner.exchange.geometry import convert_coordinates
from napari_tool_runner.exchange.knowing import with_known_sizes
from napari_tool_runner.exchange.parts import along_image
from napari_tool_runner.exchange.wanted import sized_as
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Geometry, LayerSnapshot

__all__ = ["grid_along", "shapes_as_labels"]

_LARGEST = 2**31


def grid_along(snap: LayerSnapshot, reference: LayerSnapshot, notes: list[str]) -> Geometry:
    """Return the axes of an image that coordinates lie along; `notes`: what does not fit.

    A file that says no pixel size is taken to have that of the coordinates.
    """
    source, (target, there) = snap.geometry, along_image(snap, reference)
    grid = sized_as(target, source) if reference.data is None else target
    if (grid.scale, grid.units) != (target.scale, target.units):
        notes.append(
            f"“{reference.name}” does not say how large its pixels or far its frames are: that is "
            f"taken to be as in “{snap.name}”."
        )
    for i, place in enumerate(there):
        if place >= 0 and reference.geometry.axes[place] == "T":
            ends = np.eye(source.ndim)[[i - 1, i]] * [[0], [1]]
            frames = convert_coordinates(ends, source, grid)[:, i]
            if np.abs(frames - np.rint(frames)).max() > 0.05:
                notes.append(f"Frames of “{snap.name}” lie between those of “{reference.name}”.")
    return grid


def shapes_as_labels(
    snap: LayerSnapshot, reference: LayerSnapshot | None, notes: list[str]
) -> LayerSnapshot:
    """Draw shapes, numbered from 1, into the pixel grid of `reference`.

    Later shapes cover earlier ones. A shape lies in one plane of rows and columns
    (the rounded mean of its vertices along the other axes).

    Raises
    ------
    UnsupportedLayerError
        Without an image whose grid could be taken.
    """
    grid = None if reference is None else reference.geometry
    if reference is None or grid is None or not grid.shape:
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
    there, onto = along_image(snap, reference)[1], grid_along(snap, reference, notes)
    shapes, names = snap.parts, snap.shape_types
    labels = np.zeros(grid.shape, np.uint16 if len(shapes) < 2**16 else np.uint32)
    lead = outer_axes(grid.axes, 2)
    order = [*lead, *(axis for axis in range(grid.ndim) if axis not in lead)]
    planes, outside = labels.transpose(order), 0
    for number, (shape, name) in enumerate(zip(shapes, names, strict=True), start=1):
        points = convert_coordinates(shape, snap.geometry, onto)
        full = np.zeros((len(points), len(grid.shape)))
        for column, place in enumerate(there):
            if place >= 0:
                full[:, place] = points[:, column]
        full = full[:, order]
        place = np.rint(full[:, :-2].mean(axis=0)).astype(int)
        if np.any(place < 0) or np.any(place >= planes.shape[:-2]):
            outside += 1
            continue
        outline = ellipse_outline(full[:, -2:]) if name == "ellipse" else full[:, -2:]
        _draw(planes[tuple(place)], outline, number, filled=name not in ("line", "path"))
    if outside:
        notes.append(f"Shapes outside the image were left out: {outside}.")
    notes.append(f"The shapes of “{snap.name}” were drawn as labels 1 to {len(shapes)}.")
    return replace(
        snap,
        data=labels,
        kind=LayerKind.LABELS,
        geometry=replace(with_known_sizes(reference)[0].geometry, shape=tuple(labels.shape)),
        attributes={},
        path=None,
    )


def _draw(plane: np.ndarray, outline: np.ndarray, number: int, *, filled: bool) -> None:
    from skimage.draw import line_nd, polygon

    if filled:
        plane[polygon(outline[:, 0], outline[:, 1], plane.shape)] = number  # type: ignore[no-untyped-call]
    for start, stop in () if filled else itertools.pairwise(outline):
        places = np.array(line_nd(start, stop, endpoint=True))  # type: ignore[no-untyped-call]
        seen = ((places >= 0) & (places < np.array(plane.shape)[:, None])).all(axis=0)
        plane[tuple(places[:, seen])] = number
