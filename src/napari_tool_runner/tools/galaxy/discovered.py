"""What a Galaxy tool's files and its ``galaxy.json`` say of themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.provided_metadata import BaseToolProvidedMetadata

__all__ = ["Match", "parse_metadata", "safe_path"]


@dataclass(slots=True)
class Match:
    """A discovered file and what its name says."""

    path: Path
    filename: str
    groups: Mapping[str, object]
    collector: DatasetCollectionDescription

    @property
    def identifiers(self) -> list[str]:
        """Return its place in a collection, the outer one first."""
        found: list[str] = []
        while f"identifier_{len(found)}" in self.groups:
            found.append(str(self.groups[f"identifier_{len(found)}"]))
        return found or [self.designation]

    @property
    def designation(self) -> str:
        """Return what tells it from the others."""
        for name in ("designation", "name"):
            if self.groups.get(name):
                return str(self.groups[name])
        return ":".join(
            str(self.groups[key]) for key in sorted(self.groups) if key.startswith("identifier_")
        )

    @property
    def name(self) -> str:
        """Return what a person calls it."""
        return str(self.groups.get("name") or self.designation)

    @property
    def format(self) -> str:
        """Return its format, ``data`` when nothing says it."""
        if "ext" in self.groups:
            return str(self.groups["ext"] or "")
        return str(self.collector.default_ext or "data")


def parse_metadata(text: bytes, style: str | None) -> BaseToolProvidedMetadata:
    """Let Galaxy read what a tool said of its outputs, from a file of our own."""
    from galaxy.tool_util.provided_metadata import parse_tool_provided_metadata

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxy.json"
        path.write_bytes(text)
        provided: BaseToolProvidedMetadata = parse_tool_provided_metadata(str(path), style)
        return provided


def safe_path(name: str) -> Path:
    """A relative path below the output's folder, made of the file's own name."""
    parts = [part for part in Path(name).parts if part not in ("..", "/", ".")]
    return Path(*parts) if parts else Path("element")
