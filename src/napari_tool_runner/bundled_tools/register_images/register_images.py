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


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


def rotation(degrees, steps):
    """Return the matrix that turns places of pixels which lie `steps` apart along the axes."""
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return matrix * steps / np.reshape(steps, (-1, 1))


def turned(image, matrix):
    """Return a plane turned about its middle."""
    centre = (np.array(image.shape) - 1) / 2
    offset = centre - matrix @ centre
    return ndimage.affine_transform(image, matrix, offset, order=1, mode="nearest")


def find_turn(fixed, moving, largest, steps):
    """Return the angle at which the two planes agree best, coarse first."""
    coarse = np.ceil((np.array(fixed.shape) * steps).max() / 192 / steps).astype(int)
    fixed, moving = (
        ndimage.uniform_filter(i, coarse)[:: coarse[0], :: coarse[1]] for i in (fixed, moving)
    )
    steps = steps * coarse
    reference = spectrum(fixed)
    best, width = 0.0, largest
    while width > 0.02:
        angles = best + np.linspace(-width, width, 13)
        angles = angles[np.abs(angles) <= largest + 1e-9]
        fits = []
        for angle in angles:
            back = turned(moving, rotation(angle, steps))
            fits.append(displacement(reference, spectrum(back), fixed.shape)[1])
        best, width = float(angles[np.argmax(fits)]), width / 4
        print(f"angle {best:.2f}", flush=True)
    return best


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    return "YX" if mode == "planes" or "Z" not in axes else "ZYX"


def ratio(axes, fixed, moving):
    """Return how many pixels of the fixed image one of the moving image is wide (1: unknown)."""
    pairs = [(moving.get(f"PhysicalSize{a}"), fixed.get(f"PhysicalSize{a}")) for a in axes]
    known = [one / other if one and other else 1.0 for one, other in pairs]
    return [1.0 if abs(value - 1) < 1e-3 else value for value in known]


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
    parser.add_argument("--fixed", required=True)
    parser.add_argument("--moving", required=True)
    parser.add_argument("--registered", required=True)
    parser.add_argument("--motion", required=True)
    parser.add_argument("--allow", choices=["shift", "rigid"], default="rigid")
    parser.add_argument("--largest-angle", type=float, default=12.0)
    args = parser.parse_args()

    fixed, axes, sizes = read_image(args.fixed)
    moving, others, own = read_image(args.moving)
    if fixed.ndim != moving.ndim or set(axes) & set("TCS") or set(others) & set("TCS"):
        sys.exit(f"Two planes or two stacks are needed, not images with {axes} and {others}.")
    if args.allow == "rigid" and fixed.ndim != 2:
        print("note: turning is found in planes only: the stack was shifted")
        args.allow = "shift"
    for image in (fixed, moving):
        tell_missing(image)
    source, missing = filled(moving.astype(float)), ~np.isfinite(moving)
    ratios = ratio(axes, sizes, own)
    if ratios != [1.0] * fixed.ndim:
        told = ", ".join(f"{axis} × {r:.4g}" for axis, r in zip(axes, ratios, strict=True))
        print(f"note: the pixels differ in size; the moving image was resampled: {told}")
        source = ndimage.zoom(source, ratios, order=1, mode="nearest", grid_mode=True)
        missing = ndimage.zoom(missing.astype(float), ratios, order=1, grid_mode=True) > 0
    for axis, size in enumerate(fixed.shape):  # onto the grid of the fixed image
        source = source[(slice(None),) * axis + (slice(0, size),)]
        room = [(0, size - source.shape[axis] if a == axis else 0) for a in range(source.ndim)]
        source = np.pad(source, room, mode="edge")
    for name, image in (("fixed", filled(fixed.astype(float))), ("moving", source)):
        if not np.ptp(image):
            print(f"warning: the {name} image has one value: nothing tells how they lie")
    smooth = [ndimage.gaussian_filter(filled(i.astype(float)), 1.0) for i in (fixed, source)]
    angle, matrix = 0.0, np.eye(fixed.ndim)
    if args.allow == "rigid":
        steps = np.array(pitch(axes, sizes if "PhysicalSizeY" in sizes else own))
        angle = find_turn(*smooth, args.largest_angle, steps)
        matrix = rotation(angle, steps)
    shift = way(spectrum(smooth[0]), turned(smooth[1], matrix) if angle else smooth[1])
    motion = matrix @ shift  # the shift was found in the turned picture
    centre = (np.array(fixed.shape) - 1) / 2
    offset = centre + motion - matrix @ centre
    result = ndimage.affine_transform(source, matrix, offset, order=1, mode="constant", cval=0)
    if missing.any():
        unknown = np.zeros(fixed.shape)
        common = tuple(slice(min(n, m)) for n, m in zip(fixed.shape, missing.shape, strict=True))
        unknown[common] = missing[common]
        result[ndimage.affine_transform(unknown, matrix, offset, order=1) > 1e-6] = np.nan
    with open(args.motion, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*[f"shift_{axis.lower()}" for axis in axes], "angle"])
        table.writerow([*[f"{value:.6f}" for value in motion], f"{angle:.6f}"])
    moved = ", ".join(f"{axis} {value:.2f}" for axis, value in zip(axes, motion, strict=True))
    print(f"moved by {moved} pixels, turned by {angle:.2f} degrees")
    write_image(args.registered, typed(result, moving.dtype), axes, sizes)


if __name__ == "__main__":
    main()
