"""Gives every connected piece of a mask a number of its own."""

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    parser.add_argument("--diagonal", choices=["true", "false"], default="true")
    parser.add_argument("--min-size", type=int, default=0)
    args = parser.parse_args()

    mask, axes, sizes = read_image(args.input)
    together = space(axes, args.space)
    connected = [axis in together for axis in axes]
    reach = sum(connected) if args.diagonal == "true" else 1
    neighbours = ndimage.generate_binary_structure(mask.ndim, reach)
    for dimension, joined in enumerate(connected):
        if not joined:  # pieces of different time points never belong together
            outside = [slice(None)] * mask.ndim
            outside[dimension] = [0, 2]
            neighbours[tuple(outside)] = False
    labels, count = ndimage.label(mask != 0, neighbours)
    if args.min_size > 1:
        keep = np.bincount(labels.ravel()) >= args.min_size
        keep[0] = False
        labels = (np.cumsum(keep) * keep)[labels]
        count = keep.sum()
    print(f"{count} objects")
    write_image(args.output, labels.astype(np.int32), axes, sizes)


if __name__ == "__main__":
    main()
