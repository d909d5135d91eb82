"""TIFF, the carrier of images and labels: OME metadata, memory maps, streaming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import tifffile

from napari_tool_runner.errors import LossyConversionError, OutputError, ToolRunnerError
from napari_tool_runner.exchange.axes import default_axes, in_words
from napari_tool_runner.exchange.blocks import (
    OME_TYPES,
    TypePlan,
    as_lazy,
    plan_type,
    transposed,
    write_blocks,
)
from napari_tool_runner.exchange.carriers.arrays import bare_content, untaken
from napari_tool_runner.exchange.carriers.ome_files import ome_image
from napari_tool_runner.exchange.carriers.tiff_checks import (
    bound_tiles,
    check_complete,
    smaller_levels,
)
from napari_tool_runner.exchange.carriers.tiff_says import Facts
from napari_tool_runner.exchange.geometry import plain_geometry
from napari_tool_runner.exchange.model import ArrayLike, Content, Geometry
from napari_tool_runner.exchange.units import conversion, in_ome_unit, is_length, ome_symbol
from napari_tool_runner.sealed import open_file
from napari_tool_runner.tools.file_types import check_pages

if TYPE_CHECKING:
    from napari_tool_runner.exchange.model import Pixels, Progress

__all__ = ["read_tiff", "write_tiff"]

_BIGTIFF = 3_900_000_000


def write_tiff(
    pixels: Pixels, path: Path, *, any_type: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write an uncompressed OME-TIFF, which programs can map as well; return notes.

    Streams block by block; BigTIFF when large. Singleton axes are written as they are.

    Parameters
    ----------
    any_type : bool
        Fall back on a plain TIFF for types that OME does not know (64-bit integers
        that do not fit into 32 bits); else those are refused. It says the sizes of its
        pixels as an OME-TIFF does, in the words of tifffile.

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
    told = [plan.note] if plan.note else []
    try:
        return _write(pixels, path, plan, ome=True, progress=progress) + told
    except tifffile.OmeXmlError:  # more axes than OME has room for
        notes = _write(pixels, path, plan, ome=False, progress=progress) + told
        return [*notes, f"OME has no room for the axes {in_words(pixels.axes)}: a plain TIFF."]
    except LossyConversionError:
        if not any_type:
            raise
        native = np.dtype(pixels.array.dtype).newbyteorder("=")
        whole = TypePlan(native)
        notes = _write(pixels, path, whole, ome=False, progress=progress)
        said = f"{native.name} was written as a plain TIFF, since OME-TIFF ends at 32 bits"
        deep = "Z" in pixels.axes and "PhysicalSizeZ" in _metadata(pixels)[0]
        return [*notes, f"{said}; few programs find its pixel depth." if deep else f"{said}."]


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
        "metadata": metadata if ome else metadata | {"axes": pixels.axes},
        "resolution": resolution,
        "resolutionunit": unit,
    }
    place = None
    big = int(np.prod(shape, dtype=np.int64)) * plan.target.itemsize > _BIGTIFF
    with tifffile.TiffWriter(path, ome=ome, bigtiff=big, byteorder="<") as writer:
        place = writer.write(returnoffset=True, **options)
    if place is not None:
        write_blocks(pixels, path, place[0], plan, progress)
    return notes


def _metadata(pixels: Pixels) -> tuple[dict[str, object], list[str]]:
    """Return OME metadata, and notes."""
    geometry = pixels.geometry
    metadata: dict[str, object] = {"axes": _ome_axes(pixels.axes), "Name": pixels.name}
    notes = []
    told = [*map(in_ome_unit, np.abs(geometry.scale), geometry.units)]
    steps = [(a, *step, ome_symbol(step[1])) for a, step in zip(geometry.axes, told, strict=True)]
    space = [(scale, symbol) for axis, scale, _, symbol in steps if axis in "XYZ"]
    ratios = {symbol for _, symbol in space} == {"pixel"} and {*space} != {(1.0, "pixel")}
    for axis, scale, unit, symbol in steps:
        if axis in "XYZ" and (ratios or not (symbol == "pixel" and scale == 1.0)):
            if symbol is None:
                notes.append(f"OME knows no unit “{unit}”; the size of {axis} has none.")
            length = is_length(unit)  # one unit, since not every program looks at it
            size = float(scale) * (conversion(unit, "micrometer") if length else 1.0)
            metadata[f"PhysicalSize{axis}"] = float(f"{size:.12g}")
            metadata[f"PhysicalSize{axis}Unit"] = "µm" if length else symbol or "reference frame"
        elif axis == "T" and symbol not in (None, "pixel"):
            metadata["TimeIncrement"] = float(scale)
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


def read_tiff(
    path: Path, *, writable: bool = False, root: Path | None = None, image: int = 0
) -> Content:
    """Open the first image of a TIFF: memory-mapped, or lazily where it is compressed.

    Of a large one its smaller levels come with it, unless it will be edited.

    Parameters
    ----------
    writable : bool
        The pixels will be edited (labels): a private copy-on-write map, or an array
        in memory up to 4 GB.
    image : int
        The number of another image, counted from 1; 0: nobody chose.

    Raises
    ------
    OutputError
        Not a TIFF, truncated, or of a compression that cannot be read.
    """
    with open_file(path, root) as file, _opened(file, path, root, image) as opened:
        tif, how, facts, whole = opened
        index = max(0, image - 1) if how.get("omexml") is None else 0
        if index >= len(tif.series):
            raise OutputError(
                f"{path.name} has no image number {image}: it holds {len(tif.series)}.",
                hint="Images are counted from 1.",
            )
        series = tif.series[index]
        check_complete(series, path, whole=whole)
        facts.add(tif, index)
        facts.notes += untaken((tif.shaped_metadata or [{}])[0])
        axes = series.axes
        data = _pixels(series, tif, file, writable=writable)
        levels: list[ArrayLike] = []
        if not writable and series.size * series.dtype.itemsize > _EAGER:
            smaller, odd = smaller_levels(series, path)
            facts.notes += [odd] * bool(odd)
            levels = _lazy(path, root, how, index, range(1, len(smaller) + 1))
        if data is None:
            data = _lazy(path, root, how, index, [0])[0]
    return _content(data, levels, axes, facts, own=root is None and series.kind == "shaped")


def _lazy(
    path: Path, root: Path | None, how: _How, index: int, levels: Iterable[int]
) -> list[ArrayLike]:
    """Open levels of an image so that the parts of them that are shown are read."""
    import zarr

    from napari_tool_runner.exchange.carriers.zarr_store import check_array

    found: list[ArrayLike] = []
    for level in levels:
        again = open_file(path, root)  # stays open as long as the store lives
        lazy = tifffile.TiffFile(again, **how)
        if root is not None:
            bound_tiles(lazy.series[index].levels[level].keyframe, path.name)
        array = zarr.open_array(lazy.aszarr(series=index, level=level), mode="r")
        check_array(array, path.name)
        found.append(as_lazy(array))
    return found


class _How(TypedDict, total=False):
    """How tifffile opens a file."""

    _multifile: bool
    is_ome: bool
    omexml: str


@contextmanager
def _opened(
    file: BufferedReader, path: Path, root: Path | None, number: int
) -> Iterator[tuple[tifffile.TiffFile, _How, Facts, bool]]:
    """Open a TIFF, without its OME metadata when those are unusable.

    Say how, what is odd, and whether all its pages are there.

    Beside the user's own files those are opened that hold planes of the same image.
    """
    how: _How = {"_multifile": False}
    facts = Facts()
    whole = check_pages(file, path.name)
    tif = tifffile.TiffFile(file, **how)
    try:
        try:
            if tif.is_ome:
                text, alone = tif.ome_metadata or "", root is not None
                image = ome_image(text, path, alone=alone, number=number)
                how = {"_multifile": bool(image.others), "omexml": image.xml}
                tif.close()
                file.seek(0)
                tif = tifffile.TiffFile(file, **how)
                if None in tif.series[0].pages:
                    raise ValueError("they promise more planes than there are")
                facts.notes += image.notes
                facts.hidden += image.hidden
            found = len(tif.series)
        except ToolRunnerError:
            raise
        except Exception as error:
            if not tif.is_ome:
                raise
            facts.notes.append(f"Its OME metadata were left out: {error}.")
            facts.hidden.append("its OME metadata are not true")
            tif.close()
            file.seek(0)
            how = {"_multifile": False, "is_ome": False}
            tif = tifffile.TiffFile(file, **how)
            found = len(tif.series)
        if not found:
            raise OutputError(f"{path.name} is a TIFF without an image.")
        yield tif, how, facts, whole
    finally:
        tif.close()


def _pixels(
    series: tifffile.TiffPageSeries,
    tif: tifffile.TiffFile,
    file: BufferedReader,
    *,
    writable: bool,
) -> ArrayLike | None:
    """Return the pixels as a memory map, or read; None for what is better read in parts."""
    size = series.size * series.dtype.itemsize
    apart = series.is_multifile and any(
        page.parent is not tif for page in series.pages if page is not None
    )
    if series.keyframe.is_memmappable and series.dataoffset is not None and size and not apart:
        mode: Literal["c", "r"] = "c" if writable else "r"
        dtype = series.dtype.newbyteorder(tif.byteorder)
        return np.memmap(file, dtype, mode, series.dataoffset, series.shape)
    if size <= (_EAGER_LABELS if writable else _EAGER):
        return series.asarray()
    return None


def _content(
    data: ArrayLike, levels: list[ArrayLike], axes: str, facts: Facts, *, own: bool
) -> Content:
    bare = own and not facts.declared and "S" not in axes
    if bare and (guessed := bare_content(data, own=True)).rgb:  # an array somebody saved
        axes, facts.rgb = f"{axes[:-1]}S", True
        facts.notes += guessed.notes
        facts.hidden.append("that it has colours is not told")
    if facts.rgb and axes.endswith("C") and "S" not in axes:  # colours by another name
        axes = axes[:-1] + "S"
        facts.hidden.append("its colours are told as channels")
    is_rgb = facts.rgb and "S" in axes and data.shape[axes.index("S")] in (3, 4)
    attributes: dict[str, object] = {"channel_names": facts.channels} if facts.channels else {}
    letters = axes.replace("S", "")
    if not facts.declared:
        letters = default_axes(len(letters))
        if len(letters) > 2:
            facts.hidden.append("its axes have no names")
    position = axes.find("S")
    if is_rgb and position != len(letters):  # planes of red, green, blue
        attributes["samples"] = position
        order = [*(i for i in range(len(axes)) if i != position), position]
        data, *levels = (transposed(level, order) for level in (data, *levels))
        facts.hidden.append("its colours lie in planes")
    elif position >= 0 and not is_rgb:  # grey with transparency, inks, many colours
        letters = letters[:position] + ("Q" if "C" in letters else "C") + letters[position:]
        facts.declared = True
        facts.hidden.append(f"its {data.shape[position]} samples a pixel are channels")
    if facts.declared and set(letters) - set("TCZYXQ"):
        facts.hidden.append(f"what its axes {', '.join(letters)} are is not known")
    letters = "".join(axis if axis in "TCZYX" else "Q" for axis in letters)
    shape = tuple(data.shape[:-1] if is_rgb else data.shape)
    steps = [facts.steps.get(axis, (1.0, "pixel")) for axis in letters]
    labels = letters.lower().replace("q", "?") if facts.declared else ""
    if labels and not letters.endswith("YX"):
        facts.hidden.append(f"its axes lie in the order {in_words(letters)}")
    return Content(
        data=[data, *levels] if levels else data,
        multiscale=bool(levels),
        geometry=plain_geometry(shape, letters, steps, labels),
        calibrated=any(axis in facts.steps for axis in letters),
        rgb=is_rgb,
        attributes=attributes,
        notes=tuple(facts.notes),
        hidden="; ".join(facts.hidden),
        bare=bare,
    )
