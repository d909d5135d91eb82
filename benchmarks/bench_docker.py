"""A DOCKER job against ``docker exec`` and ``docker run --rm``; and one that starts warm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

import napari_tool_runner as ntr
from benchmarks.bench_warm import warmed
from benchmarks.measure import Comparison, Unavailable, compare
from napari_tool_runner.plugins.runner_docker import DockerRunnerService
from napari_tool_runner.plugins.runners_factory import runnerServices
from napari_tool_runner.plugins.warm import pool

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
            yield from _warm(command, engine, Path(name), 3 if quick else 15)
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


DESCRIPTOR = """<tool id="flip" name="Flip" version="1">
  <requirements><container type="docker">{image}</container></requirements>
  <command>python '{script}' ${{input}} ${{output}}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="imagetiff" layer="image"/></outputs>
</tool>
"""
FLIP = """import sys
import numpy
import tifffile

tifffile.imwrite(sys.argv[2], numpy.flip(tifffile.imread(sys.argv[1])))
"""


def _warm(command: str, engine: engines.Engine, root: Path, repeats: int) -> Iterator[Comparison]:
    """Compare a whole run whose program starts warm in the container that was made ahead."""
    os.environ["XDG_DATA_HOME"] = str(root / "data")
    image = engines.python_image(engine.client, "localhost/python:1", ("numpy", "tifffile"))
    script, picture, descriptor = (root / name for name in ("flip.py", "small.tif", "flip.xml"))
    script.write_text(FLIP, encoding="utf-8")
    tifffile.imwrite(picture, np.random.default_rng(1).random((64, 64), np.float32))
    descriptor.write_text(DESCRIPTOR.format(image=image, script=script), encoding="utf-8")
    tool = ntr.read_tool(descriptor)
    made = engine.client.containers.run(image, ["sleep", "3600"], network="none", detach=True)
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    service = runnerServices.get("DOCKER", host=engine.host)
    assert isinstance(service, DockerRunnerService)

    def job(*, warm: bool) -> ntr.JobResult:
        runner = {"service": "DOCKER", "host": engine.host, "warm": warm}
        return ntr.run(tool, input=picture, config={"runner": runner}, cache=False)

    def ready() -> None:
        service.pool._await(None)
        while any(one.waited for one in pool._pool._servers.values()):
            time.sleep(0.01)

    def executed() -> None:
        words = [command, "exec", str(made.id), "true"]
        subprocess.run(words, env=environment, check=True, capture_output=True)

    try:
        warmed(lambda: job(warm=True))
        for what, other, aim, more in (
            ("cold", lambda: job(warm=False), 0.5, 0.0),
            ("docker exec of true", executed, 1.0, 0.04),
        ):
            yield compare(
                f"a warm run of NumPy and tifffile on 64 × 64 in its container ({what})",
                *(lambda: job(warm=True), other),
                aim=aim,
                more=more,
                repeats=repeats,
                ready=ready,
            )
    finally:
        service.close()
        made.remove(force=True)
