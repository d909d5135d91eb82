"""`GalaxyDialect`: Galaxy's tool language behind the contract of `Dialect`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from napari_tool_runner._lazy import compiled
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.dialect import A_SHELL, Dialect
from napari_tool_runner.tools.formats import Trait, split_formats

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.candidate import Candidate
    from napari_tool_runner.tools.dialect import (
        CollectedOutput,
        JobPaths,
        Outline,
        RenderedCommand,
        TestOutcome,
        Verdict,
    )
    from napari_tool_runner.tools.drafts.testing import NewTest
    from napari_tool_runner.tools.galaxy.source import GalaxySource
    from napari_tool_runner.tools.model import Tool, ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["DIALECT", "GalaxyDialect"]

# marks that only Galaxy's readers understand; BioImageIT's XML began as a subset of it
_ELEMENTS = (
    dict.fromkeys(["macros", "expand", "configfiles", "conditional", "repeat", "section"], 10)
    | dict.fromkeys(["discover_datasets", "collection", "environment_variables"], 10)
    | dict.fromkeys(["stdio", "requirement", "sanitizer", "validator", "change_format"], 6)
    | dict.fromkeys(["assert_contents", "required_files", "version_command"], 6)
    | dict.fromkeys(["xrefs", "edam_topics", "edam_operations"], 2)
)
_ATTRIBUTES = {
    "command": {"detect_errors", "interpreter", "strict", "oom_exit_code"},
    "data": {"from_work_dir", "format_source", "auto_format"},
    "output": {"checksum", "md5", "ftype", "lines_diff", "value_json"},
    "test": {"expect_num_outputs", "expect_failure", "expect_exit_code"},
}
_TYPES = {"data_collection", "data_column", "drill_down", "group_tag", "genomebuild"}
_FORMATS = {"tabular", "interval", "fasta", "fastqsanger"}
_IMAGES = {"tiff", "tif", "png"}
_DIRECTIVE = compiled(
    r"^[^\S\n]*#(if|for|set|else|elif|end|import|def|silent|from|unless)\b", re.M
)
_DOTTED = compiled(r"\$\{?[A-Za-z_]\w*\.[A-Za-z_]")
_BARE = compiled(r"(?<!\\)\$(?!__tool_directory__|__fiji__)[A-Za-z_]\w*")
_SHELL = compiled(r"&&|\|\||\s\|\s|\s\d?>{1,2}\s?|\bln -s\b|\\\$\{?GALAXY")
# Galaxy's imaging tools take points as pos_x, pos_y, by name or by place
_POINTS = (Trait.XYZ, Trait.POSITIONS)


class GalaxyDialect(Dialect):
    """Galaxy tools, read with galaxy-tool-util and rendered as Galaxy renders them.

    Nothing of Galaxy is imported before a descriptor is read.
    """

    name = "galaxy"
    label = "Galaxy"
    patterns = ("*.xml",)
    must_write = False
    code_needs = ("napari_tool_runner.tools.galaxy.warming",)
    traits: ClassVar[Mapping[str, Sequence[Trait]]] = {
        # its sniffer calls a tsv tabular, and a text what stands in it
        "tabular": (*_POINTS, Trait.PLAIN),
        "tsv": _POINTS,
        "csv": (Trait.XYZ,),
        "txt": (Trait.LOOSE,),
    }

    offers = frozenset({A_SHELL, *_TYPES, *_ELEMENTS})

    def score(self, candidate: Candidate) -> int:
        """Return how surely the file is a Galaxy tool; 0: it is not."""
        return 0 if candidate.xml is None else _score(candidate.xml)

    def outline(self, candidate: Candidate, entry: str, root: Path) -> Outline:
        """Return what an index needs, from the XML alone."""
        from napari_tool_runner.tools.outline import xml_outline

        return xml_outline(candidate, root, whole=True)

    def read(self, candidate: Candidate, entry: str = "", *, root: Path | None = None) -> Tool:
        """Read one descriptor; `root` is the folder that imports may not leave."""
        from napari_tool_runner.tools.galaxy.reader import read_tool

        return read_tool(candidate.path, root, candidate.formats)

    def render(
        self, tool: Tool, values: BoundValues, paths: JobPaths, variables: Mapping[str, str]
    ) -> RenderedCommand:
        """Return the script and the files of a call; nothing is written."""
        from napari_tool_runner.tools.galaxy.render import render

        return render(tool, _source(tool), values, paths, variables)

    def files(self, tool: Tool) -> Sequence[Path]:
        """Return the descriptor and what it imports."""
        return _source(tool).files

    def written(self, tool: Tool) -> Mapping[str, str]:
        """Return the templates of command, files and variables, and the code on outputs."""
        found = {"command": tool.command}
        for element in _source(tool).root.iter():
            text = (element.text or "").strip()
            name = element.get("name") or element.get("filename") or ""
            if element.tag in _CODE and text:
                found[f"{element.tag.replace('_', ' ')} {len(found)} {name}".strip()] = text
        return found

    def judge(self, tool: Tool, exit_code: int | None, stdout: str, stderr: str) -> Verdict:
        """Apply the descriptor's ``<stdio>`` and ``detect_errors``."""
        from napari_tool_runner.tools.galaxy.judge import judge

        return judge(_source(tool), exit_code, stdout, stderr)

    def collect(
        self, tool: Tool, rendered: RenderedCommand, values: BoundValues, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        """Find the outputs, bring them into ``paths.outputs``."""
        from napari_tool_runner.tools.galaxy.collect import collect

        return collect(tool, _source(tool), rendered, values, paths)

    def with_test(self, text: str, test: NewTest) -> str:
        """Return the text of a descriptor with one more test; images are compared as such."""
        from napari_tool_runner.tools.drafts.testing import with_test

        images = [one.name for one in test.outputs if one.format in _IMAGES]
        return with_test(text, test, {name: {"compare": "image_diff"} for name in images})

    def verify(self, tool: Tool, test: ToolTest, outcome: TestOutcome) -> list[str]:
        """Return the differences between a test's outcome and what it expects."""
        from napari_tool_runner.tools.galaxy.verify import verify

        return verify(_source(tool), test, outcome)


_CODE = frozenset({"configfile", "environment_variable", "filter", "validator", "version_command"})


def _source(tool: Tool) -> GalaxySource:
    """What was kept when `tool` was read; read again where that got lost (a cache)."""
    from napari_tool_runner.tools.galaxy.reader import read_tool
    from napari_tool_runner.tools.galaxy.source import GalaxySource

    if isinstance(tool.source, GalaxySource):
        return replace(tool.source, formats=tool.formats)
    root = tool.copy or tool.toolbox
    again = read_tool(tool.source_path, Path(root) if root else None, tool.formats)
    if again.digest != tool.digest:
        raise DescriptorError(
            f"{tool.path.name} has changed since it was read.",
            path=tool.path,
            hint="Reload the toolbox.",
        )
    assert isinstance(again.source, GalaxySource)
    return again.source


def _score(root: Element) -> int:
    """Return how much of the parsed file only Galaxy understands; 0: nothing."""
    if root.tag != "tool":
        return 0
    present = {element.tag for element in root.iter()}
    score = sum(weight for tag, weight in _ELEMENTS.items() if tag in present)
    score += 10 * ("profile" in root.attrib) + 10 * bool(root.get("tool_type"))
    for tag, names in _ATTRIBUTES.items():
        score += 6 * any(names & element.attrib.keys() for element in root.iter(tag))
    element = root.find("command")
    command = "" if element is None else "".join(element.itertext())
    for pattern, weight in ((_DIRECTIVE, 10), (_DOTTED, 10), (_SHELL, 4), (_BARE, 2)):
        score += weight * bool(pattern.search(command))
    for param in root.iter("param"):
        score += 10 * (param.get("type") in _TYPES)
        score += "truevalue" in param.attrib or "falsevalue" in param.attrib
        score += 3 * (not _FORMATS.isdisjoint(split_formats(param.get("format", ""))))
    return score


DIALECT = GalaxyDialect()
