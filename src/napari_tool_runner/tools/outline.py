"""The outline of a tool from its XML alone, for the languages that are a ``<tool>``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import real_path
from napari_tool_runner.tools.candidate import load_xml
from napari_tool_runner.tools.common import line
from napari_tool_runner.tools.dialect import Outline
from napari_tool_runner.tools.formats import split_formats
from napari_tool_runner.tools.own_folder import imported_file

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.candidate import Candidate

__all__ = ["xml_outline"]

_MAX_IMPORTS = 50
_MAX_FILLED = 10_000


def xml_outline(candidate: Candidate, root: Path, *, whole: bool = False) -> Outline:
    """Make the outline of a ``<tool>`` from its XML alone: nothing of it is evaluated.

    Own elements, tokens and the macro files that it imports are looked at, so that
    2,000 tools are indexed in seconds. Imported files outside of `root`, the folder of
    the toolbox, are not looked at; `whole`: a tool that imports one is none.

    Raises
    ------
    DescriptorError
        It is no XML, or not whole.
    """
    element, path = candidate.root("tool"), candidate.path
    imported = _imports(element, path, root, whole)
    sources = [element, *imported.values()]
    tokens = _tokens(sources)
    tool_id = _fill(element.get("id", ""), tokens).strip() or path.stem
    data = _each(sources, "param", "data", "collection")
    formats = (name for child in data for name in split_formats(child.get("format", "")))
    terms = map(line, _each(sources, "edam_topic", "edam_operation"))
    kinds: dict[str, None] = {}
    for child in _each(sources, "package", "requirement", "container"):
        if child.tag == "container":
            kinds[child.get("type", "docker")] = None
        elif child.tag == "package" and child.get("type") == "pip":
            kinds["pip"] = None
        elif child.get("type", "package") in {"package", "conda"}:
            kinds["conda"] = None
    return Outline(
        id=tool_id,
        name=_fill(element.get("name", ""), tokens).strip() or tool_id,
        version=_fill(element.get("version", ""), tokens).strip(),
        description=_fill(line(element.find("description")), tokens),
        formats=tuple(dict.fromkeys(name for name in formats if "@" not in name)),
        edam=tuple(dict.fromkeys(filter(None, terms))),
        requirements=tuple(kinds),
        thumbnail=element.get("thumbnail", "").strip(),
        help=line(element.find("help")),
        depends=tuple(imported),
        labels=_fill(" ".join(_labels(sources)), tokens),
        command="\n".join(child.text or "" for child in _each(sources, "command")),
    )


def _imports(element: Element, path: Path, root: Path, whole: bool) -> dict[Path, Element]:
    """Return the macro files that `element` imports, also indirectly, inside `root`."""
    base = real_path(root)
    found: dict[Path, Element] = {}
    waiting = [element]
    while waiting and len(found) < _MAX_IMPORTS:
        for child in waiting.pop().iter("import"):
            try:
                file = imported_file(path.parent / (child.text or "").strip(), path, base)
                target = real_path(file)
                if target not in found:
                    found[target] = load_xml(target)
                    waiting.append(found[target])
            except DescriptorError:
                if whole:
                    raise  # what is listed can be shown
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


def _labels(sources: list[Element]) -> Iterator[str]:
    for child in _each(sources, "param", "option"):
        yield child.get("label", "") if child.tag == "param" else (child.text or "").strip()


def _each(sources: list[Element], *tags: str) -> Iterator[Element]:
    return (child for source in sources for tag in tags for child in source.iter(tag))
