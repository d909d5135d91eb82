"""Combines two images pixel by pixel."""

import argparse
import sys

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


OPERATIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "difference": lambda a, b: np.abs(a - b),
    "multiply": np.multiply,
    "divide": lambda a, b: np.divide(a, b, out=np.zeros(a.shape), where=b != 0),
    "mean": lambda a, b: (a + b) / 2,
    "min": np.minimum,
    "max": np.maximum,
    "mask": lambda a, b: np.where((b != 0) & ~np.isnan(b), a, 0),
    "outside": lambda a, b: np.where((b != 0) & ~np.isnan(b), 0, a),
}
KEEP = {"min", "max", "mask", "outside"}


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


def large(*images):
    """Whether these are whole numbers of which some are beyond what 64-bit fractions hold."""
    return all(i.dtype.kind in "iu" for i in images) and any(
        i.dtype.itemsize == 8 and i.size and max(int(i.max()), -int(i.min())) > 2**53
        for i in images
    )


def in_full(first, second, operation, *, whole):
    """Return the result on whole numbers of any size: rounded once where it is written."""
    pair = first.astype(object), second.astype(object)
    if operation == "mean":  # of two halves, the even one, as others are rounded
        total = pair[0] + pair[1]
        if not whole:
            return (total / 2).astype(float)
        half = total // 2
        return half + (total % 2) * (half % 2)
    result = OPERATIONS[operation](*pair)
    return result if whole else result.astype(float)


def typed(values, dtype):
    """Return values in a type: whole numbers and within its limits where it has no fractions."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        top = np.nextafter(2.0**64, 0) if dtype == np.uint64 else np.nextafter(2.0**63, 0)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, min(limits.max, top))
    return values.astype(dtype)


def tell_sizes(first, second):
    """Warn when two images that are laid on each other have pixels of different size."""
    for axis in "XYZ":
        one, other = (sizes.get(f"PhysicalSize{axis}") for sizes in (first, second))
        if one and other and abs(one - other) > 1e-3 * one:
            print(
                f"warning: pixels of different size ({one:g} and {other:g} along {axis}) are laid "
                "on each other one by one: “Rescale” makes them alike"
            )


def tell_axes(axes, others):
    """Warn when two images of one size, laid on each other, have other axes."""
    if axes != others:
        print(
            f"warning: the axes are {axes} in the one and {others} in the other: both count as "
            f"{axes}. Where that is wrong, name the axes alike"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", required=True)
    parser.add_argument("--second", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--operation", choices=OPERATIONS, default="subtract")
    parser.add_argument("--keep-type", choices=["true", "false"], default="false")
    args = parser.parse_args()

    first, axes, sizes = read_image(args.first)
    second, others, own = read_image(args.second)
    shapes = f"{axes} {first.shape} and {others} {second.shape}"
    if set(others) <= set(axes):  # a plane meets every slice of a stack
        second = second.transpose([others.index(axis) for axis in axes if axis in others])
        missing = tuple(number for number, axis in enumerate(axes) if axis not in others)
        second = np.expand_dims(second, missing)
        others = axes
    try:
        fits = np.broadcast_shapes(first.shape, second.shape) == first.shape
    except ValueError:
        fits = False
    if not fits:
        sys.exit(f"The images do not fit together: {shapes}.")
    tell_sizes(sizes, own)
    tell_axes(axes, others)
    for image in (first, second):
        tell_missing(image)
    kept, dtype = args.operation in KEEP, first.dtype
    second = np.broadcast_to(second, first.shape)
    small = all(i.dtype.itemsize <= 2 or i.dtype == np.float32 for i in (first, second))
    same = args.operation in {"mask", "outside"} or (kept and first.dtype == second.dtype)
    with np.errstate(invalid="ignore"):
        if large(first, second) and args.operation != "divide" and not same:
            result = in_full(first, second, args.operation, whole=kept or args.keep_type == "true")
        else:
            pair = (first, second) if same else (first.astype(float), second.astype(float))
            result = OPERATIONS[args.operation](*pair)
    if kept or args.keep_type == "true":
        if dtype.kind in "iu" and result.dtype.kind == "f" and not np.isfinite(result).all():
            print("note: what has no value became 0: the type of the first image has none for it")
            result = np.nan_to_num(result, posinf=0, neginf=0)
        if result.dtype == object:  # whole numbers of any size
            limits = np.iinfo(dtype)
            result = np.clip(result, int(limits.min), int(limits.max)).astype(dtype)
        result = result if result.dtype == dtype else typed(result, dtype)
    elif small and (args.operation != "multiply" or np.abs(result).max(initial=0) <= 2**24):
        result = result.astype(np.float32)  # which holds these numbers
    write_image(args.output, result, axes, sizes)


if __name__ == "__main__":
    main()
