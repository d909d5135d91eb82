"""What is not to be the same in all forks of a process: its chance, its memory.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator


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
