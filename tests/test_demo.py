"""The README's first command, as far as a person sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread


@pytest.mark.viewer
@pytest.mark.slow
def test_the_demo_makes_its_picture(tmp_path: Path) -> None:
    pytest.importorskip("napari")
    picture = tmp_path / "demo.png"
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    run = subprocess.run(
        [sys.executable, "-m", "napari_tool_runner.cli", "demo", "--screenshot", str(picture)],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    image = imread(picture)[..., :3]
    height, width = image.shape[:2]
    canvas = image[height // 10 : -height // 10, width // 4 : -width // 3]
    # a canvas that was not drawn is black; the labels of the result have many colours
    assert canvas.mean() > 20
    assert len(np.unique(canvas.reshape(-1, 3) // 32, axis=0)) > 40
