"""Which kinds of layers and which formats go with a data parameter."""

from __future__ import annotations

from typing import cast

from napari_tool_runner.errors import UnsupportedLayerError
from napari_tool_runner.exchange.formats import (
    ANYTHING,
    CarrierName,
    Format,
    format_of,
    kinds_of,
)
from napari_tool_runner.exchange.model import PIXELS
from napari_tool_runner.tools.model import DataParameter, LayerKind

__all__ = [
    "TABULAR",
    "carriers_for",
    "choose_format",
    "declared_kinds",
    "formats_for",
    "matching_kinds",
    "serves",
    "written_directly",
]

_C = CarrierName
TABULAR = (_C.TABLE, _C.ARRAY, _C.NUMBER)

# Carriers of each kind, the best first: exact and quick before small and flat.
_PREFERRED: dict[LayerKind, tuple[CarrierName, ...]] = {
    LayerKind.IMAGE: (_C.TIFF, _C.ZARR, _C.NPY, _C.HDF5, _C.PNG, _C.MOVIE, _C.RASTER),
    LayerKind.LABELS: (_C.TIFF, _C.ZARR, _C.NPY, _C.HDF5, _C.PNG),
    LayerKind.POINTS: (_C.TABLE, _C.GEOJSON),
    LayerKind.SHAPES: (_C.GEOJSON, _C.TABLE),
    LayerKind.TRACKS: (_C.TABLE,),
    LayerKind.VECTORS: (_C.TABLE,),
    LayerKind.SURFACE: (_C.MESH,),
    LayerKind.TABLE: TABULAR,
}
# What is written when a parameter takes any format.
_USUAL = ("tiff", "csv", "geojson", "ply")
# A layer of these kinds serves as well where the key is asked for.
_ALSO: dict[LayerKind, tuple[LayerKind, ...]] = {
    LayerKind.IMAGE: (LayerKind.LABELS,),
    LayerKind.LABELS: (LayerKind.SHAPES,),
    LayerKind.TABLE: (LayerKind.POINTS, LayerKind.TRACKS, LayerKind.VECTORS),
}


def declared_kinds(parameter: DataParameter) -> list[LayerKind]:
    """Return the kinds that the descriptor names; empty: it names none."""
    return [kind for kind in parameter.kinds if kind is not LayerKind.ANY]


def formats_for(parameter: DataParameter) -> list[Format]:
    """Return the formats that can be written for `parameter`."""
    known = [f for name in parameter.formats if (f := format_of(name)) is not None]
    if not parameter.formats or any(n.strip().lower() in ANYTHING for n in parameter.formats):
        known += [cast("Format", format_of(name)) for name in _USUAL]
    return known


def carriers_for(parameter: DataParameter) -> set[CarrierName]:
    """Return the carriers of `formats_for`."""
    return {known.carrier for known in formats_for(parameter)}


def matching_kinds(parameter: DataParameter) -> tuple[LayerKind, ...]:
    """Return the kinds of layers that can become a file that `parameter` accepts."""
    possible = list(
        dict.fromkeys(kind for f in formats_for(parameter) for kind in kinds_of(f.carrier))
    )
    if set(PIXELS) & set(possible):
        possible.append(LayerKind.SHAPES)  # drawn as labels
    declared = declared_kinds(parameter)
    if not declared:
        return tuple(dict.fromkeys(possible))
    wanted = [*declared, *(also for kind in declared for also in _ALSO.get(kind, ()))]
    return tuple(dict.fromkeys(kind for kind in wanted if kind in possible))


def serves(kind: LayerKind, parameter: DataParameter) -> bool:
    """Whether a layer of `kind` is what `parameter` asks for, as it is."""
    declared = declared_kinds(parameter)
    if not declared or kind in declared:
        return True
    return kind is not LayerKind.SHAPES and any(kind in _ALSO.get(d, ()) for d in declared)


def written_directly(kind: LayerKind, parameter: DataParameter) -> bool:
    """Whether a carrier of `parameter` holds `kind` without turning it into another."""
    return bool(carriers_for(parameter) & set(_PREFERRED.get(kind, ())))


def choose_format(kind: LayerKind, parameter: DataParameter) -> Format:
    """Return the best accepted format for a layer of `kind`.

    Raises
    ------
    UnsupportedLayerError
    """
    formats = formats_for(parameter)
    for carrier in _PREFERRED.get(kind, ()):
        for known in formats:
            if known.carrier is carrier:
                return known
    raise UnsupportedLayerError(
        f"A {kind.value} layer cannot be written as {', '.join(parameter.formats)}.",
        hint="Give the path of a file instead.",
    )
