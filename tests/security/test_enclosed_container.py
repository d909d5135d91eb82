"""A container sees the folder of its own job and no other; what it leaves is not trusted."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner.config import user_data
from napari_tool_runner.errors import RunnerUnavailableError
from napari_tool_runner.exchange import files
from napari_tool_runner.jobs import read_record
from napari_tool_runner.jobs.secrets import forget_left
from napari_tool_runner.plugins.docker import client as clients
from napari_tool_runner.plugins.docker.slot import Slot, recover
from napari_tool_runner.plugins.runners_factory import runnerServices
from plugins.test_docker_answers import GONE, engine_of, left_behind
from security.test_inputs import attack_script, blocks
from security.test_sealed import as_anybody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker_engine import Engine

    from jobs.conftest import MakeTool

docker = pytest.mark.docker
IMAGE = "localhost/python:1"
NO_DATA: dict[str, str] = {
    "inputs": "",
    "outputs": '<data name="o" format="txt"/>',
    "arguments": "${o}",
    "requirements": f'<container type="docker">{IMAGE}</container>',
}


@pytest.fixture
def here(
    docker_engine: Engine, docker_python: str, config: dict[str, object]
) -> Iterator[dict[str, object]]:
    """A configuration that runs tools in containers of the test engine."""
    assert docker_python == IMAGE
    config["runner"], config["jobs"] = {"host": docker_engine.host}, {"cache": False}
    yield config
    runnerServices.get("DOCKER", host=docker_engine.host).close()  # type: ignore[attr-defined]


def text(result: ntr.JobResult) -> str:
    return result.outputs["o"].path.read_text()


SPY = """
    import os, sys
    found = []
    for folder, names, files in os.walk({jobs!r}, followlinks=False):
        found += [os.path.join(folder, one) for one in (*names, *files)]
    for folder, names, files in os.walk(os.path.realpath("../..")):
        found += [os.path.join(folder, one) for one in (*names, *files)]
    open(sys.argv[1], "w").write("\\n".join(found))
"""


@docker
def test_a_container_sees_its_own_job_only(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path
) -> None:
    tool = make_tool(SPY.format(jobs=str(tmp_path / "jobs")), **NO_DATA)
    first, second = (ntr.run(tool, config=here) for _ in range(2))
    seen = text(second)
    assert str(second.workspace / "io") in seen, "it has the same path as outside"
    assert first.workspace.name not in seen
    assert not {"record.json", "log.txt", "stdout.txt", "stderr.txt"} & {
        os.path.basename(line) for line in seen.splitlines()
    }
    for one in (first, second):
        kept = {entry.name for entry in one.workspace.iterdir()}
        assert kept == {"io", "log.txt", "record.json"}
        assert not (one.workspace / "io").is_symlink()
    assert (
        first.record["runner"]["service"] == "DOCKER"  # type: ignore[index]
    )


@docker
def test_a_toolbox_around_the_jobs_shows_none_of_them(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path
) -> None:
    here["workspace"] = str(tmp_path / "tools" / "invert" / "jobs")
    tool = make_tool(SPY.format(jobs=here["workspace"]), **NO_DATA)
    first, second = (ntr.run(tool, config=here) for _ in range(2))
    seen = text(second)
    assert str(second.workspace / "io") in seen
    assert first.workspace.name not in seen
    assert "record.json" not in seen


@docker
def test_names_that_the_host_opens_are_out_of_reach(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path
) -> None:
    victim = tmp_path / "bashrc"
    victim.write_text("mine")
    script = f"""
        import os, sys
        for up in ("..", "../..", os.path.realpath("..") + "/.."):
            for name in ("stdout.txt", "record.json", "record.new", "pieces", "new"):
                try:
                    os.symlink({str(victim)!r}, os.path.join(up, name))
                except OSError:
                    pass
        print("echo owned", flush=True)
        open(sys.argv[1], "w").write("x")
    """
    done = ntr.run(make_tool(script, **NO_DATA), config=here)
    assert victim.read_text() == "mine"
    assert {entry.name for entry in done.workspace.iterdir()} == {
        "io", "log.txt", "record.json", "stdout.txt"
    }  # fmt: skip
    assert not any(entry.is_symlink() for entry in done.workspace.iterdir())
    kept = [entry.name for entry in (tmp_path / "jobs" / ".slots").glob("*/job/*")]
    assert kept == [], "nothing waits for the next job"


@docker
@pytest.mark.parametrize("fake", ["link", "folder", "nothing"])
def test_a_folder_that_was_exchanged_is_not_taken(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path, fake: str
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("mine")
    script = f"""
        import os
        io = os.path.realpath("..")
        os.rename(io, io + ".away")
        if {fake!r} == "link":
            os.symlink({str(secret)!r}, io)
        elif {fake!r} == "folder":
            os.mkdir(io)
    """
    with pytest.raises(ntr.ToolFailedError, match="moved the folder of its job away"):
        ntr.run(make_tool(script, **NO_DATA), config=here)
    (job,) = (tmp_path / "jobs" / "invert").iterdir()
    assert not (job / "io").is_symlink()
    assert (secret / "key").read_text() == "mine"
    again = make_tool("import sys; open(sys.argv[1], 'w').write('fine')", name="next", **NO_DATA)
    assert text(ntr.run(again, config=here)) == "fine"


@docker
def test_what_goes_on_after_a_job_is_ended_before_its_results_are_read(
    make_tool: MakeTool, here: dict[str, object]
) -> None:
    script = """
        import os, subprocess, sys, time
        open(sys.argv[1], "w").write("mine")
        code = "import sys, time\\nwhile True: open(sys.argv[1], 'w').write('theirs')"
        subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, env={})
        time.sleep(0.3)
    """
    done = ntr.run(make_tool(script, **NO_DATA), config=here)
    path = done.outputs["o"].path
    stamp = path.stat().st_mtime_ns
    time.sleep(0.3)
    assert path.stat().st_mtime_ns == stamp


@docker
def test_a_lent_original_is_for_its_job_only(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "OWN", 0)
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("first")
    other.write_text("second")
    script = f"""
        import os, sys
        try:
            open(sys.argv[1], "w")
        except OSError as error:
            print(error.strerror)
        seen = [open(sys.argv[1]).read(), os.path.exists({str(one)!r})]
        open(sys.argv[2], "w").write(repr(seen))
    """
    shape = NO_DATA | {"inputs": '<param name="i" type="data" format="txt"/>'}
    tool = make_tool(script, **(shape | {"arguments": "${i} ${o}"}))
    assert text(ntr.run(tool, i=one, config=here)) == "['first', True]"
    assert text(ntr.run(tool, i=other, config=here)) == "['second', False]"
    assert (one.read_text(), other.read_text()) == ("first", "second")


@docker
def test_no_secret_is_in_a_command_line(
    make_tool: MakeTool, here: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    script = "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))"
    assert "hush-hush" not in text(ntr.run(make_tool(script, **NO_DATA), config=here))


def test_a_folder_left_in_a_slot_is_put_back(tmp_path: Path) -> None:
    jobs = tmp_path / "tool"
    io = jobs / "20260101-000000-abcdef" / "io"
    io.mkdir(parents=True)
    (io / "data").write_text("x")
    code = """
        import os, sys
        from pathlib import Path
        from napari_tool_runner.plugins.docker.slot import Slot
        slot = Slot(Path(sys.argv[1]))
        with slot.holding(Path(sys.argv[2])):
            os._exit(9)
    """
    words = [sys.executable, "-c", textwrap.dedent(code), str(jobs), str(io)]
    assert subprocess.run(words, check=False).returncode == 9
    assert io.is_symlink()
    assert (io / "data").read_text() == "x"
    recover(tmp_path)
    assert not io.is_symlink()
    assert (io / "data").read_text() == "x"
    assert list((tmp_path / ".slots").iterdir()) == []


def test_secrets_that_a_dead_slot_holds_are_deleted(tmp_path: Path) -> None:
    io = tmp_path / "tool" / "job" / "io"
    (io / "tmp" / "secrets").mkdir(parents=True)
    (io / "tmp" / "secrets" / "KEY").write_text("hush")
    code = """
        import os, sys
        from pathlib import Path
        from napari_tool_runner.plugins.docker.slot import Slot
        with Slot(Path(sys.argv[1]).parents[1]).holding(Path(sys.argv[1])):
            os._exit(9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(io)], check=False)
    assert io.is_symlink()
    row = [str(io), f"{platform.node()} {2**22 + 1} of another day"]
    user_data().mkdir(parents=True, exist_ok=True)
    (user_data() / "secrets.json").write_text(json.dumps({str(io / "tmp" / "secrets"): row}))
    forget_left()
    assert not io.is_symlink()
    assert [one.name for one in io.rglob("*")] == ["tmp"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_slot_that_goes_while_a_job_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    if not at_once:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    io = tmp_path / "tool" / "job" / "io"
    io.mkdir(parents=True)
    (io / "data").write_text("x")
    slot = Slot(tmp_path / "tool")
    with slot.holding(io):
        assert (io / "data").read_text() == "x"
        slot.remove()
        assert (io / "data").read_text() == "x"
    assert (io / "data").read_text() == "x"
    assert not slot.root.exists()
    shutil.rmtree(tmp_path / "tool")


def in_one_another(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def test_what_a_program_leaves_beside_its_folder_is_deleted_however_deep(tmp_path: Path) -> None:
    with as_anybody() as top:
        io = top / "tool" / "job" / "io"
        io.mkdir(parents=True)
        (io / "data").write_text("x")
        slot = Slot(top / "tool")
        with slot.holding(io):
            given = io.readlink().parent
            in_one_another(given, 1200)
            (given / "closed" / "inner").mkdir(parents=True)
            for path, mode in ((given / "closed", 0), (io.readlink(), 0o500), (given, 0)):
                path.chmod(mode)
        assert (io / "data").read_text() == "x"
        assert not any(given.iterdir())
        slot.remove()
        assert not slot.root.exists()


def dead_slots(workspaces: Path, count: int) -> list[Path]:
    """Make the slots of dead sessions, each with the folder of a job ``tool/job0``…"""
    from napari_tool_runner.plugins.docker import slot

    roots = [workspaces / ".slots" / f"{slot._host()}-{2**22 + at}-0a-{at}" for at in range(count)]
    for at, root in enumerate(roots):
        place, job = root / "job" / "io", workspaces / "tool" / f"job{at}"
        for folder in (place, root / "links" / job.name, job):
            folder.mkdir(parents=True)
        (place / "data").write_text("x")
        for link in (root / "links" / job.name / "io", job / "io"):
            link.symlink_to(place)
    return roots


def test_a_dead_slot_that_resists_hides_no_other(tmp_path: Path) -> None:
    jobs, dead = tmp_path / "tool", dead_slots(tmp_path, 3)
    for root in dead:
        in_one_another(root / "job", 1200)
    (dead[0] / "job").rename(dead[0] / "elsewhere")
    recover(tmp_path)
    assert [(jobs / f"job{at}" / "io" / "data").exists() for at in range(3)] == [False, True, True]
    assert not (jobs / "job0" / "io").is_symlink()  # nothing leads into what is gone
    assert not any((tmp_path / ".slots").iterdir())


@pytest.mark.parametrize("engine", ["gone", "hangs", "keeps it"])
def test_nothing_is_put_back_under_a_container_that_may_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    left = [{"Id": "c1", "Labels": left_behind("ours"), "Names": ["/ours"]}]
    answers: dict[str, dict[str, object]] = {
        "hangs": {"containers": GONE},
        "keeps it": {"containers": left, "remove_container": GONE},
    }

    def connect(config: dict[str, str]) -> object:
        assert config == {"host": "unix:///engine"}
        if engine == "gone":
            raise RunnerUnavailableError("no engine")
        return engine_of(**answers[engine])

    monkeypatch.setattr(clients, "connect", connect)
    (root,) = dead_slots(tmp_path, 1)
    (root / "engine").write_text("unix:///engine")
    io = tmp_path / "tool" / "job0" / "io"
    recover(tmp_path)
    assert io.is_symlink()
    assert (root / "job" / "io" / "data").exists()
    ended = engine_of(containers=(left, []), remove_container=None)
    monkeypatch.setattr(clients, "connect", lambda _: ended)
    recover(tmp_path)
    assert "remove_container" in ended.client.api.asked
    assert not io.is_symlink()
    assert (io / "data").exists()


def test_what_is_put_back_by_several_at_once_is_lost_by_none(tmp_path: Path) -> None:
    jobs, dead = tmp_path / "tool", dead_slots(tmp_path, 60)
    with ThreadPoolExecutor(4) as several:
        list(several.map(recover, [tmp_path] * 4))
    recover(tmp_path)
    assert all((jobs / f"job{at}" / "io" / "data").is_file() for at in range(len(dead)))
    assert not any((tmp_path / ".slots").iterdir())


@docker
def test_an_image_that_was_put_in_the_place_of_another_is_told(
    make_tool: MakeTool, here: dict[str, object], docker_engine: Engine
) -> None:
    api, name = docker_engine.client.api, "test/swapped"
    api.tag(IMAGE, name, "1")
    named = f'<container type="docker">{name}:1</container>'
    tool = make_tool("import sys; open(sys.argv[1], 'w')", **{**NO_DATA, "requirements": named})
    try:
        first = ntr.run(tool, config=here)
        made = api.create_container(IMAGE, ["true"])["Id"]
        api.commit(made, name, "1", message="another")
        api.remove_container(made)
        second, third = (ntr.run(tool, config=here) for _ in range(2))
    finally:
        api.remove_image(f"{name}:1", force=True)
    records = [read_record(done.workspace / "record.json") for done in (first, second, third)]
    told = [one for record in records for one in record.notes]
    assert len(told) == 1
    assert f"the image {name}:1 is another one: it was sha256:" in told[0]
    assert told[0] in (second.workspace / "log.txt").read_text()


@docker
@pytest.mark.parametrize("shape", [(8, 8), (5000, 5000)], ids=["small", "large"])
def test_inputs_have_room_beside_them_and_large_ones_are_not_copied(
    make_tool: MakeTool, here: dict[str, object], tmp_path: Path, shape: tuple[int, int]
) -> None:
    raw = tmp_path / "mine" / "raw.tif"
    raw.parent.mkdir()
    tifffile.imwrite(raw, np.ones(shape, np.uint8), photometric="minisblack")
    before = raw.read_bytes()
    options = {name: NO_DATA[name] for name in ("outputs", "requirements")}
    done = ntr.run(make_tool(attack_script(), **options), i=raw, config=here)
    assert text(done) == "beside"
    assert raw.read_bytes() == before
    assert [one.name for one in raw.parent.iterdir()] == ["raw.tif"]
    assert blocks(done.workspace) < 2**20
