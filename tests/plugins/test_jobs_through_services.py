"""Whole jobs through the services: the tutorial's, bioimageit_core's, ours; same results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_tool_runner as ntr
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem
from napari_tool_runner.sealed import tells_changes
from plugins.runner_helpers import PROGRAM, tool_with
from plugins.test_runners_factory import TUTORIAL
from support import until_kept

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the tool is a shell script")


def test_a_tool_runs_through_the_tutorials_service(tmp_path, bare, image):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "runner_tutorial.py").write_text(TUTORIAL, encoding="utf-8")
    config = {"runner": {"service": "TUTORIAL", "plugin_dirs": [str(plugins)]}}
    result = ntr.run(bare, input=image, config=config)
    assert np.array_equal(result.outputs["output"].data, image)
    assert result.record["runner"]["service"] == "TUTORIAL"
    assert 'text=it\'s "a text" $HOME' in result.log.read_text().splitlines()
    # registered, the tutorial's own way to choose it works, too
    again = ntr.run(bare, input=image, config={"process": {"service": "TUTORIAL"}})
    assert again.record["runner"]["service"] == "TUTORIAL"


def test_a_failure_in_the_tutorials_service_is_the_tools(tmp_path, bare, image):
    (bare.parent / "keep.sh").write_text('echo "cannot read this" >&2\nexit 3\n')
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "runner_tutorial.py").write_text(TUTORIAL, encoding="utf-8")
    config = {"runner": {"service": "TUTORIAL", "plugin_dirs": [str(plugins)]}}
    with pytest.raises(ntr.ToolFailedError) as caught:
        ntr.run(bare, input=image, config=config)
    assert caught.value.exit_code == 3
    assert "cannot read this" in caught.value.log_tail


BIOIMAGEIT = """
import subprocess
from napari_tool_runner.plugins.runners_factory import runnerServices


class Observable:
    def __init__(self):
        self._observers = []

    def add_observer(self, observer):
        self._observers.append(observer)

    def notify(self, message, job_id=0):
        for observer in self._observers:
            observer.notify(message, job_id)


class CoreRunnerServiceBuilder:
    def __init__(self):
        self._instance = None

    def __call__(self, **_ignored):
        if not self._instance:
            self._instance = CoreRunnerService()
        return self._instance


class CoreRunnerService(Observable):
    def set_up(self, tool, job_id):
        self.notify(f"{tool.fullname()} on {tool.inputs[0].value}", job_id)

    def exec(self, tool, args, job_id):
        with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as program:
            for line in program.stdout:
                self.notify(line.strip(), job_id)
        if program.returncode:
            raise RuntimeError(f"return code: {program.returncode}")

    def tear_down(self, tool, job_id):
        self.notify("down", job_id)


runnerServices.register_builder("CORE", CoreRunnerServiceBuilder())
"""


def test_a_tool_runs_through_a_service_of_bioimageit_core(tmp_path, bare, image):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "runner_core.py").write_text(BIOIMAGEIT, encoding="utf-8")
    config = {"runner": {"service": "CORE", "plugin_dirs": [str(plugins)]}}
    result = ntr.run(bare, input=image, config=config)
    lines = result.log.read_text().splitlines()
    assert any(line.startswith("Keep_v1.0 on /") for line in lines)
    assert lines.count('text=it\'s "a text" $HOME') == 1
    assert "down" in lines


@pytest.fixture
def in_environment(tmp_path, channel):
    """A tool whose program needs a conda package, and the configuration that makes it."""
    package = '<package type="conda" env="">-c mine demo-tool=1.0</package>'
    packaged = tool_with(tmp_path / "packaged", f"<requirements>{package}</requirements>")
    (packaged.parent / "keep.sh").write_text("demo-tool && " + PROGRAM)
    config = {
        "runner": {
            "mirrors": {"mine": channel.as_uri()},
            "channels": [channel.as_uri()],
            "environments_dir": str(tmp_path / "envs"),
        }
    }
    return packaged, config


@pytest.mark.conda
def test_the_same_layers_here_and_in_an_environment(tmp_path, in_environment, bare, image):
    packaged, config = in_environment
    here = ntr.run(bare, input=image, runner="LOCAL")
    there = ntr.run(packaged, input=image, config=config)
    assert there.record["runner"]["service"] == "CONDA"
    assert there.record["runner"]["environment"]["packages"][0]["name"] == "demo-tool"
    assert "demo-tool 1.0" in there.log.read_text()
    first, second = (r.outputs["output"].as_layer_data_tuple() for r in (here, there))
    assert np.array_equal(first[0], second[0])
    assert first[2] == second[2]
    # and from the command line
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "napari_tool_runner.cli", "run", str(packaged)),
            f"input={here.outputs['output'].path}",
            *("--json", "--config", str(tmp_path / "config.json")),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "CONDA" in done.stdout


@pytest.mark.conda
@pytest.mark.skipif(bool(enclosure_problem()), reason=enclosure_problem())
def test_an_earlier_run_answers_until_its_environment_changes(tmp_path, in_environment, image):
    packaged, config = in_environment

    def run():
        result = ntr.run(packaged, input=image, config=config)
        until_kept()
        return result

    first = run()
    if not tells_changes(tmp_path):
        pytest.skip("the file system tells no changes")
    assert run().record["earlier"] == first.job_id
    prefix = Path(first.record["runner"]["environment"]["prefix"])
    program = prefix / "bin" / "demo-tool"
    program.write_text(program.read_text().replace("demo-tool 1.0", "demo-tool 1.1"))
    changed = run()
    assert not changed.record["earlier"]
    assert "demo-tool 1.1" in changed.log.read_text().splitlines()
