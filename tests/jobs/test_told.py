"""What records, histories and failures tell a person."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import UnknownToolError, WorkspaceError
from napari_tool_runner.exchange import files
from napari_tool_runner.jobs import (
    Extent,
    JobState,
    RunRecord,
    Scan,
    compare_outputs,
    compare_runs,
    delete_job,
    facts_of,
    find_record,
    read_record,
    recorded_tool,
    remembered,
    run_tests,
    submit,
)
from napari_tool_runner.jobs.past.scan import row_of
from napari_tool_runner.jobs.workspace import workspace_problem
from napari_tool_runner.names import held
from napari_tool_runner.sealed import usage

Config = dict[str, object]
IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)


def test_what_a_layer_remembers(make_tool: MakeTool, config: Config) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    _, attributes, _ = result.outputs["o"].as_layer_data_tuple()
    layer = SimpleNamespace(metadata=attributes["metadata"])
    record = remembered(layer)
    assert record is not None
    assert (record.id, record.folder) == (result.job_id, result.workspace)
    key = "napari_tool_runner"
    for told in (None, {}, {key: 5}, {key: {"tool": "x"}}, {key: {"id": "1", "tool": 5}}):
        assert remembered(SimpleNamespace(metadata=told)) is None, told
    assert remembered(object()) is None


def test_what_a_layer_of_a_file_says_is_a_record_or_nothing(
    make_tool: MakeTool, config: Config
) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    told = result.outputs["o"].as_layer_data_tuple()[1]["metadata"]["napari_tool_runner"]
    endless: list[object] = []
    endless.append(endless)
    many = [{"name": "a", "path": "/x"}] * 1_000_000
    deep: dict[str, object] = {}
    for _ in range(1_000):
        deep = {"a": deep}

    def layer(**changed: object) -> SimpleNamespace:
        return SimpleNamespace(metadata={"napari_tool_runner": {**told, **changed}})

    changes: list[Config] = [
        {"id": np.arange(3)}, {"id": np.array([])}, {"id": 5}, {"id": b"a"}, {"inputs": many},
        {"record": np.arange(3)},
        {"inputs": endless}, {"parameters": dict.fromkeys(range(1_000_000))},
        {"parameters": deep}, {"tool": {**told["tool"], "name": "n" * 5_000_000}},
    ]  # fmt: skip
    for changed in changes:
        assert remembered(layer(**changed)) is None, [*changed]
    for place in (None, 5, ["a"]):
        found = remembered(layer(record=place))
        assert found is not None
        assert not found.folder.is_absolute()
    most = remembered(layer(parameters={"x": [1.5] * 50_000}))
    assert most is not None, "of a job with many values"


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EACCES, "may not be written"),
        (errno.EROFS, "may not be written"),
        (errno.EIO, "cannot be used: Input/output error"),
    ],
)
def test_why_a_workspace_cannot_be_used(number: int, word: str) -> None:
    import os

    problem = workspace_problem(OSError(number, os.strerror(number)), Path("/data/jobs"))
    assert word in problem.message
    assert "/data/jobs" in problem.message
    assert "workspace" in problem.hint


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EIO])
def test_a_file_elsewhere_is_not_the_workspace(number: int) -> None:
    def told(name: str) -> str:
        problem = workspace_problem(OSError(number, "Odd", name), Path("/data/jobs"))
        return f"{problem.message} {problem.hint}"

    assert told("/images/a.tif").startswith("/images/a.tif cannot be used: Odd. It is no file")
    for name in ("/data/jobs/a", "/data/jobs", "/data", "a.tif"):  # relative: in an open folder
        assert "/data/jobs " in told(name)
        assert "workspace" in told(name)


def test_sizes_follow_no_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"123")
    (tmp_path / "deep" / "link").symlink_to(tmp_path / "a")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    assert usage(tmp_path).content == 8
    assert usage(tmp_path / "a").content == 5
    assert usage(tmp_path / "absent") == (0, 0, 0)


@pytest.mark.skipif(os.name == "nt", reason="no holes, no second names told")
def test_what_is_freed_are_the_blocks_of_the_disk(tmp_path: Path) -> None:
    with (tmp_path / "hollow").open("wb") as file:
        file.write(b"1")
        file.truncate(10**11)
    (tmp_path / "outside").write_bytes(bytes(100_000))
    folder = tmp_path / "job"
    folder.mkdir()
    (tmp_path / "hollow").rename(folder / "hollow")
    (folder / "full").write_bytes(os.urandom(300_000))
    os.link(folder / "full", folder / "twice")
    os.link(tmp_path / "outside", folder / "elsewhere")
    taken = usage(folder)
    assert taken.content == 10**11 + 2 * 300_000 + 100_000
    assert 300_000 <= taken.freed < taken.used < 600_000
    assert taken.used - taken.freed == held((tmp_path / "outside").stat())


@pytest.mark.parametrize("lend", [True, False])
def test_a_small_original_is_copied_a_large_one_is_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lend: bool
) -> None:
    monkeypatch.setattr(files, "OWN", 4)
    monkeypatch.setattr(files, "_clone", lambda source, target: False)
    (tmp_path / "folder").mkdir()
    for name, size in (("small", 4), ("large", 5), ("folder/one", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    for name in ("small", "large", "folder"):
        files.place_file(tmp_path / name, tmp_path / f"in-{name}", lend=lend)
        lent = lend and name != "small"
        assert files.lent_original(tmp_path / f"in-{name}") == tmp_path / (
            name if lent else f"in-{name}"
        )
        assert (tmp_path / f"in-{name}").samefile(tmp_path / name) is lent
    (tmp_path / "folder" / "link").symlink_to("one")
    files.place_file(tmp_path / "folder", tmp_path / "again", lend=lend)
    assert not (tmp_path / "again").is_symlink(), "its own link might lead nowhere"
    assert not (tmp_path / "again" / "link").is_symlink()


def test_a_row_says_values_as_a_person_does(make_tool: MakeTool, config: Config) -> None:
    result = ntr.run(make_tool(INVERT), i=(IMAGE, {"name": "cells"}, "image"), config=config)
    record = replace(
        read_record(result.workspace / "record.json"),
        parameters={"a|n": None, "b": True, "c": 0.25, "d": ["x", "y"], "e": "w " * 400},
    )
    row = row_of(record)
    assert dict(row.parameters) | {"e": ""} == {
        "n": "not set", "b": "yes", "c": "0.25", "d": "x, y", "e": "",
    }  # fmt: skip
    assert dict(row.parameters)["e"].endswith("…")
    assert row.summary().startswith("cells · n not set · b yes · c 0.25 · d x, y · e w w")
    before = replace(row, parameters=(("n", "not set"), ("b", "no"), ("c", "0.25"), ("d", "x, y")))
    assert row.changes(before).startswith("b no → yes · e w w")
    assert row.changes(replace(before, inputs=("nuclei",))).startswith("cells · b no → yes")
    assert row.changes(row) == ""
    assert row.final
    assert row.order[1] == record.id
    running = replace(row, state=JobState.RUNNING, created=None)
    assert not running.final
    assert running.order < row.order


def test_a_record_that_is_looked_for(make_tool: MakeTool, config: Config) -> None:
    results = [ntr.run(make_tool(INVERT), i=IMAGE, config=config) for _ in range(2)]
    workspaces = load_config(config).workspaces
    for result in results:
        for name in (result.job_id, str(result.workspace)):
            assert find_record(name, workspaces).id == result.job_id
    with pytest.raises(WorkspaceError, match="no job called “none”"):
        find_record("none", workspaces)
    with pytest.raises(WorkspaceError, match="2 jobs called “”"):
        find_record("", workspaces)


def test_a_job_that_runs_is_not_deleted(make_tool: MakeTool, config: Config) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    record = read_record(result.workspace / "record.json")
    with pytest.raises(WorkspaceError, match="still running"):
        delete_job(replace(record, state=JobState.RUNNING))
    assert result.workspace.is_dir()
    delete_job(record)
    delete_job(record)  # what was asked for is so
    assert not result.workspace.exists()


def test_what_differs_when_the_old_file_is_gone(make_tool: MakeTool, config: Config) -> None:
    add = "import sys, tifffile\ntifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) + {})"
    results = [ntr.run(make_tool(add.format(n)), i=IMAGE, config=config) for n in (1, 2)]
    then = read_record(results[0].workspace / "record.json")
    (sentence,) = compare_outputs(then, results[1])
    assert sentence == "“Output image”: 60 of 60 pixels differ"
    (made,) = then.outputs
    renamed = replace(then, outputs=(replace(made, name="p", label=""),))
    assert compare_outputs(renamed, results[1]) == [
        "“p” was made then, but not now.",
        "“Output image” is new.",
    ]
    lost = replace(made, path=Path("/absent/o.tif"))
    (sentence,) = compare_outputs(replace(then, outputs=(lost,)), results[1])
    assert sentence == "“Output image” has other bytes than then, and the old file is gone."
    place = made.locate()
    assert place is not None
    place.write_bytes(b"no image")
    (sentence,) = compare_outputs(then, results[1])
    assert sentence.startswith("“Output image” cannot be compared: ")


def test_facts_of_an_environment(make_tool: MakeTool, config: Config) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    record = read_record(result.workspace / "record.json")
    provenance = {"python_version": "3.11", "packages": ["a=1", "b=2"], "nothing": []}
    told = facts_of(
        replace(record, notes=("A remark.",), runner=replace(record.runner, provenance=provenance))
    )
    found = {(fact.section, fact.what): fact.text for fact in told}
    assert found["Where", "python version"] == "3.11"
    assert found["Where", "packages"].startswith("recorded")
    assert ("Where", "nothing") not in found
    assert found["Notes", ""] == "A remark."


def test_a_tool_that_no_toolbox_has_any_more(make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(INVERT)
    result = ntr.run(tool, i=IMAGE, config=config)
    record = read_record(result.workspace / "record.json")
    assert recorded_tool(record, load_config(config)).digest == tool.digest
    tool.path.unlink()
    with pytest.raises(UnknownToolError, match="“Invert” of this job is gone"):
        recorded_tool(record, load_config(config))
    known = replace(record, tool=replace(record.tool, id="gaussian_filter"))
    assert recorded_tool(known, load_config(config)).id == "gaussian_filter"


@pytest.mark.parametrize(
    ("script", "test", "status", "word"),
    [
        (INVERT, '<test><param name="i" value="b.tif"/></test>', "error", "b.tif"),
        (INVERT, '<test expect_failure="true"/>', "pass", ""),
        ("raise SystemExit(4)", "<test>{}</test>", "fail", "4"),
        ("raise SystemExit(4)", '<test expect_failure="true">{}</test>', "pass", ""),
        (INVERT, '<test expect_failure="true">{}</test>', "fail", "expects a failure"),
    ],
)
def test_reports_of_tests(
    make_tool: MakeTool, config: Config, script: str, test: str, status: str, word: str
) -> None:
    import tifffile

    given = '<param name="i" value="a.tif"/>'
    tool = make_tool(script, tests=test.format(given))
    (tool.path.parent / "test-data").mkdir()
    tifffile.imwrite(tool.path.parent / "test-data" / "a.tif", IMAGE)
    (report,) = run_tests(tool, config=config)
    assert (report.status, report.message if not word else "") == (status, "")
    assert word in report.message
    assert json.dumps(report.as_dict())


def test_a_collection_is_no_layer(make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(
        "import pathlib\npathlib.Path('parts').mkdir()\n"
        "for name in 'xy':\n    pathlib.Path('parts', name + '.txt').write_text(name)",
        inputs="",
        outputs='<collection name="c" type="list">'
        '<discover_datasets pattern="__name__" directory="parts" format="txt"/></collection>',
        arguments="",
        root='profile="23.0"',
    )
    result = submit(tool, config=config).result()
    output = result.outputs["c"]
    assert (output.layer_type, output.data, output.notes) == ("collection", None, ())
    with pytest.raises(ValueError, match="“c” is a collection, not a layer"):
        output.as_layer_data_tuple()
    assert result.layers() == []


def test_the_past_is_read_once(make_tool: MakeTool, config: Config) -> None:
    results = [ntr.run(make_tool(INVERT), i=IMAGE, config=config) for _ in range(3)]
    workspaces = load_config(config).workspaces
    (results[0].workspace / "record.json").write_text("half a rec")

    first = Scan(workspaces, {})
    first.run()
    rows = first.batch()
    assert first.ended.is_set()
    assert first.batch() == []
    newest = sorted((result.job_id for result in results[1:]), reverse=True)
    (bad,) = [row for _, _, row in rows if row.folder == results[0].workspace]
    assert "cannot be read" in bad.message
    rows = [one for one in rows if one[2] is not bad]
    assert [row.id for _, _, row in rows] == newest
    assert first.present == {result.workspace for result in results}
    assert {row.path.parent for _, _, row in rows} == {one.workspace for one in results[1:]}

    again = Scan(workspaces, {folder: stamp for folder, stamp, _ in rows})
    again.run()
    assert [row.id for _, _, row in again.batch()] == [bad.id]
    (folder, _, _) = rows[0]
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text + "\n")
    changed = Scan(workspaces, {folder: stamp for folder, stamp, _ in rows})
    changed.run()
    assert {row.id for _, _, row in changed.batch()} == {bad.id, newest[0]}


@pytest.mark.parametrize("root", ["", 'profile="21.05"'], ids=["BioImageIT", "Galaxy"])
def test_a_file_of_another_format_is_converted_and_recorded(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, root: str
) -> None:
    tool = make_tool(
        "import sys, shutil; shutil.copy(*sys.argv[1:])",
        inputs='<param name="i" type="data" format="tabular"/>',
        outputs='<data name="o" format="txt"/>',
        arguments="'$i' '$o'" if root else "${i} ${o}",
        root=root,
    )
    path = tmp_path / "a.csv"
    path.write_text("id,area\n1,0.10\n")
    result = ntr.run(tool, i=path, config=config)
    assert result.outputs["o"].path.read_text() == "id\tarea\n1\t0.10\n"
    assert path.read_text() == "id,area\n1,0.10\n"
    assert "a.csv was converted, as the tool takes tabular." in result.record["notes"]
    (given,) = result.record["inputs"]
    assert given["format"] == "tabular"
    assert given["source"]["path"] == str(path)


CHOICES = (
    '<param name="i" type="data" format="imagetiff" label="Picture"/>'
    '<param name="m" type="select" label="Method"><option value="x1">Otsu’s way</option>'
    '<option value="x2">Li</option></param>'
    '<param name="r" type="float" value="2.5" label="Radius"/>'
    '<param name="b" type="boolean" value="true" label="Bright"/>'
)


KINDS = (
    '<param name="i" type="data" format="imagetiff" label="Picture"/>'
    '<param name="d" type="float" value="8" unit="µm or px" label="Diameter"/>'
    '<param name="o2" type="float" optional="true" unit="µm or px" label="Smallest"/>'
    '<param name="p" type="float" value="30" unit="%" label="Share"/>'
    '<param name="n" type="integer" value="3" label="Times"/>'
    '<param name="b" type="boolean" value="false" label="Edge"/>'
    '<param name="c" type="select" multiple="true" label="Which">'
    '<option value="x1" selected="true">Area</option><option value="x2" selected="true">Mean'
    "</option></param>"
    '<param name="t" type="text" value="" label="Word"/>'
    '<param name="f" type="file" value="a.txt" label="List"/>'
)


def test_values_are_told_as_the_form_shows_them(make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(
        "import sys, shutil; shutil.copy(*sys.argv[1:3])", inputs=KINDS, arguments="${i} ${o}"
    )
    sized = {"scale": (0.5, 0.5), "units": ("um", "um"), "axis_labels": ("y", "x")}
    pixels = np.ones((3, 4), np.uint8)
    told = []
    for picture in ((pixels, sized, "image"), pixels):
        result = ntr.run(tool, i=picture, d=1.0412345, config=config)
        told.append(read_record(result.workspace / "record.json"))
    facts = {fact.what: fact.text for fact in facts_of(told[0]) if fact.section == "Parameters"}
    assert facts == {
        "Diameter": "1.04123 µm",
        "Smallest": "not set",
        "Share": "30 %",
        "Times": "3",
        "Edge": "no",
        "Which": "Area, Mean",
        "Word": "empty",
        "List": "a.txt",
    }
    rows = [row_of(one) for one in told]
    assert dict(rows[0].parameters) == facts
    assert rows[1].changes(rows[0]) == "i · Diameter 1.04123 µm → 1.04123 px"
    found = [one for one in compare_runs(*told) if one.section == "Parameters"]
    assert [(one.what, one.first, one.second) for one in found] == [
        ("Diameter", "1.04123 µm", "1.04123 px")
    ]


def test_the_part_that_was_run_on_is_told_in_words() -> None:
    assert Extent().words == ""
    assert Extent("each").words == "each slice"
    assert Extent(crop=(None, (3, 9))).words == "all × 3–8 px"
    assert Extent("current", crop=((0, 2), (3, 9))).words == "one slice, 0–1 × 3–8 px"


def test_people_read_labels(make_tool: MakeTool, config: Config) -> None:
    tool = make_tool(
        "import sys, shutil; shutil.copy(*sys.argv[1:3])", inputs=CHOICES, arguments="${i} ${o}"
    )
    made = [ntr.run(tool, i=np.ones((3, 4), np.uint8), r=r, config=config) for r in (1, 2.5)]
    first, second = (read_record(one.workspace / "record.json") for one in made)
    row = row_of(first)
    assert row.parameters == (("Method", "Otsu’s way"), ("Radius", "1"), ("Bright", "yes"))
    assert row.summary().endswith("Method Otsu’s way · Radius 1 · Bright yes")
    for word in ("m=x1", "method otsu’s way", "r=1", "radius 1"):  # both are found
        assert word in row.words
    told = {(fact.section, fact.what): fact.text for fact in facts_of(first)}
    assert told["Parameters", "Method"] == "Otsu’s way"
    assert ("Inputs", "Picture") in told
    (difference,) = [one for one in compare_runs(first, second) if one.section == "Parameters"]
    assert (difference.what, difference.first, difference.second) == ("Radius", "1", "2.5")
    # a record of before has no labels: the other one's serve both
    told_before = {k: v for k, v in first.to_json().items() if k != "words"}
    before = RunRecord.from_json(told_before, first.folder)
    assert row_of(before).parameters == (("m", "x1"), ("r", "1"), ("b", "yes"))
    for one, two in ((before, second), (second, before)):
        found = [one.what for one in compare_runs(one, two) if one.section == "Parameters"]
        assert found == ["Radius"]
    # another tool has other words for the same names
    other = replace(second, words={"r": ("Size", "2.5"), "m": ("Way", "Otsu’s way")})
    (difference,) = [one for one in compare_runs(first, other) if one.section == "Parameters"]
    assert (difference.what, difference.first, difference.second) == ("Radius / Size", "1", "2.5")
