"""Cuts each object of a segmentation out of an image."""

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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, image, ome=True, photometric=colour, metadata={"axes": axes, **sizes})


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
