"""What every reader of descriptors needs: notes, and the files beside a descriptor."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypedDict, TypeVar

from napari_tool_runner._lazy import compiled
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.tools.candidate import parse_yaml, read_bytes
from napari_tool_runner.tools.dialect import A_SHELL
from napari_tool_runner.tools.model import (
    Citation,
    DataParameter,
    HelpFormat,
    LayerKind,
    Likeness,
    Link,
    Note,
    Severity,
)
from napari_tool_runner.tools.tree import places
from napari_tool_runner.tools.values import TRUE_WORDS

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from napari_tool_runner.tools.model import InputItem

__all__ = [
    "HELP_FORMATS",
    "SHED_FILES",
    "Limits",
    "Notes",
    "Page",
    "Shed",
    "dedent",
    "is_true",
    "layer_kinds",
    "like_another",
    "limits",
    "line",
    "missed",
    "ndims",
    "read_page",
    "read_shed",
    "real",
    "tell_unlike",
    "whole",
]

HELP_FORMATS: dict[str, HelpFormat] = {
    "restructuredtext": "rst", "rst": "rst", "markdown": "markdown", "md": "markdown",
    "plain_text": "plain", "plain": "plain",
}  # fmt: skip
"""The words that descriptors have for the format of their help."""

SHED_FILES = (".shed.yml", ".shed.yaml")
_MISSED = compiled(
    r"<(\w+)> is not part of this language|"
    r"The parameter type “(\w+)” is not known|"
    rf"which only ({A_SHELL}) understands"
)
_SHED_BYTES = 2**20
_XREFS = {
    "bio.tools": "https://bio.tools/{}",
    "biii": "https://biii.eu/{}",
    "bioconductor": "https://bioconductor.org/packages/{}",
}

_Number = TypeVar("_Number", int, float)


class XmlElement(Protocol):
    """What is asked of an element; those of the standard library and of lxml have it."""

    @property
    def tag(self) -> object: ...
    def get(self, key: str, /) -> str | None: ...
    def iter(self) -> Iterator[XmlElement]: ...
    def iterfind(self, path: str, /) -> Iterator[XmlElement]: ...
    def itertext(self) -> Iterator[object]: ...


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


def missed(note: Note) -> str:
    """Return the element, the type or `A_SHELL` that a note says its language lacks."""
    found = _MISSED.search(note.what)
    return next((word for word in found.groups() if word), "") if found else ""


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
        data = parse_yaml(read_bytes(path, _SHED_BYTES), path, aliases=0)
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


# -- what an XML descriptor says of itself -------------------------------------------------


class Page(TypedDict):
    """What a ``<tool>`` and the ``.shed.yml`` beside it tell a person, as a `Tool` names it."""

    categories: tuple[str, ...]
    citations: tuple[Citation, ...]
    links: tuple[Link, ...]
    edam: tuple[str, ...]
    authors: tuple[str, ...]
    license: str
    network: bool
    repeatable: bool
    local: bool


def read_page(root: XmlElement, folder: Path, notes: Notes, *links: Link) -> Page:
    """Return what a page of the tool shows, and what its author says of its runs.

    `links`: those that the descriptor has besides.
    """
    terms = ("edam_topic", "edam_operation")
    edam = [_text(child) for child in root.iter() if child.tag in terms]
    shed = read_shed(folder, notes)
    return {
        "categories": shed.categories,
        "citations": tuple(_citations(root, notes)),
        "links": (*links, *map(_xref, root.iterfind("xrefs/xref")), *shed.links),
        "edam": tuple(dict.fromkeys(term for term in edam if term)),
        "authors": tuple(dict.fromkeys(filter(None, map(_author, root.iterfind("creator/*"))))),
        "license": root.get("license") or "",
        "network": is_true(root.get("network")),
        "repeatable": is_true(root.get("repeatable"), default=True),
        "local": is_true(root.get("local"), default=True),
    }


def _citations(root: XmlElement, notes: Notes) -> Iterator[Citation]:
    for child in root.iterfind("citations/citation"):
        kind, text = child.get("type") or "doi", _text(child)
        if kind not in ("doi", "bibtex"):
            notes.info("citations", f"A citation of type “{kind}” is left out.")
        elif text:
            yield Citation("bibtex" if kind == "bibtex" else "doi", text)


def _xref(element: XmlElement) -> Link:
    kind, text = (element.get("type") or "").strip(), _text(element)
    label = f"{kind}: {text}" if kind else text
    if re.fullmatch(r"https?://\S+", text):
        return Link(kind or text, text)
    known = kind in _XREFS and re.fullmatch(r"[\w.+-]+", text)
    return Link(label, _XREFS[kind].format(text) if known else "")


def _author(element: XmlElement) -> str:
    given = f"{element.get('givenName') or ''} {element.get('familyName') or ''}".strip()
    name = (element.get("name") or "").strip()
    return name or given or element.get("alternateName") or element.get("email") or ""


def dedent(text: str) -> str:
    """Remove the indentation of the XML, also when the first line has none."""
    lines = text.strip("\n").splitlines()
    first = [lines.pop(0)] if lines and lines[0][:1].strip() else []
    return "\n".join([*first, *textwrap.dedent("\n".join(lines)).splitlines()]).strip()


def _text(element: XmlElement) -> str:
    return "".join(map(str, element.itertext())).strip()


# -- attributes ------------------------------------------------------------------------


def is_true(text: str | None, *, default: bool = False) -> bool:
    """Say whether an attribute means yes; `default` without it."""
    return default if text is None else text.strip().lower() in TRUE_WORDS


def whole(text: str | None, attribute: str, notes: Notes) -> int | None:
    """Return the whole number that an attribute holds; None when it holds none."""
    plain = (text or "").strip()
    if not plain:
        return None
    if re.fullmatch(r"[+-]?\d{1,4000}", plain):
        return int(plain)
    number = real(plain, attribute, notes)
    if number is None:
        return None
    if not math.isfinite(number) or number != int(number):
        notes.warning("", f"{attribute}=“{plain}” is no whole number; it is left out.")
        return None
    return int(number)


def real(text: str | None, attribute: str, notes: Notes) -> float | None:
    """Return the number that an attribute holds; None when it holds none."""
    plain = (text or "").strip()
    if not plain:
        return None
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        notes.warning("", f"{attribute}=“{plain}” is no number; it is left out.")
        return None
    return number


class Limits(TypedDict, Generic[_Number]):
    """What a ``<param>`` says of its number, as the model's parameters name it."""

    default: _Number | None
    minimum: _Number | None
    maximum: _Number | None
    step: _Number | None
    unit: str


def limits(
    get: Callable[[str], str | None],
    read: Callable[[str | None, str, Notes], _Number | None],
    notes: Notes,
) -> Limits[_Number]:
    """Return default and limits. `get` gives an attribute; `read` is `whole` or `real`."""
    return {
        "default": read(get("value"), "value", notes),
        "minimum": read(get("min"), "min", notes),
        "maximum": read(get("max"), "max", notes),
        "step": read(get("step"), "step", notes),
        "unit": (get("unit") or "").strip(),
    }


def layer_kinds(text: str, notes: Notes) -> tuple[LayerKind, ...]:
    """Return the kinds that a ``layer`` attribute names, in order."""
    known = [kind.value for kind in LayerKind]
    found: list[LayerKind] = []
    for word in re.split(r"[|,\s]+", text.strip().lower()):
        if word in known:
            found.append(LayerKind(word))
        elif word:
            notes.warning(
                "", f"layer=“{word}” is no kind of layer ({', '.join(known)}); it is left out."
            )
    return tuple(found)


def ndims(text: str, notes: Notes) -> tuple[int, ...]:
    """Return the numbers of an ``ndim`` attribute (``2 3``, ``2,3``)."""
    words = [word for word in re.split(r"[,|\s]+", text.strip()) if word]
    if all(word.isdecimal() and 0 < int(word) < 10 for word in words):
        return tuple(int(word) for word in words)
    notes.warning("", f"ndim=“{text}” is no list of numbers of dimensions; it is left out.")
    return ()


def like_another(get: Callable[[str], str | None]) -> tuple[str, Likeness]:
    """Return which other input an image must be like, and in what; an empty text: none."""
    told = ((name.strip(), one) for one in Likeness if (name := get(one.value)))
    return next(told, ("", Likeness.SIZE))


def tell_unlike(inputs: Sequence[InputItem], notes: Notes) -> None:
    """Note the images that must be like an input that there is not."""
    data = [one.item for one in places(inputs) if isinstance(one.item, DataParameter)]
    names = {one.name for one in data}
    for one in data:
        if one.like and one.like not in names:
            what = f"{one.likeness}=“{one.like}” names no input."
            notes.warning(f"inputs/param[{one.name}]", what)


def line(element: Element | None) -> str:
    """Return the text of `element` in one line."""
    return "" if element is None else re.sub(r"\s+", " ", "".join(element.itertext())).strip()
