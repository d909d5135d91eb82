"""From a filled form to jobs: one, or one for each slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.group_job import GroupJob
from napari_tool_runner.widgets.scope import Scope, plan_scope
from napari_tool_runner.widgets.stacking import Assembled, assemble

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_tool_runner.jobs import Job, JobManager
    from napari_tool_runner.tools.model import LayerKind, Tool

__all__ = ["AnyJob", "SliceJob", "start"]


class SliceJob(GroupJob[Assembled]):
    """The jobs of the slices of a stack, and the layer that gives them their place."""

    reference: object = None


AnyJob: TypeAlias = "Job | SliceJob"


def start(
    manager: JobManager,
    tool: Tool,
    values: Mapping[str, object],
    *,
    runner: str | None = None,
    kinds: Mapping[str, LayerKind] | None = None,
    scope: Scope = Scope.WHOLE,
    viewer: ViewerModel | None = None,
) -> AnyJob:
    """Queue what `scope` asks for; nothing is queued when one part is refused.

    Raises
    ------
    ToolRunnerError
        What `JobManager.submit` raises.
    """
    scoping = plan_scope(scope, tool, values, viewer) if viewer is not None else None
    if scoping is None:
        return manager.submit(tool, values, runner=runner, kinds=kinds)
    jobs: list[Job] = []
    try:
        for part in scoping.parts:
            jobs.append(manager.submit(tool, part.values, runner=runner, kinds=kinds))
    except ToolRunnerError:
        for job in jobs:
            job.cancel()
        raise
    if not scoping.axes:  # a piece of the plane: its result is an ordinary one
        return jobs[0]
    group = SliceJob(jobs, lambda results: assemble(results, scoping))
    group.reference = scoping.reference
    return group
