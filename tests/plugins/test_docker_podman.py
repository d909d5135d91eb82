"""DOCKER on a real Podman, through the same interface."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import docker.errors
import podman_engine
import pytest
from docker_engine import Tree, busybox, busybox_image, import_image, make_job, run_job

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    PreparationError,
    RunnerExecError,
)
from napari_tool_runner.plugins import Mount, Resources
from napari_tool_runner.plugins.runner_docker import DockerRunnerService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker_engine import Job, Registry

NOBODY = 65534

# Podman is a second implementation: tested where it is installed
# Debian 12's Podman (4.3) now and then loses an exec's end on a loaded machine
pytestmark = [pytest.mark.docker, pytest.mark.may_skip, pytest.mark.flaky(reruns=2)]


@pytest.fixture(scope="module")
def podman(docker_registry: Registry) -> Iterator[podman_engine.Podman]:
    reason = podman_engine.why_not() or ("" if busybox() else "no static busybox (apt)")
    if reason:
        pytest.skip(f"no Podman: {reason}")
    engine = podman_engine.Podman(docker_registry.address)
    try:
        engine.start()
        busybox_image(engine.client)
        import_image(
            engine.client,
            Tree().programs(("cat", "false", "yes")),
            "test/bare:1",
            ["ENV PATH=/bin"],
        )
        yield engine
    finally:
        engine.remove()


@pytest.fixture
def service(podman: podman_engine.Podman) -> Iterator[DockerRunnerService]:
    service = DockerRunnerService({"host": podman.host, "grace": 1})
    yield service
    service.close()
    assert podman.client.api.containers(all=True) == []


def when_ready(job: Job, act: object) -> None:
    def listen(event: object) -> None:
        job.events.append(event)  # type: ignore[arg-type]
        if getattr(event, "text", "") == "ready":
            threading.Thread(target=act).start()  # type: ignore[arg-type]

    job.context.report = listen


def test_it_is_known_as_podman(service: DockerRunnerService) -> None:
    found = service.check()
    assert found.ok
    assert found.message.startswith("Podman ")


def test_jobs_run_in_one_warm_container(
    service: DockerRunnerService, podman: podman_engine.Podman, tmp_path: Path
) -> None:
    seen = set()
    for _ in range(2):
        job = make_job(tmp_path / "with space é")
        script = 'echo out; echo err >&2; id -u; touch "$HOME/x" o; exit 3'
        assert run_job(service, job, "sh", "-c", script) == 3
        assert job.out == ["out", str(os.getuid())]
        assert job.err == ["err"]
        assert (job.folder / "work" / "o").stat().st_uid == os.getuid()
        seen |= {entry["Id"] for entry in podman.client.api.containers(all=True)}
    assert len(seen) == 1


def test_rights(service: DockerRunnerService, tmp_path: Path) -> None:
    data = tmp_path / "a.txt"
    data.write_text("original\n")
    root = tmp_path / "ws"
    job = make_job(root, mounts=[Mount(root, False), Mount(data)])
    script = f"grep CapEff /proc/self/status; ls /sys/class/net; echo no > '{data}'"
    assert run_job(service, job, "sh", "-c", script) != 0
    assert job.out == ["CapEff:\t0000000000000000", "lo"]
    assert data.read_text() == "original\n"


def test_cancel_and_time_out(service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws")
    when_ready(job, job.context.cancel.cancel)
    with pytest.raises(JobCancelledError):
        run_job(service, job, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    late = make_job(tmp_path / "ws", timeout=0.5)
    with pytest.raises(JobTimeoutError):
        run_job(service, late, "sleep", "60")


def test_what_ends_a_program_is_told(
    service: DockerRunnerService, podman: podman_engine.Podman, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    when_ready(job, lambda: [each.kill() for each in podman.client.containers.list()])
    with pytest.raises(RunnerExecError, match="stopped from outside"):
        run_job(service, job, "sh", "-c", "echo ready; sleep 60")
    big = make_job(tmp_path / "ws", resources=Resources(memory_bytes=64 * 2**20))
    with pytest.raises(RunnerExecError, match="ran out of memory"):
        run_job(service, big, "dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1")
    with pytest.raises(RunnerExecError, match="no program segment-cells"):
        run_job(service, make_job(tmp_path / "ws"), "segment-cells")


def test_an_image_without_shell_and_sleep(service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws", "test/bare:1")
    (job.folder / "work" / "a").write_text("pixels\n")
    assert run_job(service, job, "cat", "a") == 0
    assert job.out == ["pixels"]
    assert run_job(service, make_job(tmp_path / "ws", "test/bare:1"), "false") == 1
    with pytest.raises(RunnerExecError, match="no program segment-cells"):
        run_job(service, make_job(tmp_path / "ws", "test/bare:1"), "segment-cells")
    endless = make_job(tmp_path / "ws", "test/bare:1", timeout=1)
    with pytest.raises(JobTimeoutError):
        run_job(service, endless, "yes")


def test_a_pull(
    service: DockerRunnerService,
    podman: podman_engine.Podman,
    docker_registry: Registry,
    tmp_path: Path,
) -> None:
    name = docker_registry.push(podman.client, "test/busybox:1", "from-podman")
    job = make_job(tmp_path / "ws", name)
    assert not service.plan(job.process.tool).ready
    assert run_job(service, job, "true") == 0
    assert str(job.context.provenance["image_digest"]).startswith("sha256:")
    missing = make_job(tmp_path / "ws", f"{docker_registry.address}/nothing:1")
    with pytest.raises(PreparationError, match="has no image"):
        service.set_up(missing.process)


def test_the_service_is_restarted_between_two_jobs(
    service: DockerRunnerService, podman: podman_engine.Podman, tmp_path: Path
) -> None:
    assert run_job(service, make_job(tmp_path / "ws"), "true") == 0
    podman.restart()
    # its containers outlive Podman's service
    assert run_job(service, make_job(tmp_path / "ws"), "true") == 0


@pytest.fixture
def rootless() -> Iterator[podman_engine.Podman]:
    reason = podman_engine.why_not() or ("" if busybox() else "no static busybox (apt)")
    if reason:
        pytest.skip(f"no Podman: {reason}")
    engine = podman_engine.Podman(user=NOBODY)
    try:
        try:
            engine.start()
            busybox_image(engine.client)
        except (RuntimeError, docker.errors.DockerException) as error:
            pytest.skip(f"no rootless Podman: {error}")
        yield engine
    finally:
        engine.remove()


def test_rootless_files_belong_to_the_caller(
    rootless: podman_engine.Podman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root inside is the caller outside; the caller's own number means nothing inside."""
    root = rootless.root / "ws"
    job = make_job(root)
    for place in [root, job.folder, *job.folder.iterdir()]:
        os.chown(place, NOBODY, NOBODY)
    monkeypatch.setattr(os, "getuid", lambda: NOBODY)
    monkeypatch.setattr(os, "getgid", lambda: NOBODY)
    service = DockerRunnerService({"host": rootless.host})
    try:
        assert run_job(service, job, "sh", "-c", "id -u; touch o") == 0
    finally:
        service.close()
    assert job.out == ["0"]
    assert (job.folder / "work" / "o").stat().st_uid == NOBODY
