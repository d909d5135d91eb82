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
from collections.abc import Iterator
from typing import Any, List  # noqa: UP035 (of Python 3.8)

_READS = ("open", "os.listdir", "os.scandir")
_LOOKING = ("genericpath", "posixpath", "pathlib")
_asked: list[str] = []
_getpid = os.getpid


class Words(List[str]):  # noqa: UP006 (Python 3.8)
    """Words of a command that tell whether somebody asks for them."""

    def __getitem__(self, which: Any) -> Any:
        _asked.append("reads the words of the command")
        return super().__getitem__(which)

    def __iter__(self) -> Iterator[str]:
        _asked.append("reads the words of the command")
        return super().__iter__()

    def __len__(self) -> int:
        _asked.append("reads the words of the command")
        return super().__len__()


class _Program(types.ModuleType):
    """Stands for ``__main__``."""

    def __getattribute__(self, name: str) -> Any:
        # `inspect` asks all modules for their files, and the program's again once it runs
        if name != "__file__" or sys._getframe(1).f_globals.get("__name__") != "inspect":
            _asked.append("looks at the program's own module")
        return super().__getattribute__(name)


class _Looking:
    """Stands for ``os`` where files are looked for, and notes which."""

    def __init__(self, read: set[str]) -> None:
        self._read = read

    def stat(self, path: Any, *args: Any, **more: Any) -> os.stat_result:
        self._note(path)
        return os.stat(path, *args, **more)

    def lstat(self, path: Any, *args: Any, **more: Any) -> os.stat_result:
        self._note(path)
        return os.lstat(path, *args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _note(self, path: Any) -> None:
        with contextlib.suppress(TypeError, ValueError):
            self._read.add(os.fsdecode(path))


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

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Let stand-ins be in the places of what is asked."""
        sys.addaudithook(self._hear)
        looking, missing = _Looking(self.files), _Missing()
        words, main = sys.argv, sys.modules["__main__"]
        sys.argv = its_words = Words([os.path.join(self._root, "program")])
        sys.modules["__main__"] = its_main = _Program("__main__")
        holders = sys.getrefcount(its_words), sys.getrefcount(its_main)
        sys.meta_path.append(missing)
        modules = [sys.modules[one] for one in _LOOKING if one in sys.modules]
        for module in modules:
            setattr(module, "os", looking)  # noqa: B010
        setattr(os, "getpid", _noted_number)  # noqa: B010
        yield
        setattr(os, "getpid", _getpid)  # noqa: B010
        for module in modules:
            setattr(module, "os", os)  # noqa: B010
        sys.meta_path.remove(missing)
        self.aliases = [name for name, one in sys.modules.items() if one is its_main]
        sys.modules.update(dict.fromkeys(self.aliases, main))
        sys.argv = words
        if holders != (sys.getrefcount(its_words) + 1, sys.getrefcount(its_main) + 1):
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
        return _asked[0] if _asked else ""

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
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
