"""Removes noise but keeps edges (total variation)."""

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


def space(axes, mode):
    """Return the axes that belong together: of a volume, or of each plane."""
    depth = "Z" if "Z" in axes else "Q"
    return "YX" if mode == "planes" else depth + "YX"


def each(image, axes, together, work, dtype):
    """Return what `work` makes of every volume (or plane), one after the other."""
    inner = [number for number, axis in enumerate(axes) if axis in together]
    outer = [number for number in range(image.ndim) if number not in inner]
    moved = image.transpose(outer + inner)
    result = np.empty(moved.shape, dtype)
    steps = list(np.ndindex(*moved.shape[: len(outer)]))
    for done, index in enumerate(steps, 1):
        result[index] = work(moved[index])
        print(f"{done}/{len(steps)}", flush=True)
    return result.transpose(np.argsort(outer + inner))


def noise_of(image):
    """Return the standard deviation of the noise, from differences that ignore slopes."""
    detail = np.diff(np.diff(image, 2, axis=-1), 2, axis=-2)
    return float(np.median(np.abs(detail))) / (0.6745 * 6.0) if detail.size else 0.0


def main():
    from skimage.restoration import denoise_tv_chambolle

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--weight", type=float, default=1.0)
    parser.add_argument("--space", choices=["volumes", "planes"], default="planes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)

    def work(part):
        part = part.astype(np.float32)
        noise = noise_of(part)
        if not noise > 0:  # nothing to remove
            return part
        # in units of its noise every image behaves the same
        smooth = denoise_tv_chambolle(part / noise, weight=args.weight, max_num_iter=100)
        return smooth * noise

    smooth = each(image, axes, space(axes, args.space), work, np.float32)
    if np.issubdtype(image.dtype, np.integer):
        limits = np.iinfo(image.dtype)
        smooth = np.clip(np.rint(smooth), limits.min, limits.max).astype(image.dtype)
    write_image(args.output, smooth, axes, sizes)


if __name__ == "__main__":
    main()
