"""Makes ready what a tool's first run would wait for: environments, images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.jobs.weights import has_network
from napari_tool_runner.jobs.workspace import Workspace
from napari_tool_runner.plugins import (
    ExecContext,
    Plan,
    Process,
    Resources,
    choose_service,
    obey_policy,
    plan_run,
    runnerServices,
)
from napari_tool_runner.tools.toolbox.gate import Permit, admit, pass_gate, pass_image

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.plugins import Event
    from napari_tool_runner.tools import Tool

__all__ = ["Readiness", "readiness"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a tool would fetch before its first run, and on which service."""

    tool: Tool
    permit: Permit
    service: str
    plan: Plan
    config: Config

    def make(self, report: Callable[[Event], None]) -> None:
        """Fetch and make all of it; raises ToolRunnerError, OSError."""
        tool, config = self.tool, self.config
        pass_gate(tool, self.permit)
        service = runnerServices.service(self.service, config.runner)
        obey_policy(self.service, service, tool, self.permit, config)
        with tempfile.TemporaryDirectory(prefix="napari-tool-runner-") as folder:
            # as deep as a job's, of which a program is shown no other
            workspace = Workspace(Path(folder, "jobs", "prepare", "1"))
            workspace.create()
            paths = workspace.paths
            context = ExecContext(
                *(paths.work, paths.temp, paths.home),
                resources=Resources(config.cpus, config.memory_bytes, config.gpus),
                network=config.network or has_network(tool, {}),
                root=paths.root,
                config=config,
                report=report,
            )
            told = context.provenance
            ask = partial(pass_image, tool, self.permit, told, context.say)
            context.before_start = ask
            with service.session(Process(tool, context=context)):
                ask()


def readiness(tool: Tool, config: Config, runner: str | None = None) -> Readiness:
    """Return what a run of `tool` would fetch; it may ask registries and indexes.

    Raises
    ------
    ToolRunnerError
        It may not run, or there is no such service.
    """
    tool, permit = admit(tool, config)
    name = runner or config.service or choose_service(tool, config.runner).name
    return Readiness(tool, permit, name, plan_run(name, tool, permit, config), config)
