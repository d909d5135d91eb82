"""Takes away light that changes slowly across the image."""

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


def background(plane, method, radius):
    """Return what lies below the objects of one plane."""
    smooth = ndimage.gaussian_filter(plane, 1.0)  # or single dark pixels pull it down
    if method == "rolling_ball":
        from skimage.restoration import rolling_ball

        return rolling_ball(smooth, radius=radius)
    if method == "opening":
        size = 2 * round(radius) + 1
        opened = ndimage.grey_opening(smooth, size=(size, size))
        return ndimage.uniform_filter(opened, size)
    return ndimage.gaussian_filter(plane, radius)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument(
        "--method", choices=["rolling_ball", "opening", "gaussian"], default="rolling_ball"
    )
    parser.add_argument("--radius", type=float, default=30.0)
    parser.add_argument("--objects", choices=["bright", "dark"], default="bright")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    top = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else np.inf
    sign = 1.0 if args.objects == "bright" else -1.0

    def work(plane):
        plane = sign * plane.astype(np.float32)
        above = plane - background(plane, args.method, args.radius)
        if sign < 0:  # dark objects stay darker than an even, bright background
            above = -above - plane.min()
        return np.clip(np.rint(above), 0, top) if np.isfinite(top) else above

    write_image(args.output, each(image, axes, "YX", work, image.dtype), axes, sizes)


if __name__ == "__main__":
    main()
