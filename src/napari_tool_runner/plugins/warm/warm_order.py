"""What a program does before it imports, as far as its text says.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. A program can
change anything that a package reads when it is imported. Imports that follow such an act are not
done ahead, whether the act was done this time or not.
"""

from __future__ import annotations

import ast
import os
import sys
import types
from collections.abc import Iterator
from typing import NamedTuple

from warm_imports import origin_of  # type: ignore[import-not-found]

# calls for their effect outside of this process, or on what a program has made itself
_HARMLESS = (
    *("print", "exit", "write", "save", "imwrite", "imsave", "dump", "to_", "mkdir", "makedirs"),
    *("close", "flush", "error", "add_", "append", "extend", "sort", "parse_"),
)
_CHANGING = (
    *("set", "use", "conf", "register", "enable", "disable", "init", "patch", "install", "seed"),
    *("chdir", "putenv", "unsetenv", "reload", "insert", "spec_from", "exec_module", "run_path"),
    *("run_module", "getcontext", "localcontext", "errstate", "catch_warnings"),
)
_MEANS = {"exec", "eval", "setattr", "delattr", "__import__", "globals", "vars", "compile"}
_STATES = {"environ", "modules", "meta_path", "path_hooks", "__dict__"}
_HERE = os.path.join(os.path.dirname(__file__), "")
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class _Act(NamedTuple):
    """What may change something: lines, and the function that it is in (its name and line)."""

    first: int
    last: int
    function: tuple[str, int]
    loop: tuple[int, int]


class Order:
    """Whether nothing but imports was done so far.

    Parameters
    ----------
    places : tuple of str
        Folders of what is installed.
    own : tuple of str
        Folders of the program, maybe below those.
    text : str, optional
        The program, where it has no file.
    """

    def __init__(self, places: tuple[str, ...], own: tuple[str, ...], text: str = "") -> None:
        self._places, self._own = places, own
        self._acts = {"<string>": _acts_of(text, strict=False)}
        self._begun, self._last = False, ""
        self._modules: set[str] = set()

    def is_unchanged(self, frame: types.FrameType | None, name: str) -> bool:
        """Whether `name`, which `frame` imports, would be the same at the program's begin."""
        origin = origin_of(sys.modules.get(self._last, sys))
        if self._is_own(origin):
            self._modules.add(origin)
        self._last = name
        main = sys.modules["__main__"].__dict__
        at: dict[tuple[str, str, int], int] = {}
        seen = False
        while frame is not None:
            code = frame.f_code
            if frame.f_globals is main or self._is_own(code.co_filename):
                name = "" if code.co_name == "<module>" else code.co_name
                at[code.co_filename, name, code.co_firstlineno if name else 0] = frame.f_lineno
            seen = seen or frame.f_globals is main
            frame = frame.f_back
        if self._begun and not seen:
            return False  # a thread, or the end
        self._begun = self._begun or seen
        files = self._modules.union(file for file, _, _ in at)
        return all(self._has_begun_only(file, at) for file in files)

    def _is_own(self, file: str) -> bool:
        inside = file.startswith(self._places) and not file.startswith(self._own)
        return file[:1] not in ("", "<") and not inside and not file.startswith(_HERE)

    def _has_begun_only(self, file: str, at: dict[tuple[str, str, int], int]) -> bool:
        if file not in self._acts:
            try:
                with open(file, "rb") as source:
                    self._acts[file] = _acts_of(source.read(), strict=not self._is_own(file))
            except OSError:
                return False
        acts = self._acts[file]
        if acts is None:
            return False
        for act in acts:
            line = at.get((file, *act.function), 0)
            if line > act.last or act.loop[0] <= line <= act.loop[1] or not line:
                return False
        return True


def _acts_of(source: str | bytes, *, strict: bool) -> list[_Act] | None:
    """Return the acts of a source; None where they cannot be told."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return list(_Acts(tree, strict=strict).found())


def _imported(tree: ast.AST) -> set[str]:
    """Return the names that are modules, or come from some."""
    found = set()
    for one in ast.walk(tree):
        if isinstance(one, (ast.Import, ast.ImportFrom)):
            found |= {(name.asname or name.name).partition(".")[0] for name in one.names}
    return found


class _Acts:
    """Looks for acts.

    Parameters
    ----------
    strict : bool
        The program is installed: whatever it calls is, too, and may do anything.
    """

    def __init__(self, tree: ast.AST, *, strict: bool) -> None:
        self._tree, self._names, self._strict = tree, _imported(tree), strict
        self._used: dict[str, int] = {}
        loops = [one for one in ast.walk(tree) if isinstance(one, _LOOPS)]
        for one in (used for part in (tree, *loops) for used in ast.walk(part)):
            name = getattr(one, "id", None) or getattr(one, "attr", None)
            if isinstance(name, str):
                self._used[name] = self._used.get(name, 0) + 1
        starts = [one.lineno for one in ast.walk(tree) if isinstance(one, ast.stmt)]
        self._shared = {one for one in starts if starts.count(one) > 1}

    def found(self) -> Iterator[_Act]:
        yield from self._below(self._tree, ("", 0), (0, 0), 0)

    def _below(
        self, node: ast.AST, function: tuple[str, int], loop: tuple[int, int], line: int
    ) -> Iterator[_Act]:
        for one in ast.iter_child_nodes(node):
            within, around = function, loop
            line = getattr(one, "lineno", line)
            if isinstance(one, _FUNCTIONS):
                # of one that is called several times, all was done before
                name = getattr(one, "name", "<lambda>")
                first = min([one.lineno, *(d.lineno for d in getattr(one, "decorator_list", ()))])
                within = (name, first) if self._used.get(name, 0) == 1 else ("?", 0)
                around = (0, 0)
            elif isinstance(one, _LOOPS):
                around = loop if loop[1] else (one.lineno, one.end_lineno or one.lineno)
            if self._changes(one):
                first, last = line, getattr(one, "end_lineno", None) or line
                # an import in an act comes before it, unless which is first cannot be told
                last = first - 1 if self._strict or first in self._shared else last
                yield _Act(first, last, function, loop)
            yield from self._below(one, within, around, line)

    def _changes(self, node: ast.AST) -> bool:
        """Whether a statement or expression may change what is not the program's."""
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = _last_name(node.value.func)
            return self._is_of_others(node.value.func) and not name.startswith(_HARMLESS)
        if isinstance(node, ast.Call):
            name = _last_name(node.func)
            other = self._is_of_others(node.func)
            return other and (self._strict or name.lower().startswith(_CHANGING))
        if isinstance(node, ast.Attribute):
            stored = not isinstance(node.ctx, ast.Load)
            return (stored and _root(node) not in ("self", "cls")) or node.attr in _STATES
        if isinstance(node, ast.Subscript):
            return not isinstance(node.ctx, ast.Load) and self._is_of_others(node)
        return isinstance(node, ast.Name) and node.id in _MEANS

    def _is_of_others(self, node: ast.AST) -> bool:
        return _root(node) in self._names


def _root(node: ast.AST) -> str:
    """Return the name at the begin of ``name.other[0]().more``."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
