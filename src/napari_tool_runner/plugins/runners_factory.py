"""The runner services by name (``runnerServices``), and which of them runs a tool.

A service of one's own is registered by one line::

    runnerServices.register_builder("NAME", MyRunnerServiceBuilder())

in a ``runner_*.py`` of a plugins folder (`napari_tool_runner.plugins.discovery`), or
through an entry point of the group ``napari_tool_runner.runners``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import names, settings
from napari_tool_runner.data_classes import dataclass, replace
from napari_tool_runner.errors import (
    RunnerError,
    RunnerUnavailableError,
    ToolRunnerError,
    UnknownRunnerError,
    words,
)
from napari_tool_runner.plugins.contract import Availability, RunnerService
from napari_tool_runner.plugins.discovery import (
    Builder,
    PluginProblem,
    keep_printed,
    load_entry_points,
    load_plugin_dirs,
    loading,
    plugin_folders,
    plugin_problems,
    registering,
)
from napari_tool_runner.tools.model import PackageRequirement, PythonRequirement

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = [
    "Choice",
    "ObjectFactory",
    "RunnerServiceProvider",
    "ServiceBuilder",
    "as_service",
    "availability",
    "check_all",
    "choose_service",
    "runnerServices",
]


class RunnerServiceProvider:
    """The runner services, by name. Thread-safe."""

    def __init__(self) -> None:
        self._builders: dict[str, Builder] = {}
        self._in_place: dict[tuple[Path, str], Builder] = {}
        self.loaded: dict[Path, str] = {}
        """Digests of the plugin files that registered here."""
        self._lock = threading.RLock()
        self._entry_points_loaded = False

    def register_builder(self, key: str, builder: Builder) -> None:
        """Register `builder` under `key`; a later registration replaces an earlier one.

        A plugin file that takes the name of a service that ships has it where its folder is
        among the ``plugin_dirs``, nowhere else.
        """
        path = registering(key)
        with self._lock:
            if path is not None and key in settings.OWN_SERVICES:
                self._in_place[path, key] = builder
            else:
                self._builders[key] = builder

    def get(self, service_id: str, **config: object) -> object:
        """Return the service called `service_id`.

        Parameters
        ----------
        service_id : str
            ``LOCAL``, ``CONDA``, ``UV``, ``DOCKER``, ``CONDA_DOCKER`` or the name of a plugin.
        **config : object
            The ``runner`` section of the configuration. The folders of its
            ``plugin_dirs`` are loaded first.

        Raises
        ------
        UnknownRunnerError
            No service has that name; the message lists those that there are.
        RunnerUnavailableError
            The plugin that should bring it is broken, or could not make it.
        """
        problems: tuple[PluginProblem, ...] = ()
        if folders := settings.PLUGIN_DIRS.of(config):
            problems = load_plugin_dirs(folders, self, config)
            word = service_id.lower()
            for problem in problems:
                of = Path(problem.where).stem.removeprefix("runner_").removeprefix("service_")
                if of in (word, word.replace("_", "")):
                    raise RunnerUnavailableError(str(problem), hint="Mend it, or take it away.")
        # the services of installed packages cost imports: only when one is asked for
        if service_id not in self._builders:
            self._load_entry_points()
        with self._lock:
            builder = self._builder(service_id, folders)[0]
        if builder is None:
            near = names.nearest(service_id.upper(), self._builders)
            raise UnknownRunnerError(
                f"There is no runner service called {service_id!r}"
                + (f"; did you mean {near!r}?" if near else "."),
                hint=f"Known services: {', '.join(sorted(self._builders)) or 'none'}. "
                + (" ".join(map(str, problems)) or "A plugin's file goes into 'plugin_dirs'."),
            )
        if builder in own_services.values():
            return builder(**config)
        from napari_tool_runner.plugins.foreign.loading import make

        made, said = make(service_id, builder, config)
        keep_printed(service_id, said)
        return made

    def _builder(self, key: str, folders: tuple[Path, ...]) -> tuple[Builder | None, Path | None]:
        """Return what makes a service, and the file of `folders` that took its name."""
        places = plugin_folders(folders)
        for (path, name), builder in reversed(self._in_place.items()):
            if name == key and path.parent in places:
                return builder, path
        return self._builders.get(key), None

    def replaced(self, config: Mapping[str, object]) -> dict[str, str]:
        """Return name -> sentence for each service that ships whose name a plugin took."""
        folders = settings.PLUGIN_DIRS.of(config)
        with self._lock:
            taken = {key: self._builder(key, folders)[1] for key in settings.OWN_SERVICES}
        return {
            key: f"{key} is the service of the plugin {path}, in place of the one that ships."
            for key, path in taken.items()
            if path is not None
        }

    def service(
        self, service_id: str, config: Mapping[str, object] | None = None
    ) -> RunnerService:
        """Return what `get` gives as one of ours; what one of others answers is looked at."""
        found = as_service(self.get(service_id, **(config or {})), service_id, config)
        if type(found).__module__.startswith(f"{__package__}."):
            return found
        from napari_tool_runner.plugins.foreign.guests import Guest

        return Guest(found, service_id, config)

    def names(self) -> tuple[str, ...]:
        """Return the names of all services, entry points included, sorted."""
        self._load_entry_points()
        with self._lock:
            return tuple(sorted(self._builders))

    def _load_entry_points(self) -> None:
        if self._entry_points_loaded:
            return
        with loading():
            if not self._entry_points_loaded:
                self._entry_points_loaded = True
                load_entry_points(self)


ObjectFactory = RunnerServiceProvider
"""The name that it has in bioimageit_core."""


def as_service(
    service: object, name: str = "", config: Mapping[str, object] | None = None
) -> RunnerService:
    """Return any runner service as one of ours: it is called the same way as all others.

    Parameters
    ----------
    service : object
        What ``runnerServices.get`` returned: an object with ``exec``, and perhaps ``set_up``
        and ``tear_down``.
    name : str
        Name under which it is registered, for messages.
    config : mapping, optional
        The ``runner`` section of the configuration.

    Raises
    ------
    RunnerError
        It has no ``exec``.
    """
    if isinstance(service, RunnerService):
        return service
    name = name or str(getattr(service, "service_name", "")) or type(service).__name__
    if not callable(getattr(service, "exec", None)):
        raise RunnerError(
            f"The runner service {name} ({type(service).__name__}) has no exec.",
            hint="A service needs exec(process, args), and may have set_up and tear_down.",
        )
    from napari_tool_runner.plugins.foreign.service import ForeignService

    return ForeignService(service, name, config)


class ServiceBuilder:
    """Builder of a service that ships with this package, imported when first asked for.

    Like the builders of the tutorial, it makes one service and returns it for ever;
    unlike them, it hands the configuration of each call on to `RunnerService.configure`.

    Parameters
    ----------
    module, name : str
        Where the class of the service is.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name
        self._instance: RunnerService | None = None
        self._lock = threading.Lock()

    def __call__(self, **config: object) -> RunnerService:
        """Return the service, with `config` taken."""
        with self._lock:
            if self._instance is None:
                self._instance = self._load()()
            if self._instance.config != config:
                self._instance.configure(config)
            return self._instance

    def _load(self) -> type[RunnerService]:
        try:
            found = getattr(import_module(self._module), self._name)
        except ImportError as error:
            raise RunnerUnavailableError(
                f"The runner service {self._name} cannot be loaded: {error}.",
                hint=f"Install the Python package {error.name!r}."
                if error.name
                else "Reinstall napari-tool-runner.",
            ) from error
        assert isinstance(found, type)
        assert issubclass(found, RunnerService)
        return found


def _home(key: str) -> tuple[str, str]:
    word = key.title().replace("_", "")  # as in runner_local.LocalRunnerService
    return f"napari_tool_runner.plugins.runner_{word.lower()}", f"{word}RunnerService"


own_services = {key: ServiceBuilder(*_home(key)) for key in settings.OWN_SERVICES}
"""The builders of the services that ship, whoever takes their names."""
runnerServices = RunnerServiceProvider()
for _key, _builder in own_services.items():
    runnerServices.register_builder(_key, _builder)


@dataclass(frozen=True, slots=True)
class Choice:
    """The service that was chosen for a tool.

    Parameters
    ----------
    name : str
        Its name in ``runnerServices``.
    reason : str
        Why, in words that follow the name (“LOCAL, since the tool requires nothing”).
    available : bool
        False: it is what the tool requires, but it does not work on this computer (the
        reason says what to do).
    """

    name: str
    reason: str
    available: bool = True


def choose_service(
    tool: Tool,
    config: Mapping[str, object] | None = None,
    provider: RunnerServiceProvider | None = None,
) -> Choice:
    """Choose by what `tool` requires and what this computer has.

    A tool without requirements runs with LOCAL. Otherwise its requirements are tried in
    the order of the descriptor: conda packages with CONDA, those of PyPI with UV, containers
    with DOCKER; when
    none of their services works here, the first is returned with ``available=False``.

    Parameters
    ----------
    tool : Tool
    config : mapping, optional
        The ``runner`` section of the configuration.
    """
    problems: list[str] = []
    first = ""
    for name, what in _fitting_services(tool):
        found = availability(name, config, provider, tool)
        if found.ok:
            others = f" ({' '.join(problems)})" if problems else ""
            return Choice(name, f"since {what}{others}")
        first = first or name
        problems.append(f"{name} cannot: {found.message}")
    if not first and not tool.requirements:
        return Choice("LOCAL", "since the tool requires nothing")
    if not first:
        kinds = ", ".join(sorted({entry.type for entry in tool.requirements}))
        return Choice(
            "LOCAL",
            f"since no service provides what the tool requires ({kinds}); "
            "it works only if that is installed on this computer",
        )
    reason = f"which the tool needs, but which does not work here. {' '.join(problems)}"
    return Choice(first, reason, available=False)


def _fitting_services(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield the services that provide what `tool` requires, with the requirement in words.

    In the order of the descriptor, each once; nothing for a tool without requirements.
    """
    met: set[str] = set()
    for entry in tool.requirements:
        if isinstance(entry, PackageRequirement):
            name, what = "CONDA", "the tool requires conda packages"
        elif isinstance(entry, PythonRequirement):
            what = "the tool requires packages from PyPI"
            name = "UV"
            if entry.source:
                what = f"{entry.source} beside the tool names packages from PyPI"
        elif entry.type == "docker":
            name, what = "DOCKER", f"the tool requires the container {entry.image}"
        else:
            continue
        if name not in met:
            met.add(name)
            yield name, what


def check_all(
    config: Mapping[str, object] | None = None, provider: RunnerServiceProvider | None = None
) -> list[tuple[str, Availability]]:
    """Say for every registered service whether it works on this computer.

    The services of ``plugin_dirs`` in `config` are among them. A plugin that cannot be
    loaded is listed under the name of its file, with what is wrong.
    """
    provider = provider or runnerServices
    problems = load_plugin_dirs(settings.PLUGIN_DIRS.of(config or {}), provider, config)
    found, taken = [], provider.replaced(config or {})
    for name in provider.names():
        state, told = availability(name, config, provider), taken.get(name, "")
        found.append((name, replace(state, message=f"{told} {state.message}".strip())))
    entries = (one for one in plugin_problems() if " = " in one.where)
    for problem in (*problems, *entries):
        name = Path(problem.where.partition(" = ")[0]).name
        found.append((name, Availability(False, str(problem))))
    return found


def availability(
    name: str,
    config: Mapping[str, object] | None,
    provider: RunnerServiceProvider | None = None,
    tool: Tool | None = None,
) -> Availability:
    """Say whether the service called `name` works here (and runs `tool`), whatever it raises."""
    try:
        service = (provider or runnerServices).service(name, config)
        found = service.check()
        if tool is not None and found.ok:
            found = service.supports(tool)
    except ToolRunnerError as error:
        return Availability(False, str(error))
    except Exception as error:  # noqa: BLE001 (a plugin may raise anything; the others count)
        return Availability(False, f"{words(error)}.")
    return found
