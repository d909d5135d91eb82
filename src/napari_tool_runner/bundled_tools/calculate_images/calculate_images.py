"""Combines two images pixel by pixel."""

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


OPERATIONS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "difference": lambda a, b: np.abs(a - b),
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: np.divide(a, b, out=np.zeros(a.shape), where=b != 0),
    "mean": lambda a, b: (a + b) / 2,
    "min": np.minimum,
    "max": np.maximum,
    "mask": lambda a, b: np.where(b != 0, a, 0),
    "outside": lambda a, b: np.where(b == 0, a, 0),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", required=True)
    parser.add_argument("--second", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--operation", choices=OPERATIONS, default="subtract")
    parser.add_argument("--keep-type", choices=["true", "false"], default="false")
    args = parser.parse_args()

    first, axes, sizes = read_image(args.first)
    second, others, _ = read_image(args.second)
    if set(others) <= set(axes):  # a plane meets every slice of a stack
        second = second.transpose([others.index(axis) for axis in axes if axis in others])
        missing = tuple(number for number, axis in enumerate(axes) if axis not in others)
        second = np.expand_dims(second, missing)
    try:
        first, second = np.broadcast_arrays(first, second)
    except ValueError:
        sys.exit(
            f"The images do not fit together: {axes} {first.shape} and {others} {second.shape}."
        )
    result = OPERATIONS[args.operation](first.astype(float), second.astype(float))
    if args.operation in {"min", "max", "mask", "outside"} or args.keep_type == "true":
        if np.issubdtype(first.dtype, np.integer):
            limits = np.iinfo(first.dtype)
            result = np.clip(np.rint(result), limits.min, limits.max)
        result = result.astype(first.dtype)
    else:
        result = result.astype(np.float32)
    write_image(args.output, result, axes, sizes)


if __name__ == "__main__":
    main()
