"""The round trip that most tests of the exchange make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from exchange_helpers import collected, make_tool, parameter

from napari_tool_runner.exchange import Exported, LoadedOutput, export, load, snapshot
from napari_tool_runner.tools.formats import FORMATS, Formats
from napari_tool_runner.tools.model import DataOutput, LayerKind

RoundTrip = Callable[..., tuple[Exported, LoadedOutput]]


@pytest.fixture
def round_trip(tmp_path: Path) -> RoundTrip:
    """Export a value, and load the very file as the output of a tool."""

    def run(
        value: object,
        fmt: str = "imagetiff",
        *,
        formats: Formats = FORMATS,
        kind: LayerKind | None = None,
        override: LayerKind | None = None,
        name: str = "out",
        label: str = "",
    ) -> tuple[Exported, LoadedOutput]:
        snap = snapshot(value)
        written = export(snap, parameter(fmt), tmp_path / "inputs", formats=formats)
        output = DataOutput(name=name, label=label, format=fmt, kind=kind)
        tool = make_tool(formats=formats)
        file = collected(written.file.path, written.file.format)
        return written, load(file, output, tool, inputs={"input": snap}, kind=override)

    return run
