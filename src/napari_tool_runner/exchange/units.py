"""Names of units and what they are worth: napari's (pint) names and OME's symbols."""

from __future__ import annotations

__all__ = ["canonical", "conversion", "is_length", "is_time", "ome_symbol"]

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
