"""Imported before a process forks for templates: all that reading and rendering need."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from galaxy.tool_util_models import parameters
from packaging.version import Version
from pydantic import BaseModel

from napari_tool_runner.tools.galaxy.templates import fill
from napari_tool_runner.tools.reader import read_tool
from napari_tool_runner.tools.toolbox.entries import bundled_folder

__all__ = ["warm"]

_MODULES = (
    "galaxy.tool_util.output_checker",
    "galaxy.tool_util.parser.output_actions",
    "galaxy.tool_util.parser.parameter_validators",
    "galaxy.tool_util.parser.xml",
    "galaxy.util.xml_macros",
    "napari_tool_runner.tools.galaxy.reader",
    "napari_tool_runner.tools.galaxy.render",
    "tifffile",
)

for _name in _MODULES:
    with suppress(ImportError):
        import_module(_name)
for _model in list(vars(parameters).values()):
    if isinstance(_model, type) and issubclass(_model, BaseModel) and _model is not BaseModel:
        _model.model_rebuild()


def warm() -> None:
    """Read tools of ours, and fill a template of each Python: its grammars are loaded once."""
    for descriptor in sorted(bundled_folder().glob("galaxy_*")):
        read_tool(descriptor)
    for version in ("2.7", "3.5"):
        fill("#if $a\n$a\n#end if", {"a": "1"}, Version(version), "command")
