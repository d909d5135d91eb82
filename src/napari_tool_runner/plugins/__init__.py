"""Where a tool runs: the runner factory, the contract, the services."""

from napari_tool_runner.plugins.contract import (
    Availability,
    CancelToken,
    Event,
    ExecContext,
    Fetch,
    Mount,
    OutputLine,
    Plan,
    Progress,
    Resources,
    RunnerService,
    Session,
    TutorialService,
)
from napari_tool_runner.plugins.discovery import (
    PluginProblem,
    load_plugin_dirs,
    plugin_problems,
)
from napari_tool_runner.plugins.process import Process, data_paths
from napari_tool_runner.plugins.programs.process_tree import describe_exit
from napari_tool_runner.plugins.runners_factory import (
    Choice,
    ObjectFactory,
    RunnerServiceProvider,
    as_service,
    check_all,
    choose_service,
    fitting_services,
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
    "PluginProblem",
    "Process",
    "Progress",
    "Resources",
    "RunnerService",
    "RunnerServiceProvider",
    "Session",
    "TutorialService",
    "as_service",
    "check_all",
    "choose_service",
    "data_paths",
    "describe_exit",
    "fitting_services",
    "load_plugin_dirs",
    "plan_run",
    "plugin_problems",
    "runnerServices",
]
