"""Removes noise by a network that it trains on the image itself, with CAREamics (Noise2Void)."""

import argparse
import logging
import os
import sys
import tempfile
import warnings

import numpy as np
import tifffile
from scipy import ndimage

# pixels along each side of what the network sees at once while it learns; voxels of a volume
PATCH, DEEP = 64, 16
# pieces in one round of learning; rounds until the network looks back at how well it learns
BATCH, PASS = {2: 16, 3: 4}, 50
# along a side: larger images are cleaned in tiles
TILE = {2: 512, 3: 64}
# halvings inside the network: a tile is a multiple of as many pixels
DEPTH = 2
SEED = 1
# what cleaning the image counts for, in rounds
AFTER = 20


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


def filled(part):
    """Return a volume (or plane) in which missing values are those of the nearest pixel."""
    missing = ~np.isfinite(part)
    if not missing.any() or missing.all():
        return np.where(missing, 0, part)
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return part[tuple(nearest)]


def patch_of(shape):
    """Return what the network sees at once of a volume (or plane): sides are powers of 2."""
    if min(shape) < 8:
        sys.exit(
            "The network needs at least 8 pixels along each side, and there are "
            f"{' × '.join(map(str, shape))}{': choose “each plane”.' if len(shape) == 3 else '.'}"
        )
    wide = min(PATCH, *shape[-2:])  # CAREamics takes squares only
    sides = [*(min(DEEP, n) for n in shape[:-2]), wide, wide]
    return [2 ** int(np.log2(side)) for side in sides]


def in_order(image, axes, together):
    """Return an image as samples, channels, (slices,) rows and columns, and what gives it back."""
    channel = "C" if "C" in axes else ""
    outer = [axis for axis in axes if axis not in channel + together]
    order = [axes.index(axis) for axis in (*outer, *channel, *together)]
    turned = image.transpose(order)
    inner = turned.shape[len(outer) + len(channel) :]
    flat = turned.reshape(-1, turned.shape[len(outer)] if channel else 1, *inner)

    def back(values):
        return values.reshape(turned.shape).transpose(np.argsort(order))

    return flat, back


def told(rounds):
    """Return what tells how far the training is: the last part is for what comes after it."""
    from pytorch_lightning.callbacks import Callback

    class Told(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step % 10 == 0:
                print(f"{trainer.global_step}/{rounds + AFTER}", flush=True)

    return Told()


def trained(flat, args, work):
    """Return the network after it has learned from an image (samples, channels, space)."""
    from careamics import CAREamist
    from careamics.config import create_advanced_n2v_config

    channels, shape = flat.shape[1], flat.shape[2:]
    patch, batch = patch_of(shape), BATCH[len(shape)]
    once = min(PASS, args.rounds)
    pieces = len(flat) * int(np.prod([n // p for n, p in zip(shape, patch, strict=True)]))
    held = flat[
        (slice(1), slice(None), *(slice(2 * n) for n in patch))
    ]  # tells how well it learns
    if pieces < once * batch:  # so few pieces are gone through more than once in a pass
        flat = np.concatenate([flat] * -(-once * batch // pieces))
    config = create_advanced_n2v_config(
        "n2v",
        data_type="array",
        axes="SC" + "ZYX"[-len(shape) :],
        patch_size=patch,
        batch_size=batch,
        num_epochs=-(-args.rounds // once),
        num_steps=once,
        n_channels=channels,
        use_n2v2=args.variant == "n2v2",
        struct_n2v_axes=args.stripes,
        augmentations=[] if args.stripes != "none" else None,
        model_params={"depth": DEPTH},
        trainer_params={"enable_model_summary": False},
        num_workers=0,
        seed=SEED,
    )
    network = CAREamist(
        config, work_dir=work, callbacks=[told(args.rounds)], enable_progress_bar=False
    )
    network.train(train_data=flat, val_data=held)
    return network


def cleaned(network, flat):
    """Return an image without its noise: in tiles, where it is large."""
    step, shape = 2**DEPTH, flat.shape[2:]
    wide = [-(-n // step) * step for n in shape]  # the network halves it so often
    more = [(0, more - n) for more, n in zip(wide, shape, strict=True)]
    given = np.pad(flat, [(0, 0), (0, 0), *more], mode="symmetric")
    tiles = {"tile_size": None, "tile_overlap": None}
    most = TILE[len(shape)]
    if max(wide) > most:
        side = min(most, *wide[-2:])  # CAREamics takes squares only
        size = (*(min(most, n) for n in wide[:-2]), side, side)
        tiles = {"tile_size": size, "tile_overlap": tuple(min(48, n // 4 * 2) for n in size)}
    found, _ = network.predict(given, batch_size=1, **tiles)
    inner = tuple(slice(n) for n in shape)
    return np.stack(found).reshape(given.shape)[(..., *inner)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--variant", choices=["n2v", "n2v2"], default="n2v")
    stripes = ["none", "horizontal", "vertical", "cross"]
    parser.add_argument("--stripes", choices=stripes, default="none")
    parser.add_argument("--space", choices=["volumes", "planes"], default="planes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no noise of one camera: “Colour to grey” makes one.")
    missing = tell_missing(image)
    together = "ZYX" if args.space == "volumes" and "Z" in axes else "YX"
    flat, back = in_order(image.astype(np.float32), axes, together)
    if missing.any():
        flat = np.stack([[filled(one) for one in channels] for channels in flat])
    dark = flat.min(axis=(0, *range(2, flat.ndim))) == flat.max(axis=(0, *range(2, flat.ndim)))
    if dark.all():
        sys.exit("All pixels of the image have one value: there is no noise to learn from.")
    os.environ["TQDM_DISABLE"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as work:
        network = trained(flat, args, work)
        result = back(cleaned(network, flat))
    print(f"{args.rounds + AFTER}/{args.rounds + AFTER}", flush=True)
    result[missing] = image[missing]
    write_image(args.output, result.astype(np.float32), axes, sizes)


if __name__ == "__main__":
    main()
