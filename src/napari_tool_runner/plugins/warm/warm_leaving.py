"""How a fork ends: what was imported ahead goes with the process, not piece by piece.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. At its end
Python empties all modules, so a fork would first copy the memory of all that is imported. Where
nothing happens at the end of anything that a program made, they are hidden from that. Where all
that it made is memory only, the process ends as C does, and nothing is taken apart.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys
import types

from warm_endings import Memory, end_as_c_does  # type: ignore[import-not-found]

_ASKED_LATE = ("threading",)
"""Modules that Python itself looks for after the last function of `atexit`."""


class Leaving:
    """What the end of a program leaves as it is. To be made before anything can ask for its end.

    Parameters
    ----------
    begun : frozenset of str
        The modules that this Python has by itself.
    """

    def __init__(self, begun: frozenset[str]) -> None:
        self._kept: dict[str, object] = {}
        self._begun = begun
        self.status: int | None = None
        """What the program ends with; None where Python itself is to tell."""
        self._memory: Memory | None = None
        self._is_last = atexit._ncallbacks() == 0
        if self._is_last:
            atexit.register(self._leave)

    def keep(self) -> None:
        """Keep what is imported by now; memory is to be frozen next."""
        if not self._is_last or has_ends(gc.get_objects(), of_generators=False):
            return
        apart = {"__main__", *_ASKED_LATE, *sys.builtin_module_names, *self._begun}
        self._kept = {name: sys.modules[name] for name in sys.modules.keys() - apart}
        self._kept[""] = self._kept  # frozen, what holds itself stays for ever
        self._memory = Memory()

    def ends(self, code: object) -> None:
        """Note what a program ends with: what it gives to `sys.exit`."""
        if code is None or (type(code) is int and 0 <= code < 256):
            self.status = code or 0

    def _leave(self) -> None:
        made = gc.get_objects()
        if not self._kept or has_ends(made):
            gc.unfreeze()  # as in a program that has imported all itself
            return
        if self.status is not None and self._memory is not None and self._memory.is_all(made):
            with contextlib.suppress(Exception):  # then Python tries again, and tells
                for name in _STREAMS:
                    if name.strip("_") != "stdin" and getattr(sys, name, None) is not None:
                        getattr(sys, name).flush()
                end_as_c_does(self.status)
        for name, module in self._kept.items():
            if name and sys.modules.get(name) is module:
                sys.modules[name] = None  # type: ignore[assignment]  # as Python does it next


def has_ends(objects: list[object], *, of_generators: bool = True) -> bool:
    """Whether something happens at the end of one of `objects`: a line is written, code runs.

    Standard streams do not count: Python writes what they hold before.
    """
    kinds = {one for one in set(map(type, objects)) if _has_end(one)}
    if not of_generators:
        kinds.discard(types.GeneratorType)
    usual = {id(part) for one in _STREAMS for part in _parts(getattr(sys, one, None))}
    return bool(kinds) and any(type(one) in kinds and id(one) not in usual for one in objects)


_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")


def _parts(stream: object) -> tuple[object, ...]:
    buffer = getattr(stream, "buffer", None)
    return stream, buffer, getattr(buffer, "raw", None)


def _has_end(kind: type) -> bool:
    mro: tuple[type, ...] = type.__getattribute__(kind, "__mro__")
    return any("__del__" in type.__getattribute__(one, "__dict__") for one in mro)
