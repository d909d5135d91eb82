"""Runs the same programs cold, and forked from a process that has imported what they import."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from napari_tool_runner.plugins import Mount, Process
from napari_tool_runner.plugins.runner_local import LocalRunnerService
from napari_tool_runner.plugins.warm import pool
from plugins.runner_helpers import Events, make_process, wait_until


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
        code = service.exec(process, list(args))
        assert process.context is not None
        told = process.context.provenance.get("warm")
        if warm and told is not None:
            self.told = told
        return code, events.lines("stdout"), events.lines("stderr")

    def script(self, text: str, name: str = "script.py") -> str:
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / name).write_text(textwrap.dedent(text), encoding="utf-8")
        return name

    def learn(self, text: str) -> None:
        """Have imported what `text` imports."""
        self.run("python", self.script(text, "learned.py"))
        (server,) = pool._pool._servers.values()
        assert wait_until(lambda: server.ready)

    def both(self, *args: str) -> tuple[int, list[str], list[str]]:
        """Run a command cold and warm; both do the same."""
        cold = self.run(*args, warm=False)
        code, *streams = self.run(*args)
        for mine, its in zip(streams, cold[1:], strict=True):
            assert [a for a, b in zip(mine, its, strict=False) if a != b] == [
                b for a, b in zip(mine, its, strict=False) if a != b
            ]
        assert (code, *streams) == cold
        assert self.told is True
        return cold
