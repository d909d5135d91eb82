"""Light entries: what search, menus and trees need of a tool, without reading it.

An entry is made from the raw XML (own elements, tokens and imported macro files), not
by a dialect: 2,000 tools are indexed in seconds and nothing of them is evaluated.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.storage import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

__all__ = ["Made", "ToolEntry", "make_entry"]

_HELP_CHARACTERS = 4000
_MAX_IMPORTS = 50
_THUMBNAILS = ("thumbnail.png", "thumbnail.jpg", "thumbnail.svg")


class ToolEntry(NamedTuple):
    """A tool in an index. A tuple, because thousands are made at start-up.

    Parameters
    ----------
    key : str
        Its key in the `Toolbox`: the id, or more when an id occurs twice.
    uri : str
        Absolute path of the descriptor.
    digest : str
        ``sha256:…`` of the descriptor file alone.
    toolbox : str
        Name of the toolbox it belongs to.
    requirements : tuple of str
        Kinds of what it requires: ``conda``, ``docker``, ``singularity``.
    thumbnail : str
        Absolute path of a picture; empty when there is none.
    help : str
        The beginning of the help, in one line; for search.
    """

    key: str
    id: str
    name: str
    version: str
    description: str
    categories: tuple[str, ...]
    formats: tuple[str, ...]
    edam: tuple[str, ...]
    uri: str
    digest: str
    toolbox: str
    dialect: str
    requirements: tuple[str, ...]
    thumbnail: str
    help: str

    @property
    def path(self) -> Path:
        """The descriptor as a path."""
        return Path(self.uri)

    @property
    def full_id(self) -> str:
        """``id_vVERSION``, as BioImageIT's registry names tools."""
        return f"{self.id}_v{self.version}"


class Made(NamedTuple):
    """An entry and the files that it was made from besides the descriptor."""

    entry: ToolEntry | None
    depends: tuple[str, ...]


def make_entry(path: Path, root: Path, toolbox: str) -> Made:
    """Make the entry of one XML file; its entry is None when it describes no tool.

    Parameters
    ----------
    path : Path
        Absolute path of the file.
    root : Path
        Folder of the toolbox; imported files outside are not looked at.

    Raises
    ------
    DescriptorError
        The file cannot be read or parsed.
    """
    # imported here: an index that comes from its cache needs none of it
    from napari_tool_runner.tools.common import SHED_FILES, read_shed
    from napari_tool_runner.tools.reader import choose_dialect
    from napari_tool_runner.tools.xml import parse_xml, read_bytes

    data = read_bytes(path)
    element = parse_xml(data, path)
    if element.tag != "tool":
        return Made(None, ())

    imported = _imports(element, path, root)
    sources = [element, *imported.values()]
    tokens = _tokens(sources)
    shed = read_shed(path.parent)
    tool_id = _fill(element.get("id", ""), tokens).strip() or path.stem
    entry = ToolEntry(
        key=tool_id,
        id=tool_id,
        name=_fill(element.get("name", ""), tokens).strip() or tool_id,
        version=_fill(element.get("version", ""), tokens).strip(),
        description=_fill(_line(element.find("description")), tokens),
        categories=shed.categories,
        formats=_formats(sources),
        edam=_edam(sources),
        uri=str(path),
        digest=sha256_of(data),
        toolbox=toolbox,
        dialect=choose_dialect(element)[0],
        requirements=_requirements(sources),
        thumbnail=_thumbnail(element, path),
        help=_line(element.find("help"))[:_HELP_CHARACTERS],
    )
    sheds = (path.parent / name for name in SHED_FILES)
    picture = str(path.parent / _THUMBNAILS[0])  # one that is added later is noticed, too
    return Made(entry, (*map(str, sheds), picture, *map(str, imported)))


def _imports(element: Element, path: Path, root: Path) -> dict[Path, Element]:
    """Return the macro files that `element` imports, also indirectly, inside `root`."""
    from napari_tool_runner.tools.xml import load_xml

    base = root.resolve()
    found: dict[Path, Element] = {}
    waiting = [(element, path)]
    while waiting and len(found) < _MAX_IMPORTS:
        here, place = waiting.pop()
        for child in here.iter("import"):
            target = (place.parent / (child.text or "").strip()).resolve()
            if target in found or not target.is_relative_to(base) or not target.is_file():
                continue
            try:
                found[target] = load_xml(target)
            except DescriptorError:
                continue  # told when the tool itself is read
            waiting.append((found[target], target))
    return found


def _tokens(sources: list[Element]) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for source in sources:
        for child in source.iter("token"):
            name = child.get("name", "")
            if name:
                tokens.setdefault(name, "".join(child.itertext()).strip())
    return tokens


def _fill(text: str, tokens: dict[str, str]) -> str:
    for _ in range(5):  # tokens may name tokens
        if "@" not in text:
            break
        for name, value in tokens.items():
            text = text.replace(name, value)
    return text


def _each(sources: list[Element], *tags: str) -> Iterator[Element]:
    for source in sources:
        for tag in tags:
            yield from source.iter(tag)


def _formats(sources: list[Element]) -> tuple[str, ...]:
    from napari_tool_runner.tools.formats import split_formats

    names = dict.fromkeys(
        name
        for child in _each(sources, "param", "data", "collection")
        for name in split_formats(child.get("format", ""))
        if "@" not in name
    )
    return tuple(names)


def _edam(sources: list[Element]) -> tuple[str, ...]:
    found = (_line(child) for child in _each(sources, "edam_topic", "edam_operation"))
    return tuple(dict.fromkeys(text for text in found if text))


def _requirements(sources: list[Element]) -> tuple[str, ...]:
    kinds: dict[str, None] = {}
    for child in _each(sources, "package", "requirement", "container"):
        if child.tag == "container":
            kinds[child.get("type", "docker")] = None
        elif child.get("type", "package") in {"package", "conda"}:
            kinds["conda"] = None
    return tuple(kinds)


def _thumbnail(element: Element, path: Path) -> str:
    named = element.get("thumbnail", "").strip()
    for name in (named, *_THUMBNAILS, f"{path.stem}.png"):
        picture = path.parent / name
        if name and picture.is_file() and picture.resolve().is_relative_to(path.parent.resolve()):
            return str(picture)
    return ""


def _line(element: Element | None) -> str:
    return "" if element is None else re.sub(r"\s+", " ", "".join(element.itertext())).strip()
