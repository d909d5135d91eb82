"""Measures how far every pixel is from the border of its object."""

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--side", choices=["inside", "outside", "both"], default="inside")
    parser.add_argument("--unit", choices=["pixels", "micrometres"], default="pixels")
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    mask, axes, sizes = read_image(args.input)
    together = space(axes, args.space)
    if args.unit == "micrometres" and "PhysicalSizeX" not in sizes:
        sys.exit(f"{args.input} does not say how large its pixels are: choose pixels as unit.")
    across = sizes.get("PhysicalSizeX", 1.0)
    steps = {axis: sizes.get(f"PhysicalSize{axis}", across) for axis in "ZYXQ"}
    scale = 1.0 if args.unit == "micrometres" else 1.0 / across
    sampling = [steps[axis] * scale for axis in axes if axis in together]

    def work(part):
        inside = part != 0
        distance = np.zeros(part.shape, np.float32)
        if args.side != "outside":
            distance += ndimage.distance_transform_edt(inside, sampling)
        if args.side != "inside" and inside.any():
            outside = ndimage.distance_transform_edt(~inside, sampling)
            distance += outside if args.side == "outside" else -outside
        return distance

    write_image(args.output, each(mask, axes, together, work, np.float32), axes, sizes)


if __name__ == "__main__":
    main()
