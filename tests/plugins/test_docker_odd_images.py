"""Images that were not made to be kept warm, or to be called by others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from docker_engine import (
    BUSYBOX,
    Engine,
    Tree,
    base_tree,
    busybox_image,
    import_image,
    make_job,
    run_job,
)

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    PreparationError,
    RunnerExecError,
)
from napari_tool_runner.plugins import Mount, Resources

if TYPE_CHECKING:
    from pathlib import Path

    from napari_tool_runner.plugins.runner_docker import DockerRunnerService

pytestmark = pytest.mark.docker

ONLY_TOOLS = ("cat", "cp", "dd", "env", "false", "id", "pwd", "timeout", "yes")


@pytest.fixture(scope="module", autouse=True)
def odd_images(docker_engine: Engine) -> None:
    client = docker_engine.client
    busybox_image(
        client,
        "test/entry:1",
        ['ENTRYPOINT ["/bin/false"]', "WORKDIR /not/there", "USER 4321", "VOLUME /data"],
    )
    program = ["/bin/sh", "-c", 'for part in tool "$@"; do echo "$part"; done', "x"]
    busybox_image(client, "test/tool:1", [f"ENTRYPOINT {json.dumps(program)}"])
    path = ["ENV PATH=/bin"]
    import_image(client, base_tree().programs(("sh", *ONLY_TOOLS)), "test/nosleep:1", path)
    import_image(client, base_tree().programs(("sleep", *ONLY_TOOLS)), "test/noshell:1", path)
    import_image(client, Tree().programs(ONLY_TOOLS), "test/bare:1", path)


def containers(engine: Engine) -> list[str]:
    found = engine.client.api.containers(all=True, filters={"label": "napari-tool-runner.pid"})
    return [entry["Id"] for entry in found]


@pytest.mark.parametrize("image", ["entry", "nosleep", "noshell"])
def test_they_are_kept_warm_all_the_same(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path, image: str
) -> None:
    seen = set()
    for _ in range(2):
        job = make_job(tmp_path / "ws", f"test/{image}:1")
        assert run_job(docker_service, job, "pwd") == 0
        assert job.out == [str(job.folder / "work")]
        seen.update(containers(docker_engine))
    assert len(seen) == 1


@pytest.mark.parametrize("image", ["entry", "nosleep", "noshell", "bare"])
def test_they_run_as_the_caller_with_a_home(
    docker_service: DockerRunnerService, tmp_path: Path, image: str
) -> None:
    job = make_job(tmp_path / "ws", f"test/{image}:1", environment={"GREETING": "hello you"})
    assert run_job(docker_service, job, "env") == 0
    assert f"HOME={job.folder / 'home'}" in job.out
    assert f"TMPDIR={job.folder / 'tmp'}" in job.out
    assert "GREETING=hello you" in job.out


def test_without_shell_and_sleep_each_program_has_its_container(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    root = tmp_path / "ws"
    job = make_job(root, "test/bare:1")
    (job.folder / "inputs" / "a b.txt").write_text("pixels\n")
    docker_service.set_up(job.process)
    assert containers(docker_engine) == []
    source, target = job.folder / "inputs" / "a b.txt", job.folder / "outputs" / "é.txt"
    assert docker_service.exec(job.process, ["cp", str(source), str(target)]) == 0
    assert docker_service.exec(job.process, ["cat", str(target)]) == 0
    assert docker_service.exec(job.process, ["cat", "nothing"]) == 1
    assert docker_service.exec(job.process, ["false"]) == 1
    docker_service.tear_down(job.process)
    assert target.read_text() == "pixels\n"
    assert job.out == ["pixels"]
    assert "No such file" in job.err[0]
    assert containers(docker_engine) == []


def test_an_image_that_hides_all_is_told(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    """What is missing is no program."""
    busybox_image(docker_engine.client, "test/hides:1", ["VOLUME /"])
    with pytest.raises(PreparationError, match="container for sh cannot be started"):
        run_job(docker_service, make_job(tmp_path / "ws", "test/hides:1"), "sh", "-c", "true")


@pytest.mark.parametrize("image", ["noshell", "bare"])
def test_cancel_and_time_out_end_them(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path, image: str
) -> None:
    docker_service.configure({**docker_service.config, "grace": 0.3})
    job = make_job(tmp_path / "ws", f"test/{image}:1")
    job.context.report = lambda event: job.context.cancel.cancel()
    with pytest.raises(JobCancelledError):
        run_job(docker_service, job, "timeout", "600", "yes")
    late = make_job(tmp_path / "ws", f"test/{image}:1", timeout=0.3)
    with pytest.raises(JobTimeoutError):
        run_job(docker_service, late, "timeout", "600", "dd", "if=/dev/zero", "of=/dev/null")
    assert containers(docker_engine) == []


@pytest.mark.parametrize("image", ["noshell", "bare"])
def test_a_missing_program_is_told(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path, image: str
) -> None:
    job = make_job(tmp_path / "ws", f"test/{image}:1")
    with pytest.raises(RunnerExecError, match="no program segment-cells"):
        run_job(docker_service, job, "segment-cells")
    docker_service.close()
    assert containers(docker_engine) == []


def test_out_of_memory_without_a_warm_container(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", "test/bare:1", resources=Resources(memory_bytes=32 * 2**20))
    with pytest.raises(RunnerExecError, match="ran out of memory"):
        run_job(docker_service, job, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")


def test_a_command_of_options_only_goes_to_the_entry_point(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", "test/tool:1")
    assert run_job(docker_service, job, "-i", "a b", "-o", "c") == 0
    assert job.out == ["tool", "-i", "a b", "-o", "c"]
    nothing = make_job(tmp_path / "ws", BUSYBOX)
    with pytest.raises(RunnerExecError, match="no entry point"):
        run_job(docker_service, nothing, "-i", "a")


def test_the_entry_point_can_be_asked_for(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    docker_service.configure({**docker_service.config, "entrypoint": True})
    job = make_job(tmp_path / "ws", "test/tool:1")
    assert run_job(docker_service, job, "pwd") == 0
    assert job.out == ["tool", "pwd"]


def test_other_mounts_or_rights_are_another_container(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    root = tmp_path / "ws"
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_text("a")
    (data / "b").write_text("b")
    base = Mount(root, read_only=False)
    run_job(docker_service, make_job(root, mounts=[base]), "true")
    assert len(containers(docker_engine)) == 1
    run_job(docker_service, make_job(root, mounts=[base, Mount(data / "a")]), "true")
    assert len(containers(docker_engine)) == 2
    # what one of them may do already needs no third
    run_job(docker_service, make_job(root, mounts=[base]), "true")
    run_job(docker_service, make_job(root, mounts=[base, Mount(data / "a")]), "true")
    assert len(containers(docker_engine)) == 2
    run_job(docker_service, make_job(root, mounts=[base, Mount(data / "b")]), "true")
    run_job(docker_service, make_job(root, resources=Resources(cpus=1)), "true")
    other = make_job(tmp_path / "other")
    run_job(docker_service, other, "true")
    assert len(containers(docker_engine)) == 5


def test_the_oldest_waiting_container_goes_first(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    docker_service.configure({**docker_service.config, "max_containers": 2})
    for name in ("one", "two", "three"):
        run_job(docker_service, make_job(tmp_path / name), "true")
    assert len(containers(docker_engine)) == 2
    before = containers(docker_engine)
    run_job(docker_service, make_job(tmp_path / "two"), "true")
    assert containers(docker_engine) == before
