"""A job that is killed, or finds the disk full, at each of its writes: nothing is lost or left.

``python -m benchmarks.faults [--runner LOCAL] [--every N]`` runs one small job again and
again (``--image``, ``--package``: what it requires). The n-th time the n-th thing that it
does on the disk (a file opened to write, a folder made, a name changed or removed, a program
started) kills the process, or fails like all later ones for want of space. Afterwards the
history has to list every folder, what is the user's has to be as it was, and what is left has
to go with what `clean` lists. Exit 1 when not.

POSIX only: each run is a fork of this process.
"""

from __future__ import annotations

import argparse
import errno
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tifffile

import napari_tool_runner as ntr
from benchmarks.soak import DESCRIPTOR
from napari_tool_runner.config import changed_config, load_config, save_config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import delete_job, history, reclaim, reclaimable
from napari_tool_runner.storage import write_json

__all__ = ["try_faults"]

KINDS = ("kill", "full")
_MAKES = frozenset({"open", "os.mkdir", "os.link", "os.symlink", "os.truncate"})
_CHANGES = _MAKES | {"os.rename", "os.remove", "os.rmdir", "subprocess.Popen", "os.posix_spawn"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_DIED = 137


class _Fault:
    """Counts what is done below `folder`; from the number `at` on it fails."""

    def __init__(self, folder: Path, kind: str, at: int) -> None:
        self._folder = str(folder)
        self._kind = kind
        self._at = at
        self.count = 0

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event not in _CHANGES or not self._is_ours(event, args):
            return
        self.count += 1
        if self.count < self._at:
            return
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if event in _MAKES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _is_ours(self, event: str, args: tuple[object, ...]) -> bool:
        if event == "open" and not (isinstance(args[2], int) and args[2] & _WRITES):
            return False
        if event in ("subprocess.Popen", "os.posix_spawn"):
            return True
        path = args[0]
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        name = os.fsdecode(path)
        return name.startswith(self._folder) or not name.startswith("/")


def _run(folder: Path, runner: str, kind: str, at: int) -> int:
    """Run the job in a fork; return how many things it did, -1 when the fault ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            fault = _Fault(folder, kind, at)
            sys.addaudithook(fault)
            try:
                tool = ntr.read_tool(folder / "tools" / "copy.xml")
                ntr.run(tool, runner=runner, input=folder / "mine.tif", config=folder / "c.json")
                save_config(changed_config(load_config(folder / "c.json"), {"jobs.timeout": 60}))
            except ToolRunnerError:
                pass  # a sentence is what a full disk has to give
            os.write(writing, str(fault.count).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    told = os.read(reading, 100)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if not told and not os.WIFSIGNALED(status):
        raise AssertionError(f"{kind} at {at}: it broke with another error than ours")
    return int(told) if told else -1


def _problems(folder: Path, then: dict[str, bytes]) -> list[str]:
    """Return what is lost and what is left after a run."""
    found = []
    for name, content in then.items():
        if (folder / name).read_bytes() != content:
            found.append(f"{name} was changed")
    try:
        if load_config(folder / "c.json").workspaces != folder / "jobs":
            found.append("the configuration was changed")
    except ToolRunnerError as error:
        found.append(f"the configuration is lost: {error}")
    settings = load_config(folder / "c.json")
    things = [item for item in reclaimable(settings) if item.kind in ("job", "container")]
    there = set((folder / "jobs").glob("[!.]*/*"))
    known = {record.folder: record for record in history(folder / "jobs")}
    found += [f"{path.name} is listed nowhere" for path in there - known.keys()]
    for record in known.values():
        if not record.state.is_finished:
            found.append(f"{record.id} is said to be {record.state}")
            continue
        if not record.path.exists():  # for `clean` it is too young
            delete_job(record)
    found += reclaim(things)
    found += [f"{path} is left" for path in (folder / "jobs").glob("*/*")]
    data = folder / "data"
    drafts = [p.name for p in folder.iterdir() if p.name.startswith(".c.json.")]
    found += [f"{path} is left" for path in data.rglob("*") if path.is_file() and _is_odd(path)]
    if drafts:  # the draft of a killed writer goes with the next write
        save_config(load_config(folder / "c.json"))
        found += [f"{p} is left" for p in folder.iterdir() if p.name.startswith(".c.json.")]
    return found


def _is_odd(path: Path) -> bool:
    return path.suffix not in (".lock", ".json", ".py", ".pyc") and path.name.startswith(".")


def try_faults(
    runner: str,
    kinds: tuple[str, ...] = KINDS,
    *,
    every: int = 1,
    needs: str = "",
    options: Mapping[str, object] | None = None,
) -> list[str]:
    """Try every `every`-th place for a fault; return a sentence for all that went wrong.

    `needs`: what the tool requires, as its descriptor says it. `options`: of the service.
    """
    found: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        (folder / "tools").mkdir()
        (folder / "tools" / "copy.xml").write_text(
            DESCRIPTOR.replace("<command>", f"{needs}<command>"), encoding="utf-8"
        )
        tifffile.imwrite(folder / "mine.tif", np.arange(64, dtype=np.uint8).reshape(8, 8))
        section = {"service": runner, "conda_dir": f"{folder}/conda", **(options or {})}
        write_json(folder / "c.json", {"workspace": f"{folder}/jobs", "runner": section})
        then = {"mine.tif": (folder / "mine.tif").read_bytes()}
        gc.collect()
        total = _run(folder, runner, "kill", sys.maxsize)
        shutil.rmtree(folder / "jobs")
        print(f"{runner}: a job does {total} things on the disk", flush=True)
        for kind in kinds:
            begun, ended = time.monotonic(), 0
            for at in range(1, total + 1, every):
                shutil.rmtree(folder / "conda", ignore_errors=True)
                ended += _run(folder, runner, kind, at) < 0
                told = [f"{kind} at {at}: {what}" for what in _problems(folder, then)]
                print("\n".join(told), flush=True) if told else None
                found += told
            seconds = time.monotonic() - begun
            tried = len(range(1, total + 1, every))
            print(f"  {kind}: {tried} tried, {ended} ended by it, {seconds:.0f} s", flush=True)
    return found


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--runner", default="LOCAL")
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--image", default="", help="what the tool requires of DOCKER")
    parser.add_argument("--package", default="", help="what the tool requires of CONDA")
    parser.add_argument("--options", default="{}", help="JSON: of the service, as in config.json")
    options = parser.parse_args()
    needs = ""
    if options.package:
        needs += f'<requirement type="package">{options.package}</requirement>'
    if options.image:
        needs += f'<container type="docker">{options.image}</container>'
    needs = needs and f"<requirements>{needs}</requirements>"
    more = json.loads(options.options)
    problems = try_faults(options.runner, every=options.every, needs=needs, options=more)
    print(f"{len(problems)} problems." if problems else "Nothing was lost, nothing is left.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
