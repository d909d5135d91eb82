"""Finds the objects of an image: smoothed, thresholded, filled, split where they touch."""

import argparse
import sys

import numpy as np
import tifffile
from scipy import ndimage

# of a disc of the diameter: larger holes lie between objects
HOLE = 0.15
# of how much the middle object stands out: what stands out less may be none
DIM = 0.25
# of the diameter: how far an object and its surroundings reach from what a threshold leaves
REACH = 0.5
# of the larger side of the image: how wide the light is looked at, and once more to compare
WIDE, NARROW = 1 / 6, 1 / 9
# each pass takes away what the slope of the light has left to the one before
PASSES = 3
# of the pixels that a threshold leaves: so many without an edge are light
WRONG = 0.08
# of the objects (Dice): so much must stay the same with the light of another width
SAME = 0.95
# of the size: soft edges that change less are not told, for pixels at the rim change as much
SOFT = 0.1
# of the depth of the shallower part: a neck that is deeper may divide no objects
NECK = 0.9
# of the pixels within their hull: parts that fill more are one object
CONVEX = 0.99
# a Gaussian of sigma 1 leaves so many times less noise in a plane
WEIGHTS = 2 * np.sqrt(np.pi)


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


def pitch(axes, sizes):
    """Return how many pixel widths lie from one pixel to the next along each axis."""
    wide = sizes.get("PhysicalSizeX", 1.0)
    return [sizes.get(f"PhysicalSize{axis}", wide) / wide for axis in axes]


def parts(axes, shape, together):
    """Return where each volume (or plane) lies, and say how far the work is."""
    outer = [1 if axis in together else n for axis, n in zip(axes, shape, strict=True)]
    for done, index in enumerate(np.ndindex(*outer)):
        if done:
            print(f"{done}/{np.prod(outer)}", flush=True)
        where = zip(axes, index, strict=True)
        yield tuple(slice(None) if axis in together else i for axis, i in where)
    print(f"{np.prod(outer)}/{np.prod(outer)}", flush=True)


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


def smoothed(pixels, sigmas, missing):
    """Return pixels smoothed with a Gaussian; missing values do not count."""
    if not missing.any():
        return ndimage.gaussian_filter(pixels, sigmas)
    known = ndimage.gaussian_filter((~missing).astype(pixels.dtype), sigmas)
    smooth = ndimage.gaussian_filter(np.where(missing, 0, pixels), sigmas)
    return np.where(missing, pixels, smooth / np.where(missing, 1, known))


def threshold(pixels, method, value):
    """Return the threshold of a histogram method; None where all pixels are alike."""
    from skimage import filters

    if method == "manual":
        return value
    if not pixels.size or pixels.min() == pixels.max():
        return None
    if pixels.dtype.kind in "iu" and int(pixels.max()) - int(pixels.min()) > 2**20:
        pixels = pixels.astype(float)  # a histogram of classes, not one with every number
    return float(getattr(filters, f"threshold_{method}")(pixels))


def compact(labels):
    """Return labels without gaps in their numbers, and the number that each had."""
    values = np.unique(labels)
    values = values[values != 0]
    if not values.size or (values[0] > 0 and values[-1] <= 2 * values.size + 1000):
        numbers = np.arange(int(values.max(initial=0)) + 1)
        return labels.astype(np.int32, copy=False), numbers.astype(labels.dtype)
    small = np.where(labels == 0, 0, np.searchsorted(values, labels) + 1).astype(np.int32)
    return small, np.concatenate([np.zeros(1, values.dtype), values])


def fill(labels, largest):
    """Return the labels of one volume or plane without holes."""
    result = labels.copy()
    small, numbers = compact(labels)
    for number, place in enumerate(ndimage.find_objects(small), 1):
        if place is None:
            continue
        # the first piece of what is not the object comes from outside
        pieces, _ = ndimage.label(np.pad(small[place] != number, 1, constant_values=True))
        holes = (pieces[(slice(1, -1),) * labels.ndim] > 1) & (labels[place] == 0)
        if largest > 0 and holes.any():
            pieces, _ = ndimage.label(holes)
            holes &= np.bincount(pieces.ravel())[pieces] <= largest
        result[place][holes] = numbers[number]
    return result


def split(mask, spacing, steps, smoothing):
    """Return labels of one volume or plane, and how many there are."""
    from skimage.segmentation import watershed

    # beyond the border of the image the object may go on: only background is a border
    depth = ndimage.distance_transform_edt(mask, steps) if not mask.all() else mask.astype(float)
    depth = ndimage.gaussian_filter(depth, [smoothing / step for step in steps]) * mask
    window = [2 * int(spacing / step) + 1 for step in steps]
    tops = (depth == ndimage.maximum_filter(depth, window)) & mask
    # a small piece beside a large one has no top of that size, but is an object all the same
    pieces, _ = ndimage.label(mask)
    tops |= mask & ~np.isin(pieces, pieces[tops])
    seeds, _ = ndimage.label(tops, np.ones((3,) * mask.ndim))
    return joined(watershed(-depth, seeds, mask=mask), depth)


def necks(labels, depth):
    """Return the pairs of parts that touch, and how deep the border of each is at its deepest."""
    ends, found = (slice(1, None), slice(-1)), []
    for axis in range(labels.ndim):
        one, other = ((slice(None),) * axis + (end,) for end in ends)
        there = labels[one] != labels[other]
        there &= (labels[one] > 0) & (labels[other] > 0)
        sides = labels[one][there], labels[other][there]
        deep = np.minimum(depth[one][there], depth[other][there])
        found.append((np.minimum(*sides), np.maximum(*sides), deep))
    first, second, deep = (np.concatenate(each) for each in zip(*found, strict=True))
    pairs, which = np.unique(np.stack([first, second], 1), axis=0, return_inverse=True)
    deepest = np.zeros(len(pairs))
    np.maximum.at(deepest, which.ravel(), deep)
    return pairs, deepest


def joined(labels, depth):
    """Return labels where parts that no neck divides are one object, and how many there are.

    Parts of a watershed are put together by what their union looks like (Lin et al. 2003): about
    as deep between them as inside, and convex, as objects that only touch are not.
    """
    from skimage.morphology import convex_hull_image

    numbers = np.arange(labels.max() + 1)
    tops = np.zeros(len(numbers))
    np.maximum.at(tops, labels.ravel(), depth.ravel())
    pairs, deepest = necks(labels, depth)
    wide = deepest / tops[pairs].min(1)
    boxes = ndimage.find_objects(labels)
    for at in np.argsort(-wide)[: np.count_nonzero(wide >= NECK)]:
        parts = np.flatnonzero(np.isin(numbers, numbers[pairs[at]]))
        sides = zip(*(boxes[part - 1] for part in parts), strict=True)
        box = tuple(slice(min(s.start for s in x), max(s.stop for s in x)) for x in sides)
        union = np.isin(labels[box], parts)
        if union.sum() >= CONVEX * convex_hull_image(union, offset_coordinates=False).sum():
            numbers[parts] = parts[0]
    kept, numbers = np.unique(numbers, return_inverse=True)
    return numbers[labels].astype(labels.dtype), len(kept) - 1


def noise(pixels, missing):
    """Return the noise and the contrast of the middle plane (Immerkær 1996, Otsu 1979)."""
    middle = tuple(n // 2 for n in pixels.shape[:-2])
    plane, known = pixels[middle].astype(float), ~missing[middle]
    if min(plane.shape) < 3 or not known.any():
        return 0.0, 0.0
    plane = np.where(known, plane, np.median(plane[known]))
    rows = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    left = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    counts, edges = np.histogram(plane, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = counts.cumsum()[:-1], counts[::-1].cumsum()[::-1][1:]
    total = (counts * middles).cumsum()
    apart = (total[-1] - total[:-1]) / np.maximum(above, 1) - total[:-1] / np.maximum(below, 1)
    contrast = apart[np.argmax(below * above * apart**2)]
    return float(np.median(np.abs(left)) / 0.6745 / 6), float(contrast)


def least_sigma(found, contrast):
    """Return the sigma after which noise is a fiftieth of the contrast, in steps of a half."""
    if not contrast:
        return 0.0
    return min(4.0, float(np.ceil(2 * found / contrast * 50 / WEIGHTS)) / 2)


def typical(mask, steps):
    """Return the diameter of the largest disc (ball) in the piece that has the middle pixel."""
    depth = ndimage.distance_transform_edt(mask, steps) if not mask.all() else mask.astype(float)
    pieces, count = ndimage.label(mask)
    if not count:
        return 0.0
    depths = np.asarray(ndimage.maximum(depth, pieces, range(1, count + 1)))
    sizes, order = np.bincount(pieces.ravel())[1:], np.argsort(depths)
    summed = sizes[order].cumsum()
    return 2 * float(depths[order][np.searchsorted(summed, summed[-1] / 2)])


def least_size(sizes):
    """Return how many pixels an object has at least that is no speck."""
    ordered = np.sort(sizes)
    summed = np.cumsum(ordered)
    return -(-int(ordered[np.searchsorted(summed, summed[-1] / 2)]) // 20)


def ground(plane, missing, share):
    """Return the light beneath the bright objects of a plane: what changes slowly.

    Of the pixels in a window about each place the fifth that is darkest, evened; the window is a
    share of the plane. (Tiles whose objects are left out: Bertin and Arnouts 1996.)
    """
    cell = max(1, round(max(plane.shape) / 96))
    rows, columns = (-(-n // cell) for n in plane.shape)
    more = [(0, rows * cell - plane.shape[0]), (0, columns * cell - plane.shape[1])]
    known = np.where(missing, np.median(plane[~missing]), plane)
    cells = np.pad(known, more, "edge").reshape(rows, cell, columns, cell)
    small = np.median(cells, axis=(1, 3))
    wide, low = max(3, round(share * max(small.shape))), np.zeros(small.shape)
    for _ in range(PASSES):
        part = ndimage.percentile_filter(small - low, 20, wide, mode="nearest")
        low += ndimage.gaussian_filter(part, wide / 4, mode="nearest")
    at = [(np.arange(n) - (cell - 1) / 2) / cell for n in plane.shape]
    return ndimage.map_coordinates(low, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")


def is_light(smooth, mask, own):
    """Whether a threshold took light for objects: what is no object of its own has no edge.

    `own` are the objects without the light.
    """
    wide = max(2.0, typical(own, [1.0, 1.0]) / 4)
    away = ndimage.distance_transform_edt(~own) > wide
    inner = away & mask & (ndimage.distance_transform_edt(mask) <= wide)
    outer = away & ~mask & (ndimage.distance_transform_edt(~mask) <= wide)
    if (mask & away).sum() < WRONG * mask.sum() or not inner.any() or not outer.any():
        return False
    high = min(np.median(smooth[one]) - np.median(smooth[~one]) for one in (own, mask))
    return np.median(smooth[inner]) - np.median(smooth[outer]) < DIM * high


def uneven(smooth, mask, missing, method):
    """Return the light that a threshold of a plane took for objects, and if it is sure; else None.

    It is sure where the objects are the same with the light as a narrower window has it: of
    objects that are as wide as the window, either light would take a part away.
    """
    if smooth.ndim != 2 or min(smooth.shape) < 64 or not mask.any() or mask.all():
        return None, False
    lights, owns = [ground(smooth, missing, share) for share in (WIDE, NARROW)], []
    for light in lights:
        level = threshold((smooth - light)[~missing], method, 0)
        owns.append(np.zeros_like(mask) if level is None else (smooth - light > level) & ~missing)
    if not owns[0].any() or not is_light(smooth, mask, owns[0]):
        return None, False
    same = 2 * (owns[0] & owns[1]).sum() / (owns[0].sum() + owns[1].sum())
    return lights[0], same >= SAME


def foreground(pixels, missing, steps, args):
    """Return where objects are, how much they shine (dark ones: lack), uneven light, decisions.

    The light: by how much it was uneven and was taken away; NaN: it seems so, and stays. Nothing
    where all pixels are alike.
    """
    found, contrast = noise(pixels, missing)
    sigma = least_sigma(found, contrast) if args.smoothing is None else args.smoothing
    smooth = smoothed(real(pixels), [sigma / step for step in steps], missing)
    smooth = typed(smooth, pixels.dtype)
    by = "li" if args.method == "local" else args.method
    level = threshold(smooth[~missing], by, 0)
    if level is None:
        return None, None, 0.0, ""
    bright = args.objects == "bright"
    mask = (smooth > level if bright else smooth <= level) & ~missing
    taken = 0.0
    if args.light == "auto":
        sign = 1 if bright else -1
        below, sure = uneven(sign * real(smooth), mask, missing, by)
        if sure:
            even = np.where(missing, pixels, real(pixels) - sign * below).astype(np.float32)
            args = argparse.Namespace(**{**vars(args), "light": "left"})
            mask, light, _, told = foreground(even, missing, steps, args)
            return mask, light, np.ptp(below), f"light taken away, {told}"
        taken = 0.0 if below is None else np.nan
    told = f"sigma {sigma:g}, threshold {level:.10g}"
    light = np.where(missing, level, real(smooth)) * (1 if bright else -1)
    if args.method == "local":
        radius = round(1.5 * (args.diameter or typical(mask, steps)), 1)
        value = float(f"{2 * found / max(1, WEIGHTS * sigma):.3g}")
        sigmas = [0.0] * (len(steps) - 2) + [radius / 2 / step for step in steps[-2:]]
        level = smoothed(real(smooth), sigmas, missing)
        mask = (smooth > level + value if bright else smooth < level - value) & ~missing
        told = f"sigma {sigma:g}, threshold local, radius {radius:g}, value {value:g}"
    return mask, light, taken, told


def medians(values, numbers, count):
    """Return the median of the values of each number from 0 to `count`; NaN where it has none."""
    order = np.lexsort((values, numbers))
    first = np.searchsorted(numbers[order], np.arange(count + 2))
    found, some = np.full(count + 1, np.nan), np.diff(first) > 0
    found[some] = values[order][((first[:-1] + first[1:]) // 2)[some]]
    return found


def at_half(light, labels, steps, diameter):
    """Return where each object is brighter than halfway between its surroundings and itself.

    There the edge of what is blurred lies (full width at half maximum); one threshold for all
    finds bright objects too large, and dim ones too small or in pieces. Also returned: how much
    of their sizes a quarter of the height more or less would change, in the middle.
    """
    count = int(labels.max())
    away, where = ndimage.distance_transform_edt(labels == 0, steps, return_indices=True)
    nearest, own = labels[tuple(where)], np.zeros(count + 1)
    around = (away > max(2.0, diameter / 8)) & (away <= REACH * diameter)
    ground = medians(light[around], nearest[around], count)
    # what others surround on all sides has the ground of the others
    usual = np.median(light[around]) if around.any() else light.min()
    ground = np.where(np.isfinite(ground), ground, usual)
    near = away <= REACH * diameter
    light, nearest = light[near], nearest[near]
    inside = labels[near] > 0
    for _ in range(2):  # the second time without the rim that a low threshold leaves
        own = np.fmax(medians(light[inside], nearest[inside], count), ground)
        inside = light > ((own + ground) / 2)[nearest]
    sizes = [
        np.bincount(
            nearest[light > (ground + part * (own - ground))[nearest]], minlength=count + 1
        )
        for part in (0.25, 0.5, 0.75)
    ]
    mask = np.zeros(labels.shape, bool)
    mask[near] = inside
    soft = (sizes[0] - sizes[2])[1:] / 2 / np.maximum(sizes[1][1:], 1)
    return mask, float(np.median(soft))


def objects(mask, steps, args):
    """Return the objects of a mask, numbered from 1, their diameter, and what was decided."""
    diameter = args.diameter or typical(mask, steps)
    largest = max(1, int(HOLE * np.pi / 4 * diameter**2))
    planes = mask.reshape(-1, *mask.shape[-2:]).astype(np.uint8)
    mask = np.stack([fill(plane, largest) for plane in planes]).reshape(mask.shape) != 0
    diameter = args.diameter or typical(mask, steps)
    spacing, even = (max(low, round(diameter / n, 1)) for low, n in ((1.0, 4), (0.0, 20)))
    labels, _ = split(mask, spacing, steps, even)
    sizes = np.bincount(labels.ravel())
    if args.smallest is None:
        smallest = least_size(sizes[1:]) if sizes[1:].size else 0
    elif mask.ndim == 2:
        smallest = np.ceil(np.pi / 4 * args.smallest**2 / np.prod(steps))
    else:
        smallest = np.ceil(np.pi / 6 * args.smallest**3 / np.prod(steps))
    keep = sizes >= max(smallest, 1)
    keep[0] = False
    told = f"diameter {diameter:.1f}, holes {largest}, spacing {spacing:g}, smoothing {even:g}"
    return numbered(labels, keep), diameter, f"{told}, smallest {smallest:.0f}"


def numbered(labels, keep):
    """Return the objects that stay, with new numbers from 1."""
    return np.where(keep, np.cumsum(keep), 0)[labels]


def hardly_there(light, labels):
    """Return the numbers of the objects that stand out much less than the middle one."""
    inside, count = labels > 0, int(labels.max())
    if not count or inside.all():
        return np.zeros(0, int)
    high = medians(light[inside], labels[inside], count)[1:] - np.median(light[~inside])
    return 1 + np.flatnonzero(high < DIM * np.median(high))


def at_edge(labels):
    """Return the numbers of the objects that the border of the image may have cut."""
    sides = [np.take(labels, [0, -1], axis).ravel() for axis in (-1, -2)]
    return np.setdiff1d(np.concatenate(sides), [0])


def main():
    methods = ["li", "otsu", "triangle", "yen", "isodata", "local"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--objects", choices=["bright", "dark"], default="bright")
    parser.add_argument("--diameter", type=float)
    parser.add_argument("--method", choices=methods, default="li")
    parser.add_argument("--smallest", type=float)
    parser.add_argument("--edge", choices=["true", "false"], default="false")
    parser.add_argument("--border", choices=["half", "threshold"], default="half")
    parser.add_argument("--smoothing", type=float)
    parser.add_argument("--light", choices=["auto", "left"], default="auto")
    parser.add_argument("--space", choices=["volumes", "planes"], default="volumes")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    if axes.endswith("S"):
        sys.exit("A colour (RGB) image has no single brightness: “Colour to grey” makes one.")
    missing = tell_missing(image)
    known = "PhysicalSizeX" in sizes and "PhysicalSizeXUnit" not in sizes
    wide = sizes["PhysicalSizeX"] if known else 1.0
    args.diameter = args.diameter / wide if args.diameter else None
    args.smallest = args.smallest / wide if args.smallest is not None else None
    together = space(axes, args.space)
    steps = [s for s, axis in zip(pitch(axes, sizes), axes, strict=True) if axis in together]
    labels, shares, widths, soft, dim, lights = (
        np.zeros(image.shape, np.int32),
        *([] for _ in range(5)),
    )
    even = count = cut = 0
    for part in parts(axes, image.shape, together):
        mask, light, taken, told = foreground(image[part], missing[part], steps, args)
        lights.append(taken)
        if mask is None:
            even += 1
            continue
        found, diameter, more = objects(mask, steps, args)
        if args.border == "half" and found.any():
            half, width = at_half(light, found, steps, diameter)
            mask = half & ~missing[part]
            soft.append(width)
            found, diameter, more = objects(mask, steps, args)
        edge = at_edge(found)
        if args.edge == "true":
            found = numbered(found, ~np.isin(np.arange(found.max() + 1), [0, *edge]))
        labels[part] = np.where(found, found + count, 0)  # no number twice
        dim += [int(number) + count for number in hardly_there(light, found)]
        count, cut = count + int(found.max()), cut + len(edge)
        shares.append(mask.mean())
        widths.append(diameter)
        print(f"{told}, {more} (pixel widths; pixels in all)")
    if not shares:
        value = image[~missing][0]
        print(f"warning: all pixels have the value {value}: there is nothing to separate")
    elif even:
        print(f"note: planes or volumes of one value have no objects: {even}")
    covered = np.mean(shares) if shares else 0
    if np.isnan(lights).any():
        print(
            "warning: the light is uneven, and parts of what was found have no edge: try "
            "“Subtract background” first, or “Local threshold” with a diameter"
        )
    elif covered > 0.5:
        other = "darker" if args.objects == "bright" else "brighter"
        print(
            f"warning: objects cover {covered:.0%} of the image: is the light uneven, or are they "
            f"{other} than what surrounds them?"
        )
    if np.nansum(lights):
        print(
            f"note: the light is uneven by {np.nanmax(lights):.4g} grey values: it was taken away "
            "before the threshold"
        )
    print(f"{count} object{'' if count == 1 else 's'}")
    said = []  # of them, in one note: a form shows the first one
    if dim:
        numbers = ", ".join(map(str, dim[:5])) + ", …" * (len(dim) > 5)
        verb = "stands" if len(dim) == 1 else "stand"
        said.append(f"{len(dim)} of them hardly {verb} out and may be none (number {numbers})")
    if cut and args.edge == "true":
        said.append(f"none touches the edge, {cut} {'was' if cut == 1 else 'were'} left out")
    elif cut:
        verb = "touches" if cut == 1 else "touch"
        said.append(f"{cut} of them {verb} the edge and may be cut off")
    if count:
        unit = "µm" if known else "px"
        if args.diameter is None:  # else it is what somebody gave
            across = np.median(widths) * wide
            said.append(f"typical diameter {across:.3g} {unit}, the narrow way")
        if soft and np.median(soft) >= SOFT:
            said.append(f"up to ±{np.median(soft):.0%} of a size by where its soft edge is set")
    if said:
        print(f"note: {'; '.join(said)}")
    write_image(args.output, labels, axes, sizes)


if __name__ == "__main__":
    main()
