"""`run`: the whole path from an array to a result, and every way it can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_tool_runner as ntr
from jobs.conftest import INVERT, MakeTool
from napari_tool_runner.errors import (
    DescriptorError,
    JobCancelledError,
    JobTimeoutError,
    OutputError,
    ParameterError,
    ToolFailedError,
    UnknownToolError,
)
from napari_tool_runner.jobs import JobManager, JobState, prepare, run_job
from napari_tool_runner.plugins.programs.watchdog import marked_ids

IMAGE = np.arange(60, dtype=np.uint8).reshape(6, 10)


def test_an_array_becomes_a_layer(make_tool: MakeTool, config: dict[str, object]) -> None:
    result = ntr.run(make_tool(INVERT), i=IMAGE, config=config)
    output = result.outputs["o"]
    assert output.layer_type == "image"
    np.testing.assert_array_equal(np.asarray(output.data), 59 - IMAGE)
    _data, attributes, kind = output.as_layer_data_tuple()
    assert kind == "image"
    assert attributes["name"] == "i · Invert"
    assert attributes["metadata"]["napari_tool_runner"]["tool"]["id"] == "invert"  # type: ignore[index]


def test_the_record_is_what_is_on_disk(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(
        INVERT,
        inputs='<param name="i" type="data" format="imagetiff"/>'
        '<param name="sigma" type="float" value="1.5"/>',
    )
    result = ntr.run(tool, config=config, values={"i": IMAGE})
    record = result.record
    assert record == json.loads((result.workspace / "record.json").read_text())
    assert record["state"] == "done"
    assert record["exit_code"] == 0
    assert record["parameters"] == {"sigma": 1.5}
    assert record["runner"]["service"] == "LOCAL"  # type: ignore[index]
    (told,) = record["inputs"]  # type: ignore[misc]
    assert told["sha256"].startswith("sha256:")
    assert (result.workspace / told["path"]).exists()
    (made,) = record["outputs"]  # type: ignore[misc]
    assert made["sha256"].startswith("sha256:")
    assert made["layer_type"] == "image"
    assert result.log.exists()


def test_the_log_keeps_both_streams(make_tool: MakeTool, config: dict[str, object]) -> None:
    script = INVERT + "print('out', 1)\nprint('err', 2, file=sys.stderr)"
    result = ntr.run(make_tool(script), i=IMAGE, config=config)
    lines = result.log.read_text().splitlines()
    assert {"out 1", "err 2"} <= set(lines)
    assert (result.workspace / "stderr.txt").read_text() == "err 2\n"


def test_a_failure_carries_the_facts(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool("import sys; print('no luck', file=sys.stderr); sys.exit(3)")
    with pytest.raises(ToolFailedError) as caught:
        ntr.run(tool, i=IMAGE, config=config)
    error = caught.value
    assert error.exit_code == 3
    assert "3" in error.reason
    assert error.reason.endswith(": no luck.")
    assert "no luck" in error.log_tail
    assert error.argv[1].endswith("invert.py")
    assert error.workspace is not None
    record = json.loads((error.workspace / "record.json").read_text())
    assert record["state"] == "failed"
    assert record["exit_code"] == 3
    assert record["error"]["message"] == error.reason


def test_a_program_that_is_not_installed(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(INVERT)
    path = tool.path
    path.write_text(path.read_text().replace("<command>python", "<command>no-such-program"))
    with pytest.raises(ToolFailedError, match="no-such-program"):
        ntr.run(path, i=IMAGE, config=config)


def test_an_output_that_was_not_written(make_tool: MakeTool, config: dict[str, object]) -> None:
    with pytest.raises(ToolFailedError, match="did not write") as caught:
        ntr.run(make_tool("pass"), i=IMAGE, config=config)
    assert caught.value.exit_code == 0


@pytest.mark.parametrize(
    "damage",
    [
        "open(sys.argv[2], 'wb').close()",
        "data = open(sys.argv[1], 'rb').read(1000); open(sys.argv[2], 'wb').write(data[:200])",
        "open(sys.argv[2], 'w').write('a,b\\n1,2\\n')",
    ],
    ids=["empty", "truncated", "another type"],
)
def test_a_damaged_output(make_tool: MakeTool, config: dict[str, object], damage: str) -> None:
    with pytest.raises(ToolFailedError) as caught:
        ntr.run(make_tool(f"import sys\n{damage}"), i=IMAGE, config=config)
    assert isinstance(caught.value.__cause__, OutputError)


def test_a_time_out_ends_the_program(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool("import time; print('begin', flush=True); time.sleep(60)")
    with pytest.raises(ToolFailedError) as caught:
        ntr.run(tool, i=IMAGE, config={**config, "jobs": {"timeout": 1}})
    assert isinstance(caught.value.__cause__, JobTimeoutError)


def test_cancel_ends_the_whole_tree(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(
        """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("pids", os.getpid(), child.pid, flush=True)
        time.sleep(60)
        """
    )
    manager = JobManager()
    job = manager.submit(tool, {"i": IMAGE}, config=config)
    pids: list[int] = []
    for _ in range(600):
        found = [line for line in job.log.tail() if line.startswith("pids")]
        if found:
            pids = marked_ids(f"{os.getpid()}-")  # inside they have other numbers
            break
        time.sleep(0.05)
    assert len(pids) >= 2
    job.cancel()
    assert job.wait(30)
    assert job.state is JobState.CANCELLED
    with pytest.raises(JobCancelledError):
        job.result()
    assert not any(_lives(pid) for pid in pids)
    record = json.loads((job.workspace.root / "record.json").read_text())
    assert record["state"] == "cancelled"


def _lives(pid: int) -> bool:
    """Whether a process still does something (an orphan may wait for its reaper)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_wrong_calls_start_nothing(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    tool = make_tool(INVERT)
    with pytest.raises(ParameterError, match="needs a value"):
        ntr.run(tool, config=config)
    with pytest.raises(ParameterError, match="no parameter"):
        ntr.run(tool, config=config, i=IMAGE, j=1)
    with pytest.raises(ParameterError, match="given twice"):
        ntr.run(tool, config=config, values={"i": IMAGE}, i=IMAGE)
    with pytest.raises(UnknownToolError):
        ntr.run("no-such-tool", config=config)
    assert not (tmp_path / "jobs").exists()


def test_a_tool_with_errors_is_refused(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(INVERT, inputs='<param name="i" type="hologram"/>')
    with pytest.raises(DescriptorError, match="hologram"):
        ntr.run(tool, config=config)


def test_a_workspace_that_may_not_be_written(make_tool: MakeTool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolFailedError, match="workspace"):
        ntr.run(make_tool(INVERT), i=IMAGE, config={"workspace": str(tmp_path / "file" / "x")})


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_told(make_tool: MakeTool, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        image = np.zeros((1000, 1000), np.uint8)
        with pytest.raises(ToolFailedError, match="full"):
            ntr.run(make_tool(INVERT), i=image, config={"workspace": str(disk)})
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_tool_without_data(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(
        "import sys; print(sys.argv[1:])",
        inputs='<param name="n" type="integer" value="3"/>',
        outputs="",
        arguments="${n}",
    )
    result = ntr.run(tool, config=config)
    assert result.outputs == {}
    assert "['3']" in result.log.read_text()


ECHO = """
import json, sys
json.dump(sys.argv[2:], open(sys.argv[1], "w"))
"""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    number=st.integers(),
    real=st.floats(allow_nan=False, allow_infinity=False),
)
def test_values_reach_the_program_unchanged(
    make_tool: MakeTool, config: dict[str, object], text: str, number: int, real: float
) -> None:
    tool = make_tool(
        ECHO,
        inputs='<param name="t" type="text"/><param name="n" type="integer" value="0"/>'
        '<param name="r" type="float" value="0"/>',
        outputs='<data name="o" format="json"/>',
        arguments="${o} ${t} ${n} ${r}",
        name="echo",
    )
    result = ntr.run(tool, t=text, n=number, r=real, config=config)
    got = json.loads(result.outputs["o"].path.read_text())
    assert got[0] == text
    assert int(got[1]) == number
    assert float(got[2]) == real


@pytest.mark.parametrize("name", ["a; rm -rf ~", "$(reboot)", "`id` && 'x'", "ü 漢字", "-rf"])
def test_layer_names_that_look_like_shell(
    make_tool: MakeTool, config: dict[str, object], name: str
) -> None:
    result = ntr.run(make_tool(INVERT), i=(IMAGE, {"name": name}, "image"), config=config)
    assert result.outputs["o"].layer_name == f"{name} · Invert"
    np.testing.assert_array_equal(np.asarray(result.outputs["o"].data), 59 - IMAGE)


def test_progress_and_states_are_told(make_tool: MakeTool, config: dict[str, object]) -> None:
    script = INVERT + "print('50%'); print('plane 3/4')"
    manager = JobManager()
    seen: list[object] = []
    ready = threading.Event()
    tool = make_tool(script)

    def watch(job: object, event: object) -> None:
        seen.append(event)

    manager.submitted.connect(lambda job: (job.subscribe(watch), ready.set()))
    job = manager.submit(tool, {"i": IMAGE}, config=config)
    job.result()
    states = [event for event in seen if isinstance(event, JobState)]
    assert states == [
        JobState.PREPARING,
        *[s for s in states[1:-3] if s is JobState.PREPARING],
        JobState.RUNNING,
        JobState.LOADING,
        JobState.DONE,
    ]
    told = [(e.done, e.total) for e in seen if type(e).__name__ == "Progress" and e.total]
    assert (50.0, 100.0) in told
    assert (3, 4) in told


def test_interrupt_cancels(make_tool: MakeTool, config: dict[str, object], tmp_path: Path) -> None:
    tool = make_tool("import time; print('begin', flush=True); time.sleep(60)")
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, numpy, napari_tool_runner as ntr\n"
        # a parent that runs in the background lets its children ignore Ctrl-C
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"ntr.run({str(tool.path)!r}, i=numpy.zeros((4, 4)), config={config!r})\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    jobs = Path(str(config["workspace"]))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        logs = list(jobs.glob("*/*/log.txt"))
        if logs and "begin" in logs[0].read_text():
            break
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(2)
    assert process.wait(30) != 0
    assert process.stderr is not None
    assert b"KeyboardInterrupt" in process.stderr.read()
    process.stderr.close()
    psutil.wait_procs(children, timeout=10)
    assert not any(child.is_running() for child in children)
    record = json.loads(next(jobs.glob("*/*/record.json")).read_text())
    assert record["state"] == "cancelled"


def test_an_empty_text_is_a_result(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(
        "import sys; open(sys.argv[2], 'w').close()", outputs='<data name="o" format="txt"/>'
    )
    output = ntr.run(tool, i=IMAGE, config=config).outputs["o"]
    assert output.layer_type == "file"
    assert output.path.stat().st_size == 0


def test_an_output_is_an_input(make_tool: MakeTool, config: dict[str, object]) -> None:
    tool = make_tool(INVERT)
    first = ntr.run(tool, i=(IMAGE, {"scale": (2, 3), "name": "a"}, "image"), config=config)
    second = ntr.run(tool, i=first.outputs["o"], config=config).outputs["o"]
    np.testing.assert_array_equal(np.asarray(second.data), IMAGE)
    attributes = second.as_layer_data_tuple()[1]
    np.testing.assert_allclose(attributes["scale"], (2, 3))
    assert attributes["name"] == "a · Invert"


def test_a_listener_that_raises_is_told_once(
    make_tool: MakeTool, config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []

    def bad(*event: object) -> None:
        heard.append(event)
        raise KeyError(len(heard))

    for way in (lambda job: job.events.connect(bad), lambda job: job.subscribe(bad)):
        caplog.clear()
        heard.clear()
        job = prepare(make_tool(INVERT), {"i": np.eye(4, dtype=np.uint8)}, config=config)
        way(job)
        run_job(job)
        assert len(heard) > 3
        (told,) = [one for one in caplog.records if "listener" in one.message]
        assert told.exc_info is not None
        assert told.exc_info[0] is KeyError


def test_a_result_is_shown_in_a_few_lines(config: dict[str, object]) -> None:
    image = np.zeros((40, 30), np.uint8)
    image[5:9, 5:9] = 200
    mask = ntr.run("threshold", input=image, config=config)
    assert repr(mask).count("\n") == 1
    assert len(repr(mask)) < 600
    assert "labels “input · Mask”: 40 × 30 uint8" in repr(mask)
    assert repr(mask).count(str(mask.workspace)) == 1
    many = {f"o{n}": replace(mask.outputs["output"], layer_name="n" * 300) for n in range(200)}
    lines = repr(replace(mask, outputs=many)).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  … and 180 more"
    assert max(map(len, lines[1:])) < 160
    table = ntr.run(
        "measure_regions", labels=mask.outputs["output"], image=image, config=config
    ).outputs["table"]
    assert isinstance(table.data, pd.DataFrame)
    assert list(table.data["label"]) == [1]
    assert table.columns is not None
    assert list(table.columns) == list(table.data)
    assert f"1 row × {len(table.columns)} columns" in repr(table)
