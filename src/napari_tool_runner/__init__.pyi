from ._version import __version__
from .errors import ToolFailedError, ToolRunnerError
from .jobs import Job, JobResult, run, run_in_viewer, submit
from .tools import Tool, Toolbox, load_toolbox, read_tool

__all__ = [
    "Job",
    "JobResult",
    "Tool",
    "ToolFailedError",
    "ToolRunnerError",
    "Toolbox",
    "__version__",
    "load_toolbox",
    "read_tool",
    "run",
    "run_in_viewer",
    "submit",
]
