"""Checks the command of a bioimageit tool: it is no code, so it can be filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from napari_tool_runner.errors import ParameterError, TemplateError
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.bioimageit.rendering import (
    FIJI,
    TOOL_DIRECTORY,
    Source,
    parse_template,
    render_command,
    resolve,
)
from napari_tool_runner.tools.common import Notes
from napari_tool_runner.tools.dialect import DataFile, JobPaths
from napari_tool_runner.tools.model import DataParameter
from napari_tool_runner.tools.tree import map_data, missing_files, paths_of

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Note, Tool, ToolTest

__all__ = ["check_command"]


def check_command(tool: Tool, variables: Mapping[str, str]) -> list[Note]:
    """Return what is wrong with the placeholders, and with the command of each test."""
    notes = Notes()
    _check_prepare(tool, notes)
    if _complete(tool, variables, notes) and not tool.problems:
        for test in tool.tests:
            _fill(tool, test, variables, notes)
    return notes.found


def _complete(tool: Tool, variables: Mapping[str, str], notes: Notes) -> bool:
    """Add what is wrong with the placeholders; return whether all can be filled."""
    try:
        tokens = parse_template(tool.command)
    except TemplateError:
        return False  # the reader's note says it
    complete = True
    aliases = tool.source.aliases if isinstance(tool.source, Source) else {}
    used = set()
    for place, name in resolve(tokens, aliases).items():
        if name is not None:
            used.add(name)
        elif place.name == FIJI and not {FIJI, "fiji"} & variables.keys():
            complete = False
            notes.warning("command", "The configuration has no “fiji” entry.")
        elif place.braced and place.name not in {FIJI, TOOL_DIRECTORY, *variables}:
            complete = False
            what = f"{place.text} is no parameter, no output and no “env” entry of the config."
            notes.error("command", what)
    for parameter in tool.parameters():
        if parameter.name not in used:
            where = f"inputs/param[{parameter.name}]"
            notes.warning(where, "The command does not use it.")
    for output in tool.outputs:
        if output.name not in used and not output.from_work_dir:
            where = f"outputs/data[{output.name}]"
            notes.warning(where, "The command does not say where to write it.")
    return complete


def _check_prepare(tool: Tool, notes: Notes) -> None:
    """Add what of the command that fetches weights has no value before a run."""
    aliases = tool.source.aliases if isinstance(tool.source, Source) else {}
    try:
        tokens = parse_template(tool.prepare)
    except TemplateError as error:
        notes.error("prepare", error.message)
        return
    known = {one.name for one in tool.parameters() if not isinstance(one, DataParameter)}
    for place, name in resolve(tokens, aliases).items():
        if name not in known and place.name != TOOL_DIRECTORY:
            notes.error("prepare", f"{place.text} is no parameter with a value before a run.")


def _fill(tool: Tool, test: ToolTest, variables: Mapping[str, str], notes: Notes) -> None:
    """Fill the command with the values of a test, where they fit and their files are there."""

    def as_file(name: str, parameter: DataParameter, value: object) -> object:
        kind = parameter.formats[0] if parameter.formats else ""
        files = [DataFile(path, kind, path.stem) for path in paths_of(value)]
        return files if parameter.multiple else files[0]

    try:
        bound = bind(tool, test.values)
    except ParameterError:
        return  # whoever checks the tests tells it
    if missing_files(tool.inputs, bound):
        return
    try:
        values = map_data(tool.inputs, bound, as_file)
        render_command(tool, values, JobPaths(tool.folder / "job"), variables)
    except TemplateError as error:
        notes.warning(f"tests/test[{test.index + 1}]", str(error))
