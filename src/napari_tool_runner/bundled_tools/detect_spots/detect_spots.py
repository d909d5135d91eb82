"""Finds bright spots of a given size (Laplacian of Gaussian)."""

import argparse
import csv
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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def depth(sizes):
    """Return how many pixel widths deep one slice is."""
    if {"PhysicalSizeX", "PhysicalSizeZ"} <= set(sizes):
        return sizes["PhysicalSizeZ"] / sizes["PhysicalSizeX"]
    return 1.0


def find(image, sigma, strength):
    """Return positions to a fraction of a pixel, and how far each stands out of the noise."""
    image = image.astype(float)
    response = -(np.mean(sigma) ** 2) * ndimage.gaussian_laplace(image, sigma)
    noise = 1.4826 * np.median(np.abs(response - np.median(response))) or 1.0
    window = [2 * int(np.ceil(s)) + 1 for s in sigma]
    peaks = (response == ndimage.maximum_filter(response, window)) & (response > strength * noise)
    positions = np.argwhere(peaks)
    exact = positions.astype(float)
    for axis in range(image.ndim):  # the top of a parabola through three pixels
        step = np.zeros(image.ndim, int)
        step[axis] = 1
        limits = np.array(image.shape) - 1
        before = response[tuple(np.clip(positions - step, 0, limits).T)]
        here = response[tuple(positions.T)]
        after = response[tuple(np.clip(positions + step, 0, limits).T)]
        bend = before - 2 * here + after
        shift = np.divide(before - after, 2 * bend, out=np.zeros_like(here), where=bend < 0)
        exact[:, axis] += np.clip(shift, -0.5, 0.5)
    return positions, exact, response[tuple(positions.T)] / noise


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--points", required=True)
    parser.add_argument("--sigma", type=float, default=1.5)
    parser.add_argument("--strength", type=float, default=8.0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("Spots of a colour (RGB) image are not defined: split its channels first.")
    together = [axis in space(axes, args.space) for axis in axes]
    along_z = max(args.sigma / depth(sizes), 0.7)
    sigma = [
        args.sigma if axis in "YX" else along_z
        for axis, joined in zip(axes, together, strict=True)
        if joined
    ]
    steps = [1 if joined else n for n, joined in zip(image.shape, together, strict=True)]
    rows = []
    for number, index in enumerate(np.ndindex(*steps), 1):
        part = tuple(
            slice(None) if joined else i for i, joined in zip(index, together, strict=True)
        )
        positions, exact, strengths = find(image[part], sigma, args.strength)
        for position, centre, stands_out in zip(positions, exact, strengths, strict=True):
            inner = iter(centre)
            place = [
                next(inner) if joined else i for i, joined in zip(index, together, strict=True)
            ]
            bright = image[part][tuple(position)]
            rows.append([*place, bright, stands_out])
        print(f"{number}/{np.prod(steps)}", flush=True)
    with open(args.points, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = [f"axis-{dimension}" for dimension in range(image.ndim)]
        table.writerow(["index", *names, "intensity", "strength"])
        for number, row in enumerate(rows):
            table.writerow([number, *[f"{value:.6g}" for value in row]])
    print(f"{len(rows)} spots")


if __name__ == "__main__":
    main()
