"""Writing TIFF, the carrier of images and labels, with OME metadata."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import tifffile

from napari_tool_runner.errors import LossyConversionError
from napari_tool_runner.exchange.blocks import (
    nbytes,
    planes,
)
from napari_tool_runner.exchange.carriers.streaming import write_blocks
from napari_tool_runner.exchange.lossless import OME_TYPES, TypePlan, plan_type
from napari_tool_runner.exchange.units import conversion, is_length, ome_symbol

if TYPE_CHECKING:
    from napari_tool_runner.exchange.carriers.content import Pixels, Progress

__all__ = ["write_tiff"]

_BIGTIFF = 3_900_000_000


def write_tiff(
    pixels: Pixels, path: Path, *, any_type: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write an OME-TIFF: images uncompressed, labels with zlib at level 1.

    Streams block by block; BigTIFF when large. Singleton axes are written as they are.

    Parameters
    ----------
    any_type : bool
        Fall back on a plain TIFF for types that OME does not know (64-bit integers
        that do not fit into 32 bits); else those are refused.

    Returns
    -------
    list of str
        Notes on what was changed or could not be written.

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
    array = pixels.array
    shape = tuple(array.shape)
    metadata, resolution, notes = _metadata(pixels)
    size = int(np.prod(shape, dtype=np.int64)) * plan.target.itemsize
    options: dict[str, Any] = {
        "shape": shape,
        "dtype": plan.target,
        "photometric": "rgb" if pixels.rgb else "minisblack",
        "metadata": metadata if ome else {"axes": pixels.axes},
        "resolution": resolution[0],
        "resolutionunit": resolution[1],
    }
    writer_options: dict[str, Any] = {"ome": ome, "bigtiff": size > _BIGTIFF, "byteorder": "<"}
    if pixels.labels or 0 in shape:
        with tifffile.TiffWriter(path, **writer_options) as writer:
            source = _labels_planes(pixels, plan, progress)
            writer.write(source, compression="zlib", compressionargs={"level": 1}, **options)
    else:
        with tifffile.TiffWriter(path, **writer_options) as writer:
            place = writer.write(returnoffset=True, **options)
        assert place is not None
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


def _metadata(
    pixels: Pixels,
) -> tuple[dict[str, object], tuple[tuple[float, float] | None, str | None], list[str]]:
    """Return OME metadata, the resolution tags, and notes."""
    geometry = pixels.geometry
    metadata: dict[str, object] = {"axes": _ome_axes(pixels.axes), "Name": pixels.name}
    notes = []
    for axis, scale, unit in zip(geometry.axes, geometry.scale, geometry.units, strict=True):
        symbol = ome_symbol(unit)
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
    return metadata, _resolution(pixels), notes


def _ome_axes(axes: str) -> str:
    """OME-TIFF has room for several axes of unknown meaning only under these letters."""
    spare = iter(c for c in "QAHRPVE" if c not in axes.replace("Q", ""))
    return "".join(next(spare, "Q") if axis == "Q" else axis for axis in axes)


def _resolution(pixels: Pixels) -> tuple[tuple[float, float] | None, str | None]:
    geometry = pixels.geometry
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
