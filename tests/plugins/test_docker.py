"""DOCKER on a real engine: what a job sees, does and leaves."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from docker_engine import BUSYBOX, Engine, make_job, run_job
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    PreparationError,
    RunnerExecError,
)
from napari_tool_runner.plugins import Mount, OutputLine, Progress, Resources
from napari_tool_runner.plugins.docker.client import connect
from napari_tool_runner.plugins.docker.images import find_image, parse_reference
from napari_tool_runner.plugins.docker.spec import make_spec
from napari_tool_runner.plugins.runner_docker import (
    DockerRunnerService,
    DockerRunnerServiceBuilder,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker


def ours(engine: Engine) -> list[str]:
    found = engine.client.api.containers(all=True, filters={"label": "napari-tool-runner.pid"})
    return [entry["Id"] for entry in found]


def test_a_command_runs_and_its_lines_and_code_come_back(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    code = run_job(docker_service, job, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert code == 3
    assert job.out == ["out"]
    assert job.err == ["err"]


def test_second_job_uses_the_same_container(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    first = ours(docker_engine)
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    assert len(first) == 1
    assert ours(docker_engine) == first


def test_set_up_once_exec_many(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws")
    docker_service.set_up(job.process)
    codes = [docker_service.exec(job.process, ["sh", "-c", f"exit {n}"]) for n in (0, 1, 2)]
    docker_service.tear_down(job.process)
    assert codes == [0, 1, 2]


def test_lines_come_while_the_program_runs(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    go = job.folder / "work" / "go"
    seen = threading.Event()

    def report(event: object) -> None:
        job.events.append(event)  # type: ignore[arg-type]
        if getattr(event, "text", "") == "first":
            seen.set()
            go.touch()

    job.context.report = report
    # the program goes on only after its first line was seen
    code = run_job(
        docker_service, job, "sh", "-c", "echo first; until [ -e go ]; do sleep 0.05; done; echo 2"
    )
    assert code == 0
    assert seen.is_set()
    assert job.out == ["first", "2"]


def test_cancel_ends_the_program_inside(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    # deaf to SIGTERM, and with a child in a session of its own
    script = "trap '' TERM; setsid sleep 1234 & echo ready; while :; do sleep 0.1; done"
    job.context.report = lambda event: (
        job.context.cancel.cancel() if getattr(event, "text", "") == "ready" else None
    )
    docker_service.configure({**docker_service.config, "grace": 0.5})
    with pytest.raises(JobCancelledError, match="sh was cancelled"):
        run_job(docker_service, job, "sh", "-c", script)
    assert ours(docker_engine) == []
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0


def test_cancel_is_told_to_the_program_first(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    script = "trap 'echo bye > bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    job.context.report = lambda event: (
        job.context.cancel.cancel() if getattr(event, "text", "") == "ready" else None
    )
    with pytest.raises(JobCancelledError):
        run_job(docker_service, job, "sh", "-c", script)
    assert (job.folder / "work" / "bye").read_text() == "bye\n"


def test_what_a_program_leaves_running_ends(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    # the child keeps the output open, too
    assert run_job(docker_service, job, "sh", "-c", "sleep 600 & echo hi; exit 4") == 4
    assert job.out == ["hi"]
    deadline = time.monotonic() + 20
    while ours(docker_engine) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ours(docker_engine) == []


def test_cancelled_before_it_started(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws")
    docker_service.set_up(job.process)
    job.context.cancel.cancel()
    with pytest.raises(JobCancelledError):
        docker_service.exec(job.process, ["touch", "started"])
    docker_service.tear_down(job.process)
    assert not (job.folder / "work" / "started").exists()


def test_time_out_ends_the_program(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws", timeout=0.3)
    with pytest.raises(JobTimeoutError, match=r"0\.3 s"):
        run_job(docker_service, job, "sleep", "60")


def test_outputs_belong_to_the_caller(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws")
    assert run_job(docker_service, job, "sh", "-c", 'touch o "$HOME/h" "$TMPDIR/t"; id -u') == 0
    assert job.out == [str(os.getuid())]
    for place in ("work/o", "home/h", "tmp/t"):
        status = (job.folder / place).stat()
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())


def test_inputs_are_read_only_and_nothing_else_is_seen(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.txt").write_text("original\n")
    (data / "secret.txt").write_text("secret\n")
    root = tmp_path / "ws"
    job = make_job(root, mounts=[Mount(root, False), Mount(data / "a.txt")])
    script = f"cat '{data}/a.txt'; echo no > '{data}/a.txt'; cat '{data}/secret.txt'"
    assert run_job(docker_service, job, "sh", "-c", script) != 0
    assert job.out == ["original"]
    assert (data / "a.txt").read_text() == "original\n"
    assert "Read-only file system" in "\n".join(job.err)
    assert "No such file" in job.err[-1]


def test_links_to_originals_are_read_only_and_seen(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    """Hard and symbolic links in the job's own folder, in files and in folders."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("hard", "symbolic", "in_hard", "in_symbolic", "copy"):
        (data / name).write_text(f"{name}\n")
    job = make_job(tmp_path / "ws")
    inputs = job.folder / "inputs"
    os.link(data / "hard", inputs / "a")
    (inputs / "b").symlink_to(data / "symbolic")
    for name in ("c", "d"):
        (inputs / name).mkdir()
    os.link(data / "in_hard", inputs / "c" / "x")
    (inputs / "d" / "x").symlink_to(data / "in_symbolic")
    (inputs / "e").write_text("copy\n")
    job.process.data_paths = tuple(inputs / name for name in "abcde")
    script = f"""cd '{inputs}'; cat a b c/x d/x e
    for f in a b c/x d/x e; do (echo changed > $f) && echo "wrote $f"; done"""
    assert run_job(docker_service, job, "sh", "-c", script) == 0
    assert job.out == ["hard", "symbolic", "in_hard", "in_symbolic", "copy", "wrote e"]
    assert "changed\n" not in {path.read_text() for path in data.iterdir()}


def test_the_next_slice_may_have_other_inputs(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    original = tmp_path / "original"
    original.write_text("original\n")
    job = make_job(tmp_path / "ws")
    docker_service.set_up(job.process)
    assert docker_service.exec(job.process, ["true"]) == 0
    link = job.folder / "inputs" / "second"
    os.link(original, link)
    job.process.data_paths = (link,)
    assert docker_service.exec(job.process, ["sh", "-c", f"echo no > '{link}'"]) != 0
    docker_service.tear_down(job.process)
    assert original.read_text() == "original\n"
    assert len(ours(docker_engine)) == 2


def test_names_with_spaces_quotes_and_unicode(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    root = tmp_path / "dossier d’été, «été» 'q' \"Q\" $HOME:ro; 試"
    job = make_job(root)
    name = "naïve file – 細胞 'x' \"y\" $(z).txt"
    (job.folder / "inputs" / name).write_text("pixels\n")
    assert run_job(docker_service, job, "cat", str(job.folder / "inputs" / name)) == 0
    assert job.out == ["pixels"]
    assert run_job(docker_service, make_job(root), "echo", name, "$(id)", "") == 0


def test_rights_are_dropped_and_there_is_no_network(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    script = "grep -E 'CapEff|NoNewPrivs' /proc/self/status; ls /sys/class/net"
    assert run_job(docker_service, job, "sh", "-c", script) == 0
    assert job.out == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "lo"]


def test_limits_reach_the_container(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", resources=Resources(cpus=0.5, memory_bytes=2**26))
    assert run_job(docker_service, job, "true") == 0
    (container,) = ours(docker_engine)
    host = docker_engine.client.api.inspect_container(container)["HostConfig"]
    assert host["NanoCpus"] == 500_000_000
    assert host["Memory"] == host["MemorySwap"] == 2**26
    assert host["PidsLimit"] > 0


def test_a_missing_program_is_told(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    with pytest.raises(RunnerExecError, match="no program segment-cells"):
        run_job(docker_service, make_job(tmp_path / "ws"), "segment-cells", "x")


def test_the_image_is_in_the_record(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    run_job(docker_service, job, "true")
    assert job.context.provenance["image"] == "test/busybox:1"
    image = docker_engine.client.images.get("test/busybox:1")
    assert job.context.provenance["image_id"] == image.id
    assert not any(isinstance(event, Progress) for event in job.events)


def test_idle_containers_go(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    docker_service.configure({**docker_service.config, "idle_timeout": 0.2})
    run_job(docker_service, make_job(tmp_path / "ws"), "true")
    deadline = time.monotonic() + 20
    while ours(docker_engine) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ours(docker_engine) == []


def test_builder_returns_one_service_for_ever(docker_engine: Engine) -> None:
    builder = DockerRunnerServiceBuilder()
    service = builder(host=docker_engine.host)
    assert builder(host=docker_engine.host) is service
    assert service.service_name == "DOCKER"
    assert service.check().ok


def test_files_belong_to_a_caller_who_is_not_root(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give the workspace to somebody else")
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 5678)
    monkeypatch.setattr(os, "getgroups", lambda: [5678, 77])
    job = make_job(tmp_path / "ws")
    for place in [job.folder, *job.folder.iterdir()]:
        os.chown(place, 1234, 5678)
    script = 'id -u; id -g; id -G; echo x > "$HOME/f"; touch o; whoami; echo $USER'
    run_job(docker_service, job, "sh", "-c", script)
    assert job.out[:2] == ["1234", "5678"]
    assert set(job.out[2].split()) == {"5678", "77"}
    for path in (job.folder / "home" / "f", job.folder / "work" / "o"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 5678)


def test_a_rootless_engine_gets_root_inside_which_is_the_caller(
    docker_engine: Engine, tmp_path: Path
) -> None:
    # no such engine can be started by root, so only what would be asked of it is tested
    engine = connect({"host": docker_engine.host})
    engine.info = {**engine.info, "SecurityOptions": ["name=rootless"]}
    job = make_job(tmp_path / "ws")
    image = find_image(engine, parse_reference(BUSYBOX))
    assert image is not None
    assert make_spec(engine, image, job.context, {}).user == "0:0"
    engine.close()


def test_a_tool_without_an_image_is_not_for_docker(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", None)
    assert "names no container image" in docker_service.supports(job.process.tool).message
    assert not docker_service.supports(job.process.tool).ok
    with pytest.raises(PreparationError, match="names no container image"):
        docker_service.set_up(job.process)


def test_progress_bars_and_odd_bytes(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws")
    script = r"printf '10%%\r50%%\r100%%\n'; printf 'caf\303\251\n'; printf '\377\n'; printf rest"
    assert run_job(docker_service, job, "sh", "-c", script) == 0
    lines = [e.text for e in job.events if isinstance(e, OutputLine) and not e.transient]
    assert lines == ["100%", "café", "�", "rest"]


def test_much_output_arrives_whole(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws")
    assert run_job(docker_service, job, "seq", "1", "50000") == 0
    assert job.out == [str(n) for n in range(1, 50001)]


def test_a_program_that_closes_its_output_is_waited_for(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    script = "exec >&- 2>&-; sleep 0.7; touch done; exit 5"
    assert run_job(docker_service, job, "sh", "-c", script) == 5
    assert (job.folder / "work" / "done").exists()


@given(arguments=st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_argument_arrives_unchanged(
    docker_service: DockerRunnerService, tmp_path: Path, arguments: list[str]
) -> None:
    job = make_job(tmp_path / "ws")
    argv = ["sh", "-c", "printf '%s\\0' x \"$@\" > got", "x", *arguments]
    assert run_job(docker_service, job, *argv) == 0
    got = (job.folder / "work" / "got").read_bytes()
    assert got == "".join(f"{text}\0" for text in ["x", *arguments]).encode()
