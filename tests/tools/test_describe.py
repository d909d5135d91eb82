"""A tool as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from tools_helpers import fixture

from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.describe import describe_json, describe_text

GALAXY = """<tool id="t" name="Tell" version="1" profile="23.0">
<description>all of it</description>
<requirements><requirement type="package" version="3">scipy</requirement>
<container type="docker">x/y:1</container></requirements>
<command>t</command><inputs>
<param name="i" type="data" format="tiff,png" label="Image"/>
<param name="more" type="data" format="csv" multiple="true" optional="true"/>
<param name="any" type="data" format="data" optional="true"/>
<section name="s" title="Section"><param name="n" type="integer" value="3" min="1" label="Count"/>
<param name="top" type="float" value="" max="2.5" optional="true"/>
<param name="free" type="float" value="1"/></section>
<conditional name="c"><param name="how" type="select"><option value="a">A</option>
<option value="b" selected="true">B</option></param><when value="a"/>
<when value="b"><param name="w" type="text" label="Word"/></when></conditional>
<repeat name="r" title="Row" min="1"><param name="yes" type="boolean" label="Yes?"/></repeat>
<repeat name="q" title="Query" max="4"><param name="pick" type="select" multiple="true">
<option value="x">X</option></param></repeat></inputs>
<outputs><data name="o" format="tiff" label="Result of it"/><data name="p"/>
<collection name="l" type="list"><discover_datasets pattern="__name__" format="csv"/></collection>
</outputs></tool>"""
TEXT = """\
t  Tell 1
  all of it
  needs: conda scipy=3
  needs: docker image x/y:1
inputs:
  i  data[image/labels; tiff,png] (required)  Image
  more  data[table/points/tracks/shapes/vectors; csv] several
  any  data[any]
  s|n  integer[1..] = 3  Count
  s|top  float[..2.5]
  s|free  float = 1.0
  c|how  select[a|b] = b
    when how = b:
      c|w  text  Word
  r_0, r_1, …  repeated 1 times: Row
    r_0|yes  boolean = False  Yes?
  q_0, q_1, …  repeated 0..4 times: Query
    q_0|pick  select several of[x]
outputs:
  o  ? (tiff)  Result of it
  p  ? (data)
  l  collection of ? (data)"""


def test_a_form_as_text(tmp_path: Path) -> None:
    (tmp_path / "t.xml").write_text(GALAXY)
    assert describe_text(read_tool(tmp_path / "t.xml")) == TEXT


def test_what_there_is_none_of() -> None:
    text = describe_text(fixture("all_types.xml"))
    assert text.startswith(
        "fx_types  All types 1.0.0\ninputs:\n  count  integer[-10..] = -5  Count"
    )
    assert "  many  select several of[x|y|z] = ('x', 'y')  Many\n" in text
    assert "outputs:\n  (none)\nnotes:\n  warning: inputs/param[ratio]" in text


def test_a_tool_in_json() -> None:
    tool = fixture("galaxy_requirement.xml")
    told = json.loads(json.dumps(describe_json(tool)))
    assert told["requirements"] == ["conda scikit-image=0.24.0", "conda tifffile"]
    assert (told["descriptor"], told["runnable"], told["tests"]) == (tool.uri, True, 0)
    image, sigma = told["inputs"]
    assert (image["type"], image["kinds"]) == ("data", ["image", "labels"])
    assert (sigma["type"], sigma["default"], sigma["maximum"]) == ("float", 0.001, None)
    assert not {"native", "validators", "source"} & image.keys()


def test_what_may_stay_empty_is_not_required(tmp_path: Path) -> None:
    """As a draft of a script writes its options without a value."""
    path = tmp_path / "one.xml"
    path.write_text(
        '<tool id="one" name="One"><command>echo --dir=${dir} ${way}</command><inputs>'
        '<param name="dir" type="folder" omit="empty"/><param name="must" type="text"/>'
        '<param name="names" type="text" omit="empty"/>'
        '<param name="way" type="select" omit="empty"><option value="">none</option></param>'
        "</inputs><outputs/></tool>"
    )
    told = [line for line in describe_text(read_tool(path)).splitlines() if "(required)" in line]
    assert [line.split()[0] for line in told] == ["must"]
