"""What is not to be the same in all forks of a process: its chance, its memory.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_NUMPY = "numpy.random.mtrand"


class Seeds:
    """The random states that all packages share, as they were when they were made."""

    def __init__(self) -> None:
        self._known: dict[str, object] = {}

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Note within what a state is before anybody could change it."""
        self._note("random")
        sys.meta_path.insert(0, self)
        yield
        sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, _: Any = None) -> ModuleSpec | None:
        """Find the module that holds NumPy's state, as usual."""
        spec = PathFinder.find_spec(name, path) if name == _NUMPY else None
        loader = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def load(module: ModuleType) -> None:
                del vars(loader)["exec_module"]
                execute(module)
                self._note(_NUMPY)

            setattr(loader, "exec_module", load)  # noqa: B010 (it is a method)
        return spec

    def changed(self) -> bool:
        """Whether one is another than it was."""
        return any(_state(name) != known for name, known in self._known.items())

    def _note(self, name: str) -> None:
        if name in sys.modules:
            self._known[name] = _state(name)


def _state(name: str) -> object:
    module: Any = sys.modules.get(name)
    if name == "random":
        return module.getstate() if hasattr(module, "getstate") else None
    told = module.get_state() if hasattr(module, "get_state") else ("", None)
    return told[1] if told[1] is None else (told[1].tobytes(), *told[2:])


def kinds_of_chance() -> Iterator[type]:
    """Yield the types of what gives chance, and of what is drawn from it."""
    for module, names in (
        ("random", ("Random",)),
        ("numpy.random", ("Generator", "RandomState", "BitGenerator", "SeedSequence")),
        ("uuid", ("UUID",)),
    ):
        for name in names:
            kind = getattr(sys.modules.get(module), name, None)
            if isinstance(kind, type):
                yield kind


def is_constant(one: object) -> bool:
    """Whether an identifier is not drawn, or a source of chance has no state."""
    kind = type(one)
    if kind.__module__ == "uuid":
        return getattr(one, "version", None) != 4
    return kind is getattr(sys.modules.get("random"), "SystemRandom", None)


def usual_chance() -> Iterator[object]:
    """Yield what is seeded anew in each fork."""
    if "random" in sys.modules:
        yield getattr(sys.modules["random"], "_inst", None)
    state = getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)
    if state is not None:
        yield state
        yield state._bit_generator
        yield getattr(state._bit_generator, "seed_seq", None)
        yield getattr(state._bit_generator, "_seed_seq", None)


def shared_memory() -> list[str]:
    """Return what forks would write for each other."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        return [one for one in file if one.split(None, 2)[1][1::2] == "ws"]
