"""From a file to Galaxy's own parsed form, without ever leaving the toolbox.

Every file that takes part is looked at before Galaxy's reader gets it: no DTD, no
entity, no import from outside the root.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree
from packaging.version import InvalidVersion, Version

from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.storage import joint_sha256
from napari_tool_runner.tools.candidate import load_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element as PlainElement

    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.parser.output_objects import ToolOutput, ToolOutputCollection
    from galaxy.tool_util.parser.xml import XmlToolSource
    from galaxy.util import Element

    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.galaxy.sanitize import Sanitizer
    from napari_tool_runner.tools.model import Parameter

__all__ = ["GalaxySource", "Native", "OutputRule", "load_source", "native"]


@dataclass(frozen=True, slots=True)
class Native:
    """What the templates need of a parameter beyond the tool model.

    Parameters
    ----------
    type : str
        Galaxy's own type (``data_collection``, ``genomebuild``…).
    sanitizer : Sanitizer or None
        None: Galaxy's default.
    separator : str
        Joins the values of a multiple select.
    rgb : bool
        A colour is written ``(r, g, b)``.
    inferred : bool
        ``optional`` was not said but follows from the validators.
    nullable : bool
        A boolean that may be neither.
    fetched : str
        Where Galaxy would fetch the dataset that it takes when none is chosen.
    """

    type: str = ""
    sanitizer: Sanitizer | None = None
    separator: str = ","
    rgb: bool = False
    inferred: bool = False
    nullable: bool = False
    fetched: str = ""


def native(parameter: Parameter) -> Native:
    """Return what this dialect keeps of `parameter`."""
    return parameter.native if isinstance(parameter.native, Native) else Native(parameter.type)


@dataclass(frozen=True, slots=True, eq=False)
class OutputRule:
    """What decides on one output when the tool runs.

    Parameters
    ----------
    parsed : ToolOutput or ToolOutputCollection
        Galaxy's parsed form.
    element : Element
    collectors : tuple
        Descriptions of the files that are discovered.
    """

    parsed: ToolOutput | ToolOutputCollection
    element: Element
    collectors: tuple[DatasetCollectionDescription, ...] = ()

    @property
    def collection(self) -> ToolOutputCollection:
        """Galaxy's parsed form, when the output is a collection."""
        from galaxy.tool_util.parser.output_objects import ToolOutputCollection

        assert isinstance(self.parsed, ToolOutputCollection)
        return self.parsed

    @property
    def from_expression(self) -> str:
        """Of expression tools: what of the result this output holds."""
        return str(getattr(self.parsed, "from_expression", None) or self.element.get("name") or "")


@dataclass(eq=False)
class GalaxySource:
    """What this dialect keeps of a descriptor; lives in ``Tool.source``.

    Parameters
    ----------
    tool : XmlToolSource
        Galaxy's parsed form, macros and tokens expanded.
    path : Path
        The descriptor.
    files : tuple of Path
        The descriptor and the files it imports.
    digest : str
        ``sha256:…`` over the contents of `files`.
    formats : Formats
        Those of the tool.
    rules : dict
        Output name -> what decides on it when the tool runs.
    """

    tool: XmlToolSource
    path: Path
    files: tuple[Path, ...]
    digest: str
    formats: Formats = field(repr=False)
    rules: dict[str, OutputRule] = field(default_factory=dict)

    @property
    def root(self) -> Element:
        """The ``<tool>`` element after expansion."""
        return self.tool.root

    @property
    def profile(self) -> Version:
        """The Galaxy release whose rules apply; 16.01 when it is not said."""
        return Version(self.tool.parse_profile())

    @property
    def template_version(self) -> Version:
        """The Python that the templates are written for."""
        try:
            declared = self.tool.parse_python_template_version()
        except InvalidVersion:
            declared = None
        if declared is not None:
            return Version(str(declared))
        return Version("3.5" if self.profile >= Version("19.05") else "2.7")

    @property
    def sanitizes(self) -> bool:
        """Whether values are cleaned at all (``<options sanitize="false"/>``)."""
        return bool(self.tool.parse_sanitize())

    def test_file(self, name: str) -> Path | None:
        """Return the absolute path of a test's file, None when it is not there.

        It lies in a ``test-data`` beside the descriptor or a file that it imports; a name
        never leads out of that.
        """
        for parent in dict.fromkeys(file.parent for file in (self.path, *self.files)):
            folder = parent / "test-data"
            path = folder / name
            inside = path.absolute().is_relative_to(folder) and ".." not in Path(name).parts
            if inside and path.exists():
                return path.absolute()
        return None

    def without_code(self) -> XmlToolSource:
        """Return the parsed form without validators that hold Python.

        Galaxy's parameter models run such validators while they are built; reading a
        descriptor must run nothing.
        """
        from galaxy.tool_util.parser.xml import XmlToolSource

        tree = copy.deepcopy(self.tool.xml_tree)
        for validator in list(tree.getroot().iter("validator")):
            parent = validator.getparent()
            if validator.get("type") == "expression" and parent is not None:
                parent.remove(validator)
        return XmlToolSource(tree, source_path=str(self.path))


def load_source(path: Path, root: Path | None, formats: Formats) -> GalaxySource:
    """Parse a descriptor with its macros.

    Parameters
    ----------
    path : Path
    root : Path or None
        Imports may not leave this folder. Without it: the checkout (``.git``) that
        the descriptor belongs to, else the descriptor's own folder.

    Raises
    ------
    DescriptorError
        Unreadable, malformed, or macros that cannot be expanded.
    UnsafeDescriptorError
        A DTD, an entity, or an import from outside `root`.
    """
    from galaxy.tool_util.parser.xml import XmlToolSource
    from galaxy.util.xml_macros import load_with_references

    path = path.absolute()
    limit = (root or _checkout(path) or path.parent).resolve()
    roots = _closure(path, limit)
    _check_macros(path, roots.values())
    digest = joint_sha256(roots)
    try:
        tree, macro_paths = load_with_references(str(path))
        tool = XmlToolSource(tree, source_path=str(path), macro_paths=macro_paths)
    except InvalidVersion as error:
        raise DescriptorError(
            f"The profile of {path.name} is no release of Galaxy: {error}",
            path=path,
            hint="A profile is a number such as 23.0.",
        ) from error
    except (AssertionError, ValueError, LookupError, OSError, etree.LxmlError) as error:
        raise _expansion_error(path, error) from error
    except Exception as error:
        # the macro expander raises bare exceptions for token cycles
        if type(error) is not Exception:
            raise
        raise _expansion_error(path, error) from error
    return GalaxySource(tool, path, tuple(roots), digest, formats)


def _expansion_error(path: Path, error: Exception) -> DescriptorError:
    return DescriptorError(
        f"The macros of {path.name} cannot be expanded: {error}",
        path=path,
        hint="Check its <macros>, <expand> and <token> elements.",
    )


def _checkout(path: Path) -> Path | None:
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


def _closure(path: Path, limit: Path) -> dict[Path, PlainElement]:
    """Return the descriptor and everything it imports, each checked, with its root."""
    seen: dict[Path, PlainElement] = {}
    todo = [(path, "")]
    while todo:
        file, wanted = todo.pop()
        real = file.resolve()
        if wanted and not real.is_relative_to(limit):
            raise UnsafeDescriptorError(
                f"{path.name} imports “{wanted}”, which lies outside its toolbox ({limit}).",
                path=path,
                hint="Copy the file into the toolbox, or add the folder above as a toolbox.",
            )
        if real in seen:
            continue
        root = load_xml(real if wanted else file)
        seen[real] = root
        containers = [root] if root.tag == "macros" else list(root.findall("macros"))[:1]
        for container in containers:
            for element in container.findall("import"):
                name = (element.text or "").strip()
                if name:
                    # Galaxy looks beside the importing file, symbolic links unresolved
                    todo.append((file.parent / name, name))
    return seen


# -- macros, before they are expanded --------------------------------------------------
#
# Galaxy's expander follows whatever it is given. A macro that holds itself never ends, and
# ten macros that each hold the next ten times fill the memory; both are found by counting,
# in time that grows with the text and not with its expansion.

_MAX_EXPANSIONS = 100_000
_MAX_TEXT = 16 * 1024 * 1024


def _check_macros(path: Path, roots: Iterable[PlainElement]) -> None:
    """Refuse a descriptor whose macros would not end, or not fit.

    Parameters
    ----------
    roots : iterable of Element
        The descriptor's root and those of the files it imports.

    Raises
    ------
    UnsafeDescriptorError
    """
    macros: dict[str, PlainElement] = {}
    tokens: dict[str, str] = {}
    descriptors: list[PlainElement] = []
    for root in roots:
        if root.tag != "macros":
            descriptors.append(root)
        for container in [root] if root.tag == "macros" else root.findall("macros"):
            for element in container:
                name = element.get("name") or ""
                kind = element.get("type") if element.tag == "macro" else element.tag
                if kind == "token":
                    tokens[name] = element.text or ""
                elif kind in ("xml", None):
                    macros[name] = element
    expansions = _Growth(path, f"expand more than {_MAX_EXPANSIONS:,} times", _MAX_EXPANSIONS)

    def expanded(element: PlainElement) -> int:
        """Return how many expansions the ``<expand>`` elements below `element` cause."""
        total = 0
        for expand in _top_expands(element):
            macro = macros.get(expand.get("macro") or "")
            total += 1 + of_macro(expand.get("macro") or "")
            yields = 0 if macro is None else sum(1 for _ in macro.iter("yield"))
            total += expanded(expand) * max(yields, 1)
        return expansions.limited(total)

    def of_macro(name: str) -> int:
        return expansions.of(name, lambda: expanded(macros[name])) if name in macros else 0

    texts = _Growth(path, f"grow beyond {_MAX_TEXT:,} characters", _MAX_TEXT)

    def size(name: str) -> int:
        def grown() -> int:
            total = len(tokens[name])
            for other in filter(None, tokens):
                count = tokens[name].count(other)
                total = texts.limited(total + (count and count * size(other)))
            return total

        return texts.of(name, grown)

    for name in macros:
        of_macro(name)
    for root in descriptors:
        expanded(root)
    for name in tokens:
        size(name)


class _Growth:
    """Sums of what refers to one another by name; what refers to itself is refused."""

    def __init__(self, path: Path, excess: str, most: int) -> None:
        self.path, self.excess, self.most = path, excess, most
        self.known: dict[str, int] = {}
        self.open: list[str] = []

    def of(self, name: str, total: Callable[[], int]) -> int:
        if name in self.open:
            chain = " → ".join([*self.open[self.open.index(name) :], name])
            raise UnsafeDescriptorError(
                f"The macros of {self.path.name} hold themselves ({chain}): a cycle.",
                path=self.path,
                hint="Remove one of the <expand> or <token> elements.",
            )
        if name not in self.known:
            self.open.append(name)
            self.known[name] = total()
            self.open.pop()
        return self.known[name]

    def limited(self, total: int) -> int:
        if total > self.most:
            raise UnsafeDescriptorError(
                f"The macros of {self.path.name} {self.excess}.",
                path=self.path,
                hint="Such a descriptor is not read.",
            )
        return total


def _top_expands(element: PlainElement) -> list[PlainElement]:
    """Return the ``<expand>`` elements below `element` that lie in no other one."""
    found: list[PlainElement] = []
    for child in element:
        found += [child] if child.tag == "expand" else _top_expands(child)
    return found
