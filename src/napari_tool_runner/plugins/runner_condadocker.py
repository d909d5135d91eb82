"""CONDA_DOCKER: every tool runs where its requirements say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from napari_tool_runner.plugins.contract import Availability, Place, Plan, RunnerService
from napari_tool_runner.plugins.process import (
    ExecContext,
    OutputLine,
    Process,
    Session,
    context_of,
)
from napari_tool_runner.plugins.programs.enclosure import is_enclosing
from napari_tool_runner.plugins.runners_factory import (
    ServiceBuilder,
    choose_service,
    runnerServices,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["CondaDockerRunnerService", "CondaDockerRunnerServiceBuilder"]


class CondaDockerRunnerService(RunnerService):
    """Hands each job to DOCKER, CONDA, UV or LOCAL; see `choose_service`.

    The ``runner`` section goes to the chosen service as it is.
    """

    service_name = "CONDA_DOCKER"

    @contextmanager
    def session(self, process: Process) -> Iterator[Session]:
        """Choose the service for the tool, for the whole job, and enter its session."""
        service, reason = self._choose(process.tool)
        context_of(process).report(OutputLine(f"Chosen: {reason}", "runner"))
        with service.session(process) as session:
            yield session

    @property
    def lends(self) -> bool:
        """As the weakest of the services it chooses from."""
        return is_enclosing(self.config)

    def check(self) -> Availability:
        """Say which of the services it chooses from work."""
        details: dict[str, str] = {}
        for name in ("CONDA", "UV", "DOCKER"):
            found = runnerServices.service(name, self.config).check()
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

    def is_ready(self, tool: Tool) -> bool | None:
        """What the service says that would be chosen."""
        return self._choose(tool)[0].is_ready(tool)

    def place(self, tool: Tool) -> Place:
        """The place of the service that would be chosen."""
        return self._choose(tool)[0].place(tool)

    def fingerprint(
        self, tool: Tool, context: ExecContext, args: Sequence[str]
    ) -> Mapping[str, object] | None:
        """What the service that would be chosen tells."""
        return self._choose(tool)[0].fingerprint(tool, context, args)

    def _choose(self, tool: Tool) -> tuple[RunnerService, str]:
        choice = choose_service(tool, self.config)
        service = runnerServices.service(choice.name, self.config)
        return service, f"{choice.name}, {choice.reason}"


CondaDockerRunnerServiceBuilder = partial(
    ServiceBuilder, __name__, CondaDockerRunnerService.__name__
)
"""Makes a builder, which makes one `CondaDockerRunnerService` and returns it for ever."""
