"""Draws the outline of every object as a polygon."""

import argparse
import json
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


def outlines(labels, tolerance):
    """Yield the number of each object of a plane and its outline as (y, x) in pixels."""
    from skimage.measure import approximate_polygon, find_contours

    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if place is None:
            continue
        inside = np.pad(labels[place] == number, 1).astype(float)
        longest = max(find_contours(inside, 0.5), key=len)
        line = approximate_polygon(longest, tolerance)
        if len(line) >= 4:  # the first point comes again at the end
            yield number, line - 1 + [side.start for side in place]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--outlines", required=True)
    parser.add_argument("--tolerance", type=float, default=0.5)
    args = parser.parse_args()

    labels, axes, _ = read_image(args.labels)
    if not np.issubdtype(labels.dtype, np.integer):
        sys.exit(f"{args.labels} has fractions: objects are numbered with whole numbers.")
    if labels.ndim > 3 or axes[-2:] != "YX":
        sys.exit(
            f"Outlines are drawn in a plane, a stack or a movie, not in an image with {axes}."
        )
    labels, numbers = compact(labels)
    features = []
    planes = labels if labels.ndim == 3 else labels[np.newaxis]
    for level, plane in enumerate(planes):
        for number, line in outlines(plane, args.tolerance):
            # GeoJSON counts x first; the slice (or frame) is the third coordinate
            points = [[round(x, 3), round(y, 3), level][: labels.ndim] for y, x in line.tolist()]
            geometry = {"type": "Polygon", "coordinates": [points]}
            properties = {"label": int(numbers[number])}
            features.append({"type": "Feature", "geometry": geometry, "properties": properties})
        print(f"{level + 1}/{len(planes)}", flush=True)
    with open(args.outlines, "w", encoding="utf-8") as file:
        json.dump({"type": "FeatureCollection", "features": features}, file)
    print(f"{len(features)} outlines")


if __name__ == "__main__":
    main()
