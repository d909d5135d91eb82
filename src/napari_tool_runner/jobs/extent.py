"""The part of the data that a job works on: all, the current slice, each slice, a crop."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from napari_tool_runner.errors import ParameterError

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Index

__all__ = ["Extent"]

Mode: TypeAlias = Literal["whole", "current", "each"]


@dataclass(frozen=True, slots=True)
class Extent:
    """What a tool gets of the layers; axes are those of the job's first image.

    Parameters
    ----------
    mode : {"whole", "current", "each"}
        ``current``: one slice, at `position`; results have only its axes. ``each``:
        every slice (of the crop, if there is one), one after the other; the results
        become one stack again, also when it is a stack of one.
    ndim : int
        How many axes, the last ones, a slice has. Without meaning for ``whole``.
    position : tuple of int
        Index along every axis, for ``current`` (``viewer.dims.current_step``).
    crop : tuple of (int, int) or None
        First index and end along every axis (None: all); an empty tuple: no crop.
    """

    mode: Mode = "whole"
    ndim: int = 2
    position: tuple[int, ...] = ()
    crop: tuple[tuple[int, int] | None, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode) or self.ndim < 0:
            raise ParameterError(
                f"A part of the data cannot be {self.mode!r} of {self.ndim} axes.",
                hint=f"The mode is one of {', '.join(get_args(Mode))}.",
            )

    @property
    def trivial(self) -> bool:
        """Whether everything goes in."""
        return self.mode == "whole" and not any(self.crop)

    def loop_axes(self, shape: Sequence[int]) -> int:
        """Return how many leading axes are taken apart."""
        return 0 if self.mode == "whole" else max(0, len(shape) - self.ndim)

    def apart(self, shape: Sequence[int]) -> bool:
        """Whether the tool runs on slices whose results are put together again."""
        return self.mode == "each" and self.loop_axes(shape) > 0

    def indices(self, shape: Sequence[int]) -> list[Index]:
        """Return the index of every piece, the last loop axis fastest.

        Raises
        ------
        ParameterError
            The crop is empty, or the position outside.
        """
        ranges = self.ranges(shape)
        loop = self.loop_axes(shape)
        inner = tuple(slice(start, stop) for start, stop in ranges[loop:])
        if self.mode == "current":
            if len(self.position) < len(shape):
                raise ParameterError("The current slice needs a position for every axis.")
            position = self.position[-len(shape) :][:loop]
            for axis, (index, size) in enumerate(zip(position, shape, strict=False)):
                if not 0 <= index < size:
                    raise ParameterError(
                        f"Slice {index} of axis {axis} is outside the data (0 to {size - 1})."
                    )
            return [(*position, *inner)]
        places = itertools.product(*[range(start, stop) for start, stop in ranges[:loop]])
        return [(*place, *inner) for place in places]

    def ranges(self, shape: Sequence[int]) -> list[tuple[int, int]]:
        """Return first index and end along every axis, inside the data."""
        crop = self.crop or (None,) * len(shape)
        if len(crop) < len(shape):
            raise ParameterError("The crop needs first and end for every axis.")
        found: list[tuple[int, int]] = []
        for entry, size in zip(crop[-len(shape) :], shape, strict=True):
            start, stop = entry or (0, size)
            start, stop = max(0, start), min(size, stop)
            if start >= stop:
                raise ParameterError(
                    "The part of the layer to work on is empty.",
                    hint="Move the layer into view, or run on the whole.",
                )
            found.append((start, stop))
        return found
