"""What lives in a container beside a job's program reaches no other job, nor this computer.

The programs that keep a container alive are the image's own, so any image may bring bad ones.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.config import config_path
from napari_tool_runner.errors import RunnerExecError
from napari_tool_runner.jobs.extent import Extent
from napari_tool_runner.jobs.manager import job_manager
from napari_tool_runner.plugins import ExecContext
from napari_tool_runner.plugins.docker import containers
from napari_tool_runner.plugins.docker import exec as execution
from napari_tool_runner.plugins.docker.containers import LABEL, leftovers, sweep
from napari_tool_runner.plugins.docker.images import Image, parse_reference
from napari_tool_runner.plugins.docker.kept import SLEEPERS, WarmContainer
from napari_tool_runner.plugins.docker.pool import WarmPool
from napari_tool_runner.plugins.docker.program import Executed, counted_out_of_memory
from napari_tool_runner.plugins.docker.slot import Slot
from napari_tool_runner.plugins.docker.spec import Spec, make_spec
from napari_tool_runner.plugins.docker.words import last_words
from napari_tool_runner.plugins.runners_factory import runnerServices
from napari_tool_runner.tools.toolbox.trust import approve
from plugins.test_docker_answers import GONE, engine_of, left_behind, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker.errors import APIError
    from docker_engine import Engine

    from jobs.conftest import MakeTool

docker = pytest.mark.docker
IMAGE, EVIL = "localhost/python:1", "localhost/evil:1"
NO_DATA: dict[str, str] = {
    "inputs": "",
    "outputs": '<data name="o" format="txt"/>',
    "arguments": "${o}",
    "requirements": f'<container type="docker">{EVIL}</container>',
}
EVIL_SH = """#!/opt/python/bin/python3
# holds the folder of every job that it sees, and does harm while it should not see it: to results
# of other jobs (those of its own it could change while that runs), and to what slices are given
import os, signal, time

for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
points = [line.split()[4] for line in open("/proc/self/mountinfo")]
place = next(point for point in points if point.endswith("/job")) + "/io"
held, last = {}, None


def spoil(fd, other):
    for root, _, names, folder in os.fwalk(".", dir_fd=fd):
        for name in names:
            if other and root.endswith("/outputs"):
                there = os.open(name, os.O_WRONLY | os.O_TRUNC, dir_fd=folder)
                os.write(there, b"CHANGED")
                os.close(there)
            elif "inputs" in root and "pieces" in root:
                os.unlink(name, dir_fd=folder)
                os.symlink("SECRET", name, dir_fd=folder)


while True:
    now = None
    try:
        found = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        now = last = os.fstat(found).st_ino
        held.setdefault(now, found)
    except OSError:
        pass
    for key, fd in held.items():
        if key != now:
            try:
                spoil(fd, key != last)
            except OSError:
                pass
    time.sleep(0.0005)
"""


@pytest.fixture
def here(
    docker_engine: Engine, docker_python: str, config: dict[str, object], tmp_path: Path
) -> Iterator[dict[str, object]]:
    """A configuration with an engine that has an image with such a shell; a secret is beside."""
    assert docker_python == IMAGE
    (tmp_path / "secret").write_text("TOPSECRET---")
    script = EVIL_SH.replace("SECRET", str(tmp_path / "secret")).encode()
    packed, entry = io.BytesIO(), tarfile.TarInfo("sh")
    entry.size, entry.mode = len(script), 0o755
    with tarfile.TarFile(fileobj=packed, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(script))
    api = docker_engine.client.api
    made = api.create_container(IMAGE, ["true"])["Id"]
    api.put_archive(made, "/bin", packed.getvalue())
    api.commit(made, *EVIL.split(":"))
    api.remove_container(made)
    config["runner"] = {"host": docker_engine.host, "service": "DOCKER"}
    config["jobs"] = {"cache": False}
    yield config
    runnerServices.get("DOCKER", host=docker_engine.host).close()  # type: ignore[attr-defined]
    api.remove_image(EVIL, force=True)


@docker
def test_results_are_out_of_reach_when_their_job_has_ended(
    make_tool: MakeTool, here: dict[str, object]
) -> None:
    script = "import sys, time; open(sys.argv[1], 'w').write('mine'); time.sleep(0.3)"
    done = [ntr.run(make_tool(script, **NO_DATA), config=here) for _ in range(3)]
    time.sleep(0.5)
    assert [one.outputs["o"].path.read_text() for one in done] == ["mine"] * 3


@docker
def test_a_slice_shows_no_file_that_the_slice_before_linked_to(
    make_tool: MakeTool, here: dict[str, object]
) -> None:
    script = """
        import sys, time
        time.sleep(0.1)
        open(sys.argv[2], "wb").write(open(sys.argv[1], "rb").read(12))
    """
    shape = {**NO_DATA, "inputs": '<param name="i" type="data" format="imagetiff"/>'}
    tool = make_tool(script, **(shape | {"arguments": "${i} ${o}"}))
    stack = np.zeros((4, 16, 16), np.uint8)
    job = job_manager().submit(tool, {"i": stack}, config=here, extent=Extent("each", 2))
    result = job.result()
    files = result.outputs["o"].files().values()
    assert [one.path.read_bytes()[:4] for one in files] == [b"II*\0"] * 4


@docker
def test_an_image_that_is_refused_was_not_started(
    make_tool: MakeTool, here: dict[str, object], docker_engine: Engine, tmp_path: Path
) -> None:
    api, name = docker_engine.client.api, "test/moved"
    api.tag(IMAGE, name, "1")
    named = f'<container type="docker">{name}:1</container>'
    script = "import sys; open(sys.argv[1], 'w').write('x')"
    make_tool(script, **{**NO_DATA, "requirements": named}, name="moved")
    box = tmp_path / "tools" / "moved"
    config_path().parent.mkdir(parents=True, exist_ok=True)  # what is named in a call is permitted
    config_path().write_text(json.dumps({**here, "process": {"xml_dirs": [str(box)]}}))
    approve(box)
    tool = ntr.load_toolbox()["moved"]
    try:
        ntr.run(tool)
        api.tag(EVIL, name, "1")
        evil = docker_engine.client.images.get(EVIL).id
        with pytest.raises(ntr.ToolRunnerError, match="approved with another image"):
            ntr.run(tool)
        made = api.containers(all=True, filters={"label": "napari-tool-runner.pid"})
        assert evil not in {entry["ImageID"] for entry in made}
    finally:
        api.remove_image(f"{name}:1", force=True)


@docker
def test_a_shell_that_a_tool_has_replaced_is_not_run(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path
) -> None:
    script = """
        import os, pathlib, signal, sys
        other = pathlib.Path(sys.argv[1]).with_name("RAN")
        os.unlink("/bin/sh")
        bad = f"#!/opt/python/bin/python3\\nopen({str(other)!r}, 'w')"
        pathlib.Path("/bin/sh").write_text(bad)
        os.chmod("/bin/sh", 0o755)
        pathlib.Path(sys.argv[1]).write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    tool = make_tool(
        script, **{**NO_DATA, "requirements": NO_DATA["requirements"].replace(EVIL, IMAGE)}
    )
    with pytest.raises(ntr.ToolFailedError):
        ntr.run(tool, config=here)
    assert list(tmp_path.glob("jobs/**/o*.txt")), "it came so far"
    assert not list(tmp_path.glob("jobs/**/RAN"))


# -- without an engine -----------------------------------------------------------------------


KILLED = ["kill", "wait", "inspect_container", "remove_container"]


def of_a_job(folder: Path, **answers: object) -> tuple[WarmPool, WarmContainer, ExecContext]:
    root = folder / "tool" / "job" / "io"
    root.mkdir(parents=True)
    spec = Spec("sha256:1", (), "1:1", jobs=folder / "tool")
    ended = {"State": {"Running": False, "Paused": False}}
    answers = {"kill": None, "wait": None, "inspect_container": ended, **answers}
    warm = WarmContainer("c1", engine_of(**answers), spec, SLEEPERS[0], slot=Slot(spec.jobs))
    warm.processes, pool = 2, WarmPool()
    pool._busy.add(warm)
    return pool, warm, ExecContext(root, root, root, root=root)


def test_a_container_ends_with_its_job_and_a_fresh_one_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, warm, _ = of_a_job(tmp_path, remove_container=None)
    fresh = WarmContainer("c2", warm.engine, warm.spec, SLEEPERS[0])
    monkeypatch.setattr(pool, "_start", lambda *_: fresh)
    monkeypatch.setattr(WarmContainer, "running", lambda _: True)
    warm.proven = True
    pool.release(warm)
    pool._await(None)
    assert list(warm.engine.client.api.asked)[:4] == KILLED
    assert pool.acquire(warm.engine, warm.spec) is fresh
    pool.close()


@pytest.mark.parametrize(
    "answers",
    [
        {"kill": refusal(500, "busy")},
        {"wait": GONE},
        {"inspect_container": {"State": {"Running": True, "Paused": False}}},
        {"inspect_container": {"State": {"Running": False, "Paused": True}}},
    ],
    ids=["refuses", "goes", "runs", "paused"],
)
def test_results_are_not_read_while_a_container_may_live(
    tmp_path: Path, answers: dict[str, object]
) -> None:
    pool, warm, _ = of_a_job(tmp_path, remove_container=refusal(500, "busy"), **answers)
    with pytest.raises(RunnerExecError, match="does not end the job's container"):
        pool.release(warm)


@pytest.mark.parametrize(
    ("pause", "kept"), [(None, True), (refusal(500, "no freezer"), False)], ids=["freezes", "not"]
)
def test_between_programs_of_a_job_its_container_is_frozen_or_gone(
    tmp_path: Path, pause: APIError | None, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, warm, context = of_a_job(tmp_path, pause=pause, unpause=None, remove_container=None)
    moved: list[bool] = []

    def run(*_: object) -> int:
        warm.thaw()
        moved.append(context.root is not None and context.root.is_symlink())
        return 0

    monkeypatch.setattr(execution, "_run_in", run)
    assert execution.run_in(pool, warm, ["prog"], context, {}) == 0
    assert moved == [True]
    pool._await(None)
    asked = list(warm.engine.client.api.asked)
    assert asked == (["pause", "unpause", "pause"] if kept else ["pause", "pause", *KILLED])
    assert (warm in pool._busy) is kept
    warm.remove()


@pytest.mark.parametrize(("top", "serves"), [([1, 2], True), ([1, 2, 3], False)])
def test_a_container_in_which_a_slice_left_something_takes_no_other(
    tmp_path: Path, top: list[int], serves: bool
) -> None:
    pool, warm, _ = of_a_job(tmp_path, top={"Processes": top}, remove_container=None)
    warm.frozen = True
    assert pool.serves(warm) is serves
    assert pool.serves(warm) is serves
    warm.remove()


def test_a_tool_is_asked_to_end_without_hearing_it(tmp_path: Path) -> None:
    asked: dict[str, object] = {}

    def create(*_: object, **how: object) -> dict[str, str]:
        asked.update(how)
        return {"Id": "e1"}

    pool, warm, _ = of_a_job(
        tmp_path, exec_create=create, exec_start=lambda _, **how: asked.update(how)
    )
    assert Executed(pool, warm, "e0", "prog").ask_to_end()
    assert asked == {"stdout": False, "stderr": False, "detach": True}


@pytest.mark.parametrize(
    ("group", "counts", "told", "found"),
    [
        ("4:memory:/d/c1", "memory/d/c1/memory.oom_control", "under_oom 0\noom_kill 2\n", True),
        ("4:memory:/d/c1", "memory/d/c1/memory.oom_control", "oom_kill 0\n", False),
        ("0::/x-c1.scope/container", "x-c1.scope/memory.events", "oom 1\noom_kill 1\n", True),
        ("0::/user.slice", "user.slice/memory.events", "oom_kill 1\n", False),
        ("3:cpu:/docker/c1", "docker/c1/memory.events", "oom_kill 1\n", False),
    ],
)  # fmt: skip
def test_what_the_kernel_counts_is_read_outside_of_a_container(
    tmp_path: Path, group: str, counts: str, told: str, found: bool
) -> None:
    assert not counted_out_of_memory("c1", 7, tmp_path)
    for place, text in ("proc/7/cgroup", f"{group}\n"), (f"sys/fs/cgroup/{counts}", told):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        assert not counted_out_of_memory("c1", 7, tmp_path), "half of it is not there"
        (tmp_path / place).write_text(text)
    assert counted_out_of_memory("c1", 7, tmp_path) is found


@pytest.mark.parametrize(("podman", "how"), [(True, "pid"), (False, None)])
def test_processes_are_counted_by_the_engine_itself(podman: bool, how: str | None) -> None:
    asked: list[str | None] = []

    def top(_: str, arguments: str | None) -> dict[str, list[str]]:
        asked.append(arguments)
        return {"Processes": ["1"]}

    engine = engine_of(podman=podman, top=top)
    assert WarmContainer("c1", engine, Spec("sha256:1", (), "1:1"), SLEEPERS[0]).count_processes()
    assert asked == [how]


@pytest.mark.parametrize(
    "change",
    [
        {},  # what an image took over from a container of ours
        {"seal": ""},
        {"seal": "0" * 64},
        {"pid": "abc"},
        {"pid": "2"},
        {"host": "elsewhere", "user": "0"},
        {"pid": None, "started": None},
        {"seal": None},
    ],
)
def test_labels_of_an_image_make_no_container_ours(change: dict[str, str | None]) -> None:
    labels = left_behind("napari-tool-runner-1")
    told = {**labels, **{f"{LABEL}.{key}": value for key, value in change.items()}}
    theirs = {"Id": "c1", "Labels": {key: one for key, one in told.items() if one is not None}}
    names = ["/database"] if not change else ["/napari-tool-runner-1"]
    engine = engine_of(containers=[{**theirs, "Names": names}], remove_container=None)
    sweep(engine)
    assert leftovers(engine) == []
    assert "remove_container" not in engine.client.api.asked
    ours = {"Id": "c1", "Labels": labels, "Names": ["/napari-tool-runner-1"]}
    engine = engine_of(containers=[ours], remove_container=None)
    sweep(engine)
    assert "remove_container" in engine.client.api.asked


@pytest.mark.parametrize("busy", [None, refusal(409, "removal is already in progress")])
def test_what_an_engine_is_still_removing_is_looked_at_again(
    busy: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = left_behind("napari-tool-runner-1")
    ours = {"Id": "c1", "Labels": labels, "Names": ["/napari-tool-runner-1"]}
    answers = {"containers": ([ours], [ours], []), "remove_container": busy}
    assert sweep(engine_of(**answers), patient=True)
    assert not sweep(engine_of(**answers))
    monkeypatch.setattr(containers, "_PATIENCE_S", 0.2)
    assert not sweep(engine_of(containers=[ours], remove_container=busy), patient=True)


def test_where_no_key_can_be_kept_a_session_knows_its_containers(user_dirs: Path) -> None:
    (user_dirs / "data_home").write_text("")  # a file where the folder should be
    ours = {"Id": "c1", "Labels": containers._labels("ours"), "Names": ["/ours"]}
    theirs = {"Id": "c2", "Labels": {f"{LABEL}.seal": ""}, "Names": ["/theirs"]}
    (found,) = leftovers(engine_of(containers=[ours, theirs]))
    assert (found.id, found.state) == ("c1", "own")


def test_last_words_have_a_limit() -> None:
    raw = io.BytesIO(b"exec format error" + bytes(2**20))
    answer = nullcontext(SimpleNamespace(raw=raw))
    said = last_words(engine_of(get=answer), "c1")
    assert said.startswith("exec format error")
    assert raw.tell() == len(said) < 2**13


def test_what_waits_in_a_slot_is_no_folder_of_a_job(tmp_path: Path) -> None:
    _, warm, context = of_a_job(tmp_path, remove_container=None)
    assert warm.slot is not None
    assert context.root is not None
    (secret := tmp_path / "secret").mkdir()
    (warm.slot.root / "job" / "io").symlink_to(secret)
    with warm.slot.holding(context.root):
        (context.root / "made").touch()
    assert (context.root / "made").exists()
    assert not any(secret.iterdir())
    warm.slot.remove()


def test_a_container_sees_what_its_job_names_and_no_more(tmp_path: Path) -> None:
    root = tmp_path / "tool" / "job" / "io"
    root.mkdir(parents=True)
    (link := root / "st.tiff").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").touch()
    context = ExecContext(root, root, root, root=root)
    image = Image("sha256:1", parse_reference("lab/tool:1"))
    assert make_spec(engine_of(), image, context, {}, [link]).mounts == ()
