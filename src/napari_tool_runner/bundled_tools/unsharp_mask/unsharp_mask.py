"""Makes details stand out against their surroundings."""

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--radius", type=float, default=2.0)
    parser.add_argument("--amount", type=float, default=1.0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="planes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    together = space(axes, args.space)
    along_z = args.radius / depth(sizes)
    sigmas = [
        0.0 if axis not in together else args.radius if axis in "YX" else along_z for axis in axes
    ]
    pixels = image.astype(np.float32)
    sharp = pixels + args.amount * (pixels - ndimage.gaussian_filter(pixels, sigmas))
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        sharp = np.clip(np.rint(sharp), limits.min, limits.max).astype(image.dtype)
    write_image(args.output, sharp, axes, sizes)


if __name__ == "__main__":
    main()
