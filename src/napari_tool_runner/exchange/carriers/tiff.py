"""TIFF, the carrier of images and labels: OME metadata, memory maps, streaming."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import tifffile
from defusedxml import DefusedXmlException, ElementTree

from napari_tool_runner.errors import LossyConversionError, OutputError
from napari_tool_runner.exchange.blocks import (
    OME_TYPES,
    TypePlan,
    as_lazy,
    nbytes,
    plan_type,
    planes,
    transposed,
    write_blocks,
)
from napari_tool_runner.exchange.geometry import (
    canonical,
    conversion,
    default_axes,
    is_length,
    ome_symbol,
    plain_geometry,
)
from napari_tool_runner.exchange.model import ArrayLike, Content, Geometry
from napari_tool_runner.sealed import open_file

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Pixels, Progress

__all__ = ["read_tiff", "write_tiff"]

_BIGTIFF = 3_900_000_000


def write_tiff(
    pixels: Pixels, path: Path, *, any_type: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write an OME-TIFF: images uncompressed, labels with zlib at level 1; return notes.

    Streams block by block; BigTIFF when large. Singleton axes are written as they are.

    Parameters
    ----------
    any_type : bool
        Fall back on a plain TIFF for types that OME does not know (64-bit integers
        that do not fit into 32 bits); else those are refused.

    Raises
    ------
    LossyConversionError
    """
    plan = plan_type(pixels.array.dtype, OME_TYPES)
    if plan is None:
        raise LossyConversionError(
            f"“{pixels.name}” holds {pixels.array.dtype} values, which TIFF cannot carry.",
            hint="Convert it to a number type first.",
        )
    try:
        notes = _write(pixels, path, plan, ome=True, progress=progress)
        return notes + ([plan.note] if plan.note else [])
    except LossyConversionError:
        if not any_type:
            raise
        native = np.dtype(pixels.array.dtype).newbyteorder("=")
        whole = TypePlan(np.dtype(pixels.array.dtype), native, checked=False)
        notes = _write(pixels, path, whole, ome=False, progress=progress)
        return [*notes, f"{native.name} was written as a plain TIFF: OME-TIFF ends at 32 bits."]


def _write(
    pixels: Pixels, path: Path, plan: TypePlan, *, ome: bool, progress: Progress | None
) -> list[str]:
    shape = tuple(pixels.array.shape)
    metadata, notes = _metadata(pixels)
    resolution, unit = _resolution(pixels.geometry)
    options: dict[str, Any] = {
        "shape": shape,
        "dtype": plan.target,
        "photometric": "rgb" if pixels.rgb else "minisblack",
        "metadata": metadata if ome else {"axes": pixels.axes},
        "resolution": resolution,
        "resolutionunit": unit,
    }
    place = None
    big = int(np.prod(shape, dtype=np.int64)) * plan.target.itemsize > _BIGTIFF
    with tifffile.TiffWriter(path, ome=ome, bigtiff=big, byteorder="<") as writer:
        if pixels.labels or 0 in shape:
            source = _labels_planes(pixels, plan, progress)
            writer.write(source, compression="zlib", compressionargs={"level": 1}, **options)
        else:
            place = writer.write(returnoffset=True, **options)
    if place is not None:
        write_blocks(pixels, path, place[0], plan, progress)
    return notes


def _labels_planes(
    pixels: Pixels, plan: TypePlan, progress: Progress | None
) -> Iterator[np.ndarray]:
    total, done = nbytes(pixels.array), 0
    for plane in planes(pixels.array, min(len(pixels.array.shape), 3 if pixels.rgb else 2)):
        done += plane.nbytes
        yield np.ascontiguousarray(plan.convert(plane, pixels.name))
        if progress:
            progress(done, total)


def _metadata(pixels: Pixels) -> tuple[dict[str, object], list[str]]:
    """Return OME metadata, and notes."""
    geometry = pixels.geometry
    metadata: dict[str, object] = {"axes": _ome_axes(pixels.axes), "Name": pixels.name}
    notes = []
    symbols = [ome_symbol(unit) for unit in geometry.units]
    steps = zip(geometry.axes, geometry.scale, geometry.units, symbols, strict=True)
    for axis, scale, unit, symbol in steps:
        if axis in "XYZ" and not (symbol == "pixel" and scale == 1.0):
            if symbol is None:
                notes.append(f"OME knows no unit “{unit}”; the size of {axis} has none.")
            metadata[f"PhysicalSize{axis}"] = abs(scale)
            metadata[f"PhysicalSize{axis}Unit"] = symbol or "reference frame"
        elif axis == "T" and symbol not in (None, "pixel"):
            metadata["TimeIncrement"] = abs(scale)
            metadata["TimeIncrementUnit"] = symbol
    if pixels.channel_names and "C" in geometry.axes:
        metadata["Channel"] = {"Name": list(pixels.channel_names)}
    # not random: the same pixels give the same bytes, so records can be compared
    said = repr((sorted(metadata.items()), tuple(pixels.array.shape), str(pixels.array.dtype)))
    metadata["UUID"] = f"urn:uuid:{uuid5(NAMESPACE_OID, said)}"
    return metadata, notes


def _ome_axes(axes: str) -> str:
    """OME-TIFF has room for several axes of unknown meaning only under these letters."""
    spare = iter(c for c in "QAHRPVE" if c not in axes.replace("Q", ""))
    return "".join(next(spare, "Q") if axis == "Q" else axis for axis in axes)


def _resolution(geometry: Geometry) -> tuple[tuple[float, float] | None, str | None]:
    """Return the tags of pixels a length: in x and y, and their unit."""
    if not {"X", "Y"} <= set(geometry.axes):
        return None, None
    x, y = geometry.axes.index("X"), geometry.axes.index("Y")
    if not (is_length(geometry.units[x]) and is_length(geometry.units[y])):
        return None, None
    sizes = [abs(geometry.scale[i]) * conversion(geometry.units[i], "centimeter") for i in (x, y)]
    per_cm = [1 / size if size else 0.0 for size in sizes]
    # The tags are fractions of 32-bit integers.
    usable = all(1e-4 < value < 4e9 for value in per_cm)
    return ((per_cm[0], per_cm[1]), "CENTIMETER") if usable else (None, None)


_EAGER = 64 * 2**20
_EAGER_LABELS = 2**32
_MOST_PLANES = 10_000_000  # of an OME-TIFF; an hour of a light sheet has a million
_RGB = int(tifffile.PHOTOMETRIC.RGB)


def read_tiff(path: Path, *, writable: bool = False, root: Path | None = None) -> Content:
    """Open the first image of a TIFF: memory-mapped, or lazily where it is compressed.

    Parameters
    ----------
    writable : bool
        The pixels will be edited (labels): a private copy-on-write map, or an array
        in memory up to 4 GB.

    Raises
    ------
    OutputError
        Not a TIFF, truncated, or of a compression that cannot be read.
    """
    with open_file(path, root) as file, _opened(file, path) as tif:
        series = tif.series[0]
        _check_chain(tif, path)
        _check_complete(series, path)
        facts = _facts(tif)
        axes = series.axes
        data = _pixels(tif, file, writable=writable)
        if data is None:
            import zarr

            from napari_tool_runner.exchange.carriers.zarr_store import check_array

            again = open_file(path, root)  # stays open as long as the store lives
            lazy = tifffile.TiffFile(again, _multifile=False, is_ome=tif.is_ome)
            array = zarr.open_array(lazy.aszarr(series=0, level=0), mode="r")
            check_array(array, path.name)
            data = as_lazy(array)
    return _content(data, axes, facts)


@contextmanager
def _opened(file: BufferedReader, path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF, without its OME metadata when those are unusable.

    Other files that OME metadata may name are never opened.
    """
    tif = tifffile.TiffFile(file, _multifile=False)
    try:
        try:
            if tif.is_ome and _planes(tif.ome_metadata or "") > _MOST_PLANES:
                raise ValueError("its OME metadata promise too many planes")
            found = len(tif.series)
        except Exception:
            if not tif.is_ome:
                raise
            tif.close()
            file.seek(0)
            tif = tifffile.TiffFile(file, is_ome=False)
            found = len(tif.series)
        if not found:
            raise OutputError(f"{path.name} is a TIFF without an image.")
        yield tif
    finally:
        tif.close()


@dataclass(slots=True)
class _Facts:
    """What a TIFF says of its pixels. `steps`: axis -> (size of a step, unit)."""

    declared: bool = False
    steps: dict[str, tuple[float, str]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    rgb: bool = False
    notes: list[str] = field(default_factory=list)


def _planes(metadata: str) -> int:
    """Return how many planes OME metadata promise: tifffile makes a list of them all."""
    most = 0
    for pixels in ElementTree.fromstring(metadata).iterfind("{*}Image/{*}Pixels"):
        most = max(most, math.prod(int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT"))
    return most


def _pixels(tif: tifffile.TiffFile, file: BufferedReader, *, writable: bool) -> ArrayLike | None:
    """Return the pixels as a memory map, or read; None for what is better read in parts."""
    series = tif.series[0]
    size = series.size * series.dtype.itemsize
    if series.keyframe.is_memmappable and series.dataoffset is not None and size:
        mode: Literal["c", "r"] = "c" if writable else "r"
        dtype = series.dtype.newbyteorder(tif.byteorder)
        return np.memmap(file, dtype, mode, series.dataoffset, series.shape)
    if size <= (_EAGER_LABELS if writable else _EAGER):
        return series.asarray()
    return None


def _check_chain(tif: tifffile.TiffFile, path: Path) -> None:
    """Tell a file whose last page points to another that is not there any more."""
    fmt, file = tif.tiff, tif.filehandle
    offset = tif.pages[-1].offset
    file.seek(offset)
    count = struct.unpack(fmt.tagnoformat, file.read(fmt.tagnosize))[0]
    file.seek(offset + fmt.tagnosize + count * fmt.tagsize)
    following = struct.unpack(fmt.offsetformat, file.read(fmt.offsetsize))[0]
    if following >= path.stat().st_size:
        raise OutputError(
            f"{path.name} is truncated: of more pages than {len(tif.pages)} the rest is missing.",
            hint="The tool stopped while writing it, or the disk is full.",
        )


def _check_complete(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Compare where the pixels should be with the size of the file."""
    available = path.stat().st_size
    needed = 0
    for page in series.pages:
        if page is not None and len(page.dataoffsets):
            ends = np.add(page.dataoffsets, page.databytecounts)
            needed = max(needed, int(ends.max()))
    if series.dataoffset is not None:
        needed = max(needed, series.dataoffset + series.size * series.dtype.itemsize)
    if needed > available:
        raise OutputError(
            f"{path.name} is truncated: its pixels need {needed} bytes, it has {available}.",
            hint="The tool stopped while writing it, or the disk is full.",
        )


def _facts(tif: tifffile.TiffFile) -> _Facts:
    facts = _Facts()
    series = tif.series[0]
    page = series.keyframe
    facts.rgb = int(page.photometric) == _RGB and "S" in series.axes
    if tif.is_ome and tif.ome_metadata:
        facts.declared = True
        _ome_facts(tif.ome_metadata, facts)
    elif tif.is_imagej and tif.imagej_metadata:
        facts.declared = True
        _imagej_facts(tif, facts)
    else:
        shaped = tif.shaped_metadata
        facts.declared = bool(shaped and shaped[0].get("axes"))
        if page.tags.valueof("ResolutionUnit") == 3:
            _resolution_facts(page, "centimeter", facts)
    if len(tif.series) > 1:
        facts.notes.append(f"It holds {len(tif.series)} images; the first was opened.")
    if len(getattr(series, "levels", ())) > 1:
        facts.notes.append("It is a pyramid; its full resolution was opened.")
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        facts.notes.append("Its colour table was left out; the layer has the indices.")
    return facts


def _ome_facts(text: str, facts: _Facts) -> None:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        facts.notes.append(f"Its OME metadata cannot be read ({error}).")
        return
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return
    tags = {axis: (f"PhysicalSize{axis}", "µm") for axis in "XYZ"} | {"T": ("TimeIncrement", "s")}
    sizes = {axis: _number(pixels.get(tag)) for axis, (tag, _) in tags.items()}
    facts.steps = {
        axis: (sizes[axis], canonical(pixels.get(f"{tag}Unit", usual)))
        for axis, (tag, usual) in tags.items()
        if sizes[axis]
    }
    names = tuple(c.get("Name", "") for c in pixels.findall("{*}Channel"))
    facts.channels = names if all(names) else ()


def _imagej_facts(tif: tifffile.TiffFile, facts: _Facts) -> None:
    metadata = tif.imagej_metadata or {}
    unit = canonical(str(metadata.get("unit", "")).replace("\\u00B5", "µ").replace("\\u00b5", "µ"))
    if unit != "pixel":
        _resolution_facts(tif.series[0].keyframe, unit, facts)
        if _number(metadata.get("spacing")):
            facts.steps["Z"] = (abs(float(metadata["spacing"])), unit)
    if _number(metadata.get("finterval")):
        facts.steps["T"] = (float(metadata["finterval"]), canonical(metadata.get("tunit", "s")))
    labels = metadata.get("Labels")
    if isinstance(labels, list) and len(labels) == metadata.get("channels"):
        facts.channels = tuple(str(label) for label in labels)


def _resolution_facts(page: tifffile.TiffPage, unit: str, facts: _Facts) -> None:
    for axis, name in (("X", "XResolution"), ("Y", "YResolution")):
        value = page.tags.valueof(name)
        if isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]:
            facts.steps[axis] = (value[1] / value[0], unit)
    if unit == "centimeter":  # nobody calls pixel sizes so
        factor = conversion(unit, "micrometer")
        for axis, (size, _) in facts.steps.items():
            facts.steps[axis] = (size * factor, "micrometer")


def _content(data: ArrayLike, axes: str, facts: _Facts) -> Content:
    is_rgb = facts.rgb and data.shape[axes.index("S")] in (3, 4)
    attributes: dict[str, object] = {"channel_names": facts.channels} if facts.channels else {}
    if is_rgb and not axes.endswith("S"):  # planes of red, green, blue
        attributes["samples"] = position = axes.index("S")
        data = transposed(data, [*(i for i in range(len(axes)) if i != position), position])
    letters = axes.replace("S", "")
    if "S" in axes and not is_rgb:
        letters = axes.replace("S", "C" if "C" not in axes else "Q")
    if not facts.declared:
        letters = default_axes(len(letters))
    letters = "".join(axis if axis in "TCZYX" else "Q" for axis in letters)
    shape = tuple(data.shape[:-1] if is_rgb else data.shape)
    steps = [facts.steps.get(axis, (1.0, "pixel")) for axis in letters]
    labels = letters.lower() if facts.declared and "Q" not in letters else ""
    return Content(
        data=data,
        geometry=plain_geometry(shape, letters, steps, labels),
        calibrated=any(axis in facts.steps for axis in letters),
        rgb=is_rgb,
        attributes=attributes,
        notes=tuple(facts.notes),
    )


def _number(value: object) -> float:
    """Return a finite number, 0 for anything else."""
    try:
        number = float(str(value))
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0
