"""Runs the tests of a bundled tool with nothing but its descriptor and its script.

No reader, no job engine: the templates of the bundled tools are so plain that a
replacement does it. What the package makes of the same descriptors is tested elsewhere.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import napari_tool_runner

TOOLS = Path(napari_tool_runner.__file__).parent / "bundled_tools"
EXTENSIONS = {"imagetiff": ".tif", "tablecsv": ".csv", "geojson": ".geojson", "ply": ".ply"}


@dataclass
class DirectRun:
    """What one run of a script gave."""

    process: subprocess.CompletedProcess[str]
    outputs: dict[str, Path]
    seconds: float


def needs_environment(path: Path) -> bool:
    """Whether a tool asks for packages: no walk runs it, for that would install them."""
    return ElementTree.parse(path).getroot().find("requirements") is not None


def descriptors(*, apart: bool = False) -> list[Path]:
    """Return the tools that run with this Python; `apart`: those with an environment."""
    ours = (p for p in TOOLS.glob("*/*.xml") if not p.parent.name.startswith("galaxy_"))
    return sorted(path for path in ours if needs_environment(path) is apart)


def descriptor(name: str) -> Path:
    return TOOLS / name / f"{name}.xml"


def tests_of(path: Path) -> list[ElementTree.Element]:
    return ElementTree.parse(path).getroot().findall("tests/test")


def defaults(root: ElementTree.Element) -> dict[str, str]:
    values = {}
    for param in root.findall("inputs/param"):
        options = param.findall("option")
        chosen = [o for o in options if o.get("selected") == "true"] or options[:1]
        values[param.get("name", "")] = (
            chosen[0].get("value", "") if chosen else param.get("value", "")
        )
    return values


def prepared(
    path: Path, values: dict[str, object], folder: Path
) -> tuple[list[str], dict[str, Path]]:
    """Return the arguments after ``python``, and where the outputs go: into `folder`."""
    root = ElementTree.parse(path).getroot()
    names = {param.get("name", "") for param in root.findall("inputs/param")}
    assert {*values} - {"sizes", "axes", "layer"} <= names, set(values) - names
    outputs = {
        data.get("name", ""): folder / (data.get("name", "") + EXTENSIONS[data.get("format", "")])
        for data in root.findall("outputs/data")
    }
    filled = {**defaults(root), **values, **outputs}
    argv = []
    for token in shlex.split(root.findtext("command", "")):
        token = token.replace("$__tool_directory__", str(path.parent))
        token = re.sub(
            r"\$\{\w+\.(sizes|axes|layer)\}", lambda m: str(values.get(m[1], "")), token
        )
        for name, value in filled.items():
            token = token.replace(f"${{{name}}}", str(value))
        assert "$" not in token, token
        if not token.endswith("="):  # an option goes with its value
            argv.append(token)
    assert argv[0] == "python"
    return argv[1:], outputs


def run(path: Path, values: dict[str, object], folder: Path) -> DirectRun:
    """Run the tool of the descriptor `path` with `values`; outputs go into `folder`."""
    argv, outputs = prepared(path, values, folder)
    start = time.monotonic()
    process = subprocess.run(
        [sys.executable, *argv], capture_output=True, text=True, check=False, cwd=folder
    )
    return DirectRun(process, outputs, time.monotonic() - start)


def run_test(path: Path, test: ElementTree.Element, folder: Path) -> DirectRun:
    """Run one ``<test>`` of the descriptor `path`."""
    root = ElementTree.parse(path).getroot()
    data = {p.get("name") for p in root.findall("inputs/param") if p.get("type") == "data"}
    values: dict[str, object] = {}
    for param in test.findall("param"):
        name, value = param.get("name", ""), param.get("value", "")
        values[name] = path.parent / "test-data" / value if name in data else value
    return run(path, values, folder)
