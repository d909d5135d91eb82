"""What a run costs that is forked from a process which has imported what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

import napari_tool_runner as ntr
from benchmarks.measure import Comparison, Unavailable, compare

DESCRIPTOR = """<tool id="blur" name="Blur" version="1">
  <command>{command} ${{input}} ${{output}}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="imagetiff" layer="image"/></outputs>
</tool>
"""
PROGRAM = """import sys
import skimage.filters
import tifffile

tifffile.imwrite(sys.argv[2], skimage.filters.gaussian(tifffile.imread(sys.argv[1]), 2))
"""


def warmed(job: Callable[[], ntr.JobResult]) -> ntr.JobResult:
    """Run `job` until its program starts warm; return that result."""
    deadline = time.monotonic() + 120
    while not (result := job()).record["runner"].get("warm"):
        if time.monotonic() > deadline:
            raise Unavailable("this program does not start warm here")
        time.sleep(0.5)
    return result


def run(*, quick: bool) -> Iterator[Comparison]:
    if sys.platform != "linux":
        raise Unavailable("programs start cold on this system")
    repeats = 3 if quick else 15
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        script, image = folder / "blur.py", folder / "small.tif"
        script.write_text(PROGRAM, encoding="utf-8")
        tifffile.imwrite(image, np.random.default_rng(1).random((64, 64), np.float32))

        def bare() -> None:
            words = [sys.executable, str(script), str(image), str(folder / "bare.tif")]
            subprocess.run(words, check=True)

        for enclose in (True, False):
            descriptor = folder / "blur.xml"
            command = f"python '{script}'"
            descriptor.write_text(DESCRIPTOR.format(command=command), encoding="utf-8")
            tool = ntr.read_tool(descriptor)

            def job(
                *, warm: bool, tool: ntr.Tool = tool, enclose: bool = enclose
            ) -> ntr.JobResult:
                runner = {"service": "LOCAL", "enclose": enclose, "warm": warm}
                return ntr.run(tool, input=image, config={"runner": runner}, cache=False)

            warmed(lambda job=job: job(warm=True))
            where = "enclosed" if enclose else "not enclosed"
            for what, other in (
                ("cold", lambda job=job: job(warm=False)),
                ("the bare program", bare),
            ):
                yield compare(
                    f"a warm run of scikit-image on 64 × 64, {where} ({what})",
                    lambda job=job: job(warm=True),
                    other,
                    aim=0.15,
                    repeats=repeats,
                )
