"""Removes objects by their size, or at the border of the image."""

import argparse
import sys

import numpy as np
import tifffile
from scipy import ndimage


def read_image(path):
    """Return an image, its axes (a letter each) and its pixel sizes (lengths in µm)."""
    try:
        with tifffile.TiffFile(path) as file:
            image, axes = file.series[0].asarray(), file.series[0].axes.replace("I", "Q")
            sizes = pixel_sizes(file)
    except (OSError, IndexError, KeyError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a TIFF image: {error}")
    if "S" in axes[:-1]:  # planes of red, green and blue
        image, axes = np.moveaxis(image, axes.index("S"), -1), axes.replace("S", "") + "S"
    if "Z" in axes and "PhysicalSizeX" in sizes and "PhysicalSizeZ" not in sizes:
        print("note: the image does not say how deep a slice is: it is taken as deep as wide")
    return image.view(np.uint8) if image.dtype == bool else image, axes, sizes


def pixel_sizes(file):
    """Return what OME or ImageJ say of the pixels: in µm, or with a unit that is no length."""
    found, unit = {}, "pixel"
    if file.ome_metadata:
        image = tifffile.xml2dict(file.ome_metadata)["OME"].get("Image", {})
        found, unit = (image[0] if isinstance(image, list) else image).get("Pixels", {}), "µm"
    elif file.imagej_metadata:
        told, tags = file.imagej_metadata, file.pages[0].tags
        unit = told.get("unit", "pixel")
        per = {axis: tags.valueof(f"{axis}Resolution", default=(0, 1)) for axis in "XY"}
        found = {f"PhysicalSize{axis}": b / a for axis, (a, b) in per.items() if a}
        found["PhysicalSizeZ"] = told.get("spacing", 0)
    meter = {"p": 1e-6, "n": 1e-3, "µ": 1, "m": 1e3, "c": 1e4, "d": 1e5, "": 1e6}
    lengths = {f"{prefix}m": factor for prefix, factor in meter.items()} | {"um": 1, "micron": 1}
    lengths |= {"Å": 1e-4, "in": 25400, "inch": 25400, "thou": 25.4, "ft": 304800, "pt": 352.778}
    lengths |= {"nanometer": 1e-3, "micrometer": 1, "millimeter": 1e3, "meter": 1e6}
    sizes = {key: value for key, value in found.items() if key.startswith("TimeInc")}
    others = {}
    for axis in "XYZ":
        size = found.get(f"PhysicalSize{axis}", 0)
        name = str(found.get(f"PhysicalSize{axis}Unit", unit)).replace("\\u00B5", "µ")
        factor = lengths.get(name.replace("μ", "µ"), lengths.get(name.rstrip("s")))
        if factor and 0 < size < np.inf:
            sizes[f"PhysicalSize{axis}"] = float(f"{size * factor:.12g}")
        elif 0 < size < np.inf:
            others |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": name}
    return sizes if any(key[-1] in "XYZ" for key in sizes) else sizes | others


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF (a plain TIFF where OME has no such numbers)."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    ome = image.dtype.name not in ("int64", "uint64", "float16")
    tags = {"axes": axes, **sizes} if ome else {"axes": axes}
    tifffile.imwrite(path, image, ome=ome, photometric=colour, metadata=tags)


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
