"""Replaces every pixel by the median of its surroundings."""

import argparse
import sys

import numpy as np
import tifffile
from scipy import ndimage


def read_image(path):
    """Return an image, its axes (a letter each) and the pixel sizes that OME gives."""
    try:
        with tifffile.TiffFile(path) as file:
            image, axes = file.series[0].asarray(), file.series[0].axes.replace("I", "Q")
            ome = tifffile.xml2dict(file.ome_metadata)["OME"] if file.ome_metadata else {}
    except (OSError, IndexError, KeyError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a TIFF image: {error}")
    first = ome.get("Image", {})
    pixels = (first[0] if isinstance(first, list) else first).get("Pixels", {})
    sizes = {k: v for k, v in pixels.items() if k.startswith(("PhysicalSize", "TimeInc"))}
    return image, axes, sizes


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, image, ome=True, photometric=colour, metadata={"axes": axes, **sizes})


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def depth(sizes):
    """Return how many pixel widths deep one slice is."""
    if {"PhysicalSizeX", "PhysicalSizeZ"} <= set(sizes):
        return sizes["PhysicalSizeZ"] / sizes["PhysicalSizeX"]
    return 1.0


def each(image, axes, together, work, dtype):
    """Return what `work` makes of every volume (or plane), one after the other."""
    inner = [number for number, axis in enumerate(axes) if axis in together]
    outer = [number for number in range(image.ndim) if number not in inner]
    moved = image.transpose(outer + inner)
    result = np.empty(moved.shape, dtype)
    steps = list(np.ndindex(*moved.shape[: len(outer)]))
    for done, index in enumerate(steps, 1):
        result[index] = work(moved[index])
        print(f"{done}/{len(steps)}", flush=True)
    return result.transpose(np.argsort(outer + inner))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--radius", type=int, default=1)
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    together = space(axes, args.space)
    radii = [args.radius if axis in "YX" else round(args.radius / depth(sizes)) for axis in axes]
    window = [2 * radius + 1 for radius, axis in zip(radii, axes, strict=True) if axis in together]
    smooth = each(
        image, axes, together, lambda part: ndimage.median_filter(part, window), image.dtype
    )
    write_image(args.output, smooth, axes, sizes)


if __name__ == "__main__":
    main()
