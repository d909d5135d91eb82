"""Checks descriptors for their authors: what cannot be honoured, and what is wrong.

Nothing is run, and no template that is code (Galaxy's) is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import DescriptorError, ParameterError, TemplateError
from napari_tool_runner.tools.dialect import DataFile, JobPaths
from napari_tool_runner.tools.model import DataParameter, Note, Severity, Tool, ToolTest
from napari_tool_runner.tools.tree import BoundValues, leaves, map_data
from napari_tool_runner.tools.values import bind

__all__ = ["Report", "check_path", "check_paths", "check_tool"]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one descriptor.

    Parameters
    ----------
    path : Path
    tool : Tool or None
        None when nothing can be shown of it; `notes` then says why.
    notes : tuple of Note
        Those of the reader, then those of the checker.
    """

    path: Path
    tool: Tool | None
    notes: tuple[Note, ...]

    @property
    def usable(self) -> bool:
        """Whether the tool can be run."""
        return self.tool is not None and not any(
            note.severity is Severity.ERROR for note in self.notes
        )

    def as_dict(self) -> dict[str, object]:
        """Return what ``check --json`` prints."""
        tool = self.tool
        return {
            "path": str(self.path),
            "usable": self.usable,
            "id": tool.id if tool else None,
            "name": tool.name if tool else None,
            "version": tool.version if tool else None,
            "dialect": tool.dialect if tool else None,
            "tests": len(tool.tests) if tool else 0,
            "notes": [
                {"severity": note.severity.value, "where": note.where, "what": note.what}
                for note in self.notes
            ],
        }


def check_paths(
    paths: Iterable[Path], *, variables: Mapping[str, str] | None = None
) -> list[Report]:
    """Check descriptors and folders of descriptors; see `check_path`."""
    return [report for path in paths for report in check_path(path, variables=variables)]


def check_path(path: Path, *, variables: Mapping[str, str] | None = None) -> list[Report]:
    """Check the descriptor `path`, or all those below the folder `path`.

    Parameters
    ----------
    variables : mapping, optional
        The config's ``env`` and ``fiji``: what a command may name besides parameters
        (default: those of the user's configuration).
    """
    from napari_tool_runner.tools.reader import read_tool

    if variables is None:
        variables = load_config().variables
    path = path.expanduser().absolute()
    reports = []
    for descriptor in _descriptors(path) if path.is_dir() else [path]:
        try:
            tool = read_tool(descriptor, root=path if path.is_dir() else None)
        except DescriptorError as error:
            note = Note(Severity.ERROR, "file", str(error))
            reports.append(Report(descriptor, None, (note,)))
        else:
            reports.append(check_tool(tool, variables=variables))
    if not reports:
        note = Note(Severity.ERROR, "folder", f"{path} holds no descriptor.")
        reports.append(Report(path, None, (note,)))
    return reports


def check_tool(tool: Tool, *, variables: Mapping[str, str] | None = None) -> Report:
    """Check a tool that was read: its tests, their files, its command."""
    notes: list[Note] = []
    # only commands that are no code are filled here
    complete = tool.dialect == "bioimageit" and not tool.problems
    if tool.dialect == "bioimageit":
        complete = _check_command(tool, variables or {}, notes) and complete
    for test in tool.tests:
        bound = _check_test(tool, test, notes)
        if complete and bound is not None:
            _check_rendering(tool, test, bound, variables or {}, notes)
    return Report(tool.path, tool, (*tool.notes, *notes))


def _descriptors(folder: Path) -> list[Path]:
    """Return the XML files below `folder` that are tools, or cannot be read."""
    from napari_tool_runner.tools.xml import load_xml

    found = []
    for path in sorted(folder.rglob("*.xml")):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") or part == "test-data" for part in parts):
            continue
        try:
            if load_xml(path).tag == "tool":
                found.append(path)
        except DescriptorError:
            found.append(path)
    return found


def _check_command(tool: Tool, variables: Mapping[str, str], notes: list[Note]) -> bool:
    """Add what is wrong with the placeholders; return whether all can be filled."""
    from napari_tool_runner.tools.bioimageit.reader import Source, resolve
    from napari_tool_runner.tools.bioimageit.template import (
        FIJI,
        TOOL_DIRECTORY,
        parse_template,
        placeholders,
    )

    try:
        found = list(placeholders(parse_template(tool.command)))
    except TemplateError:
        return False  # the reader's note says it
    complete = True
    aliases = tool.source.aliases if isinstance(tool.source, Source) else {}
    used = set()
    for place in dict.fromkeys(found):
        name = resolve(aliases, place.name)
        if name is not None:
            used.add(name)
        elif place.name == FIJI and not {FIJI, "fiji"} & variables.keys():
            complete = False
            notes.append(
                Note(Severity.WARNING, "command", "The configuration has no “fiji” entry.")
            )
        elif place.braced and place.name not in {FIJI, TOOL_DIRECTORY, *variables}:
            complete = False
            what = f"{place.text} is no parameter, no output and no “env” entry of the config."
            notes.append(Note(Severity.ERROR, "command", what))
    for parameter in tool.parameters():
        if parameter.name not in used:
            where = f"inputs/param[{parameter.name}]"
            notes.append(Note(Severity.WARNING, where, "The command does not use it."))
    for output in tool.outputs:
        if output.name not in used and not getattr(output, "from_work_dir", ""):
            where = f"outputs/data[{output.name}]"
            notes.append(
                Note(Severity.WARNING, where, "The command does not say where to write it.")
            )
    return complete


def _check_test(tool: Tool, test: ToolTest, notes: list[Note]) -> BoundValues | None:
    """Check files and values of a test; return its bound values when all is there."""
    where = f"tests/test[{test.index + 1}]"
    for expected in test.outputs:
        if expected.file and not (tool.folder / "test-data" / expected.file).exists():
            what = f"The reference {Path(expected.file).name} of “{expected.name}” is missing."
            notes.append(Note(Severity.WARNING, where, what))
    try:
        bound = bind(tool, test.values)
    except ParameterError as error:
        if not test.expect_failure:
            notes.append(Note(Severity.WARNING, where, f"Its values do not fit: {error}"))
        return None
    complete = True
    for leaf in leaves(tool.inputs, bound):
        if isinstance(leaf.parameter, DataParameter):
            for path in _paths(leaf.value):
                if not path.exists():
                    complete = False
                    what = f"The file {path.name} of “{leaf.name}” is missing."
                    notes.append(Note(Severity.WARNING, where, what))
    return bound if complete else None


def _check_rendering(
    tool: Tool,
    test: ToolTest,
    bound: BoundValues,
    variables: Mapping[str, str],
    notes: list[Note],
) -> None:
    from napari_tool_runner.tools.reader import dialect_of

    def as_file(name: str, parameter: DataParameter, value: object) -> object:
        kind = parameter.formats[0] if parameter.formats else ""
        files = [DataFile(path, kind, path.stem) for path in _paths(value)]
        return files if parameter.multiple else files[0]

    values = map_data(tool.inputs, bound, as_file)
    try:
        dialect_of(tool).render(tool, values, JobPaths(tool.folder / "job"), variables)
    except TemplateError as error:
        notes.append(Note(Severity.WARNING, f"tests/test[{test.index + 1}]", str(error)))


def _paths(value: object) -> list[Path]:
    if isinstance(value, str | Path):
        return [Path(value)]
    if isinstance(value, list | tuple):
        return [path for entry in value for path in _paths(entry)]
    return []
