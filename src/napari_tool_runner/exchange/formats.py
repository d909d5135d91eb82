"""Names of formats in the dialects, and the carriers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_tool_runner.tools.model import LayerKind

__all__ = ["CarrierName", "Format", "accepts", "carrier_of", "format_of", "known_formats", "sniff"]


class CarrierName(StrEnum):
    """Families of files that are written and read the same way."""

    TIFF = "tiff"
    ZARR = "zarr"
    PNG = "png"
    RASTER = "raster"
    MOVIE = "movie"
    NPY = "npy"
    HDF5 = "hdf5"
    TABLE = "table"
    ARRAY = "array"
    NUMBER = "number"
    GEOJSON = "geojson"
    MESH = "mesh"
    TRACKMATE = "trackmate"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True)
class Format:
    """A format by the name that descriptors use.

    Parameters
    ----------
    extension : str
        With its dot; what a file of this format is called.
    others : tuple of str
        More extensions by which such files are known.
    """

    name: str
    carrier: CarrierName
    extension: str
    others: tuple[str, ...] = ()

    @property
    def extensions(self) -> tuple[str, ...]:
        """All extensions, the longest first."""
        return tuple(sorted((self.extension, *self.others), key=len, reverse=True))


_C = CarrierName
_TIFF = (".tif", ".tiff")
_SHARED = (
    Format("tiff", _C.TIFF, ".tiff", (".tif", ".ome.tiff", ".ome.tif")),
    Format("tif", _C.TIFF, ".tif", (".tiff", ".ome.tiff", ".ome.tif")),
    Format("ome.tiff", _C.TIFF, ".ome.tiff", (".ome.tif",)),
    Format("ome.tif", _C.TIFF, ".ome.tif", (".ome.tiff",)),
    Format("png", _C.PNG, ".png"),
    Format("jpg", _C.RASTER, ".jpg", (".jpeg",)),
    Format("jpeg", _C.RASTER, ".jpeg", (".jpg",)),
    Format("bmp", _C.RASTER, ".bmp"),
    Format("gif", _C.RASTER, ".gif"),
    Format("zarr", _C.ZARR, ".zarr", (".ome.zarr",)),
    Format("ome_zarr", _C.ZARR, ".ome.zarr", (".zarr",)),
    Format("zarr3", _C.ZARR, ".zarr"),
    Format("ome_zarr_0.5", _C.ZARR, ".ome.zarr", (".zarr",)),
    Format("npy", _C.NPY, ".npy"),
    Format("h5", _C.HDF5, ".h5", (".hdf5",)),
    Format("hdf5", _C.HDF5, ".hdf5", (".h5",)),
    Format("csv", _C.TABLE, ".csv"),
    Format("tsv", _C.TABLE, ".tsv"),
    Format("tabular", _C.TABLE, ".tabular", (".tsv", ".tab")),
    Format("geojson", _C.GEOJSON, ".geojson"),
    Format("obj", _C.MESH, ".obj"),
    Format("ply", _C.MESH, ".ply"),
    Format("plyascii", _C.MESH, ".ply"),
    Format("plybinary", _C.MESH, ".ply"),
    Format("stl", _C.MESH, ".stl"),
    Format("txt", _C.OPAQUE, ".txt"),
    Format("json", _C.OPAQUE, ".json"),
    Format("xml", _C.OPAQUE, ".xml"),
    Format("html", _C.OPAQUE, ".html", (".htm",)),
    Format("zip", _C.OPAQUE, ".zip"),
    Format("tar", _C.OPAQUE, ".tar"),
    Format("pdf", _C.OPAQUE, ".pdf"),
)
_BIOIMAGEIT = (
    Format("imagetiff", _C.TIFF, ".tif", (".tiff", ".ome.tiff", ".ome.tif")),
    Format("image", _C.TIFF, ".tif", (".tiff",)),
    Format("bigtiff", _C.TIFF, ".tif", (".tiff", ".btf")),
    Format("imagezarr", _C.ZARR, ".zarr", (".ome.zarr",)),
    Format("movietxt", _C.MOVIE, ".txt"),
    Format("tablecsv", _C.TABLE, ".csv"),
    Format("arraycsv", _C.ARRAY, ".csv"),
    Format("numbercsv", _C.NUMBER, ".csv"),
    Format("trackmatemodel", _C.TRACKMATE, ".xml"),
)
_BY_NAME = {f.name: f for f in (*_SHARED, *_BIOIMAGEIT)}
# Of several names for one extension the plainest is what a file is taken for.
_BY_EXTENSION = {
    extension: f for f in reversed(_SHARED) for extension in (*f.others, f.extension)
} | {f.extension: f for f in reversed(_SHARED)}

ANYTHING = frozenset({"", "data", "raw", "auto", "bioformat", "binary", "file", "any", "input"})
"""Names that take a file of any format."""

_KINDS: dict[CarrierName, tuple[LayerKind, ...]] = {
    _C.TIFF: (LayerKind.IMAGE, LayerKind.LABELS),
    _C.ZARR: (LayerKind.IMAGE, LayerKind.LABELS),
    _C.PNG: (LayerKind.IMAGE, LayerKind.LABELS),
    _C.RASTER: (LayerKind.IMAGE,),
    _C.MOVIE: (LayerKind.IMAGE,),
    _C.NPY: (LayerKind.IMAGE, LayerKind.LABELS),
    _C.HDF5: (LayerKind.IMAGE, LayerKind.LABELS),
    _C.TABLE: (
        LayerKind.POINTS,
        LayerKind.TRACKS,
        LayerKind.VECTORS,
        LayerKind.TABLE,
        LayerKind.SHAPES,
    ),
    _C.ARRAY: (LayerKind.TABLE,),
    _C.NUMBER: (LayerKind.TABLE,),
    _C.GEOJSON: (LayerKind.SHAPES, LayerKind.POINTS),
    _C.MESH: (LayerKind.SURFACE,),
    _C.TRACKMATE: (),
    _C.OPAQUE: (),
}


def known_formats() -> tuple[str, ...]:
    """Return the names of all formats with a carrier of their own."""
    return tuple(_BY_NAME)


def format_of(name: str) -> Format | None:
    """Return a format by its name in a descriptor, None when it is not known."""
    return _BY_NAME.get(name.strip().lower().lstrip("."))


def carrier_of(path: Path) -> Format | None:
    """Return the format that a file has by its name, None when that says nothing."""
    name = path.name.lower()
    for extension in sorted(_BY_EXTENSION, key=len, reverse=True):
        if name.endswith(extension):
            return _BY_EXTENSION[extension]
    return None


def kinds_of(carrier: CarrierName) -> tuple[LayerKind, ...]:
    """Return the kinds of layers that a carrier can be written from."""
    return _KINDS[carrier]


def accepts(formats: Sequence[str], path: Path) -> str | None:
    """Return the accepted format that the file at `path` has, None if it has none.

    Known by extension. A name that stands for anything, or an empty list, takes
    every file; a format that is not known here takes files with its name as
    extension.
    """
    name = path.name.lower()
    for accepted in formats:
        known = format_of(accepted)
        extensions = known.extensions if known else (f".{accepted.strip().lower()}",)
        if any(name.endswith(extension) for extension in extensions):
            return accepted
    if not formats or any(f.strip().lower() in ANYTHING for f in formats):
        own = carrier_of(path)
        return own.name if own else path.suffix.lower().lstrip(".") or "data"
    return None


_MAGIC: tuple[tuple[bytes, CarrierName, str], ...] = (
    (b"II*\x00", _C.TIFF, "TIFF"),
    (b"MM\x00*", _C.TIFF, "TIFF"),
    (b"II+\x00", _C.TIFF, "BigTIFF"),
    (b"MM\x00+", _C.TIFF, "BigTIFF"),
    (b"\x89PNG\r\n\x1a\n", _C.PNG, "PNG"),
    (b"\xff\xd8\xff", _C.RASTER, "JPEG"),
    (b"BM", _C.RASTER, "BMP"),
    (b"GIF8", _C.RASTER, "GIF"),
    (b"\x93NUMPY", _C.NPY, "NumPy"),
    (b"\x89HDF\r\n\x1a\n", _C.HDF5, "HDF5"),
    (b"ply\n", _C.MESH, "PLY"),
    (b"ply\r\n", _C.MESH, "PLY"),
    (b"%PDF", _C.OPAQUE, "PDF"),
    (b"PK\x03\x04", _C.OPAQUE, "zip archive"),
    (b"\x1f\x8b", _C.OPAQUE, "gzip"),
)


def sniff(path: Path) -> tuple[CarrierName, str] | None:
    """Return what the first bytes of a file (or the look of a folder) say it is."""
    if path.is_dir():
        marks = (".zgroup", ".zattrs", ".zarray", "zarr.json")
        return (_C.ZARR, "Zarr") if any((path / m).exists() for m in marks) else None
    with path.open("rb") as file:
        head = file.read(16)
    return next(((c, name) for magic, c, name in _MAGIC if head.startswith(magic)), None)
