"""Many small items through the command line, against ``xargs -P2`` on the same program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Comparison, Unavailable

DESCRIPTOR = """<tool id="trivial" name="Trivial" version="1">
  <command>python '$__tool_directory__/trivial.py' ${input} ${output}</command>
  <inputs><param name="input" type="data" format="txt"/></inputs>
  <outputs><data name="output" format="txt"/></outputs>
</tool>
"""
PROGRAM = "import sys\nopen(sys.argv[2], 'w').write(open(sys.argv[1]).read())\n"
FILES = 256
"""Descriptors that a process may have open, as on a Mac."""


def run(*, quick: bool) -> Iterator[Comparison]:
    if sys.platform == "win32" or shutil.which("xargs") is None:
        raise Unavailable("it needs xargs")
    count = 40 if quick else 2000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        for below in ("tools", "in", "bare"):
            (folder / below).mkdir()
        (folder / "tools" / "trivial.xml").write_text(DESCRIPTOR, encoding="utf-8")
        (folder / "tools" / "trivial.py").write_text(PROGRAM, encoding="utf-8")
        for number in range(count):
            (folder / "in" / f"{number:05d}.txt").write_text(str(number), encoding="utf-8")
        program = f"ls in | xargs -P2 -I@ '{sys.executable}' tools/trivial.py in/@ bare/@"
        code = "from napari_tool_runner.cli import main; raise SystemExit(main())"
        ours = (
            f"ulimit -n {FILES} && exec '{sys.executable}' -c '{code}' batch tools/trivial.xml "
            "input='in/*.txt' --output-dir ours --jobs 2 --no-cache"
        )
        seconds = []
        for words in (ours, program):
            begun = time.perf_counter()
            subprocess.run(
                ["bash", "-c", words], cwd=folder, check=True, stderr=subprocess.DEVNULL
            )
            seconds.append(time.perf_counter() - begun)
        made = [len(list((folder / below).iterdir())) for below in ("ours", "bare")]
        assert made == [count, count], made
        kept = folder / "data" / "napari-tool-runner" / "jobs"
        left = sum(len(files) for _, _, files in os.walk(kept)) / count
    yield Comparison(f"{count} trivial items, --jobs 2 (xargs -P2)", *seconds, 2.0, 1)
    # not seconds: what the job's folder holds besides the copy that was asked for
    yield Comparison(f"files left by each of {count} items (one)", left, 1.0, 1.0, 1)
