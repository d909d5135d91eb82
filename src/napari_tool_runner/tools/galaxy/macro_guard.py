"""A look at macros before they are expanded: no cycle, no explosion.

Galaxy's expander follows whatever it is given. A macro that holds itself never ends,
and ten macros that each hold the next ten times fill the memory; both are found here
by counting, in time that grows with the text and not with its expansion.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_tool_runner.errors import UnsafeDescriptorError

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

__all__ = ["check_macros"]

_MAX_EXPANSIONS = 100_000
_MAX_TEXT = 16 * 1024 * 1024


def check_macros(path: Path, roots: Iterable[Element]) -> None:
    """Refuse a descriptor whose macros would not end, or not fit.

    Parameters
    ----------
    path : Path
        The descriptor, for messages.
    roots : iterable of Element
        The descriptor's root and those of the files it imports.

    Raises
    ------
    UnsafeDescriptorError
    """
    macros: dict[str, Element] = {}
    tokens: dict[str, str] = {}
    descriptors: list[Element] = []
    for root in roots:
        containers = [root] if root.tag == "macros" else list(root.findall("macros"))
        for container in containers:
            for element in container:
                name = element.get("name") or ""
                kind = element.get("type") if element.tag == "macro" else element.tag
                if kind == "token":
                    tokens[name] = element.text or ""
                elif kind in ("xml", None):
                    macros[name] = element
        if root.tag != "macros":
            descriptors.append(root)
    counter = _Expansions(path, macros)
    for name in macros:
        counter.of_macro(name)
    for root in descriptors:
        counter.check(sum(counter.of(e) for e in _top_expands(root)))
    _check_tokens(path, tokens)


class _Expansions:
    """Counts the expansions behind an element; refuses cycles on the way."""

    def __init__(self, path: Path, macros: dict[str, Element]) -> None:
        self.path = path
        self.macros = macros
        self.known: dict[str, int] = {}
        self.open: list[str] = []

    def of(self, expand: Element) -> int:
        """Expansions that one ``<expand>`` causes, itself included."""
        name = expand.get("macro") or ""
        inner = sum(self.of(child) for child in _top_expands(expand))
        macro = self.macros.get(name)
        yields = sum(1 for _ in macro.iter("yield")) if macro is not None else 0
        return self.check(1 + self.of_macro(name) + inner * max(yields, 1))

    def of_macro(self, name: str) -> int:
        if name in self.known or name not in self.macros:
            return self.known.get(name, 0)
        if name in self.open:
            chain = " → ".join([*self.open[self.open.index(name) :], name])
            raise UnsafeDescriptorError(
                f"The macros of {self.path.name} hold themselves ({chain}): a cycle.",
                path=self.path,
                hint="Remove one of the <expand> elements.",
            )
        self.open.append(name)
        total = sum(self.of(element) for element in _top_expands(self.macros[name]))
        self.open.pop()
        self.known[name] = self.check(total)
        return total

    def check(self, total: int) -> int:
        if total > _MAX_EXPANSIONS:
            raise UnsafeDescriptorError(
                f"The macros of {self.path.name} expand more than {_MAX_EXPANSIONS:,} times.",
                path=self.path,
                hint="Such a descriptor is not read.",
            )
        return total


def _top_expands(element: Element) -> list[Element]:
    """The ``<expand>`` elements below `element` that lie in no other one."""
    found: list[Element] = []
    for child in element:
        if child.tag == "expand":
            found.append(child)
        else:
            found += _top_expands(child)
    return found


def _check_tokens(path: Path, tokens: dict[str, str]) -> None:
    """Refuse tokens that hold themselves or grow beyond measure."""
    sizes: dict[str, int] = {}
    open_names: list[str] = []

    def size(name: str) -> int:
        if name in sizes:
            return sizes[name]
        if name in open_names:
            raise UnsafeDescriptorError(
                f"The token {name} of {path.name} holds itself.",
                path=path,
                hint="Remove it from its own text.",
            )
        open_names.append(name)
        text = tokens[name]
        total = len(text)
        for other in tokens:
            count = text.count(other) if other else 0
            if count:
                total += count * size(other)
            if total > _MAX_TEXT:
                raise UnsafeDescriptorError(
                    f"The token {name} of {path.name} grows beyond {_MAX_TEXT:,} characters.",
                    path=path,
                    hint="Such a descriptor is not read.",
                )
        open_names.pop()
        sizes[name] = total
        return total

    for name in tokens:
        size(name)
