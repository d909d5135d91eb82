"""Finding runner services that others wrote: plugin folders and entry points.

An error in one plugin is kept (`plugin_problems`) and told; it never hides the others.
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from napari_tool_runner.plugins.contract import words
from napari_tool_runner.storage import short_digest

__all__ = ["Builder", "PluginProblem", "load_entry_points", "load_plugin_dirs", "plugin_problems"]

Builder: TypeAlias = Callable[..., object]

ENTRY_POINT_GROUP = "napari_tool_runner.runners"

_log = logging.getLogger(__name__)
_problems: dict[str, PluginProblem] = {}
# a plugin may register from its own import: the same thread comes back here
_lock = threading.RLock()


class Registry(Protocol):
    """Where builders are registered by name: ``runnerServices``."""

    loaded: dict[Path, str]

    def register_builder(self, key: str, builder: Builder) -> None:
        """Register `builder` under `key`."""

    def builders(self) -> Mapping[str, Builder]:
        """Return what is registered now, by name."""


@dataclass(frozen=True, slots=True)
class PluginProblem:
    """A plugin that could not be loaded. `where`: its file or entry point."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"Runner plugin {self.where}: {self.what}"


def plugin_problems() -> tuple[PluginProblem, ...]:
    """Return what went wrong with the plugins met so far in this session."""
    with _lock:
        return tuple(_problems.values())


def load_plugin_dirs(folders: object, provider: Registry) -> tuple[PluginProblem, ...]:
    """Load every ``runner_*.py`` of `folders`; each registers its service itself.

    A file is loaded once, and again when its text has changed. A file that registers
    nothing but holds a class ``…RunnerServiceBuilder`` is registered under the name of
    the file (``runner_name.py`` → ``NAME``), so that a service and its builder as the
    tutorial writes them are enough.

    Parameters
    ----------
    folders : None, str, Path or iterable of them
        Folders, as ``plugin_dirs`` of the configuration names them.
    provider : RunnerServiceProvider

    Returns
    -------
    tuple of PluginProblem
        What could not be loaded from these folders.
    """
    met: list[PluginProblem] = []
    for folder in _folders(folders):
        if not folder.is_dir():
            met.append(_tell(str(folder), "this folder of plugin_dirs does not exist."))
            continue
        for path in sorted(folder.glob("runner_*.py")):
            problem = _load_file(path.resolve(), provider)
            if problem is not None:
                met.append(problem)
    return tuple(met)


def load_entry_points(
    provider: Registry, found: Iterable[EntryPoint] | None = None
) -> tuple[PluginProblem, ...]:
    """Register the services of installed packages (group ``napari_tool_runner.runners``).

    The value of an entry point is a module that registers when it is imported; a builder
    (a class, or anything callable that takes the configuration as keyword arguments),
    registered under the entry point's name; or a function that takes nothing, or the
    provider, and registers by itself.
    """
    met: list[PluginProblem] = []
    for entry in found if found is not None else entry_points(group=ENTRY_POINT_GROUP):
        where = f"{entry.name} = {entry.value}"
        try:
            _register(entry.name, entry.load(), provider)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (foreign code may raise anything)
            met.append(_tell(where, f"could not be loaded ({words(error)})."))
        else:
            with _lock:
                _problems.pop(where, None)
    return tuple(met)


def _register(name: str, value: Any, provider: Registry) -> None:
    if inspect.ismodule(value):
        return  # importing it was what registers, as with the tutorial's files
    if inspect.isclass(value):
        value = value()
    if not callable(value):
        raise TypeError(f"its value is no builder: {value!r}")
    if inspect.isroutine(value):
        parameters = inspect.signature(value).parameters.values()
        if not any(entry.kind is entry.VAR_KEYWORD for entry in parameters):
            needed = [entry for entry in parameters if entry.default is entry.empty]
            value(*([provider] if needed else []))
            return
    provider.register_builder(name, value)


def _load_file(path: Path, provider: Registry) -> PluginProblem | None:
    with _lock:
        try:
            source = path.read_bytes()
        except OSError as error:
            return _tell(str(path), f"cannot be read ({error.strerror or error}).")
        digest = short_digest(source)
        if provider.loaded.get(path) == digest:
            return _problems.get(str(path))
        provider.loaded[path] = digest
        before = provider.builders()
        name = f"napari_tool_runner_plugin_{digest[:12]}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        # classes of the plugin must find their module (dataclasses, pickle)
        sys.modules[name] = module
        try:
            # never a compiled copy: one of the same second and size may be of other text
            exec(compile(source, path, "exec"), vars(module))  # noqa: S102 (a plugin is code)
            if provider.builders() == before:
                _register_by_convention(path, vars(module), provider)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (foreign code may raise anything)
            del sys.modules[name]
            return _tell(str(path), f"could not be loaded ({words(error)}).{_advice(error)}")
        _problems.pop(str(path), None)
        return None


def _register_by_convention(path: Path, names: dict[str, Any], provider: Registry) -> None:
    builders = [
        value
        for name, value in names.items()
        if name.endswith("ServiceBuilder")
        and inspect.isclass(value)
        and value.__module__ == names["__name__"]
    ]
    if len(builders) != 1:
        raise LookupError(
            "it registers no service; it should end with "
            "runnerServices.register_builder('NAME', ItsServiceBuilder())"
        )
    key = path.stem.removeprefix("runner_").upper()
    made: Any = builders[0]()
    provider.register_builder(key, made)
    _log.info("%s registers no service itself; %s is now %s", path, builders[0].__name__, key)


def _folders(value: object) -> list[Path]:
    if value is None:
        return []
    if isinstance(value, str | Path):
        value = [value]
    if not isinstance(value, Iterable):
        return []
    return [Path(os.path.expanduser(str(entry))) for entry in value]


def _tell(where: str, what: str) -> PluginProblem:
    problem = PluginProblem(where, what)
    with _lock:
        _problems[where] = problem
    _log.warning("%s", problem)
    return problem


def _advice(error: BaseException) -> str:
    if isinstance(error, ImportError) and (error.name or "").startswith("bioimageit"):
        return (
            " Import runnerServices from napari_tool_runner.plugins.runners_factory and Tool "
            "from napari_tool_runner.tools instead."
        )
    return ""
