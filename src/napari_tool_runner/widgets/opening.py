"""What the dock does while a person begins: toolboxes are read, a page's modules imported."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.widgets.parts.background import IdleWork

if TYPE_CHECKING:
    from qtpy.QtCore import QObject

    from napari_tool_runner.tools.toolbox.box import Toolbox
    from napari_tool_runner.widgets.parts.messages import MessageKind

__all__ = ["ReadToolboxes", "import_ahead", "read_toolboxes"]

_NEXT = (
    *("regex", "rapidfuzz.process", "PIL.Image", "tifffile", "psutil"),
    *("napari_tool_runner.tools.model", "napari_tool_runner.tools.values"),
    *("napari_tool_runner.tools.dialect", "napari_tool_runner.tools.isolation.client"),
    *("napari_tool_runner.exchange", "napari_tool_runner.jobs.record"),
    *("napari_tool_runner.plugins.contract", "napari_tool_runner.plugins.runners_factory"),
    *("napari_tool_runner.jobs.outputs", "napari_tool_runner.jobs.execution"),
    *("napari_tool_runner.jobs.manager", "napari_tool_runner.widgets.forms.form"),
    *("napari_tool_runner.widgets.running.job_bridge", "napari_tool_runner.widgets.tool_widget"),
)
"""What typing, a tool's page and a run need: imported bit by bit while the window is idle.

In the order in which they need one another, so that no bit is long. A thread would hold
Python's lock for as long, and more often.
"""


def import_ahead(window: QObject) -> None:
    """Import what a person may need next, bit by bit, for as long as `window` is there."""
    ahead = IdleWork(window, ahead=True)
    ahead.add([partial(importlib.import_module, name) for name in _NEXT])


class ReadToolboxes(NamedTuple):
    """The toolboxes, and what is to be said of them."""

    toolbox: Toolbox
    said: str = ""
    kind: MessageKind = "info"


def read_toolboxes() -> ReadToolboxes:
    """Read the toolboxes of the configuration; without it those that ship."""
    from napari_tool_runner.tools.toolbox.box import load_toolbox

    try:
        config = load_config()
        toolbox = load_toolbox(config).prepare()
    except ToolRunnerError as error:
        # a broken configuration must not hide the tools that ship
        return ReadToolboxes(load_toolbox(Config()).prepare(), str(error), "problem")
    more = f" ({len(config.notes) - 1} more in Settings)" if len(config.notes) > 1 else ""
    return ReadToolboxes(toolbox, f"{config.notes[0]}{more}" if config.notes else "")
