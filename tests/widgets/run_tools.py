"""Real little programs with their descriptors, for runs from the form."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.tools import read_tool

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

INVERT = """
import sys
import tifffile
source, target = sys.argv[1:3]
tifffile.imwrite(target, 255 - tifffile.imread(source))
print("inverted")
"""

SLEEP = """
import os, sys, time
print("pid", os.getpid(), flush=True)
for step in range(600):
    print(f"step {step}/600", flush=True)
    time.sleep(0.1)
"""

STUBBORN = (
    """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
"""
    + SLEEP
)

FAIL = """
import sys
print("reading the image")
print("no such threshold method", file=sys.stderr)
sys.exit(3)
"""

FLOOD = """
for number in range(50000):
    print("line", number)
"""

MEASURE = """
import sys
import numpy as np, tifffile
labels = tifffile.imread(sys.argv[1])
with open(sys.argv[2], "w") as out:
    out.write("label,area\\n")
    for label in np.unique(labels[labels > 0]):
        out.write(f"{label},{(labels == label).sum()}\\n")
"""


def make_tool(
    folder: Path,
    script: str,
    *,
    name: str = "small",
    inputs: str = "",
    outputs: str = "",
    arguments: str = "",
) -> Tool:
    """Write a program and its descriptor into `folder`, and read the tool."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(script), encoding="utf-8")
    path = folder / f"{name}.xml"
    path.write_text(
        f"""<tool id="{name}" name="{name.capitalize()}" version="1.0">
  <description>A tool of the tests</description>
  <command>python '$__tool_directory__/{name}.py' {arguments}</command>
  <inputs>{inputs}</inputs>
  <outputs>{outputs}</outputs>
</tool>
""",
        encoding="utf-8",
    )
    return read_tool(path)


def invert_tool(folder: Path, *, more: str = "") -> Tool:
    return make_tool(
        folder,
        INVERT,
        name="invert",
        inputs='<param name="i" type="data" format="imagetiff" layer="image" label="Image"/>'
        f'<param name="n" type="integer" value="3" label="Number"/>{more}',
        outputs='<data name="o" format="imagetiff" layer="image" label="Inverted"/>',
        arguments="${i} ${o}",
    )


def sleep_tool(folder: Path, *, stubborn: bool = False) -> Tool:
    return make_tool(folder, STUBBORN if stubborn else SLEEP, name="sleeper")


def fail_tool(folder: Path) -> Tool:
    return make_tool(folder, FAIL, name="failer")


def flood_tool(folder: Path) -> Tool:
    return make_tool(folder, FLOOD, name="flood")


def measure_tool(folder: Path, *, join: str = "labels") -> Tool:
    return make_tool(
        folder,
        MEASURE,
        name="measure",
        inputs='<param name="labels" type="data" format="imagetiff" layer="labels"'
        ' label="Objects"/>',
        outputs=f'<data name="t" format="tablecsv" layer="table" join="{join}" label="Sizes"/>',
        arguments="${labels} ${t}",
    )
