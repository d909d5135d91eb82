"""Past jobs: listed, repeated, compared, exported, cleaned."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import ToolFailedError, UnknownToolError, WorkspaceError
from napari_tool_runner.jobs import (
    RunRecord,
    as_command,
    as_python,
    compare_outputs,
    export_crate,
    find_record,
    history,
    read_record,
    reclaim,
    reclaimable,
    recorded_result,
    rerun,
    run_job,
)
from napari_tool_runner.sealed import content_sha256
from support import until_kept

IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)
NOISE = """
import sys, time, numpy, tifffile
image = tifffile.imread(sys.argv[1])
seed = time.time_ns() % 2**32
tifffile.imwrite(sys.argv[2], numpy.random.default_rng(seed).integers(0, 255, image.shape))
"""


def test_every_end_leaves_a_record(make_tool: MakeTool, config: dict[str, object]) -> None:
    ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    with pytest.raises(ToolFailedError):
        ntr.run(make_tool("raise SystemExit(2)", name="bad"), i=IMAGE, config=config)
    entries = history(load_config(config).workspaces)
    assert {(entry.tool.id, entry.state) for entry in entries} == {
        ("invert", "done"),
        ("bad", "failed"),
    }
    done = next(entry for entry in entries if entry.state == "done")
    assert done.output_paths()["o"].exists()
    assert done.size() > 0
    assert find_record(done.id, load_config(config).workspaces).id == done.id
    assert find_record(done.folder, Path("nowhere")).id == done.id


def test_a_session_that_died_is_told(make_tool: MakeTool, config: dict[str, object]) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    record = result.record
    record["state"] = "running"
    record["host"]["pid"] = 2**22 + 1  # type: ignore[index]
    (result.workspace / "record.json").write_text(json.dumps(record))
    assert read_record(result.workspace / "record.json").state == "interrupted"


def test_a_process_id_that_was_given_again_keeps_no_job_running(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    record = {**result.record, "state": "running"}
    place = result.workspace / "record.json"
    place.write_text(json.dumps(record))
    assert read_record(place).state == "running", "this process lives"
    # another process had that number then
    assert record["host"]["pid"] == os.getpid()  # type: ignore[index]
    record["host"]["process"] += "1"  # type: ignore[index]
    place.write_text(json.dumps(record))
    assert read_record(place).state == "interrupted"


@pytest.mark.parametrize("text", ["{", "[" * 200_000], ids=["cut", "deep"])
def test_a_broken_record_hides_no_other(
    make_tool: MakeTool, config: dict[str, object], caplog: pytest.LogCaptureFixture, text: str
) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    other = result.workspace.parent / "broken"
    other.mkdir()
    (other / "record.json").write_text(text)
    assert len(history(load_config(config).workspaces)) == 1
    assert "broken" in caplog.text


def test_again_gives_the_same_pixels(make_tool: MakeTool, config: dict[str, object]) -> None:
    layer = (IMAGE, {"name": "cells", "scale": (0.5, 0.5), "translate": (7, 8)}, "image")
    first = ntr.run(make_tool(INVERT), i=layer, config=config)
    assert first.record
    entry = read_record(first.workspace / "record.json")
    job, remarks = rerun(entry, load_config(config))
    second = run_job(job)
    assert remarks == []
    assert compare_outputs(entry, second) == []
    attributes = second.outputs["o"].as_layer_data_tuple()[1]
    np.testing.assert_allclose(attributes["translate"], (7, 8))
    assert attributes["name"] == "cells · Invert"


def test_again_in_another_folder(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    first = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    assert first.record
    moved = tmp_path / "elsewhere" / "job"
    shutil.copytree(first.workspace, moved)
    shutil.rmtree(first.workspace)
    entry = read_record(moved / "record.json")
    job, _ = rerun(entry, load_config({**config, "workspace": str(tmp_path / "new")}))
    assert compare_outputs(entry, run_job(job)) == []


def test_what_differs_is_told(make_tool: MakeTool, config: dict[str, object]) -> None:
    first = ntr.run(make_tool(NOISE), i=IMAGE, config=config)
    assert first.record
    entry = read_record(first.workspace / "record.json")
    descriptor = Path(entry.tool.descriptor)
    descriptor.write_text(descriptor.read_text().replace('version="1.0"', 'version="2.0"'))
    job, remarks = rerun(entry, load_config(config))
    assert "2.0" in remarks[0]
    (difference,) = compare_outputs(entry, run_job(job))
    assert "of 60 pixels differ" in difference


def test_what_is_gone_is_told(make_tool: MakeTool, config: dict[str, object]) -> None:
    first = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    entry = read_record(first.workspace / "record.json")
    shutil.rmtree(first.workspace / "io" / "inputs")
    with pytest.raises(WorkspaceError, match="gone"):
        rerun(entry, load_config(config))
    Path(entry.tool.descriptor).unlink()
    with pytest.raises(UnknownToolError, match="gone"):
        rerun(entry, load_config(config))


TABLE = {"inputs": '<param name="i" type="data" format="tablecsv" layer="table"/>'}
COPY = "import sys, shutil\nshutil.copy(*sys.argv[1:3])"


@pytest.mark.parametrize("kind", ["array", "layer", "table"])
def test_a_file_of_that_name_is_no_input_of_the_past(
    kind: str,
    make_tool: MakeTool,
    config: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What an input was ("array") is no name of a file that lies about."""
    value: object = IMAGE
    if kind == "layer":
        value = pytest.importorskip("napari.layers").Image(IMAGE, name="cells")
    elif kind == "table":
        value = {"a": np.arange(3.0)}
    tool = make_tool(
        COPY,
        outputs='<data name="o" format="txt"/>',
        name=kind,
        **(TABLE if kind == "table" else {}),
    )
    result = ntr.run(tool, values={"i": value}, config=config)
    entry = read_record(result.workspace / "record.json")
    shutil.rmtree(entry.folder / "io" / "inputs")
    elsewhere = tmp_path / "current"
    elsewhere.mkdir()
    (elsewhere / kind).write_bytes(b"unrelated")
    monkeypatch.chdir(elsewhere)
    with pytest.raises(WorkspaceError, match="gone"):
        rerun(entry, load_config(config))
    for text in (as_command(entry), as_python(entry)):
        assert str(entry.folder / "io" / "inputs") in text, "where it lay, not what lies about"
    _, remarks = recorded_result(entry, load_config(config))
    assert remarks == []


def test_a_crate(make_tool: MakeTool, config: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("rocrate")
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    assert result.record
    entry = read_record(result.workspace / "record.json")
    target = export_crate(entry, tmp_path / "job.zip")
    with zipfile.ZipFile(target) as crate:
        graph = json.loads(crate.read("ro-crate-metadata.json"))["@graph"]
        names = crate.namelist()
    action = next(entity for entity in graph if entity["@type"] == "CreateAction")
    assert action["actionStatus"].endswith("CompletedActionStatus")
    assert "record.json" in names
    assert [name for name in names if name.startswith("io/inputs/") and name.endswith(".tif")]
    assert [entity["@id"] for entity in graph if "ro/wfrun/process" in entity["@id"]]
    assert action["result"]
    with pytest.raises(WorkspaceError, match="exists"):
        export_crate(entry, target)


def test_a_crate_with_the_original(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    """The original stands in for a copy that was cleaned, as long as it is the same."""
    pytest.importorskip("rocrate")
    source = tmp_path / "mine.tif"
    tifffile.imwrite(source, IMAGE)
    result = ntr.run(make_tool(COPY), i=source, config=config)
    assert result.record
    record = read_record(result.workspace / "record.json")
    shutil.rmtree(record.folder / "io" / "inputs")
    with zipfile.ZipFile(export_crate(record, tmp_path / "job.zip")) as crate:
        assert crate.read("io/inputs/mine.tif") == source.read_bytes()
    tifffile.imwrite(source, IMAGE + 1)
    with pytest.raises(WorkspaceError, match="changed"):
        export_crate(record, tmp_path / "other.zip")
    source.unlink()
    with pytest.raises(WorkspaceError, match="gone"):
        export_crate(record, tmp_path / "other.zip")


def test_cleaning(make_tool: MakeTool, config: dict[str, object]) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    until_kept()
    settings = load_config(config)
    # the results of earlier runs are one thing, which has no age
    assert {item.kind for item in reclaimable(settings, older_than_days=1)} <= {"results"}
    items = [item for item in reclaimable(settings) if item.kind == "job"]
    assert [item.size > 0 for item in items] == [True]
    assert reclaim(items) == []
    assert not result.workspace.exists()
    assert "was not deleted" in reclaim(items)[0]


def remarks(record: RunRecord) -> list[str]:
    return [text for one in record.inputs if (text := one.remark())]


def test_what_was_changed_is_told_everywhere(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    """In a repetition, beside what is copied, and instead of a crate."""
    pytest.importorskip("rocrate")
    source = tmp_path / "mine.tif"
    tifffile.imwrite(source, IMAGE)
    result = ntr.run(make_tool(INVERT), i=source, config=config)
    assert result.record
    record = read_record(result.workspace / "record.json")
    assert remarks(record) == []
    own = record.inputs[0].path
    own.unlink()
    assert remarks(record) == [], "the original is what went in"
    tifffile.imwrite(source, IMAGE + 1)
    for place in (source, own):
        if place == own:
            tifffile.imwrite(own, IMAGE + 1)
        (remark,) = remarks(record)
        assert str(place) in remark
        assert "changed since" in remark
        assert rerun(record, load_config(config))[1] == [remark]
        with pytest.raises(WorkspaceError, match="changed"):
            export_crate(record, tmp_path / "c.zip")
    tifffile.imwrite(own, IMAGE)
    tifffile.imwrite(record.outputs[0].path, IMAGE + 7)
    with pytest.raises(WorkspaceError, match="changed"):
        export_crate(record, tmp_path / "c.zip")


@pytest.mark.parametrize("old", [False, True])
def test_an_edited_layer_is_not_the_file_that_it_was_opened_from(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, old: bool
) -> None:
    source = pytest.importorskip("napari.layers._source")
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, IMAGE)
    with source.layer_source(path=str(path)):
        layer = pytest.importorskip("napari.layers").Image(IMAGE * 2 + 5, name="edited")
    result = ntr.run(make_tool(INVERT), i=layer, config=config)
    told = result.record
    assert told["inputs"][0]["source"] == {  # type: ignore[index]
        "kind": "layer", "path": str(path), "sample": "", "job": "",
    }  # fmt: skip
    if old:  # as it was recorded before
        told["inputs"][0]["source"]["kind"] = "file"  # type: ignore[index]
        (result.workspace / "record.json").write_text(json.dumps(told))
    record = read_record(result.workspace / "record.json")
    assert remarks(record) == []
    shutil.rmtree(record.folder / "io" / "inputs")
    (remark,) = remarks(record)
    assert "gone" in remark
    assert str(path) not in as_command(record) + as_python(record)
    with pytest.raises(WorkspaceError, match="gone"):
        rerun(record, load_config(config))


def test_a_crate_keeps_what_lies_elsewhere_inside(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    pytest.importorskip("rocrate")
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    told = result.record
    tifffile.imwrite(result.workspace.parent / "x.tif", IMAGE)
    told["outputs"][0] |= {  # type: ignore[index]
        "path": "../x.tif",
        "sha256": content_sha256(result.workspace.parent / "x.tif"),
    }
    (result.workspace / "record.json").write_text(json.dumps(told))
    target = export_crate(read_record(result.workspace / "record.json"), tmp_path / "a" / "crate")
    assert (target / "outputs" / "x.tif").is_file()
    assert not (target.parent / "x.tif").exists()
    with pytest.raises(WorkspaceError, match="cannot be written"):
        export_crate(read_record(result.workspace / "record.json"), Path("/proc/none/c.zip"))


def test_a_time_without_a_zone_stops_no_cleaning(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    told = result.record
    told["times"]["created"] = "2020-01-01T00:00:00"  # type: ignore[index]
    (result.workspace / "record.json").write_text(json.dumps(told))
    settings = load_config(config)
    for days, found in ((1, 1), (1e308, 0), (float("inf"), 0), (float("nan"), 0)):
        items = reclaimable(settings, older_than_days=days)
        assert len([item for item in items if item.kind == "job"]) == found
