from ._version import __version__
from .errors import ToolFailedError, ToolRunnerError
from .exchange import resample_onto
from .jobs import Job, JobResult, Sweep, add_toolbox, run, submit, sweep
from .tools import Tool, Toolbox, load_toolbox, read_tool
from .widgets.in_viewer import run_in_viewer

__all__ = [
    "Job",
    "JobResult",
    "Sweep",
    "Tool",
    "ToolFailedError",
    "ToolRunnerError",
    "Toolbox",
    "__version__",
    "add_toolbox",
    "load_toolbox",
    "read_tool",
    "resample_onto",
    "run",
    "run_in_viewer",
    "submit",
    "sweep",
]
