"""What a session's first job would wait for, begun while other things are done."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_tool_runner import exchange, plugins
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.tools.formats import Carrier
from napari_tool_runner.tools.isolation.rendering import is_shipped
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.tools.tree import places

if TYPE_CHECKING:
    from napari_tool_runner.config import Config
    from napari_tool_runner.tools import Tool

__all__ = ["begin"]

_begun: set[tuple[bool, bool]] = set()
"""Whether results are read apart, and data are TIFF: for which tools it was begun."""


def begin(tool: Tool, config: Config) -> None:
    """Have imported what data and results of `tool` need, and the enclosure tried; does not wait.

    Once a session. Nothing of the tool is touched, so it needs no permit. Whatever fails is told
    by the job.
    """
    data = (one.item for one in places(tool.inputs))
    names = [name for one in data if isinstance(one, DataParameter) for name in one.formats]
    written = {tool.formats.resolve(name).carrier for name in names}
    read = {tool.formats.resolve(one.format).carrier for one in tool.outputs}
    apart = not is_shipped(tool) and read != {Carrier.OPAQUE}
    kind = apart, exchange.needs_tifffile(written | read)
    if kind not in _begun:
        _begun.add(kind)
        threading.Thread(target=_begin, args=(*kind, config), daemon=True).start()


def _begin(apart: bool, tiff: bool, config: Config) -> None:
    if apart:
        exchange.load_reader()
    if tiff:
        exchange.import_tifffile()
    with suppress(ToolRunnerError):
        _ = plugins.runnerServices.service("LOCAL", config.runner).lends
