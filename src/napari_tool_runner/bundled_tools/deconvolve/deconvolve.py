"""Sharpens an image with the Richardson-Lucy method."""

import argparse
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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    return "YX" if mode == "planes" or "Z" not in axes else "ZYX"


def gaussian_psf(sigmas, shape):
    """Return a Gaussian that is no larger than `shape`."""
    psf = np.ones(())
    for sigma, size in zip(sigmas, shape, strict=True):
        reach = min(int(np.ceil(4 * sigma)), (size - 1) // 2)
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
        psf = psf[..., None] * line
    return psf / psf.sum()


def measured_psf(path, together, sizes):
    """Return the point-spread function of an image, brightest point in the middle.

    It has the axes of what is sharpened together, or is a plane.
    """
    psf, axes, own = read_image(path)
    tell_sizes(sizes, own)
    if axes.replace("Q", "Z") not in ("YX", "ZYX"):
        sys.exit(f"{path} has the axes {axes}: a bead is a plane or a stack.")
    psf = filled(psf.astype(float))
    if psf.ndim > len(together):
        print("note: planes are sharpened, and the bead is a stack: its brightest slice counts")
        psf = psf[psf.max(axis=(1, 2)).argmax()]
    elif psf.ndim < len(together):
        print("note: the bead is one plane: every slice is sharpened by itself")
    edges = [np.take(psf, [0, -1], axis=axis).ravel() for axis in range(psf.ndim)]
    psf = np.clip(psf - np.median(np.concatenate(edges)), 0, None)
    if not psf.sum() > 0:
        sys.exit(f"{path} shows no bright spot that could be a point-spread function.")
    top = np.unravel_index(psf.argmax(), psf.shape)
    reach = [min(t, n - 1 - t) for t, n in zip(top, psf.shape, strict=True)]
    psf = psf[tuple(slice(t - r, t + r + 1) for t, r in zip(top, reach, strict=True))]
    return psf / psf.sum()


def deconvolve(image, psf, rounds, report):
    """Return the estimate after some rounds of Richardson-Lucy."""
    margins = [(n // 2, n // 2) for n in psf.shape]
    padded = np.pad(image, margins, mode="symmetric")
    shape = [fft.next_fast_len(n, real=True) for n in padded.shape]
    padded = np.pad(
        padded, [(0, n - m) for n, m in zip(shape, padded.shape, strict=True)], mode="edge"
    )
    kernel = np.zeros(shape, np.float32)
    kernel[tuple(slice(n) for n in psf.shape)] = psf
    kernel = np.roll(kernel, [-(n // 2) for n in psf.shape], range(psf.ndim))
    blur = fft.rfftn(kernel)
    estimate = np.full(shape, padded.mean(), np.float32)
    least = 1e-6  # of the brightest pixel: rounding of the transform is below
    for _ in range(rounds):
        blurred = fft.irfftn(fft.rfftn(estimate) * blur, shape)
        ratio = padded / np.maximum(blurred, least)
        estimate *= np.maximum(fft.irfftn(fft.rfftn(ratio) * blur.conj(), shape), 0)
        report()
    return estimate[tuple(slice(m, m + n) for (m, _), n in zip(margins, image.shape, strict=True))]


def stack(axes, shape, together):
    """Return where each volume (or plane) lies."""
    outer = [1 if axis in together else n for axis, n in zip(axes, shape, strict=True)]
    for index in np.ndindex(*outer):
        where = zip(axes, index, strict=True)
        yield tuple(slice(None) if axis in together else i for axis, i in where)


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


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


def real(image):
    """Return pixels with fractions, in a type that holds each of them exactly."""
    narrow = image.dtype.itemsize <= 2 or image.dtype == np.float32
    return image.astype(np.float32 if narrow else np.float64, copy=False)


def tell_sizes(first, second):
    """Warn when two images that are laid on each other have pixels of different size."""
    for axis in "XYZ":
        one, other = (sizes.get(f"PhysicalSize{axis}") for sizes in (first, second))
        if one and other and abs(one - other) > 1e-3 * one:
            print(
                f"warning: pixels of different size ({one:g} and {other:g} along {axis}) are laid "
                "on each other one by one: “Rescale” makes them alike"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--psf", default="")
    parser.add_argument("--output", required=True)
    parser.add_argument("--sigma", type=float, default=1.5)
    parser.add_argument("--sigma-z", type=float, default=1.5)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--background", type=float, default=0.0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    missing = tell_missing(image)
    together = space(axes, args.space)
    if args.psf:
        psf = measured_psf(args.psf, together, sizes)
        together = together[-psf.ndim :]
    inner = [n for n, axis in zip(image.shape, axes, strict=True) if axis in together]
    if not args.psf:
        steps = zip(axes, pitch(axes, sizes), strict=True)
        sigmas = [
            args.sigma / step if axis in "YX" else args.sigma_z
            for axis, step in steps
            if axis in together
        ]
        psf = gaussian_psf(sigmas, inner)
    result = np.empty(image.shape, np.float32)
    rounds = args.rounds * int(np.prod(image.shape)) // int(np.prod(inner))
    done = even = 0

    def report():
        nonlocal done
        done += 1
        print(f"{done}/{rounds}", flush=True)

    for volume in stack(axes, image.shape, space(axes, "volumes")):
        pixels = real(image[volume])
        if missing[volume].all():
            continue
        background = args.background or float(
            np.percentile(pixels[~missing[volume]], 1, axis=None)
        )
        print(f"background {background:g}", flush=True)
        own = "".join(axis for axis in axes if axis in space(axes, "volumes"))
        sharp = np.empty(pixels.shape, np.float32)
        for part in stack(own, pixels.shape, together):
            light = np.clip(filled(pixels[part]) - background, 0, None)
            top = light.max()
            even += not top > 0
            light = (light / (top or 1)).astype(np.float32)
            sharp[part] = top * deconvolve(light, psf.astype(np.float32), args.rounds, report)
        result[volume] = sharp
    result[missing] = np.nan
    if even:
        print(f"note: planes or volumes no brighter than the background became 0: {even}")
    write_image(args.output, result, axes, sizes)


if __name__ == "__main__":
    main()
