"""Measures size, shape and brightness of labelled objects."""

import argparse
import csv
import sys
from itertools import pairwise, product

import numpy as np
import tifffile
from scipy import ndimage

SQUARE = 0.01  # as much may height and width of a pixel that counts as a square differ


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


def compact(labels):
    """Return labels without gaps in their numbers, and the number that each had."""
    values = np.unique(labels)
    values = values[values != 0]
    if not values.size or (values[0] > 0 and values[-1] <= 2 * values.size + 1000):
        numbers = np.arange(int(values.max(initial=0)) + 1)
        return labels.astype(np.int32, copy=False), numbers.astype(labels.dtype)
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int32)
    return small, np.concatenate([np.zeros(1, values.dtype), values])


def ellipses(labels, count, steps):
    """Return centres (in pixels) and the axes of the ellipses of equal moments, longest first."""
    places = np.nonzero(labels)
    owners = labels[places]
    pixels = np.maximum(np.bincount(owners, minlength=count), 1)
    centres = [np.bincount(owners, at, minlength=count) / pixels for at in places]
    away = [(at - c[owners]) * s for at, c, s in zip(places, centres, steps, strict=True)]
    spread = np.empty((count, labels.ndim, labels.ndim))
    for i, j in np.ndindex(labels.ndim, labels.ndim):
        spread[:, i, j] = np.bincount(owners, away[i] * away[j], minlength=count) / pixels
    along = np.clip(np.linalg.eigvalsh(spread), 0, None)[:, ::-1]
    return centres, np.sqrt((16.0 if labels.ndim == 2 else 20.0) * along)


def perimeters(labels, count):
    """Return the length of the outline of each object in pixels (Benkrid and Crookes 2000)."""
    wide = np.pad(labels, 1)
    flat, row = wide.ravel(), wide.shape[1]
    inside = np.flatnonzero(flat)
    rim = np.zeros(flat.shape, bool)
    for step in (1, -1, row, -row):
        rim[inside[flat[inside + step] != flat[inside]]] = True
    inside = np.flatnonzero(rim)
    owners = flat[inside]
    beside, across = (
        sum((rim[inside + s] & (flat[inside + s] == owners)).astype(int) for s in way)
        for way in ((1, -1, row, -row), (row + 1, row - 1, -row + 1, -row - 1))
    )
    codes = 10 * across + 2 * beside + 1
    # a pixel of the rim is as long as the way to the next: straight on, slanted, or half of each
    length = 1.0 * np.isin(codes, (5, 7, 15, 17, 25, 27)) + 2**0.5 * np.isin(codes, (21, 33))
    length += (1 + 2**0.5) / 2 * np.isin(codes, (13, 23))
    return np.bincount(owners, length, minlength=count)


def borders(labels, count, steps):
    """Return the outline (surface) of each object: how often lines cross it (Crofton).

    Lines through neighbouring pixels; a direction counts by its share of all directions
    (Lehmann and Legland 2012). Across flat pixels there are more directions.
    """
    flatter = max(steps) / np.array(steps)
    more = labels.ndim == 2 and flatter.max() > 1
    reach = np.where((flatter > 1) & more, np.rint(flatter) + 1, 1).astype(int)
    ways = [way for way in product(*[range(-r, r + 1) for r in reach]) if way > (0,) * labels.ndim]
    ways = np.array([way for way in ways if np.gcd.reduce(way) == 1])
    real = ways * steps
    lengths = np.linalg.norm(real, axis=1)
    nearest = np.abs(real / lengths[:, None] @ directions(labels.ndim)).argmax(axis=0)
    shares = np.bincount(nearest, minlength=len(ways)) / len(nearest)
    wide = np.pad(labels, [(r, r) for r in reach])
    flat, total = wide.ravel(), np.zeros(count)
    jumps = ways @ (np.array(wide.strides) // wide.itemsize)
    for jump, share, length in zip(jumps, shares, lengths, strict=True):
        crossed = np.flatnonzero(flat[:-jump] != flat[jump:])
        for ends in (flat[crossed], flat[crossed + jump]):
            total += np.bincount(ends, minlength=count) * (share * np.prod(steps) / length)
    return total * (np.pi / 2 if labels.ndim == 2 else 2.0)


def directions(ndim, count=20_000):
    """Return unit vectors of all directions, evenly: an array of shape (ndim, count)."""
    turn = (np.arange(count) + 0.5) * np.pi
    if ndim == 2:
        return np.array([np.sin(turn / count), np.cos(turn / count)])
    height = 1 - 2 * turn / np.pi / count  # a spiral from pole to pole
    around, golden = np.sqrt(1 - height**2), turn * (1 + 5**0.5)
    return np.array([height, around * np.sin(golden), around * np.cos(golden)])


def hulls(labels, count):
    """Return how many pixels the convex hull of each object of a plane has."""
    rim = np.pad(labels, 1)[1:-1]
    sides = []
    for begins in (rim[:, :-2], rim[:, 2:]):  # the first and last pixels of runs
        rows, columns = np.nonzero((labels != begins) & (labels != 0))
        owners = labels[rows, columns]
        order = np.lexsort((columns, rows, owners))
        sides.append((owners[order], rows[order], columns[order]))
    (owners, rows, left), (_, _, right) = sides
    ends = np.flatnonzero(np.append((np.diff(owners) != 0) | (np.diff(rows) != 0), True))
    begins = np.append(0, ends[:-1] + 1)
    owners, rows, left, right = owners[ends], rows[ends], left[begins], right[ends]
    sizes, first = np.zeros(count), np.searchsorted(owners, np.arange(count + 1))
    for number in range(1, count):
        own = slice(first[number], first[number + 1])
        if own.start < own.stop:
            lines = rows[own].tolist()
            low = bound(lines, left[own].tolist(), -1)
            high = bound(lines, right[own].tolist(), 1)
            sizes[number] = sum(h - n + 1 for n, h in zip(low, high, strict=True) if h >= n)
    return sizes


def bound(rows, columns, side):
    """Return the outermost pixel of the hull of an object in each row, on one side of it."""
    # pixels count as the diamonds between the middles of their sides; twice the places are whole
    outer = {}
    for row, column in zip(rows, columns, strict=True):
        corner, middle = 2 * column * side, 2 * column * side + 1
        for at, x in ((2 * row - 1, corner), (2 * row, middle), (2 * row + 1, corner)):
            outer[at] = max(outer.get(at, x), x)
    chain = []
    for y in sorted(outer):
        x = outer[y]
        while len(chain) > 1 and (chain[-1][1] - chain[-2][1]) * (y - chain[-2][0]) <= (
            x - chain[-2][1]
        ) * (chain[-1][0] - chain[-2][0]):
            chain.pop()
        chain.append((y, x))
    found = []
    for (y, x), (stop, end) in pairwise(chain):
        for at in range(y + y % 2, stop, 2):
            found.append((x * (stop - y) + (end - x) * (at - y)) // (2 * (stop - y)) * side)
    return found


def measure(labels, image, steps, wide):
    """Return the measurements of the objects of one volume or plane: name -> values."""
    solid, count = labels.ndim == 3, int(labels.max(initial=0)) + 1
    pixels = np.bincount(labels.ravel(), minlength=count)
    numbers = np.flatnonzero(pixels[1:]) + 1
    columns = {"label": numbers, "voxels" if solid else "pixels": pixels[numbers]}
    centres, lengths = ellipses(labels, count, steps)
    unit, scale = ("px", 1.0) if wide is None else ("um", wide)
    sizes = pixels[numbers] * np.prod(steps)  # in squares (cubes) a pixel wide
    if wide is not None:
        columns["volume_um3" if solid else "area_um2"] = sizes * wide**labels.ndim
    for axis, values in zip("zyx"[-labels.ndim :], centres, strict=True):
        columns[f"centroid_{axis}"] = values[numbers]
    columns[f"length_{unit}"] = lengths[numbers, 0] * scale
    columns[f"width_{unit}"] = lengths[numbers, -1] * scale
    if solid:
        columns[f"surface_{unit}2"] = borders(labels, count, steps)[numbers] * scale**2
    else:
        columns |= {f"perimeter_{unit}": [], "circularity": [], "eccentricity": [], "solidity": []}
    if not solid and len(numbers):
        if np.ptp(steps) < SQUARE * max(steps):  # rounded sizes are no other shape
            around = perimeters(labels, count)[numbers] * np.prod(steps) ** 0.5
        else:
            around = borders(labels, count, steps)[numbers]
        columns[f"perimeter_{unit}"] = around * scale
        safe = np.where(around > 0, around, np.inf)
        columns["circularity"] = np.minimum(4 * np.pi * sizes / safe**2, 1.0)
        ratio = lengths[numbers, 1] / np.where(lengths[numbers, 0] > 0, lengths[numbers, 0], 1.0)
        columns["eccentricity"] = np.where(lengths[numbers, 0] > 0, np.sqrt(1 - ratio**2), 0.0)
        columns["solidity"] = pixels[numbers] / hulls(labels, count)[numbers]
    if image is not None:
        known = np.where(np.isfinite(image), labels, 0)  # what has no value is not measured
        none = np.bincount(known.ravel(), minlength=count)[numbers] == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            means = ndimage.mean(image, known, numbers)
            spread = ndimage.standard_deviation(image, known, numbers)
            least, most = ndimage.extrema(image, known, numbers)[:2]
            total = ndimage.sum(image, known, numbers)
        light = {"mean": means, "std": spread, "min": least, "max": most, "sum": total}
        for name, values in light.items():
            columns[f"intensity_{name}"] = np.where(none, np.nan, values)
    return columns


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


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


def parts(axes, shape, together):
    """Return where each volume (or plane) lies, and say how far the work is."""
    outer = [1 if axis in together else n for axis, n in zip(axes, shape, strict=True)]
    for done, index in enumerate(np.ndindex(*outer)):
        if done:
            print(f"{done}/{np.prod(outer)}", flush=True)
        where = zip(axes, index, strict=True)
        yield tuple(slice(None) if axis in together else i for axis, i in where)
    print(f"{np.prod(outer)}/{np.prod(outer)}", flush=True)


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


def exact(value):
    """Return a number as text that is read back as it was: counts and labels in full."""
    return f"{value:.15g}" if isinstance(value, (float, np.floating)) else str(value)


def tell_sizes(first, second):
    """Warn when two images that are laid on each other have pixels of different size."""
    for axis in "XYZ":
        one, other = (sizes.get(f"PhysicalSize{axis}") for sizes in (first, second))
        if one and other and abs(one - other) > 1e-3 * one:
            print(
                f"warning: pixels of different size ({one:g} and {other:g} along {axis}) are laid "
                "on each other one by one: “Rescale” makes them alike"
            )


def tell_axes(axes, others):
    """Warn when two images of one size, laid on each other, have other axes."""
    if axes != others:
        print(
            f"warning: the axes are {axes} in the one and {others} in the other: both count as "
            f"{axes}. Where that is wrong, name the axes alike"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--table", required=True)
    args = parser.parse_args()

    labels, axes, sizes = read_objects(args.labels)
    image, others, own = read_image(args.image)
    tell_sizes(sizes, own)
    if image.shape != labels.shape:
        sys.exit(f"The image {image.shape} and the labels {labels.shape} differ in size.")
    tell_axes(axes, others)
    # the objects as their own image: only shapes are wanted
    image = None if np.array_equal(image, labels) else image
    if image is not None:
        tell_missing(image)
    together = space(axes, "volumes")
    steps = [s for s, axis in zip(pitch(axes, sizes), axes, strict=True) if axis in together]
    known = all(f"PhysicalSize{axis}" in sizes for axis in axes if axis in together)
    lengths = known and not any(key.endswith("Unit") and key[-5] in "XYZ" for key in sizes)
    outer = [number for number, axis in enumerate(axes) if axis not in together]
    if len(steps) == 2 and np.ptp(steps) >= SQUARE * max(steps):
        print(
            "note: the pixels are no squares: perimeters are counted by crossings, and come out "
            "up to 5 % shorter than those of square pixels"
        )
    count = 0
    with open(args.table, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        for part in parts(axes, labels.shape, together):
            small, numbers = compact(labels[part])
            within = None if image is None else image[part].astype(float)
            found = measure(small, within, steps, sizes["PhysicalSizeX"] if lengths else None)
            if file.tell() == 0:
                where = [
                    "frame" if axes[number] == "T" else axes[number].lower() for number in outer
                ]
                table.writerow(["label", *where, *list(found)[1:]])
            place = [part[number] for number in outer]
            for index, *values in zip(*found.values(), strict=True):
                table.writerow([numbers[index], *place, *map(exact, values)])
                count += 1
    print(f"{count} object{'' if count == 1 else 's'}")


if __name__ == "__main__":
    main()
