"""A test of a run of a Galaxy tool: written as Galaxy writes it, also what stands in others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.jobs import drafted_test, history, run_tests
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.dialect import Dialect
from napari_tool_runner.tools.drafts.sketch import Sketch
from napari_tool_runner.tools.drafts.testing import NewTest

TOOL = """<tool id="scale" name="Scale" version="1" profile="21.05">
    <command>python '$__tool_directory__/scale.py' '$i' '$o' '$how.by' '$words'</command>
    <inputs>
        <param name="i" type="data" format="tiff"/>
        <conditional name="how">
            <param name="kind" type="select">
                <option value="a" selected="true">a</option>
                <option value="b">b</option>
            </param>
            <when value="a"><param name="by" type="integer" value="1"/></when>
            <when value="b"><param name="by" type="integer" value="2"/></when>
        </conditional>
        <param name="words" type="text" value=""/>
    </inputs>
    <outputs><data name="o" format="tiff"/></outputs>
</tool>
"""
SCRIPT = """
import sys
import tifffile
tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) * int(sys.argv[3]))
"""


def test_a_run_of_a_galaxy_tool_becomes_a_test(tmp_path: Path) -> None:
    pytest.importorskip("galaxy.tool_util")
    config: dict[str, object] = {"workspace": str(tmp_path / "jobs")}
    path = tmp_path / "scale" / "scale.xml"
    path.parent.mkdir()
    path.write_text(TOOL)
    (path.parent / "scale.py").write_text(SCRIPT)
    values = {"how|kind": "b", "how|by": 3, "words": 'a "b" <c>'}
    ntr.run(path, config=config, values={"i": np.ones((8, 8), np.uint8), **values})
    (record,) = history(load_config(config).workspaces)
    drafted_test(record, load_config(config)).write(load_config(config))
    tool = read_tool(path)
    assert len(tool.tests) == 1
    assert [report.status for report in run_tests(tool, config=config)] == ["pass"]
    (path.parent / "scale.py").write_text(SCRIPT.replace("int(sys.argv[3])", "9"))
    assert [report.status for report in run_tests(tool, config=config)] == ["fail"]
    assert "image_diff" in path.read_text()


def test_languages_that_write_nothing_say_so() -> None:
    class Silent(Dialect):
        name = label = "silent"
        patterns = ("*.silent",)
        score = read = render = collect = verify = lambda *_, **__: None

    with pytest.raises(DescriptorError, match="not written in the language of silent"):
        Silent().draft(Sketch("a", "A", "a.py"))
    with pytest.raises(DescriptorError, match="not written into descriptors of silent"):
        Silent().with_test("", NewTest())
