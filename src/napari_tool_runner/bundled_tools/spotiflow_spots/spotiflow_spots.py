"""Finds small bright spots by a trained network, with Spotiflow, to a fraction of a pixel."""

import argparse
import csv
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tifffile

# pixels: larger planes and volumes are worked on in tiles, for memory
LARGE = {2: (1024, 1024), 3: (64, 256, 256)}
# bytes: what a model unpacks to, at most
MOST = 2**32
METHOD, HOLDS = "Spotiflow", "config.yaml and weights (best.pt)"


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


def exact(value):
    """Return a number as text that is read back as it was: counts and labels in full."""
    return f"{value:.15g}" if isinstance(value, (float, np.floating)) else str(value)


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


def model_in(folder):
    """Return the folder of a whole model in or below `folder`; None where there is none."""
    for settings in sorted(folder.rglob("config.yaml")):
        if settings.with_name("best.pt").is_file():
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
    from spotiflow.model import pretrained

    home = Path(os.environ.get("SPOTIFLOW_CACHE_DIR", Path.home() / ".spotiflow"))
    home = home if home.name == "models" else home / "models"  # as Spotiflow does
    address = pretrained._REGISTERED[name].url
    found = model_in(home / name)
    if found is None and not fetch:
        sys.exit(
            f"The model {name} is not on this computer: tick “Fetch the model” (once, from "
            f"github.com), or download {address} elsewhere and give it as “Model file”."
        )
    if found is None:
        print(f"fetching {address}", flush=True)
        try:
            pretrained.get_pretrained_model_path(name, cache_dir=home)
        except Exception as error:  # noqa: BLE001  (Spotiflow raises nothing narrower)
            said = str(error).rpartition("-- ")[2] or type(error).__name__
            sys.exit(
                f"The model {name} could not be fetched ({said}): try again with a network, or "
                f"download {address} elsewhere and give it as “Model file”."
            )
        found = model_in(home / name)
    if found is None:
        sys.exit(f"What was fetched from {address} holds no model of Spotiflow.")
    return found


def load(folder):
    """Return the network of a folder, on the graphics card where there is one."""
    from spotiflow.model import Spotiflow

    try:
        model = Spotiflow.from_folder(str(folder), verbose=False)
    except Exception as error:  # noqa: BLE001  (torch and yaml raise what they like)
        said = str(error).strip().partition("\n")[0]
        sys.exit(f"The model in {folder.name} cannot be read: {said}")
    if model.config.in_channels != 1:
        sys.exit(
            f"The model {folder.name} wants {model.config.in_channels} channels; only models of "
            "one channel work here."
        )
    return model


def find(model, block, probability):
    """Return where the spots of a plane or volume are, how bright and how probable each is."""
    depth = 3 if model.config.is_3d else 2
    places, details = model.predict(
        block, prob_thresh=probability, max_tile_size=LARGE[depth], verbose=False
    )
    places = np.asarray(places, float).reshape(-1, depth)
    nearest = np.clip(np.rint(places).astype(int), 0, np.array(block.shape) - 1)
    return places, block[tuple(nearest.T)], details.prob


def main():
    if sys.argv[1:2] == ["--only-fetch"]:
        known(sys.argv[2], True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--points", required=True)
    parser.add_argument("--model", default="general")
    parser.add_argument("--file")
    parser.add_argument("--fetch", choices=["true", "false"], default="false")
    parser.add_argument("--probability", type=float)
    args = parser.parse_args()

    image, axes, _ = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("Spots of a colour (RGB) image are not defined: use “Colour to grey” first.")
    missing = tell_missing(image)
    image = np.where(missing, image[~missing].min(), image) if missing.any() else image
    model = load(unpacked(args.file) if args.file else known(args.model, args.fetch == "true"))
    used = f"the model {'of the file' if args.file else args.model}"
    together = "ZYX" if model.config.is_3d else "YX"
    if not set(together) <= set(axes):
        sys.exit(f"The image has no depth, and {used} is for volumes: choose one for planes.")
    if "Z" in axes and "Z" not in together:
        print(f"note: {used} is for planes: a spot is found again in every slice that shows it")
    turn = [[axis for axis in axes if axis in together].index(axis) for axis in together]
    rows = []
    for part in parts(axes, image.shape, together):
        block = image[part].transpose(turn)
        if block.size == 0 or block.min() == block.max():
            continue  # nothing to see: normalised, it would be noise
        for place, bright, sure in zip(*find(model, block, args.probability), strict=True):
            inner = dict(zip(together, place, strict=True))
            outer = zip(axes, part, strict=True)
            rows.append([*(inner.get(axis, index) for axis, index in outer), bright, sure])
    with open(args.points, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = [f"axis-{dimension}" for dimension in range(image.ndim)]
        table.writerow(["index", *names, "intensity", "probability"])
        for number, row in enumerate(rows):
            table.writerow([number, *map(exact, row)])
    print(f"{len(rows)} spot{'' if len(rows) == 1 else 's'}")
    least = model._prob_thresh[0] if args.probability is None else args.probability
    print(f"note: {used}, probability ≥ {least:.3g}")


if __name__ == "__main__":
    main()
