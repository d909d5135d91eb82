"""`BioImageItDialect`: BioImageIT's language behind the contract of `Dialect`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError
from napari_tool_runner.tools.dialect import CollectedFile, CollectedOutput, Dialect
from napari_tool_runner.tools.formats import split_formats

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.candidate import Candidate
    from napari_tool_runner.tools.dialect import (
        JobPaths,
        Outline,
        PlannedOutput,
        RenderedCommand,
        TestOutcome,
    )
    from napari_tool_runner.tools.drafts.sketch import Sketch
    from napari_tool_runner.tools.drafts.testing import NewTest
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.model import Note, Tool, ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["DIALECT"]

# marks that only BioImageIT's readers understand; its XML began as a subset of Galaxy's
_TYPES = {"number", "string", "bool", "file", "directory"}
_FORMATS = {"imagetiff", "movietxt", "tablecsv", "arraycsv", "numbercsv"}
_FORMATS |= {"trackmatemodel", "imagezarr", "stracks", "raw"}
_COMMAND = re.compile(r"\$__fiji__|\$\{-\w|\$__tool_directory__\w")


class BioImageItDialect(Dialect):
    """An XML with flat parameters whose command is an argv, never a shell line."""

    name = "bioimageit"
    label = "BioImageIT"
    patterns = ("*.xml",)

    def score(self, candidate: Candidate) -> int:
        """Return how surely the file is of this language; 0: it is not."""
        return 0 if candidate.xml is None else _score(candidate.xml)

    def outline(self, candidate: Candidate, entry: str, root: Path) -> Outline:
        """Return what an index needs, from the XML alone."""
        from napari_tool_runner.tools.outline import xml_outline

        return xml_outline(candidate, root)

    def read(self, candidate: Candidate, entry: str = "", *, root: Path | None = None) -> Tool:
        """Read one descriptor. `root` plays no part: nothing can be imported."""
        from napari_tool_runner.tools.bioimageit.reader import read_descriptor

        return read_descriptor(candidate)

    def check(self, tool: Tool, variables: Mapping[str, str]) -> Sequence[Note]:
        """Return what is wrong with the placeholders, and with the command of each test."""
        from napari_tool_runner.tools.bioimageit.checking import check_command

        return check_command(tool, variables)

    def render(
        self, tool: Tool, values: BoundValues, paths: JobPaths, variables: Mapping[str, str]
    ) -> RenderedCommand:
        """Fill the command as an argv; see `Dialect.render`."""
        from napari_tool_runner.tools.bioimageit.rendering import render_command

        return render_command(tool, values, paths, variables)

    def collect(
        self, tool: Tool, rendered: RenderedCommand, values: BoundValues, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        """Find the files of the outputs; see `Dialect.collect`."""
        found = []
        for planned in rendered.outputs:
            path = _find(planned, paths, tool.formats)
            if path is not None:
                file = CollectedFile(path, planned.format, planned.output.name)
                found.append(CollectedOutput(planned.output, (file,)))
        return found

    def draft(self, sketch: Sketch) -> str:
        """Return the text of a new descriptor."""
        from napari_tool_runner.tools.bioimageit.writing import draft

        return draft(sketch)

    def with_test(self, text: str, test: NewTest) -> str:
        """Return the text of a descriptor with one more test, which compares contents."""
        from napari_tool_runner.tools.drafts.testing import with_test

        return with_test(text, test, {o.name: {"compare": "sim_content"} for o in test.outputs})

    def verify(self, tool: Tool, test: ToolTest, outcome: TestOutcome) -> list[str]:
        """Compare a test's outcome with its reference files."""
        from napari_tool_runner.tools.bioimageit.verifying import verify_outcome

        return verify_outcome(tool, test, outcome)


def _score(root: Element) -> int:
    """Return how much of the parsed file only BioImageIT understands; 0: no tool."""
    if root.tag != "tool":
        return 0
    score = 1  # the safe language (an argv, never a shell) wins a tie
    score += 20 * (root.find("requirements/package") is not None)
    score += 10 * (root.get("type") == "merge") + 3 * ("python_template_version" in root.attrib)
    score += 10 * sum(param.get("type") in _TYPES for param in root.iter("param"))
    for element in (*root.iter("param"), *root.iter("data")):
        score += 10 * (not _FORMATS.isdisjoint(split_formats(element.get("format", ""))))
    compared = (output.get("compare") for output in root.iter("output"))
    score += 10 * sum(how in {"sim_content", "same_size"} for how in compared)
    command = root.find("command")
    text = "" if command is None else "".join(command.itertext())
    return score + 10 * bool(_COMMAND.search(text))


def _find(planned: PlannedOutput, paths: JobPaths, formats: Formats) -> Path | None:
    candidates = [planned.path]
    if planned.output.from_work_dir:
        candidates.insert(0, paths.work / planned.output.from_work_dir)
    # tools that choose the extension themselves: o.tiff for o.tif, o.png for raw o
    if planned.format:
        entry = formats.resolve(planned.format)
        stem = planned.path.name.removesuffix(entry.extension)
        others = [e for parent in entry.parents for e in formats[parent].extensions]
        candidates += [planned.path.with_name(stem + alias) for alias in (*entry.aliases, *others)]
    found = [path for path in candidates if _is_there(path, paths)]
    if not found and not planned.path.suffix:
        pattern = f"{escape(planned.path.name)}.*"
        named = sealed.found(planned.path.parent, pattern, paths.top)
        found = named if len(named) == 1 else []
    return found[0] if found else None


def _is_there(path: Path, paths: JobPaths) -> bool:
    """Whether there is something; a link to nothing is nothing."""
    try:
        return bool(sealed.kind(sealed.link_free(path, paths.top), paths.top))
    except FileNotFoundError:
        return False
    except OutputError:
        return True  # refused with its reason when it is taken


DIALECT = BioImageItDialect()
