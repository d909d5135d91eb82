"""What runner plugins take from bioimageit_core, where that package is not installed.

`offered` makes it (and ``bioimagepy``, as it was called) importable for the time of a block,
while plugins load and work: names of its public contract, in words of ours. A package of that
name that is installed comes first.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from subprocess import CalledProcessError
from types import ModuleType

from napari_tool_runner import errors
from napari_tool_runner.plugins.contract import RunnerService
from napari_tool_runner.plugins.process import Process, ProcessParameter, SelectInfo
from napari_tool_runner.settings import OWN_SERVICES

__all__ = ["CORE", "Observable", "offered"]

CORE = ("bioimageit_core", "bioimagepy")
"""What is offered; the second is its name before 0.1."""
_FACTORY = "napari_tool_runner.plugins.runners_factory"

_here = threading.local()
_lock = threading.Lock()
_users = 0
_latest: Mapping[str, object] = {}


class Config:
    """One configuration, as plugins read it: ``config`` is the JSON of BioImageIT's file."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self.config = dict(config)
        self.config_file = ""

    def is_key(self, key: str) -> bool:
        """Whether `key` is in it."""
        return key in self.config

    def get(self, key: str) -> object:
        """Return the value of `key`; raises ConfigKeyNotFoundError."""
        if key not in self.config:
            raise ConfigKeyNotFoundError(f"The configuration has no “{key}”.")
        return self.config[key]

    def set(self, key: str, value: object) -> None:
        """Set it, for this work of this plugin."""
        self.config[key] = value


class ConfigAccess:
    """Gives the configuration of the work that the calling thread does."""

    def __init__(self, config_file: str = "") -> None:
        """Load nothing: the configuration is this package's."""

    @staticmethod
    def instance(config_file: str = "") -> Config:
        """Return the configuration of the work at hand."""
        found = getattr(_here, "config", None)
        return found if isinstance(found, Config) else Config(_latest)

    @staticmethod
    def file() -> str:
        """Return no path: several files may count."""
        return ""


class Observer:
    """Base of what is told; by itself it prints, which is kept in the log of the job."""

    def new_job(self, job_id: int) -> None:
        """Take notice of a job."""

    def notify(self, message: object, job_id: int = 0) -> None:
        """Print a message."""
        sys.stdout.write(f"{message}\n")

    def notify_warning(self, message: object, job_id: int = 0) -> None:
        """Print a warning."""
        sys.stderr.write(f"Warning: {message}\n")

    def notify_error(self, message: object, job_id: int = 0) -> None:
        """Print an error."""
        sys.stderr.write(f"Error: {message}\n")

    def notify_progress(self, progress: float, message: object = "", job_id: int = 0) -> None:
        """Print how far it is."""
        sys.stdout.write(f"{message} {progress} %\n")


class Observable:
    """Base of services that tell observers; where nobody listens, what they say is printed."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self.job_count = 0

    def new_job(self) -> int:
        """Return the number of a new job, and tell it."""
        self.job_count += 1
        for observer in self._observers:
            observer.new_job(self.job_count)
        return self.job_count

    def observers_count(self) -> int:
        """Return how many listen."""
        return len(self._observers)

    def add_observer(self, observer: Observer) -> None:
        """Let `observer` be told, too."""
        self._observers.append(observer)

    def notify(self, message: object, job_id: int = 0) -> None:
        """Tell a message."""
        for observer in self._observers or [Observer()]:
            observer.notify(message, job_id)

    def notify_warning(self, message: object, job_id: int = 0) -> None:
        """Tell a warning."""
        for observer in self._observers or [Observer()]:
            observer.notify_warning(message, job_id)

    def notify_error(self, message: object, job_id: int = 0) -> None:
        """Tell an error."""
        for observer in self._observers or [Observer()]:
            observer.notify_error(message, job_id)

    def notify_progress(self, progress: float, message: object = "", job_id: int = 0) -> None:
        """Tell how far it is, in percent."""
        for observer in self._observers or [Observer()]:
            observer.notify_progress(progress, message, job_id)

    notify_message = notify
    notify_observers = notify_progress


class _AsTheirs(errors.ToolRunnerError):
    """Errors that are made of anything, as theirs are."""

    def __init__(self, *told: object) -> None:
        super().__init__(" ".join(map(str, told)) or type(self).__name__)


class ConfigError(_AsTheirs, errors.ConfigError):
    """The configuration lacks something."""


class ConfigKeyNotFoundError(_AsTheirs, errors.ConfigError):
    """The configuration has no such key."""


class RunnerExecError(_AsTheirs, errors.RunnerExecError):
    """A program could not be run, or failed."""


class ToolNotFoundError(_AsTheirs, errors.UnknownToolError):
    """There is no such tool."""


class ToolsServiceError(_AsTheirs, errors.RunnerError):
    """Tools cannot be had."""


class DataServiceError(_AsTheirs, errors.RunnerError):
    """Data cannot be had."""


class _Ours:
    """A service of this package in the place of theirs, for a plugin that hands jobs on."""

    def __init__(self, service: RunnerService) -> None:
        self._service = service

    def set_up(self, process: Process, job_id: int = 0) -> None:
        self._service.set_up(process)

    def exec(self, process: Process, args: Sequence[str], job_id: int = 0) -> None:
        if code := self._service.exec(process, list(args)):
            raise CalledProcessError(code, list(args))

    def tear_down(self, process: Process, job_id: int = 0) -> None:
        self._service.tear_down(process)


def _builder_of(name: str) -> Callable[..., _Ours]:
    def build(**_config: object) -> _Ours:
        told = ConfigAccess.instance().config  # a plugin may have made one of its own
        runner = told.get("runner")
        given = dict(runner) if isinstance(runner, Mapping) else {}
        service = import_module(_FACTORY).own_services[name](**given)
        assert isinstance(service, RunnerService)
        return _Ours(service)

    return build


_NAMES: dict[str, object] = {
    **{one.__name__: one for one in (Config, ConfigAccess, Observer, Observable)},
    **{one.__name__: one for one in (ConfigError, ConfigKeyNotFoundError, RunnerExecError)},
    **{one.__name__: one for one in (ToolNotFoundError, ToolsServiceError, DataServiceError)},
    **dict.fromkeys(("Tool", "ProcessContainer", "ToolContainer"), Process),
    "ProgressObserver": Observer,
    "ToolParameterContainer": ProcessParameter,
    "CmdSelectContainer": SelectInfo,
    **{f"IO_{name.upper()}": name for name in ("param", "input", "output")},
    **{
        f"PARAM_{name.upper()}": name
        for name in ("number", "float", "integer", "string", "select", "boolean", "file")
    },
}
_MODULES = {
    *("", "config", "core", "containers", "plugins", "processes", "runners"),
    *("core.config", "core.exceptions", "core.factory", "core.log_observer", "core.observer"),
    *("core.utils", "core.tools_containers", "containers.tools_containers"),
    *("plugins.runners_factory", "processes.containers", "processes.exceptions"),
    *("runners.exceptions", "runners.factory"),
}
_SERVICES = {
    f"{place}{name.lower().replace('_', '')}": name
    for name in OWN_SERVICES
    for place in ("plugins.runner_", "runners.service_")
}


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of `_MODULES`, and those of the services that ship."""

    def __init__(self) -> None:
        self.made: dict[str, ModuleType] = {}

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        top, _dot, name = fullname.partition(".")
        known = top in CORE and (name in _MODULES or name in _SERVICES)
        return ModuleSpec(fullname, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.made.setdefault(spec.name, ModuleType(spec.name))

    def exec_module(self, module: ModuleType) -> None:
        """Fill it; it is the same one again and again, so that its classes are, too."""
        name = module.__name__.partition(".")[2]
        factory = import_module(_FACTORY)
        given = ("runnerServices", "RunnerServiceProvider", "ObjectFactory")
        vars(module).update(_NAMES, **{one: getattr(factory, one) for one in given})
        if service := _SERVICES.get(name):
            build, word = _builder_of(service), service.title().replace("_", "")
            found = {"RunnerService": build, "RunnerServiceBuilder": lambda: build}
            vars(module).update({f"{word}{end}": one for end, one in found.items()})


_finder = _Finder()


@contextmanager
def offered(config: Mapping[str, object]) -> Iterator[None]:
    """Let ``bioimageit_core`` be imported inside the block, unless it is installed.

    Parameters
    ----------
    config : mapping
        What ``ConfigAccess`` gives to this thread: the JSON of a config.json, with a section
        ``runner``.
    """
    global _users, _latest
    outer = getattr(_here, "config", None)
    _here.config = Config(config)
    with _lock:
        _latest = config
        _users += 1
        if _users == 1:
            sys.meta_path.append(_finder)  # last: what is installed comes first
    try:
        yield
    finally:
        _here.config = outer
        with _lock:
            _users -= 1
            if not _users:
                sys.meta_path.remove(_finder)
                for name, module in _finder.made.items():
                    if sys.modules.get(name) is module:
                        del sys.modules[name]
