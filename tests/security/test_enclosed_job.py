"""A program sees its own ``io`` folder and its inputs, and nothing else can be changed by it."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest
import tifffile

import napari_tool_runner as ntr
from napari_tool_runner import sealed
from napari_tool_runner.cli import main
from napari_tool_runner.config import load_config, user_data
from napari_tool_runner.errors import (
    JobCancelledError,
    RunnerExecError,
    TemplateError,
    ToolRunnerError,
)
from napari_tool_runner.jobs import reclaim, reclaimable
from napari_tool_runner.jobs.past.history import ended_jobs, history, record_files
from napari_tool_runner.jobs.past.scan import Scan
from napari_tool_runner.jobs.secrets import Secrets, forget_left
from napari_tool_runner.plugins import Mount
from napari_tool_runner.plugins.foreign.children import recording
from napari_tool_runner.plugins.programs import enclosed as enclosed_program
from napari_tool_runner.plugins.programs.enclosed import Enclosure
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.programs.installed import with_prefixes
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.setting_types import Secret
from napari_tool_runner.settings import ENV
from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand
from napari_tool_runner.tools.isolation.walls import program_filter
from plugins.runner_helpers import make_process, wait_until
from support import short_path, until_kept

if TYPE_CHECKING:
    from jobs.conftest import MakeTool

NO_DATA: dict[str, str] = {
    "inputs": "",
    "outputs": '<data name="o" format="txt"/>',
    "arguments": "${o}",
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An original of the user's."""
    path = tmp_path / "mine" / "raw.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, np.arange(64, dtype=np.uint8).reshape(8, 8))
    return path


def modes(folder: Path) -> set[int]:
    """The permissions of a folder and of what lies directly in it."""
    return {stat.S_IMODE(one.stat().st_mode) for one in (folder, *folder.iterdir())}


def test_a_job_is_private(make_tool: MakeTool, config: dict[str, object]) -> None:
    previous = os.umask(0o022)
    try:
        script = "import sys; print('said'); open(sys.argv[1], 'w').write('x')"
        done = ntr.run(make_tool(script, **NO_DATA), config=config)
    finally:
        os.umask(previous)
    assert modes(done.workspace) <= {0o700, 0o600}
    tool = done.workspace.parent
    assert {stat.S_IMODE(one.stat().st_mode) for one in (tool, tool.parent)} == {0o700}
    assert {one.name for one in done.workspace.iterdir()} >= {"io", "record.json", "log.txt"}


@pytest.mark.usefixtures("many_open")
def test_a_session_of_many_open_files_runs_jobs(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    done = ntr.run(make_tool("import sys; open(sys.argv[1], 'w')", **NO_DATA), config=config)
    assert done.outputs["o"].path.is_file()


def test_the_workspace_of_a_group_stays_open(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    shared = tmp_path / "jobs"
    shared.mkdir()
    shared.chmod(0o775)
    done = ntr.run(make_tool("import sys; open(sys.argv[1], 'w')", **NO_DATA), config=config)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o775
    assert stat.S_IMODE(done.workspace.parent.stat().st_mode) & 0o055 == 0o055
    assert stat.S_IMODE(done.workspace.stat().st_mode) == 0o700


def test_what_a_program_leaves_beside_its_folder_is_not_written_through(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    script = f"""
        import os, sys
        for name in ("stdout.txt", "stderr.txt", "log.txt", "record.json"):
            os.symlink({str(victim)!r}, os.path.join("..", name))
        print("echo owned")
        open(sys.argv[1], "w").write("x")
    """
    done = ntr.run(make_tool(script, **NO_DATA), config=config)
    assert victim.read_text() == "mine"
    assert "owned" in (done.workspace / "stdout.txt").read_text()
    assert not (done.workspace / "stdout.txt").is_symlink()


KILLED = """
import os, sys
from napari_tool_runner.jobs.{module} import {owner}
def die(*_, **__): os._exit(9)
{owner}.{method} = die
import napari_tool_runner as ntr
ntr.run(sys.argv[1], config={{"workspace": sys.argv[2]}})
"""


@pytest.mark.parametrize(
    ("module", "owner", "method"),
    [("job", "Job", "write_record"), ("workspace", "Workspace", "create")],
)
def test_a_folder_of_an_early_kill_is_listed_and_cleaned(
    make_tool: MakeTool,
    config: dict[str, object],
    tmp_path: Path,
    module: str,
    owner: str,
    method: str,
) -> None:
    tool = make_tool("", **NO_DATA)
    code = KILLED.format(module=module, owner=owner, method=method)
    words = [sys.executable, "-c", textwrap.dedent(code), str(tool.path), str(config["workspace"])]
    assert subprocess.run(words, check=False, cwd=tmp_path).returncode == 9
    (folder,) = (tmp_path / "jobs").glob("*/*")
    (found,) = history(tmp_path / "jobs")
    assert (found.state, found.folder, found.tool.id) == ("interrupted", folder, "invert")
    scan = Scan(tmp_path / "jobs", {})
    scan.run()
    assert [row.id for _, _, row in scan.batch()] == [folder.name]
    if not found.path.exists():  # it might begin just now
        assert ended_jobs(tmp_path / "jobs") == []
        earlier = time.strftime("%Y%m%d-%H%M%S", time.localtime(time.time() - 120))
        folder.rename(folder.with_name(earlier + folder.name[15:]))
    items = [one for one in reclaimable(load_config(config)) if one.kind == "job"]
    assert reclaim(items) == []
    assert history(tmp_path / "jobs") == []


def test_jobs_of_the_former_layout_are_read(
    make_tool: MakeTool, config: dict[str, object], image: Path
) -> None:
    script = """
        import sys, tifffile
        tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]))
    """
    done = ntr.run(make_tool(script), i=image, config=config)
    record = done.workspace / "record.json"
    for name in ("inputs", "outputs"):
        shutil.move(done.workspace / "io" / name, done.workspace / name)
    record.write_text(record.read_text().replace('"io/', '"'))
    (found,) = history(done.workspace.parent.parent)
    assert all(one.locate() for one in (*found.inputs, *found.outputs))


# -- programs of this computer ------------------------------------------------------------

enclosed = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())
WALLS = [pytest.param(True, marks=enclosed, id="enclosed"), pytest.param(False, id="without")]


@pytest.fixture
def walls(request: pytest.FixtureRequest, config: dict[str, object]) -> dict[str, object]:
    """A configuration with and without an enclosure."""
    config["runner"] = {"service": "LOCAL", "enclose": request.param}
    return config


@pytest.mark.parametrize("walls", WALLS, indirect=True)
@pytest.mark.parametrize("size", [8, 4200])
@pytest.mark.parametrize(
    "attack",
    [
        "tifffile.memmap(path)[:] = 7",
        "open(path, 'r+b').truncate(3)",
        "os.unlink(path); open(path, 'w').write('x')",
        "shutil.copymode('/bin/sh', path); open(path, 'r+b').write(b'x')",
        "path = os.path.realpath(path); open(path, 'r+b').write(b'x')",
    ],
)
def test_an_original_stays_as_it_is(
    make_tool: MakeTool, walls: dict[str, object], tmp_path: Path, size: int, attack: str
) -> None:
    raw = tmp_path / "raw.tif"
    tifffile.imwrite(raw, np.zeros((size, size), np.uint8))
    before = raw.read_bytes()
    script = f"""
        import os, shutil, sys, tifffile
        path = sys.argv[1]
        assert tifffile.imread(path).shape == ({size}, {size})
        try:
            {attack}
        except OSError as error:
            print("refused:", error.strerror)
        open(sys.argv[2], "w").write("x")
    """
    tool = make_tool(script, outputs=NO_DATA["outputs"])
    job = ntr.run(tool, i=raw, config=walls)
    assert raw.read_bytes() == before
    assert job.record["inputs"][0]["sha256"]  # type: ignore[index]


def test_a_changed_original_is_told_by_its_name(
    make_tool: MakeTool, config: dict[str, object], image: Path
) -> None:
    config["runner"] = {"service": "LOCAL", "enclose": False}
    script = f"""
        import os, sys
        before = os.stat({str(image)!r})
        with open({str(image)!r}, "r+b") as file:
            file.seek(-1, 2)
            file.write(b"!")
        os.utime({str(image)!r}, ns=(before.st_atime_ns, before.st_mtime_ns))
        open(sys.argv[2], "w").write("x")
    """
    tool = make_tool(script, outputs=NO_DATA["outputs"])
    with pytest.raises(ntr.ToolFailedError, match=r"raw\.tif changed while the tool ran"):
        ntr.run(tool, i=image, config=config)
    harmless = make_tool(
        f"import os, sys; os.chmod({str(image)!r}, 0o640); open(sys.argv[2], 'w').write('x')",
        outputs=NO_DATA["outputs"],
        name="harmless",
    )
    assert ntr.run(harmless, i=image, config=config).outputs


@enclosed
def test_an_enclosed_program_sees_its_job_only(
    make_tool: MakeTool,
    config: dict[str, object],
    tmp_path: Path,
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id").write_text("secret")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home}{os.pathsep}{os.environ['PATH']}")
    first = ntr.run(make_tool("import sys; open(sys.argv[1], 'w')", **NO_DATA), config=config)
    server = socket.socket(socket.AF_UNIX)
    with short_path(tmp_path) as place:
        server.bind(f"{place}/agent")
    server.listen()
    script = f"""
        import os, pathlib, socket, sys
        got = []
        places = [{str(home / ".ssh" / "id")!r}, {str(first.workspace / "record.json")!r}]
        places += [{str(first.workspace / "io")!r}, {str(image)!r}, "../../record.json"]
        for place in [*places, "../../log.txt", "../../../", "/home", "/run/docker.sock"]:
            try:
                found = os.listdir(place) if os.path.isdir(place) else [open(place).read()]
            except OSError:
                continue
            if found and place != "../../../":
                got.append(place)
            elif found != [pathlib.Path("../..").resolve().name]:
                got.append(str(found))
        for place in ("../../stdout.txt", "../../new"):
            try:  # of the enclosure's own memory, at most
                open(place, "w").close()
            except OSError:
                pass
        for place in ("/usr/new", "/new", {str(home / "new")!r}):
            try:
                open(place, "w").close()
                got.append("wrote " + place)
            except OSError:
                pass
        for family, place in ((socket.AF_UNIX, {str(tmp_path / "agent")!r}),
                              (socket.AF_UNIX, "\\0/tmp/.X11-unix/X0"),
                              (socket.AF_INET, ("127.0.0.1", 22))):
            try:
                socket.socket(family).connect(place)
                got.append("connected to " + repr(place))
            except OSError:
                pass
        got += [one for one in os.listdir("/proc") if one.isdecimal() and int(one) > 50]
        assert os.environ["HOME"].endswith("/io/home"), os.environ["HOME"]
        pathlib.Path.home().joinpath("mine").write_text("x")
        open("/tmp/mine", "w").write("x")
        open(sys.argv[1], "w").write(repr(got))
    """
    done = ntr.run(make_tool(script, name="spy", **NO_DATA), config=config)
    server.close()
    assert done.outputs["o"].path.read_text() == "[]"
    assert sorted(one.name for one in done.workspace.iterdir()) == ["io", "log.txt", "record.json"]


@enclosed
def test_a_toolbox_around_the_jobs_shows_none_of_them(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    config["workspace"] = str(tmp_path / "tools" / "spy" / "jobs")
    script = """
        import os, sys
        jobs = os.path.join(os.path.dirname(sys.argv[0]), "jobs")
        found = [one for folder in os.walk(jobs) for one in folder[1]]
        open(sys.argv[1], "w").write(" ".join(found))
    """
    tool = make_tool(script, name="spy", **NO_DATA)
    first, second = (ntr.run(tool, config=config) for _ in range(2))
    seen = second.outputs["o"].path.read_text().split()
    assert second.workspace.name in seen
    assert first.workspace.name not in seen


SECRETS = (
    "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN",
    "SSH_AUTH_SOCK",
    "OPENAI_API_KEY",
    "KRB5CCNAME",
)


@pytest.mark.parametrize("walls", WALLS, indirect=True)
def test_the_variables_of_a_program_are_on_a_list(
    make_tool: MakeTool, walls: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*SECRETS, "LM_LICENSE_FILE", "HTTPS_PROXY", "DISPLAY"):
        monkeypatch.setenv(name, f"the-{name}")
    monkeypatch.setenv("LC_NUMERIC", "C")
    script = "import os, sys; open(sys.argv[1], 'w').write('\\n'.join(os.environ))"
    tool = make_tool(script, **NO_DATA)
    got = set(ntr.run(tool, config=walls).outputs["o"].path.read_text().splitlines())
    assert not got & {*SECRETS, "LM_LICENSE_FILE", "HTTPS_PROXY", "DISPLAY"}
    assert got >= {"PATH", "HOME", "TMPDIR", "LC_NUMERIC"}
    walls["runner"] = {**walls["runner"], "pass_on": ["LM_LICENSE_FILE"], "network": True}  # type: ignore[dict-item]
    got = set(ntr.run(tool, config=walls).outputs["o"].path.read_text().splitlines())
    assert got >= {"LM_LICENSE_FILE", "HTTPS_PROXY"}
    assert not got & set(SECRETS)


def test_the_variables_of_a_strangers_service_are_on_a_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    lines: list[str] = []
    with recording(lambda event: lines.append(getattr(event, "text", ""))):
        subprocess.run(["env"], check=True)
        subprocess.run(["env"], check=True, env={**os.environ, "ADDED": "1"})
    text = "\n".join(lines)
    assert "secret" not in text
    assert text.count("DOCKER_HOST=") == 2
    assert "ADDED=1" in text


@enclosed
def test_windows_are_there_for_those_who_ask(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cookie").write_text("x")
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "cookie"))
    script = f"""
        import os, sys
        seen = [os.environ.get("DISPLAY"), os.path.exists({str(tmp_path / "cookie")!r})]
        open(sys.argv[1], "w").write(repr(seen))
    """
    tool = make_tool(script, **NO_DATA)
    for passed, seen in (([], "[None, False]"), (["DISPLAY", "XAUTHORITY"], "[':77', True]")):
        config["runner"] = {"service": "LOCAL", "pass_on": passed}
        assert ntr.run(tool, config=config).outputs["o"].path.read_text() == seen


@enclosed
def test_the_variables_of_a_descriptor_are_not_those_of_the_walls(tmp_path: Path) -> None:
    """A library that a descriptor has loaded first would run outside, in bubblewrap itself."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler makes the library")
    outside = tmp_path / "outside"
    source = tmp_path / "evil.c"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void)"
        f'{{ FILE *f = fopen("{outside}", "w"); if (f) {{ fputs("x", f); fclose(f); }} }}\n'
    )
    library = tmp_path / "tool" / "evil.so"
    library.parent.mkdir()
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    process, _ = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.environment = {"LD_PRELOAD": str(library)}
    process.context.mounts = [Mount(tmp_path / "job", read_only=False), Mount(library.parent)]
    LocalRunnerService().exec(process, [sys.executable, "-c", "print(1)"])
    assert not outside.exists()


NUL_WORDS = [
    ({"XX": "a\0--bind\0{0}\0{0}"}, "echo"),
    ({"XX": "a\0"}, "echo"),
    ({"X\0--bind\0{0}\0{0}\0--setenv\0Y": "b"}, "echo"),
    ({}, "a\0--bind\0{0}\0{0}"),
    ({"A=B": "c"}, "echo"),
    ({"": "c"}, "echo"),
    ({"A\nB": "c"}, "echo"),
]


@pytest.mark.parametrize("enclose", [pytest.param(True, marks=enclosed), False])
@pytest.mark.parametrize(("variables", "word"), NUL_WORDS)
def test_no_word_of_a_tool_becomes_an_option(
    tmp_path: Path, variables: dict[str, str], word: str, enclose: bool
) -> None:
    """Whoever joins words by a nul takes what follows one for the next option."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "key").write_text("the key")
    process, events = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.environment = {n.format(mine): v.format(mine) for n, v in variables.items()}
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    program = ["sh", "-c", f"cat {mine}/key", word.format(mine)]
    with pytest.raises(RunnerExecError, match=r"nul character|no name of a variable"):
        LocalRunnerService({"enclose": enclose}).exec(process, program)
    assert "the key" not in events.lines()
    with pytest.raises(TemplateError, match=r"nul character|no name of a variable"):
        RenderedCommand(tuple(program), (), environment=process.context.environment)


def test_no_path_becomes_an_option(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nul character"):
        Enclosure(["--bind", "/a\0--bind\0/", "/b"]).start(["true"], tmp_path, {})


TRIED = """
import os, sys
from napari_tool_runner.plugins.programs import enclosed, enclosure
sys.executable = sys.argv[1]
def die(walls, *_):
    print(walls._program.pid, flush=True)
    os._exit(9)
enclosed.Enclosure._tell = die
enclosure.enclosure_problem()
"""


@enclosed
def test_nothing_is_left_of_walls_that_were_tried_by_what_was_killed(tmp_path: Path) -> None:
    python = tmp_path / "python"  # by it they are known
    python.symlink_to(sys.executable)
    words = [sys.executable, "-c", TRIED, str(python)]
    killed = subprocess.run(words, capture_output=True, text=True)
    assert killed.returncode == 9, killed.stderr
    # it goes on until nobody reads what it tells, in the middle of making them
    assert wait_until(lambda: not psutil.pid_exists(int(killed.stdout)), 30.0)

    def left() -> list[list[str]]:
        told = (one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"]))
        return [words for words in told if str(python) in words]

    assert wait_until(lambda: not left(), 30.0), left()


@enclosed
@pytest.mark.skipif(not program_filter(), reason="this processor has no filter")
@pytest.mark.parametrize("whole", [True, False])
def test_nothing_runs_in_walls_that_were_told_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """What is told last, and missing when napari is killed before; no way to us stays open."""
    if not whole:
        monkeypatch.setattr(enclosed_program.os, "pwrite", lambda *_: 0)
    options = ["--ro-bind", "/", "/", "--dev", "/dev", "--bind", str(tmp_path), str(tmp_path)]
    walls = Enclosure(options)
    with walls.start(["sh", "-c", "ls /proc/self/fd > seen"], tmp_path, {}) as program:
        program.communicate()
    assert walls.ended(20)
    assert walls.ran() is whole
    seen = tmp_path / "seen"
    assert not whole or seen.read_text().split() == ["0", "1", "2", "3"], "3: of the folder"
    assert whole or not seen.exists()


def test_a_descriptor_puts_no_nul_into_variables_and_scripts(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    variable = f"</requirements>{VARIABLE}<requirements>"
    for where, what in (("requirements", variable), ("arguments", "${chr(0)} ${o}")):
        tool = make_tool("print()", root='profile="24.0"', **{**NO_DATA, where: what})
        with pytest.raises(ToolRunnerError, match=r"cannot be run: .* holds a nul character"):
            ntr.run(tool, config=config)


VARIABLE = (
    '<environment_variables><environment_variable name="XX">a${chr(0)}--bind${chr(0)}/root'
    "${chr(0)}/root</environment_variable></environment_variables>"
)


@enclosed
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write the kernel's settings")
def test_the_settings_of_the_kernel_are_read_only(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    script = """
    import os, sys
    open(sys.argv[1], 'w').write(str(os.access('/proc/sys/kernel/hostname', os.W_OK)))
    """
    done = ntr.run(make_tool(textwrap.dedent(script), **NO_DATA), config=config)
    assert done.outputs["o"].path.read_text() == "False"


def test_what_a_descriptor_proposes_is_not_lent(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    """A path that somebody chose is shown; one that is the descriptor's own default is not."""
    keys, chosen = tmp_path / "keys", tmp_path / "chosen"
    for folder in (keys, chosen):
        folder.mkdir()
        (folder / "a").write_text("x")
    script = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.path.exists(sys.argv[2] + '/a')))"
    )
    tool = make_tool(
        script,
        inputs=f'<param name="d" type="directory" value="{keys}"/>',
        outputs=NO_DATA["outputs"],
        arguments="${o} ${d}",
    )
    if not enclosure_problem():
        assert ntr.run(tool, config=config).outputs["o"].path.read_text() == "False"
    assert ntr.run(tool, d=str(chosen), config=config).outputs["o"].path.read_text() == "True"


@enclosed
def test_two_folders_for_temporary_files_are_two(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    """Files of the same name in /tmp and /var/tmp are not taken for each other."""
    one, two = Path("/tmp"), Path("/var/tmp")
    if one.resolve() == two.resolve():
        pytest.skip("here they are one")
    name = f"napari-tool-runner-{os.getpid()}"
    script = """
    import sys
    said = [open(folder + "/a").read() for folder in sys.argv[2:]]
    open(sys.argv[1], "w").write(" ".join(said))
    """
    tool = make_tool(
        textwrap.dedent(script),
        inputs="".join(f'<param name="{x}" type="directory" value=""/>' for x in "ab"),
        outputs=NO_DATA["outputs"],
        arguments="${o} ${a} ${b}",
    )
    try:
        for number, folder in enumerate((one, two), start=1):
            (folder / name).mkdir()
            (folder / name / "a").write_text(str(number))
        done = ntr.run(tool, a=str(one / name), b=str(two / name), config=config)
    finally:
        for folder in (one, two):
            shutil.rmtree(folder / name)
    assert done.outputs["o"].path.read_text().split() == ["1", "2"]


@enclosed
def test_a_daemon_with_a_cleared_environment_ends(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    name = f"sleep 1{os.getpid()}"
    script = f"""
        import subprocess, sys
        subprocess.Popen(["env", "-i", "setsid", "/bin/sh", "-c", "trap '' TERM; {name}; true"],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
        open(sys.argv[1], "w").write("x")
    """
    done = ntr.run(make_tool(script, **NO_DATA), config=config)
    assert "left processes running" in done.log.read_text()
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert name not in found.stdout


DAEMON = """
    import ctypes, os, struct, sys, time
    out = sys.argv[1]
    if os.fork():
        while not os.path.exists(out + ".tried"):
            time.sleep(0.01)
        open(out, "w").write("good")
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for one in (0, 1, 2):
        os.dup2(null, one)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
    libc.ptrace.restype = ctypes.c_long
    def trace(request, data=0):
        if libc.ptrace(request, 1, 0, data) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    def put(values):
        buffer = ctypes.create_string_buffer(struct.pack("27Q", *values))
        trace(13, ctypes.addressof(buffer))
    try:
        trace(16)
        os.waitpid(1, 0x40000000)
        found = ctypes.create_string_buffer(27 * 8)
        trace(12, ctypes.addressof(found))
        before = list(struct.unpack("27Q", found.raw))
        held = "/proc/1/fd/"  # where it can be seen; but for that, its streams
        seen = [one for one in os.listdir("/proc/1") and os.listdir(held)
                if os.readlink(held + one).startswith("pipe:")]
        for number in map(int, seen or (1, 2)):
            values = list(before)
            values[10], values[15], values[16], values[14] = 3, 2**64 - 1, before[16] - 2, number
            put(values)
            trace(9)
            os.waitpid(1, 0x40000000)
        again = list(before)
        if before[10] > 2**63:
            again[16], again[10] = before[16] - 2, before[15]
        put(again)
        trace(17)
        told = "traced"
    except OSError as error:
        told = error.strerror
    open(out + ".tried", "w").write(told)
    for number in range(600):
        time.sleep(0.05)
        open(out, "w").write("changed")
"""


@enclosed
@pytest.mark.skipif(platform.machine() != "x86_64", reason="written for one kind of processor")
@pytest.mark.parametrize("filtered", [True, False])
def test_no_daemon_outlives_its_job(
    make_tool: MakeTool, config: dict[str, object], monkeypatch: pytest.MonkeyPatch, filtered: bool
) -> None:
    """Also one that closes, with a debugger, what the first process inside holds."""
    if not filtered:
        monkeypatch.setattr(enclosed_program, "program_filter", lambda *_: b"")
    done = ntr.run(make_tool(DAEMON, **NO_DATA), config=config)
    path = done.outputs["o"].path
    assert path.with_name(path.name + ".tried").read_text() == ("ptrace" if filtered else "traced")
    assert "left processes running" in done.log.read_text()
    before = path.stat().st_mtime_ns
    time.sleep(0.5)
    assert path.stat().st_mtime_ns == before, "it goes on"


@enclosed
def test_results_are_not_taken_while_something_lives(
    make_tool: MakeTool, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Enclosure.end
    monkeypatch.setattr(Enclosure, "end", lambda self: real(self) and False)
    script = """
        import subprocess, sys
        subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        open(sys.argv[1], "w").write("x")
    """
    with pytest.raises(ntr.ToolFailedError, match="cannot be ended, so its results are not taken"):
        ntr.run(make_tool(script, **NO_DATA), config=config)


@enclosed
def test_cancel_lets_an_enclosed_program_tidy_up(
    make_tool: MakeTool, config: dict[str, object]
) -> None:
    script = """
        import pathlib, signal, sys, time
        def end(*_):
            pathlib.Path("tidied").write_text("x")
            sys.exit(3)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(600)
    """
    job = ntr.submit(make_tool(script, **NO_DATA), config=config)
    while "ready" not in job.log.tail():
        time.sleep(0.01)
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result()
    assert (job.workspace.root / "io" / "work" / "tidied").exists()


@enclosed
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("no-such-program", "was not found on this computer"),
        ("{0}/text", "no program of this computer"),
        ("{0}/locked", "may not be executed"),
        ("{0}/lost", "interpreter named in its first line is missing"),
    ],
)
def test_why_an_enclosed_program_did_not_start(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path, program: str, words: str
) -> None:
    for name, text, mode in (
        ("text", "x", 0o755),
        ("locked", "#!/bin/sh\n", 0o644),
        ("lost", "#!/no/such\n", 0o755),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    process, _ = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    with pytest.raises(RunnerExecError, match=words):
        LocalRunnerService().exec(process, [program.format(tmp_path)])


@enclosed
def test_codes_and_signals_come_through_the_walls(tmp_path: Path) -> None:
    process, events = make_process(tmp_path / "job")
    process.context.root = tmp_path / "job"
    process.context.mounts = [Mount(tmp_path / "job", read_only=False)]
    service = LocalRunnerService()
    for line, code in (("exit 1", 1), ("exit 7", 7), ("kill -9 $$", 137)):
        assert service.exec(process, ["sh", "-c", line]) == code
    assert events.lines("runner") == ["The program was killed by SIGKILL (maybe out of memory)."]
    outside = tmp_path / "outside" / "bin" / "prog"
    outside.parent.mkdir(parents=True)
    outside.write_text("#!/bin/sh\necho hello\n")
    outside.chmod(0o755)
    assert service.exec(process, [str(outside)]) == 0, "what is called by its path is shown"
    assert "hello" in events.lines()


def test_what_is_weaker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        "not enclosed (“runner.enclose” is off)"
        in LocalRunnerService({"enclose": False}).check().message
    )
    enclosure_problem.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    try:
        told = LocalRunnerService().check().message
        assert "bubblewrap is not installed" in told
        assert "originals are compared" in told
    finally:
        enclosure_problem.cache_clear()


# -- secrets of the configuration ---------------------------------------------------------

LOGIN = """<tool id="login" name="Login" version="1">
  <command>python $__tool_directory__/login.py {} ${{o}}</command><inputs/>
  <outputs><data name="o" format="txt"/></outputs></tool>
"""


@pytest.mark.parametrize("name", ["OMERO_PASSWORD", "PLAIN"])
def test_a_secret_is_in_no_command_line_and_no_record(
    config: dict[str, object], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = {"name": name, "value": "hush-hush"}
    config["env"] = [secret if name != "PLAIN" else {**secret, "secret": True}]
    (tmp_path / "login.py").write_text(
        "import os, sys\n"
        "text = open(sys.argv[1]).read()\n"
        "assert text == 'hush-' * 1 + 'hush', text\n"
        "assert os.stat(sys.argv[1]).st_mode & 0o777 == 0o600\n"
        "assert 'hush' not in repr(os.environ) + open('/proc/self/cmdline').read()\n"
        "open(sys.argv[2], 'w').write('in')\n"
    )
    box = tmp_path / "login.xml"
    box.write_text(LOGIN.format("${" + name + "}"))
    with pytest.raises(ToolRunnerError, match=f"names the secret “{name}”") as raised:
        ntr.run(ntr.read_tool(box), config=config)
    assert f"${{{name}_FILE}}" in raised.value.hint
    box.write_text(LOGIN.format("${" + name + "_FILE}"))
    assert main(["check", str(box), "--config", str(_written(tmp_path, config))]) == 0
    done = ntr.run(ntr.read_tool(box), config=config)
    assert done.outputs["o"].path.read_text() == "in"
    until_kept()
    kept = [one for one in (tmp_path / "jobs").rglob("*") if one.is_file()]
    assert kept
    assert not [one for one in kept if b"hush" in one.read_bytes()]
    assert main(["runners", "--config", str(tmp_path / "c.json")]) == 0
    assert "hush" not in capsys.readouterr().out


@pytest.mark.parametrize("next_one", ["history", "job", "clean"])
def test_the_secrets_of_a_killed_session_go_with_the_next_one(
    config: dict[str, object], tmp_path: Path, next_one: str
) -> None:
    box = tmp_path / "login.xml"
    (tmp_path / "login.py").write_text("import time; print('begun', flush=True); time.sleep(600)")
    box.write_text(LOGIN.format("${MY_TOKEN_FILE}"))
    config["env"] = [{"name": "MY_TOKEN", "value": "hush-hush"}]
    code = (
        "import sys, napari_tool_runner as ntr;"
        "ntr.run(ntr.read_tool(sys.argv[1]), config=sys.argv[2])"
    )
    words = [sys.executable, "-c", code, str(box), str(_written(tmp_path, config))]
    killed = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    jobs = tmp_path / "jobs"

    def secrets() -> list[Path]:
        return [one for one in jobs.rglob("MY_TOKEN") if one.read_text() == "hush-hush"]

    assert wait_until(lambda: any("begun" in one.read_text() for one in jobs.rglob("log.txt")))
    list(record_files(jobs))
    assert len(secrets()) == 1  # it lives, and needs it
    killed.kill()
    killed.wait()
    loaded = load_config(config)
    if next_one == "history":
        history(jobs)
    elif next_one == "clean":
        reclaimable(loaded, older_than_days=30)
    else:
        (tmp_path / "login.py").write_text("import sys; open(sys.argv[2], 'w')")
        ntr.run(ntr.read_tool(box), config=config)
    assert secrets() == []
    forget_left()  # a job that ended needs no more than the next look
    assert json.loads((user_data() / "secrets.json").read_text()).keys() <= {"version"}


def test_what_is_told_of_secrets_deletes_nothing_else(tmp_path: Path) -> None:
    io, mine = tmp_path / "tool" / "job" / "io", tmp_path / "mine" / "tmp" / "secrets"
    io.mkdir(parents=True)
    mine.mkdir(parents=True)
    (io / "tmp").symlink_to(mine.parent)
    dead = f"{platform.node()} 4194399 never"
    rows = {
        str(io / "tmp" / "secrets"): [str(io), dead],
        str(mine): [str(io), dead],
        str(tmp_path / "mine" / "tmp"): [str(tmp_path / "mine"), "elsewhere 1 x"],
        "odd": 3,
    }
    (user_data()).mkdir(parents=True, exist_ok=True)
    (user_data() / "secrets.json").write_text(json.dumps(rows))
    forget_left()
    assert mine.is_dir()


def test_a_secret_that_a_program_tells_is_shown_by_its_name(
    make_tool: MakeTool, config: dict[str, object], tmp_path: Path
) -> None:
    key = "-----BEGIN-----\nMIIE'abc\\def/+=\n-----END-----\n"
    login = {"name": "OMERO_PASSWORD", "value": "hush/hush"}
    config["env"] = [login, {"name": "SIGN_SECRET", "value": key}]
    script = f"""
        import os, sys, time
        first = "hush/"
        sys.stdout.write("[3/10] " + first); sys.stdout.flush(); time.sleep(0.2)
        print("hush is progress"); print(repr({key!r})); print({key!r}, file=sys.stderr)
        print("x" * 8187 + first + "hush" + "y" * 999)
        print("hush%2Fhush"); print("note: it is hush/hush")
        sys.exit("the login hush/hush failed")
    """
    tool = make_tool(script, **NO_DATA)
    said: list[object] = []
    job = ntr.submit(tool, config=config)
    job.subscribe(lambda _, event: said.append(event))
    job.wait()
    told = f"{said} {job.record()} {job.error} {job.error.log_tail if job.error else ''}"  # type: ignore[attr-defined]
    until_kept()
    kept = [one.read_bytes() for one in (tmp_path / "jobs").rglob("*") if one.is_file()]
    for text in (told.encode(), *kept):
        for part in (b"hush", b"MIIE"):
            place = text.find(part)
            assert place < 0, text[max(place - 80, 0) : place + 40]
    assert "the login ‹OMERO_PASSWORD› failed" in str(job.error)
    log = job.log_path.read_text()
    assert "[3/10] ‹OMERO_PASSWORD› is progress" in log
    assert "x‹OMERO_PASSWORD› … (" in log
    assert "‹SIGN_SECRET›" in log
    assert "It is ‹OMERO_PASSWORD›" in job.run.notes[-1]


def test_no_template_knows_a_secret(tmp_path: Path) -> None:
    """A template is code: it could write the value backwards, which nobody recognises."""
    told = Secrets({"WHERE": "there", "KEY": Secret("hush-hush")}).variables(JobPaths(tmp_path))
    assert told["WHERE"] == "there"
    assert "hush" not in repr(told)


def test_a_look_meanwhile_forgets_no_secret_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = JobPaths(tmp_path)
    paths.temp.mkdir(parents=True)
    kept = Secrets({"KEY": Secret("hush-hush")})
    rendered = RenderedCommand(argv=("cat", kept.variables(paths)["KEY_FILE"]), outputs={})
    write = sealed.write

    def slowly(*args: object) -> None:
        forget_left()  # as another window, or the next job, does
        write(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(sealed, "write", slowly)
    kept.write(rendered, paths)
    (folder,) = json.loads((user_data() / "secrets.json").read_text()).keys() - {"version"}
    assert (Path(folder) / "KEY").read_text() == "hush-hush"


def _written(folder: Path, config: dict[str, object]) -> Path:
    path = folder / "c.json"
    path.write_text(json.dumps(config))
    return path


def test_what_is_no_secret_stays_in_commands() -> None:
    for name, value in (("TOKENIZER", "words"), ("KEYBOARD", "german"), ("PASSES", "three")):
        (found,) = ENV.read([{"name": name, "value": value}]).values()
        assert not isinstance(found, Secret), name
    (short,) = ENV.read([{"name": "PASSWORD", "value": "1"}]).values()
    assert not isinstance(short, Secret), "it would be met everywhere"
    (found,) = ENV.read([{"name": "API_KEY", "value": "1234"}]).values()
    assert (repr(found), found) == ("'…'", "1234")


def test_a_folder_of_programs_that_one_may_not_look_into_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of a person may name folders of others; `Path.exists` raises for them."""

    def refused(path: object, **_: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(os, "stat", refused)
    assert with_prefixes([tmp_path / "bin"]) == set()
