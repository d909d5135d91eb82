"""Holds a movie still that drifts."""

import argparse
import csv
import sys

import numpy as np
import tifffile
from scipy import fft, ndimage


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


def spectrum(image):
    """Return the Fourier transform of an image without its mean and without its rim."""
    window = np.ones(())
    for size in image.shape:
        window = window[..., None] * np.hanning(size + 2)[1:-1]
    return fft.rfftn((image - image.mean()) * window)


def displacement(fixed, moving, shape):
    """Return by how much `moving` lies further, and how alike they are then (spectra)."""
    product = moving * fixed.conj()
    # between plain and phase correlation: sharp, but not led by noise
    match = fft.irfftn(product / np.maximum(np.sqrt(np.abs(product)), 1e-9), shape)
    top = np.unravel_index(match.argmax(), shape)
    shift, height = [], match.max()
    for axis, (place, size) in enumerate(zip(top, shape, strict=True)):
        line = [match[(*top[:axis], (place + d) % size, *top[axis + 1 :])] for d in (-1, 0, 1)]
        bend = line[0] - 2 * line[1] + line[2]
        part = (line[0] - line[2]) / (2 * bend) if bend < 0 else 0.0
        height -= bend * part**2 / 2  # the peak lies between the pixels
        shift.append((place + size // 2) % size - size // 2 + part)
    return np.array(shift), height


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


def typed(values, dtype):
    """Return values in a type: whole numbers and within its limits where it has no fractions."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        top = np.nextafter(2.0**64, 0) if dtype == np.uint64 else np.nextafter(2.0**63, 0)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, min(limits.max, top))
    return values.astype(dtype)


def way(reference, image):
    """Return by how much an image lies further than the one of a spectrum."""
    found = np.zeros(image.ndim)
    for _ in range(4):  # the rim is weighted less, which draws the first guess towards 0
        back = ndimage.shift(image, -found, order=1, mode="nearest") if found.any() else image
        step, _ = displacement(reference, spectrum(back), image.shape)
        found += step
        if np.abs(step).max() < 0.02:
            break
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--drift", required=True)
    parser.add_argument("--against", choices=["first", "previous"], default="previous")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if not ("T" in axes or "Q" in axes) or "S" in axes:
        sys.exit(
            f"The image has the axes {axes}: drift needs time, a movie of several frames, without "
            "RGB colours."
        )
    time = axes.index("T" if "T" in axes else "Q")
    frames = np.moveaxis(image, time, 0)
    missing = tell_missing(frames)
    inner = axes.replace(axes[time], "", 1)
    channels = inner.index("C") if "C" in inner else None
    result = np.empty_like(frames)
    reference, total, drift = None, np.zeros(len(inner.replace("C", ""))), []
    for number, frame in enumerate(frames):
        whole = filled(frame.astype(float))
        seen = whole if channels is None else whole.mean(axis=channels)
        here = ndimage.gaussian_filter(seen, 1.0)
        if not np.ptp(seen):  # the next one is compared with the one before
            print(f"warning: frame {number} has one value: nothing tells how it moved")
        elif reference is None:
            reference = spectrum(here)
        else:
            step = way(reference, here)
            total = total + step if args.against == "previous" else step
            reference = spectrum(here) if args.against == "previous" else reference
        drift.append([number, *total])
        back = -total if channels is None else np.insert(-total, channels, 0.0)
        moved = ndimage.shift(whole, back, order=1, mode="constant", cval=0)
        if missing[number].any():
            unknown = ndimage.shift(missing[number].astype(float), back, order=1)
            moved[unknown > 1e-6] = np.nan
        result[number] = typed(moved, image.dtype)
        print(f"{number + 1}/{len(frames)}", flush=True)
    with open(args.drift, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["frame", *[f"drift_{a.lower()}" for a in inner if a != "C"]])
        for number, *shift in drift:
            table.writerow([number, *[f"{value:.6f}" for value in shift]])
    write_image(args.output, np.moveaxis(result, 0, time), axes, sizes)


if __name__ == "__main__":
    main()
