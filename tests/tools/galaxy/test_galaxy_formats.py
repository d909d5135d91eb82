"""Formats of a configuration: templates, metadata, outputs and tests hear the tool's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools import bind, dialect_of, read_tool
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    DataFile,
    JobPaths,
    TestOutcome,
)
from napari_tool_runner.tools.formats import FORMATS, read_formats_file
from napari_tool_runner.tools.galaxy.metadata import dataset_metadata, unique_values
from napari_tool_runner.tools.model import SelectParameter, Tool

TABS = {"ours": "tsv", "shop": "zarr", "picture": "png"}
COMMAS = {"ours": "csv", "shop": "dat", "picture": "dat"}
TOOL = """<tool id="t" name="T" version="1" profile="23.0"><command>
echo '$i.ext|${i.is_of_type("binary")}|${i.datatype.is_of_type("binary")}|$i.metadata.columns'
'|$z.extra_files_path|$p.metadata.width|$p.metadata.num_unique_values'
'c=$c.fields.value' > '$o'</command>
<inputs><param name="i" type="data" format="ours"/><param name="z" type="data" format="shop"/>
<param name="p" type="data" format="picture"/>
<param name="c" type="select" optional="true"><options><filter type="data_meta" ref="i"
key="columns"/></options></param></inputs>
<outputs><data name="o" format_source="i"/></outputs>
<tests><test><param name="i" value="a"/><param name="z" value="a"/><param name="p" value="a"/>
<output name="o" ftype="binary"><metadata name="columns" value="2"/></output></test></tests></tool>
"""


def read(folder: Path, rows: Mapping[str, str]) -> Tool:
    """Read the tool with a configuration's formats."""
    (folder / "t.xml").write_text(TOOL)
    viewers = {"ours": "table", "shop": "napari", "picture": "napari"}
    told = [{"name": n, "extension": end, "viewer": viewers[n]} for n, end in rows.items()]
    (folder / "formats.json").write_text(json.dumps(told))
    return read_tool(
        folder / "t.xml", formats=FORMATS.extended(read_formats_file(folder / "formats.json"))
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, object]:
    table, store, picture = (tmp_path / name for name in ("a.x", "b.x", "c.x"))
    table.write_text("1\t2,3,4\n5\t6,7,8\n")
    store.mkdir()
    Image.fromarray(np.zeros((4, 5), "uint8")).save(picture, format="png")
    return {
        "i": DataFile(table, "ours", "a"),
        "z": DataFile(store, "shop", "b"),
        "p": DataFile(picture, "picture", "c"),
    }


def test_configurations_that_disagree(tmp_path: Path, files: dict[str, object]) -> None:
    tabs, commas = read(tmp_path, TABS), read(tmp_path, COMMAS)
    unknown = read_tool(tmp_path / "t.xml")
    expected = {
        tabs: ("ours|False|False|2", f"|{tmp_path}/b.x|5|1", "o.tsv"),
        commas: ("ours|False|False|3", f"|{tmp_path}/b.x_files|5|1", "o.csv"),
        unknown: ("ours|True|True|", f"|{tmp_path}/b.x_files||", "o.ours"),
    }
    for tool, (first, second, name) in expected.items():
        rendered = dialect_of(tool).render(tool, bind(tool, files), JobPaths(tmp_path), {})
        assert f"'{first}'" in rendered.script
        assert f"'{second}'" in rendered.script
        assert (rendered.outputs[0].path.name, rendered.outputs[0].format) == (name, "ours")


def test_choices_from_metadata(tmp_path: Path, files: dict[str, object]) -> None:
    tabs, commas = read(tmp_path, TABS), read(tmp_path, COMMAS)
    for tool, columns in ((tabs, ["2"]), (commas, ["3"]), (read_tool(tabs.path), [])):
        (chosen,) = (one for one in tool.parameters() if isinstance(one, SelectParameter))
        assert chosen.source is not None
        assert [entry.value for entry in chosen.source.options(files)] == columns


def test_a_tool_that_was_read_hears_another_configuration(
    tmp_path: Path, files: dict[str, object]
) -> None:
    tabs = read(tmp_path, TABS)
    unknown = read_tool(tabs.path)
    heard = replace(unknown, formats=tabs.formats)
    bound = bind(heard, {**files, "c": "2"})
    rendered = dialect_of(heard).render(heard, bound, JobPaths(tmp_path), {})
    assert "'c=2'" in rendered.script
    with pytest.raises(ParameterError, match="there is none"):
        dialect_of(unknown).render(unknown, bound, JobPaths(tmp_path), {})


def test_verification(tmp_path: Path, files: dict[str, object]) -> None:
    table = files["i"]
    assert isinstance(table, DataFile)
    told = {
        read(tmp_path, TABS): ["Output “o” is “ours”, not “binary”."],
        read(tmp_path, COMMAS): [
            "Output “o” is “ours”, not “binary”.",
            "Output “o”: the metadata “columns” is 3, not 2.",
        ],
        read_tool(tmp_path / "t.xml"): ["Output “o”: the metadata “columns” is None, not 2."],
    }
    for tool, problems in told.items():
        made = CollectedOutput(tool.output("o"), (CollectedFile(table.path, "ours"),))
        outcome = TestOutcome(0, "", "", {"o": made}, "", failed=False)
        assert dialect_of(tool).verify(tool, tool.tests[0], outcome) == problems


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "psd", "npy", "zarr"])
def test_pictures_are_read_by_what_the_table_says(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    if ending in ("png", "bmp", "ppm"):
        Image.fromarray(np.eye(4, 5, dtype="uint8")).save(path)
    elif ending == "npy":
        np.save(path, np.eye(4))
    file = DataFile(path, ending, "a")
    readable = ending in ("png", "bmp", "ppm")
    assert dataset_metadata(file, FORMATS).get("width") == (5 if readable else None)
    # Galaxy counts those of PNG and TIFF
    assert unique_values(file, FORMATS) == (2 if ending == "png" else None)
