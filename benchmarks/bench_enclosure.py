"""What the walls around a program cost: an enclosed job against one without walls."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

import napari_tool_runner as ntr
from benchmarks.measure import Comparison, Unavailable, compare
from napari_tool_runner.plugins.programs.enclosure import enclosure_problem

DESCRIPTOR = """<tool id="look" name="Look" version="1">
  <command>{program} ${{input}} ${{output}}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="txt"/></outputs>
</tool>
"""
PROGRAM = """import sys
import tifffile

open(sys.argv[2], "w").write(str(tifffile.imread(sys.argv[1]).max()))
"""


def run(*, quick: bool) -> Iterator[Comparison]:
    if reason := enclosure_problem():
        raise Unavailable(reason)
    repeats = 3 if quick else 30
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        (folder / "look.py").write_text(PROGRAM, encoding="utf-8")
        small, large = folder / "small.tif", folder / "large.tif"
        tifffile.imwrite(small, np.zeros((64, 64), np.uint16))
        tifffile.imwrite(large, np.zeros((10_000, 10_000), np.uint16))
        python = "python '$__tool_directory__/look.py'"
        for what, program, source, more in (
            ("64 × 64, a program that does nothing", "cp", small, 0.01),
            ("64 × 64, numpy and tifffile", python, small, 0.01),
            # lent through a read-only mount, against a copy of 200 MB
            ("200 MB, numpy and tifffile", python, large, 0.0),
        ):
            descriptor = folder / "look.xml"
            descriptor.write_text(DESCRIPTOR.format(program=program), encoding="utf-8")
            tool = ntr.read_tool(descriptor)

            def job(*, enclose: bool, tool: ntr.Tool = tool, source: Path = source) -> None:
                runner = {"service": "LOCAL", "enclose": enclose}
                ntr.run(tool, input=source, config={"runner": runner}, cache=False)

            yield compare(
                f"enclosed job on {what} (the same without walls)",
                lambda: job(enclose=True),
                lambda: job(enclose=False),
                aim=1.0,
                more=more,  # walls cost the same, whatever runs in them
                repeats=repeats,
            )
