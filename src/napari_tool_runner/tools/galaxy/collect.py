"""After the run: which files are the outputs.

Everything stays in the job's folder. What a tool leaves elsewhere (in its working
directory, by ``from_work_dir`` or discovery) is moved beside the other outputs; a
link that leads out of the job is refused. All access is by `sealed`: a tool names its
files as it likes, and leaves links where it likes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import DescriptorError, OutputError
from napari_tool_runner.tools.dialect import (
    CollectedFile,
    CollectedOutput,
    DataFile,
    JobPaths,
    PlannedOutput,
    RenderedCommand,
    data_files,
    lent_files,
)
from napari_tool_runner.tools.file_types import content_type, file_type
from napari_tool_runner.tools.galaxy.discovered import Match, parse_metadata, safe_path
from napari_tool_runner.tools.galaxy.output_plan import element_path, extra_files_folder
from napari_tool_runner.tools.model import CollectionOutput, DataOutput
from napari_tool_runner.tools.patterns import PatternError, match_start
from napari_tool_runner.tools.shared_time import together
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.provided_metadata import BaseToolProvidedMetadata

    from napari_tool_runner.tools.galaxy.source import GalaxySource, OutputRule
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["collect"]

_METADATA = 4 * 2**20  # bytes of a galaxy.json; a thousand elements take 0.2 MB
_SECONDS = 10.0  # of a pattern, with all names of files
_PASSED = frozenset({"data", "expression.json"})
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
    collector = _Collector(tool, source, paths, inputs, lent_files(tool, values))
    found = []
    for number, planned in enumerate(rendered.outputs, 1):
        files = collector.output(planned, number)
        if files:
            found.append(CollectedOutput(planned.output, tuple(files)))
    return found


class _Collector:
    def __init__(
        self,
        tool: Tool,
        source: GalaxySource,
        paths: JobPaths,
        inputs: tuple[DataFile, ...],
        lent: frozenset[Path],
    ) -> None:
        self.tool, self.source = tool, source
        self.paths = paths
        self.lent = lent
        self.inputs = inputs
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
        if rule.passes_on and self.source.tool.parse_tool_type() == "expression":
            return self.passed_on(planned)
        meta = self.provided.get_dataset_meta(output.name, number, None) if self.provided else {}
        kind = str(meta.get("ext") or planned.format)
        primary = self.primary(output, planned.path, kind)
        discovered = [
            self.element(match, planned.path.parent / f"{output.name}_more", output.name)
            for match in self.matches(rule.collectors, output.name, number)
        ]
        takes_first = any(entry.assign_primary_output for entry in rule.collectors)
        if takes_first and discovered and (primary is None or not self.filled(primary.path)):
            primary = discovered.pop(0)
        name = str(meta.get("name") or "")
        if primary is not None and name:
            primary = replace(primary, name=name)
        return [*([primary] if primary else []), *discovered]

    def passed_on(self, planned: PlannedOutput) -> list[CollectedFile]:
        """Return the input whose number an expression left, as the output's own file."""
        if not self.what(planned.path):
            return []
        told = sealed.read_bytes(self.check(planned.path), self.paths.top, limit=32)
        number = int(told) if told.isdigit() else 0
        if told != b"null" and not 0 < number <= len(self.inputs):
            raise OutputError(
                f"The expression gave what is no input for the output “{planned.output.name}”.",
                hint="This is a fault of the tool.",
            )
        if not number:
            return []
        chosen = self.inputs[number - 1]
        kind = planned.format if planned.format not in _PASSED else chosen.format
        extension = self.source.formats.canonical(kind).extension
        target = planned.path.with_name(f"{planned.path.stem}_passed{extension}")
        sealed.copy_below(chosen.path, target, self.paths.top)
        return [CollectedFile(target, kind, chosen.name)]

    def primary(self, output: DataOutput, path: Path, kind: str) -> CollectedFile | None:
        if output.from_work_dir:
            made = self.in_work(output.from_work_dir)
            if made is not None:
                self.move(made, path)
        extra = extra_files_folder(path)
        has_extra = self.what(extra) == "folder"
        found: Path | None = path
        if self.source.formats.canonical(kind).directory or (has_extra and not self.what(path)):
            found = self.store(path, extra, kind)
        elif not self.what(path):
            found = None
        else:
            found = self.check(path)
        metadata = {"extra_files_path": str(extra)} if has_extra else {}
        return self.file(found, kind, metadata=metadata) if found else None

    def store(self, path: Path, extra: Path, kind: str) -> Path | None:
        """Return the folder of a directory dataset (a zarr store)."""
        top = self.paths.top
        if self.what(path) == "link":
            path = self.check(path)
        if self.what(path) == "folder":
            extra = path
        if self.what(extra) != "folder":
            return None
        entries = sealed.listed(extra, top)
        if self.source.formats.is_of_type(kind, "zarr") and content_type(extra, top) is None:
            inner = [entry for entry, told in entries.items() if told == "folder"]
            stores = [entry for entry in inner if content_type(entry, top)]
            return next(iter(stores or inner), extra if entries else None)  # told when opened
        return extra if entries else None

    def file(
        self, path: Path, kind: str, name: str = "", metadata: Mapping[str, object] | None = None
    ) -> CollectedFile:
        found = kind
        if kind in _UNKNOWN:
            place = None if path in self.lent else self.paths.top
            found = file_type(path, formats=self.source.formats, root=place)
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
        self, match: Match, folder: Path, output: str, default: str = "data"
    ) -> CollectedFile:
        target = folder / safe_path(match.filename)
        if match.path.is_relative_to(folder):
            target = self.check(match.path)
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
    ) -> Iterator[Match]:
        for collector in collectors:
            folder = self.folder(collector.directory)
            if collector.discover_via == "tool_provided_metadata":
                for entry in self.provided.get_new_datasets(output) if self.provided else []:
                    filename = str(entry.get("filename") or "")
                    if filename:
                        # what leads out is refused; an absolute path may be that of the job
                        place = Path(os.path.normpath(folder / filename))
                        yield Match(place, filename, entry, collector)
                continue
            with together(_SECONDS):
                matches = self.sorted(self.walk(folder, collector, number), collector)
            yield from matches

    def walk(
        self, folder: Path, collector: DatasetCollectionDescription, number: int
    ) -> Iterator[Match]:
        text = str(getattr(collector, "pattern", ""))
        pattern = text.replace("DATASET_ID", str(number))
        if self.what(folder) == "link":
            folder = self.check(folder)
        if self.what(folder) != "folder":
            return
        taken = set(self.moved.values())
        for path in self.listed(folder, recurse=bool(collector.recurse)):
            if path not in taken:
                yield from self.match(path, folder, collector, pattern)
        for original in list(self.moved):
            # another output took it already; it belongs to both
            below = collector.recurse and original.is_relative_to(folder)
            if (original.parent == folder or below) and not original.exists():
                yield from self.match(original, folder, collector, pattern)

    def listed(self, folder: Path, *, recurse: bool) -> list[Path]:
        """Return the files and links in a folder; pipes and the like are passed over."""
        entries = sealed.found(folder, "**/*" if recurse else "*", self.paths.top)
        entries += sealed.found(folder, "**/.*" if recurse else ".*", self.paths.top)
        return [path for path in entries if self.what(path) in ("file", "link")]

    def match(
        self, path: Path, folder: Path, collector: DatasetCollectionDescription, pattern: str
    ) -> Iterator[Match]:
        name = str(path.relative_to(folder)) if collector.match_relative_path else path.name
        try:
            found = match_start(pattern, name)
        except PatternError as error:
            raise OutputError(
                f"The outputs cannot be told from other files: {error}.",
                hint="The descriptor's pattern is wrong.",
            ) from error
        if found:
            yield Match(path, name, found.groupdict(), collector)

    def sorted(
        self, matches: Iterator[Match], collector: DatasetCollectionDescription
    ) -> list[Match]:
        attribute = str(getattr(collector, "sort_key", "filename"))
        numeric = getattr(collector, "sort_comp", "lexical") == "numeric"

        def key(match: Match) -> tuple[int, float, str]:
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
        if place in self.moved or self.what(place):
            return place
        if any(char in name for char in "*?["):
            return next(iter(sealed.found(self.paths.work, name, self.paths.top)), None)
        return None

    def what(self, path: Path) -> str:
        """Return ``file``, ``folder``, ``link`` or ``other``; empty when there is nothing."""
        try:
            folder = sealed.link_free(path.parent, self.paths.top)
            return sealed.kind(folder / path.name, self.paths.top)
        except FileNotFoundError:
            return ""

    def check(self, path: Path) -> Path:
        """Return `path` without links; refuse what leads out of the job and is no input.

        Raises
        ------
        OutputError
        """
        try:
            return sealed.settled(path, self.paths.top, self.lent)
        except FileNotFoundError as error:
            raise OutputError(
                f"The tool left a link in place of “{path.name}” that leads to nothing.",
                hint="This is a fault of the tool.",
            ) from error

    def filled(self, path: Path) -> bool:
        """Whether it is a folder, or a file with content."""
        top = self.paths.top
        if path in self.lent or self.what(path) != "file":
            return True
        with sealed.open_file(path, top) as file:
            return bool(file.read(1))

    def move(self, made: Path, target: Path) -> None:
        """Bring a file to `target`; what another output took already is copied."""
        current = self.moved.get(made, made)
        if current == target:
            return
        linked = self.what(current) == "link"
        real = self.check(current)
        if linked or made in self.moved:
            sealed.copy_below(real, target, self.paths.top)
        else:
            sealed.move(real, target, self.paths.top)
        self.moved.setdefault(made, target)

    def _provided(self) -> BaseToolProvidedMetadata | None:
        """Read the ``galaxy.json`` that a tool may leave about its outputs."""
        name = self.source.tool.parse_provided_metadata_file() or "galaxy.json"
        path = self.folder(name)
        if not self.what(path):
            return None
        style = self.source.tool.parse_provided_metadata_style()
        text = sealed.read_bytes(self.check(path), self.paths.top, limit=_METADATA)
        try:
            provided = parse_metadata(text, style, self.tool)
        except (ValueError, DescriptorError) as error:
            raise OutputError(
                f"The tool described its outputs in {name}, which cannot be read: {error}",
                hint="This is a fault of the tool.",
            ) from error
        if provided.has_failed_outputs():
            raise OutputError(
                f"The tool says in {name} that it could not make an output.",
                hint="Its log may say why.",
            )
        return provided
