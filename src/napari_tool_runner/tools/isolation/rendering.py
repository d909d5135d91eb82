"""Commands and tests of strangers' tools, which the reader fills and compares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.names import real_path
from napari_tool_runner.tools.dialect import data_files
from napari_tool_runner.tools.isolation.asking import Limits
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.isolation.operations import command_from, tell_call, tell_test
from napari_tool_runner.tools.isolation.wire import refused
from napari_tool_runner.tools.own_folder import folder_is_shared, tool_places
from napari_tool_runner.tools.reader import dialect_of
from napari_tool_runner.tools.toolbox.entries import ships
from napari_tool_runner.tools.tree import chosen_places, leaves

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import JobPaths, RenderedCommand, TestOutcome
    from napari_tool_runner.tools.model import Tool, ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["is_shipped", "render", "verify"]

_OF_TESTS = Limits(memory=2**32, processor=60, seconds=300.0)


def is_shipped(tool: Tool) -> bool:
    """Whether a tool is one of this package."""
    return ships(tool)


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
    if not dialect.code_needs or is_shipped(tool):
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


def verify(tool: Tool, test: ToolTest, outcome: TestOutcome, paths: JobPaths) -> list[str]:
    """Compare a test's outcome with what it expects; patterns of a stranger's in the reader.

    Takes and raises what `Dialect.verify` does, and DescriptorError when it takes too much.
    """
    dialect = dialect_of(tool)
    if not dialect.code_needs or is_shipped(tool):
        return dialect.verify(tool, test, outcome)
    what = f"compare the outcome of test {test.index + 1} of “{tool.name}”"
    with tempfile.TemporaryDirectory() as folder:
        told = reader.ask(
            "verify",
            tell_test(tool, test, outcome, folder),
            what=what,
            path=tool.path,
            language=tool.dialect,
            reads=[*_own(tool), tool.folder / "test-data", paths.root],
            writes=[Path(folder)],
            limits=_OF_TESTS,
        )
    if not isinstance(told, list):
        raise refused(f"To {what} gave what is no list.", tool.path)
    return [str(problem) for problem in told]


def _reads(tool: Tool, values: BoundValues, paths: JobPaths) -> list[Path]:
    """Return what a template may look at: the tool's folder, the job's, and what it is given."""
    given = leaves(tool.inputs, values)
    found = [*_own(tool), paths.root]
    found += chosen_places(given)
    for leaf in given:
        found += [file.path for file in data_files(leaf.value)]
        if isinstance(leaf.value, Path):
            found.append(leaf.value)
    return [one.absolute() for one in found]


def _own(tool: Tool) -> list[Path]:
    root = tool.copy or tool.toolbox
    whole = root and (tool.copy or not folder_is_shared(Path(root)))
    own = [real_path(place) for place in (*tool_places(tool)[0], *dialect_of(tool).files(tool))]
    return [*own, *([Path(root).absolute()] if whole else ())]
