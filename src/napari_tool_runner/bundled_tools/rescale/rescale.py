"""Changes the number of pixels; the image covers the same area."""

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
