"""What the package adds to the start of an interpreter, and the command line to a program."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Comparison, compare

TINY = """<tool id="tiny" name="Tiny" version="1">
  <command>cp ${input} ${output}</command>
  <inputs><param name="input" type="data" format="txt"/></inputs>
  <outputs><data name="output" format="txt"/></outputs>
</tool>
"""


def run(*, quick: bool) -> Iterator[Comparison]:
    repeats = 3 if quick else 15
    yield compare(
        "import napari_tool_runner (starting Python)",
        python("import napari_tool_runner"),
        python("pass"),
        aim=2.0,
        repeats=repeats,
    )
    yield compare(
        "napari-tool-runner list (starting Python)",
        python("from napari_tool_runner.cli import main; main()", "list"),
        python("pass"),
        aim=1.0,
        more=0.15,
        repeats=repeats,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tools").mkdir()
        tool, source = folder / "tools" / "tiny.xml", folder / "a.txt"
        tool.write_text(TINY, encoding="utf-8")
        source.write_text("a", encoding="utf-8")
        places = {"XDG_DATA_HOME": folder / "data", "XDG_CACHE_HOME": folder / "cache"}
        os.environ.update({key: str(place) for key, place in places.items()})
        call = ["run", str(tool), f"input={source}", "--quiet", "--no-cache"]
        yield compare(
            "napari-tool-runner run of a tiny tool (its program alone)",
            python("from napari_tool_runner.cli import main; main()", *call),
            lambda: subprocess.run(["cp", source, folder / "b.txt"], check=True),
            aim=1.0,
            more=0.15,
            repeats=repeats,
        )


def python(statement: str, *words: str) -> Callable[[], object]:
    """Return what runs `statement` in a fresh interpreter, whose arguments are `words`."""

    def once() -> object:
        return subprocess.run(
            [sys.executable, "-c", statement, *words], check=True, stdout=subprocess.DEVNULL
        )

    return once
