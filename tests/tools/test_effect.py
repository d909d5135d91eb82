"""Parameters that have an effect only while others have certain values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tools_helpers import argv, notes, written

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools import bind
from napari_tool_runner.tools.describe import describe_json, describe_text
from napari_tool_runner.tools.effect import Condition, without_effect
from napari_tool_runner.tools.model import Severity, Tool

BODY = """<command>t --how ${how} --radius ${radius} --edge ${edge} --sure=${sure} --mask ${mask}
--sigma ${sigma}</command><inputs>
<param name="edge" type="integer" value="3" min="0" applies="sure=yes" label="Edge"/>
<param name="how" type="select" label="How"><option value="otsu">Otsu</option>
<option value="local">Local mean</option><option value="manual">Manual</option></param>
<param name="radius" type="float" value="25" min="1" applies="how=local, manual" label="Radius"/>
<param name="sure" type="boolean" value="false" applies="how!=manual" label="Sure"/>
<param name="mask" type="data" format="imagetiff" optional="true" label="Mask"/>
<param name="sigma" type="float" min="0" applies="mask=; how=local" label="Sigma"/></inputs>"""


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    made = written(tmp_path, BODY)
    assert not notes(made, Severity.WARNING)
    return made


def test_the_attribute_is_read(tool: Tool) -> None:
    applies = {one.name: one.applies for one in tool.inputs}
    assert applies["radius"] == (Condition("how", ("local", "manual")),)
    assert applies["sure"] == (Condition("how", ("manual",), differs=True),)
    assert applies["edge"] == (Condition("sure", (True,)),)
    assert applies["sigma"] == (Condition("mask", (None,)), Condition("how", ("local",)))
    assert applies["how"] == ()


def test_only_what_has_an_effect_is_bound(tool: Tool) -> None:
    assert bind(tool) == {"how": "otsu", "sure": False, "mask": None}
    assert bind(tool, {"sure": True}).keys() == {"edge", "how", "sure", "mask"}
    assert bind(tool, {"how": "Local mean", "sigma": 1})["sigma"] == 1
    with pytest.raises(ParameterError, match="Sigma"):
        bind(tool, {"how": "local"})  # needed where it has an effect
    assert "sigma" not in bind(tool, {"how": "local", "mask": np.ones((2, 2))})


def test_what_asks_for_a_parameter_without_effect_has_none(tool: Tool) -> None:
    assert "edge" not in bind(tool, {"how": "manual", "sure": True})


def test_a_value_in_vain_is_told_and_is_no_error(tool: Tool) -> None:
    told: list[str] = []
    bound = bind(tool, {"radius": "wide", "edge": 7, "sigma": -2}, told=told.append)
    assert bound == bind(tool)
    assert told == [
        "“Edge” has no effect while “Sure” is “no”.",
        "“Radius” has no effect while “How” is “Otsu”.",
        "“Sigma” has no effect while “How” is “Otsu”.",
    ]
    told.clear()
    given = {"how": "local", "mask": np.ones((2, 2)), "sigma": np.ones(3)}
    bind(tool, given, told=told.append)
    assert told == ["“Sigma” has no effect while “Mask” is given."]


def test_a_default_in_vain_is_not_told(tool: Tool) -> None:
    told: list[str] = []
    bind(tool, {"radius": "25", "edge": 3, "sigma": None}, told=told.append)
    assert told == []


def test_a_sweep_keeps_what_may_have_an_effect_later(tool: Tool) -> None:
    kept = bind(tool, {"radius": 7}, idle=True)
    assert (kept["radius"], kept["edge"]) == (7, 3)
    assert "sigma" not in kept  # it has no value
    with pytest.raises(ParameterError, match="no parameter “radios”"):
        bind(tool, {"radios": 7})


def test_the_program_gets_the_default_of_what_has_no_effect(tool: Tool) -> None:
    assert argv(tool, {"radius": 7}) == [
        "t", "--how", "otsu", "--radius", "25", "--edge", "3", "--sure=false",
    ]  # fmt: skip
    assert argv(tool, {"how": "manual", "radius": 7})[4] == "7"


def test_it_is_told_on_the_command_line(tool: Tool) -> None:
    text = describe_text(tool)
    assert "radius  float[1.0..] = 25.0  Radius (only with how = local or manual)" in text
    assert "Sure (only with how is not manual)" in text
    assert "Sigma (only with mask = nothing; how = local)" in text
    told = json.loads(json.dumps(describe_json(tool)))["inputs"]
    asked = {one["name"]: one["applies"] for one in told}
    assert asked["edge"] == [{"name": "sure", "values": [True], "differs": False}]


@pytest.mark.parametrize(
    ("applies", "what"),
    [
        ("method=b", "“method” is no parameter"),
        ("how=c", "“how” never is c"),
        ("how", "“how” is no NAME=VALUE"),
        ("data=a.tif", "“data” never is a.tif"),
        ("many=4.5", "“many” never is 4.5"),
        ("x=1", "depends on this parameter itself"),
    ],
)
def test_what_cannot_be_meant_is_a_note_and_the_parameter_stays(
    tmp_path: Path, applies: str, what: str
) -> None:
    tool = written(
        tmp_path,
        f"""<command>t ${{how}} ${{x}} ${{many}} ${{data}}</command><inputs>
        <param name="how" type="select"><option>a</option><option>b</option></param>
        <param name="many" type="integer" value="1"/>
        <param name="data" type="data" format="imagetiff" optional="true"/>
        <param name="x" type="float" value="1" applies="{applies}"/></inputs>""",
    )
    (note,) = notes(tool, Severity.WARNING)
    assert what in note
    assert note.startswith("inputs/param[x]")
    assert bind(tool)["x"] == 1


def test_a_circle_is_told_once(tmp_path: Path) -> None:
    tool = written(
        tmp_path,
        """<command>t ${a} ${b}</command><inputs>
        <param name="a" type="integer" value="1" applies="b=1"/>
        <param name="b" type="integer" value="1" applies="a=1"/></inputs>""",
    )
    assert len(notes(tool, Severity.WARNING)) == 1
    assert bind(tool, {"a": 2}) == {"a": 2}


def test_of_several_choices_one_will_do() -> None:
    condition = Condition("parts", ("a", "b"))
    assert condition.holds(("c", "b"))
    assert not condition.holds(("c",))
    assert not condition.holds(())
    assert Condition("parts", (None,)).holds(())
    assert not Condition("layer", (None,)).holds(np.ones(3))
    assert without_effect({"x": (condition,)}, {"parts": ("a",)}) == {}
