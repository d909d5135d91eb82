"""What a program looks up in modules before it does anything: packages import parts of them then.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. Those before
3.11 do not tell in which part of a line a program is, so nothing counts there.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import sys
import types
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

_IS_PROGRAM = ast.dump(ast.parse("__name__ == '__main__'", mode="eval").body)


class Lookups:
    """Tells whether a program is at an import, or a lookup, before which it has done nothing.

    Parameters
    ----------
    end : int
        The last line before which it does nothing but import.
    begin, rest : list of ast.stmt
        The program until there, and after it.
    main : dict
        What its names stand for.
    """

    def __init__(
        self, end: int, begin: list[ast.stmt], rest: list[ast.stmt], main: dict[str, Any]
    ) -> None:
        self._end, self._main = end, main
        inner = [part for one in begin for part in _all_in(one)]
        self._begin = [part for part in inner if isinstance(part, ast.ImportFrom)]
        self._steps = list(_in_order(rest, set().union(*map(_names_of, begin))))
        self._answered: set[ast.expr] = set()

    def at(self, frame: FrameType) -> str | None:
        """Return what `frame` looks up, as ``module:name``; None where it does something else.

        It is ``module::names`` where ``from`` does it, and empty where a module is imported.
        """
        line, place = frame.f_lineno, _place(frame)
        if line <= self._end:
            here = [one for one in self._begin if one.lineno <= line <= (one.end_lineno or 0)]
            return None if len(here) > 1 else "".join(map(_brought_by, here))
        with contextlib.suppress(LookupError, TypeError):  # a package may have done anything
            for one in self._steps:
                if place == (one.lineno, one.end_lineno, one.col_offset, one.end_col_offset):
                    return self._told(one)
                if isinstance(one, ast.expr) and one not in self._answered:
                    self._value(one)
        return None

    def _told(self, one: ast.stmt | ast.expr) -> str | None:
        if isinstance(one, ast.Attribute):
            holder = self._value(one.value)
            name = str(getattr(holder, "__name__", ""))
            self._answered.add(one)
            return f"{name}:{one.attr}" if sys.modules.get(name) is holder else None
        return _brought_by(one) if isinstance(one, ast.stmt) else None

    def _value(self, one: ast.expr) -> Any:
        """Return what an expression stands for, if that is told without anybody's code."""
        if isinstance(one, ast.Name):
            return self._main[one.id]
        if isinstance(one, ast.Attribute):
            holder = self._value(one.value)
            if type(holder) is types.ModuleType:
                return vars(holder)[one.attr]
        if isinstance(one, ast.Subscript):
            holder = self._value(one.value)
            if type(holder) is list:
                return holder[ast.literal_eval(one.slice)]
        raise LookupError


def is_literal(value: ast.expr) -> bool:
    """Whether an expression is made of constants."""
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _brought_by(one: ast.stmt) -> str:
    """Return what a statement looks up, if it does so by now: ``from`` does it in the end."""
    if isinstance(one, ast.ImportFrom) and one.module and not one.level:
        names = [part.name for part in one.names]
        spec = getattr(sys.modules.get(one.module), "__spec__", None)
        if "*" not in names and not getattr(spec, "_initializing", one.module not in sys.modules):
            return f"{one.module}::{','.join(names)}"
    return ""


def _in_order(body: list[ast.stmt], bound: set[str]) -> Generator[ast.stmt | ast.expr, None, bool]:
    """Yield imports and lookups until anything else is done; return whether nothing is."""
    for one in body:
        parts: list[ast.expr] = []
        if isinstance(one, (ast.Import, ast.ImportFrom)):
            yield one
        elif isinstance(one, ast.If) and _is_of_programs(one.test, bound):
            if not (yield from _in_order(one.body, bound)):
                return False
            continue
        elif isinstance(one, ast.Assign):
            if not all(isinstance(target, ast.Name) for target in one.targets):
                return False
            parts = [one.value]
        elif isinstance(one, ast.Expr):
            parts = [one.value]
        elif isinstance(one, ast.FunctionDef) and not one.decorator_list:
            parts = _evaluated(one)
        elif not isinstance(one, ast.Pass):
            return False
        for part in parts:
            if not (yield from _looked_up(part)):
                return False
        new = _names_of(one)
        if new & {"*", *bound}:  # what was looked up in it could not be told any more
            return False
        bound |= new
    return True


def _all_in(one: ast.AST) -> Iterator[ast.AST]:
    """Yield what a statement consists of; `ast.walk` would import what the program might not."""
    yield one
    for part in ast.iter_child_nodes(one):
        yield from _all_in(part)


def _names_of(one: ast.stmt) -> set[str]:
    """Return the names that a statement makes stand for something."""
    if isinstance(one, ast.FunctionDef):
        return {one.name}
    found = set()
    for part in _all_in(one):
        if isinstance(part, ast.alias):
            found.add(part.asname or part.name.partition(".")[0])
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
    return found


def _is_of_programs(test: ast.expr, bound: set[str]) -> bool:
    return ast.dump(test) == _IS_PROGRAM and not bound & {"*", "__name__"}


def _looked_up(one: ast.expr) -> Generator[ast.expr, None, bool]:
    if isinstance(one, ast.Name) or is_literal(one):
        return True
    if isinstance(one, (ast.Attribute, ast.Subscript)):
        if isinstance(one, ast.Subscript) and not is_literal(one.slice):
            return False
        if not (yield from _looked_up(one.value)):
            return False
        yield one
        return True
    parts: list[ast.expr] = []
    if isinstance(one, ast.Call):
        parts = [one.func, *one.args]
        if all(word.arg for word in one.keywords):
            parts += [word.value for word in one.keywords]
    elif isinstance(one, (ast.Tuple, ast.List)):
        parts = one.elts
    for part in parts:
        if not (yield from _looked_up(part)):
            return False
    return isinstance(one, (ast.Tuple, ast.List))


def _evaluated(one: ast.FunctionDef) -> list[ast.expr]:
    """Return what Python evaluates for a definition."""
    args = one.args
    of_words = [*args.posonlyargs, *args.args, *filter(None, [args.vararg]), *args.kwonlyargs]
    told = [word.annotation for word in [*of_words, *filter(None, [args.kwarg])]]
    found = [*args.defaults, *args.kw_defaults, *told, one.returns]
    return [part for part in found if part is not None]


def _place(frame: FrameType) -> tuple[int | None, ...] | None:
    """Return the lines and columns of what a frame evaluates."""
    places = getattr(frame.f_code, "co_positions", None)
    return None if places is None else next(itertools.islice(places(), frame.f_lasti // 2, None))
