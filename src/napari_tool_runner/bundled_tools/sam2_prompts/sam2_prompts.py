"""Segments what points and boxes show, each an object, by a trained network, with SAM 2."""

import argparse
import csv
import json
import os
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import tifffile

METHOD, HOLDS = "SAM 2", "config.json and model.safetensors"
FILES = ("config.json", "model.safetensors")
MOST = 2**33
# brightness of the training: mean and deviation of red, green and blue
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NEAREST = 4  # background points that an object is told
NEGATIVE = {"0", "0.0", "false", "no", "negative", "background", "-", "-1", "-1.0"}


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


def read_table(path, letters, axes, shape):
    """Return the rows of a table of points or corners, and where each lies.

    A place has a number for each axis of the image, NaN where the table has no such axis.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        names = list(rows[0]) if rows else []
        own = [name for i in range(len(names)) if (name := f"axis-{i}") in names]
        found = np.array([[float(row[name] or "nan") for name in own] for row in rows])
    except (OSError, ValueError, TypeError) as error:
        sys.exit(f"{path} cannot be read as a table of points or shapes: {error}")
    if rows and len(own) < 2:
        sys.exit(
            f"{path} has no coordinates that are known: none of its columns {', '.join(names)} "
            "says x and y, in numbers. Call them axis-0, axis-1."
        )
    if len(letters) != len(own) or "Q" in letters + axes:  # nobody says them: the last ones
        letters = axes[-len(own) :].rjust(len(own), "-")
    places = np.full((len(rows), len(axes)), np.nan)
    for at, letter in enumerate(letters if rows else ""):
        if letter in axes:
            places[:, axes.index(letter)] = found[:, at]
    lacking = [a for a, n in zip(axes, shape, strict=True) if a not in letters and n > 1]
    if rows and lacking:
        print(f"note: {path} says nothing of {', '.join(lacking)}: it counts in all planes")
    return rows, places


def placed(places, axes, shape, what):
    """Return planes and places (y, x), and which of them lie in the image; tell of others."""
    inner = [axes.index("Y"), axes.index("X")]
    outer = [i for i in range(len(axes)) if i not in inner]
    pixels = np.rint(np.where(np.isnan(places), 0, places))
    good = ((pixels >= 0) & (pixels < shape)).all(axis=1)
    good &= np.isfinite(places[:, inner]).all(axis=1)
    if not good.all():
        print(f"note: {what} outside of the image are left out: {(~good).sum()} of {len(good)}")
    return np.rint(places[:, outer]), places[:, inner], np.flatnonzero(good)


@dataclass(eq=False)
class Prompt:
    """What shows one object, in places (y, x): a box, points in it, points beside it."""

    number: int
    plane: np.ndarray
    box: np.ndarray | None = None
    points: list = field(default_factory=list)
    beside: list = field(default_factory=list)

    def extent(self):
        """Return the first and the last row and column of what shows it."""
        shown = np.array([*self.points, *([] if self.box is None else self.box)])
        return shown.min(axis=0), shown.max(axis=0)

    def within(self, plane):
        """Whether it counts in a plane: what says nothing of an axis counts all along it."""
        return (np.isnan(self.plane) | np.isnan(plane) | (self.plane == plane)).all()


def boxes_of(path, letters, axes, shape):
    """Return how many shapes there are, and of each the box around it as what shows an object."""
    rows, places = read_table(path, letters, axes, shape)
    if rows and "index" not in rows[0]:
        sys.exit(f"{path} has no column “index”, which says of which shape a corner is.")
    shapes = {}
    for row, place in zip(rows, places, strict=True):
        shapes.setdefault(row["index"], (row.get("shape-type"), []))[1].append(place)
    lines = [i for i, (kind, _) in enumerate(shapes.values()) if kind in ("line", "path")]
    if lines:
        print(f"note: lines and paths enclose nothing and are left out: {len(lines)}")
    if not shapes:
        return 0, []
    inner = [axes.index("Y"), axes.index("X")]
    ends = [np.array([np.min(corners, 0), np.max(corners, 0)]) for _, corners in shapes.values()]
    boxes = [np.clip(box[:, inner], -0.5, np.array(shape)[inner] - 0.5) for box in ends]
    middles = np.array([box.mean(axis=0) for box in ends])
    middles[:, inner] = [box.mean(0) if (box[0] < box[1]).all() else np.nan for box in boxes]
    planes, _, good = placed(middles, axes, shape, "boxes")
    found = [Prompt(int(i) + 1, planes[i], boxes[i]) for i in good if i not in lines]
    return len(shapes), found


def points_of(path, letters, axes, shape):
    """Return the points that lie in the image: row, other cells, plane, place (y, x)."""
    rows, places = read_table(path, letters, axes, shape)
    planes, points, good = placed(places, axes, shape, "points")
    return [(int(i), rows[i], planes[i], points[i]) for i in good]


def cell(row, name):
    """Return what a column says of a point."""
    if name not in row:
        others = [key for key in row if key != "index" and not key.startswith("axis-")]
        sys.exit(
            f"The points have no column “{name}”: "
            + (f"there are {', '.join(others)}." if others else "they have no features.")
        )
    return (row[name] or "").strip().removesuffix(".0")


def prompted(boxes, points, first, group="", sign=""):
    """Return the objects that boxes and points show, and the points that lie in none.

    A point in a box is one of that object (of the smallest box); the points of a plane that
    have one name in the column `group` are one object, any other is an object by itself.
    Objects of points are numbered after `first`, or by their names.
    """
    objects, beside, made = [*boxes], [], {}
    names = [cell(row, group) if group else str(first + i + 1) for i, row, _, _ in points]
    own = not (group and boxes) and all(n.isdecimal() and 0 < int(n) < 2**31 for n in names)
    numbers = {
        name: int(name) if own else first + i for i, name in enumerate(dict.fromkeys(names), 1)
    }
    for name, (_, row, plane, place) in zip(names, points, strict=True):
        around = [
            one
            for one in boxes
            if one.within(plane) and (one.box[0] <= place).all() and (place <= one.box[1]).all()
        ]
        key = (name, *(str(step) for step in plane))
        if sign and cell(row, sign).lower() in NEGATIVE:
            beside.append((plane, place))
        elif around:
            min(around, key=lambda one: np.prod(one.box[1] - one.box[0])).points.append(place)
        elif key in made:
            made[key].points.append(place)
        else:
            made[key] = Prompt(numbers[name], plane, points=[place])
            objects.append(made[key])
    return objects, beside


def shown(args, axes, shape):
    """Return what the layers that were given show, with the background points near to each."""
    first, boxes = boxes_of(args.boxes, args.boxes_axes, axes, shape) if args.boxes else (0, [])
    points = points_of(args.points, args.points_axes, axes, shape) if args.points else []
    others = points_of(args.beside, args.beside_axes, axes, shape) if args.beside else []
    objects, beside = prompted(boxes, points, first, args.group, args.sign)
    if not objects:
        sys.exit("Nothing shows an object: give points in the objects, or boxes around them.")
    beside += [(plane, place) for _, _, plane, place in others]
    for one in objects:
        low, high = one.extent()
        here = [place for plane, place in beside if one.within(plane)]
        away = [np.hypot(*np.maximum(0, np.maximum(low - at, at - high))) for at in here]
        one.beside = [here[i] for i in np.argsort(away, kind="stable")[:NEAREST]]
    return objects


def model_in(folder):
    """Return the folder of a whole model in or below `folder`; None where there is none."""
    found = (file.parent for file in sorted(folder.rglob(FILES[1])))
    return next((place for place in found if (place / FILES[0]).is_file()), None)


def unpacked(path):
    """Return the folder of a model that was given as a zip."""
    folder = Path(tempfile.mkdtemp())  # the job has a place for it
    try:
        with zipfile.ZipFile(path) as file:
            if sum(entry.file_size for entry in file.infolist()) > MOST:
                sys.exit(f"{path} is too large for a model of {METHOD}.")
            file.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        sys.exit(f"{path} cannot be read as a zipped model of {METHOD}: {error}")
    found = model_in(folder)
    if found is None:
        sys.exit(f"{path} holds no model of {METHOD}: {HOLDS} are missing.")
    return found


def known(name, fetch):
    """Return the folder of a published model, which is fetched if that is asked for."""
    home = Path(os.environ.get("SAM2_MODELS", Path.home() / ".sam2")) / name
    address = f"https://huggingface.co/facebook/{name}"
    if model_in(home) is None and not fetch:
        sys.exit(
            f"The model {name} is not on this computer: tick “Fetch the model” (once, from "
            f"huggingface.co), or download {HOLDS} from {address} elsewhere and give them, as a "
            "zip, as “Model file”."
        )
    if model_in(home) is None:
        print(f"fetching {address}", flush=True)
        from huggingface_hub import snapshot_download

        try:
            snapshot_download(f"facebook/{name}", allow_patterns=list(FILES), local_dir=home)
        except Exception as error:  # noqa: BLE001  (each release raises others)
            said = str(error.__cause__ or error).strip().partition("\n")[0]
            sys.exit(
                f"The model {name} could not be fetched ({said or type(error).__name__}): try "
                f"again with a network, or download {HOLDS} from {address} elsewhere and give "
                "them, as a zip, as “Model file”."
            )
    if model_in(home) is None:
        sys.exit(f"What was fetched from {address} holds no model of SAM 2.")
    return model_in(home)


def load(folder, name):
    """Return the network of a folder with all of its weights, on the card where there is one."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import Sam2Model
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        kind = json.loads((folder / FILES[0]).read_bytes()).get("model_type")
        if kind not in ("sam2", "sam2_video"):
            sys.exit(f"The model {name} is none of SAM 2, but of the kind “{kind}”.")
        # weights that a file lacks would be random ones, and nobody would say so
        model, told = Sam2Model.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # noqa: BLE001  (torch and transformers raise what they like)
        sys.exit(f"The model {name} cannot be read: {str(error).strip().partition(chr(10))[0]}")
    if lacking := told["missing_keys"]:
        sys.exit(f"The model {name} is not whole: {len(lacking)} of its weights are missing.")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def channels(plane, colour):
    """Return a plane as three channels of 0 to 1; None where nothing is to be seen."""
    values = plane[np.isfinite(plane)]
    if not values.size or values.min() == values.max():
        return None
    if colour and plane.dtype == np.uint8:
        low, high = 0, 255
    else:
        low, high = np.percentile(values, (0.1, 99.9))
        high = high if high > low else values.max()
    plane = np.where(np.isfinite(plane), plane, low).astype(np.float32)
    plane = np.clip((plane - low) / (high - low), 0, 1)
    return plane.transpose(2, 0, 1)[:3] if colour else np.stack([plane] * 3)


def window(prompt, shape, side):
    """Return the part of a plane in which an object is looked for: (first, last) of each axis.

    Parts overlap by a half, so that objects near to each other share one. What does not fit
    into one is looked for in the whole plane.
    """
    first, last = prompt.extent()
    if (1.25 * (last - first) > np.minimum(side, shape)).any():
        return tuple((0, n) for n in shape)
    found = []
    for low, high, n in zip(first, last, shape, strict=True):
        wide, half = min(side, n), max(1, min(side, n) // 2)
        start = half * round(((low + high + 1) / 2 - wide / 2) / half)
        start = int(np.clip(start, 0, n - wide))
        found.append((start, start + wide))
    return tuple(found)


class Network:
    """The network on one part of a plane, which is seen once for all prompts in it."""

    def __init__(self, model, pixels, part):
        import torch

        self.model, self.part = model, part
        self.side = model.config.prompt_encoder_config.image_size
        self.shape = tuple(last - first for first, last in part)
        (top, bottom), (left, right) = part
        image = torch.tensor(pixels[:, top:bottom, left:right])[None]
        size = (self.side, self.side)
        image = torch.nn.functional.interpolate(image, size=size, mode="bilinear", antialias=True)
        mean, deviation = (torch.tensor(one)[None, :, None, None] for one in (MEAN, DEVIATION))
        with torch.no_grad():
            self.seen = model.get_image_embeddings(((image - mean) / deviation).to(model.device))

    def places(self, points):
        """Return places (y, x) of the plane as (x, y) in the pixels of the network."""
        first = np.array([start for start, _ in self.part])
        found = (np.array(points) - first + 0.5) * self.side / np.array(self.shape) - 0.5
        return found[:, ::-1].astype(np.float32)

    def answer(self, prompt, take):
        """Return how sure each pixel of the part is in the object (above 0), and its certainty."""
        import torch

        given, points = {}, [*prompt.points, *prompt.beside]
        signs = [1] * len(prompt.points) + [0] * len(prompt.beside)
        device = self.model.device
        if points:
            given["input_points"] = torch.tensor(self.places(points))[None, None].to(device)
            given["input_labels"] = torch.tensor(signs, dtype=torch.int32)[None, None].to(device)
        if prompt.box is not None:
            given["input_boxes"] = torch.tensor(self.places(prompt.box).reshape(1, 1, 4)).to(
                device
            )
        single = prompt.box is None and len(points) == 1
        with torch.no_grad():
            said = self.model(image_embeddings=[*self.seen], multimask_output=single, **given)
            masks = torch.nn.functional.interpolate(
                said.pred_masks[0, 0][None].float(), size=self.shape, mode="bilinear"
            )[0]
        masks, scores = masks.cpu().numpy(), said.iou_scores[0, 0].float().cpu().numpy()
        areas = (masks > 0).sum(axis=(1, 2))
        order = np.lexsort((scores, {"best": scores, "small": -areas, "large": areas}[take]))
        filled = [one for one in order if areas[one]] or [order[-1]]
        return masks[filled[-1]], float(scores[filled[-1]])


def whole_pieces(sure, prompt, part):
    """Return a mask without the pieces that no point is in; without points the largest piece."""
    from scipy import ndimage

    pieces, count = ndimage.label(sure > 0)
    if count < 2:
        return sure > 0
    first, last = [start for start, _ in part], np.array(pieces.shape) - 1
    rows = [np.clip(np.rint(point - first), 0, last).astype(int) for point in prompt.points]
    hit = {int(pieces[tuple(row)]) for row in rows} - {0}
    return np.isin(pieces, [*hit] or [np.bincount(pieces.ravel())[1:].argmax() + 1])


def combined(model, pixels, prompts, args, tell):
    """Return the labels of a plane, and how certain the network is of each; `tell` after each.

    Where objects meet, a pixel is one of that of which the network is surer.
    """
    shape = pixels.shape[1:]
    labels, best = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    scores, network = {}, None
    windows = {one: window(one, shape, args.window) for one in prompts}
    for one in sorted(prompts, key=windows.get):
        if network is None or network.part != windows[one]:
            network = Network(model, pixels, windows[one])
        sure, scores[one.number] = network.answer(one, args.take)
        place = tuple(slice(*ends) for ends in network.part)
        wins = whole_pieces(sure, one, network.part) & (sure > best[place])
        labels[place][wins], best[place][wins] = one.number, sure[wins]
        tell()
    return labels, scores


def main():
    if sys.argv[1:2] == ["--only-fetch"]:
        known(sys.argv[2], True)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--certainty", required=True)
    parser.add_argument("--by", choices=["points", "boxes", "both"], default="both")
    for name in ("points", "boxes", "beside"):
        parser.add_argument(f"--{name}")
        parser.add_argument(f"--{name}-axes", default="")
    parser.add_argument("--model", default="sam2.1-hiera-tiny")
    parser.add_argument("--file")
    parser.add_argument("--fetch", choices=["true", "false"], default="false")
    parser.add_argument("--channel", type=int, default=1)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--take", choices=["best", "small", "large"], default="best")
    parser.add_argument("--group", default="")
    parser.add_argument("--sign", default="")
    args = parser.parse_args()

    args.points = None if args.by == "boxes" else args.points
    args.boxes = None if args.by == "points" else args.boxes
    image, axes, sizes = read_image(args.input)
    if "C" in axes:
        at = axes.index("C")
        if not 1 <= args.channel <= image.shape[at]:
            sys.exit(f"The image has {image.shape[at]} channels, no channel {args.channel}.")
        image, axes = image.take(args.channel - 1, at), axes.replace("C", "")
        sizes = {key: value for key, value in sizes.items() if not key.startswith("Channel")}
    missing, colour = tell_missing(image), axes.endswith("S")
    missing, space = missing.any(axis=-1) if colour else missing, axes.removesuffix("S")
    objects = shown(args, space, missing.shape)
    name = "of the file" if args.file else args.model
    folder = unpacked(args.file) if args.file else known(args.model, args.fetch == "true")
    model = load(folder, name)

    labels, lines = np.zeros(missing.shape, np.int32), []
    order = sorted(range(len(space)), key=lambda axis: "YX".find(space[axis]))
    planes, without = labels.transpose(order), missing.transpose(order)
    pixels = image.transpose([*order, *range(len(space), image.ndim)])
    steps = {
        at: [one for one in objects if one.within(at)] for at in np.ndindex(planes.shape[:-2])
    }
    total, done = sum(len(here) for here in steps.values()), count(1)
    for at, here in steps.items():
        seen = channels(pixels[at], colour) if here else None
        if seen is None:
            continue
        found, scores = combined(
            model, seen, here, args, lambda: print(f"{next(done)}/{total}", flush=True)
        )
        planes[at] = np.where(without[at], 0, found)
        areas = np.bincount(planes[at].ravel(), minlength=1 + max(scores))
        lines += [[one, *at, areas[one], f"{scores[one]:.3f}"] for one in sorted(scores)]
    empty = sorted({one.number for one in objects} - {line[0] for line in lines if line[-2]})
    if empty:
        told = ", ".join(map(str, empty[:20])) + (", …" if len(empty) > 20 else "")
        print(f"note: where these show, nothing was found: {told}")
    number = len({one.number for one in objects}) - len(empty)
    print(f"{number} object{'' if number == 1 else 's'}")
    print(f"note: model {name}")
    with open(args.certainty, "w", newline="", encoding="utf-8") as file:
        names = ["frame" if space[axis] == "T" else space[axis].lower() for axis in order[:-2]]
        table = csv.writer(file)
        table.writerow(["label", *names, "pixels", "certainty"])
        table.writerows(line for line in lines if line[-2])
    write_image(args.output, labels, space, sizes)


if __name__ == "__main__":
    main()
