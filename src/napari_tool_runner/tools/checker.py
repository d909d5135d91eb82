"""Checks descriptors for their authors: what cannot be honoured, and what is wrong.

Nothing is run, and no template that is code (Galaxy's) is evaluated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.config import load_config
from napari_tool_runner.data_classes import asdict, dataclass, replace
from napari_tool_runner.errors import DescriptorError, ParameterError
from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.candidate import Candidate, split_entry
from napari_tool_runner.tools.common import Notes
from napari_tool_runner.tools.isolation.looking import ask_of
from napari_tool_runner.tools.isolation.operations import wanted_language
from napari_tool_runner.tools.isolation.wire import formats_from, refused
from napari_tool_runner.tools.lines import lines_of
from napari_tool_runner.tools.model import Note, Severity, Tool, ToolTest
from napari_tool_runner.tools.reader import (
    dialect_of,
    is_descriptor,
    named_files,
    read_tool,
    tool_uris,
)
from napari_tool_runner.tools.toolbox.entries import ships
from napari_tool_runner.tools.tree import missing_files

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats

__all__ = ["Report", "Summary", "answer", "check_paths", "check_tool"]

_PATIENCE = 60.0


class Summary(NamedTuple):
    """What a report says of a tool."""

    id: str
    name: str
    version: str
    dialect: str
    tests: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one descriptor.

    Parameters
    ----------
    uri : str
        The descriptor, with ``#entry`` where it holds several tools.
    tool : Summary or None
        None when nothing can be shown of it; `notes` then says why.
    notes : tuple of Note
        Those of the reader, then those of the checker.
    lines : tuple of int
        Of each note the line of the file that it is about, from 1; 0 where nobody knows.
    """

    uri: str
    tool: Summary | None
    notes: tuple[Note, ...]
    lines: tuple[int, ...] = ()

    @property
    def path(self) -> Path:
        """The file of the descriptor."""
        return split_entry(self.uri)[0]

    @property
    def usable(self) -> bool:
        """Whether the tool can be run."""
        return self.tool is not None and not any(
            note.severity is Severity.ERROR for note in self.notes
        )

    def told(self) -> list[str]:
        """Return the notes as a person reads them, with their lines."""
        return [
            f"{note.severity.value}: {f'line {line}: ' if line else ''}{note.where}: {note.what}"
            for note, line in self.placed()
        ]

    def placed(self) -> list[tuple[Note, int]]:
        """Return each note with its line."""
        lines = self.lines or (0,) * len(self.notes)
        return [*zip(self.notes, lines, strict=True)]

    def as_dict(self) -> dict[str, object]:
        """Return what ``check --json`` prints."""
        told = self.tool or Summary("", "", "", "", 0)
        facts = {key: value if self.tool else None for key, value in told._asdict().items()}
        return {
            "path": str(self.path),
            "usable": self.usable,
            **facts,
            "tests": told.tests,
            "notes": [{**asdict(note), "line": line} for note, line in self.placed()],
        }


def check_paths(
    paths: Iterable[Path],
    *,
    variables: Mapping[str, str] | None = None,
    formats: Formats | None = None,
) -> list[Report]:
    """Check descriptors, and all those below folders.

    Those that do not ship are read and checked by the reader, each within its limits; when
    the harmful ones of a folder took a minute, the rest of it is left out, which is told.

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
        found: list[Report] = []
        lost = 0.0
        for file in named_files(path, deep=True) if root else [path]:
            begun = time.monotonic()
            try:
                if lost > _PATIENCE:
                    raise DescriptorError("It was not checked: others here took too long.")
                found += _checked(file, root, variables, formats)
            except DescriptorError as error:
                lost += time.monotonic() - begun
                found.append(_unusable(str(file), error))
        if not found:
            note = Note(Severity.ERROR, "folder", f"{path} holds no descriptor.")
            found = [Report(str(path), None, (note,))]
        reports += found
    return reports


def _checked(
    path: Path, root: Path | None, variables: Mapping[str, str], formats: Formats | None
) -> list[Report]:
    """Return the reports on a file; raises DescriptorError when the reader gives it up."""
    if ships(path):
        return _check_file(path, root, variables, formats)
    told = ask_of(
        f"{__name__}:answer",
        split_entry(path)[0],
        {"uri": str(path), "variables": dict(variables)},
        root=root,
        formats=formats,
    )
    try:
        return _reports_from(told, split_entry(path)[0])
    except (TypeError, ValueError) as error:
        raise refused(f"To read {path.name} gave what is no report.", path) from error


def answer(of: dict[str, object]) -> object:
    """Do what `_checked` asks, inside the reader: a list of what reports hold, in JSON types."""
    uri, variables, formats = str(of["uri"]), of["variables"], of["formats"]
    if wanted := wanted_language(uri):
        return wanted
    assert isinstance(variables, dict)
    assert isinstance(formats, list)
    root = Path(str(of["root"])) if of["root"] else None
    found = _check_file(Path(uri), root, variables, formats_from(formats))
    return [
        [one.uri, one.tool, [[*asdict(note).values(), line] for note, line in one.placed()]]
        for one in found
    ]


def _reports_from(told: object, path: Path) -> list[Report]:
    """Return the reports on `path` that the reader told of; raises TypeError, ValueError."""
    found: list[Report] = []
    for row in told if isinstance(told, list) else [None]:
        match row:
            case [str(uri), tool, list(notes)] if split_entry(uri)[0] == path:
                read = [*map(_note, notes)]
                lines = tuple(line for _, line in read)
                found.append(Report(uri, _summary(tool), tuple(note for note, _ in read), lines))
            case _:
                raise ValueError("no report on this file")
    return found


def _summary(told: object) -> Summary | None:
    match told:
        case None:
            return None
        case [str(id_), str(name), str(version), str(dialect), int(tests)]:
            return Summary(id_, name, version, dialect, tests)
    raise ValueError("no summary of a tool")


def _note(told: object) -> tuple[Note, int]:
    match told:
        case [str(severity), str(where), str(what), int(line)]:
            return Note(Severity(severity), where, what), line
    raise ValueError("no note")


def check_tool(tool: Tool, *, variables: Mapping[str, str] | None = None) -> Report:
    """Check a tool that was read: its tests, their files, its command."""
    notes = Notes()
    for test in tool.tests:
        _check_test(tool, test, notes)
    try:
        more = dialect_of(tool).check(tool, variables or {})
    except DescriptorError as error:
        more = (Note(Severity.ERROR, "file", str(error)),)
    facts = Summary(tool.id, tool.name, tool.version, tool.dialect, len(tool.tests))
    return Report(tool.uri, facts, (*tool.notes, *notes.found, *more))


def _check_file(
    path: Path, root: Path | None, variables: Mapping[str, str], formats: Formats | None
) -> list[Report]:
    """Return a report for the tool that is named, or for each tool of the file.

    None, where it was found below a folder and no language takes it.
    """
    if root is not None and not is_descriptor(path):
        return []
    reports = []
    for uri in tool_uris(path):
        try:
            report = check_tool(read_tool(uri, root=root, formats=formats), variables=variables)
        except DescriptorError as error:
            report = _unusable(uri, error)
        reports.append(replace(report, lines=lines_of(report.notes, Candidate(path))))
    return reports


def _unusable(uri: str, error: DescriptorError) -> Report:
    return Report(uri, None, (Note(Severity.ERROR, "file", str(error)),))


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
