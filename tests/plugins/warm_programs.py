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
        for _ in range(2):
            found = self.run(*args)
            assert self.told is warms, [one._said_once for one in self.servers]
            for mine, its in zip(found[1:], cold[1:], strict=True):
                assert [a for a, b in zip(mine, its, strict=False) if a != b] == [
                    b for a, b in zip(mine, its, strict=False) if a != b
                ]
            assert found == cold
        return cold
