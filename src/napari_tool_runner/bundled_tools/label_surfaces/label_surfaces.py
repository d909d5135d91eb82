"""Makes a surface mesh of labelled objects in a stack."""

import argparse
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


def compact(labels):
    """Return labels without large gaps in their numbers, and the number that each had."""
    if labels.size and labels.min() >= 0 and labels.max() <= labels.size:
        return labels, np.arange(labels.max() + 1)
    values = np.unique(labels[labels != 0])
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1)
    return small.astype(np.int32), np.concatenate([[0], values]).astype(values.dtype)


def surface(labels, number, place, smoothing):
    """Return vertices (z, y, x in voxels) and faces around one object."""
    from skimage.measure import marching_cubes

    inside = np.pad(labels[place] == number, 2).astype(np.float32)
    soft = ndimage.gaussian_filter(inside, smoothing) if smoothing > 0 else inside
    if soft.max() <= 0.5:  # so thin that smoothing takes it away
        soft = inside
    vertices, faces, _, _ = marching_cubes(soft, 0.5)
    return vertices - 2 + [side.start for side in place], faces


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--surface", required=True)
    parser.add_argument("--smoothing", type=float, default=1.0)
    args = parser.parse_args()

    labels, axes, _ = read_image(args.labels)
    if not np.issubdtype(labels.dtype, np.integer):
        sys.exit(f"{args.labels} has fractions: objects are numbered with whole numbers.")
    if labels.ndim != 3:
        sys.exit(f"A surface is made of one stack (Z, Y, X), not of an image with {axes}.")
    labels, numbers = compact(labels)
    vertices, faces, count = [], [], 0
    found = ndimage.find_objects(labels)
    for number, place in enumerate(found, 1):
        if place is not None:
            points, triangles = surface(labels, number, place, args.smoothing)
            vertices.append(np.column_stack([points, np.full(len(points), numbers[number])]))
            faces.append(triangles + count)
            count += len(points)
        print(f"{number}/{len(found)}", flush=True)
    if not vertices:
        sys.exit(f"{args.labels} has no objects: there is nothing to make a surface of.")
    points, triangles = np.concatenate(vertices), np.concatenate(faces)
    # columns as napari reads meshes: depth, height, width in voxels
    with open(args.surface, "w", encoding="ascii") as file:
        file.write("ply\nformat ascii 1.0\ncomment value: the label\n")
        file.write(f"element vertex {len(points)}\n")
        file.writelines(f"property float {name}\n" for name in ("x", "y", "z", "value"))
        file.write(f"element face {len(triangles)}\nproperty list uchar int vertex_indices\n")
        file.write("end_header\n")
        np.savetxt(file, points, fmt=["%.3f", "%.3f", "%.3f", "%d"])
        np.savetxt(file, np.insert(triangles, 0, 3, axis=1), fmt="%d")
    print(f"{len(vertices)} objects, {len(triangles)} triangles")


if __name__ == "__main__":
    main()
