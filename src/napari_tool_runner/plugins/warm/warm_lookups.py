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
from collections.abc import Container, Generator, Iterator
from types import FrameType
from typing import Any

_IS_PROGRAM = ast.dump(ast.parse("__name__ == '__main__'", mode="eval").body)


class Lookups:
    """Tells at which step of its begin a program is, before which it has done nothing else.

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
        imports = [found for one in begin for found in _imports_in(one, maybe=False)]
        self._maybe = {one for one, maybe in imports if maybe}
        self._begin = [one for one, _ in imports]
        rest_of_it = _in_order(rest, set().union(*map(_names_of, begin)))
        self._steps: list[ast.stmt | ast.expr] = [*self._begin, *rest_of_it]
        self._texts: dict[ast.stmt | ast.expr, str] = {}
        """What was looked up in which module."""

    def at(self, frame: FrameType) -> int | None:
        """Return the number of the step that `frame` is at; None where it does something else."""
        line, place = frame.f_lineno, _place(frame)
        if line <= self._end:
            begin = enumerate(self._begin)
            here = [(n, one) for n, one in begin if one.lineno <= line <= (one.end_lineno or 0)]
            alone = len(here) == 1 or all(isinstance(one, ast.Import) for _, one in here)
            return here[-1][0] if here and alone else None
        first = len(self._begin)
        with contextlib.suppress(LookupError, TypeError):  # a package may have done anything
            for number, one in enumerate(self._steps[first:], first):
                is_here = place == (one.lineno, one.end_lineno, one.col_offset, one.end_col_offset)
                if isinstance(one, ast.expr) and one not in self._texts:
                    self._texts[one] = self._text(one, is_answered=not is_here)
                if is_here:
                    return number
        return None

    def told(self, brought: Container[int], last: int) -> Iterator[tuple[str, str]]:
        """Yield what the steps until `last` are, with ``?`` before those that maybe were not done.

        `brought` are those that brought modules; after one that did and failed, none follows.
        """
        for number, one in enumerate(self._steps[: last + 1]):
            if isinstance(one, ast.Import):
                found = list(_imported(one))
            elif isinstance(one, ast.ImportFrom):
                found = list(_taken_from(one, str(self._main.get("__package__") or "")))
            else:
                found = [("+", self._texts[one])]
            if one in self._maybe and number not in brought:
                found = [("?", text) for _, text in found]
            elif one in self._maybe and not all(_is_there(text) for _, text in found):
                return
            yield from (step for step in found if step[1])

    def _text(self, one: ast.expr, *, is_answered: bool) -> str:
        """Return what an expression looks up, as ``module:name``; empty for words of a command."""
        if is_answered:
            self._value(one)
        if isinstance(one, ast.Attribute):
            holder = self._value(one.value)
            name = str(getattr(holder, "__name__", ""))
            if sys.modules.get(name) is not holder:
                raise LookupError
            return "" if (name, one.attr) == ("sys", "argv") else f"{name}:{one.attr}"
        return ""

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
            if holder is sys.argv:  # others could be changed by what is imported later
                return holder[ast.literal_eval(one.slice)]
        raise LookupError


def is_literal(value: ast.expr) -> bool:
    """Whether an expression is made of constants."""
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _imports_in(one: ast.stmt, *, maybe: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield the imports of a statement at the begin, and whether it may leave them out."""
    if isinstance(one, (ast.Import, ast.ImportFrom)):
        yield one, maybe
    elif isinstance(one, ast.If):  # of type checkers
        for part in one.orelse:
            yield from _imports_in(part, maybe=maybe)
    elif isinstance(one, ast.Try):
        handled = [part for handler in one.handlers for part in handler.body]
        for part in (*one.body, *handled, *one.orelse, *one.finalbody):
            yield from _imports_in(part, maybe=True)


def _is_there(step: str) -> bool:
    """Whether a step that was maybe done did not fail."""
    place, _, names = step.partition("::")
    held = getattr(sys.modules.get(place), "__dict__", None)
    return held is not None and ({*names.split(",")} <= held.keys() or names in ("", "*"))


def _imported(one: ast.Import) -> Iterator[tuple[str, str]]:
    for part in one.names:
        yield "+", part.name
        place, _, name = part.name.rpartition(".")
        if part.asname and place:
            yield "?", f"{place}::{name}"


def _taken_from(one: ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    place = one.module or ""
    if one.level:
        parents = package.split(".")
        place = ".".join([*parents[: len(parents) - one.level + 1], *filter(None, [place])])
    names = ",".join(part.name for part in one.names)
    if names == "*":
        yield "+", place
    yield "?" if names == "*" else "+", f"{place}::{names}"


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
