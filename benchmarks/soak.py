"""Many jobs in one session: memory, descriptors, threads, processes and disk stay flat.

``python -m benchmarks.soak [--jobs 1000] [--side 512]`` runs a small tool and prints what the
session holds, from time to time; exit 1 when one of it grows. ``--leave``: nobody asks for the
results; ``--viewer``: they are layers of napari's model of a viewer for a while.
``--descriptors N`` runs under that limit.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

import napari_tool_runner as ntr
from napari_tool_runner.jobs import job_manager
from napari_tool_runner.jobs.viewer import add_result

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["Held", "grown", "soak"]

DESCRIPTOR = """<tool id="copy" name="Copy" version="1">
  <command>cp ${input} ${output}</command>
  <inputs><param name="input" type="data" format="imagetiff" layer="image"/></inputs>
  <outputs><data name="output" format="imagetiff" layer="image" reference="input"/></outputs>
</tool>
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a session holds at a moment; `memory` in MB."""

    memory: float
    descriptors: int
    threads: int
    processes: int
    jobs: int
    files: int  # besides those of the jobs

    @classmethod
    def now(cls, data: Path) -> Held:
        gc.collect()
        process = psutil.Process()
        return cls(
            process.memory_info().rss / 1e6,
            process.num_fds() if os.name == "posix" else process.num_handles(),
            threading.active_count(),
            len(process.children(recursive=True)),
            len(job_manager().jobs),
            sum(1 for one in data.iterdir() if one.name != "jobs" for _ in one.rglob("*")),
        )


def soak(jobs: int, side: int, folder: Path, *, every: int, how: str = "take") -> list[Held]:
    """Run `jobs` jobs on images of `side` pixels; return what was held, `every` so often.

    `how`: every result is asked for and dropped (take), shown and removed (view), or nobody
    ever asks (leave).
    """
    (folder / "copy.xml").write_text(DESCRIPTOR, encoding="utf-8")
    tool = ntr.read_tool(folder / "copy.xml")
    config = {"workspace": str(folder / "jobs")}
    found: list[Held] = []
    begun, first = time.monotonic(), None
    for number in range(1, jobs + 1):
        image = np.full((side, side), number % 250, np.uint8)
        job = ntr.submit(tool, input=image, config=config, cache=False)
        first = job if number == 1 else first
        if how == "view":
            _show(job, number % 250)
        elif how == "take":
            assert np.asarray(job.result().outputs["output"].data)[0, 0] == number % 250
        else:
            job.wait()
        if number % every == 0:
            found.append(Held.now(folder))
            print(f"{number:6} {time.monotonic() - begun:6.0f} s  {found[-1]}", flush=True)
    assert first is not None
    again = first.result().outputs["output"].data  # opened again from its files
    assert np.asarray(again)[0, 0] == 1
    return found


def _show(job: ntr.Job, expected: int) -> None:
    """Let the result be a layer, be looked at, and go."""
    viewer = _viewer()
    added = add_result(viewer, job.result(), job)
    (layer,) = added.layers
    assert np.asarray(layer.data)[0, 0] == expected
    viewer.layers.remove(layer)


@functools.cache
def _viewer() -> ViewerModel:
    from napari.components import ViewerModel

    return ViewerModel()


def grown(found: list[Held], first: int = 1) -> list[str]:
    """Return a sentence for everything that grew after the measurement `first`."""
    then, now = found[first], found[-1]
    room = {"memory": 15 + 0.03 * then.memory, "descriptors": 3, "threads": 3}
    return [
        f"{name}: {getattr(then, name):.0f} → {getattr(now, name):.0f}"
        for name in (field.name for field in fields(Held))
        if getattr(now, name) > getattr(then, name) + room.get(name, 0)
    ]


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--descriptors", type=int, default=0, help="limit of open files")
    parser.add_argument(
        "--leave",
        dest="how",
        action="store_const",
        const="leave",
        default="take",
        help="never ask for the results",
    )
    parser.add_argument(
        "--viewer",
        dest="how",
        action="store_const",
        const="view",
        help="show each result, and remove it",
    )
    options = parser.parse_args()
    if options.descriptors:
        import resource

        limits = (options.descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with tempfile.TemporaryDirectory() as name:
        for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"):
            os.environ[variable] = f"{name}/{variable.lower()}"
        Path(os.environ["TMPDIR"]).mkdir()
        tempfile.tempdir = None
        every = max(1, options.jobs // 20)
        # what is filled once (caches, the jobs that are remembered) is full after a tenth
        found = soak(options.jobs, options.side, Path(name), every=every, how=options.how)
        problems = grown(found, first=max(1, min(len(found) - 1, 60 // every)))
    print("\n".join(problems) or "Nothing grew.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
