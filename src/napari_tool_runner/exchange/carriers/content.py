"""What carriers get to write and give back: plain values, no layer, no tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    from napari_tool_runner.exchange.blocks import ArrayLike
    from napari_tool_runner.exchange.model import Geometry

__all__ = ["Content", "Pixels", "Progress", "ShapeList", "SurfaceData", "Table"]

Table: TypeAlias = "dict[str, np.ndarray]"
"""Columns by name, each of shape (N,)."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with bytes done and in all; may raise to stop the writing."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """Pixels on their way to a file.

    `array` has the axes of `geometry`, and one more, the last, when `rgb`.
    """

    array: ArrayLike
    geometry: Geometry
    name: str
    rgb: bool = False
    labels: bool = False
    channel_names: tuple[str, ...] = ()

    @property
    def axes(self) -> str:
        """Letters of all axes of `array`, ``S`` for the samples of RGB."""
        return self.geometry.axes + ("S" if self.rgb else "")


@dataclass(frozen=True, slots=True)
class ShapeList:
    """Shapes or points of a file: vertices of shape (M, D) each, and their types."""

    vertices: tuple[np.ndarray, ...]
    types: tuple[str, ...]
    features: Table = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SurfaceData:
    """A mesh: vertices (V, D), triangles (F, 3), one value a vertex (V,) or None."""

    vertices: np.ndarray
    faces: np.ndarray
    values: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds.

    Parameters
    ----------
    data : ArrayLike, list of ArrayLike, Table, ShapeList or SurfaceData
        A list: the levels of a multiscale image.
    geometry : Geometry or None
        What the file itself says of its axes; None when it says nothing. Its scale
        counts only when `calibrated`.
    rgb : bool
        The last axis holds the samples of a colour (the file says so).
    header : bool
        Whether the columns of a table have names of their own.
    """

    data: object
    geometry: Geometry | None = None
    calibrated: bool = False
    rgb: bool = False
    multiscale: bool = False
    header: bool = True
    attributes: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
