"""Data classes whose methods are made when they are first used.

Python compiles up to seven methods of each data class, one by one, while a module is imported. A
process of ours meets more than a hundred such classes, of which it makes few and compares fewer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, field, fields, replace

__all__ = ["asdict", "dataclass", "field", "fields", "replace"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

_NOTHING = {"init": False, "repr": False, "eq": False}
_ASKED_BY = {"__init__": "init", "__repr__": "repr", "__eq__": "eq", "__hash__": "eq"}


class _Later:
    """Stands for a method of a data class until somebody looks at it: then Python makes it.

    Whoever looks, also `inspect.signature`, gets the method that `dataclasses` makes.
    """

    def __init__(self, kind: type[DataclassInstance], name: str, **how: bool) -> None:
        self._kind, self._name, self._how = kind, name, how

    def __get__(self, instance: object, owner: type | None = None) -> object:
        kind, name = self._kind, self._name
        fields = dataclasses.fields(kind)
        body: dict[str, object] = {one.name: one for one in fields}
        body["__annotations__"] = {one.name: one.type for one in fields}
        for one in ("__module__", "__qualname__", "__doc__", "__post_init__"):
            if hasattr(kind, one):
                body[one] = getattr(kind, one)
        model = type(kind.__name__, (), body)
        asked = {**_NOTHING, **self._how, _ASKED_BY[name]: True}
        method = vars(dataclasses.dataclass(**asked)(model))[name]
        setattr(kind, name, method)
        return method.__get__(instance, owner)


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
            name: _Later(kind, name, frozen=frozen, slots=slots)
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
