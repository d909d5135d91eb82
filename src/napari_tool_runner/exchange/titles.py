"""What a column is called above its values: its unit as people write it."""

from __future__ import annotations

import re

__all__ = ["column_title"]

_UNIT_AT_END = re.compile(r"(.*[^\W_])_([nµμum]m|px|ms|s)([23²³]?)")
_POWERS = str.maketrans("23", "²³")


def column_title(name: str) -> str:
    """Return a column's name as a title: ``area_um2`` is ``area (µm²)``."""
    found = _UNIT_AT_END.fullmatch(name)
    if found is None:
        return name
    sign = {"um": "µm", "μm": "µm"}.get(found[2], found[2])
    return f"{found[1]} ({sign}{found[3].translate(_POWERS)})"
