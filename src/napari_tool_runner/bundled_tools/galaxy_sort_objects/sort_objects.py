"""Sorts the objects of a label image into classes by a measurement."""

import argparse
import json
import sys
from pathlib import Path

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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    return "YX" if mode == "planes" or "Z" not in axes else "ZYX"


def measure(labels, image, feature, steps):
    """Return the value of every object (labels 1, 2, 3, … without gaps) of one part."""
    from skimage import measure

    pixels = np.bincount(labels.ravel())
    if feature == "area":
        return pixels[1:].astype(float)
    if feature == "intensity_mean":
        known = np.where(np.isfinite(image), labels, 0)
        light = np.bincount(known.ravel(), np.where(known, image, 0).ravel(), len(pixels))[1:]
        with np.errstate(invalid="ignore"):
            return light / np.bincount(known.ravel(), minlength=len(pixels))[1:]
    if feature == "solidity" and labels.ndim == 3:
        return pixels[1:] / hulls(labels)
    spacing = steps if feature == "eccentricity" else [1.0] * labels.ndim  # a share has no unit
    return measure.regionprops_table(labels, properties=[feature], spacing=spacing)[feature]


def hulls(labels):
    """Return how many voxels the convex hull of each object (1, 2, 3, …) of a volume has.

    A voxel is as large as the middles of its sides reach, as in scikit-image.
    """
    from scipy.spatial import ConvexHull

    sides, near = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)]), 1e-10
    sizes = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        own = labels[box] == number
        lines = np.argwhere(own.any(axis=2))
        rows = own[lines[:, 0], lines[:, 1]]
        ends = (rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1))
        places = np.concatenate([np.column_stack([lines, end]) for end in ends])
        corners = (2 * places[:, None] + sides + 1).reshape(-1, 3)  # twice, so that they are whole
        shape = 2 * np.array(own.shape) + 1
        corners = np.unravel_index(np.unique(np.ravel_multi_index(corners.T, shape)), shape)
        walls = ConvexHull(np.column_stack(corners) / 2 - 0.5).equations
        walls = walls[np.unique(walls.round(9), axis=0, return_index=True)[1]]
        size, every = 0, np.indices(own.shape[:2]).reshape(2, -1)
        for part in np.array_split(every, 1 + len(walls) * every.shape[1] // 10**7, axis=1):
            away = near - walls[:, :2] @ part - walls[:, 3:]  # how far a line is from each wall
            right, left = walls[:, 2] > near, walls[:, 2] < -near
            last = np.floor((away[right] / walls[right, 2:3]).min(axis=0))
            first = np.ceil((away[left] / walls[left, 2:3]).max(axis=0))
            between = (away[~right & ~left] > 0).all(axis=0)
            size += np.clip(last - first + 1, 0, None) @ between
        sizes.append(size)
    return np.array(sizes)


def classify(values, settings):
    """Return the class of each value (from 1; 0: not measured), and how many classes there are."""
    known = np.isfinite(values)
    if not known.all():
        classes = np.zeros(len(values), int)
        classes[known], count = classify(values[known], settings)
        print(f"note: objects without a value are in no class: {np.count_nonzero(~known)}")
        return classes, count
    if settings["how"] == "values":
        return np.searchsorted(settings["edges"], values, side="right") + 1, len(
            settings["edges"]
        ) + 1
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ranks * settings["count"] // max(1, len(values)) + 1, settings["count"]


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


def compact(labels):
    """Return labels without gaps in their numbers, and the number that each had."""
    values = np.unique(labels)
    values = values[values != 0]
    if not values.size or (values[0] > 0 and values[-1] <= 2 * values.size + 1000):
        numbers = np.arange(int(values.max(initial=0)) + 1)
        return labels.astype(np.int32, copy=False), numbers.astype(labels.dtype)
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int32)
    return small, np.concatenate([np.zeros(1, values.dtype), values])


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
    parser.add_argument("--image")
    parser.add_argument("--settings", required=True)
    parser.add_argument("--classes", required=True)
    parser.add_argument("--table")
    args = parser.parse_args()

    settings = json.loads(Path(args.settings).read_text(encoding="utf-8"))
    feature = settings["feature"]
    labels, axes, sizes = read_objects(args.labels)
    image, others, theirs = read_image(args.image) if args.image else (None, axes, sizes)
    together = space(axes, "volumes")
    steps = [s for s, axis in zip(pitch(axes, sizes), axes, strict=True) if axis in together]
    if feature == "intensity_mean" and image is None:
        sys.exit("Sorting by brightness needs an image.")
    if feature == "eccentricity" and len(steps) != 2:
        sys.exit("Eccentricity is measured in planes only; this image has depth.")
    if image is not None and image.shape != labels.shape:
        sys.exit(f"The image has the shape {image.shape}, the labels have {labels.shape}.")
    if image is not None:
        tell_missing(image)
        tell_axes(axes, others)
        tell_sizes(sizes, theirs)
    outer = [number for number, axis in enumerate(axes) if axis not in together]
    rows, values, small = [], [], np.zeros(labels.shape, np.int32)
    for part in parts(axes, labels.shape, together):  # an object is measured in each frame
        own, numbers = compact(labels[part])
        there = np.flatnonzero(np.bincount(own.ravel())[1:]) + 1
        dense = np.zeros(len(numbers), np.int32)
        dense[there] = np.arange(1, len(there) + 1)
        own, objects = dense[own], numbers[there]
        small[part] = np.where(own, own + len(rows), 0)
        if len(objects):
            light = None if image is None else image[part].astype(float)
            values += list(measure(own, light, feature, steps))
        rows += [(number, *(part[axis] for axis in outer)) for number in objects]
    if not rows:
        print("warning: the label image has no objects")
    values = np.array(values, float)
    classes, count = classify(values, settings) if rows else (values.astype(int), 0)
    for index in range(1, count + 1):
        held = np.count_nonzero(classes == index)
        print(f"class_{index}: {held} object{'' if held == 1 else 's'}")
        chosen = np.concatenate([[False], classes == index])[small]
        write_image(
            Path(args.classes) / f"class_{index}.tiff", np.where(chosen, labels, 0), axes, sizes
        )
    if args.table:
        where = ["frame" if axes[number] == "T" else axes[number].lower() for number in outer]
        lines = [["label", *where, feature, "class"]]
        for row, value, group in zip(rows, values, classes, strict=True):
            lines.append([*map(str, row), exact(value), str(group)])
        text = "".join("\t".join(line) + "\n" for line in lines)
        Path(args.table).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
