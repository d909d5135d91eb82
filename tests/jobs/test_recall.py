"""Results of past jobs come back as they were; two runs are compared; jobs are deleted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_tool_runner as ntr
from jobs.conftest import INVERT
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolFailedError, WorkspaceError
from napari_tool_runner.jobs import (
    JobState,
    add_result,
    compare_runs,
    delete_job,
    history,
    read_record,
    recorded_form,
    recorded_result,
)
from napari_tool_runner.tools import read_tool

if TYPE_CHECKING:
    from jobs.conftest import MakeTool
    from napari_tool_runner.config import Config
    from napari_tool_runner.exchange import LayerData
    from napari_tool_runner.jobs import JobResult, RunRecord

IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)
LAYER = (
    IMAGE,
    {"name": "cells", "scale": (0.5, 0.25), "translate": (7, 8), "rotate": 30},
    "image",
)


def entry_of(result: JobResult) -> RunRecord:
    assert result.record
    return read_record(result.workspace / "record.json")


def layers_of(record: RunRecord, config: Config) -> list[LayerData]:
    return recorded_result(record, config)[0].layers()


@pytest.mark.parametrize("gone", ["nothing", "descriptor", "inputs", "both"])
def test_layers_come_back_as_they_were(
    gone: str, make_tool: MakeTool, config: dict[str, object]
) -> None:
    tool = make_tool(INVERT)
    first = ntr.run(tool, i=LAYER, config=config)
    entry = entry_of(first)
    if gone in ("descriptor", "both"):
        tool.path.unlink()
    if gone in ("inputs", "both"):
        shutil.rmtree(entry.folder / "io" / "inputs")
    ((data, attributes, kind),) = layers_of(entry, load_config(config))
    data_then, attributes_then, kind_then = first.outputs["o"].as_layer_data_tuple()
    np.testing.assert_array_equal(np.asarray(data), np.asarray(data_then))
    assert kind == kind_then == "image"
    assert attributes.keys() <= attributes_then.keys()
    assert attributes["name"] == attributes_then["name"] == "cells · Invert"
    for key in ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels"):
        if attributes_then.get(key) is not None:
            np.testing.assert_array_equal(attributes[key], attributes_then[key], err_msg=key)
    made = attributes["metadata"]["napari_tool_runner"]
    assert made["id"] == entry.id
    assert made["record"] == str(entry.folder / "record.json")


def test_kinds_and_tables_come_back(config: dict[str, object]) -> None:
    image = np.zeros((40, 40), np.uint8)
    image[5:12, 5:12] = image[20:30, 22:30] = 200
    labels = ntr.run("label_components", input=image > 0, config=config)
    ((data, _, kind),) = layers_of(entry_of(labels), load_config(config))
    assert kind == "labels"
    assert np.asarray(data).max() == 2
    table = ntr.run("measure_regions", labels=np.asarray(data), image=image, config=config)
    entry = entry_of(table)
    ((columns, _, kind),) = layers_of(entry, load_config(config))
    assert kind == "table"
    assert len(columns["label"]) == 2


def test_past_results_into_a_viewer(make_tool: MakeTool, config: dict[str, object]) -> None:
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()
    first = ntr.run(make_tool(INVERT), i=LAYER, config=config)
    result, remarks = recorded_result(entry_of(first), load_config(config))
    added = add_result(viewer, result)
    assert remarks == []
    assert [layer.name for layer in viewer.layers] == ["cells · Invert"]
    np.testing.assert_array_equal(np.asarray(added.layers[0].data), IMAGE.max() - IMAGE)


def test_files_that_are_gone_are_told(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(
        "import sys, shutil\nshutil.copy(*sys.argv[1:3])\nshutil.copy(sys.argv[1], sys.argv[3])",
        outputs='<data name="a" format="imagetiff"/><data name="b" format="imagetiff"/>',
        arguments="${i} ${a} ${b}",
    )
    entry = entry_of(ntr.run(tool, i=IMAGE, config=config))
    paths = entry.output_paths()
    paths["a"].unlink()
    result, remarks = recorded_result(entry, load_config(config))
    assert list(result.outputs) == ["b"]
    assert len(remarks) == 1
    assert "no longer there" in remarks[0]
    paths["b"].write_bytes(b"II*\0 broken")
    result, remarks = recorded_result(entry, load_config(config))
    assert result.layers() == []
    assert "cannot be opened" in remarks[1]
    paths["b"].unlink()
    with pytest.raises(WorkspaceError, match="are gone"):
        layers_of(entry, load_config(config))


def test_a_failed_job_has_no_results(make_tool: MakeTool, config: dict[str, object]) -> None:
    with pytest.raises(ToolFailedError):
        ntr.run(make_tool("raise SystemExit(2)"), i=IMAGE, config=config)
    (entry,) = history(load_config(config).workspaces)
    with pytest.raises(WorkspaceError, match="made no results"):
        layers_of(entry, load_config(config))


def test_two_runs_compared(config: dict[str, object]) -> None:
    image = IMAGE.astype(float)
    one = entry_of(ntr.run("gaussian_filter", input=image, sigma=1, config=config))
    two = entry_of(ntr.run("gaussian_filter", input=image + 1, sigma=2.5, config=config))
    found = {(d.section, d.what): (d.first, d.second) for d in compare_runs(one, two)}
    assert found["Parameters", "Sigma"] == ("1 px", "2.5 px")
    assert [what for section, what in found if section == "Parameters"] == ["Sigma"]
    assert ("Tool", "Version") not in found
    first, second = found["Inputs", "Image"]
    assert first != second, "other pixels under the same name are told apart"
    assert ("Outputs", "Smoothed image") in found
    again = entry_of(ntr.run("gaussian_filter", input=image, sigma=1, config=config))
    same = [d for d in compare_runs(one, again) if d.section in ("Inputs", "Parameters", "Tool")]
    assert same == [], "the same data again, exported anew"


def test_what_only_one_run_has_is_told(make_tool: MakeTool, config: dict[str, object]) -> None:
    one = entry_of(ntr.run(make_tool(INVERT), i=IMAGE, config=config))
    two = entry_of(ntr.run("gaussian_filter", input=IMAGE * 1.0, config=config))
    found = {(d.section, d.what): (d.first, d.second) for d in compare_runs(one, two)}
    assert found["Tool", "Tool"][0] == "Invert"
    assert found["Parameters", "Sigma"][0] == "–"
    assert "–" not in found["Inputs", "Image"], "of other names, but called the same"


def test_a_form_is_filled_from_a_record(make_tool: MakeTool, tmp_path: Path) -> None:
    inputs = """
    <param name="n" type="integer" value="1"/>
    <repeat name="rep" title="R"><param name="x" type="float" value="0"/></repeat>
    <section name="sec" title="S"><param name="y" type="text" value=""/></section>
    <conditional name="cond"><param name="mode" type="select"><option value="a">a</option>
    <option value="b">b</option></param><when value="a"/><when value="b">
    <repeat name="deep" title="D"><param name="z" type="integer" value="0"/></repeat></when>
    </conditional>"""
    tool = make_tool("", inputs=inputs, outputs="", arguments="")
    flat = {
        "n": 4,
        "rep_0|x": 0.5,
        "rep_1|x": 1.5,
        "sec|y": "t",
        "cond|mode": "b",
        "cond|deep_0|z": 7,
        "old": 1,
    }
    from napari_tool_runner.jobs import RunRecord

    record = {"tool": {"id": tool.id}, "parameters": flat, "hidden": []}
    assert recorded_form(RunRecord.from_json(record, tmp_path), read_tool(tool.path)) == {
        "n": 4,
        "rep": [{"x": 0.5}, {"x": 1.5}],
        "sec": {"y": "t"},
        "cond": {"mode": "b", "deep": [{"z": 7}]},
        "old": 1,
    }


def test_delete(make_tool: MakeTool, config: dict[str, object]) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    entry = entry_of(result)
    running = replace(entry, state=JobState.RUNNING)
    with pytest.raises(WorkspaceError, match="still running"):
        delete_job(running)
    assert entry.folder.exists()
    delete_job(entry)
    assert not entry.folder.exists()
    delete_job(entry)
    assert history(load_config(config).workspaces) == []


OBJECTS = """
import sys
import numpy as np, tifffile
labels = np.zeros((20, 20), np.uint8)
for n, size in enumerate((2, 3, 4), start=1):
    labels[5 * n : 5 * n + size, :size] = 2 * n
tifffile.imwrite(sys.argv[2], labels)
open(sys.argv[3], "w").write("label,area,v\\n6,16,a\\n2,4,b\\n4,9,c\\n")
open(sys.argv[4], "w").write("area,v\\n4,b\\n9,c\\n16,a\\n")
"""


def test_tables_join_as_they_did_then(make_tool: MakeTool, config: dict[str, object]) -> None:
    components = pytest.importorskip("napari.components")
    tool = make_tool(
        OBJECTS,
        outputs='<data name="a" format="imagetiff" layer="labels"/>'
        '<data name="t" format="tablecsv"/><data name="u" format="tablecsv"/>',
        arguments="${i} ${a} ${t} ${u}",
    )
    first = ntr.run(tool, i=IMAGE, config=config)
    assert (first.outputs["t"].join, first.outputs["t"].column) == ("a", "label")
    entry = entry_of(first)
    result, remarks = recorded_result(entry, load_config(config))
    assert remarks == []
    viewer = components.ViewerModel()
    added = add_result(viewer, result)
    assert set(added.joined) == {"t", "u"}
    assert list(added.joined["t"].features["v"])[1:] == ["b", "c", "a"]
    path = entry.folder / "record.json"
    told = json.loads(path.read_text())
    told["outputs"][1] |= {"column": "v"}  # as somebody may write it
    told["outputs"][2] |= {"join": "", "column": ""}
    path.write_text(json.dumps(told))
    result, _ = recorded_result(read_record(path), load_config(config))
    assert add_result(components.ViewerModel(), result).joined == {}
