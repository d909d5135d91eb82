"""Loading the files of a plugins folder, and calling code of others that may do anything.

The files of a folder are modules of one package, so that a plugin finds its neighbours: as
``from . import helper``, as ``import helper``, and as the modules of bioimageit_core's own
``plugins``. Nothing else finds them, and two folders do not meet.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Generic, TypeVar

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, RunnerUnavailableError, ToolRunnerError, words
from napari_tool_runner.names import lies_in
from napari_tool_runner.plugins.foreign.children import listening
from napari_tool_runner.plugins.foreign.core import CORE, offered
from napari_tool_runner.plugins.process import Event, OutputLine
from napari_tool_runner.storage import short_digest

__all__ = [
    "LEADS_OUT",
    "LIMIT",
    "Called",
    "begin",
    "call",
    "forget_changed",
    "is_inside",
    "load_file",
    "make",
]

LIMIT = 20.0
"""Seconds that a plugin may take to load, or to make its service."""

LEADS_OUT = (
    "it is a link that leads out of its folder, which is all that plugin_dirs allows. Put the "
    "file itself there, or name the folder that it lies in."
)

_MOST = 20
_PREFIX = "napari_tool_runner_plugins_"
_T = TypeVar("_T")
_here = threading.local()
_lock = threading.Lock()
_making: dict[str, threading.Lock] = {}
_left: dict[Hashable, threading.Thread] = {}


class Called(Generic[_T]):
    """What came of a `call`.

    Parameters
    ----------
    value : object
        What it returned; none when it failed.
    problem : str
        Why it failed, in words; empty otherwise.
    error : BaseException or None
        What it raised.
    said : tuple of str
        Lines that it printed.
    """

    def __init__(self) -> None:
        self.value: list[_T] = []
        self.problem = ""
        self.error: BaseException | None = None
        self.said: tuple[str, ...] = ()


def is_inside() -> bool:
    """Whether the calling thread is one of `call`."""
    return getattr(_here, "inside", False)


def call(work: Callable[[], _T], config: Mapping[str, object], key: Hashable = None) -> Called[_T]:
    """Call code of others, which may raise anything, print, exit, or never return.

    It has a thread of its own: what hangs is left behind, and Ctrl+C is the caller's.
    `key`: while a call of the same key hangs, no other is made.
    """
    told: Called[_T] = Called()
    lines: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, OutputLine) and event.text.strip() and len(lines) < _MOST:
            lines.append(event.text)

    def run() -> None:
        _here.inside = True
        try:
            with offered(config), listening(hear):
                told.value.append(work())
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is the plugin's)
            told.error = error
            own = isinstance(error, ToolRunnerError)
            told.problem = (str(error) if own else words(error)).rstrip(".")

    if is_inside():
        run()
    else:
        thread = _left.get(key)  # one that hangs
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=run, name="plugin", daemon=True)
            thread.start()
            thread.join(LIMIT)
        if not (told.value or told.problem):
            if key is not None:
                _left[key] = thread
            told.problem = f"it does not come to an end; waited for {LIMIT:g} s"
    told.said = tuple(lines)
    return told


def make(
    name: str, builder: Callable[..., object], config: Mapping[str, object]
) -> tuple[object, tuple[str, ...]]:
    """Return what a builder of others makes, and what it printed.

    Raises
    ------
    RunnerUnavailableError
        It did something else instead.
    """
    with _lock:
        making = _making.setdefault(name, threading.Lock())
    if not making.acquire(timeout=LIMIT):  # one at a time, as the tutorial's builders expect
        raise RunnerUnavailableError(f"The runner service {name} is still being made.")
    try:
        made = call(lambda: builder(**config), {"runner": config})
    finally:
        making.release()
    if made.problem:
        raise RunnerUnavailableError(
            f"The runner service {name} could not be made: {made.problem}."
        ) from made.error
    return made.value[0], made.said


# -- the files of a folder -------------------------------------------------------------


def load_file(path: Path, around: Callable[[Path], AbstractContextManager[object]]) -> ModuleType:
    """Load a file of a plugins folder, unless a neighbour has since `begin`; raises its errors.

    Parameters
    ----------
    path : Path
    around : callable
        Gives what surrounds the run of each file of the folder, by its path.
    """
    _finder.around = around
    name = f"{_package(path.parent)}.{path.stem}"
    if name not in _finder.fresh:
        sys.modules.pop(name, None)
    return importlib.import_module(name)


def begin() -> None:
    """Begin to load: files that are met from now on are loaded once."""
    _finder.fresh.clear()
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def forget_changed(folder: Path) -> bool:
    """Forget the modules of `folder` when a neighbour's text has changed; say whether."""
    package = _package(folder)
    inside = [name for name in list(sys.modules) if name.startswith(f"{package}.")]
    for name in inside:
        source = getattr(getattr(sys.modules[name], "__spec__", None), "loader", None)
        if isinstance(source, _Source) and source.has_changed():
            for one in inside:
                del sys.modules[one]
            return True
    return False


def _package(folder: Path) -> str:
    name = _PREFIX + short_digest(str(folder).encode())[:12]
    if name not in sys.modules:
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
    return name


class _Finder(MetaPathFinder):
    """Finds the modules of the packages that stand for plugins folders."""

    def __init__(self) -> None:
        self.around: Callable[[Path], AbstractContextManager[object]] = nullcontext
        self.fresh: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX) or path is None:
            return None
        kinds = (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Source, SOURCE_SUFFIXES)
        found = (FileFinder(place, *kinds).find_spec(fullname) for place in path)
        spec = next(filter(None, found), None)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is not None and not any(lies_in(origin, Path(place)) for place in path):
            raise ImportError(f"{origin}: {LEADS_OUT}", name=fullname, path=str(origin))
        return spec


_finder = _Finder()


class _Source(SourceFileLoader):
    """Runs the text of a file, with an ``import`` that knows its neighbours."""

    def get_code(self, fullname: str) -> CodeType:
        # never a compiled copy: one of the same second and size may be of other text
        self.source = self.get_data(self.path)
        return compile(self.source, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _importer(package)}
        _finder.fresh.add(module.__name__)
        with _finder.around(Path(self.path)):
            super().exec_module(module)
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                _with_job_id(value)

    def has_changed(self) -> bool:
        """Whether its file has another text now."""
        try:
            return sealed.read_bytes(Path(self.path)) != self.source
        except (OSError, OutputError):
            return True


def _with_job_id(service: type) -> None:
    """Let ``job_id`` be left out: their CONDA wants it, their CONDA_DOCKER does not give it."""
    for name in ("set_up", "exec", "tear_down"):
        method = vars(service).get(name)
        if isinstance(method, FunctionType) and not method.__defaults__:
            code = method.__code__
            if code.co_argcount and code.co_varnames[code.co_argcount - 1] == "job_id":
                method.__defaults__ = (0,)


def _importer(package: str) -> Callable[..., object]:
    """Return an ``__import__`` that finds the modules of `package` by their bare names."""
    (folder,) = map(Path, sys.modules[package].__path__)

    def is_neighbour(name: str) -> bool:
        first = name.partition(".")[0]
        if not first or first in sys.stdlib_module_names:
            return False
        return any((folder / one).is_file() for one in (f"{first}.py", f"{first}/__init__.py"))

    def find(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        inner = name
        if name.startswith(
            tuple(f"{one}." for one in CORE)
        ):  # bioimageit_core.plugins.runner_conda
            inner = name.split(".", 2)[-1] if name.count(".") > 1 else ""
            if not inner and fromlist and all(map(is_neighbour, fromlist)):
                for one in fromlist:
                    importlib.import_module(f"{package}.{one}")
                return sys.modules[package]
        if level or not is_neighbour(inner):
            found = builtins.__import__(name, globals, locals, fromlist or (), level)
            return own_importlib if found is importlib else found
        module = importlib.import_module(f"{package}.{inner}")
        if fromlist:
            for one in fromlist if hasattr(module, "__path__") else ():
                if not hasattr(module, one):
                    _import_quietly(f"{module.__name__}.{one}")
            return module
        if inner == name:
            return sys.modules[f"{package}.{name.partition('.')[0]}"]
        place, own = name.split(".")[1], inner.partition(".")[0]
        inside = SimpleNamespace(**{own: sys.modules[f"{package}.{own}"]})
        return SimpleNamespace(**{place: inside})

    def import_module(name: str, package: str | None = None) -> object:
        if name.startswith("."):
            return importlib.import_module(name, package)
        return find(name, fromlist=("__name__",))

    own_importlib = _Importlib(importlib.__name__, importlib.__doc__)
    vars(own_importlib).update(import_module=import_module)
    return find


class _Importlib(ModuleType):
    """``importlib`` for plugins: its ``import_module`` knows their neighbours."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib, name)


def _import_quietly(name: str) -> None:
    """Import a part of a package that may as well be none: then who asks for it is told."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
