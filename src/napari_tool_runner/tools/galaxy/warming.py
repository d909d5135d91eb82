"""Imported before a process forks for templates: all that reading and rendering need.

A template of each Python is filled, too: its grammars are loaded once.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from packaging.version import Version

from napari_tool_runner.tools.galaxy.templates import fill

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
for _version in ("2.7", "3.5"):
    fill("#if $a\n$a\n#end if", {"a": "1"}, Version(_version), "command")
