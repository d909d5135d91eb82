from __future__ import annotations

import os
import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from napari_tool_runner.errors import RunnerUnavailableError, UnknownRunnerError
from napari_tool_runner.plugins import (
    RunnerServiceProvider,
    as_service,
    load_plugin_dirs,
    plugin_problems,
    runnerServices,
)
from napari_tool_runner.plugins.discovery import load_entry_points
from napari_tool_runner.plugins.runner_conda import CondaRunnerService, CondaRunnerServiceBuilder
from napari_tool_runner.plugins.runner_condadocker import (
    CondaDockerRunnerService,
    CondaDockerRunnerServiceBuilder,
)
from napari_tool_runner.plugins.runner_local import LocalRunnerService, LocalRunnerServiceBuilder
from napari_tool_runner.plugins.runners_factory import ServiceBuilder
from plugins.runner_helpers import make_process, script

# The tutorial's text, with the lines that its copy lost put back (`super().__init__()`
# is object's here; the docstrings' headings).
TUTORIAL = '''
from napari_tool_runner.plugins.runners_factory import runnerServices
from napari_tool_runner.tools import Tool
import subprocess


class LocalRunnerServiceBuilder:
    """Service builder for the runner service"""
    def __init__(self):
        self._instance = None

    def __call__(self, **_ignored):
        if not self._instance:
            self._instance = LocalRunnerService()
        return self._instance


class LocalRunnerService:
    """Service for local runner exec

    To initialize the database, you need to set the xml_dirs from
    the configuration and then call initialize

    """
    def __init__(self):
        super().__init__()
        self.service_name = 'LocalRunnerService'

    def set_up(self, process: Tool):
        """setup the runner

        Add here the code to initialize the runner

        Parameters
        ----------
        process
            Metadata of the process

        """
        pass

    def exec(self, process:Tool, args):
        """Execute a process

        Parameters
        ----------
        process
            Metadata of the process
        args
            list of arguments

        """
        subprocess.run(args)

    def tear_down(self, process: Tool):
        """tear down the runner

        Add here the code to down/clean the runner

        Parameters
        ----------
        process
            Metadata of the process

        """
        pass


runnerServices.register_builder('TUTORIAL', LocalRunnerServiceBuilder())
'''


@pytest.fixture
def provider():
    return RunnerServiceProvider()


def write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_the_tutorials_service_runs_a_tool(tmp_path):
    write(tmp_path / "plugins", "runner_tutorial.py", TUTORIAL)
    service = runnerServices.get("TUTORIAL", plugin_dirs=[str(tmp_path / "plugins")])
    assert service is runnerServices.get("TUTORIAL")
    adapted = as_service(service, "TUTORIAL")
    process, events = make_process(tmp_path)
    adapted.set_up(process)
    args = script(tmp_path, "import sys\nprint('made', sys.argv[1])\nsys.exit(4)\n")
    assert adapted.exec(process, [*args, "a b"]) == 4
    adapted.tear_down(process)
    assert events.lines() == ["made a b"]


def test_our_services_are_made_once_and_take_the_latest_config():
    first = runnerServices.get("LOCAL", service="LOCAL", path=["/a"])
    assert runnerServices.get("LOCAL", path=["/b"]) is first
    assert first.config == {"path": ["/b"]}
    assert runnerServices.get("LOCAL") is first
    assert first.config == {}


def test_the_services_of_the_package_are_registered():
    assert {"LOCAL", "CONDA", "DOCKER", "CONDA_DOCKER"} <= set(runnerServices.names())


def test_heavy_modules_are_imported_when_asked_for():
    import subprocess

    code = (
        "import sys; import napari_tool_runner.plugins as p; p.RunnerService, p.runnerServices; "
        "heavy = ('rattler', 'docker', 'requests', 'filelock', 'psutil'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("builder", "made"),
    [
        (LocalRunnerServiceBuilder, LocalRunnerService),
        (CondaRunnerServiceBuilder, CondaRunnerService),
        (CondaDockerRunnerServiceBuilder, CondaDockerRunnerService),
    ],
)
def test_a_builder_makes_one_service_and_hands_the_configuration_on(builder, made):
    build = builder()
    service = build(grace=1.0)
    assert type(service) is made
    assert build(grace=2.0) is service
    assert service.config == {"grace": 2.0}


def test_an_unknown_name_lists_the_known_ones(provider):
    provider.register_builder("MINE", lambda **config: object())
    with pytest.raises(UnknownRunnerError, match=r"'NOPE'.*Known services: MINE"):
        provider.get("NOPE")
    with pytest.raises(UnknownRunnerError, match="'mien'; did you mean 'MINE'"):
        provider.get("mien")


def test_a_service_whose_package_is_missing_says_so():
    builder = ServiceBuilder("no_such_module_at_all", "X")
    with pytest.raises(RunnerUnavailableError, match="no_such_module_at_all"):
        builder()


def test_a_broken_plugin_is_told_and_hides_no_other(provider, tmp_path):
    folder = tmp_path / "plugins"
    write(folder, "runner_a.py", "raise SystemExit(3)")
    write(folder, "runner_b.py", "def broken(:")
    write(folder, "runner_c.py", "from bioimageit_core.plugins import x")
    write(folder, "runner_d.py", "x = 1")
    write(folder, "not_a_runner.py", "raise AssertionError")
    write(
        folder,
        "runner_e.py",
        """
        from dataclasses import dataclass

        @dataclass
        class E:
            n: int = 1

        class EServiceBuilder:
            def __call__(self, **_ignored):
                return E()
        """,
    )
    problems = {p.where.rpartition("/")[2]: p.what for p in load_plugin_dirs(folder, provider)}
    assert sorted(problems) == ["runner_a.py", "runner_b.py", "runner_c.py", "runner_d.py"]
    assert "SystemExit" in problems["runner_a.py"]
    assert "SyntaxError" in problems["runner_b.py"]
    assert "napari_tool_runner.plugins.runners_factory" in problems["runner_c.py"]
    assert "register_builder" in problems["runner_d.py"]
    assert provider.get("E").n == 1
    assert set(problems.values()) <= {p.what for p in plugin_problems()}
    # once more: nothing is loaded again, the problems are still told
    assert len(load_plugin_dirs([folder], provider)) == 4


def test_a_plugin_is_loaded_again_when_its_text_changed(provider, tmp_path, monkeypatch):
    loads = []
    monkeypatch.setattr(sys, "loads_of_the_test", loads, raising=False)
    text = """
    import sys
    sys.loads_of_the_test.append({n})

    class ServiceBuilder:
        def __call__(self, **config):
            return {n}
    """
    write(tmp_path, "runner_x.py", text.format(n=1))
    assert provider.get("X", plugin_dirs=str(tmp_path)) == 1
    assert provider.get("X", plugin_dirs=str(tmp_path)) == 1
    write(tmp_path, "runner_x.py", text.format(n=2))
    assert provider.get("X", plugin_dirs=str(tmp_path)) == 2
    assert loads == [1, 2]


def test_a_folder_that_does_not_exist_is_told(provider, tmp_path):
    (problem,) = load_plugin_dirs([tmp_path / "nowhere"], provider)
    assert "does not exist" in problem.what


class FakeService:
    def __init__(self, config):
        self.config = config


class BuilderClass:
    def __call__(self, **config):
        return FakeService(config)


def builder_function(**config):
    return FakeService({**config, "by": "function"})


def registers():
    runnerServices.register_builder("REGISTERED_BY_ITSELF", BuilderClass())


def registers_with(provider):
    provider.register_builder("WITH_PROVIDER", BuilderClass())


def broken():
    raise RuntimeError("no licence")


def test_entry_points(provider):
    group = "napari_tool_runner.runners"
    names = ["BuilderClass", "builder_function", "registers", "registers_with", "broken", "gone"]
    points = [EntryPoint(name.upper(), f"{__name__}:{name}", group) for name in names]
    problems = load_entry_points(provider, points)
    assert [p.where.partition(" ")[0] for p in problems] == ["BROKEN", "GONE"]
    assert "no licence" in problems[0].what
    assert provider.get("BUILDERCLASS", a=1).config == {"a": 1}
    assert provider.get("BUILDER_FUNCTION").config == {"by": "function"}
    assert provider.get("WITH_PROVIDER").config == {}
    assert runnerServices.get("REGISTERED_BY_ITSELF").config == {}


def test_an_entry_point_may_be_a_module(provider, tmp_path, monkeypatch):
    write(
        tmp_path,
        "runner_module_of_somebody.py",
        """
        from napari_tool_runner.plugins.runners_factory import runnerServices
        runnerServices.register_builder("MODULE", lambda **config: "a service")
        """,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint("MODULE", "runner_module_of_somebody", "napari_tool_runner.runners")
    assert load_entry_points(provider, [point]) == ()
    assert runnerServices.get("MODULE") == "a service"


def test_entry_points_of_installed_packages_are_found(tmp_path, monkeypatch):
    """A real distribution on the path, with its metadata."""
    info = tmp_path / "somebodys_runner-1.0.dist-info"
    write(info, "METADATA", "Metadata-Version: 2.1\nName: somebodys-runner\nVersion: 1.0\n")
    write(
        info,
        "entry_points.txt",
        "[napari_tool_runner.runners]\nSOMEBODY = somebodys_runner:Builder\n",
    )
    write(
        tmp_path,
        "somebodys_runner.py",
        """
        class Builder:
            def __call__(self, **config):
                return "somebody's service"
        """,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    fresh = RunnerServiceProvider()
    assert fresh.get("SOMEBODY") == "somebody's service"
    assert "SOMEBODY" in fresh.names()


def test_our_services_are_registered_under_the_names_that_the_configuration_knows():
    from napari_tool_runner.settings import OWN_SERVICES

    assert set(OWN_SERVICES) <= set(runnerServices.names())
    assert [runnerServices.service(name).service_name for name in OWN_SERVICES] == [*OWN_SERVICES]


LINKED = """
    from other_helper import WORD

    class ServiceBuilder:
        def __call__(self, **config):
            return WORD
"""


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_a_plugin_is_loaded_from_where_it_lies_not_from_where_a_link_leads(provider, tmp_path):
    """What a link leads to, and what lies beside that, nobody named."""
    named, other = tmp_path / "named", tmp_path / "other"
    write(other, "runner_x.py", LINKED)
    write(other, "other_helper.py", "import sys\nsys.exit('imported')\nWORD = 1")
    named.mkdir()
    (named / "runner_x.py").symlink_to(other / "runner_x.py")
    (problem,) = load_plugin_dirs([named], provider)
    assert problem.where == str(named / "runner_x.py")
    assert "a link that leads out of its folder" in problem.what
    (named / "runner_x.py").unlink()
    write(named, "runner_x.py", LINKED)
    (named / "other_helper.py").symlink_to(other / "other_helper.py")
    (problem,) = load_plugin_dirs([named], provider)
    assert "a link that leads out of its folder" in problem.what
    assert not [name for name in sys.modules if name.endswith(".other_helper")]
    (named / "other_helper.py").unlink()
    write(named, "inner.py", "WORD = 7")
    (named / "other_helper.py").symlink_to("inner.py")
    (tmp_path / "way").symlink_to(named)
    assert RunnerServiceProvider().get("X", plugin_dirs=str(tmp_path / "way")) == 7


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_odd_files_and_folders_of_plugins_are_told_beside_the_good(provider, tmp_path):
    write(tmp_path, "runner_x.py", "class ServiceBuilder:\n    def __call__(self, **c): return 1")
    os.mkfifo(tmp_path / "runner_pipe.py")
    (tmp_path / "runner_loop.py").symlink_to("runner_loop.py")
    (tmp_path / "runner_folder.py").mkdir()
    (tmp_path / "round").symlink_to("round")
    folders = [tmp_path, tmp_path / "round", "~nobody-of-that-name/x"]
    found = {Path(one.where).name: one.what for one in load_plugin_dirs(folders, provider)}
    assert set(found) == {"runner_pipe.py", "runner_loop.py", "runner_folder.py", "round", "x"}
    assert "a pipe" in found["runner_pipe.py"]
    assert provider.get("X", plugin_dirs=list(map(str, folders[:2]))) == 1
