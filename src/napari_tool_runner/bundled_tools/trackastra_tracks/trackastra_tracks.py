"""Follows the objects of a movie by a trained network, with Trackastra."""

import argparse
import csv
import logging
import os
import re
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

# bytes: what a model unpacks to, at most
MOST = 2**32
METHOD, HOLDS = "Trackastra", "config.yaml, train_config.yaml and model.pt"


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


def model_in(folder):
    """Return the folder of a whole model in or below `folder`; None where there is none."""
    for settings in sorted(folder.rglob("train_config.yaml")):
        if all(settings.with_name(name).is_file() for name in ("config.yaml", "model.pt")):
            return settings.parent
    return None


def unpacked(path):
    """Return the folder of a model that was given as a zip."""
    folder = Path(tempfile.mkdtemp())  # the job has a place for it
    try:
        with zipfile.ZipFile(path) as file:
            if sum(entry.file_size for entry in file.infolist()) > MOST:
                sys.exit(f"{path} is too large for a model of {METHOD}.")
            file.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"{path} cannot be read as a zipped model of {METHOD}: {error}")
    found = model_in(folder)
    if found is None:
        sys.exit(f"{path} holds no model of {METHOD}: {HOLDS} are missing.")
    return found


def known(name, fetch):
    """Return the folder of a published model, which is fetched if that is asked for."""
    from trackastra.model import pretrained

    home = Path(os.environ.get("TRACKASTRA_MODELS", Path.home() / ".trackastra"))
    address = pretrained._MODELS[name]
    found = model_in(home / name)
    if found is None and not fetch:
        sys.exit(
            f"The model {name} is not on this computer: tick “Fetch the model” (once, from "
            f"github.com), or download {address} elsewhere and give it as “Model file”."
        )
    if found is None:
        print(f"fetching {address}", flush=True)
        try:
            pretrained.download_pretrained(name, home)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            said = re.search(r"\[Errno [^\]]*\] [^'\")]+", str(error))
            said = said[0] if said else str(error).partition("\n")[0] or type(error).__name__
            sys.exit(
                f"The model {name} could not be fetched ({said}): try again with a network, or "
                f"download {address} elsewhere and give it as “Model file”."
            )
        found = model_in(home / name)
    if found is None:
        sys.exit(f"What was fetched from {address} holds no model of Trackastra.")
    return found


def load(folder, deep):
    """Return the network of a folder, on the graphics card where there is one."""
    from trackastra.model import Trackastra

    try:
        model = Trackastra.from_folder(folder, device="automatic")
        depth = model.transformer.config["coord_dim"]
    except Exception as error:  # noqa: BLE001  (torch and yaml raise what they like)
        said = str(error).strip().partition("\n")[0]
        sys.exit(f"The model in {folder.name} cannot be read: {said}")
    if deep and depth == 2:
        sys.exit(f"The model {folder.name} is for planes, and these objects are volumes.")
    if model.train_args["features"].startswith("pretrained"):
        sys.exit(f"The model {folder.name} wants features of another network (SAM 2): not here.")
    return model


def link(model, labels, image, args):
    """Return of each object its track, from 1 on, and of each track the one it came from.

    Objects are told by frame and number, and each of them is in a track, if alone.
    """
    found = [(t, int(n)) for t, frame in enumerate(labels) for n in np.unique(frame) if n]
    graph = None
    if len(labels) > 1 and len(found) > 1:
        mode = "greedy" if args.divide == "true" else "greedy_nodiv"
        graph, _ = model.track(
            image, labels, mode=mode, progbar_class=quiet, max_distance=args.distance
        )
    names = {} if graph is None else dict(graph.nodes(data=True))
    objects = {name: (int(node["time"]), int(node["label"])) for name, node in names.items()}
    before, after = {}, {}
    for one, other in [] if graph is None else graph.edges:
        before[objects[other]] = objects[one]
        after.setdefault(objects[one], []).append(objects[other])
    owner, parents, last = {}, {}, 0
    for one in sorted(found):  # an object comes after the one that it was
        earlier = before.get(one)
        if earlier is not None and len(after[earlier]) == 1:
            owner[one] = owner[earlier]
            continue
        last += 1
        owner[one] = last
        if earlier is not None:
            parents[last] = owner[earlier]
    return owner, parents


def quiet(steps, total=None, desc=""):
    """Walk through the steps of Trackastra, and tell how far the longest of its walks is."""
    for done, step in enumerate(steps, 1):
        yield step
        if desc == "Computing associations":
            print(f"{done}/{total or len(steps)}", flush=True)


def main():
    if sys.argv[1:2] == ["--only-fetch"]:
        known(sys.argv[2], True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--tracks", required=True)
    parser.add_argument("--linked", required=True)
    parser.add_argument("--model", default="general_2d")
    parser.add_argument("--file")
    parser.add_argument("--fetch", choices=["true", "false"], default="false")
    parser.add_argument("--distance", type=float)
    parser.add_argument("--divide", choices=["true", "false"], default="true")
    parser.add_argument("--min-length", type=int, default=1)
    args = parser.parse_args()

    labels, axes, sizes = read_image(args.labels)
    image, others, own = read_image(args.image)
    if axes.endswith("S") or labels.dtype.kind not in "iu":
        sys.exit("These are no labels: each object needs a whole number of its own.")
    if "T" not in axes:
        sys.exit(f"The labels have the axes {', '.join(axes)} and no time: they are no movie.")
    tell_sizes(sizes, own)
    if image.shape != labels.shape:
        sys.exit(f"The image {image.shape} and the labels {labels.shape} differ in size.")
    tell_axes(axes, others)
    missing = tell_missing(image)
    image = np.where(missing, image[~missing].min(), image) if missing.any() else image
    space = [axis for axis in axes if axis in "ZYX"]
    outer = [axis for axis in axes if axis not in "TZYX"]
    if args.distance is None:
        args.distance = 256  # as Trackastra has it
    elif "PhysicalSizeX" in sizes and "PhysicalSizeXUnit" not in sizes:
        args.distance /= sizes["PhysicalSizeX"]
    else:
        print("note: nobody says how large a pixel is: the largest step is in pixels")
    logging.disable(logging.WARNING)
    os.environ["TQDM_DISABLE"] = "1"
    folder = unpacked(args.file) if args.file else known(args.model, args.fetch == "true")
    model = load(folder, "Z" in space)
    order = [axes.index(axis) for axis in (*outer, "T", *space)]
    turned, seen = labels.transpose(order), image.transpose(order).astype(np.float32)
    linked = np.zeros(turned.shape, np.int32)
    table, last, short = [], 0, 0
    for index in np.ndindex(*turned.shape[: len(outer)]):
        part, names = numbered(turned[index])
        owner, parents = link(model, part, seen[index], args)
        lengths = np.bincount(list(owner.values()), minlength=1)
        kept = np.flatnonzero(lengths >= max(args.min_length, 1))
        short += np.count_nonzero(lengths) - len(kept)
        numbers = {int(old): new for new, old in enumerate(kept, last + 1)}  # 0 is no object
        last += len(kept)
        middles = {
            (frame, number): middle
            for frame in range(len(part))
            for number, middle in middles_of(part[frame])
        }
        for one in sorted(owner, key=lambda one: (owner[one], one)):
            frame, number = one
            if owner[one] in numbers:
                track = numbers[owner[one]]
                linked[index][frame][part[frame] == number] = track
                parent = numbers.get(parents.get(owner[one]), 0)
                place = [exact(value) for value in middles[one]]
                own = names[frame][number - 1]
                table.append([track, frame, *index, *place, own, parent])
    with open(args.tracks, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["ID", "T", *outer, *space, "label", "parent"], *table])
    write_image(args.linked, linked.transpose(np.argsort(order)), axes, sizes)
    print(f"{last} track{'' if last == 1 else 's'}")
    divided = len({row[-1] for row in table} - {0})
    said = [f"{divided} object{' divides' if divided == 1 else 's divide'}"] * bool(divided)
    said += [f"{short} shorter track{' was' if short == 1 else 's were'} left out"] * bool(short)
    said += [f"model {'of the file' if args.file else args.model}"]
    print(f"note: {'; '.join(said)}")


def numbered(labels):
    """Return labels whose numbers go from 1 on in each frame, and what they were before."""
    small, names = np.zeros(labels.shape, np.int32), []
    for frame, given in zip(small, labels, strict=True):
        names.append(np.unique(given[given > 0]))  # large numbers take long, and do not fit
        frame[...] = np.where(given > 0, np.searchsorted(names[-1], given) + 1, 0)
    return small, names


def middles_of(frame):
    """Return where the middle of each object of a frame lies, in pixels, by its number."""
    numbers = range(1, frame.max(initial=0) + 1)
    return zip(numbers, ndimage.center_of_mass(frame > 0, frame, numbers), strict=True)


if __name__ == "__main__":
    main()
