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
        tools, image = folder / "tools", folder / "small.tif"
        tools.mkdir()
        script = tools / "blur.py"
        script.write_text(PROGRAM, encoding="utf-8")
        tifffile.imwrite(image, np.random.default_rng(1).random((64, 64), np.float32))

        def bare() -> None:
            words = [sys.executable, str(script), str(image), str(folder / "bare.tif")]
            subprocess.run(words, check=True)

        for enclose in (True, False):
            tool = _tool(tools / "blur.xml", f"python '{script}'")
            shell = tools / "blur.sh"
            shell.write_text(f"exec python '{script}' \"$@\"", encoding="utf-8")
            by_shell = _tool(tools / "by_shell.xml", f"sh '{shell}'")

            def job(
                *, warm: bool, tool: ntr.Tool = tool, enclose: bool = enclose
            ) -> ntr.JobResult:
                runner = {"service": "LOCAL", "enclose": enclose, "warm": warm}
                return ntr.run(tool, input=image, config={"runner": runner}, cache=False)

            for one in (tool, by_shell):
                warmed(lambda job=job, one=one: job(warm=True, tool=one))
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
            yield compare(
                f"the same, {where} (by a shell, so that a program hands it over)",
                lambda job=job: job(warm=True),
                lambda job=job, one=by_shell: job(warm=True, tool=one),
                aim=0.9,
                repeats=repeats,
            )


def _tool(path: Path, command: str) -> ntr.Tool:
    path.write_text(DESCRIPTOR.format(command=command), encoding="utf-8")
    return ntr.read_tool(path)
