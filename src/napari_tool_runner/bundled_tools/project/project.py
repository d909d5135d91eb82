"""Reduces an image along one axis: a stack to a plane, a movie to a picture."""

import argparse
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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, image, ome=True, photometric=colour, metadata={"axes": axes, **sizes})


def main():
    methods = ["max", "mean", "min", "median", "sum", "std"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--axis", choices=["auto", "Z", "T", "C"], default="auto")
    parser.add_argument("--method", choices=methods, default="max")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--last", type=int, default=-1)
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    wanted = "ZTQC" if args.axis == "auto" else args.axis
    axis = next((letter for letter in wanted if letter in axes), None)
    if axis is None:
        sys.exit(f"{args.input} has the axes {axes}: there is none of {wanted} to project along.")
    number = axes.index(axis)
    count = image.shape[number]
    last = args.last if args.last >= 0 else count + args.last
    if not 0 <= args.first <= last < count:
        sys.exit(f"{args.first} to {args.last} is no part of 0 to {count - 1} along {axis}.")
    part = np.take(image, range(args.first, last + 1), axis=number)
    if args.method in {"max", "min", "median"}:
        result = getattr(np, args.method)(part, axis=number).astype(image.dtype)
    else:
        result = getattr(np, args.method)(part, axis=number, dtype=np.float64).astype(np.float32)
    print(f"{last + 1 - args.first} slices along {axis}")
    kept = {
        key: value for key, value in sizes.items() if not key.startswith(f"PhysicalSize{axis}")
    }
    write_image(args.output, result, axes.replace(axis, ""), kept)


if __name__ == "__main__":
    main()
