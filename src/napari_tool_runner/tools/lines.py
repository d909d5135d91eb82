"""On which line of a descriptor the thing stands that a note is about."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.parsers import expat

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import DescriptorError

if TYPE_CHECKING:
    from napari_tool_runner.tools.candidate import Candidate
    from napari_tool_runner.tools.model import Note

__all__ = ["lines_of"]

_TOLD = re.compile(r"\bline (\d+)\b")
_SEGMENT = re.compile(r"([^/\[\]]+)(?:\[([^\]]*)(?:\]|\Z))?")
_PLACEHOLDER = re.compile(r"\$\{[^{}]*\}")
_KEYS = ("name", "argument", "value", "type")


@dataclass(slots=True)
class _Element:
    tag: str
    names: frozenset[str]
    line: int
    inner: list[_Element] = field(default_factory=list)
    _found: dict[tuple[str, str], _Element] = field(default_factory=dict)

    def below(self, tag: str, key: str) -> _Element | None:
        """Return the first element, at any depth, that a part of a note's place names.

        All are noted by all that they may be called: as many notes may ask as there are elements.
        """
        if not self._found:
            waiting, numbers = self.inner[::-1], Counter[str]()
            while waiting:
                one = waiting.pop()
                numbers[one.tag] += 1
                for name in ("", *one.names, str(numbers[one.tag])):
                    self._found.setdefault((one.tag, name), one)
                waiting += reversed(one.inner)
        return self._found.get((tag, key))


def lines_of(notes: tuple[Note, ...], candidate: Candidate) -> tuple[int, ...]:
    """Return for each note the line, from 1, that it is about; 0 where nobody knows.

    A message that names a line itself is believed. Otherwise an XML file is looked through for
    what `Note.where` names; what macros bring in lies elsewhere, and has no line.
    """
    if not notes:
        return ()
    root, text = _outlined(candidate)
    places: dict[str, list[int]] = {}
    for number, line in enumerate(text, 1):
        for place in _PLACEHOLDER.findall(line):
            places.setdefault(place, []).append(number)
    return tuple(_line(note, root, places) for note in notes)


def _line(note: Note, root: _Element | None, places: Mapping[str, list[int]]) -> int:
    if told := _TOLD.search(note.what):
        return int(told[1])
    if root is None:
        return 0
    found = root
    for tag, key in _SEGMENT.findall(note.where):
        inner = found.below(tag, key)
        if inner is None:
            break
        found = inner
    if found is root and note.where != root.tag:
        return 0
    if place := _PLACEHOLDER.search(note.what):  # a command has many lines
        numbers = places.get(place[0], [])
        if (after := bisect_left(numbers, found.line)) < len(numbers):
            return numbers[after]
    return found.line


def _outlined(candidate: Candidate) -> tuple[_Element | None, list[str]]:
    """Return the elements of an XML file with their lines, and its text by lines."""
    try:
        if candidate.xml is None:  # which also refuses what is no safe XML
            return None, []
        top = _Element("", frozenset(), 0)
        above, parser = [top], expat.ParserCreate()

        def start(tag: str, attributes: Mapping[str, str]) -> None:
            given = [attributes[key].strip() for key in _KEYS if key in attributes]
            names = {
                form for one in given for form in (one, one.lstrip("-"), one.replace("-", ""))
            }
            above.append(_Element(tag, frozenset(names), parser.CurrentLineNumber))
            above[-2].inner.append(above[-1])

        parser.StartElementHandler = start
        parser.EndElementHandler = lambda _: above.pop()
        parser.Parse(candidate.data, True)
    except (DescriptorError, expat.ExpatError, LookupError, ValueError):
        return None, []
    return top.inner[0], candidate.data.decode(errors="replace").splitlines()
