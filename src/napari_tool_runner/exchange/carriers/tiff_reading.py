"""Reading TIFF: memory maps where possible, and what the file says of its axes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
import tifffile
from defusedxml import DefusedXmlException, ElementTree

from napari_tool_runner.errors import OutputError
from napari_tool_runner.exchange.axes import default_axes
from napari_tool_runner.exchange.blocks import ArrayLike, Transposed
from napari_tool_runner.exchange.carriers.content import Content
from napari_tool_runner.exchange.lazy import lazy_tiff
from napari_tool_runner.exchange.model import Geometry
from napari_tool_runner.exchange.units import canonical, conversion

__all__ = ["read_tiff"]

_EAGER = 64 * 2**20
_EAGER_LABELS = 2**32
_RGB = int(tifffile.PHOTOMETRIC.RGB)


def read_tiff(path: Path, *, writable: bool = False) -> Content:
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
    try:
        with _opened(path) as tif:
            series = tif.series[0]
            _check_chain(tif, path)
            _check_complete(series, path)
            facts = _facts(tif)
            axes = series.axes
            data = _pixels(tif, path, writable=writable)
    except OutputError:
        raise
    except _TROUBLE as error:
        raise OutputError(
            f"{path.name} cannot be read as TIFF: {error}",
            hint="See the log of the job: the tool may have stopped while writing it.",
        ) from error
    return _content(data, axes, facts)


@contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF, without its OME metadata when those are unusable.

    Other files that OME metadata may name are never opened.
    """
    tif = tifffile.TiffFile(path, _multifile=False)
    try:
        try:
            found = len(tif.series)
        except _TROUBLE:
            if not tif.is_ome:
                raise
            tif.close()
            tif = tifffile.TiffFile(path, is_ome=False)
            found = len(tif.series)
        if not found:
            raise OutputError(f"{path.name} is a TIFF without an image.")
        yield tif
    finally:
        tif.close()


_TROUBLE = (
    tifffile.TiffFileError,
    ValueError,
    OSError,
    RuntimeError,
    KeyError,
    IndexError,
    struct.error,
    zlib.error,
    ElementTree.ParseError,
)


@dataclass(slots=True)
class _Facts:
    """What a TIFF says of its pixels. `steps`: axis -> (size of a step, unit)."""

    declared: bool = False
    steps: dict[str, tuple[float, str]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    rgb: bool = False
    notes: list[str] = field(default_factory=list)


def _pixels(tif: tifffile.TiffFile, path: Path, *, writable: bool) -> ArrayLike:
    series = tif.series[0]
    size = series.size * series.dtype.itemsize
    if series.keyframe.is_memmappable and series.dataoffset is not None and size:
        mode: Literal["c", "r"] = "c" if writable else "r"
        dtype = series.dtype.newbyteorder(tif.byteorder)
        return np.memmap(path, dtype, mode, series.dataoffset, series.shape)
    if size <= (_EAGER_LABELS if writable else _EAGER):
        return series.asarray()
    return lazy_tiff(path, is_ome=tif.is_ome)


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
        if _tag(page, "ResolutionUnit") == 3:
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
    for axis in "XYZ":
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        unit = canonical(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size:
            facts.steps[axis] = (size, unit)
    increment = _number(pixels.get("TimeIncrement"))
    if increment:
        facts.steps["T"] = (increment, canonical(pixels.get("TimeIncrementUnit", "s")))
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
        value = _tag(page, name)
        if isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]:
            facts.steps[axis] = (value[1] / value[0], unit)
    if unit == "centimeter":  # nobody calls pixel sizes so
        factor = conversion(unit, "micrometer")
        for axis, (size, _) in facts.steps.items():
            facts.steps[axis] = (size * factor, "micrometer")


def _content(data: ArrayLike, axes: str, facts: _Facts) -> Content:
    is_rgb = facts.rgb and data.shape[axes.index("S")] in (3, 4)
    if is_rgb and not axes.endswith("S"):  # planes of red, green, blue
        position = axes.index("S")
        order = [i for i in range(len(axes)) if i != position] + [position]
        data = data.transpose(order) if isinstance(data, np.ndarray) else Transposed(data, order)
    letters = axes.replace("S", "")
    if "S" in axes and not is_rgb:
        letters = axes.replace("S", "C" if "C" not in axes else "Q")
    if not facts.declared:
        letters = default_axes(len(letters))
    letters = "".join(axis if axis in "TCZYX" else "Q" for axis in letters)
    shape = tuple(data.shape[:-1] if is_rgb else data.shape)
    steps = [facts.steps.get(axis, (1.0, "pixel")) for axis in letters]
    geometry = Geometry(
        axes=letters,
        shape=shape,
        scale=tuple(size for size, _ in steps),
        translate=(0.0,) * len(shape),
        units=tuple(unit for _, unit in steps),
        labels=tuple(letters.lower()) if facts.declared and "Q" not in letters else (),
    )
    attributes = {"channel_names": facts.channels} if facts.channels else {}
    return Content(
        data=data,
        geometry=geometry,
        calibrated=any(axis in facts.steps for axis in letters),
        rgb=is_rgb,
        attributes=attributes,
        notes=tuple(facts.notes),
    )


def _tag(page: tifffile.TiffPage, name: str) -> object:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _number(value: object) -> float:
    """Return a finite number, 0 for anything else."""
    try:
        number = float(cast("str", value))
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0
