"""Units of lengths and times: their names, sizes and symbols."""

from __future__ import annotations

__all__ = ["canonical", "comparable", "conversion", "dimension", "is_length", "ome_symbol"]

# canonical name -> (dimension, value in metres or seconds, OME symbol, other names)
_UNITS: dict[str, tuple[str, float, str, tuple[str, ...]]] = {
    "angstrom": ("length", 1e-10, "Å", ("\u212b",)),
    "picometer": ("length", 1e-12, "pm", ()),
    "nanometer": ("length", 1e-9, "nm", ("nanometre",)),
    "micrometer": (
        "length", 1e-6, "µm", ("um", "\u03bcm", "micron", "microns", "micrometre", "\\u00b5m"),
    ),
    "millimeter": ("length", 1e-3, "mm", ("millimetre",)),
    "centimeter": ("length", 1e-2, "cm", ()),
    "decimeter": ("length", 1e-1, "dm", ()),
    "meter": ("length", 1.0, "m", ("metre",)),
    "kilometer": ("length", 1e3, "km", ()),
    "inch": ("length", 0.0254, "in", ()),
    "foot": ("length", 0.3048, "ft", ()),
    "nanosecond": ("time", 1e-9, "ns", ()),
    "microsecond": ("time", 1e-6, "µs", ("us", "\u03bcs")),
    "millisecond": ("time", 1e-3, "ms", ()),
    "second": ("time", 1.0, "s", ("sec",)),
    "minute": ("time", 60.0, "min", ()),
    "hour": ("time", 3600.0, "h", ()),
    "day": ("time", 86400.0, "d", ()),
}  # fmt: skip
_NAMES = {
    other: name
    for name, (_, _, symbol, others) in _UNITS.items()
    for other in (name, symbol, *others)
} | dict.fromkeys(("", "px", "pixels", "dimensionless", "reference frame", "frame"), "pixel")


def canonical(unit: object) -> str:
    """Return the napari name of a unit (``µm`` -> ``micrometer``); unknown ones as text."""
    text = str(unit or "").strip()
    lower = text.lower()
    found = _NAMES.get(text) or _NAMES.get(lower)
    if found is None and lower.endswith("s") and lower[:-1] in _UNITS:
        return lower[:-1]
    return text if found is None else found


def dimension(unit: str) -> str:
    """Return what a unit measures: ``length``, ``time``, or an empty text."""
    return _UNITS.get(canonical(unit), ("",))[0]


def is_length(unit: str) -> bool:
    """Whether `unit` is a length (``pixel`` is none)."""
    return dimension(unit) == "length"


def comparable(unit: str, other: str) -> bool:
    """Whether both are lengths, or both times (``pixel`` is neither)."""
    return bool(dimension(unit)) and dimension(unit) == dimension(other)


def conversion(unit: str, other: str) -> float:
    """Return the factor from `unit` to `other`; 1 where they cannot be compared."""
    one, two = (_UNITS.get(canonical(u), ("", 1.0)) for u in (unit, other))
    return one[1] / two[1] if comparable(unit, other) else 1.0


def ome_symbol(unit: str) -> str | None:
    """Return OME's symbol of a unit (``µm``, ``s``, ``pixel``), None if OME has none."""
    name = canonical(unit)
    if name == "pixel":
        return "pixel"
    return _UNITS[name][2] if name in _UNITS else None
