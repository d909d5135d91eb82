"""A job that is killed, or finds the disk full, at each of its writes: nothing is lost or left.

``python -m benchmarks.faults [--runner LOCAL|CONDA|UV|DOCKER] [--every N]`` runs one small job
again and again, with a channel or an engine of its own. Kinds of faults:

- ``kill``, ``full``: the n-th time the n-th thing that it does on the disk (a file opened to
  write, a folder made, a name changed or removed, a program started) kills the process that
  does it (the job's, or the one that makes its environment), or fails like all later ones for
  want of space;
- ``late``: the process is killed after the n-th part of its time, whoever writes then;
- ``small``: its disk (of memory, for root on Linux) has room for n blocks: each write of the
  program and of libraries that are no Python fails once.

Afterwards the history has to list every folder, what is the user's has to be as it was, and
what is left has to go with what `clean` lists, and no process of a killed job goes on. Exit 1
when not.

POSIX only: each run is a fork of this process.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import tifffile

import napari_tool_runner as ntr
from benchmarks.injector import Fault
from benchmarks.soak import DESCRIPTOR
from napari_tool_runner.config import changed_config, load_config, save_config
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.jobs import delete_job, history, reclaim, reclaimable
from napari_tool_runner.plugins.conda import apart
from napari_tool_runner.plugins.programs import process_tree
from napari_tool_runner.seals import seal_of
from napari_tool_runner.storage import write_json

__all__ = ["try_faults"]

KINDS = ("kill", "full", "late", "small")
_PARTS = 40  # of the time of a job
_BLOCK = 4096
_SETTLED_S = 20
_SUBREAPER = 36
_DONE, _BROKE, _SAID = range(3)  # how a job ended that was not killed
_NEW_MOUNTS, _PRIVATE, _REMOUNT, _DETACH = 0x20000, 0x44000, 0x20, 2


class Disk:
    """A small disk over `folder`, seen by this process and those that it starts.

    It and `prepare` raise OSError where this system or user cannot mount one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = os.fsencode(folder)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._mount(0, 1 << 30)

    @classmethod
    def prepare(cls) -> None:
        """Let this process, and the engines that it starts, have mounts of their own."""
        if sys.platform != "linux":
            raise OSError("no small disk: it takes Linux")
        libc = ctypes.CDLL(None, use_errno=True)
        cls._check(libc.unshare(_NEW_MOUNTS))
        cls._check(libc.mount(None, b"/", None, _PRIVATE, None))

    def leave(self, blocks: int | None) -> None:
        """Leave room for so many blocks; None: for all."""
        found = os.statvfs(self._folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        self._mount(_REMOUNT, 1 << 30 if blocks is None else used + blocks * _BLOCK)

    def close(self) -> None:
        """Take it away with what lies on it."""
        self._check(self._libc.umount2(self._folder, _DETACH))

    def _mount(self, flags: int, size: int) -> None:
        options = f"size={size}".encode()
        self._check(self._libc.mount(b"tmpfs", self._folder, b"tmpfs", flags, options))

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise OSError(ctypes.get_errno(), "no small disk: it cannot be mounted")


def _run(
    folder: Path, runner: str, kind: str, at: int, after: float | None = None
) -> tuple[int, bool]:
    """Run the job in a fork, killed `after` some seconds.

    Return how many things it did (-1 when the fault ended it), and whether it was done.
    """
    with tempfile.NamedTemporaryFile() as counter:
        child = os.fork()
        if child == 0:
            status = _BROKE
            try:
                fault = Fault(counter.name, str(folder), kind, at)
                apart._BOOT = fault.boot(apart._BOOT)
                process_tree.watchdog.__init__()  # type: ignore[misc]  # forks share none
                # what a killed one leaves is ended by its mark: not what the next one starts
                process_tree._OWNER = f"{os.getpid()}-{os.urandom(6).hex()}"
                if after is not None:  # no signal that Python could put off
                    threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
                status = _run_here(folder, runner)
            except BaseException:  # noqa: BLE001 - it has to be seen before the fork is gone
                traceback.print_exc()
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        count = int.from_bytes(counter.read(), "little")
    code = os.waitstatus_to_exitcode(ended)
    return -1 if code < 0 else 0 if code == _BROKE else count, code == _DONE


def _run_here(folder: Path, runner: str) -> int:
    done = _SAID
    try:
        tool = ntr.read_tool(folder / "tools" / "copy.xml")
        ntr.run(tool, runner=runner, input=folder / "mine.tif", config=folder / "c.json")
        done = _DONE
        save_config(changed_config(load_config(folder / "c.json"), {"jobs.timeout": 60}))
    except ToolRunnerError:
        pass  # a sentence is what a full disk has to give
    return done


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
    shutil.rmtree(folder / "jobs" / ".cache", ignore_errors=True)  # so that the next one runs
    found += [f"{path} is left" for path in (folder / "jobs").glob("*/*")]
    data = folder / "data"
    seal_of("")  # the draft of a killed writer goes with the next write
    drafts = [p.name for p in folder.iterdir() if p.name.startswith(".c.json.")]
    found += [f"{path} is left" for path in data.rglob("*") if path.is_file() and _is_odd(path)]
    if drafts:  # so does this one
        save_config(load_config(folder / "c.json"))
        found += [f"{p} is left" for p in folder.iterdir() if p.name.startswith(".c.json.")]
    return found


def _running(before: Collection[int]) -> list[str]:
    """Return what runs that did not before, when the watchdogs of killed jobs have had time."""
    end = time.monotonic() + _SETTLED_S
    while True:
        children = [one for one in psutil.Process().children() if one.pid not in before]
        for one in children:
            with suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)
        there = [one for one in children if one.is_running()]
        if not there or time.monotonic() > end:
            return [f"process {one.pid} is left: {' '.join(one.cmdline())}" for one in there]
        time.sleep(0.02)


def _is_odd(path: Path) -> bool:
    return path.suffix not in (".lock", ".json", ".py", ".pyc") and path.name.startswith(".")


@dataclass
class _Trial:
    """One folder, one job, its faults."""

    folder: Path
    runner: str
    every: int
    left: Callable[[Path], list[str]]
    then: dict[str, bytes] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    total: int = 0
    seconds: float = 0.0

    def prepare(self, needs: str, options: Mapping[str, object]) -> None:
        """Write what the job takes, and run it once without a fault."""
        folder = self.folder
        (folder / "tools").mkdir()
        (folder / "tools" / "copy.xml").write_text(
            DESCRIPTOR.replace("<command>", f"{needs}<command>"), encoding="utf-8"
        )
        tifffile.imwrite(folder / "mine.tif", np.arange(64, dtype=np.uint8).reshape(8, 8))
        section = {"service": self.runner, "environments_dir": f"{folder}/conda", **options}
        write_json(folder / "c.json", {"workspace": f"{folder}/jobs", "runner": section})
        self.then = {"mine.tif": (folder / "mine.tif").read_bytes()}
        gc.collect()
        begun = time.monotonic()
        self.total, done = _run(folder, self.runner, "none", sys.maxsize)
        self.seconds = time.monotonic() - begun
        if not done:
            raise SystemExit(f"{self.runner}: the job does not even run without a fault")
        shutil.rmtree(folder / "jobs")
        print(f"{self.runner}: a job does {self.total} things on the disk", flush=True)

    def kind(self, kind: str, disk: Disk | None) -> None:
        """Try all faults of a kind."""
        begun, ended, tried = time.monotonic(), 0, 0
        last = {"late": _PARTS, "small": sys.maxsize}.get(kind, self.total)
        for at in range(1, last + 1, self.every):
            # so that each is a first job; containers are known by the key among the data
            for name in ("conda", "cache", *(["data"] if self.runner != "DOCKER" else [])):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            after = 1.1 * self.seconds * at / _PARTS if kind == "late" else None
            if disk is not None and kind == "small":
                disk.leave(at)
            before = [one.pid for one in psutil.Process().children()]
            did, done = _run(self.folder, self.runner, kind, at, after)
            if disk is not None:
                disk.leave(None)
            tried, ended = tried + 1, ended + (not done)
            told = [] if did else ["it broke with another error than ours"]
            told += _running(before) + _problems(self.folder, self.then) + self.left(self.folder)
            told = [f"{kind} at {at}: {what}" for what in told]
            print("\n".join(told), flush=True) if told else None
            self.found += told
            if kind == "small" and done:
                break
        seconds = time.monotonic() - begun
        print(f"  {kind}: {tried} tried, {ended} jobs ended by it, {seconds:.0f} s", flush=True)


def try_faults(
    runner: str,
    kinds: tuple[str, ...] = KINDS,
    *,
    every: int = 1,
    needs: str = "",
    options: Mapping[str, object] | None = None,
    left: Callable[[Path], list[str]] = lambda _: [],
) -> list[str]:
    """Try every `every`-th place for a fault; return a sentence for all that went wrong.

    `needs`: what the tool requires, as its descriptor says it. `options`: of the service.
    `left`: tells what its service left.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, disk = Path(name), None
        if "small" in kinds:
            disk = Disk(folder)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        try:
            trial = _Trial(folder, runner, every, left)
            trial.prepare(needs, options or {})
            for kind in kinds:
                trial.kind(kind, disk)
        finally:
            if disk is not None:
                disk.close()
    return trial.found


@contextmanager
def _service(runner: str) -> Iterator[tuple[str, dict[str, object], Callable[[Path], list[str]]]]:
    """Give what the tool needs, the options of its service, and what tells of its remains."""
    if runner == "CONDA":
        with tempfile.TemporaryDirectory() as name:
            channel = Path(name) / "channel"
            # apart: the library's threads would be missing in our forks
            builds = [sys.executable, "-m", "tests.plugins.conda_channel", str(channel)]
            subprocess.run(builds, check=True)
            package = '<requirement type="package">demo-tool</requirement>'
            yield package, {"channels": [channel.as_uri()]}, partial(_environments_left, runner)
    elif runner == "UV":
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "plugins"))
        from pypi_index import wheel

        with tempfile.TemporaryDirectory() as name:
            made = wheel("tiny", "1.0", files={f"tiny_{n}.py": b"A = 1" for n in range(20)})
            Path(name, made.name).write_bytes(made.content)
            os.environ |= {"UV_FIND_LINKS": name, "UV_NO_INDEX": "1"}
            package = '<package type="pip">tiny</package>'
            yield package, {}, partial(_environments_left, runner)
    elif runner == "DOCKER":
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "plugins"))
        import docker_engine as engines

        engine = engines.start_engine()

        def left(folder: Path) -> list[str]:
            settings, end = load_config(folder / "c.json"), time.monotonic() + _SETTLED_S
            # an engine may go on for a while with what the killed job had asked for
            while (there := engine.client.api.containers(all=True)) and time.monotonic() < end:
                reclaim([item for item in reclaimable(settings) if item.kind == "container"])
                time.sleep(0.1)
            return [f"container {one['Names']} ({one['State']}) is left" for one in there]

        try:
            engines.busybox_image(engine.client)
            image = f'<container type="docker">{engines.BUSYBOX}</container>'
            yield image, {"host": engine.host}, left
        finally:
            engine.remove()
    else:
        yield "", {}, lambda _: []


def _environments_left(runner: str, folder: Path) -> list[str]:
    """The next job has to find, or to make, its environment, and to take away half ones."""
    _, done = _run(folder, runner, "none", sys.maxsize)
    found = [] if done else ["the next job does not find its environment"]
    places = [p for p in (folder / "conda").glob("[!.]*/*") if p.is_dir()]
    return found + ([] if len(places) == 1 else [f"environments: {places}"])


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--runner", default="LOCAL", choices=("LOCAL", "CONDA", "UV", "DOCKER"))
    parser.add_argument("--every", type=int, default=1, metavar="N")
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    options = parser.parse_args()
    kinds = tuple(options.kinds)
    # what loses its parent is ours, and so seen; an engine's own helpers are not left by jobs
    if sys.platform == "linux" and options.runner != "DOCKER":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        if "small" in kinds:
            Disk.prepare()
    except OSError as error:
        print(error)
        kinds = tuple(kind for kind in kinds if kind != "small")
    with _service(options.runner) as (needs, more, left):
        needs = needs and f"<requirements>{needs}</requirements>"
        problems = try_faults(
            options.runner, kinds, every=options.every, needs=needs, options=more, left=left
        )
    print(f"{len(problems)} problems." if problems else "Nothing was lost, nothing is left.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
