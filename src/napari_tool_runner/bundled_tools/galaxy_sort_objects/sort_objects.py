"""Sorts the objects of a label image into classes by a measurement."""

import argparse
import json
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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, image, ome=True, photometric=colour, metadata={"axes": axes, **sizes})


def measure(labels, image, feature):
    """Return the numbers of the objects and their values."""
    from skimage import measure

    if feature == "intensity_mean" and image is None:
        sys.exit("Sorting by brightness needs an image.")
    if feature == "eccentricity" and labels.ndim != 2:
        sys.exit("Eccentricity is measured in planes only; this image has more axes.")
    if image is not None and image.shape != labels.shape:
        sys.exit(f"The image has the shape {image.shape}, the labels have {labels.shape}.")
    regions = measure.regionprops(labels, intensity_image=image)
    return np.array([r.label for r in regions]), np.array([float(r[feature]) for r in regions])


def classify(values, settings):
    """Return the class of each value (from 1), and how many classes there are."""
    if settings["how"] == "values":
        return np.searchsorted(settings["edges"], values, side="right") + 1, len(
            settings["edges"]
        ) + 1
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ranks * settings["count"] // len(values) + 1, settings["count"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--image")
    parser.add_argument("--settings", required=True)
    parser.add_argument("--classes", required=True)
    parser.add_argument("--table")
    args = parser.parse_args()

    settings = json.loads(Path(args.settings).read_text(encoding="utf-8"))
    labels, axes, sizes = read_image(args.labels)
    if not np.issubdtype(labels.dtype, np.integer):
        sys.exit("A label image holds whole numbers; this one does not.")
    image = read_image(args.image)[0] if args.image else None
    numbers, values = measure(labels, image, settings["feature"])
    if not len(numbers):
        sys.exit("The label image has no objects.")
    classes, count = classify(values, settings)
    for index in range(1, count + 1):
        chosen = numbers[classes == index]
        print(f"class_{index}: {len(chosen)} objects")
        part = np.where(np.isin(labels, chosen), labels, 0).astype(labels.dtype)
        write_image(Path(args.classes) / f"class_{index}.tiff", part, axes, sizes)
    if args.table:
        rows = [f"label\t{settings['feature']}\tclass\n"]
        rows += [f"{n}\t{v:.6g}\t{c}\n" for n, v, c in zip(numbers, values, classes, strict=True)]
        Path(args.table).write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
