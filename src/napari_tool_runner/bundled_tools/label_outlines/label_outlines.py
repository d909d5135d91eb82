"""Draws the outline of every object as a polygon."""

import argparse
import json
import sys

import numpy as np
import tifffile


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


def compact(labels):
    """Return labels without gaps in their numbers, and the number that each had."""
    values = np.unique(labels)
    values = values[values != 0]
    if not values.size or (values[0] > 0 and values[-1] <= 2 * values.size + 1000):
        numbers = np.arange(int(values.max(initial=0)) + 1)
        return labels.astype(np.int32, copy=False), numbers.astype(labels.dtype)
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int32)
    return small, np.concatenate([np.zeros(1, values.dtype), values])


def edges(labels):
    """Return the sides of pixels at which objects end: middle, owner, and which comes next.

    One walks around an object with the object on the left; pixels that touch at a corner only
    are not together.
    """
    wide = np.pad(labels, 1)
    flat, row = wide.ravel(), wide.shape[1]
    out = np.array([-row, 1, row, -1])  # up, right, down, left: what lies beyond the side
    ahead = np.array([-1, -row, 1, row])  # where one goes along it
    pixels = np.flatnonzero(flat)
    ends = [pixels[flat[pixels + step] != flat[pixels]] for step in out]
    places = np.concatenate(ends)
    ways = np.repeat(np.arange(4), [len(some) for some in ends])
    own = flat[places]
    straight = places + ahead[ways]
    across = straight + out[ways]
    turn = flat[straight] != own
    onward = ~turn & (flat[across] != own)
    # a corner of this pixel, the same side of the next pixel, or a side of the one across
    pixel = np.where(turn, places, np.where(onward, straight, across))
    way = np.where(turn, (ways - 1) % 4, np.where(onward, ways, (ways + 1) % 4))
    keys = places * 4 + ways
    order = np.argsort(keys)
    following = order[np.searchsorted(keys, pixel * 4 + way, sorter=order)]
    middle = np.column_stack(np.divmod(places, row)) - 1.0
    middle += np.array([[-0.5, 0], [0, 0.5], [0.5, 0], [0, -0.5]])[ways]
    return middle, own, following


def outlines(labels, tolerance):
    """Return the number of each object of a plane and its outline as (y, x) in pixels."""
    small, numbers = compact(labels)
    middle, own, following = edges(small)
    nexts, seen, largest = following.tolist(), bytearray(len(own)), {}
    for start in np.argsort(own, kind="stable").tolist():
        cycle = []
        while not seen[start]:
            seen[start] = 1
            cycle.append(start)
            start = nexts[start]
        if cycle:
            y, x = middle[[*cycle, cycle[0]]].T
            area = abs(np.dot(y[1:], x[:-1]) - np.dot(y[:-1], x[1:])) / 2
            if area > largest.get(own[start], (0,))[0]:  # of several pieces the largest
                largest[own[start]] = area, np.column_stack([y, x])
    lines = []
    for _, (_, line) in sorted(largest.items()):
        bends = np.any(np.diff(line[:-1], axis=0) != np.diff(line[1:], axis=0), axis=1)
        lines.append(line[np.concatenate([[True], bends, [True]])])
    # a corner that stands out by a quarter of the object belongs to its shape
    limits = [min(tolerance, np.ptp(line, axis=0).min() / 4) for line in lines]
    simple = simplified(lines, limits) if tolerance > 0 and lines else lines
    return [
        (int(numbers[number]), short if len(short) >= 4 else line)  # the first point comes again
        for number, short, line in zip(sorted(largest), simple, lines, strict=True)
    ]


def simplified(lines, limits):
    """Return lines without corners that stand out less than a limit (Douglas and Peucker 1973)."""
    points, limits = np.concatenate(lines), np.array(limits)
    last = np.cumsum([len(line) for line in lines]) - 1
    first = np.append(0, last[:-1] + 1)
    ends, keep = last[:-1] + 1, np.zeros(len(points), bool)
    keep[first] = keep[last] = True
    while len(first):  # all lines at once: each round cuts each part in two at its furthest corner
        count = last - first + 1
        begins = np.append(0, np.cumsum(count)[:-1])
        part = np.repeat(np.arange(len(count)), count)
        index = np.arange(len(part)) + (first - begins)[part]
        along = points[last] - points[first]
        away = points[index] - points[first][part]
        square = np.maximum((along**2).sum(axis=1), 1e-12)[part]
        share = np.clip((away * along[part]).sum(axis=1) / square, 0, 1)
        away = np.linalg.norm(away - share[:, None] * along[part], axis=1)
        most = np.maximum.reduceat(away, begins)
        furthest = np.flatnonzero(away == most[part])
        corner = index[furthest[np.unique(part[furthest], return_index=True)[1]]]
        cut = most > limits
        keep[corner[cut]] = True
        first, last = np.append(first[cut], corner[cut]), np.append(corner[cut], last[cut])
        limits = np.tile(limits[cut], 2)
    return np.split(points[keep], np.cumsum(keep)[ends - 1])


def read_objects(path):
    """Return labels, their axes and pixel sizes; tell when they look like brightness."""
    labels, axes, sizes = read_image(path)
    if labels.dtype.kind == "f" and (np.abs(labels) < 2**31).all() and not (labels % 1).any():
        labels = labels.astype(np.int32)
    if labels.dtype.kind not in "iu" or axes.endswith("S"):
        sys.exit(
            f"{path} has fractions or colours: objects are numbered with whole numbers. "
            "“Threshold” and “Label connected components” make objects of a picture."
        )
    tell_brightness(labels)
    return labels, axes, sizes


def is_bright(plane):
    """Whether pixels are brightness: neighbours differ, or values come again in bits all over."""
    there = (plane != 0) & np.isfinite(plane)
    values, count = np.unique(plane[there]), np.count_nonzero(there)
    if count <= 100 or values.size < 2:
        return False
    across, down = there[:, 1:] & there[:, :-1], there[1:] & there[:-1]
    same_x, same_y = across & (plane[:, 1:] == plane[:, :-1]), down & (plane[1:] == plane[:-1])
    squares = same_x[1:] & same_x[:-1] & same_y[:, 1:]
    # pieces of one value, by Euler's formula: an object is one, a grey value many small ones
    pieces = max(1, count - same_x.sum() - same_y.sum() + squares.sum())
    again, size, few = pieces / values.size, count / pieces, values.size < 10
    differ = 1 - same_x.sum() / max(1, across.sum())
    bits = (again > 8 and size < (4 if few else 50)) or (again > 1.5 and size < 2)
    fractions = plane.dtype.kind == "f" and values.size > 2 and (values % 1).any()
    # where a smooth picture changes, it is by one, and each value lies beside the next one
    sides = (
        (plane[:, 1:], plane[:, :-1], across & ~same_x),
        (plane[1:], plane[:-1], down & ~same_y),
    )
    lower, upper = (
        np.concatenate([pick(one, two)[where] for one, two, where in sides])
        for pick in (np.minimum, np.maximum)
    )
    steps = lower[upper - lower == 1]
    smooth = values.size > 15 and len(steps) > max(100, 0.95 * len(lower))
    smooth = smooth and np.unique(steps).size > 0.95 * (values.size - 1)
    return bool(
        (differ > 0.5 and across.sum() > 100)
        or (bits and (differ > 0.01 or few))
        or fractions
        or smooth
    )


def tell_brightness(image):
    """Warn when an image looks like brightness where objects or a mask are wanted."""
    image = np.atleast_2d(image)
    widths = [1] * (image.ndim - 2) + [512, 512]
    for at in (0.5, 0.25, 0.75, 0.0, 1.0):  # the middle; elsewhere where it is nearly empty
        starts = [int(max(0, n - w) * at) for n, w in zip(image.shape, widths, strict=True)]
        part = image[tuple(slice(a, a + w) for a, w in zip(starts, widths, strict=True))]
        bright, enough = is_bright(part.reshape(part.shape[-2:])), np.count_nonzero(part) > 1000
        if bright or enough:
            break
    if bright:
        print(
            "warning: this looks like brightness, not like objects: nearly every pixel has a "
            "number of its own. “Threshold” and “Label connected components” make objects of it."
        )
    elif image.size > 100 and image.all() and np.ptp(image):
        print("warning: no pixel is 0, but 0 marks what belongs to no object")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--outlines", required=True)
    parser.add_argument("--tolerance", type=float, default=0.5)
    args = parser.parse_args()

    labels, axes, _ = read_objects(args.labels)
    if labels.ndim > 3 or axes[-2:] != "YX":
        sys.exit(
            f"Outlines are drawn in a plane, a stack or a movie, not in an image with {axes}."
        )
    features = []
    planes = labels if labels.ndim == 3 else labels[np.newaxis]
    for level, plane in enumerate(planes):
        for number, line in outlines(plane, args.tolerance):
            # GeoJSON counts x first; the slice (or frame) is the third coordinate
            points = [[round(x, 3), round(y, 3), level][: labels.ndim] for y, x in line.tolist()]
            geometry = {"type": "Polygon", "coordinates": [points]}
            properties = {"label": number}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
        print(f"{level + 1}/{len(planes)}", flush=True)
    with open(args.outlines, "w", encoding="utf-8") as file:
        json.dump({"type": "FeatureCollection", "features": features}, file)
    print(f"{len(features)} outlines")


if __name__ == "__main__":
    main()
