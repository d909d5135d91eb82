"""Axes and units: letters from labels, units and number; units by napari's and OME's names."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "canonical",
    "conversion",
    "default_axes",
    "is_length",
    "is_time",
    "letter",
    "letters_of",
    "named_axes",
    "ome_symbol",
    "real_labels",
]

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


def named_axes(
    labels: Sequence[str], units: Sequence[str], ndim: int
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return letters, units by napari's names, and labels that somebody chose (or none)."""
    chosen = real_labels(labels)
    return letters_of(chosen, units, ndim), tuple(canonical(unit) for unit in units), chosen


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


# canonical name -> (dimension, value in metres or seconds, OME symbol)
_UNITS: dict[str, tuple[str, float, str]] = {
    "angstrom": ("length", 1e-10, "Å"),
    "picometer": ("length", 1e-12, "pm"),
    "nanometer": ("length", 1e-9, "nm"),
    "micrometer": ("length", 1e-6, "µm"),
    "millimeter": ("length", 1e-3, "mm"),
    "centimeter": ("length", 1e-2, "cm"),
    "decimeter": ("length", 1e-1, "dm"),
    "meter": ("length", 1.0, "m"),
    "kilometer": ("length", 1e3, "km"),
    "inch": ("length", 0.0254, "in"),
    "foot": ("length", 0.3048, "ft"),
    "nanosecond": ("time", 1e-9, "ns"),
    "microsecond": ("time", 1e-6, "µs"),
    "millisecond": ("time", 1e-3, "ms"),
    "second": ("time", 1.0, "s"),
    "minute": ("time", 60.0, "min"),
    "hour": ("time", 3600.0, "h"),
    "day": ("time", 86400.0, "d"),
}
_ALIASES = {
    "": "pixel",
    "px": "pixel",
    "pixels": "pixel",
    "dimensionless": "pixel",
    "reference frame": "pixel",
    "um": "micrometer",
    "\u03bcm": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometre": "micrometer",
    "\\u00b5m": "micrometer",
    "nanometre": "nanometer",
    "millimetre": "millimeter",
    "metre": "meter",
    "sec": "second",
    "us": "microsecond",
    "\u03bcs": "microsecond",
    "minutes": "minute",
    "hours": "hour",
    "frame": "pixel",
    "\u212b": "angstrom",
} | {symbol: name for name, (_, _, symbol) in _UNITS.items()}


def canonical(unit: object) -> str:
    """Return the napari name of a unit (``µm`` -> ``micrometer``); unknown ones as text."""
    text = str(unit or "").strip()
    if text in _UNITS:
        return text
    if text in _ALIASES:
        return _ALIASES[text]
    lower = text.lower()
    if lower in _UNITS:
        return lower
    if lower in _ALIASES:
        return _ALIASES[lower]
    return lower[:-1] if lower.endswith("s") and lower[:-1] in _UNITS else text


def is_length(unit: str) -> bool:
    """Whether `unit` is a length (``pixel`` is none)."""
    return _UNITS.get(canonical(unit), ("",))[0] == "length"


def is_time(unit: str) -> bool:
    """Whether `unit` is a duration."""
    return _UNITS.get(canonical(unit), ("",))[0] == "time"


def conversion(unit: str, other: str) -> float:
    """Return the factor from `unit` to `other`; 1 where they cannot be compared."""
    known = _UNITS.get(canonical(unit)), _UNITS.get(canonical(other))
    if known[0] is None or known[1] is None or known[0][0] != known[1][0]:
        return 1.0
    return known[0][1] / known[1][1]


def ome_symbol(unit: str) -> str | None:
    """Return OME's symbol of a unit (``µm``, ``s``, ``pixel``), None if OME has none."""
    name = canonical(unit)
    if name == "pixel":
        return "pixel"
    return _UNITS[name][2] if name in _UNITS else None
