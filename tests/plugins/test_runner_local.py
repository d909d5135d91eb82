from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_tool_runner.errors import JobCancelledError, JobTimeoutError, RunnerExecError
from napari_tool_runner.plugins import as_service, runnerServices
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.tools.model import PackageRequirement, Tool
from plugins.runner_helpers import make_process, script, wait_until

posix = pytest.mark.skipif(os.name == "nt", reason="signals and process groups")


@pytest.fixture
def local():
    return as_service(LocalRunnerService({"grace": 0.5}), "LOCAL")


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_lines_exit_code_and_folders(local, tmp_path):
    process, events = make_process(tmp_path, environment={"ADDED": "yes"})
    args = script(
        tmp_path,
        """
        import os, sys, tempfile
        print("out", os.environ["ADDED"])
        print("err", file=sys.stderr)
        print(os.getcwd())
        print(tempfile.gettempdir())
        print("stdin:", repr(sys.stdin.read()))
        sys.exit(3)
        """,
    )
    assert local.exec(process, args) == 3
    work, temp = str(tmp_path / "work"), str(tmp_path / "tmp")
    assert events.lines() == ["out yes", work, temp, "stdin: ''"]
    assert events.lines("stderr") == ["err"]


def test_lines_come_while_the_program_runs(local, tmp_path):
    process, events = make_process(tmp_path)
    args = script(tmp_path, "import time\nprint('first')\ntime.sleep(600)\n")
    failed = []

    def run():
        try:
            local.exec(process, args)
        except JobCancelledError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    events.wait_for("first")
    process.context.cancel.cancel()
    thread.join(30)
    assert len(failed) == 1


def test_fifty_thousand_lines_arrive_in_order(local, tmp_path):
    process, events = make_process(tmp_path)
    args = script(tmp_path, "for i in range(50_000): print('line', i)\n")
    process.context.environment = {"PYTHONUNBUFFERED": ""}
    assert local.exec(process, args) == 0
    assert events.lines() == [f"line {i}" for i in range(50_000)]


def test_unicode_and_progress_bars(local, tmp_path):
    process, events = make_process(tmp_path)
    args = script(
        tmp_path,
        """
        import sys
        print("µ-Ω ✓ 漢字")
        for i in range(101):
            sys.stderr.write(f"\\r{i}%")
        sys.stderr.write("\\n")
        """,
    )
    assert local.exec(process, args) == 0
    assert events.lines() == ["µ-Ω ✓ 漢字"]
    assert events.lines("stderr") == ["100%"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_any_text_reaches_the_program_unchanged(local, tmp_path, values):
    process, events = make_process(tmp_path)
    args = script(tmp_path, "import sys\nfor a in sys.argv[1:]: print(ascii(a))\n")
    assert local.exec(process, [*args, *values]) == 0
    assert events.lines() == [ascii(value) for value in values]


def test_a_tool_without_requirements_gets_this_python(local, tmp_path):
    process, events = make_process(tmp_path)
    assert local.exec(process, ["python", "-c", "import sys; print(sys.executable)"]) == 0
    assert os.path.samefile(events.lines()[0], sys.executable)


@pytest.mark.parametrize("active", [False, True])
def test_a_tool_with_requirements_gets_the_active_environment_else_this_python(
    local, tmp_path, monkeypatch, active
):
    theirs = tmp_path / "venv" / "bin" / "python"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("#!/bin/sh\necho theirs\n")
    theirs.chmod(0o755)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    if active:
        monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "venv"))
    process, events = make_process(tmp_path, PackageRequirement(name="numpy"))
    assert local.exec(process, ["python", "-c", "print('ours')"]) == 0
    assert events.lines() == ["theirs" if active else "ours"]


def test_python_is_found_where_only_its_full_name_exists(local, tmp_path, monkeypatch):
    only = tmp_path / "only"
    only.mkdir()
    (only / "python3.99").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setattr(sys, "executable", str(only / "python3.99"))
    monkeypatch.setenv("PATH", "/nowhere")
    process, events = make_process(tmp_path / 'it\'s a "folder"')
    assert local.exec(process, ["python3", "-c", "print('found', 1 + 1)"]) == 0
    assert events.lines() == ["found 2"]


def test_folders_of_the_config_come_first(tmp_path, monkeypatch):
    folder = tmp_path / "with space"
    folder.mkdir()
    program = folder / "python"
    program.write_text('#!/bin/sh\necho mine "$@"\n')
    program.chmod(0o755)
    service = as_service(runnerServices.get("LOCAL", service="LOCAL", path=[str(folder)]))
    process, events = make_process(tmp_path)
    assert service.exec(process, ["python", "a b"]) == 0
    assert events.lines() == ["mine a b"]


def test_variables_that_hurt_are_taken_out(local, tmp_path, monkeypatch):
    monkeypatch.setenv("QT_PLUGIN_PATH", "/qt")
    monkeypatch.setenv("CONDA_PREFIX", "/somewhere/else")
    monkeypatch.setenv("CONDA_EXE", "/somewhere/bin/conda")
    monkeypatch.setenv("HTTPS_PROXY", "kept")
    process, events = make_process(tmp_path)
    process.context.network = True
    args = script(tmp_path, "import os\nfor name in sorted(os.environ): print(name)\n")
    assert local.exec(process, args) == 0
    names = events.lines()
    assert "HTTPS_PROXY" in names
    assert not [name for name in names if name.startswith(("QT_", "CONDA_"))]


def test_requirements_are_told_to_be_ignored(local, tmp_path):
    process, events = make_process(tmp_path, PackageRequirement(name="fiji", version="2"))
    assert local.exec(process, [sys.executable, "-c", "pass"]) == 0
    assert "fiji 2" in events.lines("runner")[0]
    assert "fiji 2" in local.plan(process.tool).remarks[0]
    assert local.supports(process.tool).ok


@pytest.mark.parametrize(
    ("command", "dialect", "problems", "remarks"),
    [
        ("no-such-program --x $y", "bioimageit", 1, 0),
        ("no-such-program --x $y", "galaxy", 0, 1),
        ("python '$__tool_directory__/x.py'", "bioimageit", 0, 0),
        ("ls -l", "bioimageit", 0, 0),
        ("export X=1; no-such-program", "galaxy", 0, 0),
        ("#if $x\nno-such-program\n#end if", "galaxy", 0, 0),
        ("$x y", "bioimageit", 0, 0),
    ],
)
def test_the_preflight_looks_for_the_program(local, command, dialect, problems, remarks):
    scripted = dialect == "galaxy"
    plan = local.plan(Tool(id="t", name="t", command=command, dialect=dialect, scripted=scripted))
    assert (len(plan.problems), len(plan.remarks)) == (problems, remarks)


def test_a_gpu_that_is_asked_for_and_not_there_is_told(monkeypatch):
    from napari_tool_runner.plugins.programs import program

    monkeypatch.setattr(program.os.path, "exists", lambda path: False)
    monkeypatch.setattr(program.shutil, "which", lambda name: None)
    monkeypatch.setattr(program.sys, "platform", "linux")
    assert "GPU" in program.gpu_remark({"gpus": 1})
    assert program.gpu_remark({}) == ""


def test_a_program_that_does_not_exist(local, tmp_path):
    process, _ = make_process(tmp_path)
    with pytest.raises(RunnerExecError, match="'no-such-program' was not found") as caught:
        local.exec(process, ["no-such-program", "x"])
    assert "path" in caught.value.hint


@posix
def test_programs_that_cannot_be_started_say_why(local, tmp_path):
    process, _ = make_process(tmp_path)
    program = tmp_path / "prog"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(RunnerExecError, match="interpreter"):
        local.exec(process, [str(program)])
    program.write_text("no script")
    with pytest.raises(RunnerExecError, match="no program of this computer"):
        local.exec(process, [str(program)])
    program.chmod(0o644)
    with pytest.raises(RunnerExecError, match="may not be executed"):
        local.exec(process, [str(program)])
    with pytest.raises(RunnerExecError, match="nul character"):
        local.exec(process, ["echo", "a\0b"])
    with pytest.raises(RunnerExecError, match="empty"):
        local.exec(process, [])
    (tmp_path / "work").rmdir()
    with pytest.raises(RunnerExecError, match="working folder"):
        local.exec(process, ["echo"])


@posix
def test_a_program_ended_by_a_signal(local, tmp_path):
    process, events = make_process(tmp_path)
    args = script(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert local.exec(process, args) == 137
    assert events.lines("runner") == ["The program was killed by SIGKILL (maybe out of memory)."]


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code])
away = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
# an orphan: its parent, which left our session, is gone
orphan = subprocess.run(
    [sys.executable, "-c",
     "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]],"
     " stdout=subprocess.DEVNULL).pid)", code],
    start_new_session=True, stdout=subprocess.PIPE, text=True).stdout.strip()
print(os.getpid(), child.pid, away.pid, orphan, flush=True)
time.sleep(600)
"""


@posix
def test_the_whole_tree_ends_even_what_ignores_sigterm(local, tmp_path):
    process, events = make_process(tmp_path)
    args = script(tmp_path, STUBBORN)
    met = []

    def run():
        try:
            local.exec(process, args)
        except JobCancelledError as error:
            met.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert wait_until(lambda: bool(events.lines()))
    pids = [int(word) for word in events.lines()[0].split()]
    assert len(pids) == 4
    assert not any(gone(pid) for pid in pids)
    process.context.cancel.cancel()
    thread.join(60)
    assert len(met) == 1
    assert all(gone(pid) for pid in pids)


def test_a_program_that_takes_too_long(local, tmp_path):
    process, _ = make_process(tmp_path, timeout=1.0)
    args = script(tmp_path, "import time\ntime.sleep(600)\nopen('end', 'w')\n")
    with pytest.raises(JobTimeoutError, match="time limit of 1 s"):
        local.exec(process, args)
    assert not (tmp_path / "work" / "end").exists()


def test_a_job_cancelled_before_it_runs(local, tmp_path):
    process, _ = make_process(tmp_path)
    process.context.cancel.cancel()
    with pytest.raises(JobCancelledError):
        local.exec(process, script(tmp_path, "open('made', 'w')"))
    assert not (tmp_path / "work" / "made").exists()


@posix
def test_what_a_program_leaves_behind_is_ended(local, tmp_path):
    process, events = make_process(tmp_path)
    args = script(
        tmp_path,
        """
        import subprocess, sys
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
        """,
    )
    assert local.exec(process, args) == 0
    assert "left processes running" in events.lines("runner")[0]
    assert gone(int(events.lines()[0]))


def test_a_listener_that_raises_does_not_block_the_program(local, tmp_path):
    process, _ = make_process(tmp_path)

    def report(event):
        raise ValueError("no room")

    process.context.report = report
    args = script(tmp_path, "print('x' * 1_000_000)\nopen('end', 'w').close()\n")
    with pytest.raises(RunnerExecError, match="no room"):
        local.exec(process, args)
    assert (tmp_path / "work" / "end").exists()


def test_programs_run_at_the_same_time(local, tmp_path):
    args = script(
        tmp_path,
        """
        import pathlib, sys, time
        folder, me, other = pathlib.Path(sys.argv[1]), *sys.argv[2:]
        (folder / me).touch()
        while not (folder / other).exists():
            time.sleep(0.01)
        print(me)
        """,
    )
    results = {}

    def run(me, other):
        process, events = make_process(tmp_path / me)
        code = local.exec(process, [*args, str(tmp_path), me + ".txt", other + ".txt"])
        results[me] = (code, events.lines())

    threads = [threading.Thread(target=run, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {"a": (0, ["a.txt"]), "b": (0, ["b.txt"])}


KILLED = """
import sys, threading
sys.path.insert(0, {tests!r})
from pathlib import Path
from plugins.runner_helpers import make_process
from napari_tool_runner.plugins import as_service, runnerServices
process, events = make_process(Path({folder!r}))
process.context.report = lambda event: print(event.text, flush=True)
as_service(runnerServices.get("LOCAL")).exec(process, [sys.executable, {program!r}])
"""


TUTORIAL_KILLED = KILLED.replace(
    'runnerServices.get("LOCAL")',
    """type("S", (), {{
        "set_up": lambda self, process: None,
        "exec": lambda self, process, args: subprocess.run(args) and None,
        "tear_down": lambda self, process: None}})()""",
).replace("import sys, threading", "import subprocess, sys")


@posix
@pytest.mark.parametrize("template", [KILLED, TUTORIAL_KILLED], ids=["ours", "tutorial"])
def test_nothing_outlives_a_napari_that_is_killed(tmp_path, template):
    if template is TUTORIAL_KILLED and sys.platform != "linux":
        pytest.skip("the variables of other processes cannot be read here")
    args = script(tmp_path, STUBBORN, "stubborn.py")
    tests = os.path.dirname(os.path.dirname(__file__))
    code = template.format(tests=tests, folder=str(tmp_path), program=args[1])
    napari = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in napari.stdout.readline().split()]
    assert len(pids) == 4
    assert not any(gone(pid) for pid in pids)
    os.kill(napari.pid, signal.SIGKILL)
    napari.wait()
    assert wait_until(lambda: all(gone(pid) for pid in pids))
    napari.stdout.close()


def test_start_is_direct(local, tmp_path):
    """No shell and no helper between us and the program: it is our child."""
    process, events = make_process(tmp_path)
    args = [sys.executable, "-c", "import os; print(os.getppid())"]
    assert local.exec(process, args) == 0
    assert events.lines() == [str(os.getpid())]
