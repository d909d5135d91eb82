"""A program that is forked in its container is the program that starts cold there."""

from __future__ import annotations

import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from napari_tool_runner.errors import JobCancelledError
from napari_tool_runner.plugins import Mount, Process
from napari_tool_runner.plugins.docker import handing
from napari_tool_runner.plugins.runner_docker import DockerRunnerService
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.warm import patience, pool
from napari_tool_runner.plugins.warm.learned import known
from napari_tool_runner.tools.model import ContainerRequirement
from plugins.runner_helpers import Events, make_process, wait_until
from plugins.warm_programs import LOOK, Programs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker_engine import Engine

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]
_OTHERS = re.compile(r"(?<=\.slots/)[^/]+|(?<=\"HOSTNAME\": \")\w+")
"""What is another one in each container."""


@dataclass
class InContainers(Programs):
    """Runs scripts with DOCKER, each in a container of its own."""

    image: str
    services: dict[bool, DockerRunnerService]

    def process(self) -> tuple[Process, Events]:
        process, events = make_process(self.folder, ContainerRequirement(image=self.image))
        assert process.context is not None
        process.context.root = self.folder
        process.context.mounts = [Mount(self.folder, read_only=False)]
        return process, events

    def run(self, *args: str, warm: bool = True) -> tuple[int, list[str], list[str]]:
        self.wait()
        process, events = self.process()
        with self.services[warm].session(process) as session:
            code = session.exec(list(args))
        assert process.context is not None
        self.told = process.context.provenance.get("warm")
        self.said = events.lines("runner")
        lines = [events.lines(one) for one in ("stdout", "stderr")]
        out, err = ([_OTHERS.sub("…", line) for line in one] for one in lines)
        return code, out, err

    def learn(self, *args: str) -> None:
        self.run(*args)
        self.wait()

    def wait(self) -> None:
        """Wait for the container of the next job, and for what is imported in it."""
        self.services[True].pool._await(None)
        assert wait_until(lambda: not any(one.waited for one in self.servers), 60.0)


@pytest.fixture
def programs(docker_engine: Engine, docker_python: str, tmp_path: Path) -> Iterator[InContainers]:
    services = {
        warm: DockerRunnerService({"host": docker_engine.host, "warm": warm})
        for warm in (True, False)
    }
    folder = tmp_path / "jobs" / "tool" / "job" / "io"
    yield InContainers(folder, enclose=False, image=docker_python, services=services)
    for one in services.values():
        one.close()
    handing._pythons.clear()


WALLS = """
import os, subprocess
kept = ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Cap", "SigBlk", "SigIgn", "Threads")
for line in open("/proc/self/status"):
    if line.startswith(kept):
        print(line.strip())
print(os.listdir("/sys/class/net"), os.getsid(0) == os.getpid() or os.getppid() == 0)
print(open("/proc/self/cgroup").read().count(":"), open("/proc/self/oom_score_adj").read())
for path in ("/run/warm/x", "/run/warm/bin/x", "/run/warm/server.py"):
    try:
        open(path, "w")
    except OSError as error:
        print(type(error).__name__ if os.path.isdir("/run/warm") else "OSError")
"""


def test_it_finds_what_a_cold_one_finds(programs: InContainers) -> None:
    name = programs.script(LOOK)
    assert len(programs.both("python", name, "a b", "")[1]) > 20
    programs.wait()
    (server,) = programs.servers
    assert server.name.startswith("/opt/python/bin/python in localhost/python:1 (")
    programs.both("sh", "-c", f"umask 077; trap '' INT; python3 ./{name} x | cat")


def test_it_is_within_the_same_walls_and_cannot_change_what_stands_for_it(
    programs: InContainers,
) -> None:
    lines = programs.both("python", programs.script(WALLS))[1]
    assert {"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "['lo'] True"} <= set(lines)
    assert programs.run("sh", "-c", "ls /run/warm || echo none", warm=False)[1] == ["none"]


ENDS = """
import atexit, os, signal, subprocess, sys
atexit.register(print, "at the end")
subprocess.run([sys.executable, "-c", "import os; print(os.environ['HOME'] != '/root')"])
print(repr(sys.stdin.read()), "é", end="")
print("err", file=sys.stderr)
how = sys.argv[1]
if how == "kill":
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)
raise ValueError("odd") if how == "error" else SystemExit(int(how))
"""


def test_it_ends_as_a_cold_one_does(programs: InContainers) -> None:
    name = programs.script(ENDS)
    for how, code in (("7", 7), ("error", 1), ("kill", 143)):
        cold = programs.run("python", name, how, warm=False)
        assert cold[0] == code
        if not programs.servers:
            programs.learn("python", name, how)
        assert programs.run("python", name, how) == cold
        assert programs.told is True


PATIENT = """
import signal, sys
def asked(*_):
    print("asked", flush=True)
    signal.sigtimedwait([], 0.5)
    raise SystemExit
signal.signal(signal.SIGTERM, asked)
print("here", flush=True)
while True:
    signal.sigtimedwait([], 0.1)
"""


def test_it_is_asked_to_end_once_and_has_time_for_that(programs: InContainers) -> None:
    programs.learn("python", programs.script("import numpy"))
    name = programs.script(PATIENT, "patient.py")
    process, events = programs.process()
    context = process.context
    assert context is not None

    def cancel() -> None:
        events.wait_for("here")
        context.cancel.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with programs.services[True].session(process) as session, pytest.raises(JobCancelledError):
        session.exec(["python", name])
    thread.join()
    assert events.lines() == ["here", "asked"]
    assert "warm" in context.provenance


def test_slices_of_a_job_share_what_was_imported(programs: InContainers) -> None:
    name = programs.script("import numpy; print(numpy.arange(3).sum())")
    process, events = programs.process()
    with programs.services[True].session(process) as session:
        for _ in range(2):
            assert session.exec(["python", name]) == 0
        (server,) = programs.servers
        assert process.context is not None
        assert process.context.provenance["warm"] is True
        assert session.exec(["sh", "-c", "sleep 100 > /dev/null 2>&1 &"]) == 0
        assert session.exec(["python", name]) == 0  # in a container without that
        assert programs.servers != [server]
    assert process.context.provenance["warm"] is True
    assert events.lines() == ["3"] * 3
    assert not psutil.pid_exists(server.pid)


def test_its_memory_is_shown_and_given_back(programs: InContainers) -> None:
    name = programs.script("import numpy; print(1)")
    programs.learn("python", name)
    (server,) = programs.servers
    (stored,) = LocalRunnerService().stored()
    assert stored.name == f"imports of {server.name}"
    assert stored.size > 2**20
    stored.remove()
    assert wait_until(lambda: not psutil.pid_exists(server.pid))
    assert programs.run("python", name) == (0, ["1"], [])  # warm, if its imports are in time
    assert programs.run("python", name) == (0, ["1"], [])
    assert programs.told is True
    programs.services[True].close()
    assert programs.servers == []


def test_one_that_was_killed_is_replaced(programs: InContainers) -> None:
    name = programs.script("import numpy; print(1)")
    programs.learn("python", name)
    (server,) = programs.servers
    psutil.Process(server.pid).kill()
    assert wait_until(lambda: server.outdated)
    for warm in (None, True):
        assert programs.run("python", name) == (0, ["1"], [])
        assert programs.told is warm


def test_what_does_nothing_any_more_starts_cold(
    programs: InContainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ("_LEAST", "_MOST"):
        monkeypatch.setattr(patience, one, 1.0)
    monkeypatch.setattr(patience, "_took", {})
    monkeypatch.setattr(patience, "_given_up", set())
    name = programs.script("import os, time; print(1); time.sleep(os.getppid() != 0 and 600)")
    code, lines, _ = programs.run("python", name)
    assert (code, lines[-1]) == (0, "1")
    (said,) = programs.said
    assert "it is started once more" in said
    assert programs.run("python", name)[:2] == (0, ["1"])
    assert programs.said == []


@pytest.mark.parametrize(
    ("python", "why"),
    [("", "no Python is in it"), ("echo too old >&2; exit 1", "too old")],
    ids=["none", "old"],
)
def test_an_image_without_a_python_that_can_is_told_once(
    programs: InContainers, docker_engine: Engine, python: str, why: str
) -> None:
    import docker_engine as engines

    tree = engines.base_tree().programs(engines.all_programs())
    if python:
        tree.file("bin/python", f"#!/bin/sh\n{python}\n".encode(), 0o755)
    changes = ["ENV PATH=/bin", f"LABEL of={why.split()[0]}"]
    programs.image = engines.import_image(docker_engine.client, tree, "localhost/odd:1", changes)
    programs.work.mkdir(parents=True)
    told = f"Programs in localhost/odd:1 start without imports ahead: {why}."
    for said in ([told], []):
        assert programs.run("sh", "-c", "echo python") == (0, ["python"], [])
        assert programs.said == said
        assert programs.told is None
    assert pool._pool._servers == {}


def test_why_it_starts_cold_is_said_once(programs: InContainers, docker_engine: Engine) -> None:
    import docker_engine as engines

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    made = docker_engine.client.containers.create(programs.image, "true")
    tree = engines.Tree().file("busy.py", b"import random; random.random()")
    tree.file("quiet.py", b"import time; AT = time.monotonic()")
    assert made.put_archive(f"/opt/python/lib/{version}/site-packages", tree.tar())
    made.commit("localhost/python", "2")
    made.remove()
    programs.image = "localhost/python:2"
    name = programs.script("import busy, quiet")
    said = []
    for _ in range(3):
        programs.run("sh", "-c", f"python {name}; X=1 python {name}")
        said += programs.said
    programs.wait()
    (server,) = programs.servers
    draws = "busy is not imported ahead: it seeds or draws random numbers when it is imported"
    changed = "a program started without imports ahead: X changed since the job was started"
    assert sorted(said) == [f"With {server.name}, {changed}.", f"With {server.name}, {draws}."]
    assert programs.told is True
    (imports,) = known._found.values()
    assert imports.told is not None
    assert "=\tbusy\t" in imports.told  # so it is not tried in each container


def test_a_command_without_python_starts_nothing_ahead(programs: InContainers) -> None:
    programs.learn("python", programs.script("import numpy"))
    assert programs.run("sh", "-c", "echo 1")[1] == ["1"]
    programs.wait()
    assert programs.servers == []
    assert programs.run("sh", "-c", "cd /; echo 1")[1] == ["1"]
    assert programs.servers == []
