"""The formats that descriptors name: file extension and plausible kinds of layers.

The table holds BioImageIT's names and common others. ``formats.json`` of a config adds
to it and replaces entries (`register_formats_file`). Galaxy's own datatypes, with their
inheritance, live in the galaxy dialect; both describe a format as a `FormatInfo`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from napari_tool_runner.errors import ConfigError
from napari_tool_runner.tools.model import LayerKind

__all__ = [
    "FormatInfo",
    "find_format",
    "format_info",
    "known_formats",
    "register_format",
    "register_formats_file",
    "split_formats",
]

_K = LayerKind
_IMAGE = (_K.IMAGE, _K.LABELS)
_TABLE = (_K.TABLE, _K.POINTS, _K.TRACKS, _K.SHAPES, _K.VECTORS)


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """A file format.

    Parameters
    ----------
    name : str
        As descriptors write it, lower case.
    extension : str
        With its dot (``.tif``); empty: files have none of their own.
    kinds : tuple of LayerKind
        What such a file can be to a viewer, likeliest first.
    directory : bool
        It is a folder on disk.
    aliases : tuple of str
        Other extensions of the same format, with dots.
    description : str
    """

    name: str
    extension: str
    kinds: tuple[LayerKind, ...] = (LayerKind.ANY,)
    directory: bool = False
    aliases: tuple[str, ...] = ()
    description: str = ""

    @property
    def extensions(self) -> tuple[str, ...]:
        """All extensions of the format, its own first."""
        return (self.extension, *self.aliases)


_TIFF = (".tiff", ".ome.tif", ".ome.tiff")
_BUILT_IN = (
    # BioImageIT's
    FormatInfo("imagetiff", ".tif", _IMAGE, aliases=_TIFF, description="TIFF image"),
    FormatInfo("movietxt", ".txt", _IMAGE, description="list of one image file a frame"),
    FormatInfo("imagezarr", ".zarr", _IMAGE, directory=True, description="OME-Zarr image"),
    FormatInfo("tablecsv", ".csv", _TABLE, description="table with a header line"),
    FormatInfo("arraycsv", ".csv", (_K.TABLE,), description="numbers in one line"),
    FormatInfo("numbercsv", ".csv", (_K.TABLE,), description="a single number"),
    FormatInfo("trackmatemodel", ".xml", (_K.TRACKS,), description="TrackMate tracks"),
    FormatInfo("stracks", ".json", (_K.TRACKS,), description="tracks of stracking"),
    FormatInfo("raw", "", description="any file, passed as it is"),
    FormatInfo("bioformat", "", _IMAGE, description="any image that Bio-Formats reads"),
    # names that descriptors of either language use
    FormatInfo("tiff", ".tiff", _IMAGE, aliases=(".tif", ".ome.tif", ".ome.tiff")),
    FormatInfo("tif", ".tif", _IMAGE, aliases=_TIFF),
    FormatInfo("ome.tiff", ".ome.tiff", _IMAGE, aliases=(".ome.tif", ".tiff", ".tif")),
    FormatInfo("png", ".png", _IMAGE),
    FormatInfo("jpg", ".jpg", (_K.IMAGE,), aliases=(".jpeg",)),
    FormatInfo("bmp", ".bmp", _IMAGE),
    FormatInfo("npy", ".npy", _IMAGE, description="NumPy array"),
    FormatInfo("h5", ".h5", _IMAGE, aliases=(".hdf5",)),
    FormatInfo("zarr", ".zarr", _IMAGE, directory=True),
    FormatInfo("ome_zarr", ".ome.zarr", _IMAGE, directory=True, aliases=(".zarr",)),
    FormatInfo("csv", ".csv", _TABLE),
    FormatInfo("tsv", ".tsv", _TABLE, aliases=(".tabular",)),
    FormatInfo("tabular", ".tsv", _TABLE, aliases=(".tabular",)),
    FormatInfo("txt", ".txt"),
    FormatInfo("json", ".json"),
    FormatInfo("geojson", ".geojson", (_K.SHAPES, _K.POINTS), aliases=(".json",)),
    FormatInfo("obj", ".obj", (_K.SURFACE,)),
    FormatInfo("ply", ".ply", (_K.SURFACE,)),
    FormatInfo("stl", ".stl", (_K.SURFACE,)),
    FormatInfo("xml", ".xml"),
    FormatInfo("html", ".html"),
    FormatInfo("pdf", ".pdf"),
    FormatInfo("svg", ".svg"),
    FormatInfo("zip", ".zip"),
)
_formats: dict[str, FormatInfo] = {info.name: info for info in _BUILT_IN}


def find_format(name: str) -> FormatInfo | None:
    """Return what is known of the format `name`, None when nothing is."""
    return _formats.get(name.strip().lower())


def format_info(name: str) -> FormatInfo:
    """Return the format `name`; an unknown one gets its own name as extension."""
    found = find_format(name)
    if found is not None:
        return found
    plain = name.strip().lower()
    extension = f".{plain}" if re.fullmatch(r"[a-z0-9][a-z0-9._]{0,15}", plain) else ""
    return FormatInfo(plain, extension)


def known_formats() -> tuple[FormatInfo, ...]:
    """Return the whole table."""
    return tuple(_formats.values())


def split_formats(text: str) -> tuple[str, ...]:
    """Split the ``format`` attribute of a descriptor into names, in order."""
    return tuple(part.lower() for part in re.split(r"[,\s]+", text.strip()) if part)


def register_format(info: FormatInfo) -> None:
    """Add `info` to the table, or replace the entry of that name."""
    _formats[info.name] = info


def register_formats_file(path: Path) -> tuple[FormatInfo, ...]:
    """Take the entries of a ``formats.json`` into the table and return them.

    Each entry has ``name`` and ``extension`` (without dot; ``any`` and empty: none),
    and may have ``viewer`` (``napari``, ``table``, ``none``).

    Raises
    ------
    ConfigError
        The file cannot be read, is no JSON or has another shape.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        entries = data["formats"] if isinstance(data, dict) else data
        found = tuple(_from_json(entry) for entry in entries)
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
    for info in found:
        register_format(info)
    return found


def _from_json(entry: dict[str, str]) -> FormatInfo:
    name = str(entry["name"]).strip().lower()
    extension = str(entry.get("extension", "")).strip().lstrip(".")
    known = find_format(name)
    if known is not None:
        kinds, directory = known.kinds, known.directory
    else:
        by_viewer = {"napari": _IMAGE, "table": _TABLE}
        kinds = by_viewer.get(str(entry.get("viewer", "")), (LayerKind.ANY,))
        directory = extension.endswith("zarr")
    suffix = f".{extension}" if extension and extension != "any" else ""
    aliases = known.aliases if known is not None and known.extension == suffix else ()
    return FormatInfo(name, suffix, kinds, directory, aliases)
