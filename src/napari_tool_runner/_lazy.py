"""Façades that load their names when these are first used."""

from collections.abc import Callable

import lazy_loader

__all__ = ["attach"]


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
