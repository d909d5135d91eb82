"""Tests of the bioimageit dialect: values for parameters, and the outputs that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tool_runner.names import real_path
from napari_tool_runner.tools.bioimageit.parameters import parameter_name
from napari_tool_runner.tools.model import (
    DataOutput,
    DataParameter,
    Parameter,
    TestOutput,
    ToolTest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.common import Notes

__all__ = ["read_tests"]

_TEST_DATA = "test-data"


def read_tests(
    root: Element,
    folder: Path,
    inputs: tuple[Parameter, ...],
    outputs: tuple[DataOutput, ...],
    aliases: Mapping[str, str],
    notes: Notes,
) -> tuple[ToolTest, ...]:
    """Return the tests; data values are absolute paths in the folder's ``test-data``."""
    known = {parameter.name: parameter for parameter in inputs}
    names = {output.name for output in outputs}
    found: list[ToolTest] = []
    for index, element in enumerate(root.iterfind("tests/test")):
        here = notes.at(f"tests/test[{index + 1}]")
        if not len(element) and not element.attrib:
            here.info("", "It is empty and left out.")
            continue
        values: dict[str, object] = {}
        expected = []
        for child in element:
            if child.tag == "param":
                name = _test_name(child, aliases)
                parameter = known.get(name)
                if parameter is None:
                    here.warning(f"param[{name}]", "The tool has no such parameter.")
                    continue
                text = child.get("value", "")
                if isinstance(parameter, DataParameter):
                    values[name] = _test_data(parameter, text, folder, here.at(f"param[{name}]"))
                else:
                    values[name] = text
            elif child.tag == "output":
                name = _test_name(child, aliases)
                if name not in names:
                    here.warning(f"output[{name}]", "The tool has no such output.")
                    continue
                expected.append(_test_output(child, name, folder, here.at(f"output[{name}]")))
            else:
                here.warning(child.tag, f"<{child.tag}> is not part of this language.")
        found.append(
            ToolTest(
                index=len(found),
                values=values,
                outputs=tuple(expected),
                expect_failure=element.get("expect_failure", "").lower() == "true",
                extra={
                    key: value for key, value in element.attrib.items() if key != "expect_failure"
                },
            )
        )
    return tuple(found)


def _inside_test_data(folder: Path, name: str) -> Path | None:
    """Return ``test-data/name`` of `folder`; None when it would lie outside."""
    base = real_path(folder / _TEST_DATA)
    path = real_path(base / name)
    return path if path.is_relative_to(base) and path != base else None


def _test_name(element: Element, aliases: Mapping[str, str]) -> str:
    name = parameter_name(element)
    return aliases.get(element.get("name", "").strip(), aliases.get(name, name))


def _test_data(parameter: DataParameter, text: str, folder: Path, notes: Notes) -> object:
    names = [part.strip() for part in text.split(",")] if parameter.multiple else [text.strip()]
    paths: list[str] = []
    for name in names:
        if not name:
            continue
        path = _inside_test_data(folder, name)
        if path is None:
            notes.warning("", f"“{name}” lies outside {_TEST_DATA}; it is left out.")
        else:
            paths.append(str(path))
    if parameter.multiple:
        return paths
    return paths[0] if paths else None


def _test_output(element: Element, name: str, folder: Path, notes: Notes) -> TestOutput:
    file = element.get("file", "").strip()
    if file:
        path = _inside_test_data(folder, file)
        if path is None:
            notes.warning("", f"“{file}” lies outside {_TEST_DATA}; it is left out.")
        file = str(path or "")
    used = {"name", "file", "value", "compare"}
    return TestOutput(
        name=name,
        file=file,
        value=element.get("value", "").strip(),
        compare=element.get("compare", "").strip(),
        attributes={key: text for key, text in element.attrib.items() if key not in used},
    )
