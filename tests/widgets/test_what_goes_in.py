"""Every bundled tool and every kind of layer: it runs, or the form says before why not."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from scipy import ndimage
from tifffile import imwrite

import napari_tool_runner as ntr
from bundled.direct import TOOLS, needs_environment
from napari_tool_runner.cli import main
from napari_tool_runner.errors import ParameterError, ToolRunnerError
from napari_tool_runner.jobs import Extent, prepare, run_job
from napari_tool_runner.tools.model import DataParameter, LayerKind
from napari_tool_runner.tools.tree import places
from napari_tool_runner.widgets.forms.form_model import FormModel
from napari_tool_runner.widgets.forms.layer_source import LayerSource
from napari_tool_runner.widgets.forms.layers import LayerChooser

ALL = sorted(p for p in TOOLS.glob("*/*.xml") if p.name != "macros.xml")
HERE = [path for path in ALL if not needs_environment(path)]
Z, T, ALL_AXES = ("z", "y", "x"), ("t", "y", "x"), ("t", "c", "z", "y", "x")


def picture(*shape):
    rough = np.random.default_rng(len(shape)).random(shape)
    soft = ndimage.gaussian_filter(rough, (0,) * (len(shape) - 2) + (2, 2))
    return (200 * (soft - soft.min()) / max(np.ptp(soft), 1e-9)).astype(np.uint8)


def numbered(pixels):
    return ndimage.label(pixels > 110)[0]


GREY, STACK, MANY = picture(40, 44), picture(4, 40, 44), picture(2, 2, 3, 30, 32)
OBJECTS = numbered(GREY)
COLOURS = np.stack([GREY, 255 - GREY, GREY], -1)
DOTS = np.argwhere(STACK[:3] > 190)[:12].astype(float)
BOX = np.array([[2.0, 2], [2, 20], [20, 20], [20, 2]])
LAYERS = {
    "grey": lambda: Image(GREY),
    "fractions": lambda: Image(GREY / 7),
    "missing": lambda: Image(np.where(np.arange(44) < 5, np.nan, GREY / 7)),
    "mask of fractions": lambda: Image((GREY > 110).astype(float)),
    "rgb": lambda: Image(COLOURS, rgb=True),
    "rgba": lambda: Image(np.concatenate([COLOURS, COLOURS[..., :1]], -1), rgb=True),
    "rgb movie": lambda: Image(np.stack([COLOURS] * 3), rgb=True, axis_labels=T),
    "mask": lambda: Image(GREY > 110),
    "below 0": lambda: Image((GREY.astype(int) - 100).astype(np.int8)),
    "large numbers": lambda: Image(GREY.astype(np.uint64) * 2**33),
    "labels": lambda: Labels(OBJECTS.astype(np.int64)),
    "no objects": lambda: Labels(np.zeros((40, 44), int)),
    "stack": lambda: Image(STACK, axis_labels=Z),
    "labels of a stack": lambda: Labels(numbered(STACK), axis_labels=Z),
    "movie": lambda: Image(STACK, axis_labels=T),
    "labels of a movie": lambda: Labels(numbered(STACK), axis_labels=T),
    "all axes": lambda: Image(MANY, axis_labels=ALL_AXES),
    "row": lambda: Image(picture(1, 44)),
    "pixel": lambda: Image(np.full((1, 1), 7, np.uint8)),
    "label": lambda: Labels(np.full((1, 1), 7, np.int64)),
    "nothing": lambda: Image(np.zeros((0, 40, 44), np.uint8), axis_labels=T),
    "even": lambda: Image(np.full((40, 44), 7, np.uint8)),
    "levels": lambda: Image([picture(80, 88), GREY], multiscale=True),
    "levels of labels": lambda: Labels([numbered(picture(80, 88)), OBJECTS], multiscale=True),
    "points": lambda: Points(DOTS[:, 1:]),
    "points of a movie": lambda: Points(DOTS, axis_labels=T),
    "no points": lambda: Points(np.zeros((0, 2))),
    "shapes": lambda: Shapes([BOX]),
    "no shapes": lambda: Shapes([], ndim=2),
}  # fmt: skip


UNSAID = ("deconvolve, psf", "register_images")
"""What no form says yet: of a blur that it has further axes or no bright spot. Movies for Register
are cut into slices by the window, which this walk has not."""


def beside(layer):
    """Return an image, objects and points of the same size, for the other inputs."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    pixels = isinstance(layer, Image | Labels) and 0 not in data.shape
    shape = data.shape[: layer.ndim] if pixels else (4,) * (layer.ndim - 2) + (40, 44)
    more = {"axis_labels": layer.axis_labels}
    grey = picture(*shape)
    dots = np.zeros((9, layer.ndim)) + np.arange(9)[:, None] % max(shape[0], 2)
    return [Image(grey, **more), Labels(numbered(grey), **more), Points(dots, **more)]


@cache
def opened(kind, *, alone):
    """Return a layer of a kind and a viewer that has it, as a rule with others of its size."""
    layer, viewer = LAYERS[kind](), ViewerModel()
    for one in [*([] if alone else beside(layer)), layer]:
        viewer.add_layer(one)
    return layer, viewer


def forms(path):
    """Yield the form of a tool with each kind of layer in each input that offers it."""
    tool = ntr.read_tool(path)
    inputs = [leaf.name for leaf in FormModel(tool).leaves() if leaf.is_data]
    for kind in LAYERS:
        layer, viewer = opened(kind, alone=len(inputs) == 1)
        for name in inputs:
            model = FormModel(tool)
            source = LayerSource(viewer)
            chooser = LayerChooser(model, source)
            leaf = model.leaf(name)
            if any(layer is one for one in chooser.candidates(leaf.parameter)):
                chooser.update()
                leaf.set([layer] if leaf.parameter.multiple else layer)
                chooser.update()
                yield f"{tool.id}, {name}: {kind}", model
            source.disconnect_layers()


def told_by_run(model):
    """Return what a run says that does not end well."""
    try:
        ntr.run(model.tool, values=model.values())
    except ToolRunnerError as error:
        return str(error)
    return ""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_what_cannot_go_in_is_said_before(path, qapp):
    found = 0
    for number, (which, model) in enumerate(forms(path)):
        sentences = [problem.sentence for problem in model.problems()]
        assert all(one.endswith(".") and len(one.split()) > 4 for one in sentences), which
        found += 1
        runs = path in HERE and number % 12 == len(path.stem) % 12
        if runs and not sentences:
            assert told_by_run(model) == "", which
    assert found, "it takes something"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("path", HERE, ids=lambda path: path.stem)
def test_no_form_lets_a_run_end_with_an_exit_code(path, qapp):
    said = {
        which: told_by_run(model)
        for which, model in forms(path)
        if not model.problems() and not which.startswith(UNSAID)
    }
    assert {which: text for which, text in said.items() if text} == {}


PAIRS = {
    "colocalize": ("first", "second"),
    "calculate_images": ("first", "second"),
    "measure_regions": ("labels", "image"),
    "cut_out_objects": ("image", "labels"),
    "compare_labels": ("truth", "candidates_0|labels"),
    "sort_objects": ("labels", "by|image"),
}
LARGE = {Image: picture(60, 44), Labels: numbered(picture(60, 44))}
SAME = {Image: GREY, Labels: OBJECTS}


def paired(name, layers):
    """Return the form of a tool and its chooser, with layers in the two inputs that belong."""
    tool = ntr.load_toolbox()[name]
    viewer, model = ViewerModel(), FormModel(tool)
    for layer in layers:
        viewer.add_layer(layer)
    chooser = LayerChooser(model, LayerSource(viewer))
    if name == "sort_objects":
        model.set_values({"by": {"feature": "intensity_mean"}})
    chooser.update()
    return model, chooser


def kind_of(model, name):
    return Labels if model.leaf(name).parameter.kinds[0] is LayerKind.LABELS else Image


@pytest.mark.parametrize("name", PAIRS)
def test_images_of_other_sizes_are_told_before(name, qapp):
    one, two = PAIRS[name]
    model, chooser = paired(name, [])
    first, second = (kind_of(model, place) for place in (one, two))
    layers = [
        first(SAME[first], name="small"),
        second(SAME[second], name="alike"),
        second(LARGE[second], name="large"),
    ]
    model, chooser = paired(name, layers)
    model.leaf(one).set(layers[0])
    model.leaf(two).reset()
    chooser.update()
    assert model.leaf(two).value is not layers[2], "one that fits is chosen by itself"
    assert model.problems() == []
    model.leaf(two).set(layers[2])
    chooser.judge()
    (problem,) = model.problems()
    assert problem.name == two
    assert problem.sentence.startswith(
        "“large” is 60 × 44 (Y, X) and “small” 40 × 44 (Y, X): take "
    )
    with pytest.raises(ParameterError) as told:
        ntr.run(model.tool, values=model.values(), cache=False)
    assert (told.value.message, told.value.name) == (problem.sentence, two)
    model.leaf(one).set(second(LARGE[second], name="other"))
    chooser.judge()
    assert model.problems() == []


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_second_image_says_how_it_belongs_to_the_first(path):
    data = [place.item for place in places(ntr.read_tool(path).inputs)]
    data = [one for one in data if isinstance(one, DataParameter)]
    pixels = [one for one in data if {LayerKind.IMAGE, LayerKind.LABELS} & {*one.kinds}]
    alone = {one.name for one in pixels[1:] if not one.like}
    assert alone <= {"psf"}


def test_the_command_line_says_the_same_of_files(tmp_path, capsys):
    imwrite(tmp_path / "small.tif", GREY)
    imwrite(tmp_path / "large.tif", LARGE[Image])
    given = [f"first={tmp_path}/small.tif", f"second={tmp_path}/large.tif"]
    assert main(["run", "colocalize", "--output-dir", str(tmp_path / "made"), *given]) == 1
    wanted = "“large” is 60 × 44 (Y, X) and “small” 40 × 44 (Y, X): take images of one size."
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_plane_goes_with_each_slice_of_a_stack(qapp):
    movie, plane = Image(STACK, axis_labels=T, name="movie"), Image(GREY, name="plane")
    model, chooser = paired("colocalize", [plane, movie])
    model.leaf("first").set(movie)
    model.leaf("second").set(plane)
    chooser.judge()
    (problem,) = model.problems()
    assert problem.sentence == (
        "“plane” is 40 × 44 (Y, X) and “movie” 4 × 40 × 44 (T, Y, X): take images of one size, or "
        "work on each slice."
    )
    chooser.cut = True
    chooser.judge()
    assert model.problems() == []
    run_job(prepare(model.tool, model.values(), extent=Extent("each")))
    model, chooser = paired("calculate_images", [plane, movie])
    for first, second, fits in ((movie, plane, True), (plane, movie, False)):
        model.leaf("first").set(first)
        model.leaf("second").set(second)
        chooser.judge()
        assert (model.problems() == []) is fits
    stack = Image(STACK, axis_labels=Z, name="stack")
    model, chooser = paired("register_images", [stack, movie, plane])
    for fixed, moving, cut, fits in (
        (stack, stack, False, True),
        (stack, plane, False, False),
        (stack, movie, False, False),
        (movie, movie, True, True),
        (movie, plane, True, True),
        (movie, stack, True, False),
    ):
        model.leaf("fixed").set(fixed)
        model.leaf("moving").set(moving)
        chooser.cut = cut
        chooser.judge()
        assert (model.problems() == []) is fits, (fixed.name, moving.name)
