"""Runs a network that comes as a package of bioimage.io, on planes or volumes, in tiles."""

import argparse
import os
import sys
import tempfile
import warnings
import zipfile
from math import ceil
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

# along a side: larger planes, and volumes, are worked on in tiles
LARGE, DEEP = 1024, 128
# what is run here, the plainest first: the last may bring Python code of its own
KINDS = {"torchscript": "TorchScript", "onnx": "ONNX", "pytorch_state_dict": "PyTorch"}
UNITS = {"angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1, "millimeter": 1e3, "meter": 1e6}
# bytes: what a package unpacks to, at most
MOST = 2**34
DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml", "model.yaml")


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


def said(text, most=300):
    """Return a text of others as one line that is not too long."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def opened(path):
    """Return the file in which a package says what it is; a zip is unpacked first."""
    place = Path(path)
    if place.suffix.lower() in (".yaml", ".yml"):
        return place
    if not place.is_dir():
        place = Path(tempfile.mkdtemp())  # the job has a place for it
        try:
            with zipfile.ZipFile(path) as file:
                if sum(entry.file_size for entry in file.infolist()) > MOST:
                    sys.exit(f"{path} is too large for a model.")
                file.extractall(place)
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            sys.exit(f"{path} cannot be read as a zipped model: {error}")
    found = [file for name in DESCRIPTIONS for file in sorted(place.rglob(name))]
    if not found:
        sys.exit(
            f"{path} is no package of bioimage.io: {' or '.join(DESCRIPTIONS[:2])} is missing."
        )
    return min(found, key=lambda file: len(file.parts))


def described(path):
    """Return what a package says of its model."""
    os.environ["BIOIMAGEIO_CACHE_PATH"] = tempfile.mkdtemp()
    from bioimageio.spec import InvalidDescr, load_description
    from bioimageio.spec.model.v0_5 import ModelDescr
    from loguru import logger

    logger.remove()
    try:
        model = load_description(path, format_version="latest", perform_io_checks=False)
    except Exception as error:  # noqa: BLE001  (YAML of strangers)
        sys.exit(f"{path.name} of the package cannot be read: {said(error)}")
    if isinstance(model, InvalidDescr):
        wrong = [one for part in model.validation_summary.details for one in part.errors]
        where = ".".join(map(str, wrong[0].loc)) if wrong else ""
        why = ": ".join(filter(None, [where, said(wrong[0].msg) if wrong else ""]))
        sys.exit(f"{path.name} of the package cannot be used: {why or 'no reason is given'}")
    if not isinstance(model, ModelDescr):
        sys.exit(f"The package is no model, but of the kind “{model.type}”.")
    return model


def tell(model):
    """Say whose a model is, and under which licence."""
    version = f" {model.version}" if model.version else ""
    authors = ", ".join(said(one.name, 60) for one in model.authors[:10]) or "nobody is named"
    licence = said(model.license, 60) if model.license else "none is named"
    print(f"note: the model is “{said(model.name)}”{version}; licence: {licence}; by: {authors}")
    for one in model.cite[:5]:
        where = f"https://doi.org/{one.doi}" if one.doi else one.url
        print(f"note: to be cited: {said(one.text)} {said(where)}")


def loaded(model, samples):
    """Return what runs a model; `samples` gives all of the image, where that normalises a part."""
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.proc_setup import get_required_dataset_measures

    there = [kind for kind, weights in model.weights if weights is not None]
    usable = [kind for kind in KINDS if kind in there]
    if not usable:
        sys.exit(
            f"The model “{said(model.name)}” has weights of the kind {' and '.join(there)}; only "
            f"{', '.join(KINDS.values())} are run here."
        )
    wants = any(get_required_dataset_measures(model))
    for kind in usable:
        source = str(getattr(model.weights, kind).source)
        if not (Path(str(model.root)) / source).is_file():
            sys.exit(
                f"The weights {said(source)} are not in the package: give the zip or the folder "
                "that bioimage.io gives, not its description alone."
            )
        try:
            made = create_prediction_pipeline(
                model,
                weights_format=kind,
                dataset_for_initial_statistics=samples() if wants else (),
            )
            print(f"note: weights: {KINDS[kind]}")
            return made
        except Exception as error:  # noqa: BLE001  (what networks are made of raises anything)
            while getattr(error, "exceptions", None):  # a group of them
                error = error.exceptions[0]
            why = f"{KINDS[kind]}: {said(error) or type(error).__name__}"
            if kind != usable[-1]:
                print(f"note: the weights as {why}: others are tried")
    sys.exit(f"The model “{said(model.name)}” cannot be loaded: {why}")


def tested(model, pipeline):
    """Say whether a model makes of its own example what its authors say."""
    from bioimageio.core.digest_spec import get_test_input_sample, get_test_output_sample

    try:
        sample, expected = get_test_input_sample(model), get_test_output_sample(model)
    except Exception as error:  # noqa: BLE001  (files that are missing, or none)
        print(f"warning: the package has no test that can be read: {said(error)}")
        return
    plain = {"skip_input_padding": True, "skip_output_cropping": True}
    try:
        made = pipeline.predict_sample_without_blocking(sample, **plain)
    except Exception as error:  # noqa: BLE001
        print(f"warning: the test of the package cannot be run: {said(error)}")
        return
    allowed = model.config.bioimageio.reproducibility_tolerance
    relative = max((one.relative_tolerance for one in allowed), default=1e-3)
    absolute = max((one.absolute_tolerance for one in allowed), default=1e-3)
    for name, right in expected.members.items():
        right, found = np.asarray(right.data, float), np.asarray(made.members[name].data, float)
        if right.shape != found.shape:
            print(f"warning: the test of the package fails: “{name}” has another size")
        elif np.allclose(found, right, rtol=relative, atol=absolute, equal_nan=True):
            print(f"note: the test of the package passes: “{name}” is as it should be")
        else:
            apart = np.nanmax(np.abs(found - right))
            print(f"warning: the test of the package fails: “{name}” is off by up to {apart:.3g}")


def numbers(text, count):
    """Return the places of channels that a person wrote as numbers from 1 on; all by default."""
    words = text.replace(",", " ").split()
    if not all(word.isdigit() and 1 <= int(word) <= count for word in words):
        sys.exit(f"“Channels”: numbers from 1 to {count} are meant, as in “1 3”; not “{text}”.")
    return [int(word) - 1 for word in words] or list(range(count))


def resized(array, at, wide, *, whole):
    """Return an array with `wide` pixels along one axis: those nearest, or means between them."""
    count = array.shape[at]
    if count == wide:
        return array
    if whole:
        return array.take((np.arange(wide) * 2 + 1) * count // (2 * wide), axis=at)
    array = array.astype(np.float32)
    if wide < count:
        array = ndimage.gaussian_filter1d(array, (count / wide - 1) / 2, axis=at, mode="nearest")
    places = np.clip((np.arange(wide) + 0.5) * count / wide - 0.5, 0, count - 1)
    low = places.astype(int)
    share = (places - low).reshape([-1 if axis == at else 1 for axis in range(array.ndim)])
    high = np.minimum(low + 1, count - 1)
    return array.take(low, axis=at) * (1 - share) + array.take(high, axis=at) * share


def letter_of(axis):
    """Return what an axis of a model is called in images; B: it has no part in them."""
    letter = {"batch": "B", "channel": "C", "time": "T"}.get(axis.type, str(axis.id).upper())
    if letter not in tuple("BCTZYX"):
        sys.exit(f"The model has an axis “{axis.id}”, which no image has.")
    return letter


def side_of(axis, length, halo, largest):
    """Return how long a tile is along an axis, and how much at both ends is only looked at."""
    if isinstance(axis.size, int):
        side = axis.size
    else:
        least, step = axis.size.min, axis.size.step
        most = max(largest, 2 * halo + 1)
        side = least + step * max(0, ceil((min(length + 2 * halo, most) - least) / step))
        if side > most and side - step > max(2 * halo, least - 1):
            side -= step
    margin = halo if halo or length <= side else side // 8
    if side <= 2 * margin:
        sys.exit(f"The tiles of the model have {side} pixels along {axis.id}: all of it is edge.")
    return side, margin


def planned(given, output, lengths, largest):
    """Return, for each axis, side and margin of tiles, and pixels of the result for one of it."""
    own = {axis.id: axis for axis in given.axes if axis.type not in ("batch", "channel")}
    halo, ratios, plan = {}, {}, {}
    for axis in output.axes:
        of = own.get(getattr(axis.size, "axis_id", None))
        if of is not None:  # a negative offset: what the network cuts off by itself
            edge = getattr(axis, "halo", 0) + max(0, -axis.size.offset) / 2
            halo[of.id] = ceil(edge * axis.scale / of.scale)
            ratios[letter_of(of)] = of.scale / axis.scale
    for name, axis in sorted(own.items(), key=lambda one: hasattr(one[1].size, "axis_id")):
        if hasattr(axis.size, "axis_id"):  # as long as another one, which came before
            of = own[axis.size.axis_id]
            side, margin = plan[letter_of(of)]
            side = axis.size.get_size(axis, of, ref_size=side)
            plan[letter_of(axis)] = side, max(margin, halo.get(name, 0))
        else:
            length = lengths[letter_of(axis)]
            plan[letter_of(axis)] = side_of(axis, length, halo.get(name, 0), largest)
    return plan, ratios


def inner_part(found, at, tile, length, ratio, whole):
    """Return `length` pixels from inside a tile of a result, as large as those of the image."""
    side, margin = tile
    wide = max(1, round(found.shape[at] / (ratio or found.shape[at] / side)))
    found = resized(found, at, wide, whole=whole)
    first = margin - (side - wide) // 2
    if first < 0 or first + length > wide:
        sys.exit(f"The model gives {wide} pixels for {side}, which is less than it says.")
    return found.take(range(first, first + length), axis=at)


def tiled(block, axes, plan, network, out_axes, ratios=None, whole=False, padding=None, tell=None):
    """Return what a network makes of an array, tile by tile, with the array's pixels.

    `axes`, `out_axes`: a letter for each axis of what the network takes, and gives; `plan`,
    `ratios`: see `planned`; `padding`: what is seen beyond the edges; `tell`: is called with
    what is done, and how much there is.
    """
    lengths = dict(zip(axes, block.shape, strict=True))
    inner = {axis: side - 2 * margin for axis, (side, margin) in plan.items()}
    counts = {axis: ceil(lengths[axis] / inner[axis]) for axis in plan}
    edges = [
        (plan[axis][1], counts[axis] * inner[axis] + plan[axis][1] - n) if axis in plan else (0, 0)
        for axis, n in lengths.items()
    ]
    padded = np.pad(block, edges, **(padding or {"mode": "symmetric"}))
    result = None
    for done, index in enumerate(np.ndindex(*counts.values())):
        starts = {axis: at * inner[axis] for axis, at in zip(counts, index, strict=True)}
        cut = [
            slice(starts[axis], starts[axis] + plan[axis][0]) if axis in plan else slice(None)
            for axis in axes
        ]
        found = network(padded[tuple(cut)])
        where = [slice(None)] * len(out_axes)
        for at, axis in enumerate(out_axes):
            if axis in plan:
                length = min(inner[axis], lengths[axis] - starts[axis])
                ratio = (ratios or {}).get(axis)
                found = inner_part(found, at, plan[axis], length, ratio, whole)
                where[at] = slice(starts[axis], starts[axis] + length)
        if result is None:
            shape = [lengths[axis] if axis in plan else n
                     for axis, n in zip(out_axes, found.shape, strict=True)]  # fmt: skip
            result = np.zeros(shape, found.dtype)
        result[tuple(where)] = found
        if tell:
            tell(done + 1, int(np.prod([*counts.values()])))
    return result


def array_of(tensor, descr):
    """Return the numbers of a tensor, in the order of the axes that its description has."""
    from bioimageio.core.digest_spec import get_axes_infos

    return tensor.transpose([axis.id for axis in get_axes_infos(descr)]).data.to_numpy()


def sample_of(array, descr, stat):
    """Return an array as what bioimage.io works on."""
    from bioimageio.core import Sample, Tensor
    from bioimageio.core.digest_spec import get_axes_infos

    tensor = Tensor(array, dims=[axis.id for axis in get_axes_infos(descr)])
    return Sample(members={descr.id: tensor}, stat=stat, id=None)


def worked(pipeline, array, output, largest, tell):
    """Return what a model makes of an array that has all of its axes, processed as it says."""
    given = pipeline.model_descr.inputs[0]
    axes, out_axes = ("".join(map(letter_of, one.axes)) for one in (given, output))
    plan, ratios = planned(given, output, dict(zip(axes, array.shape, strict=True)), largest)
    sample = sample_of(array, given, {})
    pipeline.apply_preprocessing(sample)
    plain = ("preprocessing", "postprocessing", "input_padding", "output_cropping")

    def network(tile):
        made = pipeline.predict_sample_without_blocking(
            sample_of(np.ascontiguousarray(tile), given, sample.stat),
            **{f"skip_{what}": True for what in plain},
        )
        return array_of(made.members[output.id], output)

    how = {"ratios": ratios, "whole": is_whole(output), "padding": padding_of(given), "tell": tell}
    found = tiled(array_of(sample.members[given.id], given), axes, plan, network, out_axes, **how)
    made = sample_of(found, output, sample.stat)
    pipeline.apply_postprocessing(made)
    return array_of(made.members[output.id], output)


def is_whole(output):
    """Whether a result is classes or numbers of objects: between two of them lies nothing."""
    kinds = output.data if isinstance(output.data, list | tuple) else [output.data]
    binary = any(one.id == "binarize" for one in output.postprocessing)
    return binary or any(hasattr(one, "values") for one in kinds)


def padding_of(given):
    """Return what is seen beyond the edges of an image, as `numpy.pad` takes it."""
    how = given.pad
    if how is None:
        return {"mode": "symmetric"}
    value = {"constant_values": how.value} if how.mode == "constant" else {}
    return {"mode": how.mode, **value}


def which(model, number):
    """Return what goes into a model, and the result that is wanted."""
    needed = [one for one in model.inputs if not one.optional]
    if len(needed) != 1 or needed[0] is not model.inputs[0]:
        names = ", ".join(said(one.id, 40) for one in needed)
        sys.exit(f"The model wants several inputs ({names}); only models of one image work here.")
    names = ", ".join(f"{at} “{said(one.id, 40)}”" for at, one in enumerate(model.outputs, 1))
    if not 1 <= number <= len(model.outputs):
        sys.exit(f"The model has no result {number}; it has {names}.")
    if len(model.outputs) > 1:
        print(f"note: the results of the model: {names}; this is {number}")
    return model.inputs[0], model.outputs[number - 1]


def enlarged(given, sizes):
    """Return by how much an image becomes larger along axes, to have the model's pixels."""
    found, unknown = {}, False
    for axis in given.axes:
        unit = UNITS.get(str(axis.unit)) if axis.type == "space" else None
        if unit is None:  # the model does not say
            continue
        name = f"PhysicalSize{letter_of(axis)}"
        if name not in sizes or f"{name}Unit" in sizes:
            unknown = True
        elif abs(sizes[name] / (axis.scale * unit) - 1) > 0.01:
            found[letter_of(axis)] = sizes[name] / (axis.scale * unit)
    if unknown:
        print("note: nobody says how large a pixel is: it is taken as large as the model's")
    if found:
        told = ", ".join(f"{axis} {factor:.3g}" for axis, factor in found.items())
        print(f"note: brought to the pixels of the model, and back: {told} times as many")
    return found


def arranged(image, axes, given, chosen, factors):
    """Return what makes an array that a model takes, of a part of an image."""
    wanted = [letter_of(axis) for axis in given.axes]
    space = [axis for axis in wanted if axis not in "BC"]

    def ready(part):
        have = [axis for axis, one in zip(axes, part, strict=True) if isinstance(one, slice)]
        block = image[part]
        channel = next((axis for axis in have if axis in "CS"), "")
        block = block.transpose([have.index(axis) for axis in [*channel, *space]])
        block = block[chosen] if channel else block[None]
        for at, axis in enumerate(space, 1):
            wide = max(1, round(block.shape[at] * factors.get(axis, 1)))
            block = resized(block, at, wide, whole=False)
        block = block if "C" in wanted else block[0]
        have = ["C"] * ("C" in wanted) + space
        block = block.transpose([have.index(axis) for axis in wanted if axis != "B"])
        return np.expand_dims(block, wanted.index("B")) if "B" in wanted else block

    return ready


def checked(image, axes, given, text):
    """Return the chosen channels, and the axes that a model takes; ends where they do not fit."""
    wanted = [letter_of(axis) for axis in given.axes]
    channel = next((axis for axis in axes if axis in "CS"), "")
    chosen = numbers(text, image.shape[axes.index(channel)] if channel else 1)
    many = next((axis.size for axis in given.axes if axis.type == "channel"), 1)
    if len(chosen) != many:
        there = "there is 1" if len(chosen) == 1 else f"there are {len(chosen)}"
        sys.exit(
            f"The model wants {many} channel{'' if many == 1 else 's'}, and {there}: choose "
            "others in “Channels”, or another model."
        )
    for letter, what in {"Y": "rows", "X": "columns", "Z": "depth", "T": "time"}.items():
        if letter in wanted and letter not in axes:
            sys.exit(f"The image has no {what}, and the model is for images that do.")
    limits = np.iinfo(given.dtype) if given.dtype.lstrip("u").startswith("int") else None
    if limits and not limits.min <= image.min() <= image.max() <= limits.max:
        sys.exit(
            f"The model takes {given.dtype} (to {limits.max}), and the image goes from "
            f"{image.min():g} to {image.max():g}: bring it into that range first."
        )
    if "Z" in axes and "Z" not in wanted:
        print("note: the model is for planes: slices are worked on one by one")
    return chosen, channel + "".join(axis for axis in wanted if axis not in "BC")


def put(found, output, lengths, order, whole):
    """Return a result with its channels first and its axes in the order of the image."""
    have = [letter_of(axis) for axis in output.axes]
    if "B" in have:
        found = found.take(0, axis=have.index("B"))
        have.remove("B")
    there = [*"C"] * ("C" in have) + [axis for axis in order if axis in have and axis != "C"]
    if {*there} != {*have} or len(there) < 1 + ("C" in have):
        sys.exit(f"The result “{said(output.id, 40)}” is no image.")
    found = found.transpose([have.index(axis) for axis in there])
    for at, axis in enumerate(there):
        if axis != "C":
            found = resized(found, at, lengths[axis], whole=whole)
    return (found, there) if "C" in there else (found[None], ["C", *there])


def cleared(result, order, missing, axes):
    """Empty a result where the image has no value."""
    channel = next((axis for axis in axes if axis in "CS"), "")
    without = missing.all(axis=axes.index(channel)) if channel else missing
    have = [axis for axis in axes if axis != channel]
    space = [axis for axis in order if axis != "C"]
    if without.any() and {*have} == {*space}:
        where = without.transpose([have.index(axis) for axis in space])
        np.moveaxis(result, order.index("C"), 0)[:, where] = (
            np.nan if result.dtype.kind == "f" else 0
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True)
    parser.add_argument("--file", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--number", type=int, default=1)
    parser.add_argument("--channels", default="")
    parser.add_argument("--pixels", choices=["model", "image"], default="model")
    parser.add_argument("--tile", type=int)
    parser.add_argument("--test", choices=["true", "false"], default="false")
    args = parser.parse_args()

    image, axes, sizes = read_image(args.input)
    missing = tell_missing(image)
    image = np.where(missing, image[~missing].min(), image) if missing.any() else image
    warnings.simplefilter("ignore")
    model = described(opened(args.file))
    tell(model)
    given, output = which(model, args.number)
    whole = is_whole(output)
    chosen, together = checked(image, axes, given, args.channels)
    factors = enlarged(given, sizes) if args.pixels == "model" else {}
    ready = arranged(image, axes, given, chosen, factors)
    lengths = dict(zip(axes, image.shape, strict=True))
    outer = [axis for axis in axes if axis not in together]
    indices = [*np.ndindex(*(lengths[axis] for axis in outer))]

    def part(index):
        return tuple(slice(None) if a in together else index[outer.index(a)] for a in axes)

    pipeline = loaded(model, lambda: (sample_of(ready(part(i)), given, {}) for i in indices))
    if args.test == "true":
        tested(model, pipeline)
    largest = args.tile or (DEEP if "Z" in together else LARGE)
    result = None
    for at, index in enumerate(indices):

        def far(done, tiles, at=at):
            print(f"{at * tiles + done}/{len(indices) * tiles}", flush=True)

        found = worked(pipeline, ready(part(index)), output, largest, far)
        found, inner = put(found, output, lengths, axes, whole)
        if result is None:
            result = np.zeros((*(lengths[axis] for axis in outer), *found.shape), found.dtype)
        result[index] = found
    order = [*outer, *inner]
    kinds = {"b": np.int32, "f": np.float32}
    result = result.astype(np.int32 if whole else kinds.get(result.dtype.kind, result.dtype))
    cleared(result, order, missing, axes)
    kept = {key: value for key, value in sizes.items() if not key.startswith("Channel")}
    if result.shape[order.index("C")] == 1:
        result = result.take(0, axis=order.index("C"))
        order.remove("C")
    else:
        names = next(axis.channel_names for axis in output.axes if axis.type == "channel")
        kept["Channel"] = {"Name": [said(name, 60) for name in names]}
    write_image(args.output, result, "".join(order), kept)


if __name__ == "__main__":
    main()
