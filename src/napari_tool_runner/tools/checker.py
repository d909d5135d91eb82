"""Checks descriptors for their authors: what cannot be honoured, and what is wrong.

Nothing is run, and no template that is code (Galaxy's) is evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.config import load_config
from napari_tool_runner.errors import DescriptorError, ParameterError
from napari_tool_runner.tools.common import Notes
from napari_tool_runner.tools.model import Note, Severity, Tool, ToolTest
from napari_tool_runner.tools.reader import dialect_of, find_descriptors, read_tool, tool_uris
from napari_tool_runner.tools.tree import missing_files
from napari_tool_runner.tools.values import bind

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats

__all__ = ["Report", "check_paths", "check_tool"]


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
    def uri(self) -> str:
        """The descriptor, with ``#entry`` where it holds several tools."""
        return self.tool.uri if self.tool else str(self.path)

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
            "notes": [asdict(note) for note in self.notes],
        }


def check_paths(
    paths: Iterable[Path],
    *,
    variables: Mapping[str, str] | None = None,
    formats: Formats | None = None,
) -> list[Report]:
    """Check descriptors, and all those below folders.

    Parameters
    ----------
    variables : mapping, optional
        The config's ``env`` and ``fiji``: what a command may name besides parameters
        (default: those of the user's configuration).
    formats : Formats, optional
        The formats that descriptors may name (default: the built-in ones).
    """
    if variables is None:
        variables = load_config().variables
    reports: list[Report] = []
    for path in (Path(os.path.expanduser(path)).absolute() for path in paths):
        root = path if path.is_dir() else None
        files = find_descriptors(path, deep=True) if root else [path]
        found = [one for file in files for one in _check_file(file, root, variables, formats)]
        if not found:
            note = Note(Severity.ERROR, "folder", f"{path} holds no descriptor.")
            found = [Report(path, None, (note,))]
        reports += found
    return reports


def check_tool(tool: Tool, *, variables: Mapping[str, str] | None = None) -> Report:
    """Check a tool that was read: its tests, their files, its command."""
    notes = Notes()
    for test in tool.tests:
        _check_test(tool, test, notes)
    try:
        more = dialect_of(tool).check(tool, variables or {})
    except DescriptorError as error:
        more = (Note(Severity.ERROR, "file", str(error)),)
    return Report(tool.path, tool, (*tool.notes, *notes.found, *more))


def _check_file(
    path: Path, root: Path | None, variables: Mapping[str, str], formats: Formats | None
) -> list[Report]:
    """Return a report for the tool that is named, or for each tool of the file."""
    reports = []
    for uri in tool_uris(path):
        try:
            report = check_tool(read_tool(uri, root=root, formats=formats), variables=variables)
        except DescriptorError as error:
            report = Report(Path(uri), None, (Note(Severity.ERROR, "file", str(error)),))
        reports.append(report)
    return reports


def _check_test(tool: Tool, test: ToolTest, notes: Notes) -> None:
    """Check the files and values of a test."""
    here = notes.at(f"tests/test[{test.index + 1}]")
    for expected in test.outputs:
        if expected.file and not (tool.folder / "test-data" / expected.file).exists():
            here.warning(
                "", f"The reference {Path(expected.file).name} of “{expected.name}” is missing."
            )
    try:
        bound = bind(tool, test.values)
    except ParameterError as error:
        if not test.expect_failure:
            here.warning("", f"Its values do not fit: {error}")
        return
    for name, path in missing_files(tool.inputs, bound):
        here.warning("", f"The file {path.name} of “{name}” is missing.")
