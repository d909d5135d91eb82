"""The queue: order, how many at once, cancel, closing."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.errors import JobCancelledError
from napari_tool_runner.jobs import Job, JobManager, JobState, ahead, prepare, run_job
from napari_tool_runner.jobs.listeners import Listeners
from napari_tool_runner.tools.isolation.client import reader

IMAGE = np.zeros((4, 4), np.uint8)
WAIT = """
import pathlib, sys, time, tifffile
pathlib.Path(sys.argv[3], "began").touch()
while not pathlib.Path(sys.argv[3], "go").exists():
    time.sleep(0.02)
tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]))
"""


@pytest.fixture
def gate(tmp_path: Path, config: dict[str, object]) -> Path:
    config["runner"] = {"enclose": False}  # its tools look into a folder that is not theirs
    folder = tmp_path / "gate"
    folder.mkdir()
    return folder


def _waiting(make_tool: MakeTool, gate: Path, name: str = "wait"):
    inputs = '<param name="i" type="data" format="imagetiff"/><param name="g" type="text"/>'
    return make_tool(WAIT, inputs=inputs, arguments="${i} ${o} ${g}", name=name)


def _until(check) -> None:
    """Wait, on a busy computer as long as a test may last at all."""
    while not check():
        time.sleep(0.02)


def test_who_waits_knows_its_place(
    make_tool: MakeTool, config: dict[str, object], gate: Path
) -> None:
    manager = JobManager(max_parallel=1)
    tool = _waiting(make_tool, gate)
    values = {"i": IMAGE, "g": str(gate)}
    first, second, third, fourth = (manager.submit(tool, values, config=config) for _ in range(4))
    assert second.phase == "Waiting, next in turn"
    assert (third.phase, fourth.phase) == ("Waiting, 1 before it", "Waiting, 2 before it")
    third.cancel()
    assert fourth.phase == "Waiting, 1 before it"
    (gate / "go").touch()
    first.result()
    fourth.result()
    assert not fourth.phase.startswith("Waiting")


def test_only_so_many_at_once(make_tool: MakeTool, config: dict[str, object], gate: Path) -> None:
    manager = JobManager(max_parallel=1)
    tool = _waiting(make_tool, gate)
    values = {"i": IMAGE, "g": str(gate)}
    first = manager.submit(tool, values, config=config)
    second = manager.submit(tool, values, config=config)
    _until((gate / "began").exists)
    assert first.state is JobState.RUNNING
    assert second.state is JobState.QUEUED
    (gate / "go").touch()
    first.result()
    second.result()
    assert manager.jobs == (first, second)
    assert manager.active == ()


def test_a_waiting_job_is_cancelled_at_once(
    make_tool: MakeTool, config: dict[str, object], gate: Path
) -> None:
    manager = JobManager(max_parallel=1)
    tool = _waiting(make_tool, gate)
    values = {"i": IMAGE, "g": str(gate)}
    first = manager.submit(tool, values, config=config)
    second = manager.submit(tool, values, config=config)
    second.cancel()
    assert second.state is JobState.CANCELLED
    with pytest.raises(JobCancelledError):
        second.result()
    assert not second.workspace.root.exists()
    (gate / "go").touch()
    first.result()


def test_shutdown_ends_everything(
    make_tool: MakeTool, config: dict[str, object], gate: Path
) -> None:
    manager = JobManager(max_parallel=1)
    tool = _waiting(make_tool, gate)
    jobs = [manager.submit(tool, {"i": IMAGE, "g": str(gate)}, config=config) for _ in range(3)]
    _until((gate / "began").exists)
    manager.shutdown()
    assert [job.state for job in jobs] == [JobState.CANCELLED] * 3
    with pytest.raises(JobCancelledError, match="closing"):
        manager.submit(tool, {"i": IMAGE, "g": str(gate)}, config=config)


def test_a_listener_that_fails_disturbs_nobody(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    manager = JobManager()
    heard: list[object] = []
    gate = threading.Event()

    def bad(job: Job, event: object) -> None:
        gate.wait(10)
        raise ValueError("not my day")

    def good(job: Job, event: object) -> None:
        heard.append(event)

    manager.submitted.connect(lambda job: (job.subscribe(bad), job.subscribe(good)))
    gate.set()
    job = manager.submit(make_tool(INVERT), {"i": IMAGE}, config=config)
    job.result()
    _until(lambda: JobState.DONE in heard)


def test_the_handle_of_a_submitted_run(
    make_tool: MakeTool, config: dict[str, object], gate: Path
) -> None:
    """`ntr.submit` never blocks; the handle tells how far it is, stops it, gives the result."""
    tool = _waiting(make_tool, gate)
    heard: list[tuple[object, str]] = []
    job = ntr.submit(tool, i=IMAGE, g=str(gate), config=config)
    job.events.connect(lambda event: heard.append((event, threading.current_thread().name)))
    _until((gate / "began").exists)
    assert not job.state.is_finished
    stopped = ntr.submit(tool, values={"i": IMAGE}, g=str(gate), config=config)
    stopped.cancel()
    (gate / "go").touch()
    np.testing.assert_array_equal(np.asarray(job.result().outputs["o"].data), IMAGE)
    assert stopped.wait()
    assert stopped.state is JobState.CANCELLED
    _until(lambda: JobState.DONE in [event for event, _ in heard])
    threads = {name for event, name in heard if isinstance(event, JobState)}
    assert threads == {f"job-{job.id}"}, "listeners are called in the thread of the run"


def test_a_listener_of_events_that_fails_is_logged(
    make_tool: MakeTool, config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    job = prepare(make_tool(INVERT), {"i": IMAGE}, config=config)

    def bad(event: object) -> None:
        raise ValueError("not my day")

    job.events.connect(bad)
    assert run_job(job).outputs
    assert "A listener of job" in caplog.text


def test_a_listener_for_new_jobs_that_fails_stops_none(
    make_tool: MakeTool, config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    manager = JobManager()

    def bad(job: Job) -> None:
        raise ValueError("not my day")

    manager.submitted.connect(bad)
    assert manager.submit(make_tool(INVERT), {"i": IMAGE}, config=config).result().outputs
    assert "A listener for new jobs failed" in caplog.text


def test_who_unsubscribes_hears_no_more() -> None:
    heard: list[tuple[str, int]] = []
    listeners = Listeners[int]("numbers", lambda error: heard.append((str(error), 0)))
    leave = [listeners.add(partial(lambda who, n: heard.append((who, n)), who)) for who in "ab"]
    listeners.tell(1)
    leave[0]()
    leave[0]()
    listeners.tell(2)
    assert heard == [("a", 1), ("b", 1), ("b", 2)]


def test_two_jobs_of_one_tool_do_not_meet(make_tool: MakeTool, config: dict[str, object]) -> None:
    manager = JobManager(max_parallel=4)
    tool = make_tool(INVERT)
    images = [np.full((5, 5), n, np.uint8) + np.eye(5, dtype=np.uint8) for n in range(6)]
    jobs = [manager.submit(tool, {"i": image}, config=config) for image in images]
    for image, job in zip(images, jobs, strict=True):
        made = np.asarray(job.result().outputs["o"].data)
        np.testing.assert_array_equal(made, image.max() - image)
    assert len({job.workspace.root for job in jobs}) == 6


def test_who_sees_a_form_waits_for_less(
    make_tool: MakeTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first job would wait for is begun once for each kind of tool."""
    services = pytest.importorskip(
        "napari_tool_runner.widgets.running.services", exc_type=ImportError
    )
    loaded: list[Sequence[str]] = []
    monkeypatch.setattr(ahead, "_begun", set())
    monkeypatch.setattr(reader, "load", loaded.append)
    tool = make_tool(INVERT)
    services._ask(tool)
    services._ask(tool)
    _until(lambda: loaded)
    assert {"napari_tool_runner.exchange.apart", "numpy"} <= {*loaded[0]}
    services._ask(ntr.load_toolbox()["threshold"])
    assert ahead._begun == {(False, True), (True, True)}
    assert len(loaded) == 1
