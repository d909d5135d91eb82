"""Fills holes inside objects."""

import argparse
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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, image, ome=True, photometric=colour, metadata={"axes": axes, **sizes})


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def each(image, axes, together, work, dtype):
    """Return what `work` makes of every volume (or plane), one after the other."""
    inner = [number for number, axis in enumerate(axes) if axis in together]
    outer = [number for number in range(image.ndim) if number not in inner]
    moved = image.transpose(outer + inner)
    result = np.empty(moved.shape, dtype)
    steps = list(np.ndindex(*moved.shape[: len(outer)]))
    for done, index in enumerate(steps, 1):
        result[index] = work(moved[index])
        print(f"{done}/{len(steps)}", flush=True)
    return result.transpose(np.argsort(outer + inner))


def compact(labels):
    """Return labels without large gaps in their numbers, and the number that each had."""
    if labels.size and labels.min() >= 0 and labels.max() <= labels.size:
        return labels, np.arange(labels.max() + 1)
    values = np.unique(labels[labels != 0])
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1)
    return small.astype(np.int32), np.concatenate([[0], values]).astype(values.dtype)


def fill(labels, largest):
    """Return the labels of one volume or plane without holes."""
    result = labels.copy()
    background = labels == 0
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if place is None:
            continue
        inside = labels[place] == number
        holes = ndimage.binary_fill_holes(inside) & background[place]
        if largest > 0:
            pieces, _ = ndimage.label(holes)
            holes &= np.bincount(pieces.ravel())[pieces] <= largest
        result[place][holes] = number
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--largest", type=int, default=0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="planes")
    args = parser.parse_args()

    labels, axes, sizes = read_image(args.input)
    if not np.issubdtype(labels.dtype, np.integer):
        sys.exit(f"{args.input} has fractions: objects are numbered with whole numbers.")
    small, numbers = compact(labels)
    filled = each(
        small, axes, space(axes, args.space), lambda part: fill(part, args.largest), small.dtype
    )
    print(f"{np.count_nonzero(filled) - np.count_nonzero(labels)} pixels filled")
    write_image(args.output, numbers.astype(labels.dtype)[filled], axes, sizes)


if __name__ == "__main__":
    main()
