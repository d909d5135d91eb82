"""Data classes whose methods are made when they are first used.

Python compiles up to seven methods of each data class, one by one, while a module is imported. A
process of ours meets more than a hundred such classes, of which it makes few and compares fewer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, field, fields, replace
from types import FunctionType

__all__ = ["asdict", "dataclass", "field", "fields", "replace"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

_NOTHING = {"init": False, "repr": False, "eq": False}
_ASKED_BY = {"__repr__": "repr", "__eq__": "eq", "__hash__": "eq"}


class _Later:
    """Stands for a method of a data class until somebody looks at it: then it is made.

    Whoever looks, also `inspect.signature`, gets the method that `dataclasses` makes.
    """

    def __init__(self, kind: type[DataclassInstance], name: str, *, frozen: bool) -> None:
        self._kind, self._name, self._frozen = kind, name, frozen

    def __get__(self, instance: object, owner: type | None = None) -> object:
        make = _beginning if self._name == "__init__" else _pythons
        method = make(self._kind, self._name, self._frozen)
        setattr(self._kind, self._name, method)
        return method.__get__(instance, owner)


def _pythons(kind: type[DataclassInstance], name: str, frozen: bool) -> FunctionType:
    """Return a method of a class with the same fields, which Python makes."""
    body: dict[str, object] = {one.name: one for one in dataclasses.fields(kind)}
    body["__annotations__"] = {one.name: one.type for one in dataclasses.fields(kind)}
    body |= {one: getattr(kind, one) for one in ("__module__", "__qualname__", "__doc__")}
    asked = {**_NOTHING, _ASKED_BY[name]: True, "frozen": frozen}
    model = type(kind.__name__, (), body)
    method: FunctionType = vars(dataclasses.dataclass(**asked)(model))[name]
    return method


def _beginning(kind: type[DataclassInstance], name: str, frozen: bool) -> FunctionType:
    """Return ``__init__`` as Python writes it: alone, half the classes need no other."""
    words, later, lines = ["self"], list[str](), list[str]()
    known: dict[str, object] = {"__set": object.__setattr__, "__made": _MADE}
    for one in dataclasses.fields(kind):
        value, given = one.name, f"__given_{one.name}"
        default, factory = one.default, one.default_factory
        if factory is not dataclasses.MISSING:
            known[given], word = factory, f"{value}=__made"
            value = f"{given}() if {value} is __made else {value}" if one.init else f"{given}()"
        elif default is not dataclasses.MISSING:
            known[given], word = default, f"{value}={given}"
            value = value if one.init else given
        elif one.init:
            word = value
        else:
            continue
        if one.init:
            (later if one.kw_only else words).append(word)
        lines.append(
            f"__set(self, {one.name!r}, {value})" if frozen else f"self.{one.name} = {value}"
        )
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    taken = ", ".join([*words, *(["*", *later] if later else [])])
    exec(f"def __init__({taken}):\n " + "\n ".join(lines or ["pass"]), known)  # noqa: S102  # names of fields of ours
    method = known[name]
    assert isinstance(method, FunctionType)
    method.__module__, method.__qualname__ = kind.__module__, f"{kind.__qualname__}.{name}"
    method.__annotations__ = {one.name: one.type for one in dataclasses.fields(kind) if one.init}
    method.__annotations__["return"] = None
    return method


class _Made:
    def __repr__(self) -> str:
        return "<factory>"


_MADE = _Made()
"""Stands in a signature for what a factory makes."""


def _no_assignment(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _no_deletion(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: DataclassInstance) -> list[object]:
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _set_state(self: DataclassInstance, state: list[object]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


def _later(
    *,
    init: bool = True,
    repr: bool = True,
    eq: bool = True,
    frozen: bool = False,
    slots: bool = False,
    **how: bool,
) -> Callable[[type], type]:
    """Return the decorator: as that of `dataclasses`, with methods that are made later."""

    def wrap(kind: type) -> type:
        own = frozenset(vars(kind))
        derived = any(map(dataclasses.is_dataclass, kind.__mro__[1:]))
        kind.__doc__ = kind.__doc__ or kind.__name__  # else one of a signature is made
        sealed = frozen and derived  # what derives from a frozen class is frozen from the first
        kind = dataclasses.dataclass(**_NOTHING, frozen=sealed, slots=slots, **how)(kind)
        vars(kind)["__dataclass_params__"].frozen = frozen
        wanted = {"__init__": init, "__repr__": repr, "__eq__": eq, "__hash__": eq and frozen}
        methods: dict[str, object] = {
            name: _Later(kind, name, frozen=frozen)
            for name, is_wanted in wanted.items()
            if is_wanted
        }
        if eq and not frozen:
            methods["__hash__"] = None
        if frozen and not derived:
            methods |= {"__setattr__": _no_assignment, "__delattr__": _no_deletion}
            if slots:
                methods |= {"__getstate__": _state, "__setstate__": _set_state}
        for name, method in methods.items():
            if name not in own:
                setattr(kind, name, method)
        return kind

    return wrap


if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    dataclass = _later
