"""Grows, shrinks and smooths labelled objects."""

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


def grow(labels, radius, sampling):
    """Return labels that reach `radius` further; neighbours meet half-way."""
    distance, nearest = ndimage.distance_transform_edt(labels == 0, sampling, return_indices=True)
    return np.where(distance <= radius, labels[tuple(nearest)], 0)


def shrink(labels, radius, sampling):
    """Return labels without what lies within `radius` of something else."""
    low, high = ndimage.minimum_filter(labels, 3), ndimage.maximum_filter(labels, 3)
    edge = (low != high) & (labels != 0)
    inside = ndimage.distance_transform_edt(~edge, sampling) + 1.0 > radius
    return np.where(inside, labels, 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--operation", choices=["grow", "shrink", "open", "close"], default="open")
    parser.add_argument("--radius", type=float, default=2.0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    labels, axes, sizes = read_image(args.input)
    together = space(axes, args.space)
    slices = depth(sizes)
    sampling = [1.0 if axis in "YX" else slices for axis in axes if axis in together]
    steps = {"grow": [grow], "shrink": [shrink], "open": [shrink, grow], "close": [grow, shrink]}

    def work(part):
        for step in steps[args.operation]:
            part = step(part, args.radius, sampling)
        return part

    write_image(args.output, each(labels, axes, together, work, labels.dtype), axes, sizes)


if __name__ == "__main__":
    main()
