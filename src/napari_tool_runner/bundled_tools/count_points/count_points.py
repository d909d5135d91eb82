"""Counts points inside labelled objects."""

import argparse
import csv
import sys

import numpy as np
import tifffile


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


def read_points(path):
    """Return coordinates, names of the other columns, and their texts."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = csv.reader(file)
        columns = [i for i, name in enumerate(header) if name.startswith("axis-")]
        rows = [row for row in rows if row]
        points = np.array([[float(row[i]) for i in columns] for row in rows])
        others = [i for i, name in enumerate(header) if i not in columns and name != "index"]
        features = [[row[i] for i in others] for row in rows]
    except (OSError, ValueError, IndexError) as error:
        sys.exit(f"{path} cannot be read as a table of points: {error}")
    if len(columns) < 2:
        sys.exit(f"{path} has no coordinates: the columns axis-0, axis-1 are needed.")
    return points.reshape(-1, len(columns)), [header[i] for i in others], features


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--counts", required=True)
    parser.add_argument("--assigned", required=True)
    args = parser.parse_args()

    labels, axes, sizes = read_image(args.labels)
    points, names, features = read_points(args.points)
    if points.shape[1] < labels.ndim:
        sys.exit(f"The points have {points.shape[1]} coordinates, the labels {labels.ndim} axes.")
    # flat labels serve for every time point of the points
    pixels = np.rint(points[:, points.shape[1] - labels.ndim :]).astype(int)
    inside = ((pixels >= 0) & (pixels < labels.shape)).all(axis=1)
    owner = np.zeros(len(points), int)
    owner[inside] = labels[tuple(pixels[inside].T)]

    numbers, areas = np.unique(labels[labels != 0], return_counts=True)
    wide = sizes.get("PhysicalSizeX")
    with open(args.counts, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        per_area = wide is not None and axes == "YX"
        table.writerow(["label", "points", *(["points_per_um2"] if per_area else [])])
        for number, area in zip(numbers, areas, strict=True):
            count = np.count_nonzero(owner == number)
            density = [f"{count / (area * wide**2):.6g}"] if per_area else []
            table.writerow([number, count, *density])
    with open(args.assigned, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        coordinates = [f"axis-{dimension}" for dimension in range(points.shape[1])]
        kept = [i for i, name in enumerate(names) if name != "object"]
        table.writerow(["index", *coordinates, *[names[i] for i in kept], "object"])
        for row, point in enumerate(points):
            place = [f"{value:.6g}" for value in point]
            table.writerow([row, *place, *[features[row][i] for i in kept], owner[row]])
    print(f"{np.count_nonzero(owner)} of {len(points)} points lie in {len(numbers)} objects")


if __name__ == "__main__":
    main()
