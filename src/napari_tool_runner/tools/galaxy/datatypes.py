"""What Galaxy's tools want of formats beyond the common table.

Its imaging tools take points as ``pos_x``, ``pos_y``, by name or by place, and images of any
type.
"""

from __future__ import annotations

from napari_tool_runner.tools.formats import FORMATS, Trait

__all__ = ["GALAXY_FORMATS", "TRAITS"]

_POINTS = (Trait.XYZ, Trait.POSITIONS)
TRAITS = {
    "tiff": (Trait.PLAIN,),
    "tif": (Trait.PLAIN,),
    "csv": (Trait.XYZ,),
    "tsv": _POINTS,
    "tabular": _POINTS,
}
"""Facts that are true of formats in Galaxy only."""

GALAXY_FORMATS = FORMATS.with_traits(TRAITS)
"""The built-in formats as Galaxy's tools see them."""
