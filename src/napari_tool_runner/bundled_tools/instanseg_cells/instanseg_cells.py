"""Finds cells and nuclei by a trained network, with InstanSeg, plane by plane."""

import argparse
import os
import re
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import tifffile

# pixels of a plane, in the size of the training: larger ones are worked on in tiles, for memory
LARGE, TILE = 1024**2, 512
# along a side: the network wants as many; tiles lie so far over each other
LEAST, SEAM = 64, 200
# bytes: what a model unpacks to, at most
MOST = 2**32
METHOD, HOLDS = "InstanSeg", "instanseg.pt"


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
    return next((file.parent for file in sorted(folder.rglob("instanseg.pt"))), None)


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


def given(path):
    """Return the file of a model that was given: a TorchScript file, or a zip that holds one."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (OSError, zipfile.BadZipFile):
        names = []
    # a file of TorchScript is itself a zip
    if any(name.endswith("/constants.pkl") for name in names):
        return Path(path)
    return unpacked(path) / "instanseg.pt"


def known(name, fetch):
    """Return the file of a published model, which is fetched if that is asked for."""
    import json
    from pkgutil import get_data

    from instanseg.utils.utils import download_model

    index = json.loads(get_data("instanseg", "bioimageio_models/model-index.json"))
    told = next(entry for entry in index if entry["name"] == name)
    home = os.environ.get("INSTANSEG_BIOIMAGEIO_PATH")
    if not home:  # InstanSeg's own place is inside its package
        home = os.environ["INSTANSEG_BIOIMAGEIO_PATH"] = str(Path.home() / ".instanseg")
    place = Path(home) / name / told["version"] / "instanseg.pt"
    if not place.is_file() and not fetch:
        sys.exit(
            f"The model {name} is not on this computer: tick “Fetch the model” (once, from "
            f"github.com), or download {told['url']} elsewhere and give it as “Model file”."
        )
    if not place.is_file():
        print(f"fetching {told['url']}", flush=True)
        try:
            download_model(name, verbose=False)
        except (OSError, RuntimeError, zipfile.BadZipFile) as error:
            said = re.search(r"\[Errno [^\]]*\] [^'\")]+|\d+ \w+ Error", str(error))
            said = said[0] if said else str(error).partition("\n")[0] or type(error).__name__
            sys.exit(
                f"The model {name} could not be fetched ({said}): try again with a network, or "
                f"download {told['url']} elsewhere and give it as “Model file”."
            )
    if not place.is_file():
        sys.exit(f"What was fetched from {told['url']} holds no model of InstanSeg.")
    return place


def load(path, name, channels):
    """Return the network of a file, on the graphics card where there is one, for `channels`."""
    import torch
    from instanseg import InstanSeg

    warnings.simplefilter("ignore")  # of PyTorch, about how models are kept
    try:
        model = InstanSeg(torch.jit.load(path, map_location="cpu"), verbosity=0)
        said = (float(model.instanseg.pixel_size), bool(model.instanseg.cells_and_nuclei))
    except Exception as error:  # noqa: BLE001  (torch raises what it likes)
        said = str(error).strip().partition("\n")[0]
        sys.exit(f"The model {name} cannot be read: {said}")
    try:  # what it wants is told by no field
        segment(model, np.zeros((channels, LEAST, LEAST), np.float32))
    except RuntimeError as error:
        wanted = re.search(r"to have (\d+) channels", str(error))
        if not wanted:
            said = str(error).strip().rpartition("\n")[2]
            sys.exit(f"The model {name} cannot be run: {said}")
        sys.exit(
            f"The model {name} wants {wanted[1]} channel{'' if wanted[1] == '1' else 's'}, and "
            f"{'there is 1' if channels == 1 else f'there are {channels}'}: choose others in "
            "“Channels”, or another model."
        )
    return model, *said


def segment(model, block):
    """Return the labels of a plane (channels first): a row for each kind of object."""
    import torch

    large = min(block.shape[1:]) > SEAM and block[0].size > LARGE
    found = (model.eval_medium_image if large else model.eval_small_image)(
        torch.tensor(block),
        pixel_size=float(model.instanseg.pixel_size) or None,
        normalise=False,
        return_image_tensor=False,
        **({"tile_size": TILE} if large else {}),
    )
    return found[0].detach().cpu().numpy().astype(np.int32)


def fitted(block, factors):
    """Return a plane as large as the network's pixels make it, each channel normalised."""
    import torch

    image = torch.tensor(block.astype(np.float32))[None]
    shape = [max(1, round(n * factor)) for n, factor in zip(block.shape[1:], factors, strict=True)]
    if shape != list(block.shape[1:]):
        smaller = any(factor < 1 for factor in factors)
        image = torch.nn.functional.interpolate(
            image, size=shape, mode="bilinear", antialias=smaller
        )
    image = image[0].numpy()
    low, high = np.percentile(image, (0.1, 99.9), axis=(1, 2), keepdims=True)
    image = (image - low) / np.maximum(high - low, 1e-3)
    more = [(0, max(0, LEAST - n)) for n in shape]
    return np.pad(image, [(0, 0), *more], mode="symmetric").astype(np.float32), shape


def numbers(text, count):
    """Return the places of channels that a person wrote as numbers from 1 on; all by default."""
    words = text.replace(",", " ").split()
    if not all(word.isdigit() and 1 <= int(word) <= count for word in words):
        sys.exit(f"“Channels”: numbers from 1 to {count} are meant, as in “1 3”; not “{text}”.")
    return [int(word) - 1 for word in words] or list(range(count))


def main():
    if sys.argv[1:2] == ["--only-fetch"]:
        known(sys.argv[2], True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--model", default="fluorescence_nuclei_and_cells")
    parser.add_argument("--file")
    parser.add_argument("--fetch", choices=["true", "false"], default="false")
    parser.add_argument("--channels", default="")
    parser.add_argument("--kind", choices=["cells", "nuclei"], default="cells")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    colour = next((axis for axis in "SC" if axis in axes), "")
    count = image.shape[axes.index(colour)] if colour else 1
    chosen = numbers(args.channels, count)
    missing = tell_missing(image)
    image = np.where(missing, image[~missing].min(), image) if missing.any() else image
    name = "of the file" if args.file else args.model
    path = given(args.file) if args.file else known(args.model, args.fetch == "true")
    model, wide, both = load(path, name, len(chosen))
    factors = [1.0, 1.0]
    if "PhysicalSizeX" in sizes and "PhysicalSizeXUnit" not in sizes and wide:
        x = sizes["PhysicalSizeX"]
        factors = [sizes.get("PhysicalSizeY", x) / wide, x / wide]
    elif wide:
        print(f"note: nobody says how large a pixel is: it is taken as {wide:g} µm")
    space = axes.replace(colour, "") if colour else axes
    turn = [axis for axis in axes if axis in (colour or "-") + "YX"]
    turn = [turn.index(axis) for axis in colour + "YX"]
    area = np.prod([image.shape[axes.index(a)] * f for a, f in zip("YX", factors, strict=True)])
    if area > 1e9:
        sys.exit(
            f"With pixels of {wide:g} µm, as the model has them, a plane would have "
            f"{area / 1e9:.3g} thousand millions: does the image say the right pixel size?"
        )
    shape = [n for n, axis in zip(image.shape, axes, strict=True) if axis != colour]
    labels, numbered = np.zeros(shape, np.int32), 0
    for part in parts(axes, image.shape, colour + "YX"):
        block = image[part].transpose(turn)
        block = block[chosen] if colour else block[None]
        if block.size == 0 or block.min() == block.max():
            continue  # nothing to see: normalised, it would be noise
        plane, inner = fitted(block, factors)
        found = segment(model, plane)[..., : inner[0], : inner[1]]
        rows, columns = (
            np.minimum((np.arange(n) + 0.5) * m // n, m - 1).astype(int)
            for n, m in zip(block.shape[1:], inner, strict=True)
        )
        chosen_kind = found[0 if not both or args.kind == "nuclei" else 1]
        kind = chosen_kind[np.ix_(rows, columns)]
        place = tuple(one for one, axis in zip(part, axes, strict=True) if axis != colour)
        kind = kind.T if space.index("Y") > space.index("X") else kind
        labels[place] = np.where(kind, kind + numbered, 0)  # no number twice
        numbered += int(found.max(initial=0))
    without = missing.all(axis=axes.index(colour)) if colour else missing
    labels[without] = 0
    if colour:
        sizes = {key: value for key, value in sizes.items() if not key.startswith("Channel")}
    total = np.unique(labels[labels > 0]).size
    print(f"{total} object{'' if total == 1 else 's'}")
    if not both:
        print(f"note: the model {name} knows one kind of object")
    print(f"note: model {name}, pixels of {wide:g} µm")
    write_image(args.output, labels, space, sizes)


if __name__ == "__main__":
    main()
