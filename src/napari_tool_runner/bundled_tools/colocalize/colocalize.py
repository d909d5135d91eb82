"""Measures how well two channels agree."""

import argparse
import csv
import sys

import numpy as np
import tifffile


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


def otsu(pixels):
    """Return the threshold that separates bright from dark best."""
    from skimage.filters import threshold_otsu

    return threshold_otsu(pixels) if np.ptp(pixels) > 0 else pixels.flat[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", required=True)
    parser.add_argument("--second", required=True)
    parser.add_argument("--labels", default="")
    parser.add_argument("--table", required=True)
    args = parser.parse_args()

    first, second = (read_image(path)[0].astype(float) for path in (args.first, args.second))
    labels = read_image(args.labels)[0] if args.labels else np.ones(first.shape, int)
    if not first.shape == second.shape == labels.shape:
        sizes = ", ".join(str(image.shape) for image in (first, second, labels))
        sys.exit(f"The two channels and the objects must have one size, not {sizes}.")
    levels = otsu(first[labels != 0]), otsu(second[labels != 0])
    print(f"thresholds {levels[0]:g} and {levels[1]:g}")
    with open(args.table, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["label", "pearson", "manders_m1", "manders_m2", "overlap"])
        inside = np.flatnonzero(labels)
        inside = inside[np.argsort(labels.flat[inside], kind="stable")]
        numbers, starts = np.unique(labels.flat[inside], return_index=True)
        for number, pixels in zip(numbers, np.split(inside, starts[1:]), strict=True):
            a, b = first.flat[pixels], second.flat[pixels]
            with np.errstate(invalid="ignore", divide="ignore"):  # one value only: nan
                pearson = np.corrcoef(a, b)[0, 1]
                bright_a, bright_b = a > levels[0], b > levels[1]
                m1 = a[bright_a & bright_b].sum() / a[bright_a].sum()
                m2 = b[bright_a & bright_b].sum() / b[bright_b].sum()
                overlap = (bright_a & bright_b).sum() / (bright_a | bright_b).sum()
            table.writerow([number, *[f"{value:.6g}" for value in (pearson, m1, m2, overlap)]])


if __name__ == "__main__":
    main()
