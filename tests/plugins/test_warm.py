"""A program that is forked from a process of its environment is the same program."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from napari_tool_runner.errors import JobCancelledError
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.warm import patience, pool, serving
from napari_tool_runner.plugins.warm.learned import known
from napari_tool_runner.plugins.warm.local_server import LocalServer
from plugins.runner_helpers import wait_until
from plugins.warm_programs import LOOK, Programs, installed

pytestmark = [
    pytest.mark.usefixtures("warm"),
    pytest.mark.skipif(sys.platform != "linux", reason="programs start cold elsewhere"),
]
enclosed = pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())


@pytest.fixture(params=[pytest.param(True, marks=enclosed, id="enclosed"), False])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Programs:
    return Programs(tmp_path / "jobs" / "tool" / "job" / "io", request.param)


__all__ = ["installed"]


@pytest.fixture(params=[True, False], ids=["by-napari", "by-a-program"])
def handed_over(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether napari hands the call of the job's own command over, or what stands for Python."""
    if not request.param:
        monkeypatch.setattr(pool, "python_of", lambda *_: "")
    return bool(request.param)


def test_a_command_that_is_the_python_needs_nothing_that_stands_for_it(programs: Programs) -> None:
    name = programs.script("import numpy, os, sys; print(sys.argv[1:]); os.abort()")
    programs.learn("python", name, "a b")
    (server,) = programs.servers
    assert isinstance(server, LocalServer)
    (server._seen / "handover").write_text("#!/bin/false")
    assert programs.run("python", name, "a b") == (134, ["['a b']"], [])
    assert programs.run("bash", "-c", f"python {name}")[1] == []
    assert server.indirect == set()


def test_a_script_that_the_program_does_not_see(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "unseen.py").write_text("print(1)")
    cold = programs.run("python", str(tmp_path / "unseen.py"), warm=False)
    assert cold[0] == (2 if programs.enclose else 0)
    for _ in range(2):
        assert programs.run("python", str(tmp_path / "unseen.py"))[:2] == cold[:2]


def test_a_folder_that_a_link_leads_to(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "jobs").symlink_to("real")
    programs.both("python", programs.script("import numpy, os; print(os.getcwd())"))


@pytest.mark.usefixtures("handed_over")
def test_it_finds_what_a_cold_one_finds(programs: Programs) -> None:
    name = programs.script(LOOK)
    assert len(programs.both("python", name, "a b", "")[1]) > 20
    programs.both("python3", f"./{name}")
    programs.both("python", str(programs.work / name))
    programs.both("bash", "-c", f"umask 077; trap '' INT; python {name} x | cat")
    programs.both("bash", "-c", f"python {name} x > out; cat out")
    programs.both("python", "-c", LOOK.replace("__file__", "1").replace(", __loader__.path", ""))


def test_a_temporary_folder_of_any_length_will_do(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path.joinpath("f" * 100, "g" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    name = programs.script("import json\nprint(json.dumps([1]))")
    programs.both("python", name)
    programs.both("bash", "-c", f"cd /; python '{programs.work / name}'")


ENDS = [
    "raise SystemExit",
    "raise SystemExit(7)",
    "raise SystemExit('said at the end')",
    "import os; os._exit(9)",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "import os; os.abort()",
    "raise KeyboardInterrupt",
    "def f(): 1 / 0\ntry: f()\nexcept ArithmeticError as e: raise ValueError('é') from e",
    "x = (\n",
    "import sys\nsys.excepthook = lambda *a: print('mine', a[0], a[2].tb_lineno)\n1 / 0",
    "import atexit\natexit.register(print, 'first')\natexit.register(print, 'second')\n1 / 0",
    "import threading\nthreading.Timer(0.2, print, ['late']).start()",
    "import sys\nprint('out', end='')\nprint('err', file=sys.stderr, end='')",
    "import sys\nprint(repr(sys.stdin.read()))",
    "import warnings\nwarnings.warn('look')\nwarnings.warn('and', DeprecationWarning)",
    "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(1, __name__)'])",
    "import subprocess\nsubprocess.run(['python', '-c', 'import sys; print(sys.argv)', 'x'])",
    "import sys\nsys.stdout.buffer.write(b'\\xff\\n'); print('\\udcff')",
    "import logging\nlogging.warning('one')\nlogging.getLogger('x').info('none')",
    "import sys, traceback\ntry: 1 / 0\nexcept ArithmeticError:\n    traceback.print_exc()",
    "import inspect\ndef f(): pass\nprint(inspect.getsource(f))",
    "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))))",
    "import os\nprint('child' if os.fork() == 0 else os.wait() and 'parent')",
]


@pytest.mark.usefixtures("handed_over")
def test_it_ends_as_a_cold_one_does(programs: Programs) -> None:
    for text in ENDS:
        name = programs.script(text)
        cold = programs.run("python", name, warm=False)
        programs.learn("python", name)
        assert programs.run("python", name) == cold
        warm = not any(end in text for end in ("_exit", "kill", "abort"))
        assert programs.told is warm, (text, [one._said_once for one in programs.servers])


def test_children_of_multiprocessing(programs: Programs) -> None:
    text = """
        import multiprocessing, sys
        import numpy
        def double(x):
            return numpy.asarray(x) * 2
        if __name__ == "__main__":
            for way in ("fork", "spawn"):
                with multiprocessing.get_context(way).Pool(2) as pool:
                    print(way, [int(x) for x in pool.map(double, range(4))])
    """
    code, lines, errors = programs.both("python", programs.script(text))
    assert (code, len(lines), errors) == (0, 2, [])


def test_modules_and_scripts_of_the_environment(programs: Programs) -> None:
    programs.script("import sys; print(sys.argv, sys.path[0], __name__, __spec__.name)", "own.py")
    programs.both("python", "-m", "own", "x")
    programs.both("python", "-m", "none.of.these")
    programs.both("bash", "-c", "f2py -v; echo $?")


def test_random_states_differ_from_run_to_run(programs: Programs) -> None:
    name = programs.script("import numpy, random\nprint(numpy.random.rand(), random.random())")
    lines = {tuple(programs.warmed("python", name)[1]) for _ in range(3)}
    assert (
        len({one.split()[0] for (one,) in lines}) == len({one.split()[1] for (one,) in lines}) == 3
    )


def test_a_script_that_changed_runs_as_it_is_now(programs: Programs) -> None:
    programs.script("print('old')", "helper.py")
    name = programs.script("import helper")
    assert programs.run("python", name)[1] == ["old"]
    programs.script("print('new, and longer')", "helper.py")
    assert programs.run("python", name)[1] == ["new, and longer"]


def test_own_modules_of_a_tool_are_not_learned(programs: Programs) -> None:
    programs.script("print('imported')", "helper.py")
    programs.learn("python", programs.script("import numpy\nimport helper, json"))
    (imports,) = known._found.values()
    assert imports.told is not None
    assert "+\tnumpy\t" in imports.told
    assert "-\thelper\t" in imports.told
    assert "-\tjson\t" in imports.told  # it could see what the one before it has done


def test_what_is_installed_and_changed_is_imported_anew(
    programs: Programs, installed: Path
) -> None:
    module = installed / "of_today.py"
    module.write_text("value = 1")
    name = programs.script("import of_today\nprint(of_today.value)")
    assert programs.warmed("python", name)[1] == ["1"]
    (server,) = programs.servers
    module.write_text("value = 1 + 1")
    assert programs.run("python", name)[1] == ["2"]
    assert wait_until(lambda: server.outdated)
    assert programs.run("python", name)[1] == ["2"]
    assert programs.servers != [server]
    assert programs.warmed("python", name)[1] == ["2"]


def test_what_is_not_as_it_was_when_the_job_was_started_starts_cold(programs: Programs) -> None:
    nice = os.nice(0)
    name = programs.script(
        f"""
        import os, resource
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        print(os.environ.get("X"), limit[0] == 99, os.nice(0) > {nice}, os.getppid() > 0)
        """
    )
    programs.warmed("python", name)
    for change, seen in (
        ("export X=3", "3 False False True"),
        ("ulimit -n 99", "None True False True"),
        (f"renice -n {nice + 5} $$ > /dev/null", "None False True True"),
    ):
        assert programs.both("bash", "-c", f"{change}; python {name}", warms=False)[1] == [seen]


def test_a_package_that_starts_threads_is_left_out(programs: Programs, installed: Path) -> None:
    (installed / "busy.py").write_text(
        "import threading, time\nAT = time.monotonic()\n"
        "threading.Thread(target=lambda: time.sleep(60), daemon=True).start()"
    )
    (installed / "quiet.py").write_text("import time\nAT = time.monotonic()")
    (installed / "late.py").write_text("import time\nAT = time.monotonic()")
    name = programs.script(
        "import quiet, busy, late\nfor one in (quiet, busy, late): print(one.AT)"
    )
    first, second = (programs.warmed("python", name)[1] for _ in range(2))
    assert first[0] == second[0]  # it was imported once
    assert first[1] != second[1]
    assert first[2] != second[2]  # it could see what the one before does


@pytest.mark.usefixtures("handed_over")
def test_a_cancelled_job_ends_with_all_that_it_started(programs: Programs) -> None:
    name = programs.script(
        """
        import subprocess, sys, time
        subprocess.Popen(["setsid", "sleep", "600"])
        print("here", flush=True)
        time.sleep(600)
        """
    )
    process, events = programs.process()
    context = process.context
    assert context is not None

    def cancel() -> None:
        events.wait_for("here")
        context.cancel.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(JobCancelledError):
        LocalRunnerService({"enclose": programs.enclose}).exec(process, ["python", name])
    thread.join()
    assert programs.run("python", programs.script("print(1)"))[1] == ["1"]


def test_a_server_that_was_killed_is_replaced(programs: Programs) -> None:
    programs.learn("python", programs.script("import numpy"))
    (server,) = programs.servers
    os.killpg(server.pid, 9)
    assert wait_until(lambda: server.outdated)
    name = programs.script("print(1)")
    assert programs.run("python", name)[:2] == (0, ["1"])
    assert programs.run("python", name)[:2] == (0, ["1"])
    assert programs.servers != [server]


def test_a_server_that_stands_still_is_replaced_once(
    programs: Programs, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs start cold then, and do not wait for it for ever."""
    monkeypatch.setattr(pool._pool, "_silent", {})
    monkeypatch.setattr(pool._pool, "_failed", set())
    name = programs.script("import numpy\nprint(1)")
    for anew in (True, False):
        programs.warmed("python", name)
        (server,) = programs.servers
        leader = psutil.Process(server.pid)
        for one in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # a fork of before
                if one.name() != "bwrap":
                    one.suspend()
        process, events = programs.process()
        service = LocalRunnerService({"enclose": programs.enclose})
        assert service.exec(process, ["python", name]) == 0
        assert events.lines("stdout") == ["1"]
        (said,) = events.lines("runner")
        assert ("it is started anew" in said) is anew
    assert programs.run("python", name)[:2] == (0, ["1"])
    assert programs.servers == []


@enclosed
@pytest.mark.parametrize("command", ["python script.py", "sleep 600 # python"])
def test_a_job_ends_with_the_server_around_it(tmp_path: Path, command: str) -> None:
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=True)
    programs.learn("python", programs.script("import numpy"))
    (server,) = programs.servers
    programs.script("import time; print('here', flush=True); time.sleep(600)")
    process, events = programs.process()

    def kill() -> None:
        events.wait_for("here")
        os.killpg(server.pid, 9)

    thread = threading.Thread(target=kill)
    thread.start()
    service = LocalRunnerService({"warm": True})
    assert service.exec(process, ["bash", "-c", f"echo here; {command}"]) == 137
    thread.join()


def test_its_memory_is_shown_and_given_back(programs: Programs) -> None:
    programs.learn("python", programs.script("import numpy"))
    (stored,) = LocalRunnerService().stored()
    assert stored.kind == "process"
    assert stored.size > 2**20
    stored.remove()
    assert LocalRunnerService().stored() == []


def test_programs_that_are_no_python_start_no_server(programs: Programs) -> None:
    assert programs.run("echo", "python")[1] == ["python"]
    assert programs.run("bash", "-c", "echo pythonic")[1] == ["pythonic"]
    assert pool._pool._servers == {}


@enclosed
def test_what_does_nothing_any_more_starts_cold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LEAST", 1.0)
    monkeypatch.setattr(patience, "_took", {})
    monkeypatch.setattr(patience, "_given_up", set())
    programs = Programs(tmp_path / "jobs" / "tool" / "job" / "io", enclose=True)
    name = programs.script("import os, time; print(1); time.sleep(os.getppid() == 0 and 600)")
    monkeypatch.setattr(patience, "_MOST", 1.0)
    assert programs.run("python", name)[:2] == (0, ["1", "1"])  # its limit is that of the cold one
    assert programs.run("python", name)[:2] == (0, ["1"])
    assert programs.warmed("python", programs.script("print(2)", "other.py"))[1] == ["2"]


def test_what_imports_next_to_nothing_starts_cold(
    programs: Programs, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is handed over costs more than such imports."""
    monkeypatch.setattr(serving, "LEAST", 0.3)
    (installed / "heavy.py").write_text("import time; time.sleep(0.4)")
    name, heavy = programs.script("import json"), programs.script("import heavy", "heavy_one.py")
    for told in (True, None):
        programs.learn("python", name, "1")
        programs.run("python", name, "2")
        assert programs.told is told
    programs.warmed("python", heavy)
    programs.warmed("python", heavy)


def test_why_a_program_starts_cold_is_said_once(programs: Programs, installed: Path) -> None:
    (installed / "busy.py").write_text("import random\nrandom.random()")
    name = programs.script("import busy")
    said = []
    for _ in range(3):
        process, events = programs.process()
        command = ["bash", "-c", f"python {name}; X=1 python {name}"]
        LocalRunnerService({"enclose": programs.enclose}).exec(process, command)
        assert wait_until(lambda: not any(one.waited for one in programs.servers), 60.0)
        said += events.lines("runner")
    (python,) = {one.name for one in programs.servers}
    draws = "busy is not imported ahead: it seeds or draws random numbers when it is imported"
    changed = "a program started without imports ahead: X changed since the job was started"
    assert sorted(said) == [f"With {python}, {changed}.", f"With {python}, {draws}."]
