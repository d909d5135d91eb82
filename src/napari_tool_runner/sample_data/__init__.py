"""Small images that ship with the plugin, as napari's *File ▸ Open Sample* wants them.

Every function returns a list of ``(data, attributes, layer type)`` tuples. Pixel sizes,
units and channel names are those of the OME-TIFF files beside this module; the files are
simulated (see README.md beside them).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SAMPLES", "cells_2d", "drifted_pair", "moving_spots", "nuclei_3d", "spots_2d"]

LayerTuple = tuple["np.ndarray", dict[str, object], str]

SAMPLES = ("cells_2d", "nuclei_3d", "moving_spots", "drifted_pair", "spots_2d")
"""Keys of the samples, as in the manifest; each is a function of this module."""

_UNITS = {"µm": "micrometer", "nm": "nanometer", "s": "second", "ms": "millisecond"}


def cells_2d() -> list[LayerTuple]:
    """Return two channels of cultured cells: nuclei and cytoplasm (512 x 512, YX)."""
    # napari selects the layer that comes last, and tools start with the selected one
    return _layers("cells_2d", ("cyan", "magenta"))[::-1]


def nuclei_3d() -> list[LayerTuple]:
    """Return a stack of nuclei with voxels deeper than wide (24 x 160 x 160, ZYX)."""
    return _layers("nuclei_3d", ("gray",))


def moving_spots() -> list[LayerTuple]:
    """Return a movie of vesicles that move in two cells (15 x 128 x 128, TYX)."""
    return _layers("moving_spots", ("gray",))


def drifted_pair() -> list[LayerTuple]:
    """Return the same cells before and after the stage moved (256 x 256 each, YX)."""
    return _layers("drifted_pair", ("green", "magenta"))


def spots_2d() -> list[LayerTuple]:
    """Return single RNA molecules in two cells (256 x 256, YX)."""
    return _layers("spots_2d", ("gray",))


def _layers(key: str, colormaps: tuple[str, ...]) -> list[LayerTuple]:
    """Open one file and return a layer for each channel."""
    # napari imports this package to list the samples; only opening one needs the reader
    import numpy as np
    import tifffile

    with tifffile.TiffFile(Path(__file__).with_name(f"{key}.ome.tif")) as file:
        series = file.series[0]
        image = series.asarray()
        axes = series.axes
        document = cast("dict[str, dict[str, object]]", tifffile.xml2dict(file.ome_metadata or ""))
    pixels = cast(
        "dict[str, object]", cast("dict[str, object]", document["OME"]["Image"])["Pixels"]
    )
    found = pixels["Channel"]
    channels = cast("list[dict[str, str]]", found if isinstance(found, list) else [found])
    if "C" not in axes:
        image, axes = image[np.newaxis], "C" + axes
    image = np.moveaxis(image, axes.index("C"), 0)
    kept = axes.replace("C", "")
    scale, units = zip(*[_size(pixels, axis) for axis in kept], strict=True)
    layers: list[LayerTuple] = []
    for plane, channel, colormap in zip(image, channels, colormaps, strict=True):
        low, high = np.percentile(plane, (0.5, 99.9))
        attributes: dict[str, object] = {
            "name": channel["Name"],
            "scale": scale,
            "units": units,
            "axis_labels": tuple(kept.lower()),
            "colormap": colormap,
            "blending": "additive",
            "contrast_limits": (float(low), float(high)),
            "rgb": False,
        }
        layers.append((np.ascontiguousarray(plane), attributes, "image"))
    return layers


def _size(pixels: dict[str, object], axis: str) -> tuple[float, str]:
    """Return the step along `axis` and its unit, as OME wrote them."""
    name = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
    unit = str(pixels.get(f"{name}Unit", "s" if axis == "T" else "µm"))
    return float(str(pixels[name])), _UNITS[unit]
