"""Holds a movie still that drifts."""

import argparse
import csv
import sys

import numpy as np
import tifffile
from scipy import fft, ndimage


def read_image(path):
    """Return an image, its axes (a letter each) and the pixel sizes that OME gives."""
    try:
        with tifffile.TiffFile(path) as file:
            image, axes = file.series[0].asarray(), file.series[0].axes.replace("I", "Q")
            ome = tifffile.xml2dict(file.ome_metadata)["OME"] if file.ome_metadata else {}
    except (OSError, IndexError, KeyError, ValueError) as error:
        sys.exit(f"{path} cannot be read as a TIFF image: {error}")
    first = ome.get("Image", {})
    pixels = (first[0] if isinstance(first, list) else first).get("Pixels", {})
    sizes = {k: v for k, v in pixels.items() if k.startswith(("PhysicalSize", "TimeInc"))}
    return image, axes, sizes


def write_image(path, image, axes, sizes):
    """Write an OME-TIFF."""
    colour = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, image, ome=True, photometric=colour, metadata={"axes": axes, **sizes})


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--drift", required=True)
    parser.add_argument("--against", choices=["first", "previous"], default="previous")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if not ("T" in axes or "Q" in axes) or "S" in axes:
        sys.exit(f"{args.input} has the axes {axes}: drift needs time (and no RGB colours).")
    time = axes.index("T" if "T" in axes else "Q")
    frames = np.moveaxis(image, time, 0)
    inner = axes.replace(axes[time], "", 1)
    channels = inner.index("C") if "C" in inner else None
    result = np.empty_like(frames)
    reference, total, drift = None, 0.0, []
    for number, frame in enumerate(frames):
        seen = frame.astype(float) if channels is None else frame.mean(axis=channels)
        here = spectrum(ndimage.gaussian_filter(seen, 1.0))
        if reference is None:
            reference, total = here, np.zeros(seen.ndim)
        step, _ = displacement(reference, here, seen.shape)
        if args.against == "previous":
            total, reference = total + step * (number > 0), here
        else:
            total = step
        drift.append([number, *total])
        back = -total if channels is None else np.insert(-total, channels, 0.0)
        moved = ndimage.shift(frame.astype(float), back, order=1, mode="constant", cval=0)
        result[number] = np.rint(moved) if np.issubdtype(image.dtype, np.integer) else moved
        print(f"{number + 1}/{len(frames)}", flush=True)
    with open(args.drift, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["frame", *[f"drift_{a.lower()}" for a in inner if a != "C"]])
        for number, *shift in drift:
            table.writerow([number, *[f"{value:.4f}" for value in shift]])
    write_image(args.output, np.moveaxis(result, 0, time), axes, sizes)


if __name__ == "__main__":
    main()
