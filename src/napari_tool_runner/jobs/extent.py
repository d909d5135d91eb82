"""The part of the data that a job works on: all, the current slice, each slice, a crop."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.exchange import outer_axes

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
        How many axes a slice has: rows and columns, then depth, wherever they stand among
        the axes. Without meaning for ``whole``.
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

    @property
    def words(self) -> str:
        """Which part it is, as a person reads it; nothing of the whole."""
        which = {"current": "one slice", "each": "each slice"}.get(self.mode, "")
        seen = ("all" if one is None else f"{one[0]}–{one[1] - 1}" for one in self.crop)
        return ", ".join(filter(None, (which, " × ".join(seen) + " px" * bool(self.crop))))

    def loop_axes(self, shape: Sequence[int], axes: str = "") -> list[int]:
        """Return which axes are taken apart, the slowest first.

        `axes`: the letter of each; without them the last ones are rows and columns.
        """
        known = axes or "Q" * len(shape)
        return [] if self.mode == "whole" else outer_axes(known, self.ndim)

    def apart(self, shape: Sequence[int]) -> bool:
        """Whether the tool runs on slices whose results are put together again."""
        return self.mode == "each" and len(self.loop_axes(shape)) > 0

    def indices(self, shape: Sequence[int], axes: str = "") -> list[Index]:
        """Return the index of every piece, the last of `loop_axes` fastest.

        Raises
        ------
        ParameterError
            The crop is empty, or the position outside.
        """
        ranges = self.ranges(shape)
        loop = self.loop_axes(shape, axes)
        box = tuple(slice(start, stop) for start, stop in ranges)

        def piece(place: Sequence[int]) -> Index:
            at = dict(zip(loop, place, strict=True))
            return tuple(at.get(axis, whole) for axis, whole in enumerate(box))

        if self.mode == "current":
            if len(self.position) < len(shape):
                raise ParameterError("The current slice needs a position for every axis.")
            position = self.position[-len(shape) :]
            for axis in loop:
                if not 0 <= position[axis] < shape[axis]:
                    raise ParameterError(
                        f"Slice {position[axis]} of axis {axis} is outside the data "
                        f"(0 to {shape[axis] - 1})."
                    )
            return [piece([position[axis] for axis in loop])]
        return [*map(piece, itertools.product(*[range(*ranges[axis]) for axis in loop]))]

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
