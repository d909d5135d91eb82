"""Whether the end of what a program made does more than to give memory back.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. What is written
in C may do anything at its end: write the last part of a film, take a journal away. So only the
types that are listed here count as memory, and what a program derives from them in Python.
"""

from __future__ import annotations

import _thread
import collections
import ctypes
import functools
import gc
import os
import re
import struct
import sys
import types
import weakref
from typing import Any

_MOST = 50_000  # objects that are looked at
_USUAL = (
    *(object, int, bool, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset),
    *(range, slice, type, property, classmethod, staticmethod, super, BaseException, OSError),
    *(SyntaxError, ImportError, StopIteration, AttributeError, NameError, SystemExit, KeyError),
    *(type(None), type(...), type(NotImplemented), types.ModuleType, types.FunctionType),
    *(types.BuiltinFunctionType, types.MethodType, types.CodeType, types.CellType),
    *(types.MappingProxyType, types.SimpleNamespace, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType),
    *(types.ClassMethodDescriptorType, types.MethodWrapperType, types.TracebackType),
    *(types.FrameType, _thread.LockType, _thread.RLock, weakref.ref, functools.partial),
    *(collections.deque, collections.defaultdict, collections.OrderedDict, struct.Struct),
    *(re.Pattern, re.Match, type(functools.lru_cache()(len))),
)
_OF_NUMPY = ("ndarray", "dtype", "generic")
_OF_PYTHON = ("weakref", "_weakrefset", "functools")
"""Modules whose callbacks of weak references forget something, and that is all."""
_DEALLOC = object.__basicsize__ + 4 * ctypes.sizeof(ctypes.c_void_p)
"""Where a type holds the function that ends its objects."""
_ADDS = 4 * ctypes.sizeof(ctypes.c_void_p)
"""Where `dl_iterate_phdr` tells how many libraries were loaded."""
_LOOKS = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p)
_libc = ctypes.PyDLL(None)  # which does not let other threads go on


class _Python:
    pass


class Memory:
    """Tells whether all that a program made is memory. To be made before the program begins."""

    def __init__(self) -> None:
        numpy = sys.modules.get("numpy")
        found = [getattr(numpy, one, None) for one in _OF_NUMPY]
        self._numpy = tuple(one for one in found if isinstance(one, type))
        self._ends = {_end_of(one) for one in (*_USUAL, *self._numpy, _Python)}
        self._kinds: dict[type, bool] = {}
        self._libraries = -1 if _asks_for_the_end() else _loaded()

    def is_all(self, objects: list[object]) -> bool:
        """Whether nothing else happens at the end of `objects` and of what they alone hold."""
        if len(sys._current_frames()) > 1 or _loaded() != self._libraries:
            return False
        seen: set[int] = set()
        while objects:
            if len(objects) > _MOST or not all(map(self.is_memory, objects)):
                return False
            held = gc.get_referents(*objects)
            # what the collector does not look after is in no list of it, but in what holds it
            apart = {id(one): one for one in held if not gc.is_tracked(one)}
            objects = [one for one in apart.values() if id(one) not in seen]
            seen.update(apart)
        return True

    def is_memory(self, one: Any) -> bool:
        """Whether the end of an object gives memory back, and does nothing else."""
        kind = type(one)
        if kind not in self._kinds:
            mro: tuple[type, ...] = type.__getattribute__(kind, "__mro__")
            self._kinds[kind] = all(_end_of(part) in self._ends for part in mro)
        if not self._kinds[kind]:
            return False
        if isinstance(one, weakref.ref):
            told: Any = one.__callback__
            of_classes = type(told) is types.BuiltinFunctionType and told.__name__ == "_destroy"
            its = getattr(told, "__module__", None)
            return told is None or of_classes or its in _OF_PYTHON
        if self._numpy and isinstance(one, self._numpy[0]):
            array: Any = one
            return not array.dtype.hasobject and (array.base is None or self.is_memory(array.base))
        return True


def _end_of(kind: type) -> int | None:
    return ctypes.c_void_p.from_address(id(kind) + _DEALLOC).value


def _loaded() -> int:
    """Return how many libraries were loaded until now."""
    found: list[int] = []

    def look(told: int, _: int, __: object) -> int:
        found.append(ctypes.c_ulonglong.from_address(told + _ADDS).value)
        return 1

    _libc.dl_iterate_phdr(_LOOKS(look), None)
    return found[0]


def _asks_for_the_end() -> bool:
    """Whether a library has Python call it at its very end, as far as its file tells."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        places = {line.split(None, 5)[5].strip() for line in file if ".so" in line}
    own = ("libpython", "ld-", "libc.", "libctypes")
    return any(_mentions(one) for one in places if not os.path.basename(one).startswith(own))


def _mentions(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"Py_AtExit\0" in file.read()
    except OSError:
        return True  # nobody knows


def end_as_c_does(status: int) -> None:
    """End the process by ``exit``, with what libraries do at their end; never returns."""
    _libc.exit(status)
