"""What a run is: job, workspace, record, history."""

from __future__ import annotations

from napari_tool_runner.jobs.api import run, run_in_viewer, run_job
from napari_tool_runner.jobs.batch import BatchItem, plan_batch, run_batch
from napari_tool_runner.jobs.delivery import deliver, job_json, output_paths, outputs_json
from napari_tool_runner.jobs.extent import Extent
from napari_tool_runner.jobs.job import Job, JobEvent
from napari_tool_runner.jobs.manager import JobManager, job_manager, prepare
from napari_tool_runner.jobs.model import JobOutput, JobResult
from napari_tool_runner.jobs.past.comparing import (
    Difference,
    compare_outputs,
    compare_runs,
    facts_of,
)
from napari_tool_runner.jobs.past.crate import export_crate
from napari_tool_runner.jobs.past.history import find_record, history, read_record
from napari_tool_runner.jobs.past.reclaim import Reclaimable, delete_job, reclaim, reclaimable
from napari_tool_runner.jobs.past.repeat import (
    recorded_form,
    recorded_outputs,
    recorded_result,
    recorded_tool,
    recorded_values,
    rerun,
)
from napari_tool_runner.jobs.past.snippets import as_command, as_json, as_python
from napari_tool_runner.jobs.preview import Preview, dry_run, plan_lines, preflight
from napari_tool_runner.jobs.record import JobState, RunRecord, remembered
from napari_tool_runner.jobs.testing import TestReport, run_test, run_tests
from napari_tool_runner.jobs.viewer import add_result

__all__ = [
    "BatchItem",
    "Difference",
    "Extent",
    "Job",
    "JobEvent",
    "JobManager",
    "JobOutput",
    "JobResult",
    "JobState",
    "Preview",
    "Reclaimable",
    "RunRecord",
    "TestReport",
    "add_result",
    "as_command",
    "as_json",
    "as_python",
    "compare_outputs",
    "compare_runs",
    "delete_job",
    "deliver",
    "dry_run",
    "export_crate",
    "facts_of",
    "find_record",
    "history",
    "job_json",
    "job_manager",
    "output_paths",
    "outputs_json",
    "plan_batch",
    "plan_lines",
    "preflight",
    "prepare",
    "read_record",
    "reclaim",
    "reclaimable",
    "recorded_form",
    "recorded_outputs",
    "recorded_result",
    "recorded_tool",
    "recorded_values",
    "remembered",
    "rerun",
    "run",
    "run_batch",
    "run_in_viewer",
    "run_job",
    "run_test",
    "run_tests",
]
