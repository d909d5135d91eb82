"""The formats that descriptors name: one table for all languages and for the exchange.

A format is a name with extensions and parents (``ome.tiff`` is a ``tiff``, ``tabular`` is
a ``txt``), what it can be to a viewer, and the carrier that writes and reads it. A
configuration's ``formats.json`` adds entries and replaces some: that gives another
`Formats`, which goes with the tools that were read with it. Nothing here is changed once
it is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import ConfigError

__all__ = [
    "FORMATS",
    "Carrier",
    "Format",
    "Formats",
    "LayerKind",
    "Trait",
    "read_formats_file",
    "split_formats",
]


class LayerKind(StrEnum):
    """What a data file is to a viewer. `TABLE` and `ANY` are no napari layers."""

    IMAGE = "image"
    LABELS = "labels"
    POINTS = "points"
    SHAPES = "shapes"
    TRACKS = "tracks"
    VECTORS = "vectors"
    SURFACE = "surface"
    TABLE = "table"
    ANY = "any"

    @property
    def is_pixels(self) -> bool:
        """Whether it is an array of pixels."""
        return self in (LayerKind.IMAGE, LayerKind.LABELS)


class Carrier(StrEnum):
    """Families of files that are written and read the same way.

    ``OPAQUE``: known to hold nothing that a layer shows. ``UNKNOWN``: nobody here writes
    it; whether it can be read its content tells.
    """

    TIFF = "tiff"
    ZARR = "zarr"
    NPY = "npy"
    HDF5 = "hdf5"
    PICTURE = "picture"
    MOVIE = "movie"
    TABLE = "table"
    ARRAY = "array"
    NUMBER = "number"
    GEOJSON = "geojson"
    MESH = "mesh"
    TRACKMATE = "trackmate"
    OPAQUE = "opaque"
    UNKNOWN = "-"


class Trait(StrEnum):
    """Facts of a format beside its carrier.

    ``ANYTHING``: the name stands for files of any format. ``FOLDER``: it is a folder on
    disk. ``TABS``: columns are parted by tabs. ``BINARY``: written in binary, not as text.
    ``ZARR3``: Zarr 3 (OME-Zarr 0.5). ``LOSSY``: values change a little. ``POSITIONS``:
    points begin with ``pos_x``, ``pos_y``. ``XYZ``: columns without names are x, y, z.
    ``READ``: it is read, nothing is written as it. ``PLAIN``: of several for an extension the
    one that a file is. ``LOOSE``: content says more of a file than the extension.
    """

    ANYTHING = "anything"
    FOLDER = "folder"
    TABS = "tabs"
    BINARY = "binary"
    ZARR3 = "zarr3"
    LOSSY = "lossy"
    POSITIONS = "positions"
    XYZ = "xyz"
    READ = "read"
    PLAIN = "plain"
    LOOSE = "loose"


_PIXELS = (
    Carrier.TIFF, Carrier.ZARR, Carrier.NPY, Carrier.HDF5, Carrier.PICTURE, Carrier.MOVIE,
)  # fmt: skip
_WRITERS: dict[LayerKind, tuple[Carrier, ...]] = {
    LayerKind.IMAGE: _PIXELS,
    LayerKind.LABELS: _PIXELS,
    LayerKind.POINTS: (Carrier.TABLE, Carrier.GEOJSON),
    LayerKind.SHAPES: (Carrier.GEOJSON, Carrier.TABLE),
    LayerKind.TRACKS: (Carrier.TABLE,),
    LayerKind.VECTORS: (Carrier.TABLE,),
    LayerKind.SURFACE: (Carrier.MESH,),
    LayerKind.TABLE: (Carrier.TABLE, Carrier.ARRAY, Carrier.NUMBER),
}
# As a viewer has them: coordinates before bare tables.
_ROWS = (
    LayerKind.POINTS, LayerKind.TRACKS, LayerKind.VECTORS, LayerKind.TABLE, LayerKind.SHAPES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Parameters
    ----------
    name : str
        As descriptors write it, lower case.
    extension : str
        With its dot (``.tif``), what a file of this format is called; empty: files have
        none of their own.
    kinds : tuple of LayerKind
        What such a file can be to a viewer, likeliest first.
    carrier : Carrier
        How layers are written to it and read from it.
    aliases : tuple of str
        Other extensions of the same format, with dots.
    parents : tuple of str
        Formats that this one may stand for (direct ones only).
    traits : frozenset of Trait
    """

    name: str
    extension: str
    kinds: tuple[LayerKind, ...] = (LayerKind.ANY,)
    carrier: Carrier = Carrier.UNKNOWN
    aliases: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    traits: frozenset[Trait] = frozenset()

    @property
    def extensions(self) -> tuple[str, ...]:
        """All extensions of the format, its own first."""
        return (self.extension, *self.aliases)

    @property
    def directory(self) -> bool:
        """It is a folder on disk."""
        return Trait.FOLDER in self.traits

    @property
    def readable(self) -> bool:
        """Whether it is read here."""
        return self.carrier not in (Carrier.OPAQUE, Carrier.UNKNOWN)

    @property
    def delimiter(self) -> str:
        """What parts the columns, where it is a table of text."""
        return "\t" if Trait.TABS in self.traits else ","

    def rank(self, kind: LayerKind) -> int | None:
        """Say how well a layer of `kind` is written as this (0: best); None: it is not."""
        carriers = _WRITERS.get(kind, ())
        if kind not in self.kinds or self.carrier not in carriers or Trait.READ in self.traits:
            return None
        return carriers.index(self.carrier)


# Names, extensions (``=``: as the name), kinds, carrier, parents, traits; ``-``: none, of kinds:
# any. Of formats with one carrier the best comes first; of several for one extension the plainest.
_TABLE = """
txt            .txt,.log,.text                          any,table opaque    -         tabs
json,xml       =                                        -         opaque    txt
html           .html,.htm                               -         opaque    txt
ome.tiff       .ome.tiff,.ome.tif,.ome.tf8,.ome.btf     pixels    tiff      tiff
ome.tif        .ome.tif,.ome.tiff                       pixels    tiff      tiff
tiff           .tiff,.tif,.ome.tiff,.ome.tif,.btf,.tf8,.tf2 pixels    tiff
tif            .tif,.tiff,.ome.tiff,.ome.tif            pixels    tiff      tiff
imagetiff      .tif,.tiff,.ome.tiff,.ome.tif            pixels    tiff
image          .tif,.tiff                               pixels    tiff
bigtiff        .tif,.tiff,.btf                          pixels    tiff
qptiff,stk,lsm,svs,scn,ndpi,bif,tf2,tf8,btf = image tiff tiff read
ome_zarr       .ome.zarr,.zarr                          pixels    zarr      zarr      folder
ome_zarr_0.5   .ome.zarr,.zarr                          pixels    zarr      ome_zarr  folder,zarr3
zarr           .zarr,.ome.zarr                          pixels    zarr      directory folder
zarr3          .zarr                                    pixels    zarr      zarr      folder,zarr3
imagezarr      .zarr,.ome.zarr                          pixels    zarr      -         folder
directory      .dir                                     -         -         -         folder
npy            =                                        pixels    npy       binary
h5             .h5,.hdf5,.hdf                           pixels    hdf5      binary
hdf5           .hdf5,.h5                                pixels    hdf5      h5
ilp,h5ad       =                                        -         -         h5
png,bmp        =                                        pixels    picture
jpg            .jpg,.jpeg,.jpe                          image     picture   -         lossy
jpeg           .jpeg,.jpg                               image     picture   jpg       lossy
gif            =                                        image     picture
movietxt       .txt                                     pixels    movie
pbm,pgm,ppm,pnm,pcx,tga,webp,avif,j2k = pixels picture - read
jp2            .jp2,.j2c,.jpx                           pixels    picture   -         read
psd,xbm,xpm,rgb,im,pcd,rast,nrrd =                                        pixels
nhdr           =                                        pixels    -         nrrd
fits           =                                        pixels
dicom          .dicom,.dcm                              pixels
vms,mrxs,svslide,mrc,nii1 =                                        pixels
nii1.gz        =                                        pixels    -         binary
nii2           .nii2,.nii                               pixels    -         binary
nii2.gz        .nii2.gz,.nii.gz                         pixels    -         binary
czi,lif,nd2,oib,oif,vsi,ims,sif,hdr,wsi,avi,mov,mp4,mpg,mkv,webm,flv = image - binary
tabular        .tabular,.tab,.tsv                       rows      table     txt       tabs
tsv            .tsv,.tabular                            rows      table     txt       tabs
csv            =                                        rows      table     txt
tablecsv       .csv                                     rows      table     csv
arraycsv       .csv                                     table     array     csv
numbercsv      .csv                                     table     number    csv
interval,gff,vcf,sam =                                        table     -         tabular   tabs
bed            =                                        table     -         interval  tabs
parquet,xlsx   =                                        table     -         binary
geojson        .geojson,.json                           outlines  geojson   json
trackmatemodel .xml                                     tracks    trackmate xml
stracks        .json                                    tracks    -         json
ply            =                                        surface   mesh
obj            =                                        surface   mesh      txt
stl            =                                        surface   mesh
plyascii       .ply                                     surface   mesh      ply
plybinary      .ply                                     surface   mesh      ply       binary
off            =                                        surface   mesh      txt
vtkascii,vtkbinary .vtk                                 surface
vtp            =                                        surface   -         xml
gltf           =                                        surface   -         json
glb            =                                        surface   mesh      binary
trk,tck,mat,sqlite,gz =                                        -         -         binary
npz            =                                        -         -         zip
matlab         .mat                                     -         -         binary
expression.json,imgt.json =                                        -         -         json
yaml           .yaml,.yml                               -         -         txt
toml,ijm       =                                        -         -         txt
markdown       .md                                      -         -         txt
imagej1_macro  .ijm                                     -         -         txt
fasta          .fasta,.fa,.fna                          -         -         txt
fastq          .fastq,.fq                               -         -         txt
fastqsanger    =                                        -         -         fastq
svg            =                                        -         -         xml
pdf            =                                        -         opaque
eps            =
zip,tar        =                                        -         opaque    binary
tar.gz         .tar.gz,.tgz                             -         -         tar
tgz            =                                        -         -         tar
data           .dat                                     -         -         -         anything
binary         .bin                                     -         -         -         anything
raw            -                                        -         -         -         anything
model          -                                        -         opaque    -         anything
bioformat      -                                        pixels    -         -         anything
"""
_KINDS = {
    "-": "any",
    "pixels": "image,labels",
    "rows": "table,points,tracks,shapes,vectors",
    "outlines": "shapes,points",
}
_SAME = {
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
} | dict.fromkeys(("", "auto", "_sniff_", "input", "file", "any"), "data")
_USUAL = ("tiff", "csv", "geojson", "ply")


def _from_row(row: str) -> Iterator[Format]:
    names, extensions, kinds, carrier, parents, traits = (row.split() + ["-"] * 5)[:6]
    for name in names.split(","):
        own, *aliases = _listed(extensions.replace("=", f".{name}")) or [""]
        yield Format(
            name,
            own,
            _kinds(kinds),
            Carrier(carrier),
            tuple(aliases),
            tuple(_listed(parents)),
            frozenset(Trait(trait) for trait in _listed(traits)),
        )


def _kinds(cell: str) -> tuple[LayerKind, ...]:
    return tuple(LayerKind(kind) for kind in _KINDS.get(cell, cell).split(","))


def _listed(cell: str) -> list[str]:
    return [] if cell == "-" else cell.split(",")


class Formats(Mapping[str, Format]):
    """A table of formats by name; names are compared without case and leading dots.

    Parameters
    ----------
    formats : iterable of Format
        Of several for one extension the plainest comes first.
    """

    def __init__(self, formats: Iterable[Format]) -> None:
        self._rows = {entry.name: entry for entry in formats}
        self._by_extension: dict[str, list[str]] = {}
        rows = [entry for entry in self._rows.values() if entry.name != "data"]
        plain = [one for one in rows if Trait.PLAIN in one.traits]
        listed = [(one.name, end) for one in plain for end in one.extensions]
        listed += [(one.name, one.extension) for one in rows]
        listed += [(one.name, end) for one in rows for end in one.aliases]
        for name, extension in dict.fromkeys(listed):
            if extension:
                self._by_extension.setdefault(extension, []).append(name)

    def __getitem__(self, name: str) -> Format:
        key = name.strip().lower().lstrip(".")
        return self._rows[key if key in self._rows else _SAME.get(key, key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def extended(self, entries: Iterable[Format]) -> Formats:
        """Return a table that has `entries`, too; those of a known name replace it."""
        return Formats((self._rows | {entry.name: entry for entry in entries}).values())

    def with_traits(self, traits: Mapping[str, Iterable[Trait]]) -> Formats:
        """Return a table in which the formats that `traits` names have those as well."""
        if not traits:
            return self
        return self.extended(
            replace(self[name], traits=self[name].traits | set(more))
            for name, more in traits.items()
        )

    def resolve(self, name: str) -> Format:
        """Return the format `name`; an unknown one gets its own name as extension."""
        found = self.get(name)
        if found is not None:
            return found
        plain = name.strip().lower()
        fits = re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,23}", plain)
        return Format(plain, f".{plain}" if fits else "")

    def canonical(self, name: str) -> Format:
        """Return the format that `name` is another name of (``tif``: ``tiff``)."""
        found = self.resolve(name)
        return self.resolve(_SAME.get(found.name, found.name))

    def is_of_type(self, name: str, *others: str) -> bool:
        """Say whether a file of the format `name` is also one of `others`.

        Everything is ``data``; what is unknown is ``binary``.
        """
        lineage = set(self._lineage(name))
        wanted = {self.canonical(other).name for other in others}
        return "data" in wanted or bool(lineage & wanted)

    def _lineage(self, name: str) -> Iterator[str]:
        entry = self.canonical(name)
        yield entry.name
        parents = entry.parents
        if entry.name not in self._rows:
            parents = ("gz",) if entry.name.endswith(".gz") else ("binary",)
        for parent in parents:
            yield from self._lineage(parent)

    def family(self, name: str) -> Carrier:
        """Return the carrier of the format `name`, or of the nearest parent that has one."""
        carriers = (self.resolve(one).carrier for one in self._lineage(name))
        return next((one for one in carriers if one is not Carrier.UNKNOWN), Carrier.UNKNOWN)

    def of_file(self, filename: str) -> list[Format]:
        """Return the formats that a file of this name may have, the plainest first.

        Those of the longest extension that fits: ``a.ome.tiff`` is no plain ``tiff``
        before it is an ``ome.tiff``.
        """
        extension = self.extension_of(filename).lower()
        return [self._rows[name] for name in self._by_extension.get(extension, ())]

    def extension_of(self, filename: str) -> str:
        """Return the longest extension in the table that a name ends with, else nothing."""
        ends = (filename[i:] for i, letter in enumerate(filename) if letter == ".")
        return next((end for end in ends if end.lower() in self._by_extension), "")

    def split(self, filename: str) -> tuple[str, str]:
        """Return a name without its extension, and that; of an unknown one the last part."""
        extension = self.extension_of(filename) or Path(filename).suffix
        return filename.removesuffix(extension), extension

    def are_alike(self, one: Format, other: Format) -> bool:
        """Whether files of both are read the same way; pictures are only what they are."""
        picture = one.carrier is Carrier.PICTURE
        same = not picture or self.canonical(one.name) == self.canonical(other.name)
        return same and one.carrier is other.carrier

    def accepted(self, names: Sequence[str], filename: str) -> str | None:
        """Return the format as which a file of this name is accepted, None if it is not.

        `names`: what a descriptor accepts; none: anything. A format is accepted by its
        extension (of several the one that the file is), or because it may stand for one of
        them. To what nobody here knows files
        go as they are, unless another of `names` can be written.
        """
        low = filename.lower()
        ends = {name: self.resolve(name).extensions for name in names}
        fits = [name for name in names if any(end and low.endswith(end) for end in ends[name])]
        own = self.of_file(filename)
        first = {self.canonical(entry.name) for entry in own[:1]}
        if fits:
            return next((name for name in fits if self.canonical(name) in first), fits[0])
        for entry in own:
            if any(self.is_of_type(entry.name, name) for name in names):
                return entry.name
        if names and not any(Trait.ANYTHING in self.resolve(name).traits for name in names):
            unknown = next((name for name in names if name not in self), None)
            return None if own and self.best_by_kind(names) else unknown
        return own[0].name if own else Path(low).suffix.lstrip(".") or "data"

    def writable(self, names: Sequence[str]) -> list[Format]:
        """Return the formats of `names`, with the usual ones where anything is accepted."""
        known = [self.resolve(name) for name in names]
        anything = not known or any(
            Trait.ANYTHING in one.traits and one.carrier is not Carrier.OPAQUE for one in known
        )
        return known + [self._rows[name] for name in _USUAL] if anything else known

    def best_by_kind(self, names: Sequence[str]) -> dict[LayerKind, Format]:
        """Return the kinds of layers that are written as one of `names`, and as which best.

        Likeliest kind first; where anything is accepted the usual formats count as well.
        """
        ranks: dict[LayerKind, list[tuple[int, int]]] = {}
        entries = self.writable(names)
        for number, entry in enumerate(entries):
            for kind in _ROWS if entry.carrier is Carrier.TABLE else entry.kinds:
                rank = entry.rank(kind)
                ranks.setdefault(kind, []).extend([] if rank is None else [(rank, number)])
        return {kind: entries[min(found)[1]] for kind, found in ranks.items() if found}

    def best_first(self, names: Iterable[str], kinds: Sequence[LayerKind]) -> tuple[str, ...]:
        """Return `names` (each once), those in which `kinds` are written best first."""
        places = {name: place for place, name in enumerate(self._rows)}

        def place(name: str) -> tuple[int, int, int]:
            entry = self.canonical(name)
            ranks = [(i, r) for i, k in enumerate(kinds) if (r := entry.rank(k)) is not None]
            best = min(ranks, default=(len(kinds), 0))
            return (*best, places.get(entry.name, len(places)) if ranks else len(places))

        return tuple(sorted(dict.fromkeys(names), key=place))


FORMATS = Formats(entry for row in _TABLE.strip().splitlines() for entry in _from_row(row))
"""The built-in formats."""


def split_formats(text: str) -> tuple[str, ...]:
    """Split the ``format`` attribute of a descriptor into names, in order."""
    return tuple(part.lower() for part in re.split(r"[,\s]+", text.strip()) if part)


def read_formats_file(path: Path, known: Formats = FORMATS) -> tuple[Format, ...]:
    """Return the entries of a ``formats.json``; what they leave out is as in `known`.

    Each has ``name`` and ``extension`` (without dot; ``any`` and empty: none), and may
    have ``viewer`` (``napari``, ``table``, ``none``).

    Raises
    ------
    ConfigError
        The file cannot be read, is no JSON or has another shape.
    """
    from napari_tool_runner.storage import read_json

    try:
        data = read_json(path)
        entries = data["formats"] if isinstance(data, dict) else data
        if not isinstance(entries, list):
            raise TypeError("it holds no list")
        return tuple(_from_json(entry, known) for entry in entries)
    except OSError as error:
        raise ConfigError(
            f"The table of formats {path} cannot be read: {error.strerror or error}.",
            hint="Correct “formats.file” in the configuration.",
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no table of formats: {error}.",
            hint='It must be {"formats": [{"name": …, "extension": …}]}.',
        ) from error


def _from_json(entry: Mapping[str, str], known: Formats) -> Format:
    for key in ("name", "extension", "viewer"):
        if not isinstance(entry.get(key, ""), str):
            raise TypeError(f"“{key}” is no text: {entry[key]!r}")
    name = entry["name"].strip().lower()
    plain = entry.get("extension", "").strip().lstrip(".")
    extension = f".{plain}" if plain and plain != "any" else ""
    before = known.get(name)
    # Files are written and read as others of their extension are.
    like = next(iter(known.of_file(f"x{extension}")), Format("", ""))
    if before is not None:
        aliases = before.aliases if before.extension == extension else ()
        if before.carrier in _PIXELS and like.carrier in _PIXELS:
            before = replace(before, carrier=like.carrier, traits=like.traits)
        return replace(before, name=name, extension=extension, aliases=aliases)
    viewer = entry.get("viewer", "")
    if viewer == "table":
        kinds = _kinds("rows")
    elif viewer == "napari":
        shown = tuple(k for k in like.kinds if k not in (LayerKind.ANY, LayerKind.TABLE))
        kinds = shown or _kinds("pixels")
    else:
        return Format(name, extension)
    return replace(like, name=name, extension=extension, kinds=kinds, aliases=(), parents=())
