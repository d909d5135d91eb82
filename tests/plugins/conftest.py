"""Fixtures with a real container engine (see `docker_engine`) and a real conda channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_tool_runner.plugins import discovery, runnerServices
from napari_tool_runner.plugins.runner_docker import DockerRunnerService
from plugins.conda_fixtures import channel, here, python_channel, server
from plugins.runner_helpers import tool_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker_engine as engines

__all__ = ["channel", "docker_service", "here", "python_channel", "server"]


@pytest.fixture(autouse=True)
def plugins_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, or fails to, is gone after it."""
    monkeypatch.setattr(runnerServices, "_builders", dict(runnerServices._builders))
    monkeypatch.setattr(runnerServices, "_in_place", {})
    monkeypatch.setattr(discovery, "_problems", {})
    monkeypatch.setattr(discovery, "_printed", {})
    monkeypatch.setattr(runnerServices, "loaded", {})


@pytest.fixture
def image() -> np.ndarray:
    """Pixels as of a microscope; shape (40, 30)."""
    return np.random.default_rng(0).integers(0, 4096, (40, 30)).astype(np.uint16)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A tool that keeps its input, without requirements."""
    return tool_with(tmp_path / "tool")


@pytest.fixture
def docker_service(docker_engine: engines.Engine) -> Iterator[DockerRunnerService]:
    """A service on that engine; nothing of it may be left afterwards."""
    service = DockerRunnerService({"host": docker_engine.host})
    yield service
    service.close()
    left = docker_engine.client.api.containers(
        all=True, filters={"label": "napari-tool-runner.pid"}
    )
    for entry in left:
        docker_engine.client.api.remove_container(entry["Id"], force=True, v=True)
    assert left == [], "containers were left behind"
