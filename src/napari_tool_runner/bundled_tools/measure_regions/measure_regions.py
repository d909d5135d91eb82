"""Measures size, shape and brightness of labelled objects."""

import argparse
import csv
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
    """Return labels without large gaps in their numbers, and the number that each had."""
    if labels.size and labels.min() >= 0 and labels.max() <= labels.size:
        return labels, np.arange(labels.max() + 1)
    values = np.unique(labels[labels != 0])
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1)
    return small.astype(np.int32), np.concatenate([[0], values]).astype(values.dtype)


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
