"""The same run again, answered by an earlier one, against the run itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import napari_tool_runner as ntr
from benchmarks.measure import Comparison, compare

__all__ = ["run"]


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 20
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_DATA_HOME"] = f"{name}/data"
        config = {"workspace": str(Path(name) / "jobs"), "jobs": {"cache": True}}
        for side in (128, 2048):
            image = np.random.default_rng(0).integers(0, 4096, (side, side)).astype(np.uint16)

            def ask(*, cache: bool, image: np.ndarray = image) -> bool:
                result = ntr.run("gaussian_filter", input=image, config=config, cache=cache)
                return bool(result.record["earlier"])

            ask(cache=True)

            def answered() -> None:
                assert ask(cache=True)

            def computed() -> None:
                assert not ask(cache=False)

            yield compare(
                f"the same blur of {side} × {side} uint16 again (it is run)",
                answered,
                computed,
                aim=0.1,
                repeats=repeats,
            )
