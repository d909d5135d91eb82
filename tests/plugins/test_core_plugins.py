"""Plugins written for bioimageit_core: what they import, print, and do wrong.

The files are of our own words; they import and use what BioImageIT's own runner files do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.errors import RunnerUnavailableError, UnknownRunnerError
from napari_tool_runner.plugins import check_all, plugin_notes, runnerServices
from napari_tool_runner.plugins.foreign import loading
from napari_tool_runner.plugins.runner_local import LocalRunnerService

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the tool is a shell script")

BUILDER = """
class {word}RunnerServiceBuilder:
    def __init__(self):
        self._instance = None

    def __call__(self, **_ignored):
        if not self._instance:
            self._instance = {word}RunnerService()
        return self._instance
"""
LOCAL = (
    """
import subprocess
from bioimageit_core.core.observer import Observable
from bioimageit_core.core.tools_containers import Tool
"""
    + BUILDER.format(word="Plain")
    + '''
class PlainRunnerService(Observable):
    def __init__(self):
        super().__init__()
        self.service_name = "PlainRunnerService"

    def set_up(self, process: Tool):
        """nothing"""

    def exec(self, process: Tool, args):
        print("plain runs", process.fullname())
        subprocess.run(args)

    def tear_down(self, process: Tool):
        """nothing"""
'''
)
# as their CONDA: the configuration when it is made, job_id, its own errors, a shell's line
SHELL = (
    """
from subprocess import PIPE, Popen
from bioimageit_core.containers.tools_containers import Tool
from bioimageit_core.core.config import ConfigAccess
from bioimageit_core.core.exceptions import ConfigError, RunnerExecError
from bioimageit_core.core.observer import Observable
"""
    + BUILDER.format(word="Shell")
    + """
class ShellRunnerService(Observable):
    def __init__(self):
        super().__init__()
        section = ConfigAccess.instance().get("runner")
        if "shell" not in section:
            raise ConfigError("shell is not set in the runner section")
        self.shell = section["shell"]

    def set_up(self, process: Tool, job_id: int):
        self.notify("preparing", job_id)

    def exec(self, process: Tool, args, job_id: int):
        env = ConfigAccess.instance().config.get("env", [])
        self.notify(f"env {env[0]['value'] if env else ''}", job_id)
        line = " ".join('"' + arg + '"' for arg in args)
        with Popen(line, shell=True, executable=self.shell, stdout=PIPE, text=True) as program:
            for one in program.stdout:
                self.notify(one.strip(), job_id)
        if program.returncode != 0:
            raise RunnerExecError(f"return code: {program.returncode}")

    def tear_down(self, process: Tool, job_id: int):
        self.notify("down", job_id)
"""
)
# as their CONDA_DOCKER: hands the job on to a neighbour, without job_id, by static methods
SWITCH = (
    """
from bioimageit_core.core.observer import Observable
from bioimageit_core.plugins.runner_shell import ShellRunnerService
"""
    + BUILDER.format(word="Switch")
    + """
class SwitchRunnerService(Observable):
    @staticmethod
    def set_up(process):
        ShellRunnerService().set_up(process)

    @staticmethod
    def exec(process, args):
        ShellRunnerService().exec(process, args)

    @staticmethod
    def tear_down(process):
        ShellRunnerService().tear_down(process)
"""
)
ODD = (
    BUILDER.format(word="Odd")
    + """
class OddRunnerService:
    def set_up(self, process):
        pass

    def exec(self, process, args):
        {does}

    def tear_down(self, process):
        pass
"""
)


@pytest.fixture
def plugins(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()

    def write(**texts: str) -> dict[str, list[str]]:
        for name, text in texts.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
        return {"plugin_dirs": [str(folder)]}

    yield write
    for thread in threading.enumerate():  # what a test left behind
        if thread.name == "plugin":
            thread.join(10)


def run(tool, image, section, service, **more):
    return ntr.run(tool, input=image, config={"runner": {**section, "service": service}, **more})


# -- bioimageit_core's names -----------------------------------------------------------


def test_a_service_of_bioimageit_core_loads_unchanged(plugins, bare, image):
    result = run(bare, image, plugins(runner_plain=LOCAL), "PLAIN")
    assert np.array_equal(result.outputs["output"].data, image)
    assert "plain runs Keep_v1.0" in result.log.read_text().splitlines()
    assert not any(name.partition(".")[0] == "bioimageit_core" for name in sys.modules)
    with pytest.raises(ModuleNotFoundError):
        __import__("bioimageit_core")


@pytest.mark.parametrize("service", ["SHELL", "SWITCH"])
def test_the_configuration_the_job_and_the_neighbour(plugins, bare, image, service):
    section = {**plugins(runner_shell=SHELL, runner_switch=SWITCH), "shell": "/bin/sh"}
    env = [{"name": "LAB", "value": "north"}]
    result = run(bare, image, section, service, env=env)
    lines = result.log.read_text().splitlines()
    assert [line for line in lines if line in ("preparing", "env north", "down")] == [
        "preparing",
        "env north",
        "down",
    ]
    (bare.parent / "keep.sh").write_text("echo 'no such thing' >&2\nexit 3\n")
    with pytest.raises(ntr.ToolFailedError) as caught:
        run(bare, image, section, service)
    assert caught.value.exit_code == 3  # not lost in their error
    assert "no such thing" in caught.value.log_tail


@pytest.mark.parametrize("package", ["bioimageit_core", "bioimagepy"])
def test_services_of_before_have_exec_alone(plugins, bare, image, package):
    """Their files are called ``service_…`` and import from other modules."""
    text = f"""
import subprocess
from {package}.core.utils import Observable
from {package}.config import ConfigAccess
from {package}.processes.containers import ProcessContainer
from {package}.runners.exceptions import RunnerExecError
from {package}.runners.service_other import WORD
{BUILDER.format(word="Old")}
class OldRunnerService(Observable):
    def exec(self, process: ProcessContainer, args):
        print(WORD, ConfigAccess.instance().is_key("runner"))
        subprocess.run(args)
"""
    section = plugins(service_old=text, service_other="WORD = 'beside'" + ODD.format(does="pass"))
    result = run(bare, image, section, "OLD")
    assert "beside True" in result.log.read_text().splitlines()


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("process.requirements[0]['origin']", "requirements (packages or a container)"),
        ("process.container()['type']", "a container"),
        ("process.container().get('type')", "a container"),
    ],
)
def test_what_a_service_wants_of_a_tool_is_told(plugins, bare, image, does, told):
    with pytest.raises(ntr.ToolFailedError) as caught:
        run(bare, image, plugins(runner_odd=ODD.format(does=does)), "ODD")
    assert f"The runner service ODD asks for {told} of the tool, and “Keep” names none." in str(
        caught.value
    )
    assert "<requirements>, or choose another service" in str(caught.value)


def test_an_error_of_its_own_is_told_as_it_is(plugins, bare, image):
    with pytest.raises(ntr.ToolFailedError, match="IndexError: list index out of range"):
        run(bare, image, plugins(runner_odd=ODD.format(does="[][0]")), "ODD")
    with pytest.raises(ntr.ToolFailedError, match="NoneType"):
        run(
            bare,
            image,
            plugins(runner_odd=ODD.format(does="(process.container, None)[1]['x']")),
            "ODD",
        )


def test_a_folder_without_plugins_is_told(tmp_path):
    (told,) = plugin_notes(runnerServices, {"plugin_dirs": [str(tmp_path)]})
    assert told == f"Runner plugin {tmp_path}: there is no runner_*.py in this folder."


def test_what_their_configuration_lacks_is_told(plugins, bare, image):
    with pytest.raises(RunnerUnavailableError, match="SHELL could not be made: shell is not set"):
        run(bare, image, plugins(runner_shell=SHELL), "SHELL")


def test_a_package_that_is_installed_comes_first(plugins, tmp_path, monkeypatch):
    package = tmp_path / "site" / "bioimageit_core" / "core"
    package.mkdir(parents=True)
    (package / "observer.py").write_text("class Observable:\n    real = True\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    text = "from bioimageit_core.core.observer import Observable\nprint(Observable.real)\n"
    section = plugins(runner_real=text + ODD.format(does="pass"))
    try:
        (note,) = plugin_notes(runnerServices, section)
    finally:
        for name in [name for name in sys.modules if name.startswith("bioimageit_core")]:
            del sys.modules[name]
    assert note.endswith("printed: True")


def test_ours_in_the_place_of_theirs(plugins, bare, image):
    """A plugin that hands jobs on to services that are not beside it."""
    text = SWITCH.replace("runner_shell", "runner_local").replace("Shell", "Local")
    result = run(bare, image, plugins(runner_switch=text), "SWITCH")
    assert np.array_equal(result.outputs["output"].data, image)
    (bare.parent / "keep.sh").write_text("exit 3\n")
    with pytest.raises(ntr.ToolFailedError) as caught:
        run(bare, image, plugins(), "SWITCH")
    assert caught.value.exit_code == 3


# -- neighbours -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        "from helper import word",
        "import helper; word = helper.word",
        "import helper as h; word = h.word",
        "from .helper import word",
        "from . import helper; word = helper.word",
        "from bioimageit_core.plugins.helper import word",
        "from bioimageit_core.plugins import helper; word = helper.word",
        "import bioimageit_core.plugins.helper as h; word = h.word",
        "import inner.part; word = inner.part.word",
        "from inner import part; word = part.word",
        "import importlib; word = importlib.import_module('helper').word",
        "from importlib import import_module as get; word = get('inner.part').word",
        "import importlib.util; word = importlib.import_module('.helper', __package__).word",
        "word = __import__('helper').word",
        "import importlib; word = importlib.import_module('bioimageit_core.plugins.helper').word",
        "import importlib as i, json; assert i.import_module('json') is json; word = 'beside'",
    ],
)
def test_a_plugin_imports_its_neighbour(plugins, tmp_path, how):
    section = plugins(helper="word = 'beside'", runner_odd=f"{how}\nprint(word)\n" + ODD)
    (tmp_path / "plugins" / "inner").mkdir()
    (tmp_path / "plugins" / "inner" / "__init__.py").write_text("")
    (tmp_path / "plugins" / "inner" / "part.py").write_text("word = 'beside'")
    other = tmp_path / "other"
    other.mkdir()
    (other / "helper.py").write_text("word = 'elsewhere'")
    (other / "runner_other.py").write_text("import helper\nprint(helper.word)\n" + ODD)
    section["plugin_dirs"].append(str(other))
    text = (tmp_path / "plugins" / "runner_odd.py").read_text()
    (tmp_path / "plugins" / "runner_odd.py").write_text(text.replace("{does}", "pass"))
    text = (other / "runner_other.py").read_text()
    (other / "runner_other.py").write_text(text.replace("{does}", "pass"))
    notes = plugin_notes(runnerServices, section)
    assert [note.rpartition(" ")[2] for note in notes] == ["beside", "elsewhere"]
    assert "helper" not in sys.modules


COUNTS = """
import helper

class OddServiceBuilder:
    def __call__(self, **_):
        return helper.n
"""


def test_a_neighbour_that_changed_is_read_again(plugins, tmp_path):
    section = plugins(helper="n = 1", runner_odd=COUNTS)
    assert runnerServices.get("ODD", **section) == 1
    assert runnerServices.get("ODD", **section) == 1
    plugins(helper="n = 22")
    assert runnerServices.get("ODD", **section) == 22


# -- what is broken ----------------------------------------------------------------------

BROKEN = {
    "text": ("def (", "SyntaxError"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "base": ("class Stop(BaseException): pass\nraise Stop('now')", "Stop: now"),
    "missing": ("import no_such_module_at_all", "no_such_module_at_all"),
    "loop": ("import runner_odd_two", "partially initialized module"),
    "deep": ("def f(): f()\nf()", "RecursionError"),
    "hangs": ("import time\ntime.sleep(2)", "it does not come to an end"),
}


@pytest.mark.parametrize("name", ["ODD", "LOCAL"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_told_and_not_replaced_by_another(
    plugins, bare, image, monkeypatch, kind, name
):
    monkeypatch.setattr(loading, "LIMIT", 0.3 if kind == "hangs" else 20.0)
    text, told = BROKEN[kind]
    two = f"from runner_{name.lower()} import x\nx = 1\n" if kind == "loop" else "x = 1"
    section = plugins(**{f"runner_{name.lower()}": text, "runner_odd_two": two})
    with pytest.raises(RunnerUnavailableError) as caught:
        run(bare, image, section, name)
    assert f"runner_{name.lower()}.py: could not be loaded" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    found = dict(check_all(section))
    assert not found[f"runner_{name.lower()}.py"].ok
    assert not found.get("ODD", found[f"runner_{name.lower()}.py"]).ok
    # and for a service that is not its own it is a note
    assert any(told in note for note in plugin_notes(runnerServices, section))


def test_an_unknown_name_tells_of_the_broken_plugins(plugins, bare, image):
    with pytest.raises(UnknownRunnerError, match=r"'MINE'.*runner_odd\.py: could not be loaded"):
        run(bare, image, plugins(runner_odd="1/0"), "MINE")


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise ValueError('no queue')", "ValueError: no queue"),
        ("import time; time.sleep(2)", "it does not come to an end"),
        ("return self()", "RecursionError"),
    ],
)
def test_a_service_that_cannot_be_made_is_told(plugins, bare, image, monkeypatch, does, told):
    monkeypatch.setattr(loading, "LIMIT", 0.3 if "sleep" in does else 20.0)
    section = plugins(
        runner_odd=f"class OddServiceBuilder:\n    def __call__(self, **_):\n        {does}\n"
    )
    with pytest.raises(RunnerUnavailableError, match="ODD could not be made") as caught:
        run(bare, image, section, "ODD")
    assert told in str(caught.value)
    assert told in dict(check_all(section))["ODD"].message
    assert dict(check_all(section))["LOCAL"].ok


@pytest.mark.parametrize("raised", ["SystemExit('x')", "BaseException('x')", "ValueError('x')"])
def test_whatever_its_work_raises_fails_the_job(plugins, bare, image, raised):
    section = plugins(runner_odd=ODD.format(does=f"raise {raised}"))
    with pytest.raises(ntr.ToolFailedError, match=r"ODD could not run the program: .*x"):
        run(bare, image, section, "ODD")


# -- names of services that ship ----------------------------------------------------------


def test_a_plugin_may_have_the_name_of_a_service_that_ships(plugins, bare, image):
    section = plugins(runner_local=LOCAL, runner_condadocker=LOCAL)
    result = run(bare, image, section, "LOCAL")
    assert "plain runs Keep_v1.0" in result.log.read_text()
    (told,) = [note for note in result.record["notes"] if note.startswith("LOCAL is the service")]
    assert "runner_local.py, in place of the one that ships" in told
    assert told in dict(check_all(section))["LOCAL"].message
    assert "runner_condadocker.py" in dict(check_all(section))["CONDA_DOCKER"].message
    # where its folder is not named, nothing has changed
    assert isinstance(runnerServices.get("LOCAL"), LocalRunnerService)
    assert "plain runs" not in ntr.run(bare, input=image, runner="LOCAL").log.read_text()


def test_a_facility_that_allows_a_service_does_not_mean_a_plugin_of_that_name(
    plugins, bare, image, tmp_path, monkeypatch
):
    facility = tmp_path / "facility.json"
    monkeypatch.setenv("NAPARI_TOOL_RUNNER_FACILITY", str(facility))
    for policy, told in (
        ({"services": ["LOCAL"]}, "does not allow the runner LOCAL of a plugin"),
        ({"local_for_others": False}, "does not allow tools of others to run with LOCAL"),
    ):
        facility.write_text(json.dumps({"policy": policy}))
        with pytest.raises(ntr.ToolRunnerError, match=told):
            run(bare, image, plugins(runner_local=LOCAL), "LOCAL")


# -- what it prints ------------------------------------------------------------------------

NOISY = """
import ctypes
import os
import subprocess
import sys
print("while loading")
os.write(1, b"raw while loading\\n")


class NoisyRunnerServiceBuilder:
    def __init__(self):
        self._instance = None

    def __call__(self, **_ignored):
        if self._instance is None:
            print("while made")
            self._instance = NoisyRunnerService()
        return self._instance


class NoisyRunnerService:
    def set_up(self, process):
        print("set up", end="")

    def exec(self, process, args):
        print("{ printed }")
        sys.stderr.write("to the error\\n")
        os.system("echo by the shell")
        os.write(1, b"raw\\n")
        ctypes.CDLL(None).puts(b"by C")
        os.waitpid(os.posix_spawnp("echo", ["echo", "spawned"], os.environ), 0)
        subprocess.run(args)

    def tear_down(self, process):
        print("torn down")
"""


def cli(*words: str, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "napari_tool_runner.cli", *words, "--config", str(config)],
        capture_output=True,
        text=True,
    )


def test_a_service_that_prints_does_not_break_json(plugins, bare, image, tmp_path):
    result = ntr.run(bare, input=image, runner="LOCAL")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"runner": {**plugins(runner_noisy=NOISY), "service": "NOISY"}}))
    given = f"input={result.outputs['output'].path}"
    done = cli("run", str(bare), given, "--json", config=config)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    lines = Path(facts["log"]).read_text().splitlines()
    wanted = ["set up", "{ printed }", "to the error", "by the shell", "raw", "by C", "spawned"]
    for line in [*wanted, "torn down"]:
        assert line in lines, line
    record = json.loads((Path(facts["log"]).parent / "record.json").read_text())
    for line in ("while loading / raw while loading", "while made"):
        assert any(line in note for note in record["notes"]), line
    names = [row["name"] for row in json.loads(cli("runners", "--json", config=config).stdout)]
    assert "NOISY" in names
    rows = json.loads(
        cli(
            "batch", str(bare), given, "--json", "--output-dir", str(tmp_path), config=config
        ).stdout
    )
    assert [row["state"] for row in rows] == ["done"]
    assert json.loads(cli("render", str(bare), given, "--json", config=config).stdout)
    assert json.loads(cli("history", "--json", config=config).stdout)


@pytest.mark.parametrize("quiet", [(), ("--json",)])
def test_what_is_notified_stands_in_the_log_once(plugins, bare, image, tmp_path, quiet):
    """The command line prints it, in the thread of the service."""
    result = ntr.run(bare, input=image, runner="LOCAL")
    config = tmp_path / "config.json"
    section = {**plugins(runner_shell=SHELL), "service": "SHELL", "shell": "/bin/sh"}
    config.write_text(json.dumps({"runner": section, "workspace": str(tmp_path / "ws")}))
    given = f"input={result.outputs['output'].path}"
    assert cli("run", str(bare), given, *quiet, config=config).returncode == 0
    (log,) = (tmp_path / "ws").rglob("log.txt")
    lines = log.read_text().splitlines()
    assert (lines.count("preparing"), lines.count("down")) == (1, 1)


def test_prints_of_a_service_are_of_its_job_alone(plugins, bare, image, capfd):
    section = plugins(runner_odd=ODD.format(does="print('of the job')"))
    with pytest.raises(ntr.ToolFailedError) as caught:  # it writes no output
        run(bare, image, section, "ODD")
    assert "of the job" in caught.value.log_tail
    assert "of the job" not in capfd.readouterr().out
    assert type(sys.stdout).__name__ != "_Printed"


def test_who_hears_a_print_may_print(plugins, bare, image, capsys):
    section = plugins(runner_odd=ODD.format(does="print('once')"))
    job = ntr.submit(bare, input=image, config={"runner": {**section, "service": "ODD"}})
    job.subscribe(lambda _job, event: print("heard", getattr(event, "text", "")))
    with pytest.raises(ntr.ToolFailedError):
        job.result()
    assert capsys.readouterr().out.count("heard once") <= 1


THREADS = """
import threading
import subprocess

class OddRunnerServiceBuilder:
    def __call__(self, **_):
        return Odd()

class Odd:
    def set_up(self, process):
        def count():
            for n in range(20000):
                print("from a thread")
        self.threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def exec(self, process, args):
        for n in range(20):
            subprocess.run(["true"])
        subprocess.run(args)

    def tear_down(self, process):
        for thread in self.threads:
            thread.join()
"""


def test_threads_may_print_while_streams_are_replaced(plugins, bare, image, tmp_path):
    """Python's own print keeps no hold of the stream that it writes to."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"runner": {**plugins(runner_odd=THREADS), "service": "ODD"}}))
    given = ntr.run(bare, input=image, runner="LOCAL").outputs["output"].path
    done = cli("run", str(bare), f"input={given}", "--json", config=config)
    assert done.returncode == 0
    assert json.loads(done.stdout)["state"] == "done"
