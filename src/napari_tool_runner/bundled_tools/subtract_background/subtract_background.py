"""Takes away light that changes slowly across the image."""

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
