"""Makes weak structures of an image visible."""

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


def enhance(plane, args):
    """Return a plane between 0 and 1."""
    from skimage import exposure

    if plane.min() == plane.max():
        return np.zeros_like(plane)
    if args.method == "percentiles":
        low, high = np.percentile(plane, (args.low, args.high))
        return np.clip((plane - low) / max(high - low, np.finfo(np.float32).eps), 0, 1)
    plane = (plane - plane.min()) / np.ptp(plane)
    if args.method == "gamma":
        return plane**args.gamma
    return exposure.equalize_adapthist(plane, kernel_size=args.tile, clip_limit=args.limit)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--method", choices=["clahe", "percentiles", "gamma"], required=True)
    parser.add_argument("--tile", type=int, default=32)
    parser.add_argument("--limit", type=float, default=0.01)
    parser.add_argument("--low", type=float, default=1.0)
    parser.add_argument("--high", type=float, default=99.5)
    parser.add_argument("--gamma", type=float, default=1.0)
    args = parser.parse_args()

    if args.method == "percentiles" and args.low >= args.high:
        sys.exit(f"Black ({args.low} %) must lie below white ({args.high} %).")
    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no single brightness: split its channels first.")
    result = np.empty(image.shape, np.float32)
    for index in np.ndindex(image.shape[:-2]):
        result[index] = enhance(image[index].astype(np.float64), args)
    shown = {"clahe": args.limit, "percentiles": args.high, "gamma": args.gamma}[args.method]
    print(args.method, shown)
    write_image(args.output, result, axes, sizes)


if __name__ == "__main__":
    main()
