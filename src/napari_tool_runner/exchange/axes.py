"""What the axes of pixels are: told by names and units, else guessed and said to be a guess.

An axis has a letter: ``T C Z Y X``, or ``Q`` where nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from napari_tool_runner.errors import ParameterError

__all__ = [
    "are_colours",
    "chosen_labels",
    "default_axes",
    "in_words",
    "letter",
    "letters",
    "outer_axes",
    "rank",
    "read_axes",
]

_WORDS = {
    "T": ("t", "time", "frame", "frames", "timepoint", "timestep"),
    "C": ("c", "ch", "channel", "channels", "color", "colour"),
    "Z": ("z", "depth", "plane", "slice", "section"),
    "Y": ("y", "row", "rows", "height", "lat"),
    "X": ("x", "col", "column", "columns", "width", "lon"),
}
_LETTERS = {word: axis for axis, words in _WORDS.items() for word in words}


def letter(label: object) -> str:
    """Return the letter that a name of an axis means (``Time`` -> ``T``), empty for none."""
    return _LETTERS.get(str(label).strip().lower(), "")


def default_axes(ndim: int) -> str:
    """Return the usual letters of `ndim` axes without names: ``YX ZYX TZYX TCZYX``."""
    usual = {0: "", 1: "X", 2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}
    return usual[ndim] if ndim in usual else "Q" * (ndim - 5) + "TCZYX"


def rank(axis: str) -> int:
    """Return where an axis stands in the usual order; one of another name before all."""
    return "QTCZYX".find(axis)


def outer_axes(axes: str, inner: int) -> list[int]:
    """Return which of `axes` slices of `inner` axes lie along, the slowest first.

    A slice has rows and columns, a volume depth too, wherever they stand among `axes`.
    """
    order = sorted(range(len(axes)), key=lambda i: rank(axes[i]))
    return order[: max(0, len(axes) - inner)]


def are_colours(shape: Sequence[int]) -> bool:
    """Whether napari takes the last axis of a bare array for red, green, blue (and alpha)."""
    return len(shape) > 2 and shape[-1] in (3, 4) and all(size > 30 for size in shape[-3:-1])


def in_words(axes: Iterable[str], between: str = ", ") -> str:
    """Return letters for a person: ``Z, Y, X``, ``?`` where nobody knows."""
    return between.join("?" if axis == "Q" else axis for axis in axes)


def read_axes(text: str, ndim: int) -> tuple[str, ...]:
    """Return the names of axes that a person wrote: ``TZCYX``, ``t, y, x``, ``time y x``.

    Raises
    ------
    ParameterError
        Others than `ndim`, one twice, or one that nobody knows.
    """
    words = re.findall(r"[^\s,;·/]+", text)
    words = [*words[0]] if len(words) == 1 else words
    found = ["?" if word in ("?", "Q", "q") else letter(word) for word in words]
    known = [axis for axis in found if axis != "?"]
    if len(found) != ndim or not all(known) or len(set(known)) < len(known):
        raise ParameterError(
            f"“{text}” does not name {ndim} axes.",
            name="axes",
            hint=f"Write {ndim} letters of T C Z Y X, each once, and ? for what you do not know.",
        )
    return tuple(axis.lower() for axis in found)


def chosen_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return `labels` when somebody chose them, empty for napari's numbered defaults."""
    bare = [label.removeprefix("axis").strip().lstrip("-") for label in labels]
    return () if all(not label or label.isdigit() for label in bare) else tuple(labels)


def letters(labels: Sequence[str], dimensions: Sequence[str]) -> str:
    """Return one letter an axis; what chosen labels do not say is told by units and number.

    Letters are unique except ``Q``. `dimensions`: what the unit of each axis measures
    (``length``, ``time``, or an empty text).
    """
    ndim = len(dimensions)
    found = [letter(label) for label in labels] or [""] * ndim
    found = [axis if axis and found.index(axis) == i else "" for i, axis in enumerate(found)]
    for i, dimension in enumerate(dimensions):
        if not found[i] and dimension == "time" and "T" not in found:
            found[i] = "T"
    if not any(found):
        return default_axes(ndim)
    # The last unnamed axes are space, unless a name that nobody knows says otherwise:
    # an image has rows and columns.
    free = [axis for axis in "XYZ" if axis not in found]
    for i in reversed([i for i in range(ndim) if not found[i]]):
        unknown = labels and dimensions[i] != "length" and free[:1] in ([], ["Z"])
        found[i] = free.pop(0) if free and not unknown else "Q"
    return "".join(found)
