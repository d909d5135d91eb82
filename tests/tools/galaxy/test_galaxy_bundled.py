"""The Galaxy tools that ship, through the job engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_tool_runner
from napari_tool_runner.jobs.testing import run_tests
from napari_tool_runner.tools import dialect_of, read_tool
from napari_tool_runner.tools.model import CollectionOutput, Conditional, DataParameter, Tool

TOOLS = Path(napari_tool_runner.__file__).parent / "bundled_tools"
FOLDERS = sorted(TOOLS.glob("galaxy_*"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def tool(request: pytest.FixtureRequest) -> Tool:
    return read_tool(request.param)


def test_there_are_several() -> None:
    assert len(FOLDERS) >= 4


def test_reads_clean(tool: Tool) -> None:
    assert tool.dialect == dialect_of(tool).name == "galaxy"
    assert [str(note) for note in tool.notes] == []
    assert tool.categories
    assert tool.help_format == "markdown"
    assert tool.folder.name == f"galaxy_{tool.id}"
    assert (tool.folder / "thumbnail.png").read_bytes().startswith(b"\x89PNG")
    assert (tool.folder / "thumbnail.png").stat().st_size < 12_000
    assert tool.tests
    for parameter in tool.parameters():
        assert parameter.help.endswith("."), parameter.name
        if isinstance(parameter, DataParameter):
            assert parameter.formats == ("tiff",)
    for output in tool.outputs:
        assert output.kind is not None, output.name


def test_one_has_a_conditional_a_configfile_and_a_collection() -> None:
    tool = read_tool(TOOLS / "galaxy_sort_objects")
    assert any(isinstance(item, Conditional) for item in tool.inputs)
    assert any(isinstance(output, CollectionOutput) for output in tool.outputs)
    assert "$settings" in tool.command


@pytest.mark.slow
def test_its_own_tests(tool: Tool) -> None:
    reports = list(run_tests(tool, runner="LOCAL"))
    assert {report.test: report.message for report in reports if report.status != "pass"} == {}


@pytest.mark.slow
def test_from_arrays_to_layers() -> None:
    labels = np.zeros((40, 40), np.int32)
    for number, (row, size) in enumerate(((2, 3), (10, 6), (22, 12)), 1):
        labels[row : row + size, 5 : 5 + size] = number
    result = napari_tool_runner.run(
        TOOLS / "galaxy_sort_objects",
        labels=labels,
        values={"split|how": "values", "split|edges": [{"edge": 20}, {"edge": 100}]},
        runner="LOCAL",
    )
    classes = result.outputs["classes"]
    assert list(classes.elements) == ["class_1", "class_2", "class_3"]
    for number, element in enumerate(classes.elements.values(), 1):
        assert element.layer_type == "labels"
        assert set(np.unique(element.data)) == {0, number}
    assert list(result.outputs["table"].data["class"]) == [1, 2, 3]
