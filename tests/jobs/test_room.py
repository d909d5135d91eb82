"""The files of old jobs go when jobs take more than they may, and nothing else goes."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner import sealed
from napari_tool_runner.config import Config, load_config
from napari_tool_runner.exchange import files, sharing
from napari_tool_runner.jobs import JobResult, add_result, history, read_record
from napari_tool_runner.jobs.past import room as module
from napari_tool_runner.jobs.past.room import Room
from napari_tool_runner.jobs.secrets import with_seal
from napari_tool_runner.jobs.workspace import TRIED
from napari_tool_runner.processes import process_mark
from napari_tool_runner.storage import write_json

IMAGE = np.random.default_rng(1).integers(0, 255, (64, 1000)).astype(np.uint8)
SIZE = 64_000
Run = Callable[..., JobResult]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs count nothing by themselves meanwhile."""
    monkeypatch.setattr(Room, "ended", lambda *_: None)


@pytest.fixture
def run(make_tool: MakeTool, config: dict[str, object]) -> Run:
    """Run a tool that takes and makes some 64 kB."""
    tool = make_tool(INVERT)

    def made(*, ended: bool = True, image: np.ndarray = IMAGE) -> JobResult:
        result = ntr.run(tool, i=image, config=config, cache=False)
        if ended:
            of_an_ended_session(result.workspace)
        return result

    return made


def of_an_ended_session(folder: Path) -> None:
    record = read_record(folder / "record.json")
    record = replace(record, host=replace(record.host, pid=None))
    write_json(folder / "record.json", with_seal(record.to_json(), folder))


def limited(config: dict[str, object], size: int) -> Config:
    return load_config({**config, "jobs": {"disk": size}})


def is_there(result: JobResult) -> bool:
    return (result.workspace / "io").exists()


def test_the_files_of_the_oldest_go(run: Run, config: dict[str, object]) -> None:
    done = sorted([run() for _ in range(4)], key=lambda one: one.workspace.name)
    Room().tidy(done[-1].workspace, limited(config, 5 * SIZE))
    assert [is_there(one) for one in done] == [False, False, True, True]
    record = read_record(done[0].workspace / "record.json")
    assert record.ours
    assert record.state == "done"
    assert "“jobs.disk”" in done[0].log.read_text()
    assert "“jobs.disk”" not in done[3].log.read_text()


def test_below_the_limit_all_stays(run: Run, config: dict[str, object]) -> None:
    done = [run() for _ in range(3)]
    Room().tidy(done[-1].workspace, limited(config, 100 * SIZE))
    assert all(map(is_there, done))


def test_the_files_of_a_session_that_runs_stay(run: Run, config: dict[str, object]) -> None:
    """A script may have kept nothing but the paths."""
    done = run(ended=False)
    path = done.outputs["o"].path
    del done
    gc.collect()
    Room().tidy(path.parents[2], limited(config, 1))
    assert path.exists()


@pytest.mark.skipif(os.name != "posix", reason="files that are open cannot be deleted")
def test_the_files_of_layers_that_are_gone_go(
    run: Run, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0)
    room, viewer = Room(), ViewerModel()
    monkeypatch.setattr("napari_tool_runner.jobs.viewer.room", lambda: room)
    result = run(ended=False)
    folder = result.workspace
    add_result(viewer, result)
    del result
    gc.collect()
    room.tidy(folder, limited(config, 1))
    assert (folder / "io").exists()
    viewer.layers.clear()
    viewer.add_image(IMAGE)  # napari holds the layer that was chosen last
    gc.collect()
    room.tidy(folder, limited(config, 1))
    assert not (folder / "io").exists()


def test_what_others_put_there_stays(run: Run, config: dict[str, object], tmp_path: Path) -> None:
    renamed, forged, elsewhere = run(), run(), run()
    renamed.workspace.rename(renamed.workspace.with_name("mine"))
    record = forged.workspace / "record.json"
    record.write_text(record.read_text().replace("test tool", "tool").replace("1.0", "2.0"))
    moved = tmp_path / "moved"
    elsewhere.workspace.rename(moved)
    elsewhere.workspace.symlink_to(moved)
    Room().tidy(forged.workspace, limited(config, 1))
    assert (renamed.workspace.with_name("mine") / "io").exists()
    assert is_there(forged)
    assert (moved / "io").exists()


def test_what_jobs_share_counts_once(
    run: Run, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (files, sharing):
        monkeypatch.setattr(one, "OWN", 1000)
    done = sorted([run() for _ in range(4)], key=lambda one: one.workspace.name)
    kept = [one.workspace / "inputs" / "i.tif" for one in done]
    if not all(one.exists() for one in kept):
        pytest.skip("nothing is lent here")
    assert kept[0].stat().st_nlink == 4
    Room().tidy(done[-1].workspace, limited(config, 6 * SIZE))
    assert all(map(is_there, done))
    (tmp_path / "jobs" / ".taken.json").unlink()
    Room().tidy(done[-1].workspace, limited(config, 4 * SIZE))
    assert [is_there(one) for one in done] == [False, False, True, True]
    assert kept[3].stat().st_nlink == 2


def test_what_was_counted_is_added_to_and_counted_again(
    run: Run, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, told, huge = run(), tmp_path / "jobs" / ".taken.json", limited(config, 2**50)
    Room().tidy(done.workspace, huge)
    counted = json.loads(told.read_text())
    assert 2 * SIZE < counted["bytes"] < 3 * SIZE
    Room().tidy(done.workspace, huge)
    assert json.loads(told.read_text()) == {**counted, "bytes": 2 * counted["bytes"]}
    for old in ("{", "[1]", json.dumps({**counted, "counted": counted["counted"] + 1e9})):
        told.write_text(old)
        Room().tidy(done.workspace, huge)
        assert json.loads(told.read_text())["bytes"] == counted["bytes"]


@pytest.mark.skipif(os.name != "posix", reason="no path of that length")
def test_folders_in_one_another_take_no_limit_away(run: Run, config: dict[str, object]) -> None:
    done = run()
    deep = done.workspace / "io" / "outputs"
    for _ in range(60):  # a program needs no more than “mkdir d; cd d”
        deep = deep.joinpath(*"d" * 20)
        deep.mkdir(parents=True)
    (deep / "last").write_bytes(bytes(9000))
    settings = limited(config, 100 * SIZE)
    Room().tidy(done.workspace, settings)
    told = json.loads((settings.workspaces / ".taken.json").read_text())
    assert told["bytes"] > SIZE + 9000
    Room().tidy(done.workspace, limited(config, 1))
    assert not is_there(done)


@pytest.mark.skipif(os.name != "posix", reason="no folder is opened from another")
def test_what_lies_beyond_the_longest_path_is_counted(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 200, dir_fd=held)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    with open(os.open("last", os.O_WRONLY | os.O_CREAT, dir_fd=held), "wb") as file:
        file.write(bytes(200_000))
    os.close(held)
    used = sealed.usage(tmp_path)
    sealed.remove(tmp_path / ("d" * 200), tmp_path)
    assert used.content == 200_000
    assert used.freed >= 200_000


def test_what_killed_previews_left_goes_with_the_first_look(
    run: Run, config: dict[str, object]
) -> None:
    done = run()
    kept = done.workspace.parent / "preview-20260101-120000-aaaaaa"
    left = done.workspace.parent / "preview-20260101-120000-bbbbbb"
    for folder, mark in ((kept, process_mark(os.getpid())), (left, "0 1 2")):
        folder.mkdir()
        (folder / TRIED).write_text(mark)
        (folder / "record.json").write_text((done.workspace / "record.json").read_text())
    assert [one.folder for one in history(done.workspace.parents[1])] == [done.workspace]
    Room().tidy(done.workspace, limited(config, 100 * SIZE))
    assert kept.exists()
    assert not left.exists()
