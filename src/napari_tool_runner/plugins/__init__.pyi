from .contract import CHANGED, WARM, Availability, Fetch, Plan, RunnerService
from .discovery import load_plugin_dirs, plugin_notes, plugin_problems
from .docker.slot import recover
from .policy import obey_policy
from .preflight import plan_run
from .process import (
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
from .programs.graphics import Graphics, graphics
from .programs.process_tree import end_processes
from .runners_factory import (
    Choice,
    ObjectFactory,
    RunnerServiceProvider,
    as_service,
    availability,
    check_all,
    choose_service,
    runnerServices,
)
from .uv.packages import Package, fetch_package, find_package

__all__ = [
    "CHANGED",
    "WARM",
    "Availability",
    "CancelToken",
    "Choice",
    "Event",
    "ExecContext",
    "Fetch",
    "Graphics",
    "Mount",
    "ObjectFactory",
    "OutputLine",
    "Package",
    "Plan",
    "Process",
    "Progress",
    "Resources",
    "RunnerService",
    "RunnerServiceProvider",
    "Session",
    "as_service",
    "availability",
    "check_all",
    "choose_service",
    "end_processes",
    "fetch_package",
    "find_package",
    "graphics",
    "load_plugin_dirs",
    "obey_policy",
    "plan_run",
    "plugin_notes",
    "plugin_problems",
    "recover",
    "runnerServices",
]
