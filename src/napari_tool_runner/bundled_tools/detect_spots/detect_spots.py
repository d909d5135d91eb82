"""Finds bright spots of a given size (Laplacian of Gaussian)."""

import argparse
import csv
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
