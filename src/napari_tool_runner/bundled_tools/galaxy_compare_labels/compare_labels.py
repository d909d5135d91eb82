"""Compares segmentations with a reference, object by object."""

import argparse
import sys
from pathlib import Path

import numpy as np
import tifffile


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
