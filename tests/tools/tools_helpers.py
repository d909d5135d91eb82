"""Shared by the tests of the tools room."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.tools import bind, dialect_of, read_tool
from napari_tool_runner.tools.dialect import DataFile, JobPaths, RenderedCommand
from napari_tool_runner.tools.tree import map_data

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import DataParameter, Severity, Tool

DESCRIPTORS = Path(__file__).parent / "descriptors"
JOB = JobPaths(Path("/job"))

HEAD = '<tool id="t" name="T" version="1" python_template_version="3.11">'


def fixture(name: str) -> Tool:
    return read_tool(DESCRIPTORS / name)


def written(folder: Path, body: str, head: str = HEAD) -> Tool:
    path = folder / "t.xml"
    path.write_text(f"{head}{body}</tool>", encoding="utf-8")
    return read_tool(path)


def data_file(name: str, parameter: DataParameter, value: object) -> object:
    """Stand for the exchange: a text becomes a file of that path."""
    if isinstance(value, list | tuple):
        return [data_file(name, parameter, entry) for entry in value]
    kind = parameter.formats[0] if parameter.formats else ""
    return DataFile(Path(str(value)), kind, Path(str(value)).stem)


def render(
    tool: Tool,
    values: Mapping[str, object] | None = None,
    variables: Mapping[str, str] | None = None,
    job: JobPaths = JOB,
) -> RenderedCommand:
    bound = map_data(tool.inputs, bind(tool, values), data_file)
    return dialect_of(tool).render(tool, bound, job, variables or {})


def argv(tool: Tool, values: Mapping[str, object] | None = None, **more: object) -> list[str]:
    return list(render(tool, values, **more).argv)  # type: ignore[arg-type]


def notes(tool: Tool, severity: Severity | None = None) -> list[str]:
    return [
        f"{note.where}: {note.what}"
        for note in tool.notes
        if severity is None or note.severity is severity
    ]
