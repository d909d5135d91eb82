"""Measures size, shape and brightness of labelled objects."""

import argparse
import csv
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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def depth(sizes):
    """Return how many pixel widths deep one slice is."""
    if {"PhysicalSizeX", "PhysicalSizeZ"} <= set(sizes):
        return sizes["PhysicalSizeZ"] / sizes["PhysicalSizeX"]
    return 1.0


def compact(labels):
    """Return labels without gaps in their numbers, and the number that each had."""
    values = np.unique(labels)
    values = values[values != 0]
    if not values.size or (values[0] > 0 and values[-1] <= 2 * values.size + 1000):
        return labels, np.arange(int(values.max(initial=0)) + 1)
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int32)
    return small, np.concatenate([np.zeros(1, values.dtype), values])


def measure(labels, image, sizes):
    """Return the names of the columns and a row for each object of one volume or plane."""
    from skimage.measure import regionprops_table

    solid = labels.ndim == 3
    deep = depth(sizes) if solid else 1.0
    wide = sizes.get("PhysicalSizeX")
    shape = ["axis_major_length", "axis_minor_length"]
    shape += [] if solid else ["perimeter", "eccentricity", "solidity"]
    names = ["label", "centroid", *shape]
    spacing = (deep, 1.0, 1.0) if solid else (1.0, 1.0)
    found = regionprops_table(labels, properties=names, spacing=spacing)
    numbers = found["label"]
    pixels = np.bincount(labels.ravel(), minlength=1)[numbers]
    columns = {"label": numbers, "voxels" if solid else "pixels": pixels}
    if wide is not None:
        columns["volume_um3" if solid else "area_um2"] = pixels * deep * wide**labels.ndim
    for dimension, axis in enumerate("zyx"[-labels.ndim :]):
        columns[f"centroid_{axis}"] = found[f"centroid-{dimension}"] / spacing[dimension]
    unit, scale = ("um", wide) if wide is not None else ("px", 1.0)
    columns[f"length_{unit}"] = found["axis_major_length"] * scale
    columns[f"width_{unit}"] = found["axis_minor_length"] * scale
    if not solid:
        around = found["perimeter"]
        columns[f"perimeter_{unit}"] = around * scale
        safe = np.where(around > 0, around, np.inf)
        columns["circularity"] = np.minimum(4 * np.pi * pixels / safe**2, 1.0)
        columns["eccentricity"], columns["solidity"] = found["eccentricity"], found["solidity"]
    if image is not None:
        columns["intensity_mean"] = ndimage.mean(image, labels, numbers)
        columns["intensity_std"] = ndimage.standard_deviation(image, labels, numbers)
        columns["intensity_min"] = ndimage.minimum(image, labels, numbers)
        columns["intensity_max"] = ndimage.maximum(image, labels, numbers)
        columns["intensity_sum"] = ndimage.sum(image, labels, numbers)
    return list(columns), list(zip(*columns.values(), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--table", required=True)
    args = parser.parse_args()

    labels, axes, sizes = read_image(args.labels)
    if not np.issubdtype(labels.dtype, np.integer):
        sys.exit(f"{args.labels} has fractions: objects are numbered with whole numbers.")
    image = read_image(args.image)[0]
    if image.shape != labels.shape:
        sys.exit(f"The image {image.shape} and the labels {labels.shape} differ in size.")
    # the objects as their own image: only shapes are wanted
    image = None if np.array_equal(image, labels) else image.astype(float)
    labels, numbers = compact(labels)
    together = [axis in space(axes, "volumes") for axis in axes]
    steps = [1 if joined else n for n, joined in zip(labels.shape, together, strict=True)]
    outer = [axis for axis, joined in zip(axes, together, strict=True) if not joined]
    names, rows = [], []
    for done, index in enumerate(np.ndindex(*steps), 1):
        part = tuple(slice(None) if j else i for i, j in zip(index, together, strict=True))
        place = [i for i, joined in zip(index, together, strict=True) if not joined]
        names, found = measure(labels[part], None if image is None else image[part], sizes)
        rows += [[numbers[row[0]], *place, *row[1:]] for row in found]
        print(f"{done}/{np.prod(steps)}", flush=True)
    where = ["frame" if axis == "T" else axis.lower() for axis in outer]
    with open(args.table, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([names[0], *where, *names[1:]])
        for label, *values in rows:
            table.writerow([label, *[f"{value:.6g}" for value in values]])
    print(f"{len(rows)} objects")


if __name__ == "__main__":
    main()
