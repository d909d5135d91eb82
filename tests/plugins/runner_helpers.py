"""What the tests of the runner services share."""

from __future__ import annotations

import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.plugins import (
    CancelToken,
    Event,
    ExecContext,
    OutputLine,
    Process,
    Progress,
)
from napari_tool_runner.tools.model import Tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_tool_runner.tools.model import Requirement


class Events:
    """Collects what a service reports; thread-safe."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.all.append(event)
            self._changed.notify_all()

    def lines(self, stream: str = "stdout", *, transient: bool = False) -> list[str]:
        return [
            event.text
            for event in list(self.all)
            if isinstance(event, OutputLine)
            and event.stream == stream
            and event.transient == transient
        ]

    def progress(self) -> list[Progress]:
        return [event for event in list(self.all) if isinstance(event, Progress)]

    def wait_for(self, text: str, stream: str = "stdout", seconds: float = 60) -> None:
        with self._changed:
            found = self._changed.wait_for(
                lambda: any(text in line for line in self.lines(stream)), seconds
            )
        assert found, f"{text!r} was not seen in {self.all}"


def make_tool(*requirements: Requirement, id: str = "tool") -> Tool:
    return Tool(id=id, name=id, version="1.0", requirements=requirements)


def make_process(
    folder: Path,
    *requirements: Requirement,
    timeout: float | None = None,
    environment: dict[str, str] | None = None,
    job_id: int = 1,
) -> tuple[Process, Events]:
    """Return a process whose work, temp and home folders are in `folder`, and its events."""
    events = Events()
    for name in ("work", "tmp", "home"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    context = ExecContext(
        work_dir=folder / "work",
        temp_dir=folder / "tmp",
        home_dir=folder / "home",
        environment=environment or {},
        timeout=timeout,
        cancel=CancelToken(),
        report=events,
    )
    return Process(make_tool(*requirements), context=context, job_id=job_id), events


def script(folder: Path, text: str, name: str = "script.py") -> list[str]:
    """Write a Python script and return the argv that runs it with this Python."""
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return [sys.executable, str(path)]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


KEEP = """<tool id="keep" name="Keep" version="1.0">
  {requirements}
  <command>sh '$__tool_directory__/keep.sh' ${{input}} ${{output}} ${{text}}</command>
  <inputs>
    <param name="input" type="data" format="imagetiff" layer="image"/>
    <param name="text" type="string" value="it's &quot;a text&quot; $HOME"/>
  </inputs>
  <outputs><data name="output" format="imagetiff" layer="image" reference="input"/></outputs>
</tool>
"""
PROGRAM = 'cp "$1" "$2" && echo "text=$3"\n'


def tool_with(folder: Path, requirements: str = "") -> Path:
    """Write a tool that keeps its input; a shell script."""
    folder.mkdir(exist_ok=True)
    (folder / "keep.sh").write_text(PROGRAM)
    path = folder / "keep.xml"
    path.write_text(KEEP.format(requirements=requirements), encoding="utf-8")
    return path
