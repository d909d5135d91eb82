"""The form without Qt: what it holds, what it sends, what it remembers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from widget_tools import IMAGE, METHOD, REPEAT, SECTION, SIGMA, options, rich_tool, tool_of

from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.effect import Condition
from napari_tool_runner.tools.model import (
    BooleanParameter,
    DataParameter,
    FloatParameter,
    IntegerParameter,
    SelectParameter,
    TextParameter,
)
from napari_tool_runner.widgets.forms.containers import Collapsible
from napari_tool_runner.widgets.forms.form_model import ConditionalNode, FormModel, RepeatNode


def node_of(model: FormModel, kind: type):
    return next(node for node in model.children if isinstance(node, kind))


def test_defaults_are_what_bind_gives():
    tool = tool_of(SIGMA, METHOD, SECTION, REPEAT)
    assert FormModel(tool).values() == bind(tool, {})


def test_hidden_parameters_are_not_sent():
    assert "secret" not in FormModel(rich_tool()).values()


def test_a_choice_shows_its_case_and_keeps_what_was_typed_in_the_other():
    model = FormModel(tool_of(METHOD))
    model.leaf("cond|bins").set("64")
    model.leaf("cond|method").set("manual")
    assert model.values() == {"cond": {"method": "manual", "value": None}}
    assert [leaf.name for leaf in model.leaves()] == ["cond|method", "cond|value"]
    model.leaf("cond|value").set("0.5")
    model.leaf("cond|method").set("otsu")
    assert model.values() == {"cond": {"method": "otsu", "bins": 64}}
    model.leaf("cond|method").set("manual")
    assert model.values() == {"cond": {"method": "manual", "value": 0.5}}


def test_only_what_applies_can_be_wrong():
    model = FormModel(tool_of(METHOD))
    assert model.problems() == []
    model.leaf("cond|method").set("manual")
    (problem,) = model.problems()
    assert problem.name == "cond|value"
    assert problem.sentence == "“Value” needs a value."
    model.leaf("cond|method").set("otsu")
    assert model.problems() == []


def test_a_typed_text_that_is_no_number_is_kept_and_explained():
    model = FormModel(tool_of(SIGMA))
    leaf = model.leaf("sigma")
    leaf.set("1.5x")
    assert leaf.value == "1.5x"
    assert "must be a number" in (leaf.problem or "")
    leaf.set("1.5")
    assert leaf.value == 1.5
    assert leaf.problem is None


def test_repeats_add_and_remove_within_their_limits():
    model = FormModel(tool_of(REPEAT))
    node = node_of(model, RepeatNode)
    assert len(node.entries) == 1
    assert not node.can_remove
    node.add()
    node.add()
    assert node.add() is None
    model.leaf("filters_1|low").set(5)
    first = node.entries[0]
    node.remove(first)
    # names follow the place: the second became the first
    assert model.leaf("filters_0|low").value == 5.0
    assert model.values() == {"filters": [{"what": "a", "low": 5.0}, {"what": "a", "low": 0.0}]}
    node.remove(node.entries[0])
    node.remove(node.entries[0])
    assert len(node.entries) == 1


def test_reset_brings_every_default_back():
    tool = rich_tool()
    model = FormModel(tool)
    before = model.values()
    model.set_values(
        {
            "sigma": 7,
            "seed": 3,
            "measure": ["m", "p"],
            "cond": {"method": "manual", "value": 1},
            "filters": [{"low": 1}, {"low": 2}],
            "post": {"smallest": 1},
        }
    )
    assert model.values() != before
    model.reset()
    assert model.values() == before


def test_set_values_names_what_has_no_place():
    model = FormModel(tool_of(SIGMA, METHOD))
    unknown = model.set_values(
        {"sigma": 3, "old": 1, "cond": {"method": "otsu", "value": 2}, "gone": {"x": 1}}
    )
    assert unknown == ["old", "cond|value", "gone"]
    assert model.leaf("sigma").value == 3.0


def test_every_change_is_told_once_per_change():
    model = FormModel(tool_of(SIGMA, METHOD))
    told: list[str] = []
    model.changed.connect(lambda node: told.append(getattr(node, "name", "?")))
    model.leaf("sigma").set(3)
    model.leaf("sigma").set(3.0)
    model.leaf("cond|bins").set(4)
    assert told == ["sigma", "cond|bins"]
    assert isinstance(node_of(model, ConditionalNode), ConditionalNode)


@given(st.integers())
def test_integers_of_any_size_pass_as_typed(number: int):
    model = FormModel(tool_of(IntegerParameter(name="n", default=0)))
    model.leaf("n").set(str(number))
    assert model.values() == {"n": number}


@given(st.floats(allow_nan=False, min_value=0, max_value=20))
def test_floats_keep_every_digit(number: float):
    model = FormModel(tool_of(SIGMA))
    model.leaf("sigma").set(repr(number))
    assert model.values() == {"sigma": number}


@given(st.text())
def test_any_text_passes_unchanged(text: str):
    model = FormModel(tool_of(TextParameter(name="t")))
    model.leaf("t").set(text)
    assert model.values() == {"t": text}


@pytest.mark.parametrize("name", ["value", "label", "name", "visible", "parent", "layout", "show"])
def test_names_that_clash_with_widgets_are_plain_names(name: str):
    model = FormModel(tool_of(IntegerParameter(name=name, default=1)))
    model.leaf(name).set(2)
    assert model.values() == {name: 2}


LIST = SelectParameter(
    name="how", label="How", options=options(("Otsu", "otsu"), ("Local", "local")), default="otsu"
)
RADIUS = FloatParameter(
    name="radius", label="Radius", default=25.0, applies=(Condition("how", ("local",)),)
)
ROUND = BooleanParameter(name="round", label="Round", advanced=True, applies=RADIUS.applies)


def test_what_has_no_effect_is_not_sent_and_keeps_what_was_typed():
    model = FormModel(tool_of(RADIUS, LIST))
    heard = []
    model.children[0].changed.connect(lambda: heard.append(model.children[0].idle))
    assert model.values() == {"how": "otsu"} == bind(model.tool)
    model.set_values({"radius": "wide"})
    assert model.problems() == []
    assert [leaf.name for leaf in model.leaves()] == ["how"]
    model.leaf("how").set("local")
    assert [problem.name for problem in model.problems()] == ["radius"]
    model.leaf("radius").set("7")
    model.leaf("how").set("otsu")
    assert model.values() == {"how": "otsu"}
    assert model.values(idle=True) == {"how": "otsu", "radius": 7.0}
    model.leaf("how").set("local")
    assert model.values() == {"how": "local", "radius": 7.0}
    assert heard == [True, False, False, True, False]


def test_what_is_for_stacks_is_hidden_for_flat_images(form, model_viewer):
    deep = replace(LIST, for_ndim=(3, 4))
    widget = form(tool_of(IMAGE, deep))
    assert widget.row("how").isVisible(), "nothing is chosen yet"
    flat = model_viewer.add_image(np.zeros((40, 40)), name="flat")
    assert widget.values() == {"image": flat}
    with pytest.raises(KeyError):
        widget.row("how")
    stack = model_viewer.add_image(np.zeros((3, 40, 40)), name="stack")
    widget.row("image").field.edited(stack)
    assert widget.row("how").isVisible()
    assert widget.values() == {"image": stack, "how": "otsu"}
    widget.row("image").field.edited(Path("file.tif"))
    assert widget.row("how").isVisible(), "nobody knows"


def test_what_is_for_depth_is_hidden_for_movies(form, model_viewer):
    widget = form(tool_of(IMAGE, replace(LIST, for_axes="Z")))
    pixels = np.zeros((3, 40, 40))
    movie = model_viewer.add_image(pixels, name="movie", axis_labels=("t", "y", "x"))
    assert widget.values() == {"image": movie}
    stack = model_viewer.add_image(pixels, name="stack")
    widget.row("image").field.edited(stack)
    assert widget.row("how").isVisible()
    widget.row("image").field.axes._name("TYX")
    with pytest.raises(KeyError):
        widget.row("how")
    one = model_viewer.add_image(pixels[:1], name="one slice", axis_labels=("z", "y", "x"))
    widget.row("image").field.edited(one)
    assert widget.values() == {"image": one}


def test_a_model_file_says_nothing_of_depth(form, model_viewer):
    """With one, what is for depth was shown for a plane."""
    file = DataParameter(name="file", formats=("model",), optional=True)
    widget = form(tool_of(IMAGE, file, replace(LIST, for_axes="Z")))
    flat = model_viewer.add_image(np.zeros((40, 40)), name="flat")
    widget.row("file").field.edited(Path("cyto.pt"))
    assert widget.values() == {"image": flat, "file": Path("cyto.pt")}
    with pytest.raises(KeyError):
        widget.row("how")
    widget.row("image").field.edited(Path("file.tif"))
    assert widget.row("how").isVisible(), "nobody knows"


def test_a_row_is_shown_while_its_value_has_an_effect(form):
    widget = form(tool_of(LIST, RADIUS, ROUND))
    (advanced,) = widget.findChildren(Collapsible)
    with pytest.raises(KeyError):
        widget.row("radius")
    (hidden,) = [row for row in widget.field_rows() if row.node.key == "radius"]
    assert hidden.isHidden()
    assert advanced.isHidden()
    widget.row("how").field.edited("local")
    assert widget.row("radius") is hidden
    assert hidden.isVisible()
    assert advanced.isVisible()
    assert advanced.button.text() == advanced.button.accessibleName() == "Advanced (1)"
    advanced.set_expanded(True)
    assert widget.row("round").isVisible()
    widget.row("how").field.edited("otsu")
    assert not hidden.isVisible()
    assert not advanced.isVisible()


def test_a_layer_is_chosen_for_an_input_that_gets_an_effect(form, model_viewer):
    mask = replace(IMAGE, name="mask", applies=RADIUS.applies)
    model_viewer.add_image(np.zeros((4, 4)), name="cells")
    widget = form(tool_of(LIST, mask))
    assert "mask" not in widget.values()
    assert widget.problems() == []
    widget.row("how").field.edited("local")
    assert widget.values()["mask"] is model_viewer.layers["cells"]
