"""Finds cells and nuclei of many shapes by a trained network, with Cellpose 3."""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import tifffile

ADDRESS = "https://www.cellpose.org/models"


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


def known(name, fetch):
    """Return the file of a published model, which is fetched if that is asked for."""
    home = Path(os.environ.get("CELLPOSE_LOCAL_MODELS_PATH", Path.home() / ".cellpose" / "models"))
    # as Cellpose calls its files
    base = f"{name}torch_0" if name in ("cyto", "cyto2", "nuclei") else name
    place = home / base
    if not place.is_file() and not fetch:
        sys.exit(
            f"The model {name} is not on this computer: tick “Fetch the model” (once, from "
            f"cellpose.org), or download {ADDRESS}/{base} elsewhere and give it as “Model file”."
        )
    if not place.is_file():
        from cellpose.models import model_path

        print(f"fetching {ADDRESS}/{base}", flush=True)
        try:
            model_path(name)
        except (OSError, ValueError) as error:
            said = getattr(error, "reason", None) or error
            sys.exit(
                f"The model {name} could not be fetched ({said}): try again with a network, or "
                f"download {ADDRESS}/{base} elsewhere and give it as “Model file”."
            )
    if not place.is_file():
        sys.exit(f"{base} was fetched, but does not lie in {home}.")
    return place


def load(path):
    """Return the network with the weights of a file: of that file, or it ends."""
    import torch
    from cellpose.models import CellposeModel

    if not path.is_file():  # Cellpose itself would take another model, and not say so
        sys.exit(f"{path} is no file.")
    try:
        return CellposeModel(gpu=torch.cuda.is_available(), pretrained_model=str(path))
    except Exception as error:  # noqa: BLE001  (torch and pickle raise what they like)
        said = str(error).strip().partition("\n")[0]
        if "weights_only" in str(error):  # torch's advice is to run what the file holds
            said = "it holds other things than weights."
        sys.exit(f"{path.name} cannot be read as a model of Cellpose 3: {said}")


def channel(image, axes, number):
    """Return one channel, which counts from 1, without its axis; 0: nothing."""
    if number == 0:
        return None
    if "C" not in axes:
        return image
    at = axes.index("C")
    if number > image.shape[at]:
        sys.exit(f"The image has no channel {number}: its last one is {image.shape[at]}.")
    return image.take(number - 1, at)


def main():
    if sys.argv[1:2] == ["--only-fetch"]:
        known(sys.argv[2], True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--model", default="cyto3")
    parser.add_argument("--file")
    parser.add_argument("--fetch", choices=["true", "false"], default="false")
    parser.add_argument("--diameter", type=float, required=True)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--nuclei", type=int, default=0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="planes")
    parser.add_argument("--flow", type=float, default=0.4)
    parser.add_argument("--probability", type=float, default=0.0)
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no channels of dyes: “Colour to grey” makes one.")
    if "C" not in axes and max(args.cells, args.nuclei) > 1:
        sys.exit("The image has one channel: choose 1 for the cells and 0 for the nuclei.")
    missing = tell_missing(image)
    image = np.where(missing, image[~missing].min(), image) if missing.any() else image
    space = axes.replace("C", "")
    cells, nuclei = channel(image, axes, args.cells), channel(image, axes, args.nuclei)
    pixels = np.stack([cells] if nuclei is None else [cells, nuclei], -1)
    known_size = "PhysicalSizeX" in sizes and "PhysicalSizeXUnit" not in sizes
    diameter = args.diameter / (sizes["PhysicalSizeX"] if known_size else 1.0)
    if not known_size:
        print("note: nobody says how large a pixel is: the diameter is in pixels")
    volumes = args.space == "volumes" and "Z" in space
    together = "ZYX" if volumes else "YX"
    if volumes and space.index("Z") > min(space.index("Y"), space.index("X")):
        sys.exit("The slices of the volume are not in the order z, y, x.")
    depth = pitch("Z", sizes)[0] if volumes else None
    model = load(Path(args.file) if args.file else known(args.model, args.fetch == "true"))
    labels, count = np.zeros(pixels.shape[:-1], np.int32), 0
    for part in parts(space, labels.shape, together):
        some = pixels[part]
        if some.size == 0 or some.min() == some.max():
            continue  # nothing to see: normalised, it would be noise
        found = model.eval(
            some,
            channels=[1, 2] if nuclei is not None else [0, 0],
            channel_axis=some.ndim - 1,
            z_axis=0 if volumes else None,
            diameter=diameter,
            do_3D=volumes,
            anisotropy=depth,
            flow_threshold=args.flow,
            cellprob_threshold=args.probability,
        )[0]
        found = found.astype(np.int64)
        labels[part] = np.where(found, found + count, 0)  # no number twice
        count += int(found.max(initial=0))
    if "C" in axes:
        sizes = {key: value for key, value in sizes.items() if not key.startswith("Channel")}
    print(f"{count} object{'' if count == 1 else 's'}")
    told = "of the file" if args.file else args.model
    print(f"note: model {told}, diameter {diameter:.3g} pixels")
    write_image(args.output, labels, space, sizes)


if __name__ == "__main__":
    main()
