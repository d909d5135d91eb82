"""The program of a job on its service: set up once, run once or for every slice."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.stages import failed, hash_in_background, mounts_of
from napari_tool_runner.jobs.workspace import workspace_problem
from napari_tool_runner.plugins import Process
from napari_tool_runner.tools import dialect_of

if TYPE_CHECKING:
    from types import TracebackType

    from napari_tool_runner.jobs.job import Job
    from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["Program"]


class Program:
    """What runs: ``with Program(…) as program: program.run(…)``.

    Entering it enters the service's session, leaving it leaves that, also after an error.
    """

    def __init__(self, job: Job, values: BoundValues, rendered: RenderedCommand) -> None:
        self._job = job
        self._service = job.service()
        job.context.mounts = mounts_of(job, values)
        job.context.environment = dict(rendered.environment)
        self._process = Process(job.tool, values, rendered.outputs, job.context, job.number)
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        self._job.enter(JobState.PREPARING, f"Preparing {self._job.runner}")
        self._session = self._opened.enter_context(self._service.session(self._process))
        hash_in_background(self._job, outputs=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def run(self, values: BoundValues, rendered: RenderedCommand, paths: JobPaths) -> None:
        """Write the files of `rendered`, run its command, and judge how it ended.

        Raises
        ------
        ToolFailedError
            The dialect takes the end for a failure.
        """
        job, context = self._job, self._job.context
        for path, text in rendered.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        context.work_dir, context.temp_dir, context.home_dir = paths.work, paths.temp, paths.home
        context.environment = dict(rendered.environment)
        self._process.bind(values, rendered.outputs)
        begun = {stream: job.log.size(stream) for stream in ("stdout", "stderr")}
        job.enter(JobState.RUNNING, "Running")
        job.exit_code = self._session.exec(list(rendered.argv))
        if job.log.problem is not None:
            raise workspace_problem(job.log.problem, paths.root) from job.log.problem
        stdout, stderr = (job.log.text(stream, start) for stream, start in begun.items())
        verdict = dialect_of(job.tool).judge(job.tool, job.exit_code, stdout, stderr)
        job.notes += verdict.warnings
        if not verdict.ok:
            raise failed(job, verdict.reason, "The log below says more.")
