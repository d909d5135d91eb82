"""From a file to Galaxy's own parsed form, without ever leaving the toolbox.

`Expander` looks at every file that takes part before Galaxy's reader gets it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lxml import etree
from packaging.version import InvalidVersion, Version

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import real_path
from napari_tool_runner.storage import sha256_of
from napari_tool_runner.tools.galaxy.macros import Expander
from napari_tool_runner.tools.own_folder import import_limit

if TYPE_CHECKING:
    from galaxy.tool_util.parser.output_collection_def import DatasetCollectionDescription
    from galaxy.tool_util.parser.output_objects import ToolOutput, ToolOutputCollection
    from galaxy.tool_util.parser.xml import XmlToolSource
    from galaxy.util import Element

    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.galaxy.sanitize import Sanitizer
    from napari_tool_runner.tools.model import Parameter

__all__ = ["ANY_COLLECTION", "GalaxySource", "Native", "OutputRule", "load_source", "native"]


ANY_COLLECTION = ("list", "paired", "list:paired")
"""Of an input that does not say which collections it takes."""


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
    numerical : bool
        A column that must hold numbers.
    """

    type: str = ""
    sanitizer: Sanitizer | None = None
    separator: str = ","
    rgb: bool = False
    inferred: bool = False
    nullable: bool = False
    fetched: str = ""
    numerical: bool = False


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
    def passes_on(self) -> bool:
        """Of expression tools: whether it is one of the inputs."""
        return self.element.tag == "output" and self.element.get("type") == "data"

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
        """Return the parsed form without validators that hold Python or patterns.

        Galaxy's parameter models run such validators while they are built; reading a
        descriptor must run nothing.
        """
        from galaxy.tool_util.parser.xml import XmlToolSource

        tree = copy.deepcopy(self.tool.xml_tree)
        for validator in list(tree.getroot().iter("validator")):
            parent = validator.getparent()
            if validator.get("type") in ("expression", "regex") and parent is not None:
                parent.remove(validator)
        return XmlToolSource(tree, source_path=str(self.path))


def load_source(path: Path, root: Path | None, formats: Formats) -> GalaxySource:
    """Parse a descriptor with its macros.

    Parameters
    ----------
    path : Path
    root : Path or None
        Imports may not leave this folder, but by a link to a file of macros. Without it:
        the repository that the descriptor belongs to, else the descriptor's own folder.

    Raises
    ------
    DescriptorError
        Unreadable, malformed, or macros that cannot be expanded.
    UnsafeDescriptorError
        A DTD, an entity, or an import from outside `root`.
    """
    from galaxy.tool_util.parser.xml import XmlToolSource

    path = path.absolute()
    limit = real_path(import_limit(path, root))
    expander = Expander(path, limit)
    try:
        tool = XmlToolSource(expander.expand(), source_path=str(path))
    except InvalidVersion as error:
        raise DescriptorError(
            f"The profile of {path.name} is no release of Galaxy: {error}",
            path=path,
            hint="A profile is a number such as 23.0.",
        ) from error
    except (ValueError, LookupError, OSError, RecursionError, etree.LxmlError) as error:
        raise DescriptorError(
            f"The macros of {path.name} cannot be expanded: {error}",
            path=path,
            hint="Check its <macros>, <expand> and <token> elements.",
        ) from error
    files = tuple(expander.files)
    return GalaxySource(tool, path, files, _joint_sha256(files), formats)


def _joint_sha256(paths: Iterable[Path]) -> str:
    """Return ``sha256:…`` of the contents of several files, in order; raises OSError."""
    digests = (hashlib.sha256(path.read_bytes()).digest() for path in paths)
    return sha256_of(b"".join(digests))
