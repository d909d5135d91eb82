"""A DOCKER job (set up, run, tear down) against ``docker exec`` and ``docker run --rm``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Comparison, Unavailable, compare
from napari_tool_runner.plugins.runner_docker import DockerRunnerService

# the tests' engine: a real one on a private socket, with an image made here
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "plugins"))

import docker_engine as engines

PROGRAM = ("sh", "-c", "echo hello")


def run(*, quick: bool) -> Iterator[Comparison]:
    reason = engines.why_not() or ("" if engines.busybox() else "no static busybox")
    if reason:
        raise Unavailable(f"no container engine: {reason}")
    command = shutil.which("docker")
    if command is None:
        raise Unavailable("no docker command to compare with")
    repeats = 5 if quick else 40
    engine = engines.start_engine()
    service = DockerRunnerService({"host": engine.host})
    try:
        engines.busybox_image(engine.client)
        with tempfile.TemporaryDirectory() as name:
            yield from _compare(command, engine, service, Path(name), repeats)
    finally:
        service.close()
        engine.remove()


def _compare(
    command: str, engine: engines.Engine, service: DockerRunnerService, root: Path, repeats: int
) -> Iterator[Comparison]:
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    user = f"{os.getuid()}:{os.getgid()}"
    job = engines.make_job(root)
    work = str(job.context.work_dir)

    def docker(*arguments: str) -> bytes:
        return subprocess.run(
            [command, *arguments], env=environment, check=True, capture_output=True
        ).stdout

    options = ("--network=none", f"--user={user}", "-v", f"{root}:{root}", "-w", work)
    kept = docker("run", "-d", *options, engines.BUSYBOX, "sleep", "3600").decode().strip()

    def ours() -> None:
        job.events.clear()
        assert engines.run_job(service, job, *PROGRAM) == 0
        assert job.out == ["hello"]

    def executed() -> None:
        assert docker("exec", f"--user={user}", "-w", work, kept, *PROGRAM) == b"hello\n"

    def started() -> None:
        assert docker("run", "--rm", *options, engines.BUSYBOX, *PROGRAM) == b"hello\n"

    yield compare("second job (docker exec)", ours, executed, aim=1.3, repeats=repeats)
    yield compare("second job (docker run --rm)", ours, started, aim=1 / 3, repeats=repeats)
