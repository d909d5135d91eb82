"""Where the runner services are registered by name: ``runnerServices``.

A service of one's own is registered by one line::

    runnerServices.register_builder("NAME", MyRunnerServiceBuilder())

in a ``runner_*.py`` of a plugins folder (`napari_tool_runner.plugins.discovery`), or
through an entry point of the group ``napari_tool_runner.runners``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeAlias

from napari_tool_runner.errors import RunnerUnavailableError, UnknownRunnerError
from napari_tool_runner.plugins.contract import RunnerService

__all__ = ["Builder", "ObjectFactory", "RunnerServiceProvider", "ServiceBuilder", "runnerServices"]

Builder: TypeAlias = Callable[..., object]


class ObjectFactory:
    """Makes objects by name, with the builder that was registered under it."""

    def __init__(self) -> None:
        self._builders: dict[str, Builder] = {}

    def register_builder(self, key: str, builder: Builder) -> None:
        """Register `builder` under `key`; a later registration replaces an earlier one."""
        self._builders[key] = builder

    def create(self, key: str, /, **kwargs: object) -> object:
        """Return what the builder of `key` makes of `kwargs`.

        Raises
        ------
        UnknownRunnerError
            Nothing is registered under `key`; the message lists what is.
        """
        builder = self._builders.get(key)
        if builder is None:
            known = ", ".join(sorted(self._builders)) or "none"
            raise UnknownRunnerError(
                f"There is no runner service called {key!r}.",
                hint=f"Known services: {known}. A plugin that should bring it goes into a "
                "folder of 'plugin_dirs' in the runner section of the configuration.",
            )
        return builder(**kwargs)


class RunnerServiceProvider(ObjectFactory):
    """The runner services, by name. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()
        self._entry_points_loaded = False

    def register_builder(self, key: str, builder: Builder) -> None:
        """Register `builder` under `key`; a later registration replaces an earlier one."""
        with self._lock:
            super().register_builder(key, builder)

    def get(self, service_id: str, **config: object) -> object:
        """Return the service called `service_id`.

        Parameters
        ----------
        service_id : str
            ``LOCAL``, ``CONDA``, ``DOCKER``, ``CONDA_DOCKER`` or the name of a plugin.
        **config : object
            The ``runner`` section of the configuration. The folders of its
            ``plugin_dirs`` are loaded first.

        Raises
        ------
        UnknownRunnerError
            No service has that name.
        """
        from napari_tool_runner.plugins.discovery import load_entry_points, load_plugin_dirs

        with self._lock:
            load_plugin_dirs(config.get("plugin_dirs"), self)
            # the services of installed packages cost imports: only when one is asked for
            if service_id not in self._builders and not self._entry_points_loaded:
                self._entry_points_loaded = True
                load_entry_points(self)
            return self.create(service_id, **config)

    def names(self) -> tuple[str, ...]:
        """Return the names of all services, entry points included, sorted."""
        from napari_tool_runner.plugins.discovery import load_entry_points

        with self._lock:
            if not self._entry_points_loaded:
                self._entry_points_loaded = True
                load_entry_points(self)
            return tuple(sorted(self._builders))

    def builder(self, service_id: str) -> Builder | None:
        """Return what is registered under `service_id`, None when nothing is."""
        with self._lock:
            return self._builders.get(service_id)


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
            self._instance.configure(config)
            return self._instance

    @property
    def instance(self) -> RunnerService | None:
        """The service, None while nobody has asked for it."""
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


_BUILT_IN: Mapping[str, tuple[str, str]] = {
    "LOCAL": ("runner_local", "LocalRunnerService"),
    "CONDA": ("runner_conda", "CondaRunnerService"),
    "DOCKER": ("runner_docker", "DockerRunnerService"),
    "CONDA_DOCKER": ("runner_condadocker", "CondaDockerRunnerService"),
}

runnerServices = RunnerServiceProvider()
for _key, (_file, _class) in _BUILT_IN.items():
    runnerServices.register_builder(
        _key, ServiceBuilder(f"napari_tool_runner.plugins.{_file}", _class)
    )
