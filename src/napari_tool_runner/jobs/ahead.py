"""What a session's first job would wait for, begun while other things are done."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_tool_runner import plugins
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.formats import Carrier
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.isolation.rendering import is_shipped

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools import Tool

__all__ = ["begin"]

_begun: set[bool] = set()
"""Of tools whose results are read apart, of others: whether it was begun."""


def begin(tool: Tool, config: Config) -> None:
    """Have the reader import what results of `tool` need, and the enclosure tried; does not wait.

    Once a session. Nothing of the tool is touched, so it needs no permit. Whatever fails is told
    by the job.
    """
    carriers = {tool.formats.resolve(one.format).carrier for one in tool.outputs}
    apart = not is_shipped(tool) and carriers != {Carrier.OPAQUE}
    if apart not in _begun:
        _begun.add(apart)
        threading.Thread(target=_begin, args=(apart, config), daemon=True).start()


def _begin(apart: bool, config: Config) -> None:
    if apart:
        reader.load(["napari_tool_runner.exchange.apart"])
    with suppress(ToolRunnerError):
        _ = plugins.runnerServices.service("LOCAL", config.runner).lends
