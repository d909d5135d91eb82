"""A process without a job, as whoever writes a service tries it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.plugins import Process
from napari_tool_runner.plugins.process import as_process, context_of
from napari_tool_runner.tools import read_tool
from napari_tool_runner.tools.dialect import DataCollection, DataFile

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    path = tmp_path / "t.xml"
    path.write_text(
        '<tool id="t" name="T" version="1.5" profile="23.0"><requirements>'
        '<requirement type="package" version="2">scipy</requirement>'
        '<container type="docker">lab/tool:1</container></requirements><command>x</command>'
        '<inputs><param name="i" type="data" multiple="true"/>'
        '<param name="c" type="data_collection" collection_type="list"/>'
        '<param name="s" type="select"><option value="a">Alpha</option></param>'
        '<param name="b" type="boolean" truevalue="--on" falsevalue="--off"/>'
        '<param name="m" type="select" multiple="true"><option value="a">A</option>'
        '<option value="b">B</option></param></inputs>'
        '<outputs><data name="o" format="txt"/></outputs></tool>'
    )
    return read_tool(path)


def test_what_a_process_tells(tool: Tool) -> None:
    assert as_process(tool).tool is tool
    process = Process(tool, {"i": [], "c": None, "s": "a", "b": False, "m": ()})
    assert as_process(process) is process
    assert process.fullname() == "T_v1.5"
    assert (process.inputs_size(), process.param_size(), process.outputs_size()) == (2, 3, 0)
    assert process.container() == {"origin": "container", "type": "docker", "uri": "lab/tool:1"}
    assert process.is_param("s")
    assert not process.is_param("o")
    (select,) = [entry for entry in process.inputs if entry.name == "s"]
    assert select.select_info is not None
    assert (select.select_info.size(), select.select_info.names) == (1, ["Alpha"])


def test_values_as_text_and_as_files(tool: Tool, tmp_path: Path) -> None:
    files = [DataFile(tmp_path / name, "txt", name) for name in ("a", "b", "c")]
    collection = DataCollection("list", (("one", files[2]),))
    values = {"i": files[:2], "c": collection, "b": True, "m": ("a", "b")}
    process = Process(tool, values)
    texts = {entry.name: entry.value for entry in process.inputs}
    assert texts["i"] == f"{tmp_path / 'a'},{tmp_path / 'b'}"
    assert (texts["b"], texts["m"]) == ("--on", "a,b")
    assert process.data_paths == tuple(file.path for file in files)


def test_its_program_works_here(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    process = Process(tool)
    context = context_of(process)
    assert context_of(process) is context
    assert os.path.samefile(context.work_dir, tmp_path)
    context.say("a line")
    out, err = capfd.readouterr()
    assert "a line" in out + err
