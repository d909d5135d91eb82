"""What a session's first job would wait for, begun while other things are done."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_tool_runner import plugins
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.isolation.rendering import is_shipped

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools import Tool

__all__ = ["begin"]


def begin(tool: Tool, config: Config) -> None:
    """Have the reader import what results of `tool` need, and the enclosure tried; does not wait.

    Nothing of the tool is touched, so it needs no permit. Whatever fails is told by the job.
    """
    if not is_shipped(tool):
        reader.load(["napari_tool_runner.exchange"])
    if not _tried:
        _tried.append(True)
        threading.Thread(target=_try_enclosure, args=(config,), daemon=True).start()


_tried: list[bool] = []


def _try_enclosure(config: Config) -> None:
    with suppress(ToolRunnerError):
        _ = plugins.runnerServices.service("LOCAL", config.runner).lends
