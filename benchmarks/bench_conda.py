"""CONDA jobs against bare starts and shell activation; environments against py-rattler alone."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Comparison, Unavailable, compare
from napari_tool_runner.plugins import ExecContext, Process
from napari_tool_runner.plugins.runner_conda import CondaRunnerService
from napari_tool_runner.tools.model import PackageRequirement, Tool

# what a small image tool does before it sees its image
PROGRAM = ["python", "-c", "import argparse, json, logging, pathlib, ssl, subprocess"]
SPECS = ["python", "demo-tool"]
BARE = """
import asyncio, os, sys
from pathlib import Path
import rattler

async def main(channel, cache, prefix, *specs):
    cache = Path(cache)
    client = rattler.Client.default_client()
    gateway = rattler.Gateway(cache_dir=cache / "repodata", client=client)
    records = await rattler.solve(
        [channel], specs, gateway=gateway, virtual_packages=rattler.VirtualPackage.detect()
    )
    await rattler.install(
        records, prefix, cache_dir=cache / "packages", client=client, show_progress=False
    )

asyncio.run(main(*sys.argv[1:]))
os._exit(0)  # the library's threads may break the end of an interpreter
"""


def run(*, quick: bool) -> Iterator[Comparison]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        channel = folder / "channel"
        # apart: the library's threads may break the end of an interpreter
        builds = [sys.executable, "-m", "tests.plugins.conda_channel", "--python", str(channel)]
        built = subprocess.run(builds, capture_output=True, text=True)
        if built.returncode:
            why = built.stderr.strip().rpartition("\n")[2]
            raise Unavailable(f"run it from the top of the repository: no channel ({why})")
        yield from _jobs(folder, channel.as_uri(), 5 if quick else 100)
        yield from _environments(folder, channel.as_uri(), 2 if quick else 15)


def _jobs(folder: Path, channel: str, repeats: int) -> Iterator[Comparison]:
    service = CondaRunnerService({"channels": [channel], "environments_dir": str(folder / "envs")})
    prefix = _job(service, folder, PROGRAM)
    path = {**os.environ, "PATH": f"{prefix}/bin:{os.environ['PATH']}"}
    by_path = [f"{prefix}/bin/python", *PROGRAM[1:]]
    script = f'. "{prefix}/etc/conda/activate.d/demo.sh" && exec python "$@"'
    activated = ["bash", "-c", f'export CONDA_PREFIX="{prefix}"; {script}', "bash", *PROGRAM[1:]]
    yield compare(
        "set_up + exec + tear_down (the program by its path)",
        lambda: _job(service, folder, PROGRAM),
        lambda: subprocess.run(by_path, capture_output=True, check=True),
        aim=1.1,
        repeats=repeats,
    )
    yield compare(
        "the same (bash, activation scripts, program)",
        lambda: _job(service, folder, PROGRAM),
        lambda: subprocess.run(activated, capture_output=True, check=True, env=path),
        aim=1.0,
        repeats=repeats,
    )


def _environments(folder: Path, channel: str, repeats: int) -> Iterator[Comparison]:
    from rattler.shell import ActivationVariables, Shell, activate

    numbers = itertools.count()

    def rattler_alone(cache: Path | None) -> None:
        fresh = folder / f"bare{next(numbers)}"
        prefix = fresh / "prefix"
        words = [channel, str(cache or fresh / "cache"), str(prefix), *SPECS]
        subprocess.run([sys.executable, "-I", "-c", BARE, *words], check=True)
        script = activate(prefix, ActivationVariables(), Shell.bash).script
        subprocess.run(["bash", "-c", f"{script}\nenv"], capture_output=True, check=True)

    def ours(warm: bool) -> None:
        # a spec that excludes nothing makes it another environment of the same packages
        fresh = next(numbers)
        place = folder / "warm" if warm else folder / f"ours{fresh}"
        config = {"channels": [channel], "environments_dir": str(place)}
        requirement = PackageRequirement(text=f"{' '.join(SPECS)}!=0.{fresh}")
        _job(CondaRunnerService(config), folder, [], requirement)

    for warm, name in ((False, "all downloaded and unpacked"), (True, "packages cached")):
        cache = folder / "barecache" if warm else None
        yield compare(
            f"new environment, {name} (rattler in a process of its own, activation in bash)",
            lambda warm=warm: ours(warm),
            lambda cache=cache: rattler_alone(cache),
            aim=1.1 if not warm else 1.5,
            repeats=repeats,
        )


def _job(
    service: CondaRunnerService,
    folder: Path,
    args: list[str],
    requirement: PackageRequirement | None = None,
) -> str:
    requirement = requirement or PackageRequirement(text=" ".join(SPECS))
    tool = Tool(id="bench", name="bench", requirements=(requirement,))
    process = Process(tool, context=ExecContext(folder, folder / "tmp", folder / "home"))
    service.set_up(process)
    try:
        code = service.exec(process, args) if args else 0
    finally:
        service.tear_down(process)
    assert code == 0, code
    assert process.context is not None
    found = process.context.provenance["environment"]
    assert isinstance(found, dict)
    return str(found["prefix"])
