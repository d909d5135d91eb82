"""Which imports of a program stand before all that it does.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. An import may
read whatever was done before it. So only those are done ahead that stand at the begin of the
program's file, before it does anything else, and what they import; so are lookups in modules.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
from importlib.machinery import ModuleSpec
from types import FrameType
from typing import Any

from warm_imports import origin_of  # type: ignore[import-not-found]
from warm_lookups import Lookups, is_literal  # type: ignore[import-not-found]


class Leading:
    """Notes which modules the begin of a program imports; it stands first among the finders.

    Parameters
    ----------
    places : tuple of str
        Folders of what is installed.
    own : tuple of str
        Folders of the program, maybe below those.
    text : str
        The program, where it has no file.
    """

    def __init__(self, places: tuple[str, ...], own: tuple[str, ...], text: str) -> None:
        self._places, self._own = places, own
        self._main = sys.modules["__main__"].__dict__
        self._files = {"<string>": self._read(text)}
        self._found: dict[str, tuple[int, str]] = {}
        """Names of modules with the program's line, and what it looks up there."""
        self._goes_on, self._begun = True, False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a module as all others do, and note it."""
        spec = None
        for finder in tuple(sys.meta_path):
            find = getattr(finder, "find_spec", None)
            if finder is not self and find is not None:
                spec = find(name, path, target)
                if spec is not None:
                    break
        if self._goes_on:
            where = self._where(sys._getframe(1))
            origin = getattr(spec, "origin", None) or ""
            self._goes_on = where is not None and not self._is_own(origin)
            if where is not None:
                if name not in sys.modules:  # somebody only asks for it
                    self._found[name] = where
                if not self._goes_on:  # whatever asks for it imports what is the program's own
                    found = self._found.items()
                    self._found = {one: at for one, at in found if at[0] < where[0]}
            if not self._goes_on:
                sys.meta_path.remove(self)  # all others were asked
        return spec

    def told(self) -> str:
        """Return the modules with their files; those that can be imported ahead are marked.

        What is looked up stands, so marked, before the modules that this brings (``=``).
        """
        lines, looked_up = [], {""}
        for name, module in list(sys.modules.items()):
            origin = origin_of(module)
            named = getattr(getattr(module, "__spec__", None), "name", "") == name
            _, lookup = self._found.get(name, (0, ""))
            if lookup not in looked_up:
                looked_up.add(lookup)
                lines.append(f"+\t{lookup}\t")
            leads = name in self._found and named and origin and not self._is_own(origin)
            mark = ("=" if lookup else "+") if leads else "-"
            if not {"\n", "\t"} & {*name, *origin}:
                lines.append(f"{mark}\t{name}\t{origin}")
        return "\n".join(lines)

    def _is_own(self, origin: str) -> bool:
        installed = origin.startswith(self._places) and not origin.startswith(self._own)
        return os.path.isabs(origin) and not installed

    def _where(self, frame: FrameType | None) -> tuple[int, str] | None:
        """Return the program's line at which its begin is, and what is looked up there.

        The line is 0 before its begin; None is after it.
        """
        lines, lookup = [], ""
        while frame is not None:
            code = frame.f_code
            if frame.f_globals is self._main:
                found = self._of_file(code.co_filename).at(frame)
                if code.co_name != "<module>" or found is None:
                    return None
                lines.append(frame.f_lineno)
                lookup = lookup or found
            frame = frame.f_back
        if not lines and self._begun:
            return None  # a thread
        self._begun = bool(lines)
        return max(lines, default=0), lookup

    def _of_file(self, file: str) -> Lookups:
        if file not in self._files:
            self._files[file] = Lookups(0, [], [], self._main)  # where it cannot be read
            with contextlib.suppress(OSError), open(file, "rb") as source:
                self._files[file] = self._read(source.read())
        return self._files[file]

    def _read(self, source: str | bytes) -> Lookups:
        return Lookups(*split(source), self._main)


def split(source: str | bytes) -> tuple[int, list[ast.stmt], list[ast.stmt]]:
    """Return the last line before which a program does nothing but import; 0 when it is none.

    Constants may stand between, and imports that are tried or are for type checkers. Besides, its
    statements until there are returned, and those after it.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0, [], []
    for number, one in enumerate(body):
        if not _only_imports(one):
            decorators: list[ast.expr] = getattr(one, "decorator_list", [])
            line = min([one.lineno, *(part.lineno for part in decorators)]) - 1
            return line, body[:number], body[number:]
    return sys.maxsize, body, []


def _only_imports(one: ast.stmt) -> bool:
    if isinstance(one, ast.Try):
        handled = [inner for handler in one.handlers for inner in handler.body]
        return all(map(_only_imports, (*one.body, *handled, *one.orelse, *one.finalbody)))
    if isinstance(one, ast.If):
        name = getattr(one.test, "id", None) or getattr(one.test, "attr", None)
        return name == "TYPE_CHECKING" and all(map(_only_imports, (*one.body, *one.orelse)))
    if isinstance(one, ast.Assign):
        names = all(isinstance(target, ast.Name) for target in one.targets)
        return names and is_literal(one.value)
    told = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    return told or isinstance(one, (ast.Import, ast.ImportFrom, ast.Pass))
