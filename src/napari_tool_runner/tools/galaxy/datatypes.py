"""Galaxy's datatypes, as far as images, tables and geometry go.

A datatype is a name (Galaxy calls it extension) with parents: ``ome.tiff`` is a
``tiff``, ``tabular`` is a ``txt``. Everything is ``data``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from napari_tool_runner.tools.formats import FormatInfo
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "DATATYPES",
    "Datatype",
    "datatype",
    "is_of_type",
    "kinds_of",
    "order_formats",
    "sniff",
]


@dataclass(frozen=True, slots=True)
class Datatype(FormatInfo):
    """A format that may stand for others.

    Parameters
    ----------
    parents : tuple of str
        Datatypes that this one may stand for (direct parents only).
    """

    parents: tuple[str, ...] = ()


_PIXELS = (LayerKind.IMAGE, LayerKind.LABELS)
_ROWS = (LayerKind.TABLE, LayerKind.POINTS, LayerKind.TRACKS)
_MESH = (LayerKind.SURFACE,)


def _table() -> Iterator[Datatype]:
    def make(
        name: str,
        parents: str = "",
        kinds: tuple[LayerKind, ...] = (LayerKind.ANY,),
        suffix: str = "",
        aliases: str = "",
        directory: bool = False,
    ) -> Datatype:
        return Datatype(
            name,
            suffix or f".{name}",
            kinds,
            directory,
            tuple(aliases.split()),
            parents=tuple(parents.split()),
        )

    # pixels
    yield make("tiff", "", _PIXELS, aliases=".tif .btf .tf8 .tf2")
    yield make("ome.tiff", "tiff", _PIXELS, aliases=".ome.tif .ome.tf8 .ome.btf")
    for child in ("qptiff", "stk", "lsm", "svs", "scn", "ndpi", "bif", "tf2", "tf8", "btf"):
        yield make(child, "tiff", (LayerKind.IMAGE,))
    yield make("png", "", _PIXELS)
    yield make("jpg", "", (LayerKind.IMAGE,), aliases=".jpeg .jpe")
    yield make("bmp", "", _PIXELS)
    yield make("gif", "", _PIXELS)
    for name in ("pbm", "pgm", "ppm", "pcx", "psd", "xbm", "xpm", "rgb", "im", "pcd", "rast"):
        yield make(name, "", _PIXELS)
    for name in ("nrrd", "jp2", "fits", "dicom", "vms", "mrxs", "svslide", "mrc", "nii1"):
        yield make(name, "", _PIXELS, aliases={"dicom": ".dcm"}.get(name, ""))
    yield make("nhdr", "nrrd", _PIXELS)
    yield make("nii1.gz", "binary", _PIXELS)
    yield make("nii2", "binary", _PIXELS, aliases=".nii")
    yield make("nii2.gz", "binary", _PIXELS, aliases=".nii.gz")
    for name in ("czi", "lif", "nd2", "oib", "oif", "vsi", "ims", "sif", "hdr", "wsi"):
        yield make(name, "binary", (LayerKind.IMAGE,))
    yield make("directory", "", (LayerKind.ANY,), suffix=".dir", directory=True)
    yield make("zarr", "directory", _PIXELS, directory=True)
    yield make("ome_zarr", "zarr", _PIXELS, suffix=".ome.zarr", directory=True)
    for name in ("eps", "pdf"):
        yield make(name)
    for name in ("avi", "mov", "mp4", "mpg", "mkv", "webm", "flv"):
        yield make(name, "binary", (LayerKind.IMAGE,))
    # arrays
    yield make("binary", "", (LayerKind.ANY,), suffix=".bin")
    yield make("h5", "binary", _PIXELS, aliases=".hdf5 .hdf")
    yield make("ilp", "h5", (LayerKind.ANY,))
    yield make("h5ad", "h5", (LayerKind.ANY,))
    yield make("npy", "binary", _PIXELS)
    yield make("npz", "zip", (LayerKind.ANY,))
    yield make("mat", "binary", (LayerKind.ANY,))
    yield make("matlab", "binary", (LayerKind.ANY,), suffix=".mat")
    # text and tables
    yield make("txt", "", (LayerKind.ANY, LayerKind.TABLE), aliases=".log .text")
    yield make("tabular", "txt", _ROWS, aliases=".tab")
    yield make("tsv", "txt", _ROWS)
    yield make("csv", "txt", _ROWS)
    for name in ("interval", "gff", "vcf", "sam"):
        yield make(name, "tabular", (LayerKind.TABLE,))
    yield make("bed", "interval", (LayerKind.TABLE,))
    yield make("fasta", "txt", aliases=".fa .fna")
    yield make("fastq", "txt", aliases=".fq")
    yield make("fastqsanger", "fastq")
    yield make("parquet", "binary", (LayerKind.TABLE,))
    yield make("xlsx", "binary", (LayerKind.TABLE,))
    yield make("sqlite", "binary")
    yield make("json", "txt")
    yield make("expression.json", "json")
    yield make("geojson", "json", (LayerKind.SHAPES, LayerKind.POINTS))
    yield make("imgt.json", "json")
    yield make("yaml", "txt", aliases=".yml")
    yield make("xml", "txt")
    yield make("svg", "xml", (LayerKind.ANY,))
    yield make("html", "txt", aliases=".htm")
    yield make("markdown", "txt", suffix=".md")
    yield make("toml", "txt")
    yield make("ijm", "txt")
    yield make("imagej1_macro", "txt", suffix=".ijm")
    # geometry
    yield make("obj", "txt", _MESH)
    yield make("off", "txt", _MESH)
    yield make("ply", "", _MESH)
    yield make("plyascii", "ply", _MESH, suffix=".ply")
    yield make("plybinary", "ply", _MESH, suffix=".ply")
    yield make("stl", "", _MESH)
    yield make("vtkascii", "", _MESH, suffix=".vtk")
    yield make("vtkbinary", "", _MESH, suffix=".vtk")
    yield make("vtp", "xml", _MESH)
    yield make("gltf", "json", _MESH)
    yield make("glb", "binary", _MESH)
    yield make("trk", "binary")
    yield make("tck", "binary")
    # archives
    yield make("zip", "binary")
    yield make("tar", "binary")
    yield make("tar.gz", "tar", aliases=".tgz")
    yield make("gz", "binary")
    yield make("tgz", "tar")


DATATYPES: MappingProxyType[str, Datatype] = MappingProxyType(
    {entry.name: entry for entry in _table()}
)
"""The datatypes by name."""

_ALIASES = {
    "tif": "tiff",
    "jpeg": "jpg",
    "ome.tif": "ome.tiff",
    "ome-tiff": "ome.tiff",
    "ome.zarr": "ome_zarr",
    "ome-zarr": "ome_zarr",
    "hdf5": "h5",
    "text": "txt",
    "nii": "nii2",
    "nii.gz": "nii2.gz",
    "dcm": "dicom",
}

_ANYTHING = frozenset({"", "data", "auto", "_sniff_", "input"})

# which carrier to take when several are accepted, per kind of layer
_PREFERRED: dict[LayerKind, tuple[str, ...]] = {
    LayerKind.IMAGE: ("ome.tiff", "tiff", "png", "nrrd", "npy", "bmp", "ome_zarr", "zarr", "h5"),
    LayerKind.LABELS: ("ome.tiff", "tiff", "png", "nrrd", "npy", "bmp", "ome_zarr", "zarr", "h5"),
    LayerKind.POINTS: ("tabular", "tsv", "csv", "geojson", "txt"),
    LayerKind.TRACKS: ("tabular", "tsv", "csv", "txt"),
    LayerKind.VECTORS: ("tabular", "tsv", "csv", "txt"),
    LayerKind.TABLE: ("tabular", "tsv", "csv", "txt"),
    LayerKind.SHAPES: ("geojson", "tabular", "tsv", "csv"),
    LayerKind.SURFACE: ("ply", "obj", "stl", "off", "plyascii", "plybinary", "vtkascii"),
}


def datatype(name: str) -> Datatype:
    """Return the datatype called `name`; what is unknown is a file of that suffix."""
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key in _ANYTHING:
        return Datatype("data", ".dat")
    known = DATATYPES.get(key)
    if known is not None:
        return known
    if key.endswith(".gz"):
        return Datatype(key, f".{key}", parents=("gz",))
    return Datatype(key, f".{key}", parents=("binary",))


def _lineage(name: str) -> Iterator[str]:
    entry = datatype(name)
    yield entry.name
    for parent in entry.parents:
        yield from _lineage(parent)


def is_of_type(name: str, *others: str) -> bool:
    """Say whether a dataset of type `name` is also one of `others` (Galaxy's rule)."""
    lineage = set(_lineage(name))
    return any(
        datatype(other).name in lineage or datatype(other).name == "data" for other in others
    )


def kinds_of(name: str) -> tuple[LayerKind, ...]:
    """Return what a viewer may show a dataset of type `name` as, likeliest first."""
    return datatype(name).kinds


def order_formats(accepted: Sequence[str], kinds: Sequence[LayerKind]) -> tuple[str, ...]:
    """Return `accepted` (each once) with the carriers that suit `kinds` first."""
    names = list(dict.fromkeys(accepted))
    first: list[str] = []
    for kind in kinds:
        for choice in _PREFERRED.get(kind, ()):
            first += [name for name in names if datatype(name).name == choice]
    return tuple(dict.fromkeys([*first, *names]))


# -- from a file to its datatype -----------------------------------------------------


def sniff(path: Path, expected: Sequence[str] = ()) -> str:
    """Return the datatype of a file or folder, by its suffix and then its content.

    `expected`: names that win when the suffix allows several (``tsv``: tabular).
    """
    by_name = _by_suffix(path.name)
    if path.is_dir():
        if (path / ".zattrs").exists() or (path / "zarr.json").exists():
            return _zarr_name(path, by_name)
        return by_name[0] if by_name and datatype(by_name[0]).directory else "directory"
    for name in expected:
        wanted = datatype(name)
        if wanted.name in by_name:
            return wanted.name
        if any(is_of_type(found, wanted.name) for found in by_name):
            return by_name[0]
    if by_name:
        if by_name[0] == "tiff" and _is_ome_tiff(path):
            return "ome.tiff"
        return by_name[0]
    return _by_content(path)


def _by_suffix(filename: str) -> list[str]:
    low = filename.lower()
    found: list[tuple[int, str]] = []
    for entry in DATATYPES.values():
        for suffix in entry.extensions:
            if low.endswith(suffix):
                found.append((-len(suffix), entry.name))
    longest = min((size for size, _ in found), default=0)
    return [name for size, name in found if size == longest]


def _zarr_name(path: Path, by_name: list[str]) -> str:
    if "ome_zarr" in by_name:
        return "ome_zarr"
    for name in ("zarr.json", ".zattrs"):
        try:
            content = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        attributes = content.get("attributes", content)
        if "multiscales" in attributes or "ome" in attributes:
            return "ome_zarr"
    return "zarr"


def _is_ome_tiff(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return b"<OME" in stream.read(4096)
    except OSError:
        return False


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"\x89HDF\r\n\x1a\n", "h5"),
    (0, b"%PDF", "pdf"),
    (0, b"NRRD000", "nrrd"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"ply\n", "ply"),
    (0, b"solid ", "stl"),
    (0, b"SQLite format 3\0", "sqlite"),
    (257, b"ustar", "tar"),
)


def _by_content(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            head = stream.read(65536)
    except OSError:
        return "data"
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return "ome.tiff" if name == "tiff" and b"<OME" in head[:4096] else name
    if head[:2] == b"\x1f\x8b":
        return "gz"
    if zipfile.is_zipfile(path):
        return "zip"
    if b"\0" in head:
        return "data"
    return _text_name(head.decode("utf-8", errors="replace"))


def _text_name(text: str) -> str:
    start = text.lstrip()
    if not start:
        return "txt"
    checks: tuple[tuple[Callable[[str], bool], str], ...] = (
        (lambda head: head[:1] in "{[" and '"FeatureCollection"' in head, "geojson"),
        (_is_json, "json"),
        (lambda head: head[:200].lower().startswith(("<!doctype html", "<html")), "html"),
        (lambda head: head.startswith(("<?xml", "<svg")), "xml"),
    )
    for check, name in checks:
        if check(start):
            return name
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    for separator, name in (("\t", "tabular"), (",", "csv")):
        counts = {line.count(separator) for line in lines}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return name
    return "txt"


def _is_json(text: str) -> bool:
    if text[:1] not in "{[":
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
