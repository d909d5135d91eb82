"""Parts of starting, following and ending programs that no ordinary job comes to."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from napari_tool_runner.errors import (
    JobCancelledError,
    PreparationError,
    RunnerError,
    RunnerExecError,
    UnknownRunnerError,
)
from napari_tool_runner.plugins import CancelToken, RunnerService, as_service, discovery, preflight
from napari_tool_runner.plugins import runners_factory as factory
from napari_tool_runner.plugins.conda import spec as conda_spec
from napari_tool_runner.plugins.contract import Availability, Origin
from napari_tool_runner.plugins.foreign import children
from napari_tool_runner.plugins.process import Progress, _text, _write_line
from napari_tool_runner.plugins.programs import (
    environment,
    graphics,
    process_tree,
    program,
    watchdog,
)
from napari_tool_runner.plugins.programs.local_path import python_folders
from napari_tool_runner.plugins.runner_condadocker import CondaDockerRunnerService
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.tools.model import ContainerRequirement
from plugins.runner_helpers import Events, make_process, make_tool, script, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

posix = pytest.mark.skipif(os.name == "nt", reason="process groups")


def on(monkeypatch: pytest.MonkeyPatch, module: object, system: str) -> None:
    """Let `module` believe to be on another system."""
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform=system, executable=sys.executable))


# -- the watchdog --------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def watched(owner: str, *lines: bytes) -> None:
    """Be the watchdog of a napari that says `lines` and ends."""
    read, write = os.pipe()
    for line in lines:
        os.write(write, line)
    os.close(write)
    watchdog._watch(owner, read)
    os.close(read)


@posix
def test_programs_of_a_napari_that_is_gone_are_ended(sleeper: subprocess.Popen[bytes]) -> None:
    watched("nobody:", b"+%d" % sleeper.pid, b"\n")
    assert sleeper.wait(10) == -signal.SIGTERM


@posix
def test_programs_that_have_ended_are_not_looked_for(sleeper: subprocess.Popen[bytes]) -> None:
    watched("nobody:", b"+%d\n-%d\n" % (sleeper.pid, sleeper.pid))
    assert sleeper.poll() is None


@posix
def test_what_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_GRACE", 0.2)
    args = script(tmp_path, """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(600)
    """)  # fmt: skip
    deaf = {**os.environ, watchdog.MARK: "test-owner:1:"}
    with subprocess.Popen(args, env=deaf, stdout=subprocess.PIPE, start_new_session=True) as left:
        assert left.stdout is not None
        assert left.stdout.readline() == b"ready\n"
        watched("test-owner:")  # found by its mark, though it was never announced
        assert left.wait(10) == -signal.SIGKILL


@posix
def test_what_is_just_being_started_is_ended(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lets go of the pipe before it is executed, and has no mark until then."""
    seen = iter([[], [], [], []])
    monkeypatch.setattr(watchdog, "marked_ids", lambda _: next(seen, [sleeper.pid]))
    monkeypatch.setattr(watchdog, "_GRACE", 0.2)
    watched("test-owner:")
    assert sleeper.wait(10) in (-signal.SIGTERM, -signal.SIGKILL)


@posix
def test_a_fork_that_holds_the_pipe_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    parents = iter([1, 1, 2])  # napari ends while the watchdog waits
    monkeypatch.setattr(watchdog.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(watchdog.select, "select", lambda *_: ([], [], []))
    watchdog._watch("nobody:", read)
    assert next(parents, None) is None
    os.close(read)
    os.close(write)


@posix
def test_a_watchdog_that_is_gone_is_started_again_or_told(monkeypatch: pytest.MonkeyPatch) -> None:
    dog = process_tree._Watchdog()
    dog.discard(1)
    assert dog._process is None, "to forget a program starts nothing"
    dog.ensure()
    first = dog._process
    assert first is not None
    first.kill()
    first.wait()
    dog.ensure()
    assert dog._process is not None
    assert dog._process.pid != first.pid
    assert dog._process.stdin is not None
    dog._process.stdin.close()
    with open(os.devnull, "rb") as nowhere:  # a pipe that cannot be written
        dog._process.stdin = nowhere  # type: ignore[assignment]
        dog.add(1)
    assert "is gone" in dog.problem
    dog._process.wait(10)
    monkeypatch.setattr(process_tree, "_SCRIPT", "x\0y")  # no such program can be

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr(process_tree.subprocess, "Popen", refused)
    dog.add(1)
    assert "could not be started" in dog.problem
    monkeypatch.setattr(dog, "_owner_pid", -1)
    dog.problem = ""
    dog.add(1)
    assert dog.problem == "", "a fork has no programs of its own"


@posix
def test_a_job_says_that_nobody_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = SimpleNamespace(
        ensure=lambda: None, add=lambda _: None, discard=lambda _: None, problem="No watchdog."
    )
    monkeypatch.setattr(program, "watchdog", silent)
    process, events = make_process(tmp_path)
    assert program.run_program(["true"], process.context, dict(os.environ)) == 0
    assert events.lines("runner") == ["No watchdog."]


def test_a_cancel_before_the_program_says_what_was_done(tmp_path: Path) -> None:
    process, _ = make_process(tmp_path)
    process.context.cancel.cancel()
    with pytest.raises(JobCancelledError, match="made ready; its program had not begun"):
        program.run_program(["true"], process.context, dict(os.environ))


# -- process trees -------------------------------------------------------------------------------


@posix
def test_whether_a_group_lives(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process_tree.group_alive(sleeper.pid)
    on(monkeypatch, process_tree, "darwin")
    assert process_tree.group_alive(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not process_tree.group_alive(sleeper.pid)

    def denied(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(process_tree.os, "killpg", denied)
    assert process_tree.group_alive(sleeper.pid), "another user's"


@posix
def test_marks_are_found_where_there_is_no_proc(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, process_tree, "darwin")
    marked = {**os.environ, watchdog.MARK: "this:1:"}
    with subprocess.Popen(["sleep", "600"], env=marked) as mine:
        assert wait_until(lambda: [p.pid for p in process_tree._marked("this:")] == [mine.pid])
        known: dict[int, psutil.Process] = {}
        process_tree._collect(known, [sleeper.pid, os.getpid()], "this:")
        assert {mine.pid, sleeper.pid} <= set(known)
        assert os.getpid() not in known, "never ourselves"
        mine.kill()


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (137, "killed by SIGKILL"), (-11, "killed by SIGSEGV"),
     (255, "exit code 255"), (128, "exit code 128")],
)  # fmt: skip
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert process_tree.describe_exit(code).startswith(words)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.E2BIG, "is too long for this system.*fewer files"), (errno.ENOMEM, "could not be")],
)
def test_programs_that_the_system_refuses(number: int, words: str) -> None:
    error = OSError(number, os.strerror(number))
    with pytest.raises(RunnerExecError, match=words):
        raise program._start_error(["sh"], Path.cwd(), {"PATH": os.defpath}, error)


@posix
def test_an_interrupted_wait_ends_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = subprocess.Popen.wait
    calls: list[int] = []

    def interrupted(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        calls.append(self.pid)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return waits(self, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    process, _ = make_process(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        program.run_program(["sleep", "600"], process.context, dict(os.environ))
    assert not psutil.pid_exists(calls[0])


def test_a_gpu_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, remark in (("arm64", ""), ("x86_64", "A GPU is asked for, but none was found")):
        found = graphics.detect(system="darwin", machine=machine)
        monkeypatch.setattr(program, "graphics", lambda found=found: found)
        assert program.gpu_remark({"gpus": 1}).startswith(remark)
        assert bool(program.gpu_remark({"gpus": 1})) is bool(remark)


# -- variables and folders -----------------------------------------------------------------------


def test_variables_of_a_notebook_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    assert "MPLBACKEND" not in environment.host_environment()
    assert "MPLBACKEND" in environment.host_environment(passed=["MPLBACKEND"]), "it is asked for"
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert environment.host_environment()["MPLBACKEND"] == "agg"


def test_a_path_where_there_is_none() -> None:
    assert environment.path_with([Path("/a")], None) == f"/a{os.pathsep}{os.defpath}"
    assert environment.path_with([Path("/a")], "") == "/a"


def test_a_python_without_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process, _ = make_process(tmp_path)
    monkeypatch.setattr(sys, "executable", "")
    assert python_folders(process.context) == []


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [("win32", "AMD64", "win-64"), ("win32", "ARM64", "win-arm64"),
     ("darwin", "arm64", "osx-arm64"), ("darwin", "x86_64", "osx-64"),
     ("linux", "aarch64", "linux-aarch64"), ("linux", "i686", "linux-32")],
)  # fmt: skip
def test_the_platform_in_condas_words(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, name: str
) -> None:
    on(monkeypatch, conda_spec, system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert conda_spec.conda_platform() == name


# -- services of others --------------------------------------------------------------------------


def test_a_service_that_says_nothing_of_itself() -> None:
    class Bare(RunnerService):
        def exec(self, process: object, args: list[str]) -> int:
            return 0

    bare = Bare()
    assert bare.check() == Availability(True)
    assert bare.plan(make_tool()).ready
    assert bare.stored() == ()
    assert not bare.lends
    place = bare.place(make_tool(ContainerRequirement(image="docker://quay.io/x:1")))
    assert place.service == "Bare"
    assert place.origins == (Origin("registry", "quay.io/x:1", "docker://quay.io/x:1"),)


def test_errors_of_a_set_up_keep_their_kind(tmp_path: Path) -> None:
    class Breaks(RunnerService):
        service_name = "BREAKS"
        error: BaseException = KeyboardInterrupt()

        def set_up(self, process: object) -> None:
            raise self.error

        def tear_down(self, process: object) -> None:
            """Nothing was set up."""

    service, (process, _) = Breaks(), make_process(tmp_path)
    for error, kind in (
        (KeyboardInterrupt(), KeyboardInterrupt),
        (JobCancelledError("x"), JobCancelledError),
        (ValueError("odd"), PreparationError),
    ):
        service.error = error
        with pytest.raises(kind), service.session(process):
            pytest.fail("it was not set up")


def test_a_plugin_is_closed_when_it_can_be() -> None:
    class Three:
        def __init__(self) -> None:
            self.closed = 0

        def set_up(self, process: object) -> None: ...
        def exec(self, process: object, args: list[str]) -> None: ...
        def tear_down(self, process: object) -> None: ...

    class Closing(Three):
        def close(self) -> None:
            self.closed += 1

    for service, closed in ((Closing(), 1), (Three(), 0)):
        adapted = as_service(service, "THREE")
        adapted.close()
        assert service.closed == closed
        assert "A plugin" in adapted.check().message


def test_a_plugin_is_not_called_for_a_job_that_is_cancelled(tmp_path: Path) -> None:
    class Never:
        set_up = exec = tear_down = staticmethod(lambda *_: pytest.fail("called"))

    process, _ = make_process(tmp_path)
    process.context.cancel.cancel()
    with pytest.raises(JobCancelledError):
        as_service(Never(), "NEVER").set_up(process)


def test_a_plugin_written_in_another_language_has_no_signature(tmp_path: Path) -> None:
    met: list[object] = []

    class Unknown:
        """As builtins of some extension modules: nobody can say what it takes."""

        __signature__ = "none"

        def __call__(self, *given: object) -> None:
            met.append(len(given))

    class Service:
        set_up = exec = tear_down = Unknown()

    process, _ = make_process(tmp_path)
    as_service(Service(), "ODD").exec(process, ["x"])
    assert met[0] == 2, "process and words, no job number"


@posix
def test_children_of_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events()
    with children.recording(events) as recorder:
        assert recorder.exit_code([]) is None
        assert recorder.end(0.1) == [], "nothing was started"
        with pytest.raises(OSError, match="The job was cancelled; no more programs"):
            subprocess.run(["true"], check=True)
    assert subprocess.run(["true"], check=False).returncode == 0, "others go on"
    with children.recording(events) as outer, children.recording(events) as inner:
        subprocess.run(["sh", "-c", "exit 3"], check=False, env={**os.environ, watchdog.MARK: "x"})
        assert (inner.exit_code(["exit 3"]), outer.exit_code(["exit 3"])) == (3, None)
        assert inner.exit_code([]) is None
        # a kernel that does not list the children of a thread
        monkeypatch.setattr(inner, "_thread", 0)
        mine = os.posix_spawn("/bin/sleep", ["sleep", "600"], dict(os.environ))
        assert inner._others() == [mine]
        os.kill(mine, signal.SIGKILL)
        os.waitpid(mine, 0)

    def gone(*_: object) -> None:
        raise psutil.NoSuchProcess(1)

    with monkeypatch.context() as patched:  # what looks for left processes needs the real one
        patched.setattr(children.psutil, "Process", gone)
        assert children._children() == []


# -- finding services ----------------------------------------------------------------------------


class Register:
    """Where plugins register in these tests."""

    def __init__(self) -> None:
        self.loaded: dict[Path, str] = {}
        self.kept: dict[str, object] = {}

    def register_builder(self, key: str, builder: object) -> None:
        self.kept[key] = builder

    def builders(self) -> dict[str, object]:
        return dict(self.kept)


def test_a_plugin_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "runner_gone.py").symlink_to(tmp_path / "nowhere")
    (problem,) = discovery.load_plugin_dirs(tmp_path, Register())
    assert "cannot be read (No such file" in str(problem)
    assert discovery.load_plugin_dirs(None, Register()) == ()
    assert discovery.load_plugin_dirs(7, Register()) == ()


def test_an_entry_point_that_is_no_builder() -> None:
    entry = SimpleNamespace(name="ODD", value="odd:thing", load=lambda: 7)
    (problem,) = discovery.load_entry_points(Register(), [entry])  # type: ignore[list-item]
    assert "its value is no builder: 7" in str(problem)


def test_a_preflight_that_breaks_is_a_problem_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(RunnerService):
        def plan(self, tool: object) -> None:  # type: ignore[override]
            raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(preflight, "pass_gate", lambda *_: None)
    monkeypatch.setattr(preflight, "obey_policy", lambda *_: None)
    factory.runnerServices.register_builder("BROKEN", lambda **_: Broken())
    config = SimpleNamespace(runner={})
    tool = make_tool()
    (problem,) = preflight.plan_run("BROKEN", tool, None, config).problems  # type: ignore[arg-type]
    assert problem.startswith("BROKEN cannot plan the run: ")
    assert "by nothing" in problem
    ended = CancelToken()
    ended.cancel()
    with pytest.raises(JobCancelledError):
        preflight.plan_run("BROKEN", tool, None, config, ended)  # type: ignore[arg-type]
    (problem,) = preflight.plan_run("BROKN", tool, None, config).problems  # type: ignore[arg-type]
    assert "did you mean 'BROKEN'" in problem


def test_a_service_that_cannot_even_be_made_is_listed() -> None:
    def build(**_: object) -> RunnerService:
        raise RunnerError("It wants a licence.")

    provider = factory.RunnerServiceProvider()
    provider.register_builder("PAID", build)
    found = dict(factory.check_all({}, provider))
    assert not found["PAID"].ok
    assert "It wants a licence." in found["PAID"].message
    with pytest.raises(UnknownRunnerError):
        provider.get("PIAD")


def test_conda_docker_is_as_the_service_it_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    service, tool = CondaDockerRunnerService({}), make_tool()
    assert service.lends is LocalRunnerService({}).lends
    assert service.supports(tool).message == "LOCAL, since the tool requires nothing"
    assert service.place(tool).service == "LOCAL"
    away = Availability(False, "No engine.")
    monkeypatch.setattr(factory, "availability", lambda *_: away)
    docker = make_tool(ContainerRequirement(image="a/b:1"), ContainerRequirement(image="c"))
    found = service.supports(docker)
    assert not found.ok
    assert found.message.count("No engine.") == 1, "each service is asked once"


def test_lines_of_a_process_without_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    _write_line(Progress("half", 1, 2))
    assert capsys.readouterr().out == ""
    assert _text(None, {"a": 1, "b": Path("/c")}) == "a=1,b=/c"


def test_waiting_for_a_cancel_ends_with_it() -> None:
    token = CancelToken()
    threading.Timer(0.05, token.cancel).start()
    assert token.wait(10)
