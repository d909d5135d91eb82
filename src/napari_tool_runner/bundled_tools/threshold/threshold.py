"""Separates what is bright (or dark) from the background."""

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


def threshold(pixels, method, value):
    """Return the threshold of a histogram method; None where all pixels are alike."""
    from skimage import filters

    if method == "manual":
        return value
    if not pixels.size or pixels.min() == pixels.max():
        return None
    if pixels.dtype.kind in "iu" and int(pixels.max()) - int(pixels.min()) > 2**20:
        pixels = pixels.astype(float)  # a histogram of classes, not one with every number
    return float(getattr(filters, f"threshold_{method}")(pixels))


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


def real(image):
    """Return pixels with fractions, in a type that holds each of them exactly."""
    narrow = image.dtype.itemsize <= 2 or image.dtype == np.float32
    return image.astype(np.float32 if narrow else np.float64, copy=False)


def smoothed(pixels, sigmas, missing):
    """Return pixels smoothed with a Gaussian; missing values do not count."""
    if not missing.any():
        return ndimage.gaussian_filter(pixels, sigmas)
    known = ndimage.gaussian_filter((~missing).astype(pixels.dtype), sigmas)
    smooth = ndimage.gaussian_filter(np.where(missing, 0, pixels), sigmas)
    return np.where(missing, pixels, smooth / np.where(missing, 1, known))


def main():
    methods = ["li", "otsu", "triangle", "yen", "isodata", "mean", "local", "manual"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--method", choices=methods, default="li")
    parser.add_argument("--value", type=float, default=0.0)
    parser.add_argument("--radius", type=float, default=25.0)
    parser.add_argument("--objects", choices=["bright", "dark"], default="bright")
    parser.add_argument("--scope", choices=["whole", "volumes", "planes"], default="volumes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no single brightness: “Colour to grey” makes one.")
    missing = tell_missing(image)
    steps = pitch(axes, sizes)
    if args.method == "local":
        radii = [args.radius / 2 / step for step in steps]
        sigmas = [radius if axis in "YX" else 0 for axis, radius in zip(axes, radii, strict=True)]
        level = smoothed(real(image), sigmas, missing)
    else:
        together = space(axes, args.scope) if args.scope != "whole" else axes.replace("C", "")
        level, even = np.full(image.shape, np.nan), []
        for part in parts(axes, image.shape, together):
            pixels = image[part]
            found = threshold(pixels[~missing[part]], args.method, args.value)
            if found is None:
                even.append(part)
            else:
                level[part] = found
                print(f"threshold {found:.10g}")
        if even and np.isnan(level).all():
            value = image[~missing][0]
            print(f"warning: all pixels have the value {value}: there is nothing to separate")
        elif even:
            print(f"note: planes or volumes of one value have nothing to separate: {len(even)}")
    # without a margin a pixel like its surroundings is neither; else the two classes are all
    if args.method == "local":
        mask = (
            image > level + args.value if args.objects == "bright" else image < level - args.value
        )
    else:
        mask = image > level if args.objects == "bright" else image <= level
    mask &= ~missing & ~np.isnan(level)
    print(f"{mask.mean():.1%} of the image is foreground")
    write_image(args.output, mask.astype(np.uint8), axes, sizes)


if __name__ == "__main__":
    main()
