"""Whatever an enclosed program can read decides its result: an earlier run answers until then."""

from __future__ import annotations

import os
import shutil
import threading
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import napari_tool_runner as ntr
from napari_tool_runner import sealed
from napari_tool_runner.jobs import job_manager, place
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.programs.trees import Trees
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from support import until_kept

if TYPE_CHECKING:
    from napari_tool_runner.jobs import JobResult

WRITE = "import sys\nout = open(sys.argv[1], 'w')\n"

pytestmark = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())


@dataclass
class Computer:
    """A folder of programs, an environment of Python, and a tool that finds both."""

    top: Path
    programs: Path = field(init=False)
    packages: Path = field(init=False)
    tool: Path = field(init=False)
    runner: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.programs, self.tool = self.top / "prog", self.top / "tools" / "tool"
        venv.create(self.top / "venv", symlinks=True)
        (self.packages,) = (self.top / "venv" / "lib").glob("python3*/site-packages")
        for name in ("bin", "lib", "share/models"):
            (self.programs / name).mkdir(parents=True)
        self.tool.mkdir(parents=True)

    def package(self, name: str, text: str) -> Path:
        return write(self.packages / name / "__init__.py", text)

    def program(self, name: str, text: str) -> Path:
        path = write(self.programs / "bin" / name, f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
        return path

    def model(self, name: str) -> Path:
        return write(self.programs / "share" / "models" / name, "1")

    def run(self, script: str = "", command: str = "", **values: object) -> JobResult:
        write(self.tool / "tool.py", WRITE + script)
        command = command or "python '$__tool_directory__/tool.py' ${out} ${more}"
        path = write(
            self.tool / "tool.xml",
            f'<tool id="tool" name="Tool" version="1"><command>{command}</command>'
            '<inputs><param name="more" type="text" value=""/></inputs>'
            '<outputs><data name="out" format="txt"/></outputs></tool>',
        )
        result = ntr.run(path, config=self.config(), **values)
        until_kept()
        return result

    def config(self) -> dict[str, object]:
        path_of_programs = [str(self.programs / "bin"), str(self.top / "venv" / "bin")]
        return {
            "workspace": str(self.top / "jobs"),
            "runner": {"service": "LOCAL", "path": path_of_programs, **self.runner},
            "jobs": {"cache": True},
            "process": {"xml_dirs": [str(self.top / "tools")]},
            "env": [{"name": "MODELS", "value": str(self.programs / "share" / "models")}],
        }


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    return path


def edit(path: Path, text: str) -> None:
    """Write in place, as many bytes and the time that it had: only the time of change moves."""
    then = path.stat()
    with path.open("r+") as file:
        file.write(text)
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))


Case = Callable[[Computer], Iterator[dict[str, str]]]
CASES: dict[str, Case] = {}


def case(made: Case) -> Case:
    """Add what says how a tool is run, and then changes what it reads."""
    CASES[made.__name__.replace("_", " ")] = made
    return made


@case
def a_module_beside(on: Computer) -> Iterator[dict[str, str]]:
    path = write(on.tool / "helper.py", "V = '1'")
    yield {"script": "import helper; out.write(helper.V)"}
    edit(path, "V = '2'")


@case
def a_module_deep_beside(on: Computer) -> Iterator[dict[str, str]]:
    path = write(on.tool / "a" / "b" / "c" / "h.py", "V = '1'")
    yield {"script": "sys.path.insert(0, sys.path[0] + '/a/b/c'); import h; out.write(h.V)"}
    edit(path, "V = '2'")


@case
def a_package_named_second(on: Computer) -> Iterator[dict[str, str]]:
    path = on.package("second", "V = '1'")
    yield {"script": "import os, second; out.write(second.V)"}
    edit(path, "V = '2'")


@case
def a_package_after_a_semicolon(on: Computer) -> Iterator[dict[str, str]]:
    path = on.package("after", "V = '1'")
    yield {"script": "import os;import after; out.write(after.V)"}
    edit(path, "V = '2'")


@case
def a_package_that_a_package_imports(on: Computer) -> Iterator[dict[str, str]]:
    path = on.package("inner", "V = '1'")
    on.package("outer", "from inner import V")
    yield {"script": "import outer; out.write(outer.V)"}
    edit(path, "V = '2'")


@case
def a_package_imported_by_a_made_name(on: Computer) -> Iterator[dict[str, str]]:
    path = on.package("named", "V = '1'")
    yield {"script": "import importlib; out.write(importlib.import_module('na' + 'med').V)"}
    edit(path, "V = '2'")


@case
def a_package_of_many_files(on: Computer) -> Iterator[dict[str, str]]:
    on.package("large", "from large.deep.d3 import V")
    for number in range(400):
        write(on.packages / "large" / "deep" / f"d{number}.py", "V = '1'")
    yield {"script": "import large; out.write(large.V)"}
    edit(on.packages / "large" / "deep" / "d3.py", "V = '2'")


@case
def a_module_of_one_file(on: Computer) -> Iterator[dict[str, str]]:
    path = write(on.packages / "single.py", "V = '1'")
    yield {"script": "import single; out.write(single.V)"}
    edit(path, "V = '2'")


@case
def data_of_a_package(on: Computer) -> Iterator[dict[str, str]]:
    path = write(on.packages / "data" / "d" / "e" / "f.txt", "1")
    on.package("data", "import pathlib\nV = pathlib.Path(__file__).parent / 'd/e/f.txt'")
    yield {"script": "import data; out.write(data.V.read_text())"}
    edit(path, "2")


@case
def a_package_that_comes_first_now(on: Computer) -> Iterator[dict[str, str]]:
    on.package("first", "V = '1'")
    place = on.programs / "bin"
    yield {"script": f"sys.path.insert(0, '{place}'); import first; out.write(first.V)"}
    write(place / "first.py", "V = '2'")


@case
def a_package_that_is_gone(on: Computer) -> Iterator[dict[str, str]]:
    path = on.package("gone", "V = '1'")
    yield {"script": "import importlib.util as u; out.write(str(bool(u.find_spec('gone'))))"}
    shutil.rmtree(path.parent)


@case
def a_package_that_was_put_in_the_place_of_another(on: Computer) -> Iterator[dict[str, str]]:
    path = on.package("put/inner", "V = '1'").parent
    on.package("new/inner", "V = '2'")
    yield {"script": "import put.inner; out.write(put.inner.V)"}
    shutil.rmtree(path.parent)
    (on.packages / "new").rename(path.parent)


@case
def a_program(on: Computer) -> Iterator[dict[str, str]]:
    path = on.program("prog", "echo 1 > $1")
    yield {"command": "prog ${out}"}
    edit(path, "#!/bin/bash\necho 2 > $1\n")


@case
def a_program_that_a_link_names(on: Computer) -> Iterator[dict[str, str]]:
    path = write(on.programs / "share" / "real.sh", "#!/bin/bash\necho 1 > $1\n")
    path.chmod(0o755)
    (on.programs / "bin" / "linked").symlink_to(path)
    yield {"command": "linked ${out}"}
    edit(path, "#!/bin/bash\necho 2 > $1\n")


@case
def a_link_to_another_program(on: Computer) -> Iterator[dict[str, str]]:
    one, two = on.program("one", "echo 1 > $1"), on.program("two", "echo 2 > $1")
    link = on.programs / "bin" / "linked"
    link.symlink_to(one)
    yield {"command": "linked ${out}"}
    link.unlink()
    link.symlink_to(two)


@case
def what_lies_beside_a_program(on: Computer) -> Iterator[dict[str, str]]:
    path = write(on.programs / "lib" / "core.txt", "1")
    on.program("prog", "cat $(dirname $(dirname $(readlink -f $0)))/lib/core.txt > $1")
    yield {"command": "prog ${out}"}
    edit(path, "2")


@case
def a_program_that_a_program_calls(on: Computer) -> Iterator[dict[str, str]]:
    path = on.program("inner", "echo 1")
    on.program("outer", "inner > $1")
    yield {"command": "outer ${out}"}
    edit(path, "#!/bin/bash\necho 2\n")


@case
def a_program_that_a_script_calls(on: Computer) -> Iterator[dict[str, str]]:
    path = on.program("inner", "echo 1")
    yield {"script": "import subprocess; out.write(subprocess.getoutput('inner'))"}
    edit(path, "#!/bin/bash\necho 2\n")


@case
def a_program_that_is_found_first_now(on: Computer) -> Iterator[dict[str, str]]:
    write(on.top / "venv" / "bin" / "late", "#!/bin/bash\necho 1 > $1\n").chmod(0o755)
    yield {"command": "late ${out}"}
    on.program("late", "echo 2 > $1")


@case
def a_file_that_a_script_opens(on: Computer) -> Iterator[dict[str, str]]:
    path = on.model("m.txt")
    yield {"script": f"out.write(open('{path}').read())"}
    edit(path, "2")


@case
def a_file_of_a_folder_in_a_variable(on: Computer) -> Iterator[dict[str, str]]:
    path = on.model("m.txt")
    yield {"command": "cp ${MODELS}/m.txt ${out}"}
    edit(path, "2")


@case
def a_file_in_the_command(on: Computer) -> Iterator[dict[str, str]]:
    path = on.model("m.txt")
    yield {"command": f"cp {path} ${{out}}"}
    edit(path, "2")


@case
def files_of_a_pattern(on: Computer) -> Iterator[dict[str, str]]:
    folder = on.model("m.txt").parent
    yield {"command": f"bash -c 'cat {folder}/m*.txt &gt; $1' x ${{out}}"}
    on.model("more.txt")


@case
def a_path_with_a_space(on: Computer) -> Iterator[dict[str, str]]:
    path = on.model("my models/m.txt")
    yield {"command": f"cp '{path}' ${{out}}"}
    edit(path, "2")


@case
def a_path_with_a_comma(on: Computer) -> Iterator[dict[str, str]]:
    path = on.model("v1,2=x/m.txt")
    yield {"command": f"cp '{path}' ${{out}}"}
    edit(path, "2")


@case
def a_path_in_a_text(on: Computer) -> Iterator[dict[str, str]]:
    path = on.model("my models/m.txt")
    yield {"script": "out.write(open(sys.argv[2]).read())", "more": str(path)}
    edit(path, "2")


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    if not sealed.tells_changes(tmp_path):
        pytest.skip("the file system tells no changes")
    return Computer(tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_what_a_program_reads_decides(computer: Computer, name: str) -> None:
    steps = CASES[name](computer)
    asked = next(steps)
    before = computer.run(**asked).outputs["out"].path.read_bytes()
    # what somebody else installs on this computer meanwhile counts, too
    assert any(computer.run(**asked).record["earlier"] for _ in range(3))
    assert next(steps, None) is None
    changed = computer.run(**asked)
    assert not changed.record["earlier"]
    assert changed.outputs["out"].path.read_bytes() != before


def test_without_walls_nobody_knows_what_a_program_reads(computer: Computer) -> None:
    computer.runner["enclose"] = False
    asked = {"script": "out.write('1')"}
    assert not any(computer.run(**asked).record["earlier"] for _ in range(2))


def test_what_changed_while_it_ran_may_not_have_been_read(computer: Computer) -> None:
    path = computer.model("m.txt")
    asked = {
        "script": f"import time; out.write(open('{path}').read()); out.close()\n"
        f"open('started', 'w').close(); time.sleep(0.6)"
    }

    def change() -> None:
        while not list(computer.top.glob("jobs/**/started")):
            time.sleep(0.01)
        edit(path, "2")

    thread = threading.Thread(target=change)
    thread.start()
    computer.run(**asked)
    thread.join()
    now = computer.run(**asked)
    assert not now.record["earlier"]
    assert now.outputs["out"].path.read_bytes() == b"2"


def test_a_long_run_is_looked_at_meanwhile(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_tool_runner.jobs.place._LONG", 0.0)
    monkeypatch.setattr("napari_tool_runner.jobs.place._known", looked := set[str]())
    go = computer.programs / "lib" / "go"
    script = f"import os, time\nwhile not os.path.exists('{go}'): time.sleep(0.01)"
    thread = threading.Thread(target=computer.run, args=(script,))
    thread.start()
    while not looked and thread.is_alive():
        time.sleep(0.01)
    assert looked == {"LOCAL"}
    write(go, "")
    thread.join()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let nothing be known of a place until the event is set."""
    event, ask = threading.Event(), LocalRunnerService.fingerprint

    def late(*told: Any) -> Mapping[str, object] | None:
        event.wait(60)
        return ask(*told)

    monkeypatch.setattr(LocalRunnerService, "fingerprint", late)
    monkeypatch.setattr(place, "_known", set())
    yield event
    event.set()


def test_nobody_waits_longer_for_an_earlier_run_than_it_took(
    computer: Computer, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.set()
    computer.run()
    slow.clear()
    monkeypatch.setattr(place, "_known", set())
    monkeypatch.setattr(place, "_PATIENCE", 0.4)
    threading.Timer(3.0, slow.set).start()  # `Computer.run` waits until it is kept
    again = computer.run()
    assert not again.record["earlier"]
    log = again.workspace / "log.txt"
    assert "To tell whether an earlier run answers takes too long" in log.read_text()
    assert computer.run().record["earlier"]


def test_an_earlier_run_that_took_long_is_waited_for(
    computer: Computer, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.set()
    computer.run("import time; time.sleep(2)")
    slow.clear()
    monkeypatch.setattr(place, "_known", set())
    monkeypatch.setattr(place, "_PATIENCE", 0.0)
    threading.Timer(0.5, slow.set).start()
    assert computer.run("import time; time.sleep(2)").record["earlier"]


def test_a_look_for_an_earlier_run_is_cancelled(
    computer: Computer, slow: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow.set()
    config = computer.config()
    computer.run()
    slow.clear()
    monkeypatch.setattr(place, "_known", set())
    monkeypatch.setattr(place, "_PATIENCE", 60.0)
    job = job_manager().submit(computer.tool / "tool.xml", {}, config=config)
    while job.phase != "Looking for an earlier run":
        time.sleep(0.01)
    job.cancel()
    assert job.wait(10)
    assert job.state is JobState.CANCELLED


def test_a_fork_hears_for_itself(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path, trees = write(tmp_path / "a" / "f", "1"), Trees()
    before = trees.state(str(tmp_path))
    edit(path, "2")
    if os.fork() == 0:
        os._exit(trees.state(str(tmp_path)) == before)
    assert os.wait()[1] == 0
    after = trees.state(str(tmp_path))
    assert after is not None
    assert before is not None
    assert after.digest != before.digest
    assert after.changed > before.changed


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_tool_runner.plugins.programs.trees._MOST", 3)
    for name in "abc":
        (tmp_path / name).mkdir()
    assert Trees().state(str(tmp_path)) is None
    assert Trees().state(str(tmp_path / "a")) is not None


def test_what_the_kernel_lost_is_read_again(tmp_path: Path) -> None:
    path, trees = write(tmp_path / "f", "1"), Trees()
    before = trees.state(str(tmp_path))
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 2**17:
        pytest.skip("the kernel remembers too many events")
    other = write(tmp_path / "other", "")
    for number in range(most // 2 + 10):
        other.chmod(0o600 + number % 2)
        os.utime(other)
    edit(path, "2")
    other.unlink()
    assert trees.state(str(tmp_path)) != before


def test_a_folder_that_was_moved_is_watched_where_it_is(tmp_path: Path) -> None:
    trees = Trees()
    write(tmp_path / "a" / "b" / "f", "1")
    trees.state(str(tmp_path))
    (tmp_path / "a").rename(tmp_path / "c")
    moved = trees.state(str(tmp_path))
    assert moved is not None
    edit(tmp_path / "c" / "b" / "f", "2")
    assert trees.state(str(tmp_path)) != moved
