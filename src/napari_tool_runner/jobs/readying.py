"""Makes ready what a tool's first run would wait for: environments, images, weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.jobs.originals import mounts_of
from napari_tool_runner.jobs.weights import (
    fetch_command,
    has_network,
    is_fetched,
    note_fetched,
    with_weights,
)
from napari_tool_runner.jobs.workspace import Workspace, parse_progress
from napari_tool_runner.plugins import (
    CancelToken,
    ExecContext,
    Fetch,
    OutputLine,
    Plan,
    Process,
    Progress,
    Resources,
    choose_service,
    obey_policy,
    plan_run,
    runnerServices,
)
from napari_tool_runner.tools.dialect import JobPaths
from napari_tool_runner.tools.own_folder import tool_places
from napari_tool_runner.tools.toolbox.gate import Permit, admit, pass_gate, pass_image

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.plugins import Event, Session
    from napari_tool_runner.tools import Tool

__all__ = ["Readiness", "readiness"]

_FETCHING = "Fetching the model"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a tool would fetch before its first run, and on which service.

    Parameters
    ----------
    values : mapping
        Which of its models: values of its parameters.
    fetches_weights : bool
        Whether weights are among it.
    """

    tool: Tool
    permit: Permit
    service: str
    plan: Plan
    config: Config
    values: Mapping[str, object]
    fetches_weights: bool = False

    def make(self, report: Callable[[Event], None], cancel: CancelToken | None = None) -> None:
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
                # that it is asked for is the tick
                network=config.network or self.fetches_weights or has_network(tool, {}),
                cancel=cancel or CancelToken(),
                root=paths.root,
                config=config,
                report=report,
            )
            told = context.provenance
            ask = partial(pass_image, tool, self.permit, told, context.say)
            context.before_start = ask
            process = Process(tool, context=context)
            if self.fetches_weights:
                context.environment = with_weights(tool, {})
                context.mounts = mounts_of(process, paths.root, tool_places(tool)[0], (), {})
            with service.session(process) as session:
                ask()
                if self.fetches_weights:
                    self._fetch(session, context, paths)

    @property
    def lacks_model(self) -> bool:
        """Whether all is there but the weights, also after `make` has failed."""
        if not self.fetches_weights or len(self.plan.fetches) == 1:
            return self.fetches_weights
        service = runnerServices.service(self.service, self.config.runner)
        return service.is_ready(self.tool) is True

    def _fetch(self, session: Session, context: ExecContext, paths: JobPaths) -> None:
        """Run what fetches the weights, and nothing else of the tool."""
        words: list[str] = []
        report = context.report

        def heard(event: Event) -> None:
            if isinstance(event, OutputLine) and event.stream == "stderr" and event.text.strip():
                words[:] = [event.text.strip()]
            report(event)
            if isinstance(event, OutputLine) and (told := parse_progress(event.text)):
                report(replace(told, phase=_FETCHING))

        context.report = heard
        context.report(Progress(_FETCHING))
        command = fetch_command(self.tool, self.values, paths)
        if code := session.exec(list(command)):
            raise PreparationError(
                f"The model of “{self.tool.name}” was not fetched: "
                f"{words[0] if words else f'exit code {code}'}"
            )
        note_fetched(self.tool, command)


def readiness(
    tool: Tool,
    config: Config,
    runner: str | None = None,
    values: Mapping[str, object] | None = None,
) -> Readiness:
    """Return what a run of `tool` would fetch; it may ask registries and indexes.

    Parameters
    ----------
    values : mapping, optional
        Which of its models; without them the one that its form begins with.

    Raises
    ------
    ToolRunnerError
        It may not run, or there is no such service.
    """
    tool, permit = admit(tool, config)
    name = runner or config.service or choose_service(tool, config.runner).name
    plan, given = plan_run(name, tool, permit, config), dict(values or {})
    fetches = False
    if tool.prepare:
        fetches = not is_fetched(tool, fetch_command(tool, given, JobPaths(Path("prepare"))))
    if fetches:
        fetch = Fetch("the model", tool.prepare_size)
        plan = replace(plan, fetches=(*plan.fetches, fetch))
    return Readiness(tool, permit, name, plan, config, given, fetches)
