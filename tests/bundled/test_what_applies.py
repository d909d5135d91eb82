"""What the forms of bundled tools hide has no effect on their results, and what they show has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image as ImageLayer
from napari.layers import Labels
from scipy import ndimage

from bundled import direct
from bundled.inside import Image, run
from napari_tool_runner.exchange import slices_of
from napari_tool_runner.tools import bind, read_tool
from napari_tool_runner.tools.model import (
    BooleanParameter,
    DataParameter,
    FloatParameter,
    IntegerParameter,
    Parameter,
    SelectParameter,
    Tool,
)
from napari_tool_runner.tools.values import default_value
from napari_tool_runner.widgets.forms.form_model import FormModel

BY_IMAGE = {("find_objects", "light")}
"""What acts only where an image needs it; `test_find_objects` holds that it does there."""
SIZES = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 1.5}


@cache
def volume(seed: int = 0) -> np.ndarray:
    """Return a stack of blobs on an uneven ground, with noise."""
    rng = np.random.default_rng(seed)
    seeds = rng.random((6, 34, 36)) > 0.995
    blobs = ndimage.gaussian_filter(seeds.astype(float), (0.8, 2, 2))
    slope = np.linspace(0, 0.3, 36)
    noise = rng.normal(0, 0.03, blobs.shape)
    return ((blobs / blobs.max() + slope + noise + 0.2).clip(0) * 20_000).astype(np.uint16)


@cache
def objects() -> np.ndarray:
    """Return touching objects of several sizes, some with a hole, some at the border."""
    rng = np.random.default_rng(1)
    soft = ndimage.gaussian_filter(rng.random((6, 34, 36)), (0.7, 1.5, 1.5))
    return ndimage.label(soft > np.quantile(soft, 0.55))[0].astype(np.uint16)


def boxes() -> np.ndarray:
    """Return boxes of 27 to 147 voxels, at the border and inside."""
    made = np.zeros((3, 40, 40), np.uint16)
    for number, side in enumerate((3, 4, 5, 7)):
        column = 9 * number + 2
        made[:, :side, column : column + side] = 2 * number + 1
        made[:, 25 : 25 + side, column : column + side] = 2 * number + 2
    return made


def bead() -> np.ndarray:
    made = np.zeros((5, 7, 7))
    made[2, 3, 3] = 1
    return (ndimage.gaussian_filter(made, 1) * 1000).astype(np.float32)


def stack(pixels: np.ndarray, axes: str = "ZYX") -> Image:
    return Image(pixels, axes, {key: SIZES[key] for key in SIZES if key[-1] in axes})


@cache
def points() -> np.ndarray:
    """Return particles of a movie of stacks that wander."""
    rng = np.random.default_rng(2)
    start = rng.uniform(0, (6, 60, 60), (12, 3))
    rows = [
        (frame, *(place + rng.normal(0, (0.8, 1.5, 1.5))))
        for place in start
        for frame in range(6)
        if rng.random() > 0.2
    ]
    return np.array(rows)


def data(tool: str) -> dict[str, object]:
    """Return what goes into a tool."""
    image, labels = stack(volume()), stack(objects())
    plane, moved = volume()[2], ndimage.rotate(volume()[2], 7, reshape=False, mode="nearest")
    cubes = dict.fromkeys(SIZES, 0.5)
    special: dict[str, dict[str, object]] = {
        "calculate_images": {"first": image, "second": stack(volume(3))},
        "register_images": {"fixed": stack(plane, "YX"), "moving": stack(moved, "YX")},
        "track_points": {"points": points(), "sizes": "1s,1.5um,0.5um,0.5um", "axes": "TZYX"},
        "label_outlines": {"labels": labels},
        "label_surfaces": {"labels": labels},
        "colour_to_grey": {"input": Image(volume()[:3].transpose(1, 2, 0), "YXS")},
        "correct_bleaching": {"input": Image(volume(), "TYX")},
        "correct_drift": {"input": Image(volume(), "TYX")},
        "find_objects": {"input": stack(np.tile(volume()[:3], (1, 2, 2)))},
        "median_filter": {"input": Image(volume(), "ZYX", cubes)},
        "morphology": {"input": Image(objects(), "ZYX", cubes)},
        "remove_small_objects": {"input": stack(boxes())},
        "rescale": {"input": image, "layer": "image"},
        "project": {"input": Image(np.stack([volume(), volume(3)]), "TZYX")},
        "threshold": {"input": Image(np.stack([volume(), volume(3) // 2]), "TZYX", SIZES)},
    }
    about_objects = {"distance_transform", "fill_holes", "label_components", "morphology"}
    about_objects |= {"split_touching"}
    return special.get(tool, {"input": labels if tool in about_objects else image})


def others(parameter: Parameter, value: object) -> list[object]:
    """Return other values for a parameter."""
    if isinstance(parameter, BooleanParameter):
        return [parameter.false_value if value is True else parameter.true_value]
    if isinstance(parameter, SelectParameter):
        return [one.value for one in parameter.options if one.value != value]
    assert isinstance(parameter, IntegerParameter | FloatParameter)
    number = value if isinstance(value, int | float) else 1
    tried = [number * 2, number / 2, number + 1, number + 13, number + 60, number + 5_000]
    low = -np.inf if parameter.minimum is None else parameter.minimum
    high = np.inf if parameter.maximum is None else parameter.maximum
    found = [one for one in tried if low <= one <= high and one != value]
    return [int(one) for one in found] if isinstance(parameter, IntegerParameter) else found


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return bool(
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
        )
    if isinstance(one, Path) and isinstance(other, Path):
        return one.read_bytes() == other.read_bytes()
    return one == other


def states(tool: Tool, skipped: Parameter) -> Iterator[dict[str, object]]:
    """Yield the defaults, and each other choice of each list and check box alone."""
    yield {}
    if any(one.name == "psf" for one in tool.inputs):
        yield {"psf": Image(bead(), "ZYX")}
    for parameter in tool.inputs:
        if parameter is not skipped and isinstance(parameter, SelectParameter | BooleanParameter):
            for value in others(parameter, parameter.default):
                yield {parameter.name: value}


def settled(tool: Tool) -> list[Parameter]:
    """Return the parameters that are no data."""
    kinds = SelectParameter | BooleanParameter | IntegerParameter | FloatParameter
    return [one for one in tool.inputs if isinstance(one, kinds)]


@pytest.mark.parametrize("name", [path.stem for path in direct.descriptors()])
def test_what_is_shown_has_an_effect_and_what_is_hidden_has_none(
    tmp_path: Path, name: str
) -> None:
    tool, given = read_tool(direct.descriptor(name)), data(name)
    layers = dict.fromkeys(given.keys() & {one.name for one in tool.inputs}, "a layer")
    wrong = []
    for parameter in settled(tool):
        if (name, parameter.name) in BY_IMAGE:
            continue
        for state in states(tool, parameter):
            base = run(name, tmp_path, **given, **state)
            if base.refused:  # these choices do not go with this image
                continue
            values = others(parameter, default_value(parameter))
            made = (run(name, tmp_path, **{**given, **state, parameter.name: v}) for v in values)
            has_effect = any(
                one.refused
                or not all(same(one.outputs[key], base.outputs[key]) for key in base.outputs)
                for one in made
            )
            bound = bind(tool, {**layers, **{key: _plain(value) for key, value in state.items()}})
            if has_effect is not (parameter.name in bound):
                wrong.append((parameter.name, list(state.items())[:1], has_effect))
    assert not wrong


def of_axes(pixels: np.ndarray, axes: str) -> np.ndarray:
    """Return a stack as data of other axes: each further axis holds it again, changed."""
    if axes == "YX":
        return np.hstack([*pixels])
    return pixels if len(axes) == 3 else np.stack([pixels, pixels[::-1] // 2, pixels // 3])


@pytest.mark.parametrize("axes", ["YX", "ZYX", "TYX", "CYX", "TZYX"])
@pytest.mark.parametrize("name", [path.stem for path in direct.descriptors()])
def test_what_a_form_shows_has_an_effect_on_the_axes_of_the_layer(
    tmp_path: Path, name: str, axes: str
) -> None:
    tool, given = read_tool(direct.descriptor(name)), data(name)
    model, made = FormModel(tool), dict[str, object]()
    if not settled(tool):
        return
    for leaf in [leaf for leaf in model.leaves() if leaf.name in given]:
        image, parameter = given[leaf.name], leaf.parameter
        if not isinstance(image, Image) or not isinstance(parameter, DataParameter):
            return  # points have time anyway
        cut, needed = slices_of(parameter, axes)
        flat = {*parameter.needs} - {*axes} or len(axes) < min(parameter.ndim, default=0)
        if "S" in image.axes or cut[: bool(needed)] or flat:
            return
        whole = volume() if parameter.kinds[0].value == "image" else objects()
        pixels = of_axes(whole if name != "find_objects" else np.tile(whole, (1, 2, 2)), axes)
        if name == "register_images" and leaf.name == "moving":
            pixels = ndimage.rotate(pixels, 5, (-2, -1), reshape=False, mode="nearest")
        cubes = image.sizes.get("PhysicalSizeZ") == image.sizes.get("PhysicalSizeX")
        sizes = dict.fromkeys(SIZES, 0.5) if cubes else SIZES
        made[leaf.name] = Image(pixels, axes, {k: v for k, v in sizes.items() if k[-1] in axes})
        labels = parameter.kinds[0].value == "labels"
        leaf.set((Labels if labels else ImageLayer)(pixels, axis_labels=[*axes.lower()]))
    shown, wrong = {leaf.name for leaf in model.leaves()}, []
    base = run(name, tmp_path, **made)
    assert base.refused == ""
    for parameter in settled(tool):
        if (name, parameter.name) in BY_IMAGE:
            continue
        values = others(parameter, default_value(parameter))
        each = (run(name, tmp_path, **{**made, parameter.name: value}) for value in values)
        has_effect = any(
            one.refused
            or not all(same(one.outputs[key], base.outputs[key]) for key in base.outputs)
            for one in each
        )
        if has_effect is not (parameter.name in shown):
            wrong.append((parameter.name, has_effect))
    assert wrong == []


def _plain(value: object) -> object:
    return "a layer" if isinstance(value, Image) else value
