"""Modules that are loaded when they are first used: NumPy, and the façades of rooms."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import lazy_loader

__all__ = ["attach", "np"]


class _Later(ModuleType):
    """Stands for a module, which it imports at the first use of a name.

    Names are kept as they are met, so that the later uses cost nothing. (The proxies of
    `lazy_loader.load` do not bear that two threads use one first, before Python 3.12.)
    """

    def __getattr__(self, name: str) -> object:
        value: object = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import numpy as np
else:
    np = _Later("numpy")


def attach(
    name: str, file: str
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__, __dir__, __all__`` of the package whose names a ``.pyi`` lists.

    It is `lazy_loader.attach_stub`, with the words that Python itself has for a name
    that is not there.
    """
    load, names, public = lazy_loader.attach_stub(name, file)

    def __getattr__(attribute: str) -> object:
        if attribute not in public:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        value: object = load(attribute)
        return value

    return __getattr__, names, public
