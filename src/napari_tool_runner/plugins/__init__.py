"""Where a tool runs: the runner factory, the contract, the services."""

from napari_tool_runner.plugins.contract import Availability, Fetch, Plan, RunnerService
from napari_tool_runner.plugins.discovery import load_plugin_dirs, plugin_problems
from napari_tool_runner.plugins.process import (
    CancelToken,
    Event,
    ExecContext,
    Mount,
    OutputLine,
    Process,
    Progress,
    Resources,
    Session,
)
from napari_tool_runner.plugins.programs.process_tree import end_processes
from napari_tool_runner.plugins.runners_factory import (
    Choice,
    ObjectFactory,
    RunnerServiceProvider,
    as_service,
    check_all,
    choose_service,
    plan_run,
    runnerServices,
)

__all__ = [
    "Availability",
    "CancelToken",
    "Choice",
    "Event",
    "ExecContext",
    "Fetch",
    "Mount",
    "ObjectFactory",
    "OutputLine",
    "Plan",
    "Process",
    "Progress",
    "Resources",
    "RunnerService",
    "RunnerServiceProvider",
    "Session",
    "as_service",
    "check_all",
    "choose_service",
    "end_processes",
    "load_plugin_dirs",
    "plan_run",
    "plugin_problems",
    "runnerServices",
]
