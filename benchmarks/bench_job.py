"""A whole LOCAL job (export, run, load, record) against running its program by hand.

The first job of a session counts only where it is named. Both sides keep each result: who writes
over the last one has its memory, and finding new takes longer than writing.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

import napari_tool_runner as ntr
from benchmarks.measure import Comparison, compare

DESCRIPTOR = """<tool id="copy" name="Copy" version="1">
  <command>python '$__tool_directory__/copy_image.py' ${input} ${output}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="imagetiff" layer="image" reference="input"/></outputs>
</tool>
"""
PROGRAM = """import sys
import tifffile

tifffile.imwrite(sys.argv[2], tifffile.imread(sys.argv[1]))
"""


TINY = DESCRIPTOR.replace("python '$__tool_directory__/copy_image.py'", "cp")
# a session of its own for each measurement: what it imports at first is told apart
FIRST = """
import json, subprocess, sys, time
import numpy as np
import napari_tool_runner as ntr
from napari_tool_runner.config import load_config
from napari_tool_runner.jobs import begin, prepare
tool, image = ntr.read_tool(sys.argv[1]), np.zeros((16, 16), np.uint8)
begin(tool, load_config())  # as a form does that is opened and filled in
prepare(tool, {"input": image})
time.sleep(1)
begun = time.perf_counter()
np.asarray(ntr.run(tool, input=image, cache=False).outputs["output"].data).sum()
ours = time.perf_counter() - begun
begun = time.perf_counter()
subprocess.run(["cp", sys.argv[1], sys.argv[2]], check=True)
print(json.dumps([ours, time.perf_counter() - begun]))
"""


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        (folder / "copy.xml").write_text(DESCRIPTOR, encoding="utf-8")
        (folder / "copy_image.py").write_text(PROGRAM, encoding="utf-8")
        tool = ntr.read_tool(folder / "copy.xml")
        numbers = itertools.count()
        for side in (512, 4096):
            image = np.random.default_rng(0).integers(0, 4096, (side, side)).astype(np.uint16)
            source = folder / f"{side}.tif"

            def by_hand(image: np.ndarray = image, source: Path = source) -> None:
                result = folder / f"out{next(numbers)}.tif"
                tifffile.imwrite(source, image)
                program = [sys.executable, str(folder / "copy_image.py")]
                subprocess.run([*program, str(source), str(result)], check=True)
                np.asarray(tifffile.memmap(result, mode="r")).sum()

            def as_job(image: np.ndarray = image) -> None:
                result = ntr.run(tool, input=image, cache=False)
                np.asarray(result.outputs["output"].data).sum()

            yield compare(
                f"job on {side} × {side} uint16 (write, run, read by hand)",
                as_job,
                by_hand,
                aim=1.5,
                repeats=repeats,
            )
        (folder / "tiny.xml").write_text(TINY, encoding="utf-8")
        tiny, small = ntr.read_tool(folder / "tiny.xml"), np.zeros((16, 16), np.uint8)
        source, copy = folder / "512.tif", folder / "out.tif"
        for enclosed in (True, False):
            config = {"runner": {"service": "LOCAL", "enclose": enclosed}}

            def tiny_job(config: dict[str, object] = config) -> None:
                result = ntr.run(tiny, input=small, config=config, cache=False)
                np.asarray(result.outputs["output"].data).sum()

            yield compare(
                f"job of a tiny program, {'' if enclosed else 'not '}enclosed (the program)",
                tiny_job,
                lambda: subprocess.run(["cp", source, copy], check=True),
                aim=1.0,
                more=0.025,
                repeats=repeats * 3,
            )
        words = [sys.executable, "-c", FIRST, str(folder / "tiny.xml"), str(copy)]
        told = [
            json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
            for _ in range(3 if quick else 9)
        ]
        first, alone = (statistics.median(one) for one in zip(*told, strict=True))
        name = "the first job of a session with a form (the program)"
        yield Comparison(name, first, alone, 1.0, len(told), 0.15)
