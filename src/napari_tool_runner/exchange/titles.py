"""What a column is called above its values: its unit as people write it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from napari_tool_runner.exchange.units import unit_word

__all__ = ["column_title", "counted_only"]

_UNIT_AT_END = re.compile(r"(.*[^\W_])_([nµμum]m|px|ms|s)([23²³]?)")
_WHOSE = re.compile(r"(.+?)( (?:of|by) .+)", re.DOTALL)
_CENTRE = re.compile(r"centroid[-_]([xyz]|\d)")
_COUNTED = {"pixels": "area", "voxels": "volume"}
"""Columns of objects that count -> what they tell."""
_POWERS = str.maketrans("23", "²³")


def column_title(name: str, *, of_objects: bool = False) -> str:
    """Return a column's name as a title: ``area_um2`` is ``area (µm²)``.

    A centre without a unit is in pixels, as it is where coordinates are read; the ``pixels``
    `of_objects` are their ``area (px)``. ``length_um of GFP`` is ``length of GFP (µm)``.
    """
    if of_objects and name in _COUNTED:
        return f"{_COUNTED[name]} ({unit_word(name)})"
    if _CENTRE.fullmatch(name):
        return f"{name} (px)"
    found, whose = _UNIT_AT_END.fullmatch(name), _WHOSE.fullmatch(name)
    if found is None and whose is not None:
        title, begin, unit = column_title(whose[1], of_objects=of_objects).partition(" (")
        return f"{title}{whose[2]}{begin}{unit}"
    if found is None:
        return name
    sign = {"um": "µm", "μm": "µm"}.get(found[2], found[2])
    return f"{found[1]} ({sign}{found[3].translate(_POWERS)})"


def counted_only(names: Iterable[str]) -> bool:
    """Whether columns tell sizes in pixels and none in a length: the image had no pixel size."""
    told = [*names]
    units = {found[2] for found in map(_UNIT_AT_END.fullmatch, told) if found is not None}
    return not {"nm", "um", "µm", "μm"} & units and any(name in _COUNTED for name in told)
