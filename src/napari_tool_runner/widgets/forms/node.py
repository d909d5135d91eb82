"""One place of a form, without Qt: what the user entered there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from psygnal import Signal

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.effect import without_effect
from napari_tool_runner.tools.model import DataParameter, HiddenParameter, LayerKind, Parameter
from napari_tool_runner.tools.shared_time import together
from napari_tool_runner.tools.values import check_value, coerce, default_value
from napari_tool_runner.widgets.forms.given import path_of
from napari_tool_runner.widgets.forms.known_axes import asks_data, has_effect

__all__ = ["Items", "LeafNode", "Node", "Owner", "Problem"]


class Owner(Protocol):
    """Where nodes hang; hears of every change below."""

    @property
    def prefix(self) -> str:
        """Prefix of the names inside: ends with ``|``, or is empty."""
        ...

    def hear(self, node: Node) -> None:
        """Pass on that `node` changed."""
        ...


class Node:
    """Something with a place in the tree.

    Parameters
    ----------
    key : str
        Its name among its neighbours, and in the nested values.
    owner : Owner
    """

    changed = Signal()
    """This node (not one below it) changed."""
    hidden = advanced = is_data = decides = False
    """What a parameter may be; groups are none of it.

    `decides`: others apply with another value of it.
    """

    def __init__(self, key: str, owner: Owner) -> None:
        self.key = key
        self.owner = owner

    @property
    def idle(self) -> bool:
        """Whether it has no effect with the present values beside it."""
        return False

    @property
    def prefix(self) -> str:
        """Prefix of the names inside."""
        return f"{self.owner.prefix}{self.key}|"

    def sent(self) -> object:
        """Return the nested value of what applies now."""
        raise NotImplementedError

    def leaves(self) -> Iterator[LeafNode]:
        """Yield the leaves that apply now, in the order of the form."""
        raise NotImplementedError

    def apply(self, value: object) -> list[str]:
        """Set a nested value; returns the names that found no place."""
        raise NotImplementedError

    def reset(self) -> None:
        """Go back to the descriptor's defaults."""
        raise NotImplementedError

    def holds(self, leaf: LeafNode) -> bool:
        """Whether `leaf` is here and applies now."""
        return any(leaf is one for one in self.leaves())

    def hear(self, node: Node) -> None:
        """Pass on that `node` changed."""
        self.owner.hear(node)

    def _tell(self) -> None:
        self.changed.emit()
        self.owner.hear(self)


class LeafNode(Node):
    """One parameter and its present value.

    `value` is what the form would send: already of the parameter's type where that is
    possible, otherwise what was typed (then `problem` says what is wrong with it).
    """

    def __init__(self, parameter: Parameter, owner: Owner) -> None:
        super().__init__(parameter.name, owner)
        self.parameter = parameter
        self.hidden = isinstance(parameter, HiddenParameter)
        self.advanced = parameter.advanced
        self.is_data = isinstance(parameter, DataParameter)
        self.value = default_value(parameter)
        """The present value; `set` changes it."""
        self._problem: str | None = None
        self._checked = False
        self._extra_problem: str | None = None
        self._beside: dict[str, LeafNode] = {}
        self._in_vain: bool | None = None  # on the chosen layers; None: to be looked at
        self.chosen = False
        """Whether the user (or a preset) set it; False follows automatic choices."""
        self.said = ""
        """What was done to the value without the user; another value ends it."""

    @property
    def name(self) -> str:
        """Full name, as ``cond|x`` or ``rep_0|x``."""
        return self.owner.prefix + self.key

    @property
    def idle(self) -> bool:
        """Whether it has no effect with the present values beside it."""
        if self._in_vain is None:
            self._in_vain = self._is_of_other_data()
        if self._in_vain:
            return True
        if not self.parameter.applies:
            return False
        conditions = {key: leaf.parameter.applies for key, leaf in self._beside.items()}
        values = {key: leaf.value for key, leaf in self._beside.items()}
        return self.key in without_effect(conditions, values)

    @property
    def is_apart(self) -> bool:
        """Whether its value is a file that no layer can be: a model, a macro."""
        kinds = self.parameter.kinds if isinstance(self.parameter, DataParameter) else ()
        return LayerKind.ANY in kinds and path_of(self.value) is not None

    def _is_of_other_data(self) -> bool:
        """Whether all layers that are chosen have other axes than it has an effect on."""
        if not asks_data(self.parameter):
            return False
        chosen = [
            leaf.value for leaf in self._beside.values() if leaf.is_data and not leaf.is_apart
        ]
        data = [one for value in chosen for one in (value if isinstance(value, list) else [value])]
        told = [has_effect(self.parameter, one) for one in data if one is not None]
        return bool(told) and not any(told)

    def stand_beside(self, leaves: Mapping[str, LeafNode]) -> None:
        """Follow those among `leaves` that decide whether it has an effect."""
        self._beside = dict(leaves)
        for condition in self.parameter.applies:
            other = leaves[condition.name]
            other.decides = True
            other.changed.connect(self.changed.emit)
        for other in leaves.values() if asks_data(self.parameter) else ():
            if other.is_data:
                other.changed.connect(self._data_changed)

    def _data_changed(self) -> None:
        self._in_vain = None
        self.changed.emit()

    @property
    def is_default(self) -> bool:
        """Whether the value is the descriptor's."""
        if isinstance(self.parameter, DataParameter):
            return not self.chosen
        return bool(self.value == default_value(self.parameter))

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
        if value is self.value:
            return
        converted = self._convert(value)
        if _same(converted, self.value):
            return
        self.value, self.said = converted, ""
        self._checked = False
        self._extra_problem = None
        self._tell()

    def say(self, said: str) -> None:
        """Tell what was done to the value, until it is another one."""
        self.said = said
        self.changed.emit()

    def take(self, value: object, *, chosen: bool, extra_problem: str | None) -> None:
        """Take a value that was chosen for the user, and what is wrong with the choice."""
        self.chosen = chosen
        converted = value if value is self.value else self._convert(value)
        same = _same(converted, self.value)
        if same and extra_problem == self._extra_problem:
            return
        if not same:
            self.value, self._checked = converted, False
        self._extra_problem = extra_problem
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
        self.chosen, self.said = False, ""
        self.value = default_value(self.parameter)
        self._checked = False
        self._tell()

    def sent(self) -> object:
        """Return the value."""
        return self.value

    def leaves(self) -> Iterator[LeafNode]:
        """Return itself, where it has an effect."""
        return iter(() if self.idle else (self,))

    def apply(self, value: object) -> list[str]:
        """Set the value; it always has a place, and is told also where it is what it was."""
        before = self.value
        self.set(value)
        if self.value is before:
            self.owner.hear(self)
        return []

    def _convert(self, value: object) -> object:
        try:
            return coerce(self.parameter, value, self.parameter.name)
        except ParameterError:
            return value

    def _check(self) -> str | None:
        try:
            value = coerce(self.parameter, self.value, self.parameter.name)
        except ParameterError as error:
            return error.message
        return check_value(self.parameter, value)


class Items:
    """Nodes that apply together: a form, a section, a choice with its case, a repeat's entry."""

    def __init__(self, children: Sequence[Node]) -> None:
        self.children = tuple(children)

    def values(self, *, idle: bool = False) -> dict[str, object]:
        """Return nested values by name, as `bind` takes them.

        Hidden parameters are not sent; what has no effect now only with `idle`.
        """
        return {
            child.key: child.sent()
            for child in self.children
            if not child.hidden and (idle or not child.idle)
        }

    def leaves(self) -> Iterator[LeafNode]:
        """Yield the leaves that apply now."""
        for child in self.children:
            yield from child.leaves()

    def apply(self, values: Mapping[str, object], prefix: str) -> list[str]:
        """Set what is in `values`; returns the names that found no place."""
        unknown: list[str] = []
        by_name = {child.key: child for child in self.children}
        for key, value in values.items():
            child = by_name.get(key)
            unknown += [prefix + key] if child is None else child.apply(value)
        return unknown

    def problems(self) -> list[Problem]:
        """Return what is wrong with the leaves that apply now."""
        with together():
            return [Problem(leaf.name, leaf.problem) for leaf in self.leaves() if leaf.problem]

    def reset(self) -> None:
        """Set everything back to the defaults."""
        for child in self.children:
            child.reset()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a form cannot run: the full name of a parameter, and one sentence."""

    name: str
    sentence: str


def _same(one: object, other: object) -> bool:
    """Whether nothing changed; layers and arrays compare by identity."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, str | int | float | bool):
        return one == other
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return False
