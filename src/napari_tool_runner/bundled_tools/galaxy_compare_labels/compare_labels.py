"""Compares segmentations with a reference, object by object."""

import argparse
import sys
from pathlib import Path

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


def best_overlaps(truth, labels):
    """Return for each object of `truth` its number and the best intersection over union."""
    numbers, sizes = np.unique(truth[truth > 0], return_counts=True)
    others, other_sizes = np.unique(labels[labels > 0], return_counts=True)
    size_of = dict(zip(others.tolist(), other_sizes.tolist(), strict=True))
    found = np.zeros(len(numbers))
    for index, (number, size) in enumerate(zip(numbers, sizes, strict=True)):
        below = labels[truth == number]
        partners, shared = np.unique(below[below > 0], return_counts=True)
        scores = [s / (size + size_of[int(p)] - s) for p, s in zip(partners, shared, strict=True)]
        found[index] = max(scores, default=0.0)
    return numbers, found, len(others)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--candidate", nargs=2, action="append", required=True)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--separator", choices=["tab", "comma"], default="tab")
    parser.add_argument("--table", required=True)
    parser.add_argument("--summary", required=True)
    args = parser.parse_args()

    truth, _, _ = read_image(args.reference)
    columns, rows = [], []
    for path, name in args.candidate:
        labels, _, _ = read_image(path)
        if labels.shape != truth.shape:
            sys.exit(f"“{name}” has the shape {labels.shape}, the reference has {truth.shape}.")
        numbers, overlaps, count = best_overlaps(truth, labels)
        matched = int((overlaps >= args.overlap).sum())
        precision, recall = matched / max(count, 1), matched / max(len(numbers), 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        columns.append((name, overlaps))
        rows.append([name, count, len(numbers), matched, precision, recall, f1])
        print(f"{name}: {matched} of {len(numbers)} objects found, {count - matched} made up")
    header = ["name", "objects", "reference", "matched", "precision", "recall", "f1"]
    objects = [["label", *[f"overlap_{name}" for name, _ in columns]]]
    objects += [
        [number, *[overlaps[index] for _, overlaps in columns]]
        for index, number in enumerate(numbers)
    ]
    separator = "," if args.separator == "comma" else "\t"
    for path, table in ((args.table, objects), (args.summary, [header, *rows])):
        lines = [
            separator.join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row)
            for row in table
        ]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
