"""Moves (and turns) an image until it lies on another one."""

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
    except (OSError, IndexError, KeyError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a TIFF image: {error}")
    if "S" in axes[:-1]:  # planes of red, green and blue
        image, axes = np.moveaxis(image, axes.index("S"), -1), axes.replace("S", "") + "S"
    if "Z" in axes and "PhysicalSizeX" in sizes and "PhysicalSizeZ" not in sizes:
        print("note: the image does not say how deep a slice is: it is taken as deep as wide")
    return image.view(np.uint8) if image.dtype == bool else image, axes, sizes


def pixel_sizes(file):
    """Return what OME or ImageJ say of the pixels: in µm, or with a unit that is no length."""
    found, unit = {}, "pixel"
    if file.ome_metadata:
        image = tifffile.xml2dict(file.ome_metadata)["OME"].get("Image", {})
        found, unit = (image[0] if isinstance(image, list) else image).get("Pixels", {}), "µm"
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
    """Write an OME-TIFF (a plain TIFF where OME has no such numbers)."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    ome = image.dtype.name not in ("int64", "uint64", "float16")
    tags = {"axes": axes, **sizes} if ome else {"axes": axes}
    tifffile.imwrite(path, image, ome=ome, photometric=colour, metadata=tags)


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


def turned(image, degrees, shift=(0, 0)):
    """Return a plane turned about its middle, then moved back by `shift`."""
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = (np.array(image.shape) - 1) / 2
    offset = centre + shift - matrix @ centre
    return ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")


def find_turn(fixed, moving, largest):
    """Return the angle at which the two planes agree best, coarse first."""
    step = max(1, int(np.ceil(max(fixed.shape) / 192)))
    fixed, moving = (ndimage.uniform_filter(i, step)[::step, ::step] for i in (fixed, moving))
    reference = spectrum(fixed)
    best, width = 0.0, largest
    while width > 0.02:
        angles = best + np.linspace(-width, width, 13)
        angles = angles[np.abs(angles) <= largest + 1e-9]
        fits = []
        for angle in angles:
            found = displacement(reference, spectrum(turned(moving, angle)), fixed.shape)
            fits.append(found[1])
        best, width = float(angles[np.argmax(fits)]), width / 4
        print(f"angle {best:.2f}", flush=True)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixed", required=True)
    parser.add_argument("--moving", required=True)
    parser.add_argument("--registered", required=True)
    parser.add_argument("--motion", required=True)
    parser.add_argument("--allow", choices=["shift", "rigid"], default="rigid")
    parser.add_argument("--largest-angle", type=float, default=12.0)
    args = parser.parse_args()

    fixed, axes, sizes = read_image(args.fixed)
    moving, others, _ = read_image(args.moving)
    if fixed.ndim != moving.ndim or set(axes) & set("TCS") or set(others) & set("TCS"):
        sys.exit(f"Two planes or two stacks are needed, not images with {axes} and {others}.")
    if args.allow == "rigid" and fixed.ndim != 2:
        sys.exit("Turning is found for planes only: allow shifts only, or project the stacks.")
    source = moving.astype(float)
    for axis, size in enumerate(fixed.shape):  # onto the grid of the fixed image
        source = source[(slice(None),) * axis + (slice(0, size),)]
        missing = [(0, size - source.shape[axis] if a == axis else 0) for a in range(source.ndim)]
        source = np.pad(source, missing, mode="edge")
    smooth = [ndimage.gaussian_filter(image.astype(float), 1.0) for image in (fixed, source)]
    angle = find_turn(*smooth, args.largest_angle) if args.allow == "rigid" else 0.0
    turned_back = turned(smooth[1], angle) if angle else smooth[1]
    shift, _ = displacement(spectrum(smooth[0]), spectrum(turned_back), fixed.shape)
    if angle:
        turn = np.deg2rad(angle)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        motion = matrix @ shift  # the shift was found in the turned picture
    else:
        matrix, motion = np.eye(fixed.ndim), shift
    centre = (np.array(fixed.shape) - 1) / 2
    offset = centre + motion - matrix @ centre
    result = ndimage.affine_transform(source, matrix, offset, order=1, mode="constant", cval=0)
    if np.issubdtype(moving.dtype, np.integer):
        result = np.rint(result)
    with open(args.motion, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*[f"shift_{axis.lower()}" for axis in axes], "angle"])
        table.writerow([*[f"{value:.4g}" for value in motion], f"{angle:.4g}"])
    moved = ", ".join(f"{axis} {value:.2f}" for axis, value in zip(axes, motion, strict=True))
    print(f"moved by {moved} pixels, turned by {angle:.2f} degrees")
    write_image(args.registered, result.astype(moving.dtype), axes, sizes)


if __name__ == "__main__":
    main()
