"""Finds nuclei and other roundish objects by a trained network, with StarDist, plane by plane."""

import argparse
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import tifffile

# pixels along a side: larger planes are worked on in tiles, for memory
LARGE = 1024
# bytes: what a model unpacks to, at most
MOST = 2**32
METHOD, HOLDS = "StarDist", "config.json and weights (.h5)"


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
    for settings in sorted(folder.rglob("config.json")):
        if any(settings.parent.glob("weights_best*")) or any(settings.parent.glob("*.h5")):
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


def published(kind, name, fetch):
    """Return the folder of a published model, which is fetched if that is asked for."""
    from csbdeep.models.pretrained import get_model_details, get_model_folder

    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    place = home / "models" / kind.__name__ / name
    address = get_model_details(kind, name)[2]["url"]
    found = model_in(place)
    if found is None and not fetch:
        sys.exit(
            f"The model {name} is not on this computer: tick “Fetch the model” (once, from "
            f"github.com), or download {address} elsewhere and give it as “Model file”."
        )
    if found is None:
        print(f"fetching {address}", flush=True)
        try:
            get_model_folder(kind, name)
        except Exception as error:  # noqa: BLE001  (Keras raises nothing narrower)
            said = str(error).rpartition("-- ")[2] or type(error).__name__
            sys.exit(
                f"The model {name} could not be fetched ({said}): try again with a network, or "
                f"download {address} elsewhere and give it as “Model file”."
            )
        found = model_in(place)
    if found is None:
        sys.exit(f"What was fetched from {address} holds no model of StarDist.")
    return found


def model_of(kind, folder):
    """Return the model of a folder, which is of the class `kind`."""
    wanted = 3 if kind.__name__ == "StarDist3D" else 2
    try:
        told = json.loads((folder / "config.json").read_bytes())
        axes = told.get("n_dim", wanted)
        model = (
            kind(None, name=folder.name, basedir=str(folder.parent)) if axes == wanted else None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.exit(f"The model in {folder.name} cannot be read: {error}")
    if model is None:
        other = (
            "volumes: “StarDist 3-D” takes it" if wanted == 2 else "planes: “StarDist” takes it"
        )
        sys.exit(f"The model {folder.name} is one for {other}.")
    if model.config.n_channel_in != 1:
        sys.exit(
            f"The model {folder.name} wants {model.config.n_channel_in} channels; only models of "
            "one channel work here."
        )
    return model


def main():
    if sys.argv[1:2] == ["--only-fetch"]:
        from stardist.models import StarDist2D as Kind

        published(Kind, sys.argv[2], True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--model", default="2D_versatile_fluo")
    parser.add_argument("--file")
    parser.add_argument("--fetch", choices=["true", "false"], default="false")
    parser.add_argument("--scale", type=float)
    parser.add_argument("--probability", type=float)
    parser.add_argument("--overlap", type=float)
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no single brightness: “Colour to grey” makes one.")
    missing = tell_missing(image)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from csbdeep.utils import normalize
    from stardist.models import StarDist2D as Kind

    given = unpacked(args.file) if args.file else published(Kind, args.model, args.fetch == "true")
    model = model_of(Kind, given)
    labels, count = np.zeros(image.shape, np.int32), 0
    for part in parts(axes, image.shape, "YX"):
        plane, empty = image[part].astype(np.float32), missing[part]
        plane[empty] = plane[~empty].min(initial=np.inf) if not empty.all() else 0
        if plane.size == 0 or plane.min() == plane.max():
            continue  # nothing to see: normalised, it would be noise
        found, _ = model.predict_instances(
            normalize(plane, 1, 99.8),
            axes="YX",
            n_tiles=tuple(-(-side // LARGE) for side in plane.shape),
            scale=args.scale,
            prob_thresh=args.probability,
            nms_thresh=args.overlap,
            show_tile_progress=False,
        )
        found = np.where(empty, 0, found)
        labels[part] = np.where(found, found + count, 0)  # no number twice
        count += int(found.max(initial=0))
    used = model.thresholds
    print(f"{count} object{'' if count == 1 else 's'}")
    least = used.prob if args.probability is None else args.probability
    print(f"note: model {'of the file' if args.file else args.model}, probability ≥ {least:.3g}")
    write_image(args.output, labels, axes, sizes)


if __name__ == "__main__":
    main()
