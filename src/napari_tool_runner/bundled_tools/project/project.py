"""Reduces an image along one axis: a stack to a plane, a movie to a picture."""

import argparse
import sys
import warnings

import numpy as np
import tifffile


def read_image(path):
    """Return an image, its axes (a letter each) and its pixel sizes (lengths in µm)."""
    try:
        with tifffile.TiffFile(path) as file:
            image, axes = file.series[0].asarray(), file.series[0].axes.replace("I", "Q")
            sizes = pixel_sizes(file)
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        sys.exit(f"{path} cannot be read as a TIFF image: {error}")
    if "S" in axes[:-1]:  # planes of red, green and blue
        image, axes = np.moveaxis(image, axes.index("S"), -1), axes.replace("S", "") + "S"
    if "Q" in axes:
        print("note: what an axis of the image is, is not known: it is not taken for space")
    if "Z" in axes and image.shape[axes.index("Z")] > 1 and "PhysicalSizeZ" not in sizes:
        print("note: the image does not say how deep a slice is: it is taken as deep as wide")
    if image.dtype.kind == "c":
        sys.exit(f"{path} has complex numbers: take their magnitude or one of their parts first.")
    native = image.dtype.newbyteorder("=")
    if image.dtype in (bool, np.float16):
        native = np.dtype(np.uint8 if image.dtype == bool else np.float32)
    return image.astype(native, copy=False), axes, sizes


def pixel_sizes(file):
    """Return what a TIFF says of its pixels: in µm, or with a unit that is no length."""
    found, unit = (file.shaped_metadata or [{}])[0], "µm"
    if file.ome_metadata:
        image = tifffile.xml2dict(file.ome_metadata)["OME"].get("Image", {})
        found = (image[0] if isinstance(image, list) else image).get("Pixels", {})
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
    """Write an OME-TIFF (a plain TIFF where OME has no such numbers, or no room for the axes)."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    ome = image.dtype.name not in ("int64", "uint64", "float16")
    told = {"photometric": colour, "metadata": {"axes": axes, **sizes}}
    try:
        tifffile.imwrite(path, image, ome=ome, **told)
    except tifffile.OmeXmlError:
        tifffile.imwrite(path, image, ome=False, **told)


def tell_missing(image):
    """Return where an image has no value (NaN, infinite), and say so."""
    missing = ~np.isfinite(image)
    if missing.any():
        print(f"note: pixels without a value (NaN or infinite) are left out: {missing.sum()}")
    if missing.size and missing.all():
        sys.exit("No pixel of the image has a value: all are NaN or infinite.")
    largest = np.abs(image).max(initial=0, where=~missing) if image.dtype == float else 1
    if largest and not 1e-150 < largest < 1e150:
        print(f"warning: no number holds the square of {largest:.3g}: results may be wrong")
    return missing


def typed(values, dtype):
    """Return values in a type: whole numbers and within its limits where it has no fractions."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        top = np.nextafter(2.0**64, 0) if dtype == np.uint64 else np.nextafter(2.0**63, 0)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, min(limits.max, top))
    return values.astype(dtype)


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
        known = {"Z": "depth", "T": "time", "C": "channels"}
        along = " or ".join(known[letter] for letter in wanted if letter in known)
        sys.exit(f"The image has the axes {axes}: there is no {along} to project along.")
    number = axes.index(axis)
    count = image.shape[number]
    last = args.last if args.last >= 0 else count + args.last
    if not 0 <= args.first <= last < count:
        sys.exit(
            f"Slices {args.first} to {args.last} are no part of 0 to {count - 1} along {axis}."
        )
    part = np.take(image, range(args.first, last + 1), axis=number)
    missing = tell_missing(part)
    work = getattr(np, f"nan{args.method}" if missing.any() else args.method)
    pixels = np.where(missing, np.nan, part) if missing.any() else part
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no value at all stays no value
        if args.method in {"max", "min"}:
            result = work(pixels, axis=number).astype(image.dtype)
        elif args.method == "median":
            result = typed(work(pixels, axis=number), image.dtype)
        else:
            result = work(pixels, axis=number, dtype=np.float64)
    if missing.any():
        result[missing.all(axis=number)] = np.nan
    if args.method == "sum" and np.abs(result).max(initial=0) > 2**53:
        print("note: sums beyond 2^53 are rounded to 16 digits")
    if args.method in {"mean", "std"}:  # sums are counts: they stay whole
        result = result.astype(np.float32)
    count = last + 1 - args.first
    print(f"{count} slice{'' if count == 1 else 's'} along {axis}")
    gone = {"T": "TimeInc"}.get(axis, f"PhysicalSize{axis}")
    kept = {key: value for key, value in sizes.items() if not key.startswith(gone)}
    write_image(args.output, result, axes.replace(axis, ""), kept)


if __name__ == "__main__":
    main()
