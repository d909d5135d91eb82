"""The contract of a descriptor language, and the values that cross it.

A dialect reads descriptors, renders the command of a call, judges how the program
ended, finds the outputs and verifies the descriptor's own tests. It knows files,
never layers, and no runner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.model import Output, Tool, ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = [
    "CollectedFile",
    "CollectedOutput",
    "DataCollection",
    "DataFile",
    "Dialect",
    "JobPaths",
    "PlannedOutput",
    "RenderedCommand",
    "TestOutcome",
    "Verdict",
]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data value when the command is rendered.

    Parameters
    ----------
    path : Path
        Absolute path of the file, or of the folder for directory formats (zarr).
    format : str
        Name of the format in the tool's dialect (``tiff``, ``imagetiff``…).
    name : str
        What the user calls it (layer name or file name): Galaxy's
        ``element_identifier`` and ``name``.
    """

    path: Path
    format: str
    name: str
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataCollection:
    """Several data values under one input: identifiers and files (or nested ones)."""

    type: str
    elements: tuple[tuple[str, DataFile | DataCollection], ...]
    name: str = ""


DataValue: TypeAlias = DataFile | DataCollection | list[DataFile]


@dataclass(frozen=True, slots=True)
class JobPaths:
    """Absolute folders of one job; they are the same inside a container.

    ``work`` is the working directory of the program, ``inputs`` is read-only to it,
    ``outputs`` holds the planned outputs, ``temp`` is its ``TMPDIR``, ``home`` its
    ``HOME`` where the runner gives it one.
    """

    root: Path

    @property
    def inputs(self) -> Path:
        """Files of the inputs; read-only to the program."""
        return self.root / "inputs"

    @property
    def outputs(self) -> Path:
        """Where planned outputs go."""
        return self.root / "outputs"

    @property
    def work(self) -> Path:
        """Working directory of the program."""
        return self.root / "work"

    @property
    def temp(self) -> Path:
        """``TMPDIR`` of the program."""
        return self.root / "tmp"

    @property
    def home(self) -> Path:
        """``HOME`` of the program, where the runner gives it one."""
        return self.root / "home"


@dataclass(frozen=True, slots=True)
class PlannedOutput:
    """An output of this call: filters are evaluated, format and place are settled.

    `path` is where the tool is told to write; with ``from_work_dir`` or discovery
    the file appears elsewhere and `Dialect.collect` brings it.
    """

    output: Output
    path: Path
    format: str


@dataclass(frozen=True, slots=True)
class RenderedCommand:
    """What will be executed.

    Parameters
    ----------
    argv : tuple of str
        The program and its arguments.
    files : mapping
        Absolute path -> text to write before the start (script, configfiles).
    environment : mapping
        Variables that the descriptor sets.
    script : str
        The shell script that `argv` runs, for showing; empty for argv dialects.
    notes : tuple of str
        What a person should know (a sanitised value, a converted carrier).
    """

    argv: tuple[str, ...]
    outputs: tuple[PlannedOutput, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CollectedFile:
    """One file that a tool made. `name` is its identifier in a collection."""

    path: Path
    format: str
    name: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectedOutput:
    """An output after the run: one file, or the elements of a collection."""

    output: Output
    files: tuple[CollectedFile, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a program's end counts as success. `reason`: one sentence if not."""

    ok: bool
    reason: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What running a descriptor's test gave: the material of `Dialect.verify`."""

    __test__ = False
    exit_code: int | None
    stdout: str
    stderr: str
    outputs: Mapping[str, CollectedOutput]
    command: str
    failed: bool


class Dialect(Protocol):
    """A descriptor language."""

    name: str

    def score(self, path: Path, root: Element) -> int:
        """Return how surely the parsed file is of this language; 0: it is not."""
        ...

    def read(self, path: Path, *, root: Path | None = None) -> Tool:
        """Read one descriptor. `root`: the folder that imports may not leave.

        Raises
        ------
        DescriptorError
            Only when nothing can be shown of it (malformed, unsafe). What is not
            understood becomes a note.
        """
        ...

    def render(
        self,
        tool: Tool,
        values: BoundValues,
        paths: JobPaths,
        variables: Mapping[str, str],
    ) -> RenderedCommand:
        """Fill the command. Data leaves of `values` are `DataFile`s or collections.

        `variables`: the config's ``env`` and ``fiji`` entries. Nothing is written.

        Raises
        ------
        TemplateError
        """
        ...

    def judge(self, tool: Tool, exit_code: int | None, stdout: str, stderr: str) -> Verdict:
        """Say whether the program's end counts as success."""
        ...

    def collect(
        self,
        tool: Tool,
        rendered: RenderedCommand,
        values: BoundValues,
        paths: JobPaths,
    ) -> Sequence[CollectedOutput]:
        """Find the files of the outputs; never leaves the job's folder.

        An output without a file has no entry (the job says which are missing).
        """
        ...

    def verify(self, tool: Tool, test: ToolTest, outcome: TestOutcome) -> list[str]:
        """Compare a test's outcome with what it expects; return the differences."""
        ...
