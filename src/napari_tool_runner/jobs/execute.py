"""The run of a job, stage by stage. Whatever happens ends in the job's state."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from napari_tool_runner.errors import (
    JobCancelledError,
    ToolFailedError,
    ToolRunnerError,
)
from napari_tool_runner.jobs.pieces import run_pieces
from napari_tool_runner.jobs.program import Program
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.stages import (
    check_missing,
    export_inputs,
    failed,
    hash_in_background,
    load_output,
)
from napari_tool_runner.jobs.workspace import workspace_problem
from napari_tool_runner.tools import dialect_of

if TYPE_CHECKING:
    from napari_tool_runner.jobs.job import Job

__all__ = ["execute"]

_logger = logging.getLogger(__name__)


def execute(job: Job) -> None:
    """Run `job` to its end in the calling thread. Never raises."""
    state = JobState.DONE
    error: ToolRunnerError | None = None
    try:
        _run(job)
    except JobCancelledError as stop:
        state, error = JobState.CANCELLED, stop
    except ToolFailedError as failure:
        state, error = JobState.FAILED, failure
    except ToolRunnerError as failure:
        state, error = JobState.FAILED, failed(job, failure.message, failure.hint, failure)
    except OSError as failure:
        problem = workspace_problem(failure, job.workspace.root)
        state, error = JobState.FAILED, failed(job, problem.message, problem.hint, failure)
    except Exception as failure:
        # the boundary of the engine: a bug must end one job, with its traceback kept
        _logger.exception("Job %s broke", job.id)
        reason = f"napari-tool-runner itself broke: {type(failure).__name__}: {failure}."
        state, error = (
            JobState.FAILED,
            failed(
                job, reason, "Please report it with the log and the record of this job.", failure
            ),
        )
    if error is not None:
        job.say(str(error))
    job.log.close()
    job.workspace.remove_scratch()
    hash_in_background(job, outputs=state is JobState.DONE)
    job.end(state, error)


def _run(job: Job) -> None:
    job.enter(JobState.PREPARING, "Writing inputs")
    job.workspace.create()
    job.settle_runner()
    job.write_record()  # a crash of this process leaves a trace
    job.say(f"{job.tool.name} {job.tool.version} — {job.runner}, {job.runner_reason}")
    for note in job.notes:  # what the configuration says in vain
        job.say(note)
    if job.pieces:
        run_pieces(job)
        return
    paths = job.workspace.paths
    values = export_inputs(job, job.values, paths.inputs)
    dialect = dialect_of(job.tool)
    rendered = dialect.render(job.tool, values, paths, job.config.variables)
    job.rendered = rendered
    job.notes += rendered.notes
    with Program(job, values, rendered) as program:
        program.run(values, rendered, paths)
    job.enter(JobState.LOADING, "Loading results")
    collected = dialect.collect(job.tool, rendered, values, paths)
    check_missing(job, rendered, collected)
    for entry in collected:
        job.outputs[entry.output.name] = load_output(job, entry)
