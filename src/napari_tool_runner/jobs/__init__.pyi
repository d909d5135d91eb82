from .added import AddedResult
from .ahead import begin
from .api import merged, run, run_job, submit, sweep
from .batch import BatchItem, files_of, notes_by_kind, notes_of, plan_batch, run_batch
from .delivery import deliver, job_json, output_paths, outputs_json, write_table
from .drafts.new_test import MUCH, DraftedTest, drafted_test
from .drafts.new_tool import RUNS_IT, Making, NewTools, Origin, new_tool
from .extent import Extent
from .first import told_first
from .getting import Getting, add_toolbox, remove_toolbox
from .in_place import is_ours
from .job import Job, execute
from .lineage import made_of, relatives
from .live import LivePreview, Previewed, is_quick, note_time
from .live_layers import PreviewLayers, is_preview
from .makers import told_maker
from .manager import JobManager, job_manager, prepare
from .measured import Measured, has_changed, look_into, measured_of, size_changed
from .offered import Offer
from .outputs import JobOutput, JobResult
from .past.comparing import compare_outputs, compare_runs, facts_of
from .past.crate import export_crate
from .past.history import find_record, history, known_record, read_record, remembered
from .past.packages import other_packages
from .past.reclaim import delete_job, reclaim, reclaimable
from .past.repeat import (
    allowed_values,
    borrowed,
    borrowed_by,
    borrowed_words,
    recorded_form,
    recorded_result,
    recorded_tool,
    rerun,
)
from .past.scan import JobRow, Scan, Stamp, live_row
from .past.snippets import as_command, as_given, as_json, as_python
from .placed import placed_result
from .preview import dry_run
from .question import Question
from .readying import Readiness, readiness
from .record import JobState, RecordedInput, RunRecord
from .request import ConfigLike, Request, RunOptions, ToolLike
from .sweeps import Cell, Sweep
from .swept import MOST_CELLS, axes_of, is_sweepable, sweepable, told_values
from .testing import TestReport, run_test, run_tests
from .viewer import add_result, named_layers, take_back, taken_back
from .viewer_like import ViewerLike
from .weights import forget_weights, kept_weights, weights_place

__all__ = [
    "MOST_CELLS",
    "MUCH",
    "RUNS_IT",
    "AddedResult",
    "BatchItem",
    "Cell",
    "ConfigLike",
    "DraftedTest",
    "Extent",
    "Getting",
    "Job",
    "JobManager",
    "JobOutput",
    "JobResult",
    "JobRow",
    "JobState",
    "LivePreview",
    "Making",
    "Measured",
    "NewTools",
    "Offer",
    "Origin",
    "PreviewLayers",
    "Previewed",
    "Question",
    "Readiness",
    "RecordedInput",
    "Request",
    "RunOptions",
    "RunRecord",
    "Scan",
    "Stamp",
    "Sweep",
    "TestReport",
    "ToolLike",
    "ViewerLike",
    "add_result",
    "add_toolbox",
    "allowed_values",
    "as_command",
    "as_given",
    "as_json",
    "as_python",
    "axes_of",
    "begin",
    "borrowed",
    "borrowed_by",
    "borrowed_words",
    "compare_outputs",
    "compare_runs",
    "delete_job",
    "deliver",
    "drafted_test",
    "dry_run",
    "execute",
    "export_crate",
    "facts_of",
    "files_of",
    "find_record",
    "forget_weights",
    "has_changed",
    "history",
    "is_ours",
    "is_preview",
    "is_quick",
    "is_sweepable",
    "job_json",
    "job_manager",
    "kept_weights",
    "known_record",
    "live_row",
    "look_into",
    "made_of",
    "measured_of",
    "merged",
    "named_layers",
    "new_tool",
    "note_time",
    "notes_by_kind",
    "notes_of",
    "other_packages",
    "output_paths",
    "outputs_json",
    "placed_result",
    "plan_batch",
    "prepare",
    "read_record",
    "readiness",
    "reclaim",
    "reclaimable",
    "recorded_form",
    "recorded_result",
    "recorded_tool",
    "relatives",
    "remembered",
    "remove_toolbox",
    "rerun",
    "run",
    "run_batch",
    "run_job",
    "run_test",
    "run_tests",
    "size_changed",
    "submit",
    "sweep",
    "sweepable",
    "take_back",
    "taken_back",
    "told_first",
    "told_maker",
    "told_values",
    "weights_place",
    "write_table",
]
