"""What the begin of a program imports and looks up, done ahead in its order, and once more.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. A step is a
module (``a.b``), a name that is looked up in one (``a.b:name``), or names as ``from`` takes them
(``a.b::name,other``). Before a step of which nobody knows whether the program came to it stands
``?``: then it is only looked what lies there.
"""

from __future__ import annotations

import atexit
import gc
import sys
import types
from typing import Any

_IMPORT = "__import__(place)\nfound += [modules[place], modules[place.partition('.')[0]]]"
_EACH = "for one in names: found.append(getattr(modules[place], one))"
_FROM = f"__import__(place, fromlist=names)\n{_EACH}"
_ABSENT = object()


def top_of(step: str) -> str:
    """Return the package of a step."""
    return step.lstrip("?").partition(":")[0].partition(".")[0]


def take(step: str) -> list[object]:
    """Do a step as a program does it; return what that gets. Raises what the step raises."""
    place, _, told = step.lstrip("?").partition(":")
    names = tuple(told.lstrip(":").split(",")) if told else ()
    if step[:1] == "?":
        return _lying(place, names)
    found: list[object] = []
    # warnings take the name of a module from whoever does it: the program
    scope: dict[str, Any] = {"__name__": "__main__", "modules": sys.modules}
    scope.update(place=place, names=names, found=found)
    exec(_FROM if told[:1] == ":" else _EACH if told else _IMPORT, scope)  # noqa: S102
    return found


def unlike(taken: list[tuple[str, list[object]]]) -> tuple[str, str] | None:
    """Return a step that a program could not do now as it would have done it, and why.

    A program does them when all is imported, so each has to give what it gave, and where the code
    of a package answers it must not matter how often that was asked.
    """
    asked = [step for step, _ in taken if ":" in step and step[:1] != "?"]
    before = _held()
    for step, found in taken:
        try:
            again = take(step)
        except BaseException:  # noqa: BLE001
            again = []
        if len(again) != len(found) or any(map(_differ, again, found)):
            return step, "what a program takes from it is not the same after later imports"
        del again
    if asked and _is_changed(before):
        return next(filter(_changes, asked), asked[0]), "it changes when names are looked up in it"
    return None


def _lying(place: str, names: tuple[str, ...]) -> list[object]:
    """Return what a module holds under `names`, or the module, without asking its code."""
    module = sys.modules.get(place, _ABSENT)
    if not names:
        return [module]
    held: dict[str, object] = getattr(module, "__dict__", {})
    if names == ("*",):
        told = held.get("__all__")
        public = [one for one in held if one[:1] != "_"]
        names = tuple(told) if isinstance(told, (list, tuple)) else tuple(public)
        return [*names, *(held.get(one, _ABSENT) for one in names)]
    return [held.get(one, _ABSENT) for one in names]


def _differ(one: object, other: object) -> bool:
    return one is not other


def _changes(step: str) -> bool:
    before = _held()
    take(step)
    return _is_changed(before)


def _is_changed(before: dict[int, tuple[int, ...]]) -> bool:
    now = _held()
    return any(now.get(one, held) != held for one, held in before.items())


def _held() -> dict[int, tuple[int, ...]]:
    """Return what each object holds, of those that were made since the begin and of modules."""
    gc.collect()
    objects = gc.get_objects()
    found: list[object] = list(sys.modules.values())
    modules = [one for one in found if isinstance(one, types.ModuleType)]
    scopes = [vars(one) for one in modules if one.__name__ != __name__]
    inner = [one for scope in scopes for one in scope.values() if type(one) in (dict, list, set)]
    held = {id(one): _ids(one) for one in (*objects, *scopes, *inner)}
    held[id(atexit)] = (atexit._ncallbacks(),)
    return held


def _ids(one: object) -> tuple[int, ...]:
    found = [id(type(one))]
    for held in gc.get_referents(one):
        found.append(id(held))
        if type(held) is dict and not gc.is_tracked(held):  # it holds numbers and texts
            found.extend(map(id, gc.get_referents(held)))
    return tuple(found)
