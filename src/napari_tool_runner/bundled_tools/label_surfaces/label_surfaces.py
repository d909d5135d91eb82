"""Makes a surface mesh of labelled objects in a stack."""

import argparse
import sys

import numpy as np
import tifffile
from scipy import ndimage

NEAR = 0.12  # as much of an object's volume may its surface have more or less


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


def surface(labels, number, place, smoothing, steps):
    """Return vertices (z, y, x in voxels) and faces around one object, and what is told of it."""
    from skimage.measure import marching_cubes

    inside = np.pad(labels[place] == number, 2).astype(np.float32)
    soft = ndimage.gaussian_filter(inside, [smoothing / step for step in steps], mode="constant")
    thin = smoothing > 0 and soft.max() <= 0.5  # smoothing would take it away
    if thin:
        soft = inside
    vertices, faces, _, _ = marching_cubes(soft, 0.5)
    corners = (vertices.astype(float) - vertices.mean(axis=0))[faces]
    share = abs(np.linalg.det(corners).sum()) / 6 / inside.sum()
    off = bool(abs(share - 1) > NEAR)
    if smoothing and not thin and not off:  # a large body hides by its volume what it lost
        away = ndimage.distance_transform_edt(soft <= 0.5, sampling=steps)
        off = bool((away[inside > 0] > 2 * smoothing + max(steps)).any())
    return vertices - 2 + [side.start for side in place], faces, bool(thin), share if off else None


def tell_changed(smoothing, thin, off, count):
    """Say which objects smoothing leaves as they are, and which lose parts by it."""
    if thin:
        print(
            "note: objects so thin that smoothing would take them away are not smoothed: "
            f"{len(thin)} of {count} ({listed(map(str, thin))})"
        )
    if off:
        why = "smoothing loses thin parts and corners, and fills gaps (less smoothing: less so)"
        why = why if smoothing else "a surface cuts the corners of small objects"
        told = listed(f"{number}: {share:.0%} of its volume" for number, share in off.items())
        print(f"note: surfaces that are not faithful: {len(off)} of {count}; {why}; {told}")


def listed(words):
    """Return the first words, with commas, and whether there are more."""
    words = list(words)
    return ", ".join(words[:5]) + ", …" * (len(words) > 5)


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--surface", required=True)
    parser.add_argument("--smoothing", type=float, default=1.0)
    args = parser.parse_args()

    labels, axes, sizes = read_objects(args.labels)
    if axes == "YX":  # a stack of one slice
        labels, axes = labels[np.newaxis], "ZYX"
    if labels.ndim != 3 or set(axes) & set("TCQ"):
        sys.exit(f"A surface is made of one stack (Z, Y, X), not of an image with {axes}.")
    labels, numbers = compact(labels)
    vertices, faces, count, thin, off = [], [], 0, [], {}
    steps = pitch(axes, sizes)
    found = ndimage.find_objects(labels)
    for number, place in enumerate(found, 1):
        if place is not None:
            points, triangles, left, share = surface(labels, number, place, args.smoothing, steps)
            thin += [numbers[number]] * left
            off |= {numbers[number]: share} if share is not None else {}
            vertices.append(np.column_stack([points, np.full(len(points), numbers[number])]))
            faces.append(triangles + count)
            count += len(points)
        print(f"{number}/{len(found)}", flush=True)
    if not vertices:
        sys.exit("There are no objects: there is nothing to make a surface of.")
    points, triangles = np.concatenate(vertices), np.concatenate(faces)
    # columns as napari reads meshes: depth, height, width in voxels
    with open(args.surface, "w", encoding="ascii") as file:
        file.write("ply\nformat ascii 1.0\ncomment value: the label\n")
        file.write(f"element vertex {len(points)}\n")
        file.writelines(f"property float {name}\n" for name in "xyz")
        file.write("property double value\n")  # holds numbers of objects above 2^24
        file.write(f"element face {len(triangles)}\nproperty list uchar int vertex_indices\n")
        file.write("end_header\n")
        np.savetxt(file, points, fmt=["%.3f", "%.3f", "%.3f", "%d"])
        np.savetxt(file, np.insert(triangles, 0, 3, axis=1), fmt="%d")
    tell_changed(args.smoothing, thin, off, len(vertices))
    if numbers[-1] > 2**53:
        print("note: the value of an object is its number, rounded: it is above 2^53")
    print(f"{len(vertices)} object{'' if len(vertices) == 1 else 's'}, {len(triangles)} triangles")


if __name__ == "__main__":
    main()
