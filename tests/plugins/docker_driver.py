"""A program that uses DOCKER as napari does, to be killed by tests.

``docker_driver.py HOST FOLDER IMAGE PROGRAM…`` runs one job, prints its lines, then
``finished CODE``, and waits for a line on its input before it ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docker_engine import make_job, run_job

from napari_tool_runner.plugins import OutputLine
from napari_tool_runner.plugins.runner_docker import DockerRunnerService


def main(host: str, folder: str, image: str, *argv: str) -> None:
    service = DockerRunnerService({"host": host})
    job = make_job(Path(folder), image)
    job.context.report = lambda event: (
        print(event.text, flush=True) if isinstance(event, OutputLine) else None
    )
    print("finished", run_job(service, job, *argv), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
