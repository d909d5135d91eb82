"""A Galaxy tool that names packages only finds its BioContainers image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from docker_engine import BUSYBOX, Engine, Registry, make_job, run_job

from napari_tool_runner.errors import PreparationError
from napari_tool_runner.plugins.docker.biocontainers import biocontainer_image
from napari_tool_runner.plugins.process import Process
from napari_tool_runner.plugins.runner_docker import DockerRunnerService
from napari_tool_runner.tools.model import PackageRequirement, Tool

if TYPE_CHECKING:
    from pathlib import Path

    from docker_engine import Job


def tool_of(*packages: tuple[str, str]) -> Tool:
    requirements = tuple(PackageRequirement(name=name, version=v) for name, v in packages)
    return Tool(id="t", name="Blur", version="1", requirements=requirements, dialect="galaxy")


def job_of(root: Path, *packages: tuple[str, str]) -> Job:
    job = make_job(root)
    context = job.context
    job.process = Process(tool_of(*packages))
    job.process.context = context
    return job


def test_names_are_galaxys() -> None:
    home = {"biocontainers": "example.org/bio/"}
    one = biocontainer_image(tool_of(("scikit-image", "0.18.1")), home)
    assert one == ("example.org/bio/scikit-image", "0.18.1")
    repository, version = biocontainer_image(
        tool_of(("scikit-image", "0.18.1"), ("numpy", "1.21")), home
    )
    # computed with Galaxy's own command for these two
    assert repository == "example.org/bio/mulled-v2-3b2d657f905f54b27cecc3b69a16afe4ff01bd5f"
    assert version == "689409f297f648c1e0285a80b42f894d7ebdee07"
    default, _ = biocontainer_image(tool_of(("numpy", "1")), {})
    assert default.endswith("/biocontainers/numpy")


@pytest.mark.docker
def test_the_latest_build_is_found_and_used_again_without_the_registry(
    docker_service: DockerRunnerService,
    docker_engine: Engine,
    docker_registry: Registry,
    tmp_path: Path,
) -> None:
    for tag in ("1.0--py_2", "1.0--py_10", "1.1--py_0", "1.0.1--py_0"):
        docker_registry.push(docker_engine.client, BUSYBOX, "bio/blur", tag)
    config = {**docker_service.config, "biocontainers": f"{docker_registry.address}/bio"}
    docker_service.configure(config)
    job = job_of(tmp_path / "ws", ("blur", "1.0"))
    assert docker_service.supports(job.process.tool).ok
    assert docker_service.is_ready(job.process.tool) is False
    plan = docker_service.plan(job.process.tool)
    assert "bio/blur:1.0--py_10" in plan.fetches[0].what
    assert run_job(docker_service, job, "true") == 0
    image = f"{docker_registry.address}/bio/blur:1.0--py_10"
    assert job.context.provenance["image"] == image
    docker_registry.stop()
    try:
        docker_service._biocontainers.clear()
        assert docker_service.is_ready(job.process.tool), "no registry is asked"
        assert run_job(docker_service, job_of(tmp_path / "ws", ("blur", "1.0")), "true") == 0
        other = job_of(tmp_path / "ws", ("sharpen", "2"))
        with pytest.raises(PreparationError, match="cannot be asked"):
            docker_service.set_up(other.process)
    finally:
        docker_registry.start()
    docker_service.close()
    docker_engine.client.images.remove(image)


@pytest.mark.docker
def test_there_is_no_such_image(
    docker_service: DockerRunnerService, docker_registry: Registry, tmp_path: Path
) -> None:
    config = {**docker_service.config, "biocontainers": f"{docker_registry.address}/bio"}
    docker_service.configure(config)
    job = job_of(tmp_path / "ws", ("nothing", "3"))
    with pytest.raises(PreparationError, match=r"has no image of them.*bio/nothing:3.*CONDA"):
        docker_service.set_up(job.process)
    assert "has no image" in docker_service.plan(job.process.tool).problems[0]


def test_bioimageit_text_has_no_image() -> None:
    text = PackageRequirement(text="-c conda-forge numpy", env="blur")
    tool = Tool(id="t", name="Blur", version="1", requirements=(text,))
    assert "names no container image" in DockerRunnerService().supports(tool).message
