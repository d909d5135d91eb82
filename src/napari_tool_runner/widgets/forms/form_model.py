"""What a form holds, without Qt: one node per parameter, in the tree of the tool.

The widgets are views of these nodes. Values therefore exist before (and without) any
widget, which is what lets an 802-parameter tool open at once, and what keeps the text
typed into a case of a conditional while another case is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import (
    Conditional,
    DataParameter,
    HiddenParameter,
    InputItem,
    Parameter,
    Repeat,
    Section,
    Tool,
)
from napari_tool_runner.tools.values import check_value, coerce, default_value

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Case

__all__ = [
    "ConditionalNode",
    "FormModel",
    "LeafNode",
    "Node",
    "Problem",
    "RepeatEntry",
    "RepeatNode",
    "SectionNode",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a form cannot run: the full name of a parameter, and one sentence."""

    name: str
    sentence: str
    parameter: Parameter


class _Parented:
    """Something with a place in the tree; `prefix` ends with ``|`` or is empty."""

    def __init__(self, owner: _Parented | None) -> None:
        self.owner = owner

    @property
    def prefix(self) -> str:
        return ""

    def emit(self, node: Node) -> None:
        if self.owner is not None:
            self.owner.emit(node)


class LeafNode(_Parented):
    """One parameter and its present value.

    `value` is what the form would send: already of the parameter's type where that is
    possible, otherwise what was typed (then `problem` says what is wrong with it).
    """

    def __init__(self, parameter: Parameter, owner: _Parented) -> None:
        super().__init__(owner)
        self.parameter = parameter
        self._value = default_value(parameter)
        self._problem: str | None = None
        self._checked = False
        self._extra_problem: str | None = None
        self._views: list[Callable[[], None]] = []
        self.chosen = False
        """Whether the user (or a preset) set it; False follows automatic choices."""

    @property
    def name(self) -> str:
        """Full name, as ``cond|x`` or ``rep_0|x``."""
        owner = self.owner
        return (owner.prefix if owner is not None else "") + self.parameter.name

    @property
    def value(self) -> object:
        """The present value."""
        return self._value

    @property
    def is_default(self) -> bool:
        """Whether the value is the descriptor's."""
        if isinstance(self.parameter, DataParameter):
            return not self.chosen
        return bool(self._value == default_value(self.parameter))

    @property
    def problem(self) -> str | None:
        """One sentence on why the value cannot be used, None when it can."""
        if not self._checked:
            self._problem = self._check()
            self._checked = True
        return self._extra_problem or self._problem

    def set(self, value: object, *, chosen: bool = True) -> None:
        """Take a value (text is converted where possible) and tell the views."""
        self.chosen = chosen
        converted = self._convert(value)
        if _same(converted, self._value):
            return
        self._value = converted
        self._checked = False
        self._extra_problem = None
        self._tell()

    def set_extra_problem(self, sentence: str | None) -> None:
        """Let a field speak about what only it knows (no layer of the right kind)."""
        if sentence != self._extra_problem:
            self._extra_problem = sentence
            self._tell()

    def recheck(self) -> None:
        """Judge the value again: what it refers to has changed."""
        self._checked = False
        self._tell()

    def reset(self) -> None:
        """Go back to the descriptor's default."""
        self.chosen = False
        self._value = default_value(self.parameter)
        self._checked = False
        self._tell()

    def watch(self, view: Callable[[], None]) -> None:
        """Call `view` after every change of this node."""
        self._views.append(view)

    def unwatch(self, view: Callable[[], None]) -> None:
        """Stop calling `view`."""
        if view in self._views:
            self._views.remove(view)

    def _tell(self) -> None:
        for view in tuple(self._views):
            view()
        self.emit(self)

    def _convert(self, value: object) -> object:
        try:
            return coerce(self.parameter, value, self.parameter.name)
        except ParameterError:
            return value

    def _check(self) -> str | None:
        try:
            value = coerce(self.parameter, self._value, self.parameter.name)
        except ParameterError as error:
            return error.message
        return check_value(self.parameter, value)


class _Group(_Parented):
    """Something with child nodes."""

    def __init__(self, items: Sequence[InputItem], owner: _Parented | None) -> None:
        super().__init__(owner)
        self.children: tuple[Node, ...] = tuple(_node(item, self) for item in items)

    def apply(self, values: Mapping[str, object]) -> list[str]:
        """Set what is in `values`; returns the names that found no place."""
        unknown: list[str] = []
        by_name = {_item_name(child): child for child in self.children}
        for key, value in values.items():
            child = by_name.get(key)
            if child is None:
                unknown.append(self.prefix + key)
            else:
                unknown += _apply(child, value)
        return unknown

    def reset(self) -> None:
        for child in self.children:
            child.reset()


class _Root(_Group):
    def __init__(self, items: Sequence[InputItem], emit: Callable[[Node], None]) -> None:
        super().__init__(items, None)
        self._emit = emit

    def emit(self, node: Node) -> None:
        self._emit(node)


class SectionNode(_Group):
    """A titled group."""

    def __init__(self, section: Section, owner: _Parented) -> None:
        self.section = section
        super().__init__(section.items, owner)

    @property
    def prefix(self) -> str:
        """Prefix of the names inside."""
        assert self.owner is not None
        return f"{self.owner.prefix}{self.section.name}|"


class _CaseNode(_Group):
    """The parameters of one case; made when the case is first chosen."""

    def __init__(self, case: Case, owner: ConditionalNode) -> None:
        self.case = case
        super().__init__(case.items, owner)

    @property
    def prefix(self) -> str:
        assert self.owner is not None
        return self.owner.prefix


class ConditionalNode(_Parented):
    """A choice and its cases. What was typed in a case survives another choice."""

    def __init__(self, conditional: Conditional, owner: _Parented) -> None:
        super().__init__(owner)
        self.conditional = conditional
        self.test = LeafNode(conditional.test, self)
        self._cases: dict[str, _CaseNode] = {}

    @property
    def prefix(self) -> str:
        """Prefix of the names inside."""
        assert self.owner is not None
        return f"{self.owner.prefix}{self.conditional.name}|"

    @property
    def active(self) -> _CaseNode | None:
        """The case of the present choice, None when nothing is chosen."""
        case = self.conditional.active(self.test.value)
        if case is None:
            return None
        if case.value not in self._cases:
            self._cases[case.value] = _CaseNode(case, self)
        return self._cases[case.value]

    def reset(self) -> None:
        """Reset the choice and every case that was ever shown."""
        self.test.reset()
        for case in self._cases.values():
            case.reset()


class RepeatEntry(_Group):
    """One occurrence of a repeat."""

    def __init__(self, repeat: RepeatNode) -> None:
        self._repeat = repeat
        super().__init__(repeat.repeat.items, repeat)

    @property
    def index(self) -> int:
        """0-based place; -1 after removal."""
        return self._repeat.entries.index(self) if self in self._repeat.entries else -1

    @property
    def prefix(self) -> str:
        """Prefix of the names inside."""
        assert self._repeat.owner is not None
        return f"{self._repeat.owner.prefix}{self._repeat.repeat.name}_{self.index}|"


class RepeatNode(_Parented):
    """A group that occurs several times."""

    def __init__(self, repeat: Repeat, owner: _Parented) -> None:
        super().__init__(owner)
        self.repeat = repeat
        self.entries: list[RepeatEntry] = []
        self._views: list[Callable[[], None]] = []
        for _ in range(max(repeat.default, repeat.minimum)):
            self.entries.append(RepeatEntry(self))

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

    def reset(self) -> None:
        """Go back to the default number of fresh entries."""
        count = max(self.repeat.default, self.repeat.minimum)
        self.entries = []
        for _ in range(count):
            self.entries.append(RepeatEntry(self))
        self._tell()

    def apply(self, values: object) -> list[str]:
        """Set all entries from a list of mappings; returns the unknown names."""
        given = [entry for entry in _sequence(values) if isinstance(entry, Mapping)]
        if self.repeat.maximum is not None:
            given = given[: self.repeat.maximum]
        while len(self.entries) > max(len(given), self.repeat.minimum):
            self.entries.pop()
        while len(self.entries) < len(given):
            self.entries.append(RepeatEntry(self))
        unknown: list[str] = []
        for entry, value in zip(self.entries, given, strict=False):
            unknown += entry.apply(value)
        self._tell()
        return unknown

    def watch(self, view: Callable[[], None]) -> None:
        """Call `view` when entries come or go."""
        self._views.append(view)

    def _tell(self) -> None:
        for view in tuple(self._views):
            view()
        self.emit(self)


Node: TypeAlias = LeafNode | SectionNode | ConditionalNode | RepeatNode


class FormModel:
    """All nodes of a tool's form.

    Parameters
    ----------
    tool : Tool
    """

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self._watchers: list[Callable[[Node], None]] = []
        self._root = _Root(tool.inputs, self._changed)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes at the top of the form."""
        return self._root.children

    def values(self) -> dict[str, object]:
        """Return nested values of everything that applies, as `bind` takes them."""
        return _collect(self._root)

    def set_values(self, values: Mapping[str, object]) -> list[str]:
        """Set nested `values`; names without a place are returned, not raised."""
        return self._root.apply(values)

    def reset(self) -> None:
        """Set everything back to the descriptor's defaults."""
        self._root.reset()

    def leaves(self) -> Iterator[LeafNode]:
        """Yield the leaves that apply now, in the order of the form."""
        yield from _leaves(self._root.children)

    def leaf(self, name: str) -> LeafNode:
        """Return the active leaf of that full name; KeyError when there is none."""
        for leaf in self.leaves():
            if leaf.name == name:
                return leaf
        raise KeyError(name)

    def problems(self) -> list[Problem]:
        """Return what keeps the form from running, in its order."""
        found: list[Problem] = []
        for leaf in self.leaves():
            sentence = leaf.problem
            if sentence:
                found.append(Problem(leaf.name, sentence, leaf.parameter))
        return found

    def watch(self, watcher: Callable[[Node], None]) -> None:
        """Call `watcher` with the node after every change."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[Node], None]) -> None:
        """Stop calling `watcher`."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def _changed(self, node: Node) -> None:
        for watcher in tuple(self._watchers):
            watcher(node)


def _node(item: InputItem, owner: _Parented) -> Node:
    if isinstance(item, Section):
        return SectionNode(item, owner)
    if isinstance(item, Conditional):
        return ConditionalNode(item, owner)
    if isinstance(item, Repeat):
        return RepeatNode(item, owner)
    return LeafNode(item, owner)


def _item_name(node: Node) -> str:
    if isinstance(node, LeafNode):
        return node.parameter.name
    if isinstance(node, SectionNode):
        return node.section.name
    if isinstance(node, ConditionalNode):
        return node.conditional.name
    return node.repeat.name


def _collect(group: _Group) -> dict[str, object]:
    values: dict[str, object] = {}
    for child in group.children:
        name = _item_name(child)
        if isinstance(child, LeafNode):
            if not isinstance(child.parameter, HiddenParameter):
                values[name] = child.value
        elif isinstance(child, SectionNode):
            values[name] = _collect(child)
        elif isinstance(child, ConditionalNode):
            active = child.active
            inner = _collect(active) if active is not None else {}
            values[name] = {child.test.parameter.name: child.test.value, **inner}
        else:
            values[name] = [_collect(entry) for entry in child.entries]
    return values


def _leaves(nodes: Sequence[Node]) -> Iterator[LeafNode]:
    for node in nodes:
        if isinstance(node, LeafNode):
            yield node
        elif isinstance(node, SectionNode):
            yield from _leaves(node.children)
        elif isinstance(node, ConditionalNode):
            yield node.test
            active = node.active
            if active is not None:
                yield from _leaves(active.children)
        else:
            for entry in node.entries:
                yield from _leaves(entry.children)


def _apply(node: Node, value: object) -> list[str]:
    if isinstance(node, LeafNode):
        node.set(value)
        return []
    if isinstance(node, RepeatNode):
        return node.apply(value)
    if not isinstance(value, Mapping):
        return [node.prefix.rstrip("|")]
    given = cast("Mapping[str, object]", value)
    if isinstance(node, SectionNode):
        return node.apply(given)
    test = node.test.parameter.name
    if test in given:
        node.test.set(given[test])
    rest = {key: entry for key, entry in given.items() if key != test}
    active = node.active
    if active is None:
        return [node.prefix + key for key in rest]
    return active.apply(rest)


def _sequence(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return (value,)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    return ()


def _same(one: object, other: object) -> bool:
    """Whether nothing changed; layers and arrays compare by identity."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, str | int | float | bool):
        return one == other
    if isinstance(one, tuple | list):
        return len(one) == len(cast("Sequence[object]", other)) and all(
            _same(a, b) for a, b in zip(one, cast("Sequence[object]", other), strict=True)
        )
    return False
