"""Counts points inside labelled objects."""

import argparse
import csv
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


def read_points(path):
    """Return coordinates, names of the other columns, and their texts."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = csv.reader(file)
        columns = [header.index(n) for i in range(len(header)) if (n := f"axis-{i}") in header]
        rows = [row for row in rows if row]
        points = np.array([[float(row[i] or "nan") for i in columns] for row in rows])
        others = [i for i, name in enumerate(header) if i not in columns and name != "index"]
        features = [[row[i] for i in others] for row in rows]
    except (OSError, ValueError, IndexError) as error:
        sys.exit(f"{path} cannot be read as a table of points: {error}")
    if len(columns) < 2:
        sys.exit(
            f"{path} has no coordinates that are known: none of its columns {', '.join(header)} "
            "says x and y, in numbers. Call them x, y (z, frame), or axis-0, axis-1."
        )
    return points.reshape(-1, len(columns)), [header[i] for i in others], features


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    return "YX" if mode == "planes" or "Z" not in axes else "ZYX"


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


def counterparts(own, count, axes, shape):
    """Return the column of the points for each axis of the labels, -1 for one of a single step.

    By their letters; where nobody says those of the points, columns are counted from the last.
    Labels that lack an axis serve for all of it.
    """
    if len(own) != count or "Q" in own + axes:
        if count < len(axes):
            sys.exit(
                f"The points have {count} coordinates, the objects the axes {', '.join(axes)}. "
                "Call columns of a table by their axes (frame, z, y, x), or choose flat objects."
            )
        columns = np.arange(count)[-len(axes) :]
        if count > len(axes):
            # time is the first axis
            if axes.startswith("T") and "Z" not in axes and "Q" not in axes:
                columns[:-2] = np.arange(len(axes) - 2)
            print("note: the objects are flat: points of all slices and frames count together")
        return columns
    columns = [own.find(axis) for axis in axes]
    lacking = [a for a, c, n in zip(axes, columns, shape, strict=True) if c < 0 and n > 1]
    if lacking:
        sys.exit(
            f"The objects have the axes {', '.join(axes)}, the points {', '.join(own)}: which "
            f"{', '.join(lacking)} a point is at is not known. Name the axes of both alike, or "
            "give points or objects that have the same."
        )
    if further := [axis for axis in own if axis not in axes]:
        print(
            f"note: the objects have no {', '.join(further)}: points of all slices, frames or "
            "channels along it count together"
        )
    return columns


def parts(axes, shape, together):
    """Return where each volume (or plane) lies, and say how far the work is."""
    outer = [1 if axis in together else n for axis, n in zip(axes, shape, strict=True)]
    for done, index in enumerate(np.ndindex(*outer)):
        if done:
            print(f"{done}/{np.prod(outer)}", flush=True)
        where = zip(axes, index, strict=True)
        yield tuple(slice(None) if axis in together else i for axis, i in where)
    print(f"{np.prod(outer)}/{np.prod(outer)}", flush=True)


def exact(value):
    """Return a number as text that is read back as it was: counts and labels in full."""
    return f"{value:.15g}" if isinstance(value, (float, np.floating)) else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", required=True)
    parser.add_argument("--axes", default="")
    parser.add_argument("--labels", required=True)
    parser.add_argument("--counts", required=True)
    parser.add_argument("--assigned", required=True)
    args = parser.parse_args()

    labels, axes, sizes = read_objects(args.labels)
    points, names, features = read_points(args.points)
    columns = counterparts(args.axes, points.shape[1], axes, labels.shape)
    placed = np.isfinite(points).all(axis=1)
    if not placed.all():
        missing = np.count_nonzero(~placed)
        print(f"note: points without a place (NaN) lie in no object: {missing} of {len(points)}")
    pixels = np.floor(np.where(placed[:, None], points, -1) + 0.5).astype(int)
    pixels = np.column_stack([pixels, np.where(placed, 0, -1)])[:, columns]
    inside = ((pixels >= 0) & (pixels < labels.shape)).all(axis=1)
    if outside := np.count_nonzero(placed & ~inside):
        print(f"note: points outside of the image of objects: {outside} of {len(points)}")
    owner = np.zeros(len(points), labels.dtype)
    owner[inside] = labels[tuple(pixels[inside].T)]

    together = space(axes, "volumes")
    known = [sizes.get(f"PhysicalSize{axis}") for axis in axes if axis in together]
    unit = (
        f"um{len(known)}" if None not in known and not any("Unit" in key for key in sizes) else ""
    )
    outer = [number for number, axis in enumerate(axes) if axis not in together]
    total = 0
    with open(args.counts, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        where = ["frame" if axes[number] == "T" else axes[number].lower() for number in outer]
        table.writerow(["label", *where, "points", *([f"points_per_{unit}"] if unit else [])])
        for part in parts(axes, labels.shape, together):
            place = [part[number] for number in outer]
            numbers, size = np.unique(labels[part], return_counts=True)
            here = owner[(pixels[:, outer] == place).all(axis=1)]
            order = np.searchsorted(numbers, here[here != 0])
            counts = np.bincount(order, minlength=len(numbers))
            for number, count, area in zip(numbers, counts, size, strict=True):
                if number != 0:
                    density = [exact(count / (area * np.prod(known)))] if unit else []
                    table.writerow([number, *place, count, *density])
                    total += 1
    with open(args.assigned, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        coordinates = [f"axis-{dimension}" for dimension in range(points.shape[1])]
        kept = [i for i, name in enumerate(names) if name != "object"]
        table.writerow(["index", *coordinates, *[names[i] for i in kept], "object"])
        for row, point in enumerate(points):
            place = [exact(value) for value in point]
            table.writerow([row, *place, *[features[row][i] for i in kept], owner[row]])
    print(f"points in objects: {np.count_nonzero(owner)} of {len(points)}; objects: {total}")


if __name__ == "__main__":
    main()
