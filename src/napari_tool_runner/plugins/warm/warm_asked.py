"""What packages ask for when they are imported ahead of a job that could answer.

It lies beside ``server.py``: with the standard library of any Python from 3.8 on. Files that they
look for are noted, and modules that they do not find. What belongs to a program alone (its words,
its own module, its number, what lies in its folders) is for nobody to ask ahead of it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, List  # noqa: UP035 (of Python 3.8)

_READS = ("open", "os.listdir", "os.scandir")
_RUNS = ("subprocess.Popen", "os.posix_spawn", "os.exec")
_LOOKING = ("stat", "lstat", "access")
_IMPORTING = ("importlib", "_frozen_importlib", "pkgutil", "zipimport")
_asked: list[str] = []
_getpid = os.getpid


class _Heard(List[str]):  # noqa: UP006 (Python 3.8)
    """A list that tells whether somebody asks for what is in it."""

    def _note(self, asks: FrameType) -> None:
        raise NotImplementedError

    def __getitem__(self, which: Any) -> Any:
        self._note(sys._getframe(1))
        return super().__getitem__(which)

    def __iter__(self) -> Iterator[str]:
        self._note(sys._getframe(1))
        return super().__iter__()

    def __len__(self) -> int:
        self._note(sys._getframe(1))
        return super().__len__()


class Words(_Heard):
    """The words of a command."""

    def _note(self, asks: FrameType) -> None:
        _asked.append("reads the words of the command")


class _Places(_Heard):
    """Where modules are looked for: in a program, first in its own folder.

    What imports does not count, since nothing in that folder is found by it.
    """

    def _note(self, asks: FrameType) -> None:
        if not str(asks.f_globals.get("__name__")).startswith(_IMPORTING):
            _asked.append("reads where modules are looked for")


class _Program(types.ModuleType):
    """Stands for ``__main__``."""

    def __getattribute__(self, name: str) -> Any:
        # `inspect` asks all modules for their files, and the program's again once it runs
        if name != "__file__" or sys._getframe(1).f_globals.get("__name__") != "inspect":
            _asked.append("looks at the program's own module")
        return super().__getattribute__(name)


class _Looking:
    """Stands for a function that looks for a file, as which it counts."""

    def __init__(self, real: Callable[..., Any], note: Callable[[object], None]) -> None:
        self._real, self._note = real, note

    def __call__(self, path: Any, *args: Any, **more: Any) -> Any:
        self._note(path)
        return self._real(path, *args, **more)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._real

    def __hash__(self) -> int:
        return hash(self._real)


class _Missing:
    """Notes modules that no finder has found; it is the last of them."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, *_: object) -> None:
        if "." not in name:
            self.names.add(name)


class Asked:
    """Hears what is asked for.

    Parameters
    ----------
    root, work : str
        The folder that stands for a job's, and the one below it that it works in.
    """

    def __init__(self, root: str, work: str) -> None:
        self._root, self._work = os.path.join(root, ""), work
        self.files: set[str] = set()
        """What was read, or looked for."""
        self.missing: set[str] = set()
        """Modules that do not exist."""
        self.aliases = ["__main__"]
        """Names of the program's own module: multiprocessing gives it another."""
        self._hears = False
        self._path: _Places | None = None
        self._places: tuple[str, ...] = ()

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Let stand-ins be in the places of what is asked."""
        sys.addaudithook(self._hear)
        missing = _Missing()
        words, main, path = sys.argv, sys.modules["__main__"], sys.path
        sys.argv = its_words = Words([os.path.join(self._root, "program")])
        sys.modules["__main__"] = its_main = _Program("__main__")
        sys.path = its_path = _Places(path)
        holders = [sys.getrefcount(one) for one in (its_words, its_main, its_path)]
        sys.meta_path.append(missing)
        real = {name: getattr(os, name) for name in (*_LOOKING, "getpid")}
        for name in _LOOKING:
            setattr(os, name, _Looking(real[name], self._look_for))
        setattr(os, "getpid", _noted_number)  # noqa: B010
        self._path, self._places = its_path, tuple(path)
        yield
        for name, function in real.items():
            setattr(os, name, function)
        sys.meta_path.remove(missing)
        self.aliases = [name for name, one in sys.modules.items() if one is its_main]
        sys.modules.update(dict.fromkeys(self.aliases, main))
        sys.argv = words
        self._note_path()
        sys.path, self._path = path, None
        now = [sys.getrefcount(one) + 1 for one in (its_words, its_main, its_path)]
        if holders != now:
            _asked.append("keeps the words of the command, or the program's own module")
        self.missing = missing.names - sys.modules.keys()

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Note what is asked for within."""
        self._hears = True
        yield
        self._hears = False

    def of_the_program(self) -> str:
        """Return what was asked that a program alone could answer; empty for nothing."""
        self._note_path()
        return _asked[0] if _asked else ""

    def _note_path(self) -> None:
        its = self._path
        if its is not None and (sys.path is not its or tuple(list.__iter__(its)) != self._places):
            _asked.append("changes where modules are looked for")

    def _look_for(self, path: Any) -> None:
        with contextlib.suppress(TypeError, ValueError):
            if self._hears:
                self.files.add(os.fsdecode(path))

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if self._hears and event in _RUNS:
            for word in (args[0], *(args[1] if isinstance(args[1], (list, tuple)) else ())):
                self._look_for(word)
        if not self._hears or event not in _READS or not args:
            return
        path = os.curdir if args[0] is None else args[0]
        if isinstance(path, (str, bytes)):
            name = os.fsdecode(path)
            self.files.add(name)
            place = os.path.normpath(os.path.join(self._work, name))
            if event != "open" and os.path.join(place, "").startswith(self._root):
                _asked.append("lists a folder of the job")


def _noted_number() -> int:
    _asked.append("notes the number of its process")
    return _getpid()
