from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager

import psutil
import pytest

from napari_tool_runner.errors import (
    JobCancelledError,
    JobTimeoutError,
    PreparationError,
    RunnerError,
    RunnerExecError,
)
from napari_tool_runner.plugins import RunnerService, as_service
from plugins.runner_helpers import make_process, script, wait_until


class TwoArguments:
    def set_up(self, process):
        self.met = [process.fullname()]

    def exec(self, process, args):
        self.met.append(args)

    def tear_down(self, process):
        self.met.append("down")


class ThreeArguments:
    def set_up(self, process, job_id):
        self.met = [job_id]

    def exec(self, process, args, job_id):
        self.met.append(job_id)

    def tear_down(self, process, job_id):
        self.met.append(job_id)


class OptionalJobId:
    """The optional argument of `exec` is no job id; that of `set_up` is."""

    def set_up(self, process, job_id=None):
        self.met = [job_id]

    def exec(self, process, args, verbose=False):
        self.met.append(verbose)

    def tear_down(self, *anything):
        self.met.append(len(anything))


class Observable:
    def __init__(self):
        self.observers = []

    def add_observer(self, observer):
        self.observers.append(observer)


class Observed(Observable):
    def set_up(self, process, job_id):
        for observer in self.observers:
            observer.notify("preparing", job_id)

    def exec(self, process, args, job_id):
        for observer in self.observers:
            observer.notify_progress(50, "half", job_id)
            observer.notify_warning("careful", job_id)
            observer.notify_error("oh")

    def tear_down(self, process, job_id):
        pass


class Runs:
    """Runs its arguments the way that `how` says."""

    def __init__(self, how=subprocess.run):
        self.how = how

    def set_up(self, process):
        pass

    def exec(self, process, args):
        return self.how(args)

    def tear_down(self, process):
        pass


def run_all(service, process, args=()):
    with as_service(service).session(process) as session:
        return session.exec(list(args))


@pytest.mark.parametrize(
    ("service", "met"),
    [
        (TwoArguments(), ["tool_v1.0", ["a", "b"], "down"]),
        (ThreeArguments(), [7, 7, 7]),
        (OptionalJobId(), [7, False, 2]),
    ],
)
def test_both_signatures(tmp_path, service, met):
    process, _ = make_process(tmp_path, job_id=7)
    assert run_all(service, process, ["a", "b"]) == 0
    assert service.met == met


def test_observers_get_through_and_do_not_pile_up(tmp_path):
    service = Observed()
    for number in (1, 2, 3):
        process, events = make_process(tmp_path, job_id=number)
        run_all(service, process)
        assert events.lines() == ["preparing"]
        assert events.lines("stderr") == ["Warning: careful", "Error: oh"]
        assert [(p.phase, p.done, p.total) for p in events.progress()] == [("half", 50, 100)]
    assert len(service.observers) == 1


def popen(args):
    program = subprocess.Popen(args)
    program.wait()


CODES = [
    (subprocess.run, 5),
    (subprocess.call, 5),
    (popen, 5),
    (lambda args: subprocess.run(args, check=True), 5),
    (lambda args: subprocess.run(" ".join(args), shell=True) and None, 5),
    (lambda args: subprocess.run(args).returncode + 1, 6),
    (lambda args: subprocess.run([sys.executable, "-c", "raise SystemExit(9)"]) and None, 0),
    (lambda args: True, 0),
    (lambda args: -9, 137),
]


@pytest.mark.parametrize(("how", "code"), CODES)
def test_exit_codes(tmp_path, how, code):
    process, _ = make_process(tmp_path)
    assert run_all(Runs(how), process, script(tmp_path, "raise SystemExit(5)")) == code


def test_the_exit_code_of_a_program_that_gets_other_paths(tmp_path):
    """As `docker exec NAME program /app/data/file` for `program /home/me/file`."""

    def how(args):
        subprocess.run(["sh", "-c", "exit 6", *args[:1], args[1].replace("/home/me", "/app/data")])
        subprocess.run(["sh", "-c", "exit 7", "stop"])

    process, _ = make_process(tmp_path)
    assert run_all(Runs(how), process, ["program", "/home/me/in/a.tif"]) == 6


@pytest.mark.parametrize("how", ["as it is", "with a variable more", "by the shell"])
def test_its_programs_find_this_python_as_those_of_local_do(tmp_path, monkeypatch, how):
    """Also where no environment is active, as when napari is started by a click."""
    monkeypatch.setenv("PATH", os.defpath)

    def run(args):
        if how == "by the shell":
            return os.system(" ".join(args))
        env = None if how == "as it is" else {**os.environ, "MORE": "1"}
        return subprocess.run(["nice", *args], env=env).returncode

    process, events = make_process(tmp_path)
    args = script(tmp_path, "import sys; print(sys.prefix)")
    assert run_all(Runs(run), process, ["python", *args[1:]]) == 0
    assert events.lines() == [sys.prefix]


def test_it_finds_the_programs_that_they_find(tmp_path, monkeypatch):
    """Other threads find what they found."""
    monkeypatch.setenv("PATH", os.defpath)
    name, found = os.path.basename(sys.executable), []

    def run(args):
        found.append(shutil.which(name))
        found.append(shutil.which(name, path="/nowhere"))
        other = threading.Thread(target=lambda: found.append(shutil.which(name)))
        other.start()
        other.join()
        return subprocess.run([found[0], *args[1:]]).returncode

    usual, before = shutil.which(name), shutil.which
    process, events = make_process(tmp_path)
    args = script(tmp_path, "import sys; print(sys.prefix)")
    assert run_all(Runs(run), process, args) == 0
    assert events.lines() == [sys.prefix]
    assert found[1:] == [None, usual]
    assert shutil.which is before


def test_a_path_of_its_own_stays(tmp_path):
    def run(args):
        return subprocess.run(["/bin/sh", "-c", 'echo "$PATH"'], env={"PATH": "/its/own"})

    process, events = make_process(tmp_path)
    run_all(Runs(run), process, ["x"])
    assert events.lines() == ["/its/own"]


def test_output_of_its_programs_reaches_the_log(tmp_path, capfd):
    process, events = make_process(tmp_path)
    args = script(tmp_path, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    run_all(Runs(), process, args)
    assert events.lines() == ["out"]
    assert events.lines("stderr") == ["err"]
    assert capfd.readouterr() == ("", "")


def test_a_service_that_redirects_keeps_its_output(tmp_path):
    process, events = make_process(tmp_path)
    kept = []
    args = script(tmp_path, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n")
    run_all(Runs(lambda a: kept.append(subprocess.check_output(a))), process, args)
    assert kept == [b"out\n"]
    assert events.lines() == []
    assert events.lines("stderr") == ["err"]


def test_what_a_failed_check_had_kept_is_passed_on(tmp_path):
    process, events = make_process(tmp_path)
    args = script(tmp_path, "import sys\nprint('why', file=sys.stderr)\nsys.exit(2)\n")
    how = lambda a: subprocess.run(a, check=True, capture_output=True)  # noqa: E731
    assert run_all(Runs(how), process, args) == 2
    assert events.lines("stderr") == ["why"]


def test_other_threads_notice_nothing(tmp_path):
    original = subprocess.Popen.__init__
    process, events = make_process(tmp_path)
    go, done = threading.Event(), threading.Event()
    met = []

    def other():
        go.wait(30)
        met.append(subprocess.run([sys.executable, "-c", "print('other')"], capture_output=True))
        subprocess.run([sys.executable, "-c", "pass"])
        done.set()

    def how(args):
        go.set()
        assert done.wait(60)
        return 0

    thread = threading.Thread(target=other)
    thread.start()
    run_all(Runs(how), process)
    thread.join()
    assert met[0].stdout.strip() == b"other"
    assert events.lines() == []
    assert subprocess.Popen.__init__ is original


def spawn(args):
    return os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(args[0], args, os.environ), 0)[1])


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("how", [subprocess.run, spawn])
@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_cancel_and_timeout_end_its_programs(tmp_path, how, why):
    process, events = make_process(tmp_path, timeout=1.0 if why == "timeout" else None)
    mark = tmp_path / "pid"
    args = script(
        tmp_path,
        "import os, sys, time\nopen(sys.argv[1], 'w').write(str(os.getpid()))\ntime.sleep(600)\n",
    )
    met = []

    def run():
        try:
            run_all(Runs(how), process, [*args, str(mark)])
        except (JobCancelledError, JobTimeoutError) as error:
            met.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    if why == "cancel":
        assert wait_until(lambda: mark.exists() and mark.read_text() != "")
        process.context.cancel.cancel()
    thread.join(60)
    assert met == [JobCancelledError if why == "cancel" else JobTimeoutError]
    assert any("cannot cancel: ended 1" in line for line in events.lines("runner"))
    if why == "cancel":
        assert not psutil.pid_exists(int(mark.read_text()))


class Broken:
    def set_up(self, process):
        raise KeyError("conda_dir")

    def exec(self, process, args):
        sys.exit("told to stop")

    def tear_down(self, process):
        raise OSError("busy")


class Stopping(Broken):
    def set_up(self, process):
        pass


def test_errors_are_of_our_tree_with_their_cause(tmp_path):
    process, events = make_process(tmp_path)
    with (
        pytest.raises(PreparationError, match=r"BROKEN.*conda_dir") as caught,
        as_service(Broken(), "BROKEN").session(process),
    ):
        pass
    assert isinstance(caught.value.__cause__, KeyError)
    assert "busy" in events.lines("runner")[0]
    with (
        pytest.raises(RunnerExecError, match="told to stop") as caught,
        as_service(Stopping(), "BROKEN").session(process) as session,
    ):
        session.exec(["x"])
    assert isinstance(caught.value.__cause__, SystemExit)
    assert "busy" in events.lines("runner")[1]


def test_a_program_that_does_not_exist(tmp_path):
    process, _ = make_process(tmp_path)
    with pytest.raises(RunnerExecError, match="no-such-program"):
        run_all(Runs(), process, ["no-such-program"])


def test_a_service_of_ours_that_breaks_is_wrapped(tmp_path):
    class Mine(RunnerService):
        service_name = "MINE"

        def exec(self, process, args):
            raise ZeroDivisionError("oops")

    process, _ = make_process(tmp_path)
    mine = Mine()
    assert as_service(mine) is mine
    with pytest.raises(RunnerExecError, match=r"MINE.*oops"), mine.session(process) as session:
        session.exec([])


def test_what_is_no_service_is_refused():
    with pytest.raises(RunnerError, match="has no exec"):
        as_service(type("Half", (), {"set_up": lambda self, process: None})())


def test_an_adapted_service_stays_as_it_is():
    adapted = as_service(TwoArguments())
    assert as_service(adapted) is adapted


class Holding(RunnerService):
    """Tells what happens; its session fails to prepare when it is told so."""

    def __init__(self, fails=False):
        super().__init__()
        self.fails = fails
        self.met = []

    @contextmanager
    def session(self, process):
        self.met.append("in")
        try:
            if self.fails:
                raise PreparationError("no room")
            yield Told(self.met)
        finally:
            self.met.append("out")


class Told:
    def __init__(self, met):
        self.met = met

    def exec(self, args):
        self.met.append(args)
        return len(args)


class OnTop(Holding):
    """Overrides one of the three calls of a service that has sessions."""

    def exec(self, process, args):
        return super().exec(process, ["nice", *args])


def test_three_calls_share_a_session_that_lives_on_the_process(tmp_path):
    service, process = Holding(), make_process(tmp_path)[0]
    service.set_up(process)
    assert [service.exec(process, ["a"]), service.exec(process, ["b", "c"])] == [1, 2]
    service.tear_down(process)
    assert service.met == ["in", ["a"], ["b", "c"], "out"]
    assert process.sessions == {}


def test_exec_alone_and_a_bare_tool_have_a_session_each(tmp_path):
    service, process = Holding(), make_process(tmp_path)[0]
    service.exec(process, ["a"])
    assert service.met == ["in", ["a"], "out"]
    service.set_up(process.tool)
    service.exec(process.tool, ["b"])
    service.tear_down(process.tool)
    assert service.met[3:] == ["in", "out", "in", ["b"], "out"]


def test_what_cannot_be_prepared_is_released(tmp_path):
    service, process = Holding(fails=True), make_process(tmp_path)[0]
    with pytest.raises(PreparationError, match="no room"):
        service.set_up(process)
    service.tear_down(process)
    assert service.met == ["in", "out"]


def test_a_call_that_is_overridden_is_not_passed_by(tmp_path):
    service, process = OnTop(), make_process(tmp_path)[0]
    with service.session(process) as session:
        assert session.exec(["a"]) == 2
    assert service.met == ["in", ["nice", "a"], "out"]
    assert process.sessions == {}


def test_a_service_that_does_nothing_says_so(tmp_path):
    service, process = RunnerService(), make_process(tmp_path)[0]
    with (
        pytest.raises(RunnerExecError, match="neither session nor exec"),
        service.session(process) as session,
    ):
        session.exec([])
