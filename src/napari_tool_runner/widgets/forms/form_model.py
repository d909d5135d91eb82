"""What a form holds, without Qt: one node per parameter, in the tree of the tool.

The widgets are views of these nodes. Values therefore exist before (and without) any
widget, which is what lets an 802-parameter tool open at once, and what keeps the text
typed into a case of a conditional while another case is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_tool_runner.tools.model import (
    Conditional,
    DataParameter,
    InputItem,
    Repeat,
    Section,
    Tool,
)
from napari_tool_runner.tools.tree import ABSENT, Leaf, rebuild
from napari_tool_runner.widgets.forms.known_axes import asks_data
from napari_tool_runner.widgets.forms.node import Items, LeafNode, Node, Owner

if TYPE_CHECKING:
    from napari_tool_runner.exchange import Geometry

__all__ = [
    "ConditionalNode",
    "FormModel",
    "RepeatEntry",
    "RepeatNode",
    "SectionNode",
    "without_data",
]


class _Container(Node):
    """A node with others inside."""

    def inside(self) -> Sequence[Items]:
        """Return what applies now: one group, or one each entry of a repeat."""
        raise NotImplementedError

    def sent(self) -> object:
        return self.inside()[0].values()

    def leaves(self) -> Iterator[LeafNode]:
        for items in self.inside():
            yield from items.leaves()

    def apply(self, value: object) -> list[str]:
        if not isinstance(value, Mapping):
            return [self.prefix.rstrip("|")]
        return self.inside()[0].apply(value, self.prefix)

    def reset(self) -> None:
        for items in self.inside():
            items.reset()


class SectionNode(_Container):
    """A titled group."""

    def __init__(self, section: Section, owner: Owner) -> None:
        super().__init__(section.name, owner)
        self.section = section
        self.children = _nodes(section.items, self)

    def inside(self) -> Sequence[Items]:
        """Return the parameters of the section."""
        return (Items(self.children),)


class ConditionalNode(_Container):
    """A choice and its cases. What was typed in a case survives another choice."""

    def __init__(self, conditional: Conditional, owner: Owner) -> None:
        super().__init__(conditional.name, owner)
        self.conditional = conditional
        self.test = LeafNode(conditional.test, self)
        self.test.decides = True
        self._cases: dict[str, tuple[Node, ...]] = {}

    @property
    def active(self) -> str | None:
        """The value of the case that is chosen, None when there is none."""
        case = self.conditional.active(self.test.value)
        if case is None:
            return None
        if case.value not in self._cases:  # made when first chosen
            self._cases[case.value] = _nodes(case.items, self)
        return case.value

    @property
    def children(self) -> tuple[Node, ...]:
        """The parameters of the case that is chosen."""
        active = self.active
        return () if active is None else self._cases[active]

    def inside(self) -> Sequence[Items]:
        """Return the choice and what belongs to it."""
        return (Items((self.test, *self.children)),)

    def apply(self, value: object) -> list[str]:
        """Set the choice first: it says where the rest goes."""
        if isinstance(value, Mapping) and self.test.key in value:
            self.test.set(value[self.test.key])
        return super().apply(value)

    def reset(self) -> None:
        """Reset the choice and every case that was ever shown."""
        self.test.reset()
        for children in self._cases.values():
            Items(children).reset()


class RepeatEntry(Items):
    """One occurrence of a repeat."""

    def __init__(self, repeat: RepeatNode) -> None:
        self._repeat = repeat
        super().__init__(_nodes(repeat.repeat.items, self))

    @property
    def index(self) -> int:
        """0-based place; -1 after removal."""
        return self._repeat.entries.index(self) if self in self._repeat.entries else -1

    @property
    def prefix(self) -> str:
        """Prefix of the names inside."""
        return f"{self._repeat.owner.prefix}{self._repeat.key}_{self.index}|"

    def hear(self, node: Node) -> None:
        """Pass on that `node` changed."""
        self._repeat.hear(node)


class RepeatNode(_Container):
    """A group that occurs several times; it changes when entries come or go."""

    def __init__(self, repeat: Repeat, owner: Owner) -> None:
        super().__init__(repeat.name, owner)
        self.repeat = repeat
        self.entries = self._fresh()

    @property
    def can_add(self) -> bool:
        """Whether another entry is allowed."""
        return self.repeat.maximum is None or len(self.entries) < self.repeat.maximum

    @property
    def can_remove(self) -> bool:
        """Whether an entry may go."""
        return len(self.entries) > self.repeat.minimum

    def add(self) -> RepeatEntry | None:
        """Append an entry; None at the maximum."""
        if not self.can_add:
            return None
        entry = RepeatEntry(self)
        self.entries.append(entry)
        self._tell()
        return entry

    def remove(self, entry: RepeatEntry) -> None:
        """Take an entry out; does nothing at the minimum."""
        if self.can_remove and entry in self.entries:
            self.entries.remove(entry)
            self._tell()

    def inside(self) -> Sequence[Items]:
        """Return the entries."""
        return self.entries

    def sent(self) -> object:
        """Return a list."""
        return [entry.values() for entry in self.entries]

    def apply(self, value: object) -> list[str]:
        """Set all entries from a list of mappings."""
        given = [entry for entry in _sequence(value) if isinstance(entry, Mapping)]
        if self.repeat.maximum is not None:
            given = given[: self.repeat.maximum]
        while len(self.entries) > max(len(given), self.repeat.minimum):
            self.entries.pop()
        while len(self.entries) < len(given):
            self.entries.append(RepeatEntry(self))
        unknown: list[str] = []
        for entry, values in zip(self.entries, given, strict=False):
            unknown += entry.apply(values, entry.prefix)
        self._tell()
        return unknown

    def reset(self) -> None:
        """Go back to the default number of fresh entries."""
        self.entries = self._fresh()
        self._tell()

    def _fresh(self) -> list[RepeatEntry]:
        count = max(self.repeat.default, self.repeat.minimum)
        return [RepeatEntry(self) for _ in range(count)]


class FormModel(Items):
    """All nodes of a tool's form.

    Parameters
    ----------
    tool : Tool

    Attributes
    ----------
    notes : tuple of str
        What the tool told of its last run.
    geometry : Geometry or None
        Of the first image as the tool will be told it; None: not known (yet), see `Units`.
    """

    changed = Signal(object)
    """Something changed; carries the `Node`."""
    prefix = ""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self.notes: tuple[str, ...] = ()
        self.geometry: Geometry | None = None
        super().__init__(_nodes(tool.inputs, self))

    def set_values(self, values: Mapping[str, object]) -> list[str]:
        """Set nested `values`; names without a place are returned, not raised."""
        return self.apply(values, "")

    def leaf(self, name: str) -> LeafNode:
        """Return the active leaf of that full name; KeyError when there is none."""
        for leaf in self.leaves():
            if leaf.name == name:
                return leaf
        raise KeyError(name)

    def hear(self, node: Node) -> None:
        """Tell that `node` changed."""
        self.changed.emit(node)


def _nodes(items: Sequence[InputItem], owner: Owner) -> tuple[Node, ...]:
    def node(item: InputItem) -> Node:
        if isinstance(item, Section):
            return SectionNode(item, owner)
        if isinstance(item, Conditional):
            return ConditionalNode(item, owner)
        if isinstance(item, Repeat):
            return RepeatNode(item, owner)
        return LeafNode(item, owner)

    nodes = tuple(map(node, items))
    leaves = {one.key: one for one in nodes if isinstance(one, LeafNode)}
    for leaf in leaves.values():
        if leaf.parameter.applies or asks_data(leaf.parameter):
            leaf.stand_beside(leaves)
    return nodes


def _sequence(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return (value,)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    return ()


def without_data(tool: Tool, values: Mapping[str, object]) -> dict[str, object]:
    """Return nested `values` of `tool` without those of its data inputs."""

    def kept(leaf: Leaf) -> object:
        return ABSENT if isinstance(leaf.parameter, DataParameter) else leaf.value

    return rebuild(tool.inputs, values, kept)
