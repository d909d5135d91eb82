"""What part of the chosen layers a run gets: all, one slice, each slice, what is seen.

Worked out from the layer and the sliders; the job does the rest (`jobs.Extent`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.jobs import Extent
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.tree import map_data
from napari_tool_runner.widgets.forms.layer_source import kind_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_tool_runner.tools.model import Tool

__all__ = ["Choice", "Sliced", "sliced"]

_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)


class Choice(StrEnum):
    """How many of the slices the tool gets."""

    WHOLE = "whole"
    EACH = "each"
    CURRENT = "current"


def sliced(tool: Tool, values: Mapping[str, object], viewer: ViewerModel | None) -> Sliced | None:
    """Return how the first image or labels among `values` can be cut, None without one."""
    found: list[tuple[object, DataParameter]] = []

    def look(_: str, parameter: DataParameter, value: object) -> object:
        entries = value if isinstance(value, list | tuple) else [value]
        if set(parameter.kinds) & {*_PIXELS, LayerKind.ANY}:
            found.extend((entry, parameter) for entry in entries if entry is not None)
        return value

    if viewer is None:
        return None
    map_data(tool.inputs, values, look)
    for value, parameter in found:
        kind = kind_of(value)
        if kind in _PIXELS:
            return Sliced(value, parameter, viewer)
        if kind is LayerKind.ANY:
            return None  # a file: the job cuts by what it holds, which is not known here
    return None


class Sliced:
    """A layer, what its tool takes, and the viewer that shows a part of it.

    Parameters
    ----------
    layer : Layer
        Of pixels; the axes of an `Extent` are those of its data.
    parameter : DataParameter
        The input that it goes to.
    """

    def __init__(self, layer: object, parameter: DataParameter, viewer: ViewerModel) -> None:
        self._layer = cast("Layer", layer)
        self._viewer = viewer
        fewer = [n for n in parameter.ndim if 2 <= n < self._layer.ndim]
        self.inner = 2 if not parameter.ndim else max(fewer, default=0)
        """Axes of one slice; 0: the tool takes no slices of this layer."""
        self.needed = bool(parameter.ndim) and self._layer.ndim > max(parameter.ndim)
        """Whether the tool takes fewer dimensions than the layer has."""
        if self._layer.ndim <= self.inner:
            self.inner = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the axes of the data (of the finest level)."""
        data = self._layer.data[0] if self._layer.multiscale else self._layer.data
        return tuple(int(size) for size in data.shape[: self._layer.ndim])

    @property
    def depth(self) -> int:
        """How many leading axes are taken apart."""
        return len(self.shape) - self.inner if self.inner else 0

    @property
    def count(self) -> int:
        """Number of slices."""
        return prod(self.shape[: self.depth])

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What can be chosen; the usual one first."""
        if not self.depth:
            return (Choice.WHOLE,)
        if self.needed:
            return (Choice.EACH, Choice.CURRENT, Choice.WHOLE)
        return (Choice.WHOLE, Choice.CURRENT, Choice.EACH)

    def position(self) -> tuple[int, ...]:
        """Return where the sliders stand, in pixels of the layer."""
        point = np.asarray(self._viewer.dims.point, float)[-self._layer.ndim :]
        pixel = np.asarray(self._layer.world_to_data(point))
        return tuple(
            int(np.clip(round(float(at)), 0, size - 1))
            for at, size in zip(pixel, self.shape, strict=True)
        )

    def visible(self) -> tuple[tuple[int, int] | None, ...]:
        """Return first pixel and end along the displayed axes; empty when all is in view.

        Only of a 2-D display: in 3-D nothing says which part is looked at.
        """
        dims, layer = self._viewer.dims, self._layer
        if dims.ndisplay != 2:
            return ()
        corners = np.asarray(layer.corner_pixels, float)
        if layer.multiscale:
            corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
        missing = dims.ndim - layer.ndim
        box: list[tuple[int, int] | None] = [None] * layer.ndim
        for shown in dims.displayed:
            axis = shown - missing
            if axis < 0:
                continue
            size = self.shape[axis]
            low = int(np.clip(np.floor(corners[0][axis]), 0, size))
            high = int(np.clip(np.ceil(corners[1][axis]) + 1, 0, size))
            # before the first drawing the corners are all 0
            if high - low > 1 and (low > 0 or high < size):
                box[axis] = (low, high)
        return tuple(box) if any(box) else ()

    def extent(self, choice: Choice, *, seen: bool) -> Extent | None:
        """Return what goes into the job; None for everything.

        The current slice is a stack of one: its result lies at that slice, and does not
        cover the others.
        """
        box = list(self.visible() if seen else ()) or [None] * len(self.shape)
        if choice is Choice.CURRENT:
            for axis, at in enumerate(self.position()[: self.depth]):
                box[axis] = (at, at + 1)
        mode = Choice.WHOLE if choice is Choice.WHOLE else Choice.EACH
        extent = Extent(mode.value, ndim=self.inner or 2, crop=tuple(box) if any(box) else ())
        return None if extent.trivial else extent

    # -- in words --------------------------------------------------------------------------

    @property
    def noun(self) -> str:
        """What a slice is called."""
        return "volume" if self.inner == 3 else "slice"

    def place(self) -> str:
        """Return ``z 12/23``, as the sliders say it."""
        return ", ".join(
            f"{self._axis(axis)} {at}/{self.shape[axis] - 1}".strip()
            for axis, at in enumerate(self.position()[: self.depth])
        )

    def label(self, choice: Choice) -> str:
        """Return `choice` for a combo box."""
        if choice is Choice.EACH:
            return f"each {self.noun} ({self.count})"
        if choice is Choice.CURRENT:
            return f"current {self.noun} ({self.place()})"
        return "whole stack" if self.depth else "whole layer"

    def explain(self, choice: Choice, *, seen: bool) -> str:
        """Return what will happen, when it is not what one expects anyway."""
        words: list[str] = []
        if choice is Choice.EACH:
            along = ", ".join(filter(None, map(self._axis, range(self.depth))))
            which = f"{self.noun} along {along}" if along else self.noun
            words.append(
                "One run" if self.count == 1 else f"{self.count} runs, one for each {which}"
            )
        elif choice is Choice.CURRENT:
            words.append(f"One run, at {self.place()}")
        if seen and (box := self.visible()):
            part = " × ".join(str(entry[1] - entry[0]) for entry in box if entry)
            whole = " × ".join(
                str(size) for entry, size in zip(box, self.shape, strict=True) if entry
            )
            words.append(f"{'on' if words else 'Only'} the {part} of {whole} pixels in view")
        said = ", ".join(words)
        if choice is Choice.EACH:
            return f"{said}; the results become one stack, labels stay distinct."
        said = f"{said}; the result lies there." if said else ""
        if choice is Choice.WHOLE and self.needed and self.depth:
            said = f"The tool is made for {self.inner}-D data: it may refuse the stack. {said}"
        return said.strip()

    def _axis(self, axis: int) -> str:
        label = str(self._layer.axis_labels[axis])
        # napari's default labels are negative numbers, which tell nobody anything
        named = label.strip("-").isalpha() and not label.startswith("axis")
        return label if named else ("" if self.depth == 1 else f"axis {axis}")
