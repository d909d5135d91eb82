"""What a tool is: immutable, typed values, the same for every dialect.

Parameters are a tagged union of small frozen dataclasses. Three of them hold
others: `Section`, `Conditional` and `Repeat`. Values live elsewhere
(`napari_tool_runner.tools.values`): a `Tool` never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from napari_tool_runner.data_classes import dataclass, field, replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_tool_runner.tools.effect import Condition

from napari_tool_runner.names import real_place
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.formats import FORMATS, Formats, LayerKind

__all__ = [
    "BooleanParameter",
    "Case",
    "Citation",
    "CollectionOutput",
    "ColorParameter",
    "Conditional",
    "ContainerRequirement",
    "DataColumnParameter",
    "DataOutput",
    "DataParameter",
    "DirectoryParameter",
    "DrillDownOption",
    "DrillDownParameter",
    "FileParameter",
    "FloatParameter",
    "HelpFormat",
    "HiddenParameter",
    "InputItem",
    "IntegerParameter",
    "LayerKind",
    "Likeness",
    "Link",
    "Note",
    "OptionsSource",
    "Output",
    "PackageRequirement",
    "Parameter",
    "ParameterBase",
    "PythonRequirement",
    "Repeat",
    "Requirement",
    "Section",
    "SelectOption",
    "SelectParameter",
    "Severity",
    "TestOutput",
    "TextParameter",
    "Tool",
    "ToolTest",
    "Validator",
]


class Severity(StrEnum):
    """How bad a `Note` is.

    ``ERROR``: the tool cannot be run (the note says why); ``WARNING``: something
    the descriptor asks for is not honoured; ``INFO``: worth knowing.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader met in a descriptor and could not fully honour.

    Parameters
    ----------
    severity : Severity
    where : str
        Place in the descriptor, as ``inputs/param[sigma]``.
    what : str
        One sentence.
    """

    severity: Severity
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.where}: {self.what}"


@runtime_checkable
class Validator(Protocol):
    """A rule on one value."""

    def problem(self, value: object) -> str | None:
        """Return one sentence when `value` breaks the rule, else None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterBase:
    """What all parameters share.

    Parameters
    ----------
    name : str
        Name inside its container; the key of its value.
    label : str
        What a person reads; readers fill it from `name` when a descriptor has none.
    help : str
        Longer text, plain.
    optional : bool
        True when the value may be absent (None).
    advanced : bool
        Shown in the collapsed part of the form.
    argument : str
        The flag on the command line, as documentation (``--sigma``).
    validators : tuple of Validator
    applies : tuple of Condition
        What parameters beside it must be for it to have an effect; none: it always has one.
    for_ndim : tuple of int
        Numbers of dimensions of the data that it has an effect on; empty: all.
    for_axes : str
        Axes of which data must have one for it to have an effect (``Z``); empty: none.
    native : object
        What the dialect keeps for itself; others leave it alone.
    """

    type: ClassVar[str] = ""
    repeats: ClassVar[bool] = False

    name: str
    label: str = ""
    help: str = ""
    optional: bool = False
    advanced: bool = False
    argument: str = ""
    validators: tuple[Validator, ...] = ()
    applies: tuple[Condition, ...] = ()
    for_ndim: tuple[int, ...] = ()
    for_axes: str = ""
    native: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegerParameter(ParameterBase):
    """A whole number of any size; `minimum` and `maximum` are inclusive."""

    type: ClassVar[str] = "integer"
    default: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    step: int | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatParameter(ParameterBase):
    """A real number; `minimum` and `maximum` are inclusive.

    `default_text` keeps the digits of the descriptor (``1e-6``), which is what a
    template gets as long as nobody changes the value.
    """

    type: ClassVar[str] = "float"
    default: float | None = None
    default_text: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BooleanParameter(ParameterBase):
    """A check box; the program gets `true_value` or `false_value`."""

    type: ClassVar[str] = "boolean"
    default: bool = False
    true_value: str = "true"
    false_value: str = "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextParameter(ParameterBase):
    """Free text; an optional one may be nothing.

    `sanitizer` is private to the dialect that set it. `empty`: a text without letters is a
    text there, not nothing.
    """

    type: ClassVar[str] = "text"
    default: str = ""
    empty: bool = False
    multiline: bool = False
    suggestions: tuple[SelectOption, ...] = ()
    sanitizer: object = None


@dataclass(frozen=True, slots=True)
class SelectOption:
    """One choice: what a person reads, what the program gets."""

    label: str
    value: str
    selected: bool = False


class OptionsSource(Protocol):
    """Options that are computed from other values (a table's rows, a file)."""

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Names of the inputs whose values matter."""
        ...

    def options(self, values: Mapping[str, object]) -> tuple[SelectOption, ...]:
        """Return the options for the present values (`values`: nested, bound)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectParameter(ParameterBase):
    """One or many of a list.

    `default` is a value of the options (None: nothing chosen yet); for
    ``multiple`` it is a tuple of values.
    """

    type: ClassVar[str] = "select"
    options: tuple[SelectOption, ...] = ()
    default: str | tuple[str, ...] | None = None
    multiple: bool = False
    display: Literal["", "radio", "checkboxes"] = ""
    source: OptionsSource | None = None
    sanitizer: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorParameter(ParameterBase):
    """A colour, ``#rrggbb``."""

    type: ClassVar[str] = "color"
    default: str = "#000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileParameter(ParameterBase):
    """A path of a file that is passed as it is (no layer)."""

    type: ClassVar[str] = "file"
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryParameter(ParameterBase):
    """A path of a folder that is passed as it is."""

    type: ClassVar[str] = "directory"
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenParameter(ParameterBase):
    """A constant of the descriptor; never shown, always passed."""

    type: ClassVar[str] = "hidden"
    default: str | None = ""


class Likeness(StrEnum):
    """In what an image must be like that of another input; the words of descriptors."""

    SIZE = "same_size"
    PART = "part_of"
    """Of its size, or without some of its axes: a plane goes with a stack."""
    AXES = "same_axes"
    """The same axes, of any size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataParameter(ParameterBase):
    """A data input: a layer, an array or a file.

    Parameters
    ----------
    formats : tuple of str
        Names of the accepted formats, best first (``imagetiff``, ``tiff``, ``csv``);
        empty: any.
    kinds : tuple of LayerKind
        Kinds of layers that make sense here, best first; ``(ANY,)`` when unknown.
    multiple : bool
        Several layers or files (a list).
    minimum, maximum : int or None
        How many, when `multiple`.
    ndim : tuple of int
        Numbers of dimensions that the tool works on; empty: any.
    axes : str
        Axes in the order the tool wants (``ZYX``); empty: as they are. With `ndim` data may
        have some of them only.
    needs : str
        Axes that data must have to be taken (``T``); empty: any will do.
    like : str
        Another input, beside it or further out; empty: none. `likeness`: in what it must be alike.
    rgb : bool
        Whether it takes colour images, too; else one channel has to be made of them.
    collection : tuple of str
        Galaxy collection types (``list``, ``paired``...); empty: no collection.
    """

    type: ClassVar[str] = "data"
    formats: tuple[str, ...] = ()
    kinds: tuple[LayerKind, ...] = (LayerKind.ANY,)
    multiple: bool = False
    minimum: int | None = None
    maximum: int | None = None
    ndim: tuple[int, ...] = ()
    axes: str = ""
    needs: str = ""
    like: str = ""
    likeness: Likeness = Likeness.SIZE
    rgb: bool = True
    collection: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataColumnParameter(ParameterBase):
    """One or many columns (1-based) of the table given to the input `data_ref`."""

    type: ClassVar[str] = "data_column"
    data_ref: str = ""
    multiple: bool = False
    default: str = "1"


@dataclass(frozen=True, slots=True)
class DrillDownOption:
    """A node of a drill-down tree."""

    label: str
    value: str
    selected: bool = False
    children: tuple[DrillDownOption, ...] = ()

    def walk(self) -> Iterator[DrillDownOption]:
        """Yield it and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillDownParameter(ParameterBase):
    """Choices in a tree; ``recurse`` passes the leaves below what was chosen."""

    type: ClassVar[str] = "drill_down"
    options: tuple[DrillDownOption, ...] = ()
    multiple: bool = False
    hierarchy: Literal["exact", "recurse"] = "exact"
    default: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled group; its values are one nested mapping under `name`."""

    type: ClassVar[str] = "section"
    repeats: ClassVar[bool] = False
    name: str
    items: tuple[InputItem, ...]
    label: str = ""
    help: str = ""
    expanded: bool = False

    @property
    def inside(self) -> tuple[tuple[InputItem, ...], ...]:
        """What it holds, one group."""
        return (self.items,)

    @property
    def opens_with(self) -> int:
        """It is there once."""
        return 1

    def shown_once(self) -> Section:
        """Return itself, see `Repeat`."""
        return self


@dataclass(frozen=True, slots=True)
class Case:
    """What a `Conditional` shows when its test has `value`."""

    value: str
    items: tuple[InputItem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """A choice that decides which other parameters apply.

    For a boolean test the case values are its `true_value` and `false_value`.
    """

    type: ClassVar[str] = "conditional"
    repeats: ClassVar[bool] = False
    name: str
    test: SelectParameter | BooleanParameter
    cases: tuple[Case, ...]
    label: str = ""
    help: str = ""

    @property
    def inside(self) -> tuple[tuple[InputItem, ...], ...]:
        """What it may hold: the test, then one group each case."""
        return ((self.test,), *(case.items for case in self.cases))

    @property
    def opens_with(self) -> int:
        """It is there once."""
        return 1

    def shown_once(self) -> Conditional:
        """Return itself, see `Repeat`."""
        return self

    def active(self, value: object) -> Case | None:
        """Return the case of a test value, None if there is none.

        A boolean's value may also be written ``true`` or ``false``.
        """
        found = next((case for case in self.cases if case.value == str(value)), None)
        if found is None and isinstance(self.test, BooleanParameter):
            text = {"true": self.test.true_value, "false": self.test.false_value}.get(
                str(value).strip().lower()
            )
            found = next((case for case in self.cases if case.value == text), None)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A group that may occur `minimum` to `maximum` times; its value is a list."""

    type: ClassVar[str] = "repeat"
    repeats: ClassVar[bool] = True
    name: str
    items: tuple[InputItem, ...]
    label: str = ""
    help: str = ""
    minimum: int = 0
    maximum: int | None = None
    default: int = 0

    @property
    def inside(self) -> tuple[tuple[InputItem, ...], ...]:
        """What every entry holds, one group."""
        return (self.items,)

    @property
    def opens_with(self) -> int:
        """How many entries a form shows before anybody touches it."""
        return max(self.minimum, self.default)

    def shown_once(self) -> Repeat:
        """Return one that opens with one entry at most."""
        low = min(self.minimum, 1)
        return replace(self, minimum=low, default=max(low, min(self.default, 1)))


Parameter: TypeAlias = (
    IntegerParameter
    | FloatParameter
    | BooleanParameter
    | TextParameter
    | SelectParameter
    | ColorParameter
    | FileParameter
    | DirectoryParameter
    | HiddenParameter
    | DataParameter
    | DataColumnParameter
    | DrillDownParameter
)
InputItem: TypeAlias = Parameter | Section | Conditional | Repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOutput:
    """A file that the tool writes.

    Parameters
    ----------
    format : str
        Name of the format (``imagetiff``, ``tiff``, ``tabular``…).
    kind : LayerKind or None
        What the descriptor declares with ``layer=``; None: its format and its name decide.
    reference : str
        The input whose geometry the output takes; empty: the first image input
        that fits.
    join : str
        The labels or points output or input whose objects the rows of this
        table are.
    size : str
        The parameter that says how large the detected spots are, in pixels: by its name a sigma,
        a diameter, else a radius.
    from_work_dir : str
        Name of the file that the tool writes in its working directory.
    filters : tuple of str
        Expressions on the values; the output exists when all are true.
    discovers : bool
        Its files have names that are not known before the tool ran; there may be none.
    facts : mapping
        What the descriptor says of it besides, to be told only: ``discover``,
        ``change_format``, ``auto_format``, ``default_identifier_source``.
    """

    type: ClassVar[str] = "data"
    name: str
    label: str = ""
    format: str = ""
    kind: LayerKind | None = None
    ndim: tuple[int, ...] = ()
    axes: str = ""
    reference: str = ""
    join: str = ""
    size: str = ""
    hidden: bool = False
    from_work_dir: str = ""
    filters: tuple[str, ...] = ()
    format_source: str = ""
    discovers: bool = False
    facts: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionOutput(DataOutput):
    """Several files under one name; each becomes a layer."""

    type: ClassVar[str] = "collection"
    collection_type: str = "list"
    structured_like: str = ""
    inherit_format: bool = False
    elements: tuple[DataOutput, ...] = ()


Output: TypeAlias = DataOutput | CollectionOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRequirement:
    """A conda package, in either dialect's form.

    Galaxy gives `name` and `version`. BioImageIT gives `text`, the raw tail of a
    ``conda create`` line (channels and several specs), with `env` (may be empty)
    and `init` (a shell line run once inside the environment).
    """

    origin: ClassVar[str] = "package"
    type: str = "conda"
    name: str = ""
    version: str = ""
    text: str = ""
    env: str = ""
    init: str = ""

    @property
    def asked(self) -> str:
        """What it asks for, in one line."""
        named = f"{self.name}={self.version}" if self.version else self.name
        return self.text or named


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonRequirement:
    """Packages from PyPI, with the Python that they work with.

    Parameters
    ----------
    requirements : tuple of str
        Names with versions, extras and markers (PEP 508); no addresses.
    python : str
        Versions of Python (``>=3.11``); empty: any.
    indexes : tuple of str
        Addresses of indexes that are asked before the user's own.
    pins : tuple of str
        ``name==version`` of a lock, which count where a package is needed, each perhaps
        with ``--hash=sha256:…``.
    source : str
        Name of the file beside the descriptor that says so; empty: the descriptor.
    torch : str
        Which build of PyTorch it takes: ``auto`` for the card that is here, ``cpu`` for the
        processor; empty: that of the index.
    """

    origin: ClassVar[str] = "package"
    type: str = "pip"
    requirements: tuple[str, ...] = ()
    python: str = ""
    indexes: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    source: str = ""
    torch: str = ""

    @property
    def asked(self) -> str:
        """What it asks for, in one line."""
        return " ".join((*self.requirements, *([f"(Python {self.python})"] * bool(self.python))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequirement:
    """A container image by tag or digest. `type` is ``docker`` or ``singularity``."""

    origin: ClassVar[str] = "container"
    type: str = "docker"
    image: str = ""


Requirement: TypeAlias = PackageRequirement | PythonRequirement | ContainerRequirement


HelpFormat: TypeAlias = Literal["plain", "rst", "markdown", "url"]


@dataclass(frozen=True, slots=True)
class Link:
    """A named address: documentation, bio.tools, home page."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Citation:
    """How to cite the tool: a DOI or a BibTeX entry."""

    type: Literal["doi", "bibtex"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestOutput:
    """What a test expects of one output. `attributes` are those of the dialect."""

    __test__: ClassVar[bool] = False
    name: str
    file: str = ""
    value: str = ""
    compare: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTest:
    """A test inside a descriptor.

    Parameters
    ----------
    index : int
        0-based place among the tests.
    values : mapping
        Nested values as `napari_tool_runner.tools.values.bind` takes them; data
        values are absolute paths below the descriptor's ``test-data``.
    expect_failure : bool
        The run must fail.
    extra : mapping
        What only the dialect's own verification understands.
    """

    __test__: ClassVar[bool] = False
    index: int
    values: Mapping[str, object] = field(default_factory=dict)
    outputs: tuple[TestOutput, ...] = ()
    expect_failure: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)


_SHOWN = 12
"""Names of parameters and of outputs in the one line of a tool."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Tool:
    """A tool as its descriptor describes it. Identity is by object; see `digest`.

    Parameters
    ----------
    uri : str
        Absolute path of the descriptor, with ``#entry`` where it holds several tools.
    dialect : str
        Name of the descriptor language, a key of the dialect registry.
    digest : str
        ``sha256:…`` of the descriptor and of the files it imports.
    type : str
        ``sequential`` or ``merge`` (BioImageIT).
    toolbox : str
        Absolute path of the toolbox folder it was taken from; empty when the
        descriptor was named by its path, which is consent to run it.
    copy : str
        Absolute path of the approved copy of that folder, if it was read from one.
    place : str
        The folder that it was read in, through no link; it runs from there.
    entry : str
        Which tool of a descriptor that holds several; `uri` then ends in ``#entry``.
    network : bool
        It may use the network; with `network_if` only while that check box is ticked.
    weights : tuple of str
        Variables that name the folder in which it keeps what it fetched for later runs.
    prepare : str
        A command that fetches what belongs there, and does nothing else.
    prepare_size : int or None
        About how many bytes that is.
    repeatable : bool
        The same call gives the same result; False: it is always run, never answered by an
        earlier run.
    local : bool
        What it makes of a part of its data is that part of what it makes of all; False: it is not.
    scripted : bool
        Its command is a script for a shell; False: a program and its arguments.
    formats : Formats
        The formats that its descriptor names: the built-in ones, the configuration's,
        and what its language adds to them.
    source : object
        What the dialect keeps for itself (its parsed form). Others leave it alone.
    """

    id: str
    name: str
    version: str = ""
    description: str = ""
    command: str = ""
    inputs: tuple[InputItem, ...] = ()
    outputs: tuple[Output, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    tests: tuple[ToolTest, ...] = ()
    help: str = ""
    help_format: HelpFormat = "plain"
    categories: tuple[str, ...] = ()
    uri: str = ""
    dialect: str = ""
    digest: str = ""
    type: Literal["sequential", "merge"] = "sequential"
    profile: str = ""
    notes: tuple[Note, ...] = ()
    citations: tuple[Citation, ...] = ()
    links: tuple[Link, ...] = ()
    edam: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    license: str = ""
    network: bool = False
    network_if: str = ""
    weights: tuple[str, ...] = ()
    prepare: str = ""
    prepare_size: int | None = None
    repeatable: bool = True
    local: bool = True
    thumbnail: str = ""
    toolbox: str = ""
    copy: str = ""
    place: str = ""
    entry: str = ""
    scripted: bool = False
    formats: Formats = field(default=FORMATS, repr=False)
    source: object = None

    def __repr__(self) -> str:
        """Return one line: what it is called, what it takes and gives, and where it is told."""
        called = (
            f"{one_line(self.id, 60)} “{one_line(self.name, 60)}” {one_line(self.version, 20)}"
        )
        takes = ", ".join(one_line(one.name, 40) for one in self.parameters()[:_SHOWN])
        gives = ", ".join(one_line(one.name, 40) for one in self.outputs[:_SHOWN])
        more = ", …" * (len(self.parameters()) > _SHOWN), ", …" * (len(self.outputs) > _SHOWN)
        return (
            f"<Tool {called}: ({takes}{more[0]}) → ({gives}{more[1]}), {one_line(self.uri, 300)}>"
        )

    @cached_property
    def path(self) -> Path:
        """The descriptor as a path."""
        return Path(self.uri.rpartition("#")[0] if self.entry else self.uri)

    @cached_property
    def lies_at(self) -> Path:
        """Where the descriptor lay when it was read, in no folder by a link."""
        if self.place:
            return Path(self.place, self.path.name)
        return real_place(self.path) if self.uri else self.path

    @cached_property
    def source_path(self) -> Path:
        """The file that it was read from: its place in the approved copy, if there is one."""
        return Path(self.copy, self.path.relative_to(self.toolbox)) if self.copy else self.lies_at

    @cached_property
    def folder(self) -> Path:
        """The folder that it runs from (``$__tool_directory__``)."""
        return self.source_path.parent

    @cached_property
    def problems(self) -> tuple[Note, ...]:
        """The notes that keep the tool from running."""
        return tuple(n for n in self.notes if n.severity is Severity.ERROR)

    def parameters(self) -> tuple[Parameter, ...]:
        """Return every parameter, also those of inactive cases, depth first."""
        return tuple(_leaves(self.inputs))

    def output(self, name: str) -> Output:
        """Return the output called `name`; KeyError if there is none."""
        return {output.name: output for output in self.outputs}[name]


def _leaves(items: tuple[InputItem, ...]) -> Iterator[Parameter]:
    for item in items:
        if isinstance(item, ParameterBase):
            yield item
        else:
            for group in item.inside:
                yield from _leaves(group)
