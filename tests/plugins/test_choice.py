from __future__ import annotations

import pytest

from napari_tool_runner.plugins import (
    Availability,
    RunnerService,
    RunnerServiceProvider,
    as_service,
    check_all,
    choose_service,
    runnerServices,
)
from napari_tool_runner.tools.model import ContainerRequirement, PackageRequirement
from plugins.runner_helpers import make_process, make_tool

PACKAGE = PackageRequirement(name="numpy", version="2")
CONTAINER = ContainerRequirement(image="example/tool:1")


class Service(RunnerService):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def check(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def provider_with(**answers):
    provider = RunnerServiceProvider()
    for name, answer in {"LOCAL": Availability(True), **answers}.items():
        provider.register_builder(name, lambda answer=answer, **config: Service(answer))
    return provider


WORKS = Availability(True)
DOWN = Availability(False, "The Docker engine does not run: start it.")


@pytest.mark.parametrize(
    ("requirements", "docker", "name", "available"),
    [
        ((), DOWN, "LOCAL", True),
        ((PACKAGE,), DOWN, "CONDA", True),
        ((CONTAINER,), WORKS, "DOCKER", True),
        ((CONTAINER, PACKAGE), WORKS, "DOCKER", True),
        ((PACKAGE, CONTAINER), WORKS, "CONDA", True),
        ((CONTAINER, PACKAGE), DOWN, "CONDA", True),
        ((CONTAINER,), DOWN, "DOCKER", False),
        ((ContainerRequirement(type="singularity", image="x"),), WORKS, "LOCAL", True),
    ],
)
def test_the_choice_follows_requirements_and_computer(requirements, docker, name, available):
    provider = provider_with(CONDA=WORKS, DOCKER=docker)
    choice = choose_service(make_tool(*requirements), {}, provider)
    assert (choice.name, choice.available) == (name, available)
    if CONTAINER in requirements and docker is DOWN:
        assert "start it" in choice.reason


def test_check_all_survives_a_broken_service():
    provider = provider_with(MINE=RuntimeError("oops"), DOCKER=DOWN)
    found = dict(check_all({}, provider))
    assert found["LOCAL"].ok
    assert not found["MINE"].ok
    assert "oops" in found["MINE"].message
    assert found["DOCKER"] == DOWN


def test_plugins_are_listed_also_those_that_cannot_be_loaded(tmp_path):
    (tmp_path / "runner_bad.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "runner_good.py").write_text(
        "class ServiceBuilder:\n"
        "    def __call__(self, **config):\n"
        "        return type('S', (), dict.fromkeys(('set_up', 'exec', 'tear_down'), print))()\n"
    )
    found = dict(check_all({"plugin_dirs": [str(tmp_path)]}, provider_with()))
    assert found["GOOD"].ok
    assert not found["runner_bad.py"].ok
    assert "no_such_module_at_all" in found["runner_bad.py"].message


def test_conda_docker_runs_a_tool_without_requirements_here(tmp_path):
    service = as_service(runnerServices.get("CONDA_DOCKER"))
    process, events = make_process(tmp_path)
    assert service.plan(process.tool).ready
    service.set_up(process)
    assert service.exec(process, ["python", "-c", "print('ran')"]) == 0
    service.tear_down(process)
    assert events.lines() == ["ran"]
    assert "LOCAL" in events.lines("runner")[0]
