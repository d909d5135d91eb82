"""Finding runner services that others wrote: plugin folders and entry points.

An error in one plugin is kept (`plugin_problems`) and told; it never hides the others.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from napari_tool_runner import settings
from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.entry_points import entry_points_of
from napari_tool_runner.errors import OutputError
from napari_tool_runner.names import lies_in, real_path
from napari_tool_runner.sealed import read_bytes
from napari_tool_runner.storage import short_digest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "Builder",
    "PluginProblem",
    "keep_printed",
    "load_entry_points",
    "load_plugin_dirs",
    "loading",
    "plugin_folders",
    "plugin_notes",
    "plugin_problems",
    "registering",
]

Builder: TypeAlias = Callable[..., object]

ENTRY_POINT_GROUP = "napari_tool_runner.runners"

_log = logging.getLogger(__name__)
_problems: dict[str, PluginProblem] = {}
_printed: dict[str, tuple[str, ...]] = {}
_registered: dict[Path, set[str]] = {}
_lock = threading.RLock()
_here = threading.local()


class Registry(Protocol):
    """Where builders are registered by name: ``runnerServices``."""

    loaded: dict[Path, str]

    def register_builder(self, key: str, builder: Builder) -> None:
        """Register `builder` under `key`."""

    def replaced(self, config: Mapping[str, object]) -> dict[str, str]:
        """Return name -> sentence for each service that ships whose name a plugin took."""


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


def keep_printed(where: str, lines: tuple[str, ...]) -> None:
    """Keep what a plugin file printed when it was loaded, or a service when it was made."""
    if lines:
        with _lock:
            _printed[where] = lines


def plugin_notes(
    provider: Registry, config: Mapping[str, object], service: str = ""
) -> tuple[str, ...]:
    """Return what is worth knowing of the plugins of a ``runner`` section, in sentences.

    Which cannot be used, what they printed, and which names of ours they took (of `service`
    alone, when it is named).
    """
    folders = settings.PLUGIN_DIRS.of(config)
    if not folders:
        return ()
    found = [str(problem) for problem in load_plugin_dirs(folders, provider, config)]
    places = {str(folder) for folder in plugin_folders(folders)}
    with _lock:
        printed = dict(_printed)
    for where, lines in printed.items():
        if os.path.dirname(where) in places or (os.sep not in where and service in ("", where)):
            found.append(f"Runner plugin {where} printed: {' / '.join(lines)}")
    taken = provider.replaced(config).items()
    return (*found, *(told for name, told in taken if service in ("", name)))


def registering(key: str) -> Path | None:
    """Return the plugin file that is being loaded in this thread, which registers `key`."""
    path: Path | None = getattr(_here, "path", None)
    if path is not None:
        _registered.setdefault(path, set()).add(key)
    return path


def load_plugin_dirs(
    folders: object, provider: Registry, config: Mapping[str, object] | None = None
) -> tuple[PluginProblem, ...]:
    """Load every ``runner_*.py`` of `folders`; each registers its service itself.

    A file is loaded once, and again when its text, or that of a neighbour that it imports,
    has changed. A file that registers nothing but holds a class ``…RunnerServiceBuilder`` is
    registered under the name of the file (``runner_name.py`` → ``NAME``), so that a service
    and its builder as the tutorial writes them are enough. In a folder without any,
    ``service_*.py`` count, as bioimageit_core called them once.

    Parameters
    ----------
    folders : None, str, Path or iterable of them
        Folders, as ``plugin_dirs`` of the configuration names them.
    provider : RunnerServiceProvider
    config : mapping, optional
        The ``runner`` section of the configuration, for plugins that read it.

    Returns
    -------
    tuple of PluginProblem
        What could not be loaded from these folders.
    """
    met: list[PluginProblem] = []
    with loading():
        for folder in plugin_folders(folders):
            if not folder.is_dir():
                met.append(_tell(str(folder), "this folder of plugin_dirs does not exist."))
            elif paths := [*folder.glob("runner_*.py")] or [*folder.glob("service_*.py")]:
                met += _load_folder(folder, sorted(paths), provider, config or {})
            else:
                met.append(_tell(str(folder), "there is no runner_*.py in this folder."))
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
    for entry in found if found is not None else entry_points_of(ENTRY_POINT_GROUP):
        from napari_tool_runner.plugins.foreign.loading import call

        where = f"{entry.name} = {entry.value}"
        made = call(partial(_load_entry_point, entry, provider), {})
        if made.problem:
            met.append(_tell(where, f"could not be loaded ({made.problem})."))
            continue
        with _lock:
            _problems.pop(where, None)
    return tuple(met)


def _load_entry_point(entry: EntryPoint, provider: Registry) -> None:
    _register(entry.name, entry.load(), provider)


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


@contextmanager
def loading() -> Iterator[None]:
    """One at a time; a plugin may ask for a service while it is loaded itself."""
    from napari_tool_runner.plugins.foreign.loading import begin, is_inside

    with nullcontext() if is_inside() else _lock:
        begin()
        yield


def _load_folder(
    folder: Path, paths: list[Path], provider: Registry, config: Mapping[str, object]
) -> Iterator[PluginProblem]:
    from napari_tool_runner.plugins.foreign.loading import forget_changed

    if forget_changed(folder):
        for known in [path for path in provider.loaded if path.parent == folder]:
            del provider.loaded[known]
    for path in paths:
        problem = _load_file(path, provider, config)
        if problem is not None:
            yield problem


def _load_file(
    path: Path, provider: Registry, config: Mapping[str, object]
) -> PluginProblem | None:
    from napari_tool_runner.plugins.foreign.loading import LEADS_OUT, call, load_file

    if not lies_in(path, path.parent):
        return _tell(str(path), LEADS_OUT)
    try:
        digest = short_digest(read_bytes(path))
    except OSError as error:
        return _tell(str(path), f"cannot be read ({error.strerror or error}).")
    except OutputError as error:
        return _tell(str(path), f"cannot be read ({error.message.rstrip('.')}).")
    if provider.loaded.get(path) == digest:
        return _problems.get(str(path))
    provider.loaded[path] = digest

    def load() -> None:
        names = vars(load_file(path, _of_file))
        if not _registered.get(path):
            _register_by_convention(path, names, provider)

    made = call(load, {"runner": config})
    keep_printed(str(path), made.said)
    if made.problem:
        return _tell(str(path), f"could not be loaded ({made.problem}).{_advice(made.error)}")
    _problems.pop(str(path), None)
    return None


@contextmanager
def _of_file(path: Path) -> Iterator[None]:
    """Know, while a plugin file runs, that what is registered is its own."""
    outer = getattr(_here, "path", None)
    _here.path = path
    _registered.pop(path, None)
    try:
        yield
    finally:
        _here.path = outer


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
    key = path.stem.partition("_")[2].upper()
    made: Any = builders[0]()
    _here.path = path
    try:
        # CONDA_DOCKER is in runner_condadocker.py
        for name in {key, *(own for own in settings.OWN_SERVICES if own.replace("_", "") == key)}:
            provider.register_builder(name, made)
    finally:
        _here.path = None
    _log.info("%s registers no service itself; %s is now %s", path, builders[0].__name__, key)


def plugin_folders(value: object) -> list[Path]:
    """Return the folders that ``plugin_dirs`` names, and where links to them lead."""
    if value is None:
        return []
    if isinstance(value, str | Path):
        value = [value]
    if not isinstance(value, Iterable):
        return []
    return [real_path(Path(os.path.expanduser(str(entry)))) for entry in value]


def _tell(where: str, what: str) -> PluginProblem:
    problem = PluginProblem(where, what)
    with _lock:
        _problems[where] = problem
    _log.warning("%s", problem)
    return problem


def _advice(error: BaseException | None) -> str:
    if isinstance(error, ImportError) and (error.name or "").startswith("bioimageit"):
        return (
            " Import runnerServices from napari_tool_runner.plugins.runners_factory and Tool "
            "from napari_tool_runner.tools instead."
        )
    return ""
