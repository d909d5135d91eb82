"""Measures how well two channels agree."""

import argparse
import csv
import sys

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
