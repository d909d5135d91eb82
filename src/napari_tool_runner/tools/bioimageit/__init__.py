"""The ``bioimageit`` dialect: flat parameters, a ``${name}`` command, an argv.

It is BioImageIT's own XML with what its readers left out mended; the rules that were
decided on are in docs/decisions (020 to 022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.tools.dialect import Verdict

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.dialect import (
        CollectedOutput,
        JobPaths,
        RenderedCommand,
        TestOutcome,
    )
    from napari_tool_runner.tools.model import Tool, ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = ["BioImageItDialect"]


class BioImageItDialect:
    """Implements `napari_tool_runner.tools.dialect.Dialect`."""

    name = "bioimageit"

    def score(self, path: Path, root: Element) -> int:
        """Return how surely the parsed file is of this language; 0: it is not."""
        from napari_tool_runner.tools.sniff import bioimageit_score

        return bioimageit_score(root)

    def read(self, path: Path, *, root: Path | None = None) -> Tool:
        """Read one descriptor. `root` plays no part: nothing can be imported."""
        from napari_tool_runner.tools.bioimageit.reader import read_descriptor

        return read_descriptor(path)

    def render(
        self,
        tool: Tool,
        values: BoundValues,
        paths: JobPaths,
        variables: Mapping[str, str],
    ) -> RenderedCommand:
        """Fill the command as an argv; see `Dialect.render`."""
        from napari_tool_runner.tools.bioimageit.rendering import render_command

        return render_command(tool, values, paths, variables)

    def judge(self, tool: Tool, exit_code: int | None, stdout: str, stderr: str) -> Verdict:
        """Say that exit code 0 is success, and everything else is not."""
        if exit_code == 0:
            return Verdict(True)
        if exit_code is None:
            return Verdict(False, f"“{tool.name}” was lost before it ended.")
        if exit_code < 0:
            return Verdict(False, f"“{tool.name}” was ended by signal {-exit_code}.")
        return Verdict(False, f"“{tool.name}” ended with exit code {exit_code}.")

    def collect(
        self,
        tool: Tool,
        rendered: RenderedCommand,
        values: BoundValues,
        paths: JobPaths,
    ) -> Sequence[CollectedOutput]:
        """Find the files of the outputs; see `Dialect.collect`."""
        from napari_tool_runner.tools.bioimageit.collecting import collect_outputs

        return collect_outputs(rendered, paths)

    def verify(self, tool: Tool, test: ToolTest, outcome: TestOutcome) -> list[str]:
        """Compare a test's outcome with its reference files."""
        from napari_tool_runner.tools.bioimageit.verifying import verify_outcome

        return verify_outcome(tool, test, outcome)
