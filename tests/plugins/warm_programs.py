"""Runs the same programs cold, and forked from a process that has imported what they import."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.plugins import Mount, Process
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.warm import pool
from plugins.runner_helpers import Events, make_process, wait_until

if TYPE_CHECKING:
    from napari_tool_runner.plugins.warm.serving import Server


# what a script can ask of where it runs; lines that differ from run to run anyway are left out
LOOK = """
import importlib, atexit, gc, json, locale, os, random, resource, signal, sys, tempfile, threading
import warnings, numpy
hidden = ("NAPARI_TOOL_RUNNER_RUN", "NAPARI_TOOL_RUNNER_WARM", "PATH", "_")
def shown(value):
    print(json.dumps(value, default=repr, sort_keys=True))
main = sys.modules["__main__"]
shown(sorted(set(globals()) - {"shown", "hidden", "main", "value"}))
shown([__name__, __file__, __spec__, main.__dict__ is globals()])
shown([__builtins__ is sys.modules["builtins"]])
shown([repr(__loader__).partition(" object")[0], __loader__.path])
shown([os.getcwd(), sys.argv, sys.orig_argv[1:], sys.executable, sys.prefix, sys.path[0]])
shown([one for one in sys.path if "napari-tool" in one or "run/warm" in one])
shown({k: v for k, v in os.environ.items() if k not in hidden})
shown([str(signal.getsignal(n)) for n in range(1, 32)])
shown([threading.active_count(), threading.current_thread().name, threading.main_thread().name])
shown(threading.current_thread() is threading.main_thread())
shown(threading.main_thread().native_id == os.getpid())
shown([locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(False)])
files = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd")]
shown([os.readlink(one).partition(":")[0] for one in files if os.path.exists(one)])
for one in (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__):
    shown([one.name, one.mode, one.encoding, one.errors, one.line_buffering, one.write_through,
        one.newlines, type(one.buffer).__name__, one.fileno()])
shown([repr(one) for one in warnings.filters])
shown([str(sys.flags), sys.warnoptions, sys._xoptions, sys.dont_write_bytecode])
shown([resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith("RLIMIT_")])
shown([os.umask(0o22), sorted(os.sched_getaffinity(0)), os.nice(0), os.getuid(), os.getgid()])
shown([tempfile.gettempdir(), os.path.expanduser("~")])
shown([sys.excepthook is sys.__excepthook__, sys.getrecursionlimit(), gc.isenabled()])
shown([hasattr(sys, "ps1"), __annotations__, sorted(sys.modules), sorted(vars(importlib))])
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that belong to this Python."""
    place = tmp_path / "installed"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return place


@dataclass
class Programs:
    """Runs scripts with LOCAL, cold or warm, always in the same folder."""

    folder: Path
    enclose: bool

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def process(self) -> tuple[Process, Events]:
        process, events = make_process(self.folder)
        assert process.context is not None
        process.context.root = self.folder
        process.context.mounts = [Mount(self.folder, read_only=False)]
        return process, events

    def run(self, *args: str, warm: bool = True) -> tuple[int, list[str], list[str]]:
        process, events = self.process()
        service = LocalRunnerService({"enclose": self.enclose, "warm": warm})
        self.told = None
        code = service.exec(process, list(args))
        assert process.context is not None
        told = process.context.provenance.get("warm")
        self.told = told
        return code, events.lines("stdout"), events.lines("stderr")

    def script(self, text: str, name: str = "script.py") -> str:
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / name).write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    def learn(self, *args: str) -> None:
        """Run a command so that what it imports is imported ahead from then on."""
        self.run(*args)
        assert wait_until(lambda: not any(one.waited for one in self.servers), 60.0)

    def wait_for_next(self) -> None:
        """Wait until a fork waits for the next call, if one is expected."""
        assert wait_until(lambda: not any(one.is_preparing for one in self.servers), 60.0)

    def warmed(self, *args: str) -> tuple[int, list[str], list[str]]:
        """Run a command that has learned what it imports."""
        self.learn(*args)
        found = self.run(*args)
        assert self.told is True
        return found

    @property
    def servers(self) -> list[Server]:
        return list(pool._pool._servers.values())

    def both(self, *args: str, warms: bool = True) -> tuple[int, list[str], list[str]]:
        """Run a command cold and warm; both do the same."""
        cold = self.run(*args, warm=False)
        self.learn(*args)
        for waits in (False, True):
            if waits:
                self.wait_for_next()
            found = self.run(*args)
            assert self.told is warms, [one._said_once for one in self.servers]
            for mine, its in zip(found[1:], cold[1:], strict=True):
                assert [a for a, b in zip(mine, its, strict=False) if a != b] == [
                    b for a, b in zip(mine, its, strict=False) if a != b
                ]
            assert found == cold
        return cold
