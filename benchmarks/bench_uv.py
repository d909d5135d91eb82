"""UV jobs against bare starts; environments from PyPI against uv alone, with all downloaded."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import Comparison, Unavailable, compare
from napari_tool_runner.plugins import ExecContext, Process
from napari_tool_runner.plugins.runner_uv import UvRunnerService
from napari_tool_runner.tools.model import PythonRequirement, Tool

# what a small image tool does before it sees its image
PROGRAM = ["python", "-c", "import argparse, json, logging, pathlib, ssl, subprocess, many_0"]
_MODULES = 400


def run(*, quick: bool) -> Iterator[Comparison]:
    """Compare with an index that is a folder."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "plugins"))
    try:
        from pypi_index import wheel
    except ImportError as error:
        raise Unavailable(f"run it from the top of the repository: {error}") from error
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "index").mkdir()
        files = {f"many_{n}.py": b"def f(x):\n    return x\n" * 40 for n in range(_MODULES)}
        for one in (wheel("many", "1.0", files=files), wheel("tiny", "1.0", needs=["many"])):
            (folder / "index" / one.name).write_bytes(one.content)
        told = {"UV_FIND_LINKS": str(folder / "index"), "UV_NO_INDEX": "1"}
        with patch.dict(os.environ, told):
            yield from _compared(folder, quick=quick)


def _compared(folder: Path, *, quick: bool) -> Iterator[Comparison]:
    from uv import find_uv_bin

    uv, numbers = find_uv_bin(), itertools.count()
    config = {"environments_dir": str(folder / "envs")}
    prefix = _job(config, folder, PROGRAM)
    by_path = [f"{prefix}/bin/python", *PROGRAM[1:]]
    yield compare(
        "set_up + exec + tear_down (the program by its path)",
        lambda: _job(config, folder, PROGRAM),
        lambda: subprocess.run(by_path, capture_output=True, check=True),
        aim=1.1,
        repeats=5 if quick else 100,
    )

    def ours() -> None:
        # a spec that excludes nothing makes it another environment of the same packages
        _job(config, folder, [], f"tiny!=0.{next(numbers)}")

    def bare() -> None:
        place = str(folder / f"bare{next(numbers)}")
        cache = ["-q", "--cache-dir", str(folder / "cache")]
        made = [uv, "venv", place, "--python", sys.executable, "--no-project", *cache]
        subprocess.run(made, check=True)
        words = ["--no-index", "--find-links", str(folder / "index"), "tiny"]
        subprocess.run([uv, "pip", "install", "--python", place, *cache, *words], check=True)

    yield compare(
        "new environment, packages cached (uv venv, uv pip install)",
        ours, bare, aim=1.2, repeats=2 if quick else 15, more=0.1,
    )  # fmt: skip


def _job(config: dict[str, object], folder: Path, args: list[str], wanted: str = "tiny") -> str:
    requirement = PythonRequirement(requirements=(wanted,))
    tool = Tool(id="bench", name="bench", requirements=(requirement,))
    process = Process(tool, context=ExecContext(folder, folder / "tmp", folder / "home"))
    with UvRunnerService(config).session(process) as session:
        code = session.exec(args) if args else 0
    assert code == 0, code
    assert process.context is not None
    found = process.context.provenance["environment"]
    assert isinstance(found, dict)
    return str(found["prefix"])
