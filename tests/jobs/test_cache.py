"""A repeated run is answered by an earlier one, and only when nothing that decides it changed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner import sealed
from napari_tool_runner.config import load_config
from napari_tool_runner.errors import TrustError
from napari_tool_runner.jobs import (
    Extent,
    JobManager,
    JobResult,
    JobState,
    find_record,
    live,
    prepare,
    reclaimable,
    rerun,
)
from napari_tool_runner.jobs.cache import KeptFile, KeptOutput, KeptRun, ResultCache
from napari_tool_runner.jobs.job import execute
from napari_tool_runner.plugins import runnerServices
from napari_tool_runner.tools import read_tool
from support import until_kept

IMAGE = np.arange(48, dtype=np.uint8).reshape(6, 8)
PACKAGE = """
import sys, tifffile, ntr_test_package
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], image + ntr_test_package.VALUE)
"""

Ask = Callable[..., JobResult]


@pytest.fixture
def config(config: dict[str, object]) -> dict[str, object]:
    """The configuration of these tests, which asks for results of earlier runs."""
    return {**config, "jobs": {"cache": True}}


@pytest.fixture
def ask(config: dict[str, object], tmp_path: Path) -> Ask:
    """Return a function that runs a tool, as two sessions would do one after the other."""

    def run(tool: Any, *, more: dict[str, object] | None = None, **values: Any) -> JobResult:
        told = (more or {}).get("jobs", {})
        assert isinstance(told, dict)
        given = {**config, **(more or {}), "jobs": {"cache": True, **told}}
        result = ntr.run(tool, config=given, **values)
        until_kept()
        return result

    return run


def earlier(result: JobResult) -> object:
    return result.record["earlier"]


def pixels(result: JobResult) -> np.ndarray:
    return np.asarray(result.outputs["o"].data)


def test_the_same_run_is_answered_and_says_so(make_tool: MakeTool, ask: Ask) -> None:
    tool = make_tool(INVERT + "print('note: turned over')\n")
    first = ask(tool, i=IMAGE)
    again = ask(tool, i=IMAGE)
    assert earlier(first) == ""
    assert earlier(again) == first.job_id
    np.testing.assert_array_equal(pixels(again), IMAGE.max() - IMAGE)
    notes = again.record["notes"]
    assert isinstance(notes, list)
    assert any(first.job_id in note for note in notes)
    assert "Turned over" in notes
    assert f"job {first.job_id}" in again.log.read_text()
    assert again.record["exit_code"] == 0
    assert again.job_id != first.job_id
    assert again.outputs["o"].path.is_relative_to(again.workspace)


def test_what_was_not_run_says_nothing_of_the_time_that_it_takes(
    make_tool: MakeTool, ask: Ask, config: dict[str, object]
) -> None:
    tool = make_tool(INVERT)
    ask(tool, i=IMAGE)
    live._took[tool.digest] = IMAGE.size, 7.0
    job = JobManager().submit(tool, {"i": IMAGE}, config=config)
    job.result()
    live.note_time(job)
    assert job.recorded().earlier
    assert live._took[tool.digest] == (IMAGE.size, 7.0)


@pytest.mark.usefixtures("warm")
@pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere")
def test_what_started_warm_answers_no_later_run(make_tool: MakeTool, ask: Ask) -> None:
    """What it imported was imported before, maybe of another installation."""
    tool = make_tool(INVERT)
    for number in range(100):
        result = ask(tool, i=IMAGE + number)
        if result.record["runner"].get("warm"):
            break
        assert earlier(ask(tool, i=IMAGE + number)) == result.job_id
        time.sleep(0.2)
    else:
        pytest.fail("it never started warm")
    assert not earlier(ask(tool, i=IMAGE + number))


def test_a_file_that_was_overwritten_is_another_input(
    make_tool: MakeTool, ask: Ask, tmp_path: Path
) -> None:
    tool, path = make_tool(INVERT), tmp_path / "i.tif"
    tifffile.imwrite(path, IMAGE)
    then = path.stat()
    ask(tool, i=path)
    assert earlier(ask(tool, i=path))
    # as many bytes, and the time that it had
    data = bytearray(path.read_bytes())
    data[-1] ^= 255
    path.write_bytes(data)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    changed = ask(tool, i=path)
    assert not earlier(changed)
    image = tifffile.imread(path)
    np.testing.assert_array_equal(pixels(changed), image.max() - image)


def test_an_array_that_was_changed_in_place_is_another_input(
    make_tool: MakeTool, ask: Ask
) -> None:
    tool, image = make_tool(INVERT), IMAGE.copy()
    ask(tool, i=image)
    image[0, 0] = 200
    changed = ask(tool, i=image)
    assert not earlier(changed)
    assert pixels(changed)[0, 0] == 0


def test_numbers_of_another_type_are_another_input(make_tool: MakeTool, ask: Ask) -> None:
    tool = make_tool(INVERT)
    ask(tool, i=IMAGE)
    assert not earlier(ask(tool, i=IMAGE.astype(np.uint16)))


def test_a_parameter_counts_and_coming_back_to_it_is_answered(
    make_tool: MakeTool, ask: Ask
) -> None:
    tool = make_tool(
        "import sys, tifffile\n"
        "tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) + int(sys.argv[3]))\n",
        inputs='<param name="i" type="data" format="imagetiff"/>'
        '<param name="n" type="integer" value="1"/>',
        arguments="${i} ${o} ${n}",
    )
    first = ask(tool, i=IMAGE, n=1)
    assert not earlier(ask(tool, i=IMAGE, n=2))
    back = ask(tool, i=IMAGE, n=1)
    assert earlier(back) == first.job_id
    np.testing.assert_array_equal(pixels(back), IMAGE + 1)


def test_a_program_beside_the_descriptor_that_changed_is_run(
    make_tool: MakeTool, ask: Ask
) -> None:
    tool = make_tool(INVERT)
    ask(tool, i=IMAGE)
    script = tool.path.with_suffix(".py")
    then = script.stat()
    script.write_text(script.read_text().replace("image.max() - image", "image.max() + image"))
    os.utime(script, ns=(then.st_atime_ns, then.st_mtime_ns))
    changed = ask(read_tool(tool.path), i=IMAGE)
    assert not earlier(changed)
    np.testing.assert_array_equal(pixels(changed), IMAGE.max() + IMAGE)


def test_a_package_that_changed_is_noticed(
    make_tool: MakeTool, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "ntr_test_package" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("VALUE = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    tool = make_tool(PACKAGE)
    ask(tool, i=IMAGE)
    assert earlier(ask(tool, i=IMAGE))
    package.write_text("VALUE = 2\n")
    changed = ask(tool, i=IMAGE)
    assert not earlier(changed)
    np.testing.assert_array_equal(pixels(changed), IMAGE + 2)


def test_a_result_is_placed_as_its_input_lies_now(make_tool: MakeTool, ask: Ask) -> None:
    tool = make_tool(INVERT)
    ask(tool, i=(IMAGE, {"translate": (0, 0), "name": "a"}, "image"))
    moved = ask(tool, i=(IMAGE, {"translate": (30, 40), "name": "a"}, "image"))
    assert earlier(moved)
    _, attributes, _ = moved.outputs["o"].as_layer_data_tuple()
    assert "affine" in attributes or tuple(attributes["translate"]) == (30, 40)


def test_what_a_layer_becomes_is_asked_anew(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    tool = make_tool(INVERT)
    for kind in ("image", "labels"):
        job = prepare(tool, {"i": IMAGE}, config=config, kinds={"o": kind})
        execute(job)
        assert job.result().outputs["o"].layer_type == kind
    assert job.recorded().earlier


def test_a_result_that_was_altered_is_never_returned(
    make_tool: MakeTool, ask: Ask, tmp_path: Path
) -> None:
    tool = make_tool(INVERT)
    first = ask(tool, i=IMAGE)
    for kept in (tmp_path / "jobs" / ".cache").rglob("*.tif*"):
        data = bytearray(kept.read_bytes())
        data[-1] ^= 255
        kept.write_bytes(data)
    changed = ask(tool, i=IMAGE)
    assert not earlier(changed)
    np.testing.assert_array_equal(pixels(changed), pixels(first))


def test_an_entry_that_somebody_else_wrote_is_none(
    make_tool: MakeTool, ask: Ask, tmp_path: Path
) -> None:
    tool = make_tool(INVERT)
    ask(tool, i=IMAGE)
    (entry,) = (tmp_path / "jobs" / ".cache").rglob("entry.json")
    told = json.loads(entry.read_text())
    entry.write_text(json.dumps({**told, "job": "another"}))
    assert not earlier(ask(tool, i=IMAGE))
    assert earlier(ask(tool, i=IMAGE)) not in ("", "another")


def test_the_earlier_job_may_be_changed_or_deleted(make_tool: MakeTool, ask: Ask) -> None:
    tool = make_tool(INVERT)
    first = ask(tool, i=IMAGE)
    first.outputs["o"].path.write_bytes(b"spoilt")
    again = ask(tool, i=IMAGE)
    assert earlier(again) == first.job_id
    shutil.rmtree(first.workspace)
    np.testing.assert_array_equal(pixels(ask(tool, i=IMAGE)), IMAGE.max() - IMAGE)
    again.outputs["o"].path.write_bytes(b"spoilt")
    np.testing.assert_array_equal(pixels(ask(tool, i=IMAGE)), IMAGE.max() - IMAGE)


def test_large_results_are_lent_and_still_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_tool_runner.jobs.cache.SMALL", 10)
    cache, top = ResultCache(tmp_path / "jobs", 2**20), tmp_path / "job"
    made = top / "outputs" / "o.bin"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"x" * 100)
    file = KeptFile("outputs/o.bin", "data", sha256=sealed.content_sha256(made))
    assert cache.keep("key", KeptRun("job", 0, (KeptOutput("o", (file,)),)), top)
    for name in ("a", "b"):
        assert cache.find("key", tmp_path / name)
        assert (tmp_path / name / "outputs" / "o.bin").read_bytes() == b"x" * 100
    made.unlink()  # which moves the time of change, and no content
    assert cache.find("key", tmp_path / "c")
    with (tmp_path / "a" / "outputs" / "o.bin").open("r+b") as opened:
        opened.write(b"y")
    assert cache.find("key", tmp_path / "d") is None
    assert not (tmp_path / "d" / "outputs" / "o.bin").exists()
    assert cache.find("key", tmp_path / "e") is None


def test_what_was_used_last_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_tool_runner.jobs.cache._EACH", 0)
    cache, top = ResultCache(tmp_path / "jobs", 2500), tmp_path / "job"
    top.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        (top / name).write_bytes(name.encode() * 700)
        file = KeptFile(name, "data", sha256=sealed.content_sha256(top / name))
        assert cache.keep(f"key{name}", KeptRun("job", 0, (KeptOutput("o", (file,)),)), top)
        os.utime(cache.folder / f"key{name}" / "entry.json", (number, number))
        assert cache.find("keya", tmp_path / "out") or name != "a"
        shutil.rmtree(tmp_path / "out")
    assert {one.name for one in cache.folder.iterdir()} == {"keya", "keyc"}


@pytest.mark.parametrize("how", ["call", "setting", "tool", "descriptor", "network"])
def test_it_can_be_switched_off(make_tool: MakeTool, ask: Ask, how: str) -> None:
    roots = {"descriptor": 'repeatable="false"', "network": 'network="true"'}
    tool = make_tool(INVERT, root=roots.get(how, ""))
    jobs: dict[str, dict[str, object]] = {
        "setting": {"cache": False}, "tool": {"uncached": ["invert"]},
    }  # fmt: skip
    for _ in range(2):
        result = ask(tool, i=IMAGE, cache=how != "call", more={"jobs": jobs.get(how, {})})
        assert not earlier(result)


def test_a_seed_that_nobody_chose_is_chance(make_tool: MakeTool, ask: Ask) -> None:
    tool = make_tool(
        INVERT,
        inputs='<param name="i" type="data" format="imagetiff"/>'
        '<param name="seed" type="integer" value="" optional="true"/>',
    )
    assert not any(earlier(ask(tool, i=IMAGE)) for _ in range(2))
    assert [bool(earlier(ask(tool, i=IMAGE, seed=7))) for _ in range(2)] == [False, True]


def test_a_secret_is_told_to_no_key_and_kept_nowhere(
    make_tool: MakeTool, ask: Ask, tmp_path: Path
) -> None:
    tool = make_tool(INVERT, arguments="${i} ${o} ${LICENCE_FILE}")
    more = {"env": [{"name": "LICENCE", "value": "sesame-opens", "secret": True}]}
    assert not any(earlier(ask(tool, i=IMAGE, more=more)) for _ in range(2))
    assert not list((tmp_path / "jobs").rglob("entry.json"))


def test_what_failed_or_changed_its_tool_is_not_kept(make_tool: MakeTool, ask: Ask) -> None:
    tool = make_tool("import sys\nprint('no')\nsys.exit(3)\n")
    for _ in range(2):
        with pytest.raises(ntr.ToolFailedError) as failed:
            ask(tool, i=IMAGE)
        assert failed.value.exit_code == 3


def test_what_the_command_names_elsewhere_counts(
    make_tool: MakeTool, ask: Ask, tmp_path: Path
) -> None:
    model = tmp_path / "models" / "m.txt"
    model.parent.mkdir()
    model.write_text("1")
    tool = make_tool(
        "import sys, tifffile\n"
        "n = int(open(sys.argv[3]).read())\n"
        "tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]) + n)\n",
        arguments="${i} ${o} ${MODEL}",
    )
    more = {"env": [{"name": "MODEL", "value": str(model)}]}
    ask(tool, i=IMAGE, more=more)
    assert earlier(ask(tool, i=IMAGE, more=more))
    model.write_text("2")
    np.testing.assert_array_equal(pixels(ask(tool, i=IMAGE, more=more)), IMAGE + 2)


def test_the_gate_is_passed_first(
    make_tool: MakeTool, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = make_tool(INVERT)
    ntr.run(tool, config=config, i=IMAGE)
    job = prepare(tool, {"i": IMAGE}, config=config)
    asked: list[object] = []

    def closed(*_: object) -> None:
        asked.append(1)
        if len(asked) > 1:  # taken back while the inputs were written
            raise TrustError("The approval was taken back.")

    monkeypatch.setattr("napari_tool_runner.jobs.request.pass_gate", closed)
    execute(job)
    assert job.state is JobState.FAILED
    assert not job.recorded().earlier


def test_another_image_under_the_same_name_is_another_place(
    make_tool: MakeTool, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"image": "tool:latest", "image_id": "sha256:one", "image_digest": ""}
    place = "napari_tool_runner.plugins.runner_local.LocalRunnerService.fingerprint"
    monkeypatch.setattr(place, lambda *_: told)
    tool = make_tool(INVERT)
    ask(tool, i=IMAGE)
    assert earlier(ask(tool, i=IMAGE))
    told = {**told, "image_id": "sha256:two"}
    assert not earlier(ask(tool, i=IMAGE))


def test_a_service_that_tells_nothing_is_always_run(
    make_tool: MakeTool, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "napari_tool_runner.plugins.runner_local.LocalRunnerService.fingerprint"
    monkeypatch.setattr(place, lambda *_: None)
    tool = make_tool(INVERT)
    assert not any(earlier(ask(tool, i=IMAGE)) for _ in range(2))


def test_a_large_file_is_answered_once_its_content_is_known(
    make_tool: MakeTool, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_tool_runner.jobs.answers.SMALL", 10)
    monkeypatch.setattr("napari_tool_runner.exchange.exporting._HASHED", 10)
    monkeypatch.setattr("napari_tool_runner.exchange.files.OWN", 10)
    tool, path = make_tool(INVERT), tmp_path / "i.tif"
    tifffile.imwrite(path, IMAGE)
    if not sealed.tells_changes(path):
        pytest.skip("the file system tells no changes")
    ran = [ask(tool, i=path), ask(tool, i=path)]
    for one in ran:
        assert one.record["inputs"]  # waits for the hashes
    ask(tool, i=path)
    assert earlier(ask(tool, i=path))
    tifffile.imwrite(path, IMAGE[::-1])
    changed = ask(tool, i=path)
    assert not earlier(changed)
    np.testing.assert_array_equal(pixels(changed), IMAGE.max() - IMAGE[::-1])


def test_a_large_array_is_answered_where_it_is_written_once(
    make_tool: MakeTool, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in ("jobs.answers.SMALL", "exchange.exporting._HASHED", "exchange.sharing.OWN"):
        monkeypatch.setattr(f"napari_tool_runner.{place}", 10)
    tool, image = make_tool(INVERT), IMAGE.copy()
    service = runnerServices.service("LOCAL")
    if not (service.lends and sealed.tells_changes(tmp_path)):
        pytest.skip("nothing is lent here, or the file system tells no changes")
    first = ask(tool, i=image)
    assert earlier(ask(tool, i=image)) == first.job_id
    image[0, 0] = 200
    changed = ask(tool, i=image)
    assert not earlier(changed)
    assert pixels(changed)[0, 0] == 0


def test_slices_are_run(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(INVERT)
    image = (np.stack([IMAGE, IMAGE + 1]), {"axis_labels": ("t", "y", "x")}, "image")
    for _ in range(2):
        job = prepare(tool, {"i": image}, config=config, extent=Extent("each"))
        execute(job)
        assert job.state is JobState.DONE
        assert not job.recorded().earlier


def test_many_at_once_are_right(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(INVERT)
    jobs = [prepare(tool, {"i": IMAGE}, config=config) for _ in range(4)]
    threads = [threading.Thread(target=execute, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in jobs:
        np.testing.assert_array_equal(pixels(job.result()), IMAGE.max() - IMAGE)


def test_a_repetition_is_run(make_tool: MakeTool, ask: Ask, config: dict[str, object]) -> None:
    tool = make_tool(INVERT)
    first = ask(tool, i=IMAGE)
    record = find_record(first.workspace, Path(str(config["workspace"])))
    job, _ = rerun(record, load_config(config), tool=tool)
    execute(job)
    assert job.state is JobState.DONE
    assert not job.recorded().earlier


def test_a_disk_that_is_full_keeps_nothing_and_fails_nothing(
    make_tool: MakeTool, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    tool = make_tool(INVERT)
    monkeypatch.setattr("napari_tool_runner.jobs.cache.sealed.copy", full)
    assert not any(earlier(ask(tool, i=IMAGE)) for _ in range(2))
    monkeypatch.undo()


def test_nothing_is_written_over_what_is_there(tmp_path: Path) -> None:
    cache, top = ResultCache(tmp_path / "jobs", 2**20), tmp_path / "job"
    top.mkdir()
    (top / "o").write_bytes(b"new")
    file = KeptFile("o", "data", sha256=sealed.content_sha256(top / "o"))
    assert cache.keep("key", KeptRun("job", 0, (KeptOutput("o", (file,)),)), top)
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.write_bytes(b"mine")
    other.mkdir()
    (other / "o").symlink_to(mine)
    assert cache.find("key", other) is None
    assert mine.read_bytes() == b"mine"


def test_it_is_shown_and_cleared(make_tool: MakeTool, ask: Ask, config: dict[str, object]) -> None:
    tool = make_tool(INVERT)
    ask(tool, i=IMAGE)
    ask(tool, i=IMAGE)
    loaded = load_config(config)
    (item,) = (one for one in reclaimable(loaded) if one.kind == "results")
    assert item.size > 0
    item.remove()
    assert not [one for one in reclaimable(loaded) if one.kind == "results"]
    assert not earlier(ask(tool, i=IMAGE))
