"""Makes one channel of a colour image."""

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


COLOURS = ["red", "green", "blue"]
LARGE = 2048  # pixels of a plane, along an axis: of more the means of blocks are compared

CLOSE = 0.05  # so much less separates nearly as well: noise a quarter stronger makes 0.90 to 0.85


def middle_plane(colours):
    """Return the middle plane as fractions, small enough to be compared; (Y, X, 3)."""
    plane = colours[tuple(n // 2 for n in colours.shape[:-3])].astype(float)
    step = -(-max(plane.shape[:2]) // LARGE)
    high, wide = (n // step * step for n in plane.shape[:2])
    if step > 1 and high and wide:
        plane = plane[:high, :wide].reshape(high // step, step, wide // step, step, 3)
        plane = plane.mean((1, 3))
    return plane


def separation(plane):
    """Return which share of the variance lies between two classes, and how far these are apart.

    The share is the largest of all thresholds: the measure eta of Otsu (1979).
    """
    values = plane[np.isfinite(plane)]
    if not values.size or values.min() == values.max():
        return 0.0, 0.0
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = counts.cumsum()[:-1], counts[::-1].cumsum()[::-1][1:]
    total = (counts * middles).cumsum()
    apart = (total[-1] - total[:-1]) / np.maximum(above, 1) - total[:-1] / np.maximum(below, 1)
    between = below * above * apart**2 / values.size**2
    best = np.argmax(between)
    return float(between[best] / values.var()), float(apart[best])


def noise(plane):
    """Return the standard deviation of the noise (Immerkær 1996, by the median)."""
    if min(plane.shape) < 3:
        return 0.0
    rows = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    left = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.nanmedian(np.abs(left)) / 0.6745 / 6)


def has_bright_ground(plane):
    """Whether most of the picture is nearly white: stained tissue absorbs light."""
    light = plane.mean(-1)
    counts, edges = np.histogram(light[np.isfinite(light)], 32)
    most = counts.argmax()
    white = plane[light >= np.nanpercentile(light, 95)].mean(0)
    return most >= 16 and edges[0] < edges[-1] and white.min() > 0.8 * white.max()


def choose(colours):
    """Return the colour that shows objects best, and why.

    Blue goes before others that do, for nuclei are shown in blue by custom.
    """
    plane = middle_plane(colours)
    if np.ptp(plane, -1).max(initial=0) == 0:
        return "brightest", "red, green and blue are the same: the picture is grey already"
    smooth = [ndimage.gaussian_filter(one, 1) for one in np.moveaxis(plane, -1, 0)]
    eta, contrast = zip(*(separation(one) for one in smooth), strict=True)
    rough = [noise(one) for one in np.moveaxis(plane, -1, 0)]
    seen = [i for i in range(3) if contrast[i] > max(3 * rough[i], 0.1 * max(contrast))]
    best = max(seen or range(3), key=lambda i: eta[i])
    others = sorted(set(range(3)) - {best}, key=lambda i: -eta[i])
    told = ", ".join(f"{COLOURS[i]} {eta[i]:.2f}" for i in others)
    if has_bright_ground(plane):
        why = f"separates best ({eta[best]:.2f}; {told}), and objects are darker than the ground"
        return COLOURS[best], f"{COLOURS[best]} {why}: choose “dark” in what comes next"
    if 2 in seen and eta[2] < eta[best] - 0.005:
        better = f"{COLOURS[best]} separates better ({eta[best]:.2f})"
        why = f"nuclei are blue by custom ({eta[2]:.2f}); {better}"
        return "blue", f"blue, for {why}: choose it if you look for that"
    near = [
        COLOURS[i]
        for i in others
        if i in seen and eta[i] > eta[best] - CLOSE and np.ptp(plane[..., [best, i]], -1).any()
    ]
    both = "both" if len(near) == 1 else "all three"
    look = f", {' and '.join(near)} nearly as well: look at {both}" if near else ""
    return COLOURS[best], f"{COLOURS[best]} separates objects best ({eta[best]:.2f}; {told}){look}"


def main():
    channels = ["automatic", "brightest", "luminance", *COLOURS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--channel", choices=channels, default="automatic")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if not axes.endswith("S") or image.shape[-1] < 3:
        print("note: this image has no colours (RGB): it stays as it is")
        write_image(args.output, image, axes, sizes)
        return
    colours = image[..., :3]  # a fourth one says how much shines through
    channel = args.channel
    if channel == "automatic":
        channel, why = choose(colours)
        print(f"note: {why}")
    if channel == "brightest":
        grey = colours.max(axis=-1)
    elif channel == "luminance":
        grey = colours @ np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
        if image.dtype.kind in "iu":
            grey = np.rint(grey)
        grey = grey.astype(image.dtype)
    else:
        grey = colours[..., COLOURS.index(channel)]
    named = {**sizes, "Channel": {"Name": [channel]}}
    write_image(args.output, np.ascontiguousarray(grey), axes[:-1], named)


if __name__ == "__main__":
    main()
