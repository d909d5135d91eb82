"""What every reader of descriptors needs: notes, and the files beside a descriptor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.candidate import load_xml, parse_yaml, read_bytes
from napari_tool_runner.tools.dialect import Outline
from napari_tool_runner.tools.formats import split_formats
from napari_tool_runner.tools.model import Link, Note, Severity

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.candidate import Candidate

__all__ = ["SHED_FILES", "Notes", "Shed", "line", "read_shed", "xml_outline"]

SHED_FILES = (".shed.yml", ".shed.yaml")
_SHED_BYTES = 2**20
_MAX_IMPORTS = 50
_MAX_FILLED = 10_000


@dataclass(slots=True)
class Notes:
    """Notes in the order of the descriptor; `place` goes before each ``where``."""

    place: str = ""
    found: list[Note] = field(default_factory=list)

    def at(self, place: str) -> Notes:
        """Return a view that writes into the same list, at `place` below this one."""
        return Notes("/".join(part for part in (self.place, place) if part), self.found)

    def info(self, where: str, what: str) -> None:
        """Add something worth knowing."""
        self._add(Severity.INFO, where, what)

    def warning(self, where: str, what: str) -> None:
        """Add something that is not honoured."""
        self._add(Severity.WARNING, where, what)

    def error(self, where: str, what: str) -> None:
        """Add something that keeps the tool from running."""
        self._add(Severity.ERROR, where, what)

    def _add(self, severity: Severity, where: str, what: str) -> None:
        place = "/".join(part for part in (self.place, where) if part)
        self.found.append(Note(severity, place or "tool", what))


@dataclass(frozen=True, slots=True)
class Shed:
    """The parts of a ``.shed.yml`` that matter here."""

    categories: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


def read_shed(folder: Path, notes: Notes | None = None) -> Shed:
    """Return what ``.shed.yml`` in `folder` says; nothing when there is none.

    A broken file is told to `notes` and otherwise ignored.
    """
    path = next((p for name in SHED_FILES if (p := folder / name).exists()), None)
    if path is None:
        return Shed()
    try:
        data = parse_yaml(read_bytes(path, _SHED_BYTES), path)
    except DescriptorError as error:
        _tell(notes, f"{error.message} It is left out.")
        return Shed()
    if not isinstance(data, dict):
        _tell(notes, "It holds no names and values.")
        return Shed()
    given = data.get("categories") or []
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list):
        _tell(notes, "“categories” is no list.")
        given = []
    links = []
    labels = (("homepage_url", "Home page"), ("remote_repository_url", "Source"))
    for key, label in labels:
        address = data.get(key)
        if isinstance(address, str) and address.startswith(("http://", "https://")):
            links.append(Link(label, address))
    return Shed(tuple(str(entry).strip() for entry in given if entry), tuple(links))


def _tell(notes: Notes | None, what: str) -> None:
    if notes is not None:
        notes.warning(SHED_FILES[0], what)


# -- the outline of an XML descriptor ----------------------------------------------------


def xml_outline(candidate: Candidate, root: Path) -> Outline:
    """Make the outline of a ``<tool>`` from its XML alone: nothing of it is evaluated.

    Own elements, tokens and the macro files that it imports are looked at, so that
    2,000 tools are indexed in seconds.

    Parameters
    ----------
    root : Path
        Folder of the toolbox; imported files outside are not looked at.

    Raises
    ------
    DescriptorError
        It is no XML.
    """
    element, path = candidate.root("tool"), candidate.path
    imported = _imports(element, path, root)
    sources = [element, *imported.values()]
    tokens = _tokens(sources)
    tool_id = _fill(element.get("id", ""), tokens).strip() or path.stem
    return Outline(
        id=tool_id,
        name=_fill(element.get("name", ""), tokens).strip() or tool_id,
        version=_fill(element.get("version", ""), tokens).strip(),
        description=_fill(line(element.find("description")), tokens),
        formats=_outline_formats(sources),
        edam=_outline_edam(sources),
        requirements=_outline_requirements(sources),
        thumbnail=element.get("thumbnail", "").strip(),
        help=line(element.find("help")),
        depends=tuple(imported),
    )


def _imports(element: Element, path: Path, root: Path) -> dict[Path, Element]:
    """Return the macro files that `element` imports, also indirectly, inside `root`."""
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
            if len(text) + text.count(name) * len(value) <= _MAX_FILLED:  # they may grow
                text = text.replace(name, value)
    return text


def _each(sources: list[Element], *tags: str) -> Iterator[Element]:
    for source in sources:
        for tag in tags:
            yield from source.iter(tag)


def _outline_formats(sources: list[Element]) -> tuple[str, ...]:
    names = dict.fromkeys(
        name
        for child in _each(sources, "param", "data", "collection")
        for name in split_formats(child.get("format", ""))
        if "@" not in name
    )
    return tuple(names)


def _outline_edam(sources: list[Element]) -> tuple[str, ...]:
    found = (line(child) for child in _each(sources, "edam_topic", "edam_operation"))
    return tuple(dict.fromkeys(text for text in found if text))


def _outline_requirements(sources: list[Element]) -> tuple[str, ...]:
    kinds: dict[str, None] = {}
    for child in _each(sources, "package", "requirement", "container"):
        if child.tag == "container":
            kinds[child.get("type", "docker")] = None
        elif child.get("type", "package") in {"package", "conda"}:
            kinds["conda"] = None
    return tuple(kinds)


def line(element: Element | None) -> str:
    """Return the text of `element` in one line."""
    return "" if element is None else re.sub(r"\s+", " ", "".join(element.itertext())).strip()
