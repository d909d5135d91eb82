"""Makes all frames of a movie equally bright."""

import argparse
import sys

import numpy as np
import tifffile


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--background", type=float, default=0.0)
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if "T" not in axes and "Q" not in axes:
        sys.exit(f"{args.input} has the axes {axes}: bleaching needs time.")
    time = axes.index("T" if "T" in axes else "Q")
    frames = np.moveaxis(image, time, 0)
    background = args.background or float(np.percentile(image, 1))
    result = np.empty(frames.shape, np.float32)
    start = None
    for number, frame in enumerate(frames):
        light = frame.astype(np.float32) - background
        channels = [axis for axis in axes if axis != axes[time]]
        within = tuple(i for i, axis in enumerate(channels) if axis != "C")
        bright = light.mean(axis=within, keepdims=True)  # each channel bleaches by itself
        start = bright if start is None else start
        factor = np.where(bright > 0, start / np.where(bright > 0, bright, 1), 1.0)
        result[number] = light * factor + background
        print(f"{number + 1}/{len(frames)}", flush=True)
    print(
        f"background {background:g}; the last frame was {float(factor.flat[0]):.3g} times dimmer"
    )
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        result = np.clip(np.rint(result), limits.min, limits.max)
    write_image(args.output, np.moveaxis(result, 0, time).astype(image.dtype), axes, sizes)


if __name__ == "__main__":
    main()
