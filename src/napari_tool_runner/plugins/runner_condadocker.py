"""CONDA_DOCKER: every tool runs where its requirements say."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.adapter import AdaptedService, as_service
from napari_tool_runner.plugins.choice import choose_service
from napari_tool_runner.plugins.contract import Availability, OutputLine, Plan, RunnerService
from napari_tool_runner.plugins.process import Process, context_of
from napari_tool_runner.plugins.runners_factory import ServiceBuilder, runnerServices

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["CondaDockerRunnerService", "CondaDockerRunnerServiceBuilder"]


class CondaDockerRunnerService(RunnerService):
    """Hands each job to DOCKER, CONDA or LOCAL; see `choose_service`.

    The ``runner`` section goes to the chosen service as it is.
    """

    service_name = "CONDA_DOCKER"
    copies_below = 256 * 2**20  # as DOCKER

    def __init__(self) -> None:
        super().__init__()
        # what set_up chose holds for the whole job, whatever happens to the machine meanwhile
        self._chosen: dict[int, AdaptedService] = {}
        self._lock = threading.Lock()

    def set_up(self, process: Process) -> None:
        """Choose the service for the tool, and prepare it."""
        service, reason = self._choose(process.tool)
        context_of(process).report(OutputLine(f"Chosen: {reason}", "runner"))
        with self._lock:
            self._chosen[id(process)] = service
        service.call_set_up(process)

    def exec(self, process: Process, args: list[str]) -> int:
        """Run `args` with the service that `set_up` chose."""
        with self._lock:
            service = self._chosen.get(id(process))
        if service is None:
            service, _ = self._choose(process.tool)
        return service.call_exec(process, args)

    def tear_down(self, process: Process) -> None:
        """Release what `set_up` took."""
        with self._lock:
            service = self._chosen.pop(id(process), None)
        if service is not None:
            service.call_tear_down(process)

    def check(self) -> Availability:
        """Say which of the services it chooses from work."""
        details: dict[str, str] = {}
        for name in ("CONDA", "DOCKER"):
            found = as_service(runnerServices.get(name, **self.config), name).check()
            details[name] = "works" if found.ok else found.message
        words = "; ".join(f"{name}: {what}" for name, what in details.items())
        return Availability("works" in details.values(), words, details)

    def supports(self, tool: Tool) -> Availability:
        """Say whether one of the services can run `tool`."""
        choice = choose_service(tool, self.config)
        return Availability(choice.available, f"{choice.name}, {choice.reason}")

    def plan(self, tool: Tool) -> Plan:
        """Pre-flight of the service that would be chosen."""
        service, reason = self._choose(tool)
        found = service.plan(tool)
        return Plan(found.fetches, found.problems, (reason, *found.remarks))

    def _choose(self, tool: Tool) -> tuple[AdaptedService, str]:
        choice = choose_service(tool, self.config)
        service = as_service(runnerServices.get(choice.name, **self.config), choice.name)
        return service, f"{choice.name}, {choice.reason}"


class CondaDockerRunnerServiceBuilder(ServiceBuilder):
    """Makes one `CondaDockerRunnerService` and returns it for ever."""

    def __init__(self) -> None:
        super().__init__(__name__, CondaDockerRunnerService.__name__)
