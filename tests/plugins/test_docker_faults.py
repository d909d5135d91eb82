"""What goes wrong with engines and containers: each ends in a sentence, nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors
import docker_driver
import docker_engine as engines
import pytest
from docker_engine import BUSYBOX, Engine, make_job, run_job
from faulty_registry import FaultyRegistry

from napari_tool_runner.errors import (
    JobCancelledError,
    PreparationError,
    RunnerExecError,
    RunnerUnavailableError,
)
from napari_tool_runner.plugins import Mount, Resources
from napari_tool_runner.plugins.docker import client as docker_client
from napari_tool_runner.plugins.runner_docker import DockerRunnerService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker_engine import Job, Registry

pytestmark = pytest.mark.docker


def containers(engine: Engine, *, running: bool = False) -> list[str]:
    found = engine.client.api.containers(
        all=not running, filters={"label": "napari-tool-runner.pid"}
    )
    return [entry["Id"] for entry in found]


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def when_ready(job: Job, act: Callable[[], object]) -> threading.Thread:
    """Do `act` once the job has printed ``ready``."""
    ready = threading.Event()
    report = job.context.report

    def listen(event: object) -> None:
        report(event)  # type: ignore[arg-type]
        if getattr(event, "text", "") == "ready":
            ready.set()

    job.context.report = listen
    thread = threading.Thread(target=lambda: ready.wait(30) and act())
    thread.start()
    return thread


WAIT = ("sh", "-c", "echo ready; sleep 600")


# -- containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "remove", "stop"])
def test_a_container_that_somebody_ends(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path, how: str
) -> None:
    job = make_job(tmp_path / "ws")

    def end() -> None:
        (container,) = containers(docker_engine)
        api = docker_engine.client.api
        if how == "kill":
            api.kill(container)
        elif how == "stop":
            api.stop(container, timeout=0)
        else:
            api.remove_container(container, force=True)

    helper = when_ready(job, end)
    with pytest.raises(RunnerExecError, match=r"The container was (stopped|removed).* sh ran"):
        run_job(docker_service, job, *WAIT)
    helper.join()
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0


def test_a_container_that_ended_between_jobs(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    docker_service.set_up(job.process)
    assert docker_service.exec(job.process, ["true"]) == 0
    (container,) = containers(docker_engine)
    docker_engine.client.api.remove_container(container, force=True)
    # nothing of the next program ran in it, so it is not lost
    assert docker_service.exec(job.process, ["true"]) == 0
    docker_service.tear_down(job.process)


def test_a_paused_container_is_replaced(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    run_job(docker_service, make_job(tmp_path / "ws"), "true")
    (container,) = containers(docker_engine)
    docker_engine.client.api.pause(container)
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    assert container not in containers(docker_engine)


def test_out_of_memory(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    limits = Resources(memory_bytes=32 * 2**20)
    job = make_job(tmp_path / "ws", resources=limits)
    with pytest.raises(RunnerExecError, match=r"ran out of memory \(its limit is 34 MB\)"):
        run_job(docker_service, job, "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")
    assert run_job(docker_service, make_job(tmp_path / "ws", resources=limits), "true") == 0


def test_out_of_memory_of_a_child_is_told(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws", resources=Resources(memory_bytes=32 * 2**20))
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1; exit 9"
    assert run_job(docker_service, job, "sh", "-c", script) == 9
    assert any("out of memory" in line for line in job.told)


def test_a_program_that_kills_itself_only_has_an_exit_code(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    assert run_job(docker_service, make_job(tmp_path / "ws"), "sh", "-c", "kill -9 $$") == 137


@pytest.mark.may_skip
def test_a_full_disk_is_told_by_the_program(
    docker_service: DockerRunnerService, tmp_path: Path
) -> None:
    root = tmp_path / "small"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(root)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be made here: {mounted.stderr.decode()}")
    try:
        job = make_job(root)
        code = run_job(docker_service, job, "dd", "if=/dev/zero", "of=big", "bs=1M", "count=5")
        assert code != 0
        assert "No space left on device" in "\n".join(job.err)
        docker_service.close()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


def test_a_gpu_that_is_not_there(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws", resources=Resources(gpus=-1))
    with pytest.raises(PreparationError, match="A GPU is asked for"):
        docker_service.set_up(job.process)
    docker_service.configure({**docker_service.config, "gpus": "all"})
    plan = docker_service.plan(job.process.tool)
    assert "A GPU is asked for" in plan.problems[0]


def test_a_network_that_is_not_there(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    docker_service.configure({**docker_service.config, "network": True, "network_mode": "lab"})
    with pytest.raises(PreparationError, match="no such network"):
        docker_service.set_up(make_job(tmp_path / "ws").process)


def test_the_network_is_given_where_it_is_allowed(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    docker_service.configure({**docker_service.config, "network_mode": "host"})
    assert run_job(docker_service, make_job(tmp_path / "ws", network=True), "true") == 0
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    api = docker_engine.client.api
    modes = [
        api.inspect_container(each)["HostConfig"]["NetworkMode"]
        for each in containers(docker_engine)
    ]
    assert sorted(modes) == ["host", "none"]


def test_a_file_that_is_gone(docker_service: DockerRunnerService, tmp_path: Path) -> None:
    job = make_job(tmp_path / "ws", mounts=[Mount(tmp_path / "gone.tif")])
    with pytest.raises(PreparationError, match=r"gone\.tif does not exist"):
        docker_service.set_up(job.process)


@pytest.mark.parametrize("path", ["/", "/usr", "/etc"])
def test_folders_of_the_system_are_never_shown(
    docker_service: DockerRunnerService, tmp_path: Path, path: str
) -> None:
    job = make_job(tmp_path / "ws", mounts=[Mount(Path(path))])
    with pytest.raises(PreparationError, match="system’s folder"):
        docker_service.set_up(job.process)


# -- the engine --------------------------------------------------------------------------------


def test_no_engine(tmp_path: Path) -> None:
    service = DockerRunnerService({"host": f"unix://{tmp_path}/none.sock"})
    found = service.check()
    assert not found.ok
    assert "there is no such socket" in found.message
    job = make_job(tmp_path / "ws")
    with pytest.raises(RunnerUnavailableError, match="there is no such socket"):
        service.set_up(job.process)
    service.tear_down(job.process)
    assert "there is no such socket" in service.plan(job.process.tool).problems[0]


def test_an_engine_that_may_not_be_used(docker_engine: Engine) -> None:
    if os.geteuid() != 0 or docker_engine.external:
        pytest.skip("only root can become somebody who may not use the engine")
    docker_engine.root.chmod(0o755)
    os.seteuid(65534)
    try:
        found = DockerRunnerService({"host": docker_engine.host}).check()
    finally:
        os.seteuid(0)
    assert not found.ok
    assert "permission denied" in found.message
    assert "group “docker”" in found.message


@pytest.fixture
def own_engine(docker_engine: Engine) -> Engine:
    """The engine, if tests may stop it."""
    if docker_engine.external:
        pytest.skip("the engine is not the tests' own")
    return docker_engine


def test_an_engine_that_hangs(
    docker_service: DockerRunnerService, own_engine: Engine, tmp_path: Path
) -> None:
    own_engine.pause()
    try:
        found = docker_service.check()
    finally:
        own_engine.resume()
    assert not found.ok
    assert "does not answer" in found.message


def test_an_engine_that_hangs_while_a_program_runs(
    docker_service: DockerRunnerService,
    own_engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_client, "CONTROL_TIMEOUT", 1.0)
    # a short hang is waited for
    job = make_job(tmp_path / "ws")
    helper = when_ready(job, lambda: (own_engine.pause(), time.sleep(4), own_engine.resume()))
    assert run_job(docker_service, job, "sh", "-c", "echo ready; sleep 3; echo end") == 0
    helper.join()
    assert job.out == ["ready", "end"]
    # but nobody waits for ever when he cancels
    stuck = make_job(tmp_path / "ws")
    helper = when_ready(stuck, lambda: (own_engine.pause(), stuck.context.cancel.cancel()))
    try:
        with pytest.raises(RunnerExecError, match="may still be running"):
            run_job(docker_service, stuck, *WAIT)
    finally:
        helper.join()
        own_engine.resume()
    # the container is not used again, and does not stay
    stuck_in = containers(own_engine)
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    assert eventually(lambda: not {*stuck_in} & {*containers(own_engine)})
    assert len(containers(own_engine, running=True)) == 1


def test_the_engine_is_restarted_between_two_jobs(
    docker_service: DockerRunnerService, own_engine: Engine, tmp_path: Path
) -> None:
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    own_engine.restart()
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    assert len(containers(own_engine, running=True)) == 1


def test_the_engine_is_restarted_between_two_programs_of_a_job(
    docker_service: DockerRunnerService, own_engine: Engine, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ws")
    docker_service.set_up(job.process)
    assert docker_service.exec(job.process, ["true"]) == 0
    own_engine.restart()
    assert docker_service.exec(job.process, ["true"]) == 0
    docker_service.tear_down(job.process)


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_the_engine_ends_while_a_program_runs(
    docker_service: DockerRunnerService, own_engine: Engine, tmp_path: Path, how: str
) -> None:
    job = make_job(tmp_path / "ws")
    helper = when_ready(job, own_engine.kill if how == "kill" else own_engine.stop)
    try:
        with pytest.raises(RunnerExecError, match=r"engine stopped answering|was stopped from"):
            run_job(docker_service, job, *WAIT)
        helper.join()
        with pytest.raises(RunnerUnavailableError, match=r"no such socket|Nothing listens"):
            docker_service.set_up(make_job(tmp_path / "ws").process)
    finally:
        helper.join()
        own_engine.start()
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0


@pytest.mark.may_skip
def test_an_engine_whose_disk_is_full(
    own_engine: Engine, docker_registry: Registry, tmp_path: Path
) -> None:
    root = tmp_path / "small"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(root)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be made here: {mounted.stderr.decode()}")
    tree = engines.base_tree().file("big", os.urandom(25_000_000))
    engines.import_image(own_engine.client, tree, "test/large:1")
    name = docker_registry.push(own_engine.client, "test/large:1", "large")
    own_engine.client.images.remove("test/large:1")
    small = Engine(root / "data")
    try:
        small.start()
        service = DockerRunnerService({"host": small.host})
        job = make_job(tmp_path / "ws", name)
        plan = service.plan(job.process.tool)
        assert "are free" in plan.problems[0]
        with pytest.raises(PreparationError, match="The disk of the container engine is full"):
            service.set_up(job.process)
        service.close()
    finally:
        small.remove()
        subprocess.run(["umount", "-l", str(root)], check=True)


# -- napari ends, or there are two -----------------------------------------------------------


class Driver:
    """Another process that uses DOCKER."""

    def __init__(self, engine: Engine, folder: Path, image: str, *argv: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, docker_driver.__file__, engine.host, str(folder), image, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def until(self, line: str) -> list[str]:
        assert self.process.stdout is not None
        seen = []
        for text in self.process.stdout:
            seen.append(text.rstrip())
            if seen[-1].startswith(line):
                return seen
        raise AssertionError(f"{line!r} never came: {seen}")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        self.process.communicate("\n", timeout=30)
        return self.process.returncode


@pytest.fixture
def driver(docker_engine: Engine) -> Iterator[Callable[..., Driver]]:
    made: list[Driver] = []

    def start(folder: Path, *argv: str, image: str = BUSYBOX) -> Driver:
        made.append(Driver(docker_engine, folder, image, *argv))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill()
        for stream in (each.process.stdin, each.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def test_at_exit_the_containers_go(
    docker_engine: Engine, driver: Callable[..., Driver], tmp_path: Path
) -> None:
    other = driver(tmp_path / "ws", "true")
    other.until("finished 0")
    assert len(containers(docker_engine, running=True)) == 1
    assert other.end() == 0
    assert containers(docker_engine) == []


def test_killed_in_a_run_the_program_ends_and_the_next_start_sweeps(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    driver: Callable[..., Driver],
    tmp_path: Path,
) -> None:
    other = driver(tmp_path / "ws", *WAIT)
    other.until("ready")
    (container,) = containers(docker_engine, running=True)
    other.kill()
    # its standard input ended with the process that held it
    assert eventually(lambda: containers(docker_engine, running=True) == [])
    assert containers(docker_engine) == [container]
    assert run_job(docker_service, make_job(tmp_path / "mine"), "true") == 0
    assert container not in containers(docker_engine)


def test_killed_in_a_pull_nothing_half_made_is_used(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    docker_registry: Registry,
    driver: Callable[..., Driver],
    tmp_path: Path,
) -> None:
    name = _push_random(docker_engine, docker_registry)
    proxy = FaultyRegistry(docker_registry.address)
    try:
        proxy.fault = "hang"
        through = name.replace(docker_registry.address, proxy.address)
        other = driver(tmp_path / "ws", "true", image=through)
        assert proxy.half_sent.wait(30)
        other.kill()
        with pytest.raises(docker.errors.ImageNotFound):
            docker_engine.client.images.get(through)
        proxy.fault = "none"
        job = make_job(tmp_path / "mine", through)
        assert run_job(docker_service, job, "cat", "/marker") == 0
        assert job.out == ["whole"]
    finally:
        proxy.close()


def _push_random(engine: Engine, registry: Registry) -> str:
    tree = engines.base_tree().programs(engines.all_programs())
    tree.file("random", os.urandom(500_000)).file("marker", b"whole\n")
    engines.import_image(engine.client, tree, "test/random:1", ["ENV PATH=/bin"])
    name = registry.push(engine.client, "test/random:1", "random")
    engine.client.images.remove("test/random:1")
    return name


def test_two_at_once_leave_each_other_alone(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    driver: Callable[..., Driver],
    tmp_path: Path,
) -> None:
    other = driver(tmp_path / "ws", *WAIT)
    other.until("ready")
    theirs = containers(docker_engine)
    assert run_job(docker_service, make_job(tmp_path / "ws"), "true") == 0
    mine = [each for each in containers(docker_engine) if each not in theirs]
    assert len(mine) == 1
    docker_service.close()
    assert containers(docker_engine, running=True) == theirs
    other.kill()
    fresh = DockerRunnerService({"host": docker_engine.host})
    run_job(fresh, make_job(tmp_path / "ws"), "true")
    fresh.close()
    assert containers(docker_engine) == []


def test_two_jobs_at_once_do_not_meet(
    docker_service: DockerRunnerService, docker_engine: Engine, tmp_path: Path
) -> None:
    first, second = (make_job(tmp_path / "ws") for _ in range(2))
    docker_service.set_up(first.process)
    docker_service.set_up(second.process)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            docker_service.exec(first.process, list(WAIT))
        except JobCancelledError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert eventually(lambda: first.out == ["ready"])
    assert docker_service.exec(second.process, ["sh", "-c", "ps | grep -c '[s]leep 600'"]) == 1
    first.context.cancel.cancel()
    thread.join()
    assert len(failures) == 1
    assert docker_service.exec(second.process, ["true"]) == 0
    docker_service.tear_down(first.process)
    docker_service.tear_down(second.process)
    assert len(containers(docker_engine)) == 1
