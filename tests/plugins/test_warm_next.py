"""A fork waits for the next call: it was made after the last one, and knows nothing of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from napari_tool_runner.plugins.programs.enclosed import Enclosure
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem, numbering_enclosure
from napari_tool_runner.plugins.warm import local_server
from napari_tool_runner.plugins.warm.held import Held
from plugins.warm_programs import Programs, installed

__all__ = ["installed"]
pytestmark = [
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]
_no_walls = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())

BEGUN = """
import numpy, os, sys
with open("/proc/self/stat") as file:
    begun = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
print(begun, *numpy.random.rand(2))
sys.exit(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
"""


@pytest.fixture(params=[pytest.param(True, marks=_no_walls), False], ids=["walls", "open"])
def programs(tmp_path: Path, request: pytest.FixtureRequest) -> Programs:
    return Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=request.param)


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_each_call_finds_one_of_its_own(programs: Programs) -> None:
    name = programs.script(BEGUN)
    programs.learn("python", name)
    ended, drawn = 0.0, set()
    for code in (0, 3, 0):
        programs.wait_for_next()
        time.sleep(0.05)  # of what is told in hundredths of a second
        called = now()
        found, (line,), errors = programs.run("python", name, str(code))
        begun, *numbers = line.split()
        assert (found, errors, programs.told) == (code, [], True)
        assert ended - 0.01 < float(begun) < called
        ended = now()
        drawn |= {*numbers}
    assert len(drawn) == 6


def test_calls_at_once_find_one_and_forks(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "_PAUSE", 0.0)
    name = programs.script(BEGUN)
    programs.learn("python", name)
    for code in range(5):
        found = programs.run("python", name, str(code))
        assert (found[0], len(found[1]), programs.told) == (code, 1, True)


def test_what_has_changed_since_is_seen(programs: Programs, installed: Path) -> None:
    (installed / "changing.py").write_text("WHAT = 1")
    name = programs.script("import changing, numpy\nprint(changing.WHAT)")
    programs.both("python", name)
    programs.wait_for_next()
    (installed / "changing.py").write_text("WHAT = 22")
    assert programs.run("python", name)[1] == ["22"]


def test_a_tool_finds_none_of_another(programs: Programs) -> None:
    text = "import numpy, {0}, sys\nprint(*{{'csv', 'fileinput'}} & {{*sys.modules}})"
    for module in ("csv", "fileinput"):
        programs.script(text.format(module), f"with_{module}.py")
    for module in ("csv", "fileinput", "csv", "fileinput", "fileinput"):
        programs.learn("python", f"with_{module}.py")
        programs.wait_for_next()
    for module in ("csv", "fileinput"):
        assert programs.run("python", f"with_{module}.py")[1] == [module]
        assert programs.told


def test_it_is_ended_with_what_it_left(programs: Programs) -> None:
    text = """
        import numpy, subprocess
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        subprocess.Popen(["sleep", "600"])
        print("begun")
    """
    name = programs.script(text)
    for _ in range(2):
        assert programs.warmed("python", name)[1] == ["begun"]
        programs.wait_for_next()


def test_what_lost_its_parent_is_no_child_of_the_program(programs: Programs) -> None:
    text = """
        import numpy, os, subprocess
        subprocess.run(["sh", "-c", "sleep 0.01 &"])
        try:
            print(os.wait()[1])
        except ChildProcessError:
            print("none")
    """
    assert programs.both("python", programs.script(text))[1] == ["none"]


@_no_walls
def test_what_waited_shows_no_more_than_the_walls(tmp_path: Path) -> None:
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=True)
    secret = tmp_path / "jobs" / "secret"
    secret.parent.mkdir()
    secret.write_text("of another job")
    text = f"""
        import numpy, os
        own = {{*os.listdir("/")}}
        for one in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
            try:
                name = open(f"/proc/{{one}}/comm").read().strip()
                print(name, {{*os.listdir(f"/proc/{{one}}/root")}} <= own)
                print(os.path.exists(f"/proc/{{one}}/root{secret}"))
            except OSError as error:
                print(error.errno)
    """
    name = programs.script(text)
    programs.learn("python", name)
    programs.wait_for_next()
    lines = programs.run("python", name)[1]
    assert programs.told
    # what began its numbering, what held that, and itself
    assert lines == ["2", *("cat True", "False", "python True", "False")]


WRITES = """
import numpy
with open("/proc/self/smaps_rollup") as file:
    own = {line.split(":")[0]: line.split()[1] for line in file}
print(own["Private_Dirty"])
data = numpy.random.rand(1000)
"""


def test_pages_that_a_program_writes_to_are_there_the_next_time(programs: Programs) -> None:
    """And no others: what waits takes a part of what it shares with what forked it."""
    name = programs.script(WRITES)
    programs.learn("python", name)
    found = []
    for _ in range(3):
        programs.wait_for_next()
        found.append(int(programs.run("python", name)[1][0]))
        assert programs.told
    (server,) = programs.servers
    told = [one for pages in server._written.values() for one in pages.split()]
    assert told
    assert found[0] < found[1] < 20_000, found
    assert abs(found[2] - found[1]) < 2_000, found


@_no_walls
def test_what_holds_walls_that_cannot_be_built_holds_nothing(
    programs: Programs, tmp_path: Path
) -> None:
    """The walls are known to be built when bubblewrap reads on, not when it has ended."""
    if not programs.enclose:
        pytest.skip("it has no walls")
    name = programs.script("import numpy\nprint(1)")
    programs.learn("python", name)
    programs.wait_for_next()
    (server,) = programs.servers
    made = server.take_numbering()
    assert made is not None
    ahead = made.take_next()
    assert ahead is not None
    assert ahead.watched
    assert server.around is not None
    missing = ("--ro-bind", str(tmp_path / "missing"), "/missing")
    around = made.given_to(server.around)
    options = (*numbering_enclosure(around)._options, *missing)
    walls = Held(
        Enclosure(options, passed=around.passed, numbering=around.numbering), tmp_path, ahead
    )
    with pytest.raises(OSError, match="could not be built"):
        walls.wait()
    walls.give_up()
    made.give_up()
    assert not psutil.pid_exists(walls.pid)
    assert not psutil.pid_exists(made.pid)
    assert programs.run("python", name)[1] == ["1"]
