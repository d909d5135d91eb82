"""A program on the GPU, within its walls and without, against the bare program.

Needs a GPU and a Python with PyTorch: the one that runs this.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tifffile

import napari_tool_runner as ntr
from benchmarks.bench_warm import warmed
from benchmarks.measure import Comparison, Unavailable, compare

DESCRIPTOR = """<tool id="gpu_blur" name="Blur on the GPU" version="1">
  <command>python '{script}' ${{input}} ${{output}}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="imagetiff" layer="image"/></outputs>
</tool>
"""
# a mean of 5 × 5, five times; what a CPU would answer instead is an error
PROGRAM = """import sys
import tifffile
import torch

image = torch.from_numpy(tifffile.imread(sys.argv[1]))[None, None].to("cuda")
for _ in range(5):
    image = torch.nn.functional.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
print("computed on", torch.cuda.get_device_name(image.device))
tifffile.imwrite(sys.argv[2], image[0, 0].cpu().numpy())
"""


def run(*, quick: bool) -> Iterator[Comparison]:
    if not os.path.exists("/dev/nvidia0"):
        raise Unavailable("there is no GPU of NVIDIA")
    if importlib.util.find_spec("torch") is None:
        raise Unavailable("PyTorch is not installed")
    repeats = 3 if quick else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        script, image = folder / "blur.py", folder / "image.tif"
        script.write_text(PROGRAM, encoding="utf-8")
        tifffile.imwrite(image, np.random.default_rng(1).random((1024, 1024), np.float32))
        descriptor = folder / "blur.xml"
        descriptor.write_text(DESCRIPTOR.format(script=script), encoding="utf-8")
        tool = ntr.read_tool(descriptor)

        def bare() -> None:
            words = [sys.executable, str(script), str(image), str(folder / "bare.tif")]
            subprocess.run(words, check=True, capture_output=True)

        def job(*, enclose: bool, warm: bool) -> ntr.JobResult:
            runner = {"service": "LOCAL", "enclose": enclose, "warm": warm}
            return ntr.run(tool, input=image, config={"runner": runner}, cache=False)

        bare()
        expected = tifffile.imread(folder / "bare.tif")
        for enclose, warm in ((False, False), (True, False), (True, True)):
            run_it = partial(job, enclose=enclose, warm=warm)
            result = warmed(run_it) if warm else run_it()
            # the same sums on the same card, whatever stands around the program
            np.testing.assert_array_equal(result.outputs["output"].data, expected)
            where = ("warm, " if warm else "") + ("enclosed" if enclose else "without walls")
            yield compare(
                f"a blur on the GPU, 1024 × 1024, {where} (the bare program)",
                run_it,
                bare,
                aim=0.4 if warm else 1.1,  # its CUDA context is made anew
                repeats=repeats,
            )
