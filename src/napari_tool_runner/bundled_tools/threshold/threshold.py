"""Separates what is bright (or dark) from the background."""

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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def threshold(pixels, method, value):
    """Return the threshold of a histogram method."""
    from skimage import filters

    if method == "manual":
        return value
    if pixels.min() == pixels.max():
        sys.exit(f"All pixels have the value {pixels.flat[0]}: there is nothing to separate.")
    return getattr(filters, f"threshold_{method}")(pixels)


def surroundings(image, axes, radius):
    """Return the mean around each pixel, in its plane."""
    from scipy import ndimage

    sigmas = [radius / 2 if axis in "YX" else 0 for axis in axes]
    return ndimage.gaussian_filter(image.astype(np.float32), sigmas)


def main():
    methods = ["otsu", "triangle", "li", "yen", "isodata", "mean", "local", "manual"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--method", choices=methods, default="otsu")
    parser.add_argument("--value", type=float, default=0.0)
    parser.add_argument("--radius", type=float, default=25.0)
    parser.add_argument("--objects", choices=["bright", "dark"], default="bright")
    parser.add_argument("--scope", choices=["whole", "volumes", "planes"], default="whole")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no single brightness: split its channels first.")
    if args.method == "local":
        level = surroundings(image, axes, args.radius) + args.value
    else:
        together = axes if args.scope == "whole" else space(axes, args.scope)
        shape = [
            n if axis not in together else 1 for n, axis in zip(image.shape, axes, strict=True)
        ]
        level = np.empty(shape)
        for index in np.ndindex(*shape):
            part = tuple(i if n > 1 else slice(None) for i, n in zip(index, shape, strict=True))
            level[index] = threshold(image[part], args.method, args.value)
            print(f"threshold {level[index]:g}")
    mask = image > level if args.objects == "bright" else image < level
    print(f"{mask.mean():.1%} of the image is foreground")
    write_image(args.output, mask.astype(np.uint8), axes, sizes)


if __name__ == "__main__":
    main()
