"""A test of a run: its inputs and results are put beside the descriptor, and named in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner import sealed
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import DescriptorError, ToolRunnerError, WorkspaceError
from napari_tool_runner.jobs.past.repeat import recorded_tool
from napari_tool_runner.jobs.record import JobState
from napari_tool_runner.jobs.testing import run_test
from napari_tool_runner.names import count_text, file_name, lies_in, real_path, size_text
from napari_tool_runner.sealed.changing import new_file
from napari_tool_runner.storage import write_whole
from napari_tool_runner.tools import dialect_of
from napari_tool_runner.tools.candidate import read_bytes
from napari_tool_runner.tools.drafts.testing import NewOutput, NewTest
from napari_tool_runner.tools.isolation.looking import read_tool
from napari_tool_runner.tools.toolbox.entries import ships
from napari_tool_runner.tools.tree import find_parameter
from napari_tool_runner.tools.values import default_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_tool_runner.config import Config
    from napari_tool_runner.jobs.record import RunRecord
    from napari_tool_runner.tools.model import Tool

__all__ = ["MUCH", "DraftedTest", "TestFile", "drafted_test"]

MUCH = 5 * 10**6
"""Bytes of files above which it is asked before they are copied."""
_TEST_DATA = "test-data"


class TestFile(NamedTuple):
    """A file that a test needs. `root`: the folder that a program could write to, if any."""

    name: str
    path: Path
    format: str = ""
    root: Path | None = None


@dataclass(frozen=True)
class DraftedTest:
    """A test that may be written.

    Parameters
    ----------
    tool : Tool
    values : mapping
        Full name -> text of what is no data.
    inputs, outputs : sequence of TestFile
        Copied to ``test-data``; outputs are what is expected, and compared with.
    """

    tool: Tool
    values: Mapping[str, str]
    inputs: Sequence[TestFile]
    outputs: Sequence[TestFile]

    @property
    def size(self) -> int:
        """How many bytes are copied."""
        return sum(file.path.stat().st_size for file in (*self.inputs, *self.outputs))

    def told(self) -> str:
        """Say what would be written where, and what is compared."""
        count = len(self.inputs) + len(self.outputs)
        names = ", ".join(file.name for file in self.outputs) or "nothing"
        place = self.tool.path
        return (
            f"To {place.parent / _TEST_DATA} {count_text(count, 'file is', 'files are')} copied "
            f"({size_text(self.size)}), and a test is added to {place.name}. Compared: {names}."
        )

    def write(self, config: Config | None = None, timeout: float | None = None) -> None:
        """Write it, and run it once; a test that fails at once is taken out again.

        Raises
        ------
        ToolRunnerError
            It cannot be written, or its result is another each time.
        """
        if not self.outputs:
            raise DescriptorError("There is no file that the tool wrote to compare with.")
        path = self.tool.path
        before = read_bytes(path)
        if self._read().digest != self.tool.digest:
            raise DescriptorError(f"{path.name} has changed meanwhile.", hint="Try again.")
        copied: list[Path] = []
        try:
            names = {file: self._copied(file, copied) for file in (*self.inputs, *self.outputs)}
            data: dict[str, list[str]] = {}
            for file in self.inputs:
                data.setdefault(file.name, []).append(names[file])
            values = {**self.values, **{name: ",".join(files) for name, files in data.items()}}
            expected = [NewOutput(one.name, names[one], one.format) for one in self.outputs]
            text = dialect_of(self.tool).with_test(before.decode(), NewTest(values, expected))
            write_whole(path, text.encode(), private=False)
            self._try(config, timeout)
        except (OSError, ValueError, ToolRunnerError) as error:
            write_whole(path, before, private=False)
            for made in copied:
                made.unlink(missing_ok=True)
            if isinstance(error, ToolRunnerError):
                raise
            raise DescriptorError(f"The test cannot be written: {error}.", path=path) from error

    def _read(self) -> Tool:
        root = Path(self.tool.toolbox) if self.tool.toolbox else None
        return read_tool(self.tool.path, root=root, formats=self.tool.formats)

    def _try(self, config: Config | None, timeout: float | None) -> None:
        tool = self._read()
        if len(tool.tests) != len(self.tool.tests) + 1:
            raise DescriptorError(f"A test in {tool.path.name} is not where it is read.")
        report = run_test(tool, tool.tests[-1], config=config, timeout=timeout)
        if report.status not in ("pass", "skip"):
            raise DescriptorError(
                f"The test was not kept, since it fails when it is run again: {report.message}",
                hint="A tool whose result is another each time has no such test.",
            )

    def _copied(self, file: TestFile, copied: list[Path]) -> str:
        """Copy a file unless the same lies there already; return its name."""
        folder = self.tool.lies_at.parent / _TEST_DATA
        folder.mkdir(exist_ok=True)
        stem, ending = os.path.splitext(file_name(file.path.name))
        if file in self.outputs:
            stem = f"{file_name(self.tool.id)}_{file.name}"
        number, target = 1, folder / f"{stem}{ending}"
        while os.path.lexists(target):
            if _same(target, file):
                return target.name
            number += 1
            target = folder / f"{stem}_{number}{ending}"
        # through no link: a toolbox of somebody else may have one in the place of test-data
        with (
            sealed.open_file(file.path, file.root) as source,
            new_file(target, self._root()) as draft,
        ):
            copied.append(target)
            sealed.copy_bytes(source, draft)
        return target.name

    def _root(self) -> Path:
        """Return the folder below which the test is written: the toolbox, or the tool's own."""
        place, toolbox = self.tool.lies_at, real_path(Path(self.tool.toolbox or os.curdir))
        return toolbox if self.tool.toolbox and lies_in(place, toolbox) else place.parent


def _same(target: Path, file: TestFile) -> bool:
    if target.is_symlink() or not target.is_file():
        return False
    return sealed.content_sha256(target, None) == sealed.content_sha256(file.path, file.root)


def drafted_test(record: RunRecord, config: Config) -> DraftedTest:
    """Return the test that a finished job would make; nothing is written yet.

    Raises
    ------
    WorkspaceError, DescriptorError
        It cannot be made of this job, or for this tool.
    """
    tool = recorded_tool(record, config)
    if why := _refused(record, tool):
        raise WorkspaceError(f"No test can be made of this job of “{record.tool_name}”: {why}.")
    inputs = [
        _file(one.name, one.locate(record.root), one.format, record) for one in record.inputs
    ]
    outputs = [
        _file(one.name, one.locate(record.root), one.format, record) for one in record.outputs
    ]
    return DraftedTest(tool, dict(_values(record, tool)), inputs, outputs)


def _refused(record: RunRecord, tool: Tool) -> str:
    if record.state is not JobState.DONE:
        return "it has no result"
    if not record.ours:
        return "it was not run here, and may name files that are not its own"
    if ships(tool):
        return "its tool ships with this program"
    if tool.digest != record.tool.digest:
        return "its descriptor has changed since; run it again first"
    if tool.path.is_symlink():
        return f"{tool.path} is a link"
    if tool.entry:
        return "its descriptor holds several tools"
    if record.slices is not None:
        return "it was run slice by slice"
    if not os.access(tool.path, os.W_OK) or not os.access(tool.path.parent, os.W_OK):
        return f"{tool.path} may not be written"
    if any(one.element for one in record.outputs):
        return "it made a collection, which such a test does not say"
    return ""


def _file(name: str, place: Path | None, kind: str, record: RunRecord) -> TestFile:
    if place is None:
        raise WorkspaceError(
            f"The file of “{name}” is gone.", hint="Run it again, then try again."
        )
    own = record.root is not None and place.is_relative_to(record.root)
    root = record.root if own else None
    if (sealed.kind(place, root) != "file") if root else not place.is_file():
        raise WorkspaceError(f"“{name}” is a folder, which is not copied into a test.")
    return TestFile(name, place, kind, root)


def _values(record: RunRecord, tool: Tool) -> Iterable[tuple[str, str]]:
    """Yield what is no data, and not the default, as a descriptor's test has it."""
    for name, value in record.settable.items():
        parameter = find_parameter(tool.inputs, name)
        if value is None or parameter is None:
            continue
        if "|" in name or value != default_value(parameter):
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            yield name, text.lower() if isinstance(value, bool) else text
