"""Cuts each object of a segmentation out of an image."""

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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF (a plain TIFF where OME has no such numbers)."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    ome = image.dtype.name not in ("int64", "uint64", "float16")
    tags = {"axes": axes, **sizes} if ome else {"axes": axes}
    tifffile.imwrite(path, image, ome=ome, photometric=colour, metadata=tags)


def window(image, starts, stops):
    """Return a piece that may reach beyond the border, where it is 0."""
    sizes = image.shape[: len(starts)]
    inside = tuple(
        slice(max(a, 0), min(b, n)) for a, b, n in zip(starts, stops, sizes, strict=True)
    )
    pads = [(max(-a, 0), max(b - n, 0)) for a, b, n in zip(starts, stops, sizes, strict=True)]
    return np.pad(image[inside], pads + [(0, 0)] * (image.ndim - len(starts)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image")
    parser.add_argument("labels")
    parser.add_argument("folder")
    parser.add_argument("--margin", type=int, default=0)
    parser.add_argument("--side", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--blank", action="store_true")
    args = parser.parse_args()

    from scipy import ndimage

    image, axes, sizes = read_image(args.image)
    labels, _, _ = read_image(args.labels)
    colour = axes.endswith("S")
    if image.shape[: image.ndim - colour] != labels.shape:
        sys.exit(f"The image has the shape {image.shape}, the labels have {labels.shape}.")
    if not np.issubdtype(labels.dtype, np.integer):
        sys.exit("A label image holds whole numbers; this one does not.")
    numbers, counts = np.unique(labels[labels > 0], return_counts=True)
    if args.limit:
        numbers = numbers[np.argsort(-counts, kind="stable")[: args.limit]]
    boxes = ndimage.find_objects(labels)
    for number in numbers:
        box = boxes[number - 1]
        if args.side:
            centres = [(part.start + part.stop) // 2 for part in box]
            starts = [centre - args.side // 2 for centre in centres]
            stops = [start + args.side for start in starts]
        else:
            starts = [max(part.start - args.margin, 0) for part in box]
            stops = [
                min(part.stop + args.margin, n) for part, n in zip(box, labels.shape, strict=True)
            ]
        piece = window(image, starts, stops)
        if args.blank:
            own = window(labels, starts, stops) == number
            piece = piece * (own[..., None] if colour else own)
        write_image(Path(args.folder) / f"object_{number:04}.tiff", piece, axes, sizes)
    print(f"{len(numbers)} objects")


if __name__ == "__main__":
    main()
