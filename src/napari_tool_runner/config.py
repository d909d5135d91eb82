"""config.json in layers: built-in < facility < personal < call.

What may stand in it is told by `napari_tool_runner.settings`; how layers meet by
`docs/config.md`. Nothing here is global: a `Config` is a value.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

import platformdirs

from napari_tool_runner import settings
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.settings import TABLE, Setting
from napari_tool_runner.storage import APP, locked, read_json, user_data, write_json

__all__ = [
    "ABSENT",
    "CONFIG_VARIABLE",
    "FACILITY_VARIABLE",
    "OWN_SERVICES",
    "Config",
    "changed_config",
    "config_path",
    "facility_path",
    "load_config",
    "save_config",
    "user_data",
]

CONFIG_VARIABLE = "NAPARI_TOOL_RUNNER_CONFIG"
FACILITY_VARIABLE = "NAPARI_TOOL_RUNNER_FACILITY"
OWN_SERVICES = ("LOCAL", "CONDA", "DOCKER", "CONDA_DOCKER")
ABSENT = object()
"""What a layer says about a key that it does not name."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Config:
    """A read configuration: one layer, and those below it.

    Parameters
    ----------
    data : mapping
        The JSON of this layer as it is.
    path : Path or None
        The file it came from; relative paths inside start at its folder.
    explicit : bool
        Its toolboxes run without a question: it is the facility's, was given for this
        call, or named by the environment variable (docs/decisions). False for the
        user's own file, whose toolboxes are asked about.
    name : str
        ``facility``, ``personal`` or ``call``.
    below : Config or None
        The layer that counts where this one says nothing.
    edits : mapping
        What `changed_config` changed, for `save_config`.
    """

    data: Mapping[str, object] = field(default_factory=dict)
    path: Path | None = None
    explicit: bool = True
    name: str = "call"
    below: Config | None = None
    edits: Mapping[str, object] = field(default_factory=dict)

    # -- what is said ------------------------------------------------------------------

    @property
    def runner(self) -> dict[str, object]:
        """The ``runner`` section of all layers, without its ``service``; paths are absolute."""
        names = dict.fromkeys(
            name for layer in reversed(self.layers) for name in layer._section("runner")
        )
        found: dict[str, object] = {}
        for name in names:
            key = f"runner.{name}"
            layers = self.holders(key)
            if name == "service" or not layers:
                continue
            found[name] = raw = layers[0]._own(key)
            setting = TABLE.get(key)
            if setting is None or self._is_foreign(setting):
                continue
            if setting.type is settings.PATH and raw:
                found[name] = str(self.value(setting))
            elif setting.type is settings.PATHS:
                paths = [str(path) for path in cast("tuple[Path, ...]", self.value(setting))]
                found[name] = paths[0] if len(paths) == 1 and isinstance(raw, str) else paths
        return found

    @property
    def service(self) -> str | None:
        """Name of the chosen runner service; None: choose for each tool.

        ``runner.service``, or the tutorial's ``process.service`` when there is no
        ``runner`` section in that layer.
        """
        holder = self.holder("runner.service")
        if holder is None:
            return None
        setting = settings.RUNNER_SERVICE if "runner" in holder.data else settings.PROCESS_SERVICE
        return holder.own(setting)

    @property
    def toolbox_dirs(self) -> tuple[Path, ...]:
        """``process.xml_dirs``: the folders of the user's toolboxes."""
        return self.value(settings.TOOLBOXES)

    @property
    def consented_dirs(self) -> frozenset[Path]:
        """Those of the `toolbox_dirs` whose tools run without a question."""
        key = settings.TOOLBOXES.key
        layers = [layer for layer in self.holders(key) if layer.explicit]
        return frozenset(path for one in layers for path in one.own(settings.TOOLBOXES))

    @property
    def categories_files(self) -> tuple[Path, ...]:
        """``process.categories``: toolboxes.json files."""
        return self.value(settings.CATEGORIES)

    @property
    def formats_file(self) -> Path | None:
        """``formats.file``: formats.json."""
        return self.value(settings.FORMATS_FILE)

    @property
    def variables(self) -> dict[str, str]:
        """What commands may name besides parameters: ``env`` entries and ``fiji``."""
        fiji = self.value(settings.FIJI)
        return {**self.value(settings.ENV), **({"__fiji__": fiji} if fiji else {})}

    @property
    def workspaces(self) -> Path:
        """``workspace``: where the folders of jobs are made."""
        return self.value(settings.WORKSPACE) or user_data() / "jobs"

    @property
    def max_parallel(self) -> int:
        """``jobs.max_parallel``: how many jobs run at once (2)."""
        return self.value(settings.MAX_PARALLEL)

    @property
    def timeout(self) -> float | None:
        """``jobs.timeout``: seconds after which a program is ended (None: never)."""
        return self.value(settings.TIMEOUT) or None

    @property
    def keep_days(self) -> float:
        """``jobs.keep_days``: age at which `clean` offers finished workspaces (30)."""
        return self.value(settings.KEEP_DAYS)

    @property
    def cpus(self) -> float | None:
        """``runner.cpus``: how many processors a job may use."""
        return self.value(settings.CPUS) or None

    @property
    def memory_bytes(self) -> int | None:
        """``runner.memory``: bytes, or text such as ``8G``."""
        return self.value(settings.MEMORY)

    @property
    def gpus(self) -> int:
        """``runner.gpus``: how many GPUs a job asks for; -1 or ``"all"``: all."""
        return self.value(settings.GPUS)

    @property
    def network(self) -> bool:
        """``runner.network``: whether containers may use the network (no)."""
        return self.value(settings.NETWORK)

    @property
    def user(self) -> str:
        """``user.name``, for records; empty when not given."""
        return self.value(settings.USER_NAME)

    # -- layers ------------------------------------------------------------------------

    @property
    def layers(self) -> tuple[Config, ...]:
        """This layer and those below it, the highest first."""
        return (self, *(self.below.layers if self.below is not None else ()))

    @property
    def place(self) -> str:
        """Where this layer was read, for messages."""
        return str(self.path) if self.path else "the configuration"

    @property
    def base(self) -> Path | None:
        """Where relative paths of this layer start; None: the current folder."""
        return self.path.parent if self.path else None

    def holders(self, key: str) -> list[Config]:
        """Return the layers that say something about `key` and are heard, highest first."""
        lock = self.lock_of(key)
        layers = self.layers if lock is None else lock.layers
        return [layer for layer in layers if layer._own(key) is not ABSENT]

    def holder(self, key: str) -> Config | None:
        """Return the layer whose value of `key` counts; None: the built-in default."""
        return next(iter(self.holders(key)), None)

    def said(self, key: str) -> object:
        """Return the value of `key` that counts as it is written, None when nobody says it."""
        holder = self.holder(key)
        return None if holder is None else holder._own(key)

    def lock_of(self, key: str) -> Config | None:
        """Return the layer that keeps those above it from setting `key`, if one does."""
        key = settings.RUNNER_SERVICE.key if key == settings.PROCESS_SERVICE.key else key
        for layer in reversed(self.layers):
            if layer.name == "facility":
                names = layer.own(settings.LOCKED)
                if key in names or key.partition(".")[0] in names:
                    return layer
        return None

    def value(self, setting: Setting[_Value]) -> _Value:
        """Return the value of a setting.

        Raises
        ------
        ConfigError
            What the file says cannot be it.
        """
        layers = self.holders(setting.key)
        if not layers:
            return setting.default
        found = layers[0].own(setting)
        for layer in layers[1:] if setting.adds else ():
            more = layer.own(setting)
            if isinstance(found, tuple) and isinstance(more, tuple):
                found = cast("_Value", tuple(dict.fromkeys((*found, *more))))
            elif isinstance(found, dict) and isinstance(more, dict):
                found = cast("_Value", {**more, **found})
        return found

    def check(self) -> None:
        """Read every setting of every layer, so that what is wrong is told at once.

        Options that only services of this package know are left to a foreign service.

        Raises
        ------
        ConfigError
        """
        for layer in self.layers:
            for key, setting in TABLE.items():
                if not self._is_foreign(setting) and layer.raw(key) is not ABSENT:
                    layer.own(setting)

    def _is_foreign(self, setting: Setting[object]) -> bool:
        """Whether a service of others is chosen, to which the key may mean something else."""
        shared = not setting.services or setting.key in settings.FOR_EVERY_SERVICE
        return not shared and self.service not in (None, *OWN_SERVICES)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not used, in sentences: unknown keys, and keys that the facility locked."""
        found: list[str] = []
        for layer in reversed(self.layers):
            for key in layer.keys:
                lock = self.lock_of(key)
                if lock is not None and lock is not layer and key != settings.LOCKED.key:
                    found.append(
                        f"“{key}” in {layer.place} is not used: your facility has locked it "
                        f"({lock.place})."
                    )
                else:
                    found += self._unknown(layer, key)
            if layer.name == "facility":
                found += layer._doubts()
        return tuple(dict.fromkeys(found))

    def _unknown(self, layer: Config, key: str) -> Iterator[str]:
        if key == settings.LOCKED.key and layer.name != "facility":
            yield f"“locked” in {layer.place} is not used: only a facility’s file locks keys."
        if key in TABLE or settings.is_ignored(key):
            return
        what = f"“{key}” in {layer.place} is not known and not used"
        near = settings.did_you_mean(key)
        # options and sections of their own are a matter of services of others
        for_others = key.startswith("runner.") or isinstance(layer.data.get(key), Mapping)
        others = self.service not in (None, *OWN_SERVICES) or (
            self.service is None and self.value(settings.PLUGIN_DIRS)
        )
        if near:
            yield f"{what}; did you mean “{near}”?"
        elif not (for_others and others):
            yield f"{what}."

    def _doubts(self) -> Iterator[str]:
        """What is doubtful in a facility's file itself."""
        for key in self.own(settings.LOCKED):
            near = settings.did_you_mean(key)
            if key not in TABLE and near and near != key:
                yield f"“locked” in {self.place} names “{key}”; did you mean “{near}”?"
        if not self.explicit:
            yield f"The toolboxes of {self.place} are asked about: anybody may write that file."

    # -- reading one layer -------------------------------------------------------------

    def own(self, setting: Setting[_Value]) -> _Value:
        """What this layer alone says; the default where it says nothing."""
        raw = self.raw(setting.key)
        if raw is ABSENT:
            return setting.default
        return setting.read(raw, self.base, self.place)

    def _own(self, key: str) -> object:
        """What this layer says about `key`, aliases included; `ABSENT` for nothing."""
        if key == settings.RUNNER_SERVICE.key and "runner" not in self.data:
            return self.raw(settings.PROCESS_SERVICE.key)
        return self.raw(key)

    def raw(self, key: str) -> object:
        """What this layer says about `key`; `ABSENT` for nothing."""
        section, _, name = key.rpartition(".")
        return (self._section(section) if section else self.data).get(name, ABSENT)

    def _section(self, name: str) -> Mapping[str, object]:
        value = self.data.get(name, {})
        if not isinstance(value, Mapping):
            raise settings.wrong_value(name, value, "an object with named entries", self.place)
        return cast("Mapping[str, object]", value)

    @property
    def keys(self) -> Iterator[str]:
        """Every key that this layer names, those of our sections with their section."""
        for name, value in self.data.items():
            if isinstance(value, Mapping) and any(key.startswith(f"{name}.") for key in TABLE):
                yield from (f"{name}.{inner}" for inner in value)
            else:
                yield name


# -- files ---------------------------------------------------------------------------------


def config_path() -> Path:
    """Return the path of the personal configuration."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(platformdirs.user_config_dir(APP, appauthor=False)) / "config.json"


def facility_path() -> Path | None:
    """Return the path of the facility's configuration, None when there is none.

    The file that the environment variable names, else ``config.json`` in the place that
    the system has for administrators.
    """
    named = os.environ.get(FACILITY_VARIABLE)
    if named:
        return Path(named).expanduser()
    folders = [Path(platformdirs.site_config_dir(APP, appauthor=False))]
    if os.name == "posix":
        folders.append(Path("/etc") / APP)
    return next((p for f in folders if (p := f / "config.json").is_file()), None)


def load_config(
    config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> Config:
    """Return the configuration that applies, checked.

    Parameters
    ----------
    config : Config, mapping, path, or None
        What the call says, above the facility's and the personal configuration. A
        `Config` is returned as it is. None: these two alone.

    Raises
    ------
    ConfigError
        A file is named but absent, is no JSON, or holds no object; a value cannot be
        what its key wants.
    """
    if isinstance(config, Config):
        return config
    made = _personal(_facility())
    if isinstance(config, Mapping):
        made = Config(dict(config), below=made)
    elif config is not None:
        path = Path(config).expanduser()
        made = Config(_read_file(path), path.absolute(), below=made)
    made.check()
    return made


def _facility() -> Config | None:
    path = facility_path()
    if path is None:
        return None
    # who controls the environment controls PATH as well; a file that anybody may write
    # is nobody's consent
    safe = bool(os.environ.get(FACILITY_VARIABLE)) or not _anybody_writes(path)
    return Config(_read_file(path), path.absolute(), explicit=safe, name="facility")


def _anybody_writes(path: Path) -> bool:
    places = (path, path.parent)
    return any(place.stat().st_mode & stat.S_IWOTH for place in places)


def _personal(below: Config | None) -> Config:
    named = bool(os.environ.get(CONFIG_VARIABLE))
    path = config_path()
    if not named and not path.exists():
        return Config({}, None, explicit=False, name="personal", below=below)
    return Config(_read_file(path), path.absolute(), named, "personal", below)


def _read_file(path: Path) -> dict[str, object]:
    try:
        data = read_json(path)
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error.strerror or error}.",
            hint=f"Check the path, or unset {CONFIG_VARIABLE} and {FACILITY_VARIABLE}.",
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
    return data


# -- changing ------------------------------------------------------------------------------


def changed_config(config: Config, values: Mapping[str, object]) -> Config:
    """Return `config` with other values in its highest layer, checked; nothing is written.

    Parameters
    ----------
    values : mapping
        Dotted key (``runner.memory``) -> value; None takes the key away, so that what is
        below applies. Keys that are not named stay as they are.

    Raises
    ------
    ConfigError
        A value cannot be what its key wants, or the facility has locked the key.
    """
    data: dict[str, object] = json.loads(json.dumps(dict(config.data)))
    process = data.get("process")
    if "runner" not in data and isinstance(process, Mapping) and process.get("service"):
        # a section "runner" would hide the tutorial's way of naming the service
        data["runner"] = {"service": process["service"]}
    for key, value in values.items():
        lock = config.lock_of(key)
        if lock is not None:
            raise ConfigError(
                f"“{key}” is locked by your facility, in {lock.place}.",
                hint="Ask those who look after that file.",
            )
        *sections, last = key.split(".")
        place = data
        for section in sections:
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                raise settings.wrong_value(
                    section, inner, "an object with named entries", config.place
                )
            place = inner
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    made = replace(
        config,
        data={k: v for k, v in data.items() if v != {}},
        edits={**config.edits, **values},
    )
    made.check()
    return made


def save_config(config: Config) -> Path:
    """Write the highest layer of `config` to its own path (or the user's); return that path.

    The file is replaced as a whole. What `changed_config` changed is put into the file as
    it is now, so that what another window or program wrote meanwhile stays.

    Raises
    ------
    ConfigError
        The file cannot be written, or has become unreadable meanwhile.
    """
    path = config.path or config_path()
    try:
        with locked(path):
            if config.edits and path.exists():
                now = replace(config, data=_read_file(path), edits={})
                config = changed_config(now, config.edits)
            write_json(path, config.data)
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be written: {error.strerror or error}.",
            hint=f"Set {CONFIG_VARIABLE} to a place that you may write.",
        ) from error
    return path
