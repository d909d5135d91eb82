"""Small tools written on the spot: a descriptor and the Python script it runs."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tool_runner.tools import Tool, read_tool

MakeTool = Callable[..., Tool]

INVERT = """
import sys, tifffile
image = tifffile.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], image.max() - image)
"""


@pytest.fixture
def make_tool(tmp_path: Path) -> MakeTool:
    """Return a function that writes a tool and reads it.

    ``make_tool(script, inputs=…, outputs=…, arguments=…)``: inner XML of the descriptor
    and the arguments of the script.
    """

    def make(
        script: str,
        *,
        inputs: str = '<param name="i" type="data" format="imagetiff" label="Image"/>',
        outputs: str = '<data name="o" format="imagetiff" label="Output image"/>',
        arguments: str = "${i} ${o}",
        requirements: str = "",
        tests: str = "",
        name: str = "invert",
        root: str = "",
    ) -> Tool:
        folder = tmp_path / "tools" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(script))
        descriptor = folder / f"{name}.xml"
        descriptor.write_text(
            f'<tool id="{name}" name="{name.title()}" version="1.0" {root}>'
            f"<description>a test tool</description><requirements>{requirements}</requirements>"
            f"<command>python '$__tool_directory__/{name}.py' {arguments}</command>"
            f"<inputs>{inputs}</inputs><outputs>{outputs}</outputs><tests>{tests}</tests></tool>"
        )
        return read_tool(descriptor)

    return make


@pytest.fixture
def config(tmp_path: Path) -> dict[str, object]:
    """A configuration whose jobs live below `tmp_path`, which consents to the tools there."""
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    return {"workspace": str(tmp_path / "jobs"), "process": {"xml_dirs": [str(tools)]}}
