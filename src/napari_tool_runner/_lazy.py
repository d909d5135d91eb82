"""What is loaded when it is first used: NumPy, the façades of rooms, regular expressions."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import lazy_loader

__all__ = ["attach", "compiled", "np"]

TYPE_CHECKING = False  # as type checkers know it: napari waits for what is imported here


class _Later(ModuleType):
    """Stands for a module, which it imports at the first use of a name.

    Names are kept as they are met, so that the later uses cost nothing. (The proxies of
    `lazy_loader.load` do not bear that two threads use one first, before Python 3.12.)
    """

    def __getattr__(self, name: str) -> object:
        value: object = getattr(import_module(self.__name__), name)
        setattr(self, name, value)
        return value


class _Pattern:
    """Stands for a regular expression, which is compiled at the first use of it."""

    def __init__(self, *words: object) -> None:
        self._words = words

    def __getattr__(self, name: str) -> object:
        value: object = getattr(import_module("re").compile(*self._words), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    from re import compile as compiled

    import numpy as np
else:
    compiled, np = _Pattern, _Later("numpy")


def attach(
    name: str, file: str
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__, __dir__, __all__`` of the package whose names a ``.pyi`` lists.

    It is `lazy_loader.attach`, with the words that Python itself has for a name that is not
    there.
    """
    load, names, public = lazy_loader.attach(name, submod_attrs=_listed(f"{file}i"))

    def __getattr__(attribute: str) -> object:
        if attribute not in public:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        value: object = load(attribute)
        return value

    return __getattr__, names, public


def _listed(stub: str) -> dict[str, list[str]]:
    """Return module -> names of each ``from .module import names`` of a stub of ours.

    To parse it as Python, as `lazy_loader.attach_stub` does, takes an import of its own.
    """
    found = dict[str, list[str]]()
    with open(stub, encoding="utf-8") as file:
        for part in f"\n{file.read()}".split("\nfrom .")[1:]:
            module, _, rest = part.partition(" import ")
            names = rest[1:].partition(")") if rest.startswith("(") else rest.partition("\n")
            found[module] = names[0].replace(",", " ").split()
    return found
