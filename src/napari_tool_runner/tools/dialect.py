"""The contract of a descriptor language, and the values that cross it.

A dialect tells and reads descriptors, renders the command of a call, judges how the program
ended, finds the outputs and verifies the descriptor's own tests. It knows files,
never layers, and no runner.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from inspect import isfunction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from napari_tool_runner import sealed
from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import DescriptorError, TemplateError
from napari_tool_runner.names import real_path
from napari_tool_runner.quoting import check_words
from napari_tool_runner.tools.guard import guarded
from napari_tool_runner.tools.model import DataParameter, PackageRequirement, Tool
from napari_tool_runner.tools.tree import leaves

if TYPE_CHECKING:
    from napari_tool_runner.tools.candidate import Candidate
    from napari_tool_runner.tools.drafts.sketch import Sketch
    from napari_tool_runner.tools.drafts.testing import NewTest
    from napari_tool_runner.tools.formats import Trait
    from napari_tool_runner.tools.model import Note, Output, ToolTest
    from napari_tool_runner.tools.tree import BoundValues

__all__ = [
    "A_SHELL",
    "CollectedFile",
    "CollectedOutput",
    "DataCollection",
    "DataFile",
    "Dialect",
    "JobPaths",
    "Outline",
    "PlannedOutput",
    "RenderedCommand",
    "TestOutcome",
    "Verdict",
    "data_files",
    "lent_files",
]

A_SHELL = "a shell"
"""Of what a language offers: its commands are lines of a shell."""


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

    def files(self) -> list[DataFile]:
        """Return the file itself, as a list."""
        return [self]


@dataclass(frozen=True, slots=True)
class DataCollection:
    """Several data values under one input: identifiers and files (or nested ones)."""

    type: str
    elements: tuple[tuple[str, DataFile | DataCollection], ...]
    name: str = ""

    @property
    def collection_type(self) -> str:
        """Its structure, as templates call it."""
        return self.type

    def files(self) -> list[DataFile]:
        """Return all files, also those of nested collections, in order."""
        return [file for _, element in self.elements for file in element.files()]


def data_files(value: object) -> list[DataFile]:
    """Return the files of a data value as a list: one, several, a collection, or none."""
    if isinstance(value, DataFile | DataCollection):
        return value.files()
    if isinstance(value, list | tuple):
        return [file for entry in value for file in data_files(entry)]
    return []


def lent_files(tool: Tool, values: BoundValues) -> frozenset[Path]:
    """Return the files that a call hands to its program, which a link may lead to."""
    files = data_files([leaf.value for leaf in leaves(tool.inputs, values)])
    given = {file.path for file in files}
    return frozenset(given | {real_path(path) for path in given})


class JobPaths:
    """Absolute folders of one job; they are the same inside a container.

    ``work`` is the working directory of the program, ``inputs`` is read-only to it,
    ``outputs`` holds the planned outputs, ``temp`` is its ``TMPDIR``, ``home`` its
    ``HOME`` where the runner gives it one, ``version`` the file in which it tells which
    version it is. ``top`` is all that a program of the job may write to: `root`, or above it
    where `root` is of one slice.
    """

    def __init__(self, root: Path, top: Path | None = None) -> None:
        self.root = root
        self.top = root if top is None else top
        self.inputs = root / "inputs"
        self.outputs = root / "outputs"
        self.work = root / "work"
        self.temp = root / "tmp"
        self.home = root / "home"
        self.version = self.temp / "program_version.txt"


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
    version : tuple of str
        What writes to ``paths.version`` which program it is; empty: nobody knows how.

    Raises
    ------
    TemplateError
        No program can be given such words or variables.
    """

    argv: tuple[str, ...]
    outputs: tuple[PlannedOutput, ...]
    files: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    notes: tuple[str, ...] = ()
    version: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            check_words((*self.argv, *self.version, self.script), self.environment)
        except ValueError as error:
            raise TemplateError(
                f"The command of the tool cannot be run: {error}.",
                hint="Ask the author of the descriptor to leave it out.",
            ) from error


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
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What search, menus and trees need of a tool; made without reading all of it.

    Parameters
    ----------
    formats : tuple of str
        Of the data that go in and come out.
    requirements : tuple of str
        Kinds of what it requires: ``conda``, ``docker``, ``singularity``.
    thumbnail : str
        Absolute path of a picture; empty when there is none.
    help : str
        Plain text; only its beginning is kept.
    labels : str
        What its parameters and their options are called, as far as people look for it.
    command : str
        As it is written; where nothing is required, its script is asked what it needs.
    depends : tuple of Path
        Files that it was made from besides the descriptor, also some that are absent.
    """

    id: str
    name: str
    version: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    edam: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    thumbnail: str = ""
    help: str = ""
    depends: tuple[Path, ...] = ()
    labels: str = ""
    command: str = ""

    @classmethod
    def of(cls, tool: Tool) -> Outline:
        """Return the outline of a tool that was read."""
        data = [p.formats for p in tool.parameters() if isinstance(p, DataParameter)]
        made = [(output.format,) for output in tool.outputs if output.format]
        kinds = (
            "conda" if isinstance(e, PackageRequirement) else e.type for e in tool.requirements
        )
        return cls(
            id=tool.id,
            name=tool.name,
            version=tool.version,
            description=tool.description,
            categories=tool.categories,
            formats=tuple(dict.fromkeys(name for names in (*data, *made) for name in names)),
            edam=tool.edam,
            requirements=tuple(dict.fromkeys(kinds)),
            thumbnail=tool.thumbnail,
            help=tool.help,
            command=tool.command,
        )


_RESULTS: dict[str, type] = {
    "written": Mapping, "files": Sequence, "entries": Sequence, "outline": Outline, "read": Tool,
    "check": Sequence, "render": RenderedCommand, "judge": Verdict, "collect": Sequence,
    "verify": Sequence,
}  # fmt: skip


def _sealing(
    collect: Callable[..., Sequence[CollectedOutput]],
) -> Callable[..., Sequence[CollectedOutput]]:
    """Let `Dialect.collect` give only files that hold no link and may be opened."""

    @wraps(collect)
    def call(
        self: Dialect, tool: Tool, rendered: RenderedCommand, values: BoundValues, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        lent = lent_files(tool, values)
        found = []
        for entry in collect(self, tool, rendered, values, paths):
            files = []
            for file in entry.files:
                with suppress(FileNotFoundError):  # a link to nothing: the output is missing
                    place = sealed.settled(file.path, paths.top, lent)
                    files.append(replace(file, path=place))
            if files:
                found.append(replace(entry, files=tuple(files)))
        return found

    return call


class Dialect(ABC):
    """A descriptor language: one folder of `napari_tool_runner.tools`, or an entry point.

    The folder's module ``dialect`` holds one of these as ``DIALECT``; a package elsewhere
    names one in the entry-point group ``napari_tool_runner.dialects``. The module is
    imported to tell files apart: what is heavy is imported by the methods that need it.

    Attributes
    ----------
    name : str
        Key of the language; ``Tool.dialect`` of the tools it reads.
    label : str
        What a person calls it.
    patterns : tuple of str
        Names of the files it may be, as ``*.xml``; a scan looks at no others.
    must_write : bool
        An output that a program does not write is a fault. False: it is an empty file,
        which the descriptor's test judges.
    traits : mapping
        Name of a format -> what is true of it in this language only.
    code_needs : tuple of str
        Modules that run the code that its descriptors hold when `render` is called; empty:
        they hold none. A function ``warm`` in one does beforehand what takes time once.
    offers : frozenset of str
        Elements and types of parameters that other languages may lack, and `A_SHELL`: whoever
        writes one of these in such a language is told this one.
    """

    name: str
    label: str
    patterns: tuple[str, ...]
    must_write: bool = True
    code_needs: tuple[str, ...] = ()
    traits: ClassVar[Mapping[str, Sequence[Trait]]] = {}
    offers: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        for name in _RESULTS:
            if isfunction(method := vars(cls).get(name)):
                method = _sealing(method) if name == "collect" else method
                setattr(cls, name, guarded(method, _RESULTS[name]))

    @abstractmethod
    def score(self, candidate: Candidate) -> int:
        """Return how surely a file is of this language; 0: it is not.

        10 is a mark that no other language has. Nothing is evaluated, nothing started.
        """

    def entries(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the names of the tools in a file; one without a name is all of it.

        A named tool is reached as ``path#name``, see `join_entry`.
        """
        return ("",)

    def outline(self, candidate: Candidate, entry: str, root: Path) -> Outline:
        """Return what an index needs of one tool. Languages that read slowly do it faster.

        Raises
        ------
        DescriptorError
        """
        return Outline.of(self.read(candidate, entry, root=root))

    @abstractmethod
    def read(self, candidate: Candidate, entry: str = "", *, root: Path | None = None) -> Tool:
        """Read one tool. `root`: the folder that imports may not leave.

        Raises
        ------
        DescriptorError
            Only when nothing can be shown of it (malformed, unsafe). What is not
            understood becomes a note.
        """

    def files(self, tool: Tool) -> Sequence[Path]:
        """Return the files that a tool was read from, the descriptor among them."""
        return (tool.source_path,)

    def check(self, tool: Tool, variables: Mapping[str, str]) -> Sequence[Note]:
        """Return what is wrong with a tool's command and its tests, as far as no code runs.

        `variables`: what a command may name besides parameters, see `render`.
        """
        return ()

    def draft(self, sketch: Sketch) -> str:
        """Return the text of a new descriptor; raises DescriptorError where none is written."""
        raise DescriptorError(f"New descriptors are not written in the language of {self.label}.")

    def with_test(self, text: str, test: NewTest) -> str:
        """Return the text of a descriptor with one more test; raises what `draft` does."""
        raise DescriptorError(f"Tests are not written into descriptors of {self.label}.")

    def written(self, tool: Tool) -> Mapping[str, str]:
        """Return what a run would execute, by what it is, as it is written: not evaluated."""
        ahead = {"prepare (fetches its model, on request)": tool.prepare} if tool.prepare else {}
        return {"command": tool.command, **ahead}

    @abstractmethod
    def render(
        self, tool: Tool, values: BoundValues, paths: JobPaths, variables: Mapping[str, str]
    ) -> RenderedCommand:
        """Fill the command. Data leaves of `values` are `DataFile`s or collections.

        `variables`: the config's ``env`` and ``fiji`` entries. Nothing is written.

        Raises
        ------
        TemplateError
        """

    def judge(self, tool: Tool, exit_code: int | None, stdout: str, stderr: str) -> Verdict:
        """Say whether the program's end counts as success: as a rule, exit code 0."""
        if exit_code == 0:
            return Verdict(True)
        if exit_code is None:
            return Verdict(False, f"“{tool.name}” was lost before it ended.")
        if exit_code < 0:
            return Verdict(False, f"“{tool.name}” was ended by signal {-exit_code}.")
        return Verdict(False, f"“{tool.name}” ended with exit code {exit_code}.")

    @abstractmethod
    def collect(
        self, tool: Tool, rendered: RenderedCommand, values: BoundValues, paths: JobPaths
    ) -> Sequence[CollectedOutput]:
        """Find the files of the outputs; never leaves the job's folder.

        An output without a file has no entry (the job says which are missing).

        Raises
        ------
        OutputError
        """

    @abstractmethod
    def verify(self, tool: Tool, test: ToolTest, outcome: TestOutcome) -> list[str]:
        """Compare a test's outcome with what it expects; return the differences."""
