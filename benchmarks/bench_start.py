"""What the package adds to the start of an interpreter, of napari and of the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

from benchmarks.measure import Comparison, compare


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 15
    yield compare(
        "import napari_tool_runner (starting Python)",
        python("import napari_tool_runner"),
        python("import importlib.metadata"),
        aim=1.5,
        repeats=repeats,
    )
    yield compare(
        "napari-tool-runner list (starting Python)",
        python("from napari_tool_runner.cli import main; main(['list'])"),
        python("import importlib.metadata"),
        aim=10,
        repeats=repeats,
    )


def python(statement: str) -> Callable[[], object]:
    """Return what runs `statement` in a fresh interpreter."""

    def once() -> object:
        return subprocess.run(
            [sys.executable, "-c", statement], check=True, stdout=subprocess.DEVNULL
        )

    return once
