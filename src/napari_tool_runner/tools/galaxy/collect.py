"""After the run: which files are the outputs.

Everything stays in the job's folder. What a tool leaves elsewhere (in its working
directory, by ``from_work_dir`` or discovery) is moved beside the other outputs; a
link that leads out of the job is refused.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import OutputError
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    DataFile,
    JobPaths,
    PlannedOutput,
    RenderedCommand,
    data_files,
)
from napari_tool_runner.tools.file_types import content_type, file_type
from napari_tool_runner.tools.galaxy.output_plan import element_path, extra_files_folder
from napari_tool_runner.tools.model import CollectionOutput, DataOutput
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.provided_metadata import BaseToolProvidedMetadata

    from napari_tool_runner.tools.galaxy.source import GalaxySource, OutputRule
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["collect"]

_UNKNOWN = frozenset({"auto", "_sniff_", ""})


def collect(
    tool: Tool,
    source: GalaxySource,
    rendered: RenderedCommand,
    values: BoundValues,
    paths: JobPaths,
) -> Sequence[CollectedOutput]:
    """Return the outputs that have files, in the order of the plan.

    Raises
    ------
    OutputError
        A file leads out of the job's folder, or two elements of a collection have
        the same name.
    """
    inputs = tuple(data_files([leaf.value for leaf in leaves(tool.inputs, values)]))
    collector = _Collector(source, paths, inputs)
    found = []
    for number, planned in enumerate(rendered.outputs, 1):
        files = collector.output(planned, number)
        if files:
            found.append(CollectedOutput(planned.output, tuple(files)))
    return found


@dataclass(slots=True)
class _Match:
    """A discovered file and what its name says."""

    path: Path
    filename: str
    groups: Mapping[str, object]
    collector: DatasetCollectionDescription

    @property
    def identifiers(self) -> list[str]:
        found: list[str] = []
        while f"identifier_{len(found)}" in self.groups:
            found.append(str(self.groups[f"identifier_{len(found)}"]))
        return found or [self.designation]

    @property
    def designation(self) -> str:
        for name in ("designation", "name"):
            if self.groups.get(name):
                return str(self.groups[name])
        return ":".join(
            str(self.groups[key]) for key in sorted(self.groups) if key.startswith("identifier_")
        )

    @property
    def name(self) -> str:
        return str(self.groups.get("name") or self.designation)

    @property
    def format(self) -> str:
        if "ext" in self.groups:
            return str(self.groups["ext"] or "")
        return str(self.collector.default_ext or "data")


class _Collector:
    def __init__(
        self, source: GalaxySource, paths: JobPaths, inputs: tuple[DataFile, ...]
    ) -> None:
        self.source = source
        self.paths = paths
        self.inputs = frozenset(file.path.resolve() for file in inputs)
        self.input_format = inputs[0].format if inputs else "data"
        self.moved: dict[Path, Path] = {}
        self.provided = self._provided()

    def output(self, planned: PlannedOutput, number: int) -> list[CollectedFile]:
        rule = self.source.rules[planned.output.name]
        if isinstance(planned.output, CollectionOutput):
            return self.collection(planned, planned.output, rule, number)
        return self.data(planned, rule, number)

    # -- one dataset -------------------------------------------------------------------

    def data(self, planned: PlannedOutput, rule: OutputRule, number: int) -> list[CollectedFile]:
        output = planned.output
        meta = self.provided.get_dataset_meta(output.name, number, None) if self.provided else {}
        kind = str(meta.get("ext") or planned.format)
        primary = self.primary(output, planned.path, kind)
        discovered = [
            self.element(match, planned.path.parent / f"{output.name}_more", output.name)
            for match in self.matches(rule.collectors, output.name, number)
        ]
        takes_first = any(entry.assign_primary_output for entry in rule.collectors)
        if takes_first and discovered and (primary is None or not _filled(primary.path)):
            primary = discovered.pop(0)
        name = str(meta.get("name") or "")
        if primary is not None and name:
            primary = replace(primary, name=name)
        return [*([primary] if primary else []), *discovered]

    def primary(self, output: DataOutput, path: Path, kind: str) -> CollectedFile | None:
        if output.from_work_dir:
            made = self.in_work(output.from_work_dir)
            if made is not None:
                self.move(made, path)
        extra = extra_files_folder(path)
        found: Path | None = path
        if self.source.formats.canonical(kind).directory or (extra.is_dir() and not path.exists()):
            found = self.store(path, extra, kind)
        elif not path.exists() and not path.is_symlink():
            found = None
        else:
            self.check(path)
        metadata = {"extra_files_path": str(extra)} if extra.is_dir() else {}
        return self.file(found, kind, metadata=metadata) if found else None

    def store(self, path: Path, extra: Path, kind: str) -> Path | None:
        """Return the folder of a directory dataset (a zarr store)."""
        if path.is_dir():
            extra = path
        if not extra.is_dir():
            return None
        self.check(extra)
        if self.source.formats.is_of_type(kind, "zarr") and content_type(extra) is None:
            inner = sorted(entry for entry in extra.iterdir() if entry.is_dir())
            stores = [entry for entry in inner if content_type(entry)]
            return next(iter(stores or inner), None)
        return extra if any(extra.iterdir()) else None

    def file(
        self, path: Path, kind: str, name: str = "", metadata: Mapping[str, object] | None = None
    ) -> CollectedFile:
        found = file_type(path, formats=self.source.formats) if kind in _UNKNOWN else kind
        return CollectedFile(path, found, name, metadata or {})

    # -- collections -------------------------------------------------------------------

    def collection(
        self, planned: PlannedOutput, output: CollectionOutput, rule: OutputRule, number: int
    ) -> list[CollectedFile]:
        files: list[CollectedFile] = []
        for element in output.elements:
            path = element_path(planned.path, element, self.source.formats)
            found = self.primary(element, path, element.format)
            if found is None:
                continue
            identifiers = element.name.split("/") if output.structured_like else [element.name]
            metadata = {**found.metadata, "identifiers": tuple(identifiers)}
            files.append(replace(found, name=element.name, metadata=metadata))
        seen: set[str] = set()
        for match in self.matches(rule.collectors, output.name, number):
            entry = self.element(match, planned.path, output.name, planned.format)
            if entry.name in seen:
                raise OutputError(
                    f"The collection “{output.name}” has two elements called “{entry.name}”.",
                    hint="The descriptor's pattern does not tell its files apart.",
                )
            seen.add(entry.name)
            files.append(entry)
        return files

    def element(
        self, match: _Match, folder: Path, output: str, default: str = "data"
    ) -> CollectedFile:
        target = folder / _safe(match.filename)
        if match.path.is_relative_to(folder):
            self.check(match.path)
            target = match.path
        else:
            self.move(match.path, target)
        told = self.told(output, match.filename)
        kind = str(told.get("ext") or match.format)
        if kind == "input" and default == "data":
            kind = self.input_format
        elif kind in ("data", "input") and "ext" not in match.groups:
            kind = default
        identifiers = match.identifiers
        metadata: dict[str, object] = {
            "identifiers": tuple(identifiers),
            "name": str(told.get("name") or match.name),
        }
        extra = self.in_work(str(told["extra_files"])) if told.get("extra_files") else None
        if extra is not None:
            self.move(extra, extra_files_folder(target))
            metadata["extra_files_path"] = str(extra_files_folder(target))
        return self.file(target, kind, "/".join(identifiers), metadata)

    def told(self, output: str, filename: str) -> Mapping[str, object]:
        """Return what the tool says of a discovered file in its ``galaxy.json``."""
        if self.provided is None:
            return {}
        found = self.provided.get_new_dataset_meta_by_basename(output, Path(filename).name)
        return found or {}

    # -- discovery ---------------------------------------------------------------------

    def matches(
        self, collectors: Sequence[DatasetCollectionDescription], output: str, number: int
    ) -> Iterator[_Match]:
        for collector in collectors:
            folder = self.folder(collector.directory)
            if collector.discover_via == "tool_provided_metadata":
                for entry in self.provided.get_new_datasets(output) if self.provided else []:
                    filename = str(entry.get("filename") or "")
                    if filename:
                        yield _Match(folder / filename, filename, entry, collector)
                continue
            yield from self.sorted(self.walk(folder, collector, number), collector)

    def walk(
        self, folder: Path, collector: DatasetCollectionDescription, number: int
    ) -> Iterator[_Match]:
        text = str(getattr(collector, "pattern", ""))
        pattern = re.compile(text.replace("DATASET_ID", str(number)))
        if not folder.is_dir():
            return
        for root, folders, filenames in os.walk(folder):
            if not collector.recurse:
                folders.clear()
            for path in (Path(root) / filename for filename in filenames):
                if path not in self.moved.values():
                    yield from self.match(path, folder, collector, pattern)
        for original in list(self.moved):
            # another output took it already; it belongs to both
            below = collector.recurse and original.is_relative_to(folder)
            if (original.parent == folder or below) and not original.exists():
                yield from self.match(original, folder, collector, pattern)

    def match(
        self,
        path: Path,
        folder: Path,
        collector: DatasetCollectionDescription,
        pattern: re.Pattern[str],
    ) -> Iterator[_Match]:
        name = str(path.relative_to(folder)) if collector.match_relative_path else path.name
        found = pattern.match(name)
        if found:
            yield _Match(path, name, found.groupdict(), collector)

    def sorted(
        self, matches: Iterator[_Match], collector: DatasetCollectionDescription
    ) -> list[_Match]:
        attribute = str(getattr(collector, "sort_key", "filename"))
        numeric = getattr(collector, "sort_comp", "lexical") == "numeric"

        def key(match: _Match) -> tuple[int, float, str]:
            text = str(getattr(match, attribute, match.filename))
            if numeric:
                try:
                    return 0, float(text), ""
                except ValueError:
                    return 1, 0.0, text
            return 0, 0.0, text

        return sorted(matches, key=key, reverse=bool(getattr(collector, "sort_reverse", False)))

    # -- places ------------------------------------------------------------------------

    def folder(self, name: str | None) -> Path:
        folder = self.paths.work / name if name else self.paths.work
        if not Path(os.path.normpath(folder)).is_relative_to(self.paths.work):
            raise OutputError(
                f"The descriptor looks for outputs in “{name}”, outside the job's folder.",
                hint="Such outputs are not taken.",
            )
        return folder

    def in_work(self, name: str) -> Path | None:
        """Return the file that the tool left in its working directory."""
        place = self.folder(name)
        if place.exists() or place.is_symlink() or place in self.moved:
            return place
        if any(char in name for char in "*?["):
            return next(iter(sorted(self.paths.work.glob(name))), None)
        return None

    def check(self, path: Path) -> Path:
        """Return the real place of `path`; refuse one outside the job and its inputs."""
        real = path.resolve()
        if real.is_relative_to(self.paths.root.resolve()) or real in self.inputs:
            return real
        raise OutputError(
            f"The tool left a link in place of the output “{path.name}”; "
            f"it leads out of the job's folder, to {real}.",
            hint="Such outputs are not taken.",
        )

    def move(self, made: Path, target: Path) -> None:
        """Bring a file to `target`; what another output took already is copied."""
        current = self.moved.get(made, made)
        if current == target:
            return
        real = self.check(current)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)
        if current.is_symlink() or made in self.moved:
            (shutil.copytree if real.is_dir() else shutil.copyfile)(real, target)
        else:
            shutil.move(str(current), str(target))
        self.moved.setdefault(made, target)

    def _provided(self) -> BaseToolProvidedMetadata | None:
        """Read the ``galaxy.json`` that a tool may leave about its outputs."""
        from galaxy.tool_util.provided_metadata import parse_tool_provided_metadata

        name = self.source.tool.parse_provided_metadata_file() or "galaxy.json"
        path = self.folder(name)
        if not path.is_file():
            return None
        style = self.source.tool.parse_provided_metadata_style()
        try:
            provided: BaseToolProvidedMetadata = parse_tool_provided_metadata(str(path), style)
            failed = provided.has_failed_outputs()
        except Exception as error:
            raise OutputError(
                f"The tool described its outputs in {name}, which cannot be read: {error}",
                hint="This is a fault of the tool.",
            ) from error
        if failed:
            raise OutputError(
                f"The tool says in {name} that it could not make an output.",
                hint="Its log may say why.",
            )
        return provided


def _filled(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)


def _safe(name: str) -> Path:
    """A relative path below the output's folder, made of the file's own name."""
    parts = [part for part in Path(name).parts if part not in ("..", "/", ".")]
    return Path(*parts) if parts else Path("element")
