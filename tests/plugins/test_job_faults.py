"""Jobs of the services that are killed, or find the disk full: nothing is lost or left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from docker_engine import BUSYBOX, Engine

from support import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="each run is a fork"),
    pytest.mark.timeout(240),
]


def try_faults(*words: str, options: dict[str, object]) -> None:
    command = [sys.executable, "-m", "benchmarks.faults", "--options", json.dumps(options), *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was lost" in done.stdout


@pytest.mark.docker
def test_jobs_in_containers(docker_engine: Engine) -> None:
    words = ["--runner=DOCKER", f"--image={BUSYBOX}", "--every=7"]
    try_faults(*words, options={"host": docker_engine.host})


@pytest.mark.conda
def test_jobs_in_environments(channel: Path) -> None:
    words = ["--runner=CONDA", "--package=demo-tool", "--every=9"]
    try_faults(*words, options={"channels": [channel.as_uri()]})
