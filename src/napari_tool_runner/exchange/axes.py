"""Letters of axes: from a layer's labels, from units, from the number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from napari_tool_runner.exchange.units import is_length, is_time

__all__ = ["default_axes", "letter", "letters_of", "real_labels"]

_WORDS = {
    "T": ("t", "time", "frame", "frames", "timepoint"),
    "C": ("c", "ch", "channel", "channels", "color", "colour"),
    "Z": ("z", "depth", "plane", "slice", "section"),
    "Y": ("y", "row", "rows", "height", "lat"),
    "X": ("x", "col", "column", "columns", "width", "lon"),
}
_LETTERS = {word: axis for axis, words in _WORDS.items() for word in words}


def letter(label: str) -> str:
    """Return the letter of one axis label (``Time`` -> ``T``), empty when unknown."""
    return _LETTERS.get(label.strip().lower(), "")


def default_axes(ndim: int) -> str:
    """Return the usual letters of `ndim` axes without names: ``YX ZYX TZYX TCZYX``."""
    usual = {0: "", 1: "X", 2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}
    return usual[ndim] if ndim in usual else "Q" * (ndim - 5) + "TCZYX"


def real_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return `labels` when somebody chose them, empty for napari's numbered defaults."""
    named = tuple(str(label) for label in labels)
    bare = [label.removeprefix("axis").strip().lstrip("-") for label in named]
    return () if all(not label or label.isdigit() for label in bare) else named


def letters_of(labels: Sequence[str], units: Sequence[str], ndim: int) -> str:
    """Return one letter an axis; what labels do not say is told by units and number.

    Letters are unique except ``Q``, which stands for an axis that nobody knows.
    """
    found = [letter(label) for label in labels] if len(labels) == ndim else [""] * ndim
    found = [axis if axis and found.index(axis) == i else "" for i, axis in enumerate(found)]
    for i, unit in enumerate(units if len(units) == ndim else ()):
        if not found[i] and is_time(unit) and "T" not in found:
            found[i] = "T"
    spatial = [i for i in range(ndim) if not found[i]]
    if not any(found):
        return default_axes(ndim)
    # The last unnamed axes are space, unless a unit says otherwise.
    free = [axis for axis in "XYZ" if axis not in found]
    for i in reversed(spatial):
        named = len(labels) == ndim and real_labels(labels) and not is_length(_at(units, i))
        found[i] = free.pop(0) if free and not named else "Q"
    return "".join(found)


def _at(units: Sequence[str], index: int) -> str:
    return units[index] if index < len(units) else ""
