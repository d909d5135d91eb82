"""A whole LOCAL job (export, run, load, record) against running its program by hand."""

from __future__ import annotations

import os
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


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        (folder / "copy.xml").write_text(DESCRIPTOR, encoding="utf-8")
        (folder / "copy_image.py").write_text(PROGRAM, encoding="utf-8")
        tool = ntr.read_tool(folder / "copy.xml")
        for side in (512, 4096):
            image = np.random.default_rng(0).integers(0, 4096, (side, side)).astype(np.uint16)
            source = folder / f"{side}.tif"

            def by_hand(image: np.ndarray = image, source: Path = source) -> None:
                tifffile.imwrite(source, image)
                program = [sys.executable, str(folder / "copy_image.py")]
                subprocess.run([*program, str(source), str(folder / "out.tif")], check=True)
                np.asarray(tifffile.memmap(folder / "out.tif")).sum()

            def as_job(image: np.ndarray = image) -> None:
                np.asarray(ntr.run(tool, input=image).outputs["output"].data).sum()

            yield compare(
                f"job on {side} × {side} uint16 (write, run, read by hand)",
                as_job,
                by_hand,
                aim=1.5,
                repeats=repeats,
            )
