"""Measures how far every pixel is from the border of its object."""

import argparse
import sys

import numpy as np
import tifffile
from scipy import ndimage


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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    return "YX" if mode == "planes" or "Z" not in axes else "ZYX"


def read_mask(path):
    """Return where a mask has its foreground, its axes and pixel sizes."""
    mask, axes, sizes = read_image(path)
    if axes.endswith("S"):
        sys.exit(f"{path} has colours (RGB): a mask has one value for each pixel.")
    missing = tell_missing(mask)
    tell_brightness(mask)
    tell_touching(mask, axes)
    return (mask != 0) & ~missing, axes, sizes


def tell_touching(mask, axes):
    """Say that neighbours with different numbers are taken for one piece."""
    for axis in (axes.index(axis) for axis in "YXZ" if axis in axes):
        here, there = (np.take(mask, range(a, mask.shape[axis] - 1 + a), axis) for a in (0, 1))
        if ((here != there) & (here != 0) & (there != 0)).any():
            print("note: objects with different numbers touch: here they are one, as in a mask")
            return


def is_bright(plane):
    """Whether pixels are brightness: neighbours differ, or values come again in bits all over."""
    there = (plane != 0) & np.isfinite(plane)
    values, count = np.unique(plane[there]), np.count_nonzero(there)
    if count <= 100 or values.size < 2:
        return False
    across, down = there[:, 1:] & there[:, :-1], there[1:] & there[:-1]
    same_x, same_y = across & (plane[:, 1:] == plane[:, :-1]), down & (plane[1:] == plane[:-1])
    squares = same_x[1:] & same_x[:-1] & same_y[:, 1:]
    # pieces of one value, by Euler's formula: an object is one, a grey value many small ones
    pieces = max(1, count - same_x.sum() - same_y.sum() + squares.sum())
    again, size, few = pieces / values.size, count / pieces, values.size < 10
    differ = 1 - same_x.sum() / max(1, across.sum())
    bits = (again > 8 and size < (4 if few else 50)) or (again > 1.5 and size < 2)
    fractions = plane.dtype.kind == "f" and values.size > 2 and (values % 1).any()
    # where a smooth picture changes, it is by one, and each value lies beside the next one
    sides = (
        (plane[:, 1:], plane[:, :-1], across & ~same_x),
        (plane[1:], plane[:-1], down & ~same_y),
    )
    lower, upper = (
        np.concatenate([pick(one, two)[where] for one, two, where in sides])
        for pick in (np.minimum, np.maximum)
    )
    steps = lower[upper - lower == 1]
    smooth = values.size > 15 and len(steps) > max(100, 0.95 * len(lower))
    smooth = smooth and np.unique(steps).size > 0.95 * (values.size - 1)
    return bool(
        (differ > 0.5 and across.sum() > 100)
        or (bits and (differ > 0.01 or few))
        or fractions
        or smooth
    )


def tell_brightness(image):
    """Warn when an image looks like brightness where objects or a mask are wanted."""
    image = np.atleast_2d(image)
    widths = [1] * (image.ndim - 2) + [512, 512]
    for at in (0.5, 0.25, 0.75, 0.0, 1.0):  # the middle; elsewhere where it is nearly empty
        starts = [int(max(0, n - w) * at) for n, w in zip(image.shape, widths, strict=True)]
        part = image[tuple(slice(a, a + w) for a, w in zip(starts, widths, strict=True))]
        bright, enough = is_bright(part.reshape(part.shape[-2:])), np.count_nonzero(part) > 1000
        if bright or enough:
            break
    if bright:
        print(
            "warning: this looks like brightness, not like objects: nearly every pixel has a "
            "number of its own. “Threshold” and “Label connected components” make objects of it."
        )
    elif image.size > 100 and image.all() and np.ptp(image):
        print("warning: no pixel is 0, but 0 marks what belongs to no object")


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


def parts(axes, shape, together):
    """Return where each volume (or plane) lies, and say how far the work is."""
    outer = [1 if axis in together else n for axis, n in zip(axes, shape, strict=True)]
    for done, index in enumerate(np.ndindex(*outer)):
        if done:
            print(f"{done}/{np.prod(outer)}", flush=True)
        where = zip(axes, index, strict=True)
        yield tuple(slice(None) if axis in together else i for axis, i in where)
    print(f"{np.prod(outer)}/{np.prod(outer)}", flush=True)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--side", choices=["inside", "outside", "both"], default="inside")
    parser.add_argument("--unit", choices=["pixels", "micrometres"], default="pixels")
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    mask, axes, sizes = read_mask(args.input)
    together = space(axes, args.space)
    scale = 1.0
    if args.unit == "micrometres":
        if "PhysicalSizeX" not in sizes or "PhysicalSizeXUnit" in sizes:
            sys.exit("The image does not say how large its pixels are: choose pixels as unit.")
        scale = sizes["PhysicalSizeX"]
    steps = zip(axes, pitch(axes, sizes), strict=True)
    sampling = [step * scale for axis, step in steps if axis in together]
    distance, borderless = np.zeros(mask.shape, np.float32), 0
    for part in parts(axes, mask.shape, together):
        inside = mask[part]
        if inside.all() or not inside.any():  # no border anywhere
            borderless += bool(inside.all() or args.side != "inside")
            continue
        if args.side != "outside":
            distance[part] += ndimage.distance_transform_edt(inside, sampling)
        if args.side != "inside":
            outside = ndimage.distance_transform_edt(~inside, sampling)
            distance[part] += outside if args.side == "outside" else -outside
    if borderless:
        print(f"note: planes or volumes without a border to measure from are 0: {borderless}")
    write_image(args.output, distance, axes, sizes)


if __name__ == "__main__":
    main()
