"""A file that may be a descriptor: read once, parsed safely when somebody asks.

What is read here comes from anywhere. Entity expansion, nested aliases and deep nesting
fill the memory, external entities and object tags read files or run code: all of them are
refused before anything is built, and nothing larger than `MAX_BYTES` is read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from napari_tool_runner import storage
from napari_tool_runner._lazy import compiled
from napari_tool_runner.errors import DescriptorError, UnsafeDescriptorError
from napari_tool_runner.storage import JSON_DEPTH, sha256_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element, TreeBuilder

    from yaml import Event, Node, SafeLoader, ScalarNode

    from napari_tool_runner.tools.formats import Formats

__all__ = [
    "MAX_BYTES",
    "Candidate",
    "holds_macros",
    "join_entry",
    "load_xml",
    "parse_json",
    "parse_yaml",
    "read_bytes",
    "split_entry",
]

MAX_BYTES = 8 * 2**20
"""Largest descriptor that is read. The largest published one has 0.4 MB."""

_HEAD_BYTES = 4096
_MARKED = rb"\xff\xfe|\xfe\xff"  # of UTF-16
_XML = compiled(b"<|" + _MARKED)
_BEGINNINGS = {".xml": _XML, ".json": compiled(rb"[\[{\"\d-]|" + _MARKED)}
_MACROS = compiled(
    # what was passed is not looked at in another way: there are as many as powers of two
    rb"(?:\xef\xbb\xbf)?\s*+(?:(?><\?.*?\?>|<!--.*?-->)\s*+)*+<macros[\s/>]",
    re.DOTALL,
)
_MAX_ALIASES = 100_000
_MAX_VALUES = 500_000
# as in YAML 1.2: the base 60 of an older one takes quadratic time. What is longer is a text
_YAML_INT = compiled(r"(?=.{1,100}\Z)([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_YAML_FLOAT = compiled(
    r"(?=.{1,100}\Z)[-+]?(\.inf|\.nan|(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]+)?)\Z", re.I
)

_ESCAPED = compiled(r"[/\\#|\x00-\x1f\x7f]")

_T = TypeVar("_T")


class Candidate:
    """One file that may be a descriptor; read once, parsed when somebody asks.

    A program that describes itself is one, too: it is never started here, and what can
    be told about it are its path, its `head` and whether it is `executable`.
    `data` is its content, where it is known already.
    """

    def __init__(self, path: str | os.PathLike[str], data: bytes | None = None) -> None:
        self.path = Path(path)
        if data is not None:
            self.data = data

    @cached_property
    def data(self) -> bytes:
        """The content.

        Raises
        ------
        UnsafeDescriptorError, DescriptorError
            It is too large, or cannot be read.
        """
        return read_bytes(self.path)

    @cached_property
    def head(self) -> bytes:
        """The first 4 kB; nothing when the file cannot be read."""
        try:
            return self.data[:_HEAD_BYTES]
        except UnsafeDescriptorError:  # far too large for a descriptor: perhaps a program
            with self.path.open("rb") as stream:
                return stream.read(_HEAD_BYTES)
        except DescriptorError:
            return b""

    @cached_property
    def executable(self) -> bool:
        """Whether the file may be started as a program."""
        return self.path.is_file() and os.access(self.path, os.X_OK)

    @cached_property
    def formats(self) -> Formats:
        """The formats that it may name; `read_tool` sets those of a configuration."""
        from napari_tool_runner.tools.formats import FORMATS

        return FORMATS

    @cached_property
    def digest(self) -> str:
        """``sha256:…`` of the content."""
        return sha256_of(self.data)

    @cached_property
    def xml(self) -> Element | None:
        """The root element; None when the file is no (safe) XML."""
        return self._view(parse_xml, _XML.match(_start(self.head)) is not None)

    def root(self, tag: str) -> Element:
        """Return the root element of an XML file, which must be `tag`.

        Raises
        ------
        DescriptorError
            It is no XML, or has another root.
        """
        root = parse_xml(self.data, self.path) if self.xml is None else self.xml
        if root.tag != tag:
            raise DescriptorError(
                f"{self.path} describes no tool: its root is <{root.tag}>.",
                path=self.path,
                hint=f"A descriptor starts with <{tag}>.",
            )
        return root

    @cached_property
    def json(self) -> object:
        """The parsed JSON; None when the file is none."""
        return self._view(parse_json, _start(self.head)[:1] in (b"{", b"["))

    @cached_property
    def yaml(self) -> object:
        """The parsed YAML (JSON is YAML, too); None when the file is none."""
        return self._view(parse_yaml, b"\0" not in self.head)

    @cached_property
    def problem(self) -> DescriptorError | None:
        """Why the file is not even well-formed in the notation that its name promises."""
        parsers: dict[str, Callable[[bytes, Path], object]] = {
            ".xml": parse_xml,
            ".json": parse_json,
            ".yml": parse_yaml,
            ".yaml": parse_yaml,
        }
        parser = parsers.get(self.path.suffix.lower())
        try:
            if parser is not None:
                parser(self.data, self.path)
            elif not self.head:
                read_bytes(self.path)
        except DescriptorError as error:
            return error
        return None

    @cached_property
    def misnamed(self) -> bool:
        """Whether it does not even begin as what its name promises: XML, JSON."""
        begins = _BEGINNINGS.get(self.path.suffix.lower())
        try:
            return begins is not None and begins.match(_start(self.data)) is None
        except DescriptorError:
            return False  # nobody knows how it begins

    def _view(self, parse: Callable[[bytes, Path], _T], likely: bool) -> _T | None:
        if not likely:
            return None  # also what is far too large for a descriptor is only looked at
        try:
            return parse(self.data, self.path)
        except DescriptorError:
            return None


def split_entry(ref: str | os.PathLike[str]) -> tuple[Path, str]:
    """Split ``path#entry``, one of several tools of a file; the entry may be empty.

    A file whose own name holds the mark is taken as it is. What `join_entry` escapes may
    also be written as it is, as long as the file is there.
    """
    text = os.fspath(ref)
    path, mark, entry = text.rpartition("#")
    if not mark or not entry or os.path.exists(text):
        return Path(text), ""
    for place in (found.start() for found in re.finditer("#", text)):
        if os.path.isfile(text[:place]):
            path, entry = text[:place], text[place + 1 :]
            return Path(path), entry if _ESCAPED.search(entry) else unquote(entry)
    return (Path(text), "") if "/" in entry or os.sep in entry else (Path(path), unquote(entry))


def join_entry(path: Path, entry: str) -> str:
    """Return ``path#entry``; what would part or break it is written as ``%2F``."""
    name = _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", entry.replace("%", "%25"))
    return f"{path}#{name}" if entry else str(path)


def _start(head: bytes) -> bytes:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of the regular file `path`, at most `limit` bytes.

    Raises
    ------
    UnsafeDescriptorError, DescriptorError
    """
    try:
        return storage.read_limited(path, limit)
    except ValueError as error:
        raise UnsafeDescriptorError(
            f"{path} is larger than {limit // 2**20} MB.",
            path=path,
            hint="No tool descriptor is so large; it was not read.",
        ) from error
    except OSError as error:
        what, hint = f"{path} cannot be read: {error.strerror or error}.", "Check its permissions."
        if isinstance(error, FileNotFoundError):
            what, hint = f"There is no file {path}.", "Check the path."
        elif os.path.exists(path) and not path.is_file():
            what, hint = f"{path} is not a file.", "Name the descriptor of a tool."
        raise DescriptorError(what, path=path, hint=hint) from error


def load_xml(path: Path) -> Element:
    """Read and parse one XML file."""
    return parse_xml(read_bytes(path), path)


def holds_macros(path: Path) -> bool:
    """Whether it is a file of Galaxy's macros: what is no tool, and may be shared by a link."""
    return _MACROS.match(Candidate(path).head) is not None


def parse_xml(data: bytes, path: Path) -> Element:
    """Parse XML: no document type, no entity, no deep nesting. `path`: for messages.

    Raises
    ------
    UnsafeDescriptorError
        It declares a document type or an entity, or nests without end.
    DescriptorError
        It is not well-formed; the message names line and column.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    parser = DefusedXMLParser(
        target=_xml_builder()(), forbid_dtd=True, forbid_entities=True, forbid_external=True
    )
    try:
        parser.feed(data)
        root: Element = parser.close()
    except RecursionError as error:
        raise _too_deep(path) from error
    except DefusedXmlException as error:
        raise UnsafeDescriptorError(
            f"{path} declares a document type or an entity ({type(error).__name__}).",
            path=path,
            hint="Remove the DOCTYPE; descriptors with one are never read.",
        ) from error
    except ParseError as error:
        line, column = error.position
        reason = str(error).split(":", maxsplit=1)[0].removeprefix("not well-formed ")
        raise DescriptorError(
            f"{path}, line {line}, column {column + 1}: {reason}; it is not well-formed XML.",
            path=path,
            hint="Correct the XML there.",
        ) from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise DescriptorError(
            f"{path} cannot be decoded: {error}.", path=path, hint="Save it as UTF-8."
        ) from error
    return root


def parse_json(data: bytes, path: Path) -> object:
    """Parse JSON, with the limits of `storage.parse_json`.

    Raises
    ------
    UnsafeDescriptorError
        It holds more, or is deeper, than a descriptor is.
    DescriptorError
        It is no JSON; the message names line and column.
    """
    try:
        return storage.parse_json(data, most=_MAX_VALUES)
    except storage.JsonDepthError as error:
        raise _too_deep(path) from error
    except storage.JsonLimitError as error:
        raise _too_many(path) from error
    except json.JSONDecodeError as error:
        raise DescriptorError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}.",
            path=path,
            hint="Correct the JSON there.",
        ) from error
    except ValueError as error:  # an encoding, or a number with thousands of digits
        raise DescriptorError(
            f"{path} is no JSON: {error}.", path=path, hint="Save it as UTF-8."
        ) from error


def parse_yaml(data: bytes, path: Path, *, aliases: int = _MAX_ALIASES) -> object:
    """Parse YAML: mappings, lists, texts, numbers, truths and nothing; other tags give None.

    `aliases`: how many characters its aliases may stand for, all together.

    Raises
    ------
    UnsafeDescriptorError
        Its aliases stand for more, or for what holds them, or it is too deep or too long.
    DescriptorError
        It is no YAML.
    """
    import yaml

    loader = _yaml_loader()
    try:
        # what is short and has no asterisk can neither nest deep nor use an alias
        if len(data) > JSON_DEPTH or b"*" in data:
            _check_yaml(yaml.parse(data, loader), path, aliases)
        parsed: object = yaml.load(data, loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, LookupError, TypeError) as error:
        raise DescriptorError(
            f"{path} is no valid YAML: {' '.join(str(error).split())}.",
            path=path,
            hint="Correct the YAML there.",
        ) from error
    return parsed


def _check_yaml(events: Iterable[Event], path: Path, aliases: int) -> None:
    """Count what the aliases of a file stand for, before anything is built of it."""
    import yaml

    sizes: dict[str, int] = {}
    nodes: list[tuple[str, int]] = [("", 0)]  # anchor and size of what is open
    for number, event in enumerate(events):
        if number > _MAX_VALUES:
            raise _too_many(path)
        anchor, size = getattr(event, "anchor", None) or "", 0
        if isinstance(event, yaml.CollectionStartEvent):
            nodes.append((anchor, 0))
            if len(nodes) > JSON_DEPTH:
                raise _too_deep(path)
            continue
        if isinstance(event, yaml.AliasEvent):
            size = sizes.get(anchor, aliases + 1)  # one that is still open holds itself
            aliases -= size
            if aliases < 0:
                raise UnsafeDescriptorError(
                    f"{path} uses aliases, which can grow without end.",
                    path=path,
                    hint="Write out what the aliases stand for.",
                )
        elif isinstance(event, yaml.ScalarEvent):
            size = len(event.value) + 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = nodes.pop()
            size += 1  # what is empty takes memory, too
        if anchor and not isinstance(event, yaml.AliasEvent):
            sizes[anchor] = size
        nodes[-1] = (nodes[-1][0], nodes[-1][1] + size)


@cache
def _xml_builder() -> type[TreeBuilder]:
    from xml.etree.ElementTree import TreeBuilder

    class Limited(TreeBuilder):
        depth = 0

        def start(self, tag: str, attrs: dict[str, str], /) -> Element:
            self.depth += 1
            if self.depth > JSON_DEPTH:
                raise RecursionError
            return super().start(tag, attrs)

        def end(self, tag: str, /) -> Element:
            self.depth -= 1
            return super().end(tag)

    return Limited


@cache
def _yaml_loader() -> type[SafeLoader]:
    import yaml

    safe: type[SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(safe):  # type: ignore[misc, valid-type]
        """Knows what JSON knows: no dates, sets, merged keys and numbers to base 60."""

        def flatten_mapping(self, node: Node) -> None:
            """Leave ``<<`` alone."""

    prefix = "tag:yaml.org,2002:"
    made = {prefix + tag for tag in ("str", "seq", "map", "bool", "null")}
    Loader.yaml_constructors = {tag: safe.yaml_constructors[tag] for tag in made}
    Loader.add_constructor(None, lambda loader, node: None)
    Loader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] in made]
        for first, pairs in safe.yaml_implicit_resolvers.items()
    }
    for name, pattern in (("int", _YAML_INT), ("float", _YAML_FLOAT)):
        Loader.add_implicit_resolver(prefix + name, pattern, list("-+.0123456789"))
        Loader.add_constructor(prefix + name, _yaml_number)
    return Loader


def _yaml_number(loader: SafeLoader, node: ScalarNode) -> float:
    text = str(loader.construct_scalar(node))
    if _YAML_INT.match(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if _YAML_FLOAT.match(text):
        return float(re.sub("[.](?=[in])", "", text.lower()))
    raise ValueError(f"“{text[:40]}” is no number")


def _too_many(path: Path) -> UnsafeDescriptorError:
    return UnsafeDescriptorError(
        f"{path} holds more than {_MAX_VALUES:,} values.",
        path=path,
        hint="No tool descriptor does; it was not read.",
    )


def _too_deep(path: Path) -> UnsafeDescriptorError:
    return UnsafeDescriptorError(
        f"{path} nests more than {JSON_DEPTH} deep.",
        path=path,
        hint="No tool descriptor does; it was not read.",
    )
