"""What a Galaxy tool's files and its ``galaxy.json`` say of themselves."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import words
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.toolbox.entries import ships

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.provided_metadata import BaseToolProvidedMetadata

    from napari_tool_runner.tools.model import Tool

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


def parse_metadata(text: bytes, style: str | None, tool: Tool) -> BaseToolProvidedMetadata:
    """Let Galaxy read what a tool said of its outputs: what a stranger's said, in the reader.

    Raises
    ------
    DescriptorError
        It takes too much to be read.
    ValueError
        It cannot be read, or used.
    """
    from galaxy.tool_util.provided_metadata import LegacyToolProvidedMetadata, ToolProvidedMetadata

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxy.json"
        path.write_bytes(text)
        of: dict[str, object] = {"path": str(path), "style": style}
        if ships(tool):
            told: object = _told_metadata(of)
        else:
            told = reader.ask(
                f"{__name__}:{_told_metadata.__name__}",
                of,
                what=f"read what “{tool.name}” says of its outputs",
                path=path,
                language=tool.dialect,
                reads=[Path(folder)],
            )
    match told:
        case [bool(legacy), (list() | dict()) as entries]:
            old, new = LegacyToolProvidedMetadata, ToolProvidedMetadata
            provided = old.__new__(old) if legacy else new.__new__(new)  # they would read a file
            provided.tool_provided_job_metadata = entries
            return provided
    raise ValueError(str(told))


def _told_metadata(of: dict[str, object]) -> object:
    """Return which kind the file is of and what it says, or why that cannot be used."""
    from galaxy.tool_util.provided_metadata import (
        LegacyToolProvidedMetadata,
        parse_tool_provided_metadata,
    )

    try:
        provided = parse_tool_provided_metadata(of["path"], of["style"])
        told = provided.tool_provided_job_metadata
        # as they will be asked: nothing breaks then that does not break here
        provided.has_failed_outputs()
        provided.get_dataset_meta("", -1, None)
        for name in [""] if isinstance(told, list) else told:
            if name != "__unnamed_outputs":
                provided.get_new_dataset_meta_by_basename(name, "")
                for entry in provided.get_new_datasets(name):
                    entry.get("filename")
    except Exception as error:  # noqa: BLE001 (Galaxy's, of what a stranger wrote)
        return words(error)[:300]
    return [isinstance(provided, LegacyToolProvidedMetadata), told]


def safe_path(name: str) -> Path:
    """A relative path below the output's folder, made of the file's own name."""
    parts = [part for part in Path(name).parts if part not in ("..", "/", ".")]
    return Path(*parts) if parts else Path("element")
