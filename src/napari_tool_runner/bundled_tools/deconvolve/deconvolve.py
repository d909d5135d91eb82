"""Sharpens an image with the Richardson-Lucy method."""

import argparse
import sys

import numpy as np
import tifffile
from scipy import fft


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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def gaussian_psf(sigmas, shape):
    """Return a Gaussian that is no larger than `shape`."""
    psf = np.ones(())
    for sigma, size in zip(sigmas, shape, strict=True):
        reach = min(int(np.ceil(4 * sigma)), (size - 1) // 2)
        line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
        psf = psf[..., None] * line
    return psf / psf.sum()


def measured_psf(path, ndim):
    """Return the point-spread function of an image, brightest point in the middle."""
    psf = read_image(path)[0].astype(float)
    if psf.ndim != ndim:
        sys.exit(f"{path} has {psf.ndim} axes, but what is sharpened together has {ndim}.")
    edges = [np.take(psf, [0, -1], axis=axis).ravel() for axis in range(ndim)]
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
    for _ in range(rounds):
        blurred = fft.irfftn(fft.rfftn(estimate) * blur, shape)
        ratio = padded / np.maximum(blurred, 1e-3)
        estimate *= np.maximum(fft.irfftn(fft.rfftn(ratio) * blur.conj(), shape), 0)
        report()
    return estimate[tuple(slice(m, m + n) for (m, _), n in zip(margins, image.shape, strict=True))]


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
    together = [axis in space(axes, args.space) for axis in axes]
    inner = [(n, axis) for n, axis, j in zip(image.shape, axes, together, strict=True) if j]
    if args.psf:
        psf = measured_psf(args.psf, len(inner))
    else:
        sigmas = [args.sigma if axis in "YX" else args.sigma_z for _, axis in inner]
        psf = gaussian_psf(sigmas, [n for n, _ in inner])
    background = args.background or float(np.percentile(image, 1))
    print(f"background {background:g}", flush=True)
    result = np.empty(image.shape, np.float32)
    steps = [1 if joined else n for n, joined in zip(image.shape, together, strict=True)]
    total, done = int(np.prod(steps)) * args.rounds, 0

    def report():
        nonlocal done
        done += 1
        print(f"{done}/{total}", flush=True)

    for index in np.ndindex(*steps):
        part = tuple(
            slice(None) if joined else i for i, joined in zip(index, together, strict=True)
        )
        light = np.clip(image[part].astype(np.float32) - background, 0, None)
        result[part] = deconvolve(light, psf.astype(np.float32), args.rounds, report)
    write_image(args.output, result, axes, sizes)


if __name__ == "__main__":
    main()
