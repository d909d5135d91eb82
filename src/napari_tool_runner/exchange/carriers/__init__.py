"""The file formats that carry layers: each module writes and reads one family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_tool_runner.errors import OutputError, UnsupportedLayerError
from napari_tool_runner.exchange.carriers.arrays import (
    read_hdf5,
    read_npy,
    write_hdf5,
    write_npy,
)
from napari_tool_runner.exchange.carriers.geojson import read_geojson, write_geojson
from napari_tool_runner.exchange.carriers.mesh import read_mesh, write_mesh
from napari_tool_runner.exchange.carriers.movie import read_movie, write_movie
from napari_tool_runner.exchange.carriers.raster import read_raster, write_raster
from napari_tool_runner.exchange.carriers.tables import read_numbers, read_table
from napari_tool_runner.exchange.carriers.tiff import read_tiff, write_tiff
from napari_tool_runner.exchange.carriers.trackmate import read_trackmate
from napari_tool_runner.exchange.carriers.zarr import read_zarr, write_zarr
from napari_tool_runner.exchange.coordinates import feature_columns
from napari_tool_runner.exchange.formats import CarrierName, Format
from napari_tool_runner.exchange.model import ShapeList, SurfaceData
from napari_tool_runner.tools.model import LayerKind

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Content, LayerSnapshot, Pixels, Progress

__all__ = ["read_file", "write_geometry", "write_pixels"]


def read_file(
    path: Path, carrier: CarrierName, *, name: str, fmt: str = "", writable: bool = False
) -> Content:
    """Open a file by its carrier.

    Parameters
    ----------
    name : str
        For the column of a single number or array.
    fmt : str
        Name of the format in the dialect.
    writable : bool
        The pixels will be edited.

    Raises
    ------
    OutputError
        It cannot be read.
    """
    match carrier:
        case CarrierName.TIFF:
            return read_tiff(path, writable=writable)
        case CarrierName.ZARR:
            return read_zarr(path, writable=writable)
        case CarrierName.PNG | CarrierName.RASTER:
            return read_raster(path)
        case CarrierName.NPY:
            return read_npy(path, writable=writable)
        case CarrierName.HDF5:
            return read_hdf5(path)
        case CarrierName.MOVIE:
            return read_movie(path)
        case CarrierName.TABLE:
            return read_table(path, tabs=fmt in ("tsv", "tabular") or path.suffix == ".tsv")
        case CarrierName.ARRAY | CarrierName.NUMBER:
            return read_numbers(path, name)
        case CarrierName.GEOJSON:
            return read_geojson(path)
        case CarrierName.MESH:
            return read_mesh(path)
        case CarrierName.TRACKMATE:
            return read_trackmate(path)
        case CarrierName.OPAQUE:
            raise OutputError(f"{path.name} holds nothing that a layer could show.")


def write_pixels(
    pixels: Pixels, fmt: Format, path: Path, *, dialect: str, progress: Progress | None = None
) -> list[str]:
    """Write an image or labels; return notes.

    Raises
    ------
    UnsupportedLayerError, LossyConversionError
    """
    match fmt.carrier:
        case CarrierName.TIFF:
            any_type = dialect == "galaxy" and not fmt.name.startswith("ome")
            return write_tiff(pixels, path, any_type=any_type, progress=progress)
        case CarrierName.ZARR:
            version = "0.5" if fmt.name.endswith(("3", "0.5")) else "0.4"
            return write_zarr(pixels, path, version=version, progress=progress)
        case CarrierName.PNG | CarrierName.RASTER:
            return write_raster(pixels, path)
        case CarrierName.NPY:
            return write_npy(pixels, path, progress=progress)
        case CarrierName.HDF5:
            return write_hdf5(pixels, path, progress=progress)
        case CarrierName.MOVIE:
            return write_movie(pixels, path, progress=progress)
        case _:
            raise UnsupportedLayerError(f"Pixels cannot be written as {fmt.name}.")


def write_geometry(snap: LayerSnapshot, fmt: Format, path: Path) -> list[str]:
    """Write points or shapes as GeoJSON, a surface as a mesh; return notes.

    Raises
    ------
    UnsupportedLayerError
    """
    if fmt.carrier is CarrierName.MESH and snap.kind is LayerKind.SURFACE:
        vertices, faces, *rest = (np.asarray(a) for a in cast("Sequence[object]", snap.data))
        values = rest[0] if rest and rest[0].ndim == 1 else None
        return write_mesh(SurfaceData(vertices, faces, values), path, binary="binary" in fmt.name)
    if fmt.carrier is CarrierName.GEOJSON and snap.kind in (LayerKind.POINTS, LayerKind.SHAPES):
        return write_geojson(_as_shapes(snap), path, axes=snap.geometry.axes)
    raise UnsupportedLayerError(f"A {snap.kind.value} layer cannot be written as {fmt.name}.")


def _as_shapes(snap: LayerSnapshot) -> ShapeList:
    if snap.kind is LayerKind.POINTS:
        vertices = [np.asarray(point)[None] for point in np.asarray(snap.data)]
        types: Sequence[str] = ["point"] * len(vertices)
    else:
        vertices = [np.asarray(shape) for shape in cast("Sequence[object]", snap.data)]
        given = snap.attributes.get("shape_type", "polygon")
        types = [given] * len(vertices) if isinstance(given, str) else cast("list[str]", given)
    features = feature_columns(snap.attributes.get("features"), len(vertices))
    return ShapeList(tuple(vertices), tuple(types), features)
