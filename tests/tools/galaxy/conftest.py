"""Descriptors written for one test, and a real run of what they render."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from napari_tool_runner.tools.binding import bind
from napari_tool_runner.tools.candidate import Candidate
from napari_tool_runner.tools.dialect import (
    CollectedOutput,
    DataFile,
    JobPaths,
    RenderedCommand,
    TestOutcome,
)
from napari_tool_runner.tools.galaxy import GalaxyDialect

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

DIALECT = GalaxyDialect()


@dataclass
class Run:
    rendered: RenderedCommand
    exit_code: int
    stdout: str
    stderr: str
    outputs: dict[str, CollectedOutput]
    failed: bool
    paths: JobPaths

    def text(self, name: str) -> str:
        return self.outputs[name].files[0].path.read_text()

    def outcome(self) -> TestOutcome:
        return TestOutcome(
            exit_code=self.exit_code,
            stdout=self.stdout,
            stderr=self.stderr,
            outputs=self.outputs,
            command=self.rendered.script,
            failed=self.failed,
        )


def execute(tool: Tool, values: Mapping[str, object], folder: Path, **variables: str) -> Run:
    """Do what a job does: bind, render, write, run with bash, judge, collect."""
    paths = JobPaths(folder)
    for part in (paths.inputs, paths.outputs, paths.work, paths.temp, paths.home):
        part.mkdir(parents=True, exist_ok=True)
    bound = bind(tool, values)
    rendered = DIALECT.render(tool, bound, paths, variables)
    for path, text in rendered.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        **rendered.environment,
        "PATH": f"{python}:{os.environ['PATH']}",
        "TMPDIR": str(paths.temp),
    }
    done = subprocess.run(
        rendered.argv,
        cwd=paths.work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    verdict = DIALECT.judge(tool, done.returncode, done.stdout, done.stderr)
    outputs = {entry.output.name: entry for entry in DIALECT.collect(tool, rendered, bound, paths)}
    return Run(rendered, done.returncode, done.stdout, done.stderr, outputs, not verdict.ok, paths)


@pytest.fixture
def descriptor(tmp_path: Path) -> Callable[..., Tool]:
    """Write and read a descriptor; further files by name."""

    def make(
        body: str,
        *,
        profile: str = "23.0",
        attributes: str = "",
        files: Mapping[str, str] | None = None,
    ) -> Tool:
        folder = tmp_path / "tool"
        folder.mkdir(exist_ok=True)
        version = f'profile="{profile}"' if profile else ""
        path = folder / "tool.xml"
        path.write_text(
            f'<tool id="t" name="T" version="1.0" {version} {attributes}>{body}</tool>'
        )
        for name, text in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return DIALECT.read(Candidate(path))

    return make


@pytest.fixture
def line(tmp_path: Path) -> Callable[..., str]:
    """Render a tool's command; return its line."""

    def render(tool: Tool, values: Mapping[str, object] | None = None) -> str:
        paths = JobPaths(tmp_path / "job")
        rendered = DIALECT.render(tool, bind(tool, values or {}), paths, {})
        return rendered.script.rstrip("\n").rpartition("\n")[2]

    return render


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Run]:
    def go(tool: Tool, values: Mapping[str, object] | None = None, **variables: str) -> Run:
        return execute(tool, values or {}, tmp_path / "job", **variables)

    return go


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., DataFile]:
    """Write a text file; return it as a dataset."""

    def make(name: str, text: str = "", kind: str = "", **metadata: object) -> DataFile:
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return DataFile(path, kind or path.suffix[1:] or "txt", name, metadata)

    return make
