"""The command of a call: of strangers' tools the reader fills it, of shipped ones we do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.tools.dialect import data_files
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.isolation.operations import command_from, tell_call
from napari_tool_runner.tools.isolation.wire import refused
from napari_tool_runner.tools.reader import dialect_of
from napari_tool_runner.tools.toolbox.box import bundled_folder
from napari_tool_runner.tools.tree import chosen_places, leaves

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["render"]


@cache
def _is_shipped(path: Path) -> bool:
    """Whether a descriptor is one of this package."""
    return path.resolve().is_relative_to(bundled_folder().resolve())


def render(
    tool: Tool,
    values: BoundValues,
    paths: JobPaths,
    variables: Mapping[str, str],
    stop: Callable[[], bool] = lambda: False,
) -> RenderedCommand:
    """Fill the command of `tool`; the code that a stranger's descriptor holds runs in the reader.

    Takes and raises what `Dialect.render` does, and JobCancelledError when `stop` says so.
    """
    dialect = dialect_of(tool)
    if not dialect.code_needs or _is_shipped(tool.source_path):
        return dialect.render(tool, values, paths, variables)
    what = f"fill the command of “{tool.name}”"
    told = reader.ask(
        "render",
        tell_call(tool, values, paths, variables),
        what=what,
        path=tool.path,
        language=tool.dialect,
        reads=_reads(tool, values, paths),
        stop=stop,
    )
    try:
        return command_from(told, tool, paths)
    except ValueError as error:
        raise refused(f"To {what} gave what is no command: {error}.", tool.path) from error


def _reads(tool: Tool, values: BoundValues, paths: JobPaths) -> list[Path]:
    """Return what a template may look at: the tool's folder, the job's, and what it is given."""
    root = tool.copy or tool.toolbox
    found = [tool.folder.resolve(), paths.root, *([Path(root)] if root else ())]
    given = leaves(tool.inputs, values)
    found += chosen_places(given)
    for leaf in given:
        found += [file.path for file in data_files(leaf.value)]
        if isinstance(leaf.value, Path):
            found.append(leaf.value)
    return [one.absolute() for one in found]
