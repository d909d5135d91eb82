"""Splits objects that touch, by their shape (watershed)."""

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


def split(mask, spacing, sampling, smoothing):
    """Return labels of one volume or plane."""
    from skimage.segmentation import watershed

    depth = ndimage.distance_transform_edt(mask, sampling)
    depth = ndimage.gaussian_filter(depth, [smoothing / step for step in sampling]) * mask
    window = [2 * int(spacing / step) + 1 for step in sampling]
    tops = (depth == ndimage.maximum_filter(depth, window)) & mask
    # a small piece beside a large one has no top of that size, but is an object all the same
    pieces, _ = ndimage.label(mask)
    tops |= mask & ~np.isin(pieces, pieces[tops])
    seeds, _ = ndimage.label(tops, np.ones((3,) * mask.ndim))
    return watershed(-depth, seeds, mask=mask)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--spacing", type=float, default=10.0)
    parser.add_argument("--smoothing", type=float, default=1.5)
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    mask, axes, sizes = read_image(args.input)
    together = [axis in space(axes, args.space) for axis in axes]
    slices = depth(sizes)
    sampling = [
        1.0 if axis in "YX" else slices
        for axis, joined in zip(axes, together, strict=True)
        if joined
    ]
    labels = np.zeros(mask.shape, np.int32)
    steps = [1 if joined else n for n, joined in zip(mask.shape, together, strict=True)]
    for done, index in enumerate(np.ndindex(*steps), 1):
        part = tuple(
            slice(None) if joined else i for i, joined in zip(index, together, strict=True)
        )
        found = split(mask[part] != 0, args.spacing, sampling, args.smoothing)
        labels[part] = np.where(found, found + labels.max(), 0)  # no number twice
        print(f"{done}/{np.prod(steps)}", flush=True)
    print(f"{labels.max()} objects")
    write_image(args.output, labels, axes, sizes)


if __name__ == "__main__":
    main()
