"""Whatever a well-formed descriptor says, reading gives a Tool and notes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from hypothesis import given, settings
from hypothesis import strategies as st
from tools_helpers import data_file

from napari_tool_runner.errors import ParameterError, TemplateError
from napari_tool_runner.tools import bind, dialects
from napari_tool_runner.tools.bioimageit.reader import read_descriptor
from napari_tool_runner.tools.candidate import Candidate
from napari_tool_runner.tools.checker import check_tool
from napari_tool_runner.tools.dialect import JobPaths
from napari_tool_runner.tools.model import Severity, Tool
from napari_tool_runner.tools.toolbox.entries import make_entry
from napari_tool_runner.tools.tree import map_data

TAGS = [
    *("tool", "description", "requirements", "package", "container", "requirement", "command"),
    *(
        "inputs",
        "param",
        "option",
        "outputs",
        "data",
        "collection",
        "tests",
        "test",
        "output",
        "help",
    ),
    *("citations", "citation", "conditional", "when", "xrefs", "xref", "creator", "x"),
]
ATTRIBUTES = [
    *("id", "name", "version", "type", "argument", "format", "label", "help", "optional", "value"),
    *("min", "max", "multiple", "checked", "truevalue", "falsevalue", "selected", "layer"),
    *("ndim", "axes", "unit", "step", "reference", "join", "file", "compare", "env", "init"),
]
KINDS = [
    *("data", "integer", "float", "number", "select", "bool"),
    *("boolean", "string", "text", "color", "hidden", "merge"),
]
XML_CHARACTERS = st.characters(
    exclude_categories=["Cs", "Cc"], include_characters="\n\t", exclude_characters="\ufffe\uffff"
)
WORDS = st.sampled_from(
    [
        *KINDS,
        *("true", "false", "yes", "no", "1", "-1", "1e400", "nan", "2 3", "9" * 5000, ""),
        *("imagetiff", "tablecsv", "raw", "-x", "--n-iter", "x", "${x}", "$x", "'", "conda"),
        *("docker", "labels|image", "../../x", "https://example.org", "a && b"),
        "prog -i ${x} --o ${o}",
    ]
)
TEXTS = st.one_of(WORDS, st.text(XML_CHARACTERS, max_size=20))


@st.composite
def elements(draw: st.DrawFn, tag: str = "tool", depth: int = 4) -> Element:
    element = Element(tag)
    for name in draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=5, unique=True)):
        element.set(name, draw(TEXTS))
    element.text = draw(TEXTS)
    if depth:
        tags = {"inputs": ["param"], "outputs": ["data"], "tests": ["test"]}.get(tag, TAGS)
        for child in draw(st.lists(st.sampled_from(tags), max_size=4)):
            element.append(draw(elements(tag=child, depth=depth - 1)))
    if tag == "tool" and depth == 4 and draw(st.booleans()):
        SubElement(element, "command").text = draw(TEXTS)
    return element


@settings(max_examples=60)
@given(elements())
def test_any_descriptor_reads(element: Element) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.xml"
        path.write_bytes(tostring(element, "utf-8"))
        tool = read_descriptor(Candidate(path))
        made = make_entry(path, Path(folder), "box")
        assert len(made.entries) == 1
        assert isinstance(tool, Tool)
        assert tool.id
        assert tool.name
        assert all(note.what and note.where for note in tool.notes)
        names = [parameter.name for parameter in tool.parameters()]
        assert len(names) == len(set(names))
        report = check_tool(tool)
        assert report.usable is not any(note.severity is Severity.ERROR for note in report.notes)
        _use(tool, Path(folder))


def _use(tool: Tool, folder: Path) -> None:
    """Bind and render; only errors with a sentence may come."""
    try:
        bound = bind(tool, {})
        values = map_data(tool.inputs, bound, data_file)
        rendered = dialects["bioimageit"].render(tool, values, JobPaths(folder), {})
    except (ParameterError, TemplateError) as error:
        assert error.message  # noqa: PT017
        return
    assert all(isinstance(argument, str) for argument in rendered.argv)
    assert all(planned.path.parent == folder / "outputs" for planned in rendered.outputs)
    assert len({planned.path for planned in rendered.outputs}) == len(rendered.outputs)
