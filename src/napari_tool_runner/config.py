"""config.json: where tools are, which runner, its options.

The file is BioImageIT's; the keys that this package reads are listed in
`docs/config.md`. Nothing here is global: a `Config` is a value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import platformdirs

from napari_tool_runner.errors import ConfigError
from napari_tool_runner.storage import APP, user_data, write_json

__all__ = [
    "CONFIG_VARIABLE",
    "Config",
    "changed_config",
    "config_path",
    "load_config",
    "save_config",
    "user_data",
]

_RUNNER_PATHS = frozenset({"conda_dir", "environments_dir", "path", "plugin_dirs"})
CONFIG_VARIABLE = "NAPARI_TOOL_RUNNER_CONFIG"


@dataclass(frozen=True, slots=True)
class Config:
    """A read configuration.

    Parameters
    ----------
    data : mapping
        The JSON as it is.
    path : Path or None
        The file it came from; relative paths inside start at its folder.
    explicit : bool
        It was given for this call, or named by the environment variable: whoever did
        that consents to its toolboxes (docs/decisions). False for the user's own file,
        whose toolboxes are asked about.
    """

    data: Mapping[str, object] = field(default_factory=dict)
    path: Path | None = None
    explicit: bool = True

    @property
    def runner(self) -> dict[str, object]:
        """The ``runner`` section, without its ``service``; its paths are absolute."""
        section = {k: v for k, v in self._section("runner").items() if k != "service"}
        for key in _RUNNER_PATHS & section.keys():
            value = section[key]
            if isinstance(value, list | tuple):
                section[key] = [str(self._path(entry, f"runner.{key}")) for entry in value]
            elif value:
                section[key] = str(self._path(value, f"runner.{key}"))
        return section

    @property
    def service(self) -> str | None:
        """Name of the chosen runner service; None: choose for each tool.

        ``runner.service``, or the tutorial's ``process.service`` when there is no
        ``runner`` section.
        """
        home = "runner" if "runner" in self.data else "process"
        name = self._section(home).get("service")
        if name is None:
            return None
        if not isinstance(name, str) or not name.strip():
            raise self._wrong(f"{home}.service", name, "the name of a runner service")
        return name.strip()

    @property
    def toolbox_dirs(self) -> tuple[Path, ...]:
        """``process.xml_dirs``: the folders of the user's toolboxes."""
        return self._paths("process", "xml_dirs")

    @property
    def categories_files(self) -> tuple[Path, ...]:
        """``process.categories``: toolboxes.json files."""
        return self._paths("process", "categories")

    @property
    def formats_file(self) -> Path | None:
        """``formats.file``: formats.json."""
        found = self._paths("formats", "file")
        return found[0] if found else None

    @property
    def variables(self) -> dict[str, str]:
        """What commands may name besides parameters: ``env`` entries and ``fiji``."""
        found: dict[str, str] = {}
        entries = self.data.get("env", [])
        if not isinstance(entries, list):
            raise self._wrong("env", entries, 'a list of {"name": …, "value": …}')
        for entry in entries:
            if not isinstance(entry, Mapping) or not {"name", "value"} <= set(entry):
                raise self._wrong("env", entry, '{"name": …, "value": …}')
            found[str(entry["name"])] = str(entry["value"])
        if "fiji" in self.data:
            found["__fiji__"] = str(self.data["fiji"])
        return found

    @property
    def workspaces(self) -> Path:
        """``workspace``: where the folders of jobs are made."""
        given = self.data.get("workspace")
        if given is None:
            return user_data() / "jobs"
        return self._path(given, "workspace")

    @property
    def max_parallel(self) -> int:
        """``jobs.max_parallel``: how many jobs run at once (2)."""
        return int(self._number("jobs", "max_parallel", 2, least=1))

    @property
    def timeout(self) -> float | None:
        """``jobs.timeout``: seconds after which a program is ended (None: never)."""
        value = self._number("jobs", "timeout", 0, least=0)
        return value or None

    @property
    def keep_days(self) -> float:
        """``jobs.keep_days``: age at which `clean` offers finished workspaces (30)."""
        return self._number("jobs", "keep_days", 30, least=0)

    @property
    def cpus(self) -> float | None:
        """``runner.cpus``: how many processors a job may use."""
        return self._number("runner", "cpus", 0, least=0) or None

    @property
    def memory_bytes(self) -> int | None:
        """``runner.memory``: bytes, or text such as ``8G``."""
        value = self._section("runner").get("memory")
        return None if value in (None, "") else _bytes(value, self)

    @property
    def gpus(self) -> int:
        """``runner.gpus``: how many GPUs a job asks for; -1 or ``"all"``: all."""
        value = self._section("runner").get("gpus", 0)
        if value == "all":
            return -1
        return int(self._number("runner", "gpus", 0, least=-1))

    @property
    def network(self) -> bool:
        """``runner.network``: whether containers may use the network (no)."""
        value = self._section("runner").get("network", False)
        if not isinstance(value, bool):
            raise self._wrong("runner.network", value, "true or false")
        return value

    @property
    def user(self) -> str:
        """``user.name``, for records; empty when not given."""
        return str(self._section("user").get("name", ""))

    # -- reading ------------------------------------------------------------------

    def _section(self, name: str) -> Mapping[str, object]:
        value = self.data.get(name, {})
        if not isinstance(value, Mapping):
            raise self._wrong(name, value, "an object with named entries")
        return cast("Mapping[str, object]", value)

    def _paths(self, section: str, key: str) -> tuple[Path, ...]:
        value = self._section(section).get(key, [])
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list | tuple):
            raise self._wrong(f"{section}.{key}", value, "a path or a list of paths")
        return tuple(self._path(entry, f"{section}.{key}") for entry in entries if entry != "")

    def _path(self, value: object, key: str) -> Path:
        if not isinstance(value, str | Path):
            raise self._wrong(key, value, "a path")
        path = Path(value).expanduser()
        base = self.path.parent if self.path else Path.cwd()
        return (base / path).absolute()

    def _number(self, section: str, key: str, default: float, *, least: float) -> float:
        value = self._section(section).get(key, default)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
            raise self._wrong(f"{section}.{key}", value, f"a number of at least {least:g}")
        return value

    def _wrong(self, key: str, value: object, wanted: str) -> ConfigError:
        place = str(self.path) if self.path else "the configuration"
        return ConfigError(
            f"“{key}” in {place} is {value!r}, but must be {wanted}.",
            hint="Correct it and try again.",
        )


def config_path() -> Path:
    """Return the path of the configuration that applies when none is named."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.json"


def load_config(
    config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> Config:
    """Return `config` as a `Config`.

    Parameters
    ----------
    config : Config, mapping, path, or None
        None: the file named by the environment variable NAPARI_TOOL_RUNNER_CONFIG,
        else ``config.json`` of the user's configuration folder, else defaults.

    Raises
    ------
    ConfigError
        The file is named but absent, is no JSON, or holds no object.
    """
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return Config(dict(config))
    named = config is not None or bool(os.environ.get(CONFIG_VARIABLE))
    path = Path(config).expanduser() if config is not None else config_path()
    if not path.exists() and not named:
        return Config(explicit=False)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error.strerror or error}.",
            hint=f"Check the path, or unset {CONFIG_VARIABLE}.",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"The configuration {path} is not valid JSON: {error}.",
            hint="Correct that line, or move the file away to start with defaults.",
        ) from error
    if not isinstance(data, dict):
        raise ConfigError(
            f"The configuration {path} holds {type(data).__name__}, not an object.",
            hint='It must start with "{".',
        )
    return Config(data, path.absolute(), explicit=named)


def changed_config(config: Config, values: Mapping[str, object]) -> Config:
    """Return `config` with other values, checked; nothing is written.

    Parameters
    ----------
    values : mapping
        Dotted key (``runner.memory``) -> value; None takes the key away, so that its
        default applies. Keys that are not named stay as they are.

    Raises
    ------
    ConfigError
        A value cannot be what its key wants.
    """
    data: dict[str, object] = json.loads(json.dumps(dict(config.data)))
    process = data.get("process")
    if "runner" not in data and isinstance(process, Mapping) and process.get("service"):
        # a section "runner" would hide the tutorial's way of naming the service
        data["runner"] = {"service": process["service"]}
    for key, value in values.items():
        *sections, last = key.split(".")
        place = data
        for section in sections:
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                raise config._wrong(section, inner, "an object with named entries")
            place = inner
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    made = Config({k: v for k, v in data.items() if v != {}}, config.path, config.explicit)
    for name in _CHECKED:
        getattr(made, name)
    return made


_CHECKED = (
    "runner",
    "service",
    "toolbox_dirs",
    "categories_files",
    "formats_file",
    "variables",
    "workspaces",
    "max_parallel",
    "timeout",
    "keep_days",
    "cpus",
    "memory_bytes",
    "gpus",
    "network",
)


def save_config(config: Config) -> Path:
    """Write `config` to its own path (or the user's) and return that path.

    The file is replaced as a whole, so that a crash leaves the old or the new one.
    """
    path = config.path or config_path()
    try:
        write_json(path, config.data)
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be written: {error.strerror or error}.",
            hint=f"Set {CONFIG_VARIABLE} to a place that you may write.",
        ) from error
    return path


def _bytes(value: object, config: Config) -> int:
    units = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    text = str(value).strip().lower().removesuffix("ib").removesuffix("b")
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    try:
        amount = int(float(number) * units[unit])
    except (KeyError, ValueError):
        amount = 0
    if amount <= 0:
        raise config._wrong("runner.memory", value, "a size such as 8G")
    return amount
