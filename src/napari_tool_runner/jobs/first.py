"""Which picture of several tells a run how large pixels are, and so in which unit numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.exchange import sized_as, with_known_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_tool_runner.exchange import Geometry, LayerSnapshot

__all__ = ["told_first"]


def told_first(snaps: Iterable[LayerSnapshot]) -> Geometry | None:
    """Return the geometry that a tool is told of the first image; others are asked if need be.

    Without an image that of the first layer of places: points, tracks.
    """
    some = [snap for snap in snaps if snap.geometry.axes]  # others are files, and gone
    images = (snap for snap in some if snap.kind.is_pixels)
    first = next(images, None)
    if first is None:
        return next((snap.geometry for snap in some if "X" in snap.geometry.axes), None)
    return with_known_sizes(sized_as(first, images))[0].geometry
