"""Macros and tokens, expanded as Galaxy expands them, within a budget.

Galaxy's own expander follows whatever it is given: ten macros that each hold the next one
ten times fill the memory. Here all that an expansion makes is paid for before it is made,
and every file is looked at before Galaxy's parser gets it: no DTD, no entity, no import from
outside the toolbox.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.errors import UnsafeDescriptorError
from napari_tool_runner.names import real_path
from napari_tool_runner.storage import JSON_DEPTH
from napari_tool_runner.tools.candidate import load_xml
from napari_tool_runner.tools.own_folder import imported_file

if TYPE_CHECKING:
    from galaxy.util import Element, ElementTree
    from galaxy.util.xml_macros import XmlMacroDef

__all__ = ["Expander"]

_BUDGET = 20_000_000
_ELEMENT = 100  # what an element costs besides its characters
_FILE = 1000  # what it costs to read a file
_LOOK = 10  # what it costs to look for tokens in a text


class Expander:
    """Expands the macros of the descriptor `path`, once; imports may not leave `limit`."""

    def __init__(self, path: Path, limit: Path) -> None:
        self.path, self.limit = path, limit
        self.files: dict[Path, None] = {}
        """The descriptor and the files it imports."""
        self._spent = 0
        self._macros: dict[str, XmlMacroDef] = {}

    def expand(self) -> ElementTree:
        """Return the descriptor with everything expanded.

        Raises
        ------
        DescriptorError, ValueError
            A file is not safe or cannot be read; something grows without end, or is not defined.
        """
        from galaxy.util.xml_macros import XmlMacroDef, raw_xml_tree

        load_xml(self.path)
        self.files[real_path(self.path)] = None
        tree = raw_xml_tree(str(self.path))
        root = tree.getroot()
        container = root.find("macros")
        if container is None:
            return tree
        defined = self._load(container, ())
        container.clear()
        tokens = self._tokens({_name(m): m.text or "" for kind, m in defined if kind == "token"})
        self._macros = {_name(m): XmlMacroDef(m) for kind, m in defined if kind == "xml"}
        expands = ((name, m.element.iter("expand")) for name, m in self._macros.items())
        uses = {name: [one.get("macro") or "" for one in found] for name, found in expands}
        try:
            TopologicalSorter(uses).prepare()
        except CycleError as error:
            raise self._cycle(*error.args[1]) from error
        if self._macros or tokens:
            self._expand_below(root, ())
        for kind, template in defined:
            if kind == "template":  # wanted when the tool runs
                template.tag = "macro"
                template.set("type", kind)
                container.append(template)
        self._fill(root, tokens)
        return tree

    def _spend(self, cost: int) -> None:
        self._spent += cost
        if self._spent > _BUDGET:
            raise self._refusal(f"grow beyond {_BUDGET:,} characters")

    def _refusal(self, what: str) -> UnsafeDescriptorError:
        return UnsafeDescriptorError(
            f"The macros of {self.path.name} {what}.",
            path=self.path,
            hint="Such a descriptor is not read: look for an <expand> or <token> too many.",
        )

    def _deeper(self, depth: int) -> int:
        if depth >= JSON_DEPTH:
            raise self._refusal(f"nest more than {JSON_DEPTH} deep")
        return depth + 1

    def _cycle(self, *names: str) -> UnsafeDescriptorError:
        return self._refusal(f"hold themselves ({' → '.join(names)}): a cycle")

    # -- what is defined ---------------------------------------------------------------

    def _load(self, container: Element, chain: tuple[Path, ...]) -> list[tuple[str, Element]]:
        """Return the definitions of the files that `container` imports, then its own."""
        from galaxy.util.xml_macros import raw_xml_tree

        self._spend(_FILE + _weight(container))
        found: list[tuple[str, Element]] = []
        for element in reversed(container.findall("import")):
            wanted = (element.text or "").strip()
            # Galaxy looks there for all
            file = imported_file(self.path.parent / wanted, self.path, self.limit)
            real = real_path(file)
            if real in chain:
                raise self._cycle(wanted, wanted)
            if real not in self.files:
                load_xml(real)
                self.files[real] = None
            found = self._load(raw_xml_tree(str(file)).getroot(), (*chain, real)) + found
        found += [(macro.get("type", "xml"), macro) for macro in container.findall("macro")]
        for kind in ("template", "xml", "token"):
            found += [(kind, macro) for macro in container.findall(kind)]
        return found

    def _tokens(self, tokens: dict[str, str]) -> dict[str, str]:
        """Replace tokens in tokens."""
        for name in tokens:
            for other, text in tokens.items():
                if name == other and name in text:
                    raise self._cycle(name, name)
                tokens[other] = self._filled(text, {name: tokens[name]})
        return tokens

    # -- expansion ---------------------------------------------------------------------

    def _expand_below(self, parent: Element, chain: tuple[str, ...], depth: int = 0) -> None:
        depth = self._deeper(depth)
        for child in [*parent]:
            if child.tag == "expand":
                self._expand(child, chain, depth)
            else:
                self._expand_below(child, chain, depth)

    def _expand(self, element: Element, chain: tuple[str, ...], depth: int) -> None:
        """Put what a macro makes in the place of the ``<expand>`` `element`."""
        name = element.get("macro") or ""
        if name in chain:
            raise self._cycle(*chain[chain.index(name) :], name)
        depth = self._deeper(depth)
        if name not in self._macros:
            raise ValueError(f"no macro is named “{name}”")
        made = self._made(self._macros[name], element)
        for child in [*made]:
            self._expand_below(child, (*chain, name), depth)
            element.addprevious(child)
            if child.tag == "expand":
                self._expand(child, chain, depth)
        _remove(element)

    def _made(self, macro: XmlMacroDef, element: Element) -> Element:
        made = self._copy(macro.element)
        for token in element.findall("token"):
            name = _name(token)
            places = [place for place in made.findall(".//yield") if place.get("name") == name]
            if not places:
                raise ValueError(f"the macro “{element.get('macro')}” has no yield “{name}”")
            self._replace(places, [*token])
        rest = [child for child in element if child.tag != "token"]
        self._replace(made.findall(".//yield"), rest)
        tokens = macro.macro_tokens(element)
        for child in made:
            self._fill(child, tokens)
        return made

    def _replace(self, places: Iterable[Element], targets: Iterable[Element]) -> None:
        for place in places:
            for target in targets:
                place.addprevious(self._copy(target))
            _remove(place)

    def _copy(self, element: Element) -> Element:
        self._spend(_weight(element))
        return copy.deepcopy(element)

    def _fill(self, root: Element, tokens: Mapping[str, str]) -> None:
        for element in root.iter() if tokens else ():
            if element.text:
                element.text = self._filled(element.text, tokens)
            for key, value in element.items():
                element.set(key, self._filled(str(value), tokens))
                new = self._filled(str(key), tokens)
                if new != key:
                    element.set(new, element.get(key) or "")
                    del element.attrib[key]

    def _filled(self, text: str, tokens: Mapping[str, str]) -> str:
        """Return `text` with its tokens replaced, one after the other."""
        self._spend(_LOOK + len(tokens) * (1 + len(text) // 256))
        for name, value in tokens.items():
            if name in text:
                self._spend(text.count(name) * len(value) + len(tokens) * (len(text) // 256))
                text = text.replace(name, value)
        return text


def _name(element: Element) -> str:
    name = element.get("name")
    if not name:
        raise ValueError(f"a <{element.tag}> has no name")
    return str(name)


def _remove(element: Element) -> None:
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _weight(element: Element) -> int:
    return sum(
        _ELEMENT
        + len(part.text or "")
        + len(part.tail or "")
        + sum(len(key) + len(value) for key, value in part.items())
        for part in element.iter()
    )
