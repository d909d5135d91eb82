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

_BEFORE = -1  # what a program's begin finds


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
        self._found: dict[str, int] = {}
        """Names of modules with the step of the program that brought them."""
        self._first: list[str] = []
        """What Python itself has imported before the program's begin."""
        self._program: Lookups | None = None
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
            where = self._where(sys._getframe(1), name)
            origin = getattr(spec, "origin", None) or ""
            self._goes_on = where is not None and not self._is_own(origin)
            if where is not None:
                if name not in sys.modules:  # somebody only asks for it
                    self._found[name] = where
                if not self._goes_on:  # whatever asks for it imports what is the program's own
                    found = self._found.items()
                    self._found = {one: at for one, at in found if at < where}
                    self._first = [one for one in self._first if one in self._found]
            if not self._goes_on:
                sys.meta_path.remove(self)  # all others were asked
        return spec

    def told(self) -> str:
        """Return the steps of the program's begin, and all modules with their files.

        Those that the steps bring are marked (``=``). What comes after the last step that brought
        one finds all as it is anyway.
        """
        lines = [f"+\t{one}\t" for one in self._first if one in sys.modules]
        brought = {at for name, at in self._found.items() if name in sys.modules}
        if self._program is not None:
            steps = self._program.told(brought, max(brought, default=_BEFORE))
            lines += [f"{mark}\t{step}\t" for mark, step in steps]
        for name, module in list(sys.modules.items()):
            origin = origin_of(module)
            named = getattr(getattr(module, "__spec__", None), "name", "") == name
            leads = name in self._found and named and origin and not self._is_own(origin)
            if not {"\n", "\t"} & {*name, *origin}:
                lines.append(f"{'=' if leads else '-'}\t{name}\t{origin}")
        return "\n".join(lines)

    def _is_own(self, origin: str) -> bool:
        installed = origin.startswith(self._places) and not origin.startswith(self._own)
        return os.path.isabs(origin) and not installed

    def _where(self, frame: FrameType | None, name: str) -> int | None:
        """Return at which step of its begin the program is; None is after it."""
        steps: list[int] = []
        outer = frame.f_back if frame is not None else None  # others only ask for it
        inner = outer is None or outer.f_code.co_name != "_find_and_load_unlocked"
        while frame is not None:
            code = frame.f_code
            if frame.f_globals is self._main:
                program = self._of_file(code.co_filename)
                step = program.at(frame)
                if code.co_name != "<module>" or step is None:
                    return None
                self._program = program
                steps.append(step)
            spec = frame.f_globals.get("__spec__")
            inner = inner or bool(getattr(spec, "_initializing", False))
            frame = frame.f_back
        if not steps and self._begun:
            return None  # a thread
        self._begun = bool(steps)
        if not steps and not inner:
            self._first.append(name)
        return max(steps, default=_BEFORE)

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
