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
    from napari_tool_runner.plugins import RunnerService
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
    if kind in _begun:
        return
    _begun.add(kind)
    # our side of it is imported first: it is needed anyway, and threads that import at once only
    # wait for one another, while bubblewrap could be at work
    with suppress(ToolRunnerError):
        local = plugins.runnerServices.service("LOCAL", config.runner)
        threading.Thread(target=_enclose, args=(local,), daemon=True).start()
    threading.Thread(target=_import, args=kind, daemon=True).start()


def _enclose(local: RunnerService) -> None:
    with suppress(ToolRunnerError):
        _ = local.lends


def _import(apart: bool, tiff: bool) -> None:
    if apart:
        exchange.load_reader()
    if tiff:
        exchange.import_tifffile()
