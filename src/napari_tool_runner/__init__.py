"""Run any described image-analysis tool on napari layers, from a form or a script."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tool_runner.errors import ToolFailedError, ToolRunnerError
    from napari_tool_runner.jobs import JobResult, run, run_in_viewer
    from napari_tool_runner.tools import Tool, Toolbox, load_toolbox, read_tool

try:
    __version__ = version("napari-tool-runner")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
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
]

# napari imports this module at start-up to find the manifest: load the rest on demand
_HOMES = {
    "JobResult": "napari_tool_runner.jobs",
    "Tool": "napari_tool_runner.tools",
    "ToolFailedError": "napari_tool_runner.errors",
    "ToolRunnerError": "napari_tool_runner.errors",
    "Toolbox": "napari_tool_runner.tools",
    "load_toolbox": "napari_tool_runner.tools",
    "read_tool": "napari_tool_runner.tools",
    "run": "napari_tool_runner.jobs",
    "run_in_viewer": "napari_tool_runner.jobs",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
