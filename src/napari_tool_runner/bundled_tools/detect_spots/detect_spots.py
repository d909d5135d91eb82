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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    return "YX" if mode == "planes" or "Z" not in axes else "ZYX"


def find(image, sigma, strength):
    """Return positions to a fraction of a pixel, and how far each stands out of the noise."""
    missing = ~np.isfinite(image)
    image = filled(image.astype(float))
    none = np.zeros((0, image.ndim), int)
    if missing.all() or np.ptp(image) == 0:
        return none, none, none[:, 0]
    response = -(np.mean(sigma) ** 2) * ndimage.gaussian_laplace(image, sigma)
    known = response[~missing]
    noise = 1.4826 * np.median(np.abs(known - np.median(known)))
    if noise < 1e-4 * response.max():  # drawn, not taken: no noise to stand out of
        print("note: the image has no noise; strength counts in hundredths of the strongest spot")
        noise = response.max() / 100
    window = [2 * int(np.ceil(s)) + 1 for s in sigma]
    peaks = (response == ndimage.maximum_filter(response, window)) & (response > strength * noise)
    # of pixels that answer alike, side by side, one stands for the spot
    groups, _ = ndimage.label(peaks & ~missing, np.ones((3,) * image.ndim))
    places = np.flatnonzero(groups)
    first = np.unique(groups.flat[places], return_index=True)[1]
    positions = np.column_stack(np.unravel_index(places[first], image.shape))
    exact = positions.astype(float)
    for axis, size in enumerate(image.shape):  # the top of a parabola through three pixels
        inner = np.flatnonzero((positions[:, axis] > 0) & (positions[:, axis] < size - 1))
        here = positions[inner]
        step = np.eye(image.ndim, dtype=int)[axis]
        before, after = response[tuple((here - step).T)], response[tuple((here + step).T)]
        bend = before - 2 * response[tuple(here.T)] + after
        shift = np.divide(before - after, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
        exact[inner, axis] += np.clip(shift, -0.5, 0.5)
        # the response to a spot that the border cuts is not that of the spot alone
        away = np.minimum(positions[:, axis], size - 1 - positions[:, axis])
        for row in np.flatnonzero(away < 2 * sigma[axis]):
            exact[row, axis] = border_top(image, positions[row], exact[row, axis], axis, sigma)
    kept, exact = of_plateaus(image, positions, exact, response[tuple(positions.T)], sigma)
    positions = positions[kept]
    return positions, exact, response[tuple(positions.T)] / noise


def of_plateaus(image, positions, exact, answers, sigma):
    """Return which spots stay, and places: of those on one saturated piece one.

    A piece is saturated when four or more pixels side by side have the largest value. Its place
    is the top of a Gaussian that has the slope of the pixels around, else its middle.
    """
    pieces, count = ndimage.label(image == image.max(), np.ones((3,) * image.ndim))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    mine = pieces[tuple(positions.T)]
    kept = np.ones(len(positions), bool)
    for piece in np.unique(mine[(mine > 0) & (sizes[mine] >= 4)]):
        rows = np.flatnonzero(mine == piece)
        best = rows[np.argmax(answers[rows])]
        kept[rows] = rows == best
        places = np.argwhere(pieces == piece)
        low, high = places.min(axis=0), places.max(axis=0)
        top = cut_top(image, low, high, image.max(), sigma)
        exact[best] = np.where(np.isfinite(top), top, places.mean(axis=0))
    return kept, exact[kept]


def border_top(image, position, otherwise, axis, sigma):
    """Return where the top of a spot near the border is along an axis: that of a Gaussian.

    The logarithm of its profile is a parabola of which a part is enough.
    """

    def around(reach):
        return tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(position, reach, strict=True))

    ground = np.median(image[around(np.ceil(4 * np.array(sigma)).astype(int))])
    reach = np.ceil(sigma).astype(int)
    reach[axis] = np.ceil(2 * sigma[axis])
    part = image[around(reach)] - ground
    profile = part.sum(axis=tuple(other for other in range(image.ndim) if other != axis))
    places = np.arange(len(profile)) + max(0, position[axis] - reach[axis])
    high = profile > 0.15 * profile.max()
    if high.sum() < 3 or profile.max() <= 0:
        return otherwise
    weights = profile[high]
    curve, slope, _ = np.polyfit(places[high], np.log(weights), 2, w=weights)
    if curve >= 0:
        return otherwise
    near, reach = position[axis], sigma[axis]
    top = np.clip(-slope / (2 * curve), near - reach, near + reach)
    return np.clip(top, -0.49, image.shape[axis] - 0.51)  # in a pixel of the image


def cut_top(image, low, high, lid, sigma):
    """Return the top of a spot that is too bright to be seen whole: that of a Gaussian.

    Its logarithm is a parabola of which a part is enough: the pixels darker than `lid` around a
    box, from `low` to `high`. What they leave open, its widths share. NaN without such a shape.
    """
    sigma = np.array(sigma)

    def around(reach):
        return tuple(map(slice, np.maximum(0, low - reach), high + reach + 1))

    wide, near = around(np.ceil(4 * sigma).astype(int)), around(np.ceil(2 * sigma).astype(int))
    dark = image[wide][image[wide] < lid]
    ground = np.median(dark) if dark.size else lid
    noise = 1.4826 * np.median(np.abs(dark - ground)) if dark.size else 0
    part = image[near] - ground
    least = np.clip(2 * noise, 0.05 * part.max(), 0.3 * part.max())
    used = (image[near] < lid) & (part > least)
    places = (np.argwhere(used) + [side.start for side in near] - low) / sigma
    terms = np.column_stack([np.ones(len(places)), places, places**2])
    weights, axes = part[used], image.ndim
    alike = np.eye(axes) - 1 / axes  # zero for widths that are
    alike = np.pad(0.1 * np.linalg.norm(weights) * alike, ((0, 0), (1 + axes, 0)))
    known = np.concatenate([np.log(weights) * weights, np.zeros(axes)])
    found, _, rank, _ = np.linalg.lstsq(
        np.vstack([terms * weights[:, None], alike]), known, rcond=None
    )
    slopes, curves = found[1 : 1 + axes], found[1 + axes :]
    if rank < len(found):
        return np.full(axes, np.nan)
    curves = np.where(curves < 0, curves, np.nan)
    top = np.clip(low - slopes / (2 * curves) * sigma, low - 0.5, high + 0.5)
    return np.clip(top, -0.49, np.array(image.shape) - 0.51)  # in a pixel of the image


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


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


def filled(part):
    """Return a volume (or plane) in which missing values are those of the nearest pixel."""
    missing = ~np.isfinite(part)
    if not missing.any() or missing.all():
        return np.where(missing, 0, part)
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return part[tuple(nearest)]


def exact(value):
    """Return a number as text that is read back as it was: counts and labels in full."""
    return f"{value:.15g}" if isinstance(value, (float, np.floating)) else str(value)


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
        sys.exit("Spots of a colour (RGB) image are not defined: use “Colour to grey” first.")
    tell_missing(image)
    together = [axis in space(axes, args.space) for axis in axes]
    steps = pitch(axes, sizes)
    sigma = [  # a spot is no smaller than what a pixel sees
        max(args.sigma / step, min(args.sigma, 0.7))
        for step, joined in zip(steps, together, strict=True)
        if joined
    ]
    steps = [1 if joined else n for n, joined in zip(image.shape, together, strict=True)]
    rows = []
    for number, index in enumerate(np.ndindex(*steps), 1):
        part = tuple(
            slice(None) if joined else i for i, joined in zip(index, together, strict=True)
        )
        positions, centres, strengths = find(image[part], sigma, args.strength)
        for position, centre, stands_out in zip(positions, centres, strengths, strict=True):
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
            table.writerow([number, *map(exact, row)])
    print(f"{len(rows)} spot{'' if len(rows) == 1 else 's'}")


if __name__ == "__main__":
    main()
