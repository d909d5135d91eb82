"""Links the objects of successive frames to tracks, with laptrack."""

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


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF (a plain TIFF where OME has no such numbers, or no room for the axes)."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    ome = image.dtype.name not in ("int64", "uint64", "float16")
    told = {"photometric": colour, "metadata": {"axes": axes, **sizes}}
    try:
        tifffile.imwrite(path, image, ome=ome, **told)
    except tifffile.OmeXmlError:
        tifffile.imwrite(path, image, ome=False, **told)


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


def exact(value):
    """Return a number as text that is read back as it was: counts and labels in full."""
    return f"{value:.15g}" if isinstance(value, (float, np.floating)) else str(value)


def places(labels, frames, steps):
    """Return the numbers of the objects of each frame, and where their middles lie, in pixels."""
    rows, found = [], []
    for frame in range(frames):
        numbers = np.unique(labels[frame])
        numbers = numbers[numbers != 0]
        small = np.where(labels[frame] == 0, 0, np.searchsorted(numbers, labels[frame]) + 1)
        middles = ndimage.center_of_mass(small > 0, small, range(1, len(numbers) + 1))
        rows += [(frame, int(number)) for number in numbers]
        found += middles
    return rows, np.array(found, float).reshape(-1, len(steps))


def link(rows, middles, args):
    """Return the track of each object, from 0 on, and of each track the one that it came from."""
    import pandas as pd
    from laptrack import LapTrack

    names = [f"place-{axis}" for axis in range(middles.shape[1])]
    table = pd.DataFrame(middles, columns=names).assign(frame=[frame for frame, _ in rows])
    # cutoffs are squares of distances; not linking costs either side half of the longest step,
    # so that no step within it is left out for being rare
    most = args.distance**2
    alone = 1.05 * most / 2
    tracker = LapTrack(
        metric="sqeuclidean",
        cutoff=most,
        gap_closing_metric="sqeuclidean",
        gap_closing_cutoff=most if args.gap else False,
        gap_closing_max_frame_count=args.gap + 1,  # from frame to frame, not those missed
        splitting_metric="sqeuclidean",
        splitting_cutoff=most if args.divide == "true" else False,
        merging_cutoff=False,
        track_start_cost=alone,
        track_end_cost=alone,
        segment_start_cost=alone,
        segment_end_cost=alone,
        no_splitting_cost=alone,
    )
    made, splits, _ = tracker.predict_dataframe(
        table.assign(row=range(len(table))), names, only_coordinate_cols=False, index_offset=0
    )
    owner = np.zeros(len(rows), int)
    owner[made["row"].to_numpy()] = made["track_id"].to_numpy()
    parents = {}
    if len(splits):
        pairs = splits[["child_track_id", "parent_track_id"]].to_numpy(int)
        parents = dict(map(tuple, pairs.tolist()))
    return owner, parents


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--tracks", required=True)
    parser.add_argument("--linked", required=True)
    parser.add_argument("--distance", type=float, required=True)
    parser.add_argument("--gap", type=int, default=0)
    parser.add_argument("--divide", choices=["true", "false"], default="false")
    parser.add_argument("--min-length", type=int, default=1)
    args = parser.parse_args()

    labels, axes, sizes = read_image(args.labels)
    if axes.endswith("S") or labels.dtype.kind not in "iu":
        sys.exit("These are no labels: each object needs a whole number of its own.")
    if "T" not in axes:
        sys.exit(f"The labels have the axes {', '.join(axes)} and no time: they are no movie.")
    known = "PhysicalSizeX" in sizes and "PhysicalSizeXUnit" not in sizes
    wide = sizes["PhysicalSizeX"] if known else 1.0
    args.distance /= wide
    if not known:
        print("note: nobody says how large a pixel is: the largest step is in pixels")
    space = [axis for axis in axes if axis in "ZYX"]
    others = [axis for axis in axes if axis not in "TZYX"]
    order = [axes.index(axis) for axis in (*others, "T", *space)]
    steps = pitch(space, sizes)
    turned = labels.transpose(order)
    linked = np.zeros(turned.shape, np.int32)
    head = ["ID", "T", *others, *space, "label", "parent"]
    table, last, short = [], 0, 0
    for index in np.ndindex(*turned.shape[: len(others)]):
        part = turned[index]
        rows, middles = places(part, len(part), space)
        if not rows:
            continue
        owner, parents = link(rows, middles * steps, args)
        lengths = np.bincount(owner)
        kept = np.flatnonzero(lengths >= args.min_length)
        short += np.count_nonzero(lengths) - len(kept)
        numbers = {int(old): new for new, old in enumerate(kept, last + 1)}  # 0 is no object
        last += len(kept)
        for row in np.lexsort(([frame for frame, _ in rows], owner)):
            track = numbers.get(int(owner[row]))
            if track is None:
                continue
            frame, number = rows[row]
            linked[index][frame][part[frame] == number] = track
            parent = numbers.get(parents.get(int(owner[row]), -1), 0)
            place = [exact(value) for value in middles[row]]
            table.append([track, frame, *index, *place, number, parent])
    with open(args.tracks, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *table])
    write_image(args.linked, linked.transpose(np.argsort(order)), axes, sizes)
    print(f"{last} track{'' if last == 1 else 's'}")
    divided = len({row[-1] for row in table} - {0})
    said = [f"{divided} object{' divides' if divided == 1 else 's divide'}"] * bool(divided)
    said += [f"{short} shorter track{' was' if short == 1 else 's were'} left out"] * bool(short)
    if said:
        print(f"note: {'; '.join(said)}")


if __name__ == "__main__":
    main()
