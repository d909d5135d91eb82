"""The run record: what is written is read again, also what older versions wrote."""

from __future__ import annotations

import json
import shutil
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import napari_tool_runner as ntr
from jobs.conftest import INVERT
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import WorkspaceError
from napari_tool_runner.jobs import (
    Extent,
    JobState,
    RunRecord,
    compare_outputs,
    facts_of,
    read_record,
    rerun,
    run_job,
)
from napari_tool_runner.jobs.record import (
    RecordedCommand,
    RecordedError,
    RecordedHost,
    RecordedInput,
    RecordedOutput,
    RecordedRunner,
    RecordedSource,
    RecordedTimes,
    RecordedTool,
    SourceKind,
)

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

OLD = Path(__file__).parent / "old_records"
"""Written by the commit before the record was typed: an array, a file, each slice."""
FOLDER = Path("/jobs/tool/1").absolute()

texts = st.text(string.printable + "ü漢", max_size=8)
names = st.text(string.ascii_letters, min_size=1, max_size=6)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
paths = names.map(lambda name: FOLDER / "outputs" / name) | st.just(Path("/else/where").absolute())
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
records = st.builds(
    RunRecord,
    folder=st.just(FOLDER),
    id=names,
    state=st.sampled_from([state for state in JobState if state.is_finished]),
    tool=st.builds(RecordedTool, names, texts, texts, texts, texts, texts),
    runner=st.builds(RecordedRunner, names, texts, st.dictionaries(names, plain, max_size=2)),
    parameters=st.dictionaries(names, plain, max_size=3),
    hidden=st.tuples(names),
    extent=st.none() | st.builds(Extent, st.just("each"), crop=st.just(((1, 2), None))),
    inputs=st.tuples(
        st.builds(
            RecordedInput,
            names,
            texts,
            paths,
            texts,
            st.none() | names,
            st.builds(RecordedSource, st.sampled_from(SourceKind), texts, texts),
            st.none() | st.dictionaries(names, plain, min_size=1, max_size=2),
        )
    ),
    outputs=st.tuples(st.builds(RecordedOutput, names, texts, paths, texts, texts, texts)),
    command=st.builds(RecordedCommand, st.tuples(texts), texts, st.dictionaries(names, texts)),
    times=st.builds(RecordedTimes, st.none() | times, times, times, st.floats(0, 1e6)),
    exit_code=st.none() | st.integers(),
    error=st.none() | st.builds(RecordedError, names, texts, texts, st.tuples(texts)),
    notes=st.tuples(texts),
    user=texts,
    host=st.builds(RecordedHost, texts, texts, texts, texts, st.none() | st.integers()),
    log=st.just(FOLDER / "log.txt"),
)


@given(records)
def test_what_is_written_is_read_again(record: RunRecord) -> None:
    text = json.dumps(record.to_json())
    assert RunRecord.from_json(json.loads(text), FOLDER) == record
    assert RunRecord.from_json(json.loads(text), FOLDER).to_json() == json.loads(text)


def test_a_record_moves_with_its_folder(tmp_path: Path) -> None:
    record = RunRecord(
        folder=FOLDER,
        id="1",
        tool=RecordedTool("t"),
        inputs=(RecordedInput("i", "i", FOLDER / "inputs" / "i.tif"),),
    )
    assert RunRecord.from_json(record.to_json(), tmp_path).inputs[0].path == (
        tmp_path / "inputs" / "i.tif"
    )


def old(name: str, folder: Path) -> RunRecord:
    folder.mkdir(exist_ok=True)
    shutil.copy(OLD / f"{name}.json", folder / "record.json")
    return read_record(folder / "record.json")


@pytest.mark.parametrize("name", ["array", "file", "slices"])
def test_records_of_version_1_are_read(name: str, tmp_path: Path) -> None:
    told = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    assert told["version"] == 1
    record = old(name, tmp_path)
    assert record.state is JobState.DONE
    assert (record.tool.id, record.tool_name, record.tool.dialect) == (
        "invert",
        "Invert",
        "bioimageit",
    )
    assert record.parameters == {"n": 3}
    assert record.times.seconds == told["times"]["seconds"]
    assert record.outputs[0].path == tmp_path / told["outputs"][0]["path"]
    (entry,) = record.inputs
    if name == "file":
        assert entry.source == RecordedSource(SourceKind.FILE, "/data/ada/mine.tif")
    else:
        assert entry.source == RecordedSource(SourceKind.ARRAY)
    assert (record.slices is not None) == (name == "slices")
    again = record.to_json()
    assert again["version"] == 2
    assert again["host"].pop("process") == ""  # type: ignore[attr-defined]
    for made in again["outputs"]:  # type: ignore[attr-defined]
        assert (made.pop("join"), made.pop("column"), made.pop("objects")) == ("", "", None)
        assert made.pop("label") == ""
    for key in told.keys() - {"version", "inputs"}:
        assert again[key] == told[key], key
    assert {fact.section for fact in facts_of(record)} >= {"Run", "Inputs", "Parameters", "Tool"}


def test_a_job_of_version_1_is_repeated(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    """Its input is found as its own copy, and its descriptor where it was."""
    inputs = (
        '<param name="i" type="data" format="imagetiff" label="Image"/>'
        '<param name="n" type="integer" value="3"/>'
    )
    tool = make_tool(INVERT, inputs=inputs)
    folder = tmp_path / "old"
    old("array", folder)
    told = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    told["tool"]["descriptor"] = str(tool.path)
    (folder / "record.json").write_text(json.dumps(told), encoding="utf-8")
    record = read_record(folder / "record.json")
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with pytest.raises(WorkspaceError, match="gone"):
        rerun(record, load_config(config))
    for place, pixels in (("inputs/i.tif", image), ("outputs/o.tif", 11 - image)):
        (folder / place).parent.mkdir()
        tifffile.imwrite(folder / place, pixels)
    job, _ = rerun(record, load_config(config))
    assert compare_outputs(record, run_job(job)) == []


def test_where_an_input_lies(tmp_path: Path) -> None:
    own, origin = tmp_path / "own.tif", tmp_path / "origin.tif"
    entry = RecordedInput("i", "i", own, source=RecordedSource.of(str(origin)))
    assert entry.locate() is None
    origin.touch()
    assert entry.locate() == origin
    own.touch()
    assert entry.locate() == own, "what the tool got comes first"


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"kind": "x"}, "LayerKind"),
        ({"kind": "image", "axes": "YX"}, "2 axes"),
        ({"axes": "Y", "scale": [1, 2], "translate": [0], "units": ["pixel"]}, "1 axes"),
        ({"axes": "Y", "scale": [float("nan")], "translate": [0], "units": ["pixel"]}, "1 axes"),
        ({"shape": [float("inf")]}, "infinity"),
        ({"scale": 3}, "no items"),
    ],
)
def test_a_place_that_is_none(layer: dict[str, object], words: str) -> None:
    with pytest.raises(WorkspaceError, match=words):
        RecordedInput("i", "i", FOLDER / "i", layer=layer).snapshot()


def test_a_log_that_is_not_told_lies_in_the_folder(tmp_path: Path) -> None:
    for told in ({}, {"log": None}):
        record = RunRecord.from_json({"version": 2, "tool": {"id": "t"}, **told}, tmp_path)
        assert record.log == tmp_path / "log.txt"


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    told = {"tool": {"id": "t"}, "times": {"created": "2026-11-25T21:00:00"}}
    record = RunRecord.from_json(told, tmp_path)
    assert record.times.created == datetime(2026, 11, 25, 21, tzinfo=UTC)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    position = (np.int64(3),)
    extent = Extent("current", position=position)  # type: ignore[arg-type]
    record = RunRecord(folder=tmp_path, id="1", tool=RecordedTool("t"), extent=extent)
    again = RunRecord.from_json(json.loads(json.dumps(record.to_json())), tmp_path)
    assert again.extent == extent


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "not an object"),
        ({"id": "1"}, "tool"),
        ({"tool": 3}, "not an object"),
        ({"tool": {"id": "t"}, "state": "asleep"}, "asleep"),
        ({"tool": {"id": "t"}, "times": {"created": "noon"}}, "noon"),
        ({"tool": {"id": "t"}, "version": 2, "inputs": [{"name": "i"}]}, "label"),
        ({"tool": {"id": "t"}, "version": 99}, "newer"),
        ({"tool": {"id": "t"}, "version": "1"}, "no version"),
        ({"tool": {"id": "t"}, "version": 0}, "no version"),
        ({"tool": {"id": "t"}, "version": True}, "no version"),
        ({"tool": {"id": "t"}, "extent": {"mode": "slices"}}, "one of whole, current, each"),
        ({"tool": {"id": "t"}, "extent": {"ndim": -1}}, "axes"),
        ({"tool": {"id": "t"}, "times": {"created": "0001-01-01T00:00"}}, "no time"),
        ({"tool": {"id": "t"}, "times": {"seconds": 10**400}}, "not float"),
        ({"tool": {"id": "t"}, "parameters": {"a": nested(900)}}, "nested too deeply"),
        (nested(900), "nested too deeply"),
    ],
)
def test_what_is_no_record_is_told(told: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=words):
        RunRecord.from_json(told, tmp_path)


def test_the_record_of_a_past_result_is_what_is_on_disk(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    from napari_tool_runner.jobs import recorded_result

    first = ntr.run(make_tool(INVERT), i=np.eye(4, dtype=np.uint8), config=config)
    assert first.record["version"] == 2
    record = read_record(first.workspace / "record.json")
    assert recorded_result(record, load_config(config))[0].record == first.record


def test_a_job_in_memory_and_its_file_make_the_same_row(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    """Else a list of jobs takes one of them out and loses what is selected."""
    from napari_tool_runner.jobs import prepare
    from napari_tool_runner.jobs.past.scan import live_row, row_of

    job = prepare(make_tool(INVERT), {"i": np.eye(4, dtype=np.uint8)}, config=config)
    job.created += 0.0001237  # a moment that a file does not tell
    run_job(job)
    assert live_row(job) == row_of(read_record(job.workspace.record_path))
