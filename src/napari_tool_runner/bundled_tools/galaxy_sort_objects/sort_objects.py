"""Sorts the objects of a label image into classes by a measurement."""

import argparse
import json
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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF (a plain TIFF where OME has no such numbers)."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    ome = image.dtype.name not in ("int64", "uint64", "float16")
    tags = {"axes": axes, **sizes} if ome else {"axes": axes}
    tifffile.imwrite(path, image, ome=ome, photometric=colour, metadata=tags)


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
