"""Changes the number of pixels; the image covers the same area."""

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


def main():
    orders = {"nearest": 0, "linear": 1, "cubic": 3}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--factor", type=float, default=0.5)
    parser.add_argument("--factor-z", type=float, default=1.0)
    parser.add_argument("--cubic-voxels", choices=["true", "false"], default="false")
    parser.add_argument("--interpolation", choices=orders, default="linear")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    along_z = args.factor_z
    if args.cubic_voxels == "true":
        if not {"PhysicalSizeX", "PhysicalSizeZ"} <= set(sizes):
            sys.exit(f"{args.input} does not say how deep and wide its voxels are.")
        along_z = args.factor * sizes["PhysicalSizeZ"] / sizes["PhysicalSizeX"]
    factors = [args.factor if a in "YX" else along_z if a in "ZQ" else 1.0 for a in axes]
    shape = [max(1, round(n * f)) for n, f in zip(image.shape, factors, strict=True)]
    exact = [new / old for new, old in zip(shape, image.shape, strict=True)]
    pixels = image
    if args.interpolation != "nearest":
        # fewer pixels: average first, or fine patterns turn into coarse ones
        blur = [max(0.0, (1 / factor - 1) / 2) for factor in exact]
        pixels = ndimage.gaussian_filter(image.astype(np.float32), blur)
    order = orders[args.interpolation]
    result = ndimage.zoom(pixels, exact, order=order, mode="nearest", grid_mode=True)
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        result = np.clip(np.rint(result), limits.min, limits.max)
    for axis, factor in zip(axes, exact, strict=True):
        if f"PhysicalSize{axis}" in sizes:
            sizes[f"PhysicalSize{axis}"] /= factor
    print(f"{image.shape} becomes {result.shape}")
    write_image(args.output, result.astype(image.dtype), axes, sizes)


if __name__ == "__main__":
    main()
