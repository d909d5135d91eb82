"""Makes all frames of a movie equally bright."""

import argparse
import sys

import numpy as np
import tifffile

LIGHT = 0.1  # of the brightest frame: a frame with less is no measure for the others
FADES = 0.1  # of its light must a movie lose before it tells whether its dark pixels fade, too
LIKE = 0.9  # correlation of the darkest pixels with the mean, frame by frame, when they fade
SIGNAL = 0.05  # of the fading of the mean: pixels that fade by more have light
EVEN = 0.8  # of the fading of the mean: a picture that even does not tell its background


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


def real(image):
    """Return pixels with fractions, in a type that holds each of them exactly."""
    narrow = image.dtype.itemsize <= 2 or image.dtype == np.float32
    return image.astype(np.float32 if narrow else np.float64, copy=False)


def typed(values, dtype):
    """Return values in a type: whole numbers and within its limits where it has no fractions."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        top = np.nextafter(2.0**64, 0) if dtype == np.uint64 else np.nextafter(2.0**63, 0)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, min(limits.max, top))
    return values.astype(dtype)


def tell_limited(values, dtype):
    """Say how many pixels are beyond what whole numbers of this type hold."""
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        beyond = np.count_nonzero((values < limits.min - 0.5) | (values > limits.max + 0.5))
        if beyond:
            print(f"note: pixels are limited to {limits.min} … {limits.max} ({dtype}): {beyond}")


def without_light(pixels, within):
    """Return how bright each channel is where there is no light; tell where that is doubtful."""
    inside = tuple(axis + 1 for axis in within)
    some = np.isfinite(pixels).any(axis=inside, keepdims=True)
    full = np.where(some, pixels, 0)  # frames without values say nothing, without a warning
    even = np.nanmax(full, axis=inside) == np.nanmin(full, axis=inside)
    used = np.where(even.all(axis=0), some.reshape(even.shape), ~even)  # nor do empty ones
    channels = np.moveaxis(pixels, inside, range(-len(inside), 0))
    channels = channels.reshape(*even.shape, -1)
    level, doubtful = np.full(even.shape[1:], np.nan), []
    for place in np.ndindex(level.shape):
        frames = channels[(slice(None), *place)][used[(slice(None), *place)]]
        if not len(frames):
            continue
        level[place] = np.nanpercentile(frames, 1)
        mean, low = np.nanmean(frames, axis=1), np.nanpercentile(frames, 1, axis=1)
        fades = np.ptp(mean) > FADES * (mean.max() - low.min()) and np.ptp(low) > 0
        if len(frames) < 3 or not fades or np.corrcoef(mean, low)[0, 1] < LIKE:
            continue
        slope, start = np.polyfit(mean, low, 1)
        if slope > SIGNAL:
            if slope < EVEN:  # without light the darkest pixels are as bright as the mean
                floor = min(0, frames[np.isfinite(frames)].min())
                guess = start / (1 - slope) * (abs(start) > 1e-6 * mean.max())
                level[place] = np.clip(guess, floor, level[place])
            doubtful.append(f"{level[place]:.4g}")
    if doubtful:
        print(
            "note: even the darkest pixels fade, so that no place may be without light: the "
            f"background is guessed to be {', '.join(doubtful)}. Where you know the offset of "
            "the camera, give it as “Background” (0: none)"
        )
    return np.expand_dims(level.astype(pixels.dtype), within)


def with_light(bright):
    """Return for each channel the first frame that has light."""
    most = np.nanmax(np.where(bright > 0, bright, 0), axis=0)
    return np.argmax(bright > LIGHT * most, axis=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--background", type=float)
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if "T" not in axes and "Q" not in axes:
        sys.exit(
            f"The image has the axes {axes}, and no more than one frame: bleaching needs time."
        )
    time = axes.index("T" if "T" in axes else "Q")
    frames = np.moveaxis(image, time, 0)
    missing = tell_missing(frames)
    channels = [axis for axis in axes if axis != axes[time]]
    within = tuple(i for i, axis in enumerate(channels) if axis not in "CS")
    inside = tuple(axis + 1 for axis in within)
    pixels = np.where(missing, np.nan, real(frames))
    # each channel has its own offset and bleaches by itself
    if args.background is None:
        background = without_light(pixels, within)
    else:
        channel = [1 if i in within else n for i, n in enumerate(pixels.shape[1:])]
        background = np.full(channel, args.background, pixels.dtype)
    light = np.subtract(pixels, background, out=pixels)  # movies are large
    with np.errstate(invalid="ignore"):
        bright = np.nansum(light, axis=inside, keepdims=True) / (~missing).sum(
            axis=inside, keepdims=True
        )
    first = with_light(bright)
    start = np.take_along_axis(bright, first[np.newaxis], axis=0)[0]
    result, factor = np.empty(frames.shape, pixels.dtype), None
    for number, frame in enumerate(light):
        seen = bright[number] > 0
        factor = np.where(seen, start / np.where(seen, bright[number], 1), 1.0)
        result[number] = frame * factor + background
        print(f"{number + 1}/{len(frames)}", flush=True)
    told = ", ".join(f"{value:g}" for value in background.ravel())
    print(f"background {told}; the last frame was {float(factor.flat[0]):.3g} times dimmer")
    if first.any():
        print(
            "note: the first frame has no light, or hardly any: frames become as bright as frame "
            f"{', '.join(str(number) for number in np.unique(first))} (the first is 0)"
        )
    lost = np.count_nonzero(~(bright > 0).all(axis=tuple(range(1, bright.ndim))))
    if lost:
        print(
            "note: frames that are no brighter than the background, or have no values, stay as "
            f"they are: {lost}"
        )
    result = np.where(missing, frames, result)
    tell_limited(result, image.dtype)
    write_image(args.output, np.moveaxis(typed(result, image.dtype), 0, time), axes, sizes)


if __name__ == "__main__":
    main()
