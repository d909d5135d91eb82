"""Removes objects by their size, or at the border of the image."""

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--smallest", type=int, default=50)
    parser.add_argument("--largest", type=int, default=0)
    parser.add_argument("--border", choices=["true", "false"], default="false")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if not np.issubdtype(image.dtype, np.integer):
        sys.exit(f"{args.input} has fractions: objects are numbered with whole numbers.")
    values = np.unique(image[image != 0])
    # a mask has one value for all: its pieces are the objects
    labels = ndimage.label(image)[0] if len(values) == 1 else image
    numbers, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    keep = counts >= args.smallest
    if args.largest > 0:
        keep &= counts <= args.largest
    if args.border == "true":
        for dimension, axis in enumerate(axes):
            if axis in "YX":
                sides = np.take(labels, [0, -1], axis=dimension)
                keep &= ~np.isin(numbers, sides)
    keep &= numbers != 0
    result = np.where(keep[inverse].reshape(image.shape), image, 0)
    print(f"{keep.sum()} of {np.count_nonzero(numbers)} objects stay")
    write_image(args.output, result.astype(image.dtype), axes, sizes)


if __name__ == "__main__":
    main()
