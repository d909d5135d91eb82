"""Values that the tests of the exchange share: tools and parameters without descriptor."""

from __future__ import annotations

from pathlib import Path

from napari_tool_runner.tools.dialect import CollectedFile
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.galaxy import GalaxyDialect
from napari_tool_runner.tools.model import DataParameter, Tool

GALAXY = FORMATS.with_traits(GalaxyDialect.traits)


def parameter(*formats: str, **more: object) -> DataParameter:
    return DataParameter(name="input", label="Input", formats=formats, **more)


def make_tool(**more: object) -> Tool:
    return Tool(id="copy", name="Copy", **more)


def collected(path: Path, fmt: str, name: str = "") -> CollectedFile:
    return CollectedFile(path, fmt, name)
