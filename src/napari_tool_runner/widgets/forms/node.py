"""One place of a form, without Qt: what the user entered there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from psygnal import Signal

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import DataParameter, Parameter
from napari_tool_runner.tools.values import check_value, coerce, default_value

__all__ = ["LeafNode", "Node", "Owner"]


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

    def __init__(self, key: str, owner: Owner) -> None:
        self.key = key
        self.owner = owner

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
        self._value = default_value(parameter)
        self._problem: str | None = None
        self._checked = False
        self._extra_problem: str | None = None
        self.chosen = False
        """Whether the user (or a preset) set it; False follows automatic choices."""

    @property
    def name(self) -> str:
        """Full name, as ``cond|x`` or ``rep_0|x``."""
        return self.owner.prefix + self.key

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

    def sent(self) -> object:
        """Return the value."""
        return self._value

    def leaves(self) -> Iterator[LeafNode]:
        """Yield itself."""
        yield self

    def apply(self, value: object) -> list[str]:
        """Set the value; it always has a place."""
        self.set(value)
        return []

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
