"""Units of lengths and times: their names, sizes and symbols.

All that OME knows, in the writings of English, German, French, Spanish and Italian; others as
pint knows them, which napari brings.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from napari_tool_runner._lazy import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_tool_runner.exchange.model import Geometry

__all__ = [
    "canonical",
    "comparable",
    "conversion",
    "dimension",
    "in_ome_unit",
    "is_length",
    "is_shown",
    "ome_symbol",
    "share_here",
    "steps_told",
    "unit_here",
    "unit_word",
]

_PREFIXES = {
    "yotta": ("Y", 24), "zetta": ("Z", 21), "exa": ("E", 18), "peta": ("P", 15),
    "tera": ("T", 12), "giga": ("G", 9), "mega": ("M", 6), "kilo": ("k", 3), "hecto": ("h", 2),
    "deca": ("da", 1), "": ("", 0), "deci": ("d", -1), "centi": ("c", -2), "milli": ("m", -3),
    "micro": ("µ", -6), "nano": ("n", -9), "pico": ("p", -12), "femto": ("f", -15),
    "atto": ("a", -18), "zepto": ("z", -21), "yocto": ("y", -24),
}  # fmt: skip
_LONGEST = 100  # of a name of a unit
_WORD = 4  # letters: shorter names are symbols, which mean other things elsewhere
_POWER = compiled(r"(.+?)\^?([23²³])")
# canonical name -> (dimension, value in metres or seconds, OME symbol)
_UNITS: dict[str, tuple[str, float, str]] = {
    f"{prefix}{name}": (dimension, float(f"1e{power}"), f"{sign}{symbol}")
    for name, dimension, symbol in (("meter", "length", "m"), ("second", "time", "s"))
    for prefix, (sign, power) in _PREFIXES.items()
} | {
    "angstrom": ("length", 1e-10, "Å"),
    "thou": ("length", 2.54e-5, "thou"),
    "line": ("length", 0.0254 / 12, "li"),
    "point": ("length", 0.0254 / 72, "pt"),
    "inch": ("length", 0.0254, "in"),
    "foot": ("length", 0.3048, "ft"),
    "yard": ("length", 0.9144, "yd"),
    "mile": ("length", 1609.344, "mi"),
    "astronomical_unit": ("length", 149597870700.0, "ua"),
    "light_year": ("length", 9460730472580800.0, "ly"),
    "parsec": ("length", 3.0856775814913673e16, "pc"),
    "minute": ("time", 60.0, "min"),
    "hour": ("time", 3600.0, "h"),
    "day": ("time", 86400.0, "d"),
}
_OTHERS = {
    "um": "micrometer", "micron": "micrometer", "mikron": "micrometer",
    "micra": "micrometer", "us": "microsecond", "mil": "thou", "inches": "inch", "feet": "foot",
    "au": "astronomical_unit", "lightyear": "light_year", "sec": "second", "hr": "hour",
} | dict.fromkeys(
    ("", "pixel", "px", "pix", "voxel", "dimensionless", "reference frame", "frame"), "pixel"
)  # fmt: skip


def _plain(text: str) -> str:
    """Return a name with one writing of µ and Å, whose accents are gone."""
    told = unicodedata.normalize("NFKC", text).replace("Å", "\ue000")
    bare = unicodedata.normalize("NFD", told).replace("\ue000", "Å")
    return "".join(sign for sign in bare if not unicodedata.combining(sign))


_NAMES = {
    _plain(other): name for name, (_, _, symbol) in _UNITS.items() for other in (name, symbol)
} | _OTHERS


def canonical(unit: object) -> str:
    """Return the napari name of a unit (``µm`` -> ``micrometer``); unknown ones as text."""
    return _canonical(str(unit or "").strip())


@lru_cache(maxsize=256)
def _canonical(given: str) -> str:
    if len(given) > _LONGEST:
        return given
    text = _plain(re.sub(r"\\u00[bB]5", "µ", given)).rstrip(".")
    lower = text.lower()
    found = _NAMES.get(text) or _NAMES.get(lower)
    if found is None:  # mikrometer, nanomètres, micrómetros, Sekunden
        lower = lower.replace("mikro", "micro").replace("zenti", "centi").replace("deka", "deca")
        lower = re.sub(r"met(?:re|ro|ri)$|met(?:re|er|ro)s$", "meter", lower)
        lower = re.sub(r"(?:sekunden?|secondes?|segundos?|secondo)$", "second", lower)
        found = _NAMES.get(lower) or _NAMES.get(lower.removesuffix("s"))
    return given if found is None else found


@lru_cache(maxsize=256)
def _known(unit: str) -> tuple[str, float]:
    """Return what a unit measures, and how many metres or seconds it is."""
    name = canonical(unit)
    return _UNITS[name][:2] if name in _UNITS else _of_pint(name)


def _of_pint(name: str) -> tuple[str, float]:
    if len(name) < _WORD or name == "pixel" or not is_shown(name):
        return "", 1.0
    from pint import get_application_registry

    given = get_application_registry().Quantity(1.0, name)  # type: ignore[no-untyped-call]
    for what, usual in (("length", "meter"), ("time", "second")):
        if given.check(f"[{what}]"):
            return what, float(given.m_as(usual))
    return "", 1.0


def dimension(unit: str) -> str:
    """Return what a unit measures: ``length``, ``time``, or an empty text."""
    return _known(unit)[0]


def is_length(unit: str) -> bool:
    """Whether `unit` is a length (``pixel`` is none)."""
    return dimension(unit) == "length"


def is_shown(unit: str) -> bool:
    """Whether a layer of napari can have a unit: one of ours, or another that pint knows."""
    name = canonical(unit)
    if name == "pixel" or (name in _UNITS and name != "line"):
        return True
    if not name.isidentifier() or name.startswith("_") or len(name) > 40:
        return False  # pint works out whatever is more than a name
    try:
        from pint import PintError, get_application_registry
    except ImportError:  # without napari
        return False
    try:
        return name in get_application_registry()  # type: ignore[no-untyped-call]
    except (PintError, ValueError):  # "nan" and "inf" are numbers to it
        return False


def comparable(unit: str, other: str) -> bool:
    """Whether both are lengths, or both times (``pixel`` is neither)."""
    return bool(dimension(unit)) and dimension(unit) == dimension(other)


def conversion(unit: str, other: str) -> float:
    """Return the factor from `unit` to `other`; 1 where they cannot be compared."""
    return _known(unit)[1] / _known(other)[1] if comparable(unit, other) else 1.0


def ome_symbol(unit: str) -> str | None:
    """Return OME's symbol of a unit (``µm``, ``s``, ``pixel``), None if OME has none."""
    name = canonical(unit)
    if name == "pixel":
        return "pixel"
    return _UNITS[name][2] if name in _UNITS else None


def in_ome_unit(size: float, unit: str) -> tuple[float, str]:
    """Return a size in micrometres or seconds where OME does not know its unit."""
    usual = {"length": "micrometer", "time": "second"}.get(dimension(unit), "")
    if not usual or ome_symbol(unit) is not None:
        return size, unit
    return size * conversion(unit, usual), usual


def unit_here(told: str, geometry: Geometry) -> str:
    """Return which of two units holds for data: of ``µm or px`` the first where they say it."""
    first, _, other = told.partition(" or ")
    if not other or not _axes_of(first)[0]:
        return told  # not the data decide
    return first if share_here(told, steps_told(geometry)) else other


def share_here(told: str, steps: Mapping[str, tuple[float, str]]) -> float:
    """Return how much of the first of two units the second one is: 0.325 of ``µm or px``.

    0 where data do not say it. Areas, volumes and times, too: ``µm² or px``, ``s or frames``.
    `steps`: what `steps_told` tells.
    """
    axes, base = _axes_of(told.partition(" or ")[0])
    share = float(bool(axes))
    for axis in axes:
        size, unit = steps.get(axis, (0.0, ""))
        share *= size * conversion(unit, base) if comparable(unit, base) else 0
    return share


def steps_told(geometry: Geometry) -> dict[str, tuple[float, str]]:
    """Return axis -> size of a step and its unit, of those in a unit of length or time."""
    sizes = geometry.scale or (1.0,) * len(geometry.units)
    told = zip(geometry.axes, sizes, geometry.units, strict=False)
    return {axis: (abs(size), unit) for axis, size, unit in told if dimension(unit)}


def _axes_of(unit: str) -> tuple[str, str]:
    """Return the axes that decide how large a pixel or frame is in `unit`, and the unit along."""
    found = _POWER.fullmatch(unit)
    base, power = (found[1], unicodedata.digit(found[2])) if found else (unit, 1)
    axes = {"length": "XYZ"[:power], "time": "T" if power == 1 else ""}
    return axes.get(dimension(base), ""), base


def unit_word(unit: str) -> str:
    """Return a unit as it stands beside a number: pixels have one word, micrometres another."""
    words = dict.fromkeys(("pix", "pixel", "pixels"), "px") | dict.fromkeys(("um", "μm"), "µm")
    return " or ".join(words.get(one, one) for one in unit.split(" or "))
