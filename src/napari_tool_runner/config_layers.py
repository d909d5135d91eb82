"""A configuration as a value: one layer above others.

What may stand in it is told by `napari_tool_runner.settings`; how layers meet by
`docs/config.md`; where they are read and written by `napari_tool_runner.config`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from napari_tool_runner import settings
from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.setting_types import PATH, PATHS, Secret, unknown_in_rows
from napari_tool_runner.settings import TABLE, Setting
from napari_tool_runner.storage import read_json, user_data

__all__ = ["ABSENT", "Config"]

ABSENT = object()
"""What a layer says about a key that it does not name."""

_Value = TypeVar("_Value")


@dataclass(frozen=True)
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
        Key -> what it said before and what `changed_config` made of it, for `save_config`.
    """

    data: Mapping[str, object] = field(default_factory=dict)
    path: Path | None = None
    explicit: bool = True
    name: str = "call"
    below: Config | None = None
    edits: Mapping[str, tuple[object, object]] = field(default_factory=dict)

    # -- what is said ------------------------------------------------------------------

    @cached_property
    def runner(self) -> dict[str, object]:
        """The ``runner`` section of all layers, without its ``service``; paths are absolute."""
        named = [(*layer.section("runner"), "plugin_dirs") for layer in reversed(self.layers)]
        names = dict.fromkeys(name for names in named for name in names)
        found: dict[str, object] = {}
        for name in names:
            key = f"runner.{name}"
            layers = self.holders(key)
            if name == "service" or not layers:
                continue
            found[name] = raw = layers[0].raw(key)
            setting = TABLE.get(key)
            if setting is None or self._is_foreign(setting):
                continue
            if setting.type is PATH:
                found[name] = str(self.value(setting) or "")
            elif setting.type is PATHS:
                value = self.value(setting)
                paths = [str(path) for path in value] if isinstance(value, tuple) else []
                found[name] = paths[0] if len(paths) == 1 and isinstance(raw, str) else paths
        return found

    @cached_property
    def service(self) -> str | None:
        """Name of the chosen runner service (`_service_setting`); None: choose for each tool."""
        holder = self.holder("runner.service")
        if holder is None:
            return None
        return holder.own(holder._service_setting)

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

    @cached_property
    def formats_file(self) -> Path | None:
        """``formats.file``: formats.json."""
        return self.value(settings.FORMATS_FILE)

    @property
    def variables(self) -> dict[str, str]:
        """What commands may name besides parameters: ``env`` entries and ``fiji``."""
        fiji = self.value(settings.FIJI)
        named = {**self.value(settings.ENV), **({"__fiji__": fiji} if fiji else {})}
        # a job says where; a check of descriptors only wants to know the names
        files = {f"{name}_FILE": "" for name, value in named.items() if isinstance(value, Secret)}
        return {**files, **named}

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

    @property
    def policies(self) -> tuple[Config, ...]:
        """The layers whose ``policy`` counts: a facility's, each by itself."""
        return tuple(layer for layer in self.layers if layer.name == "facility")

    # -- layers ------------------------------------------------------------------------

    @cached_property
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
        layers = (self.lock_of(key) or self).layers
        return [layer for layer in layers if layer.raw(key) is not ABSENT]

    def holder(self, key: str) -> Config | None:
        """Return the layer whose value of `key` counts; None: the built-in default."""
        return next(iter(self.holders(key)), None)

    def said(self, key: str) -> object:
        """Return the value of `key` that counts as it is written, None when nobody says it."""
        holder = self.holder(key)
        return None if holder is None else holder.raw(key)

    def lock_of(self, key: str) -> Config | None:
        """Return the layer that keeps those above it from setting `key`, if one does."""
        folders = key == settings.PROCESS_PLUGIN_DIRS.key and self._locks.get("process")
        key = settings.ALIASES.get(key, key)
        return folders or self._locks.get(key) or self._locks.get(key.partition(".")[0])

    @cached_property
    def _locks(self) -> dict[str, Config]:
        facility = [layer for layer in self.layers if layer.name == "facility"]
        found = {name: layer for layer in facility for name in layer.own(settings.LOCKED)}
        for name, layer in list(found.items()):
            tutorials = layer._service_setting is settings.PROCESS_SERVICE
            counts = tutorials and layer.raw(settings.PROCESS_SERVICE.key) is not ABSENT
            if name in settings.ALIASES or (name == "process" and counts):
                found[settings.ALIASES.get(name, settings.RUNNER_SERVICE.key)] = layer
        return found

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
        for layer in layers[1:]:
            if setting.joined is not None:
                found = setting.joined(found, layer.own(setting))
        return found

    def check(self) -> None:
        """Read every setting of every layer: what is wrong is told at once, as ConfigError.

        Options that only services of this package know are left to a foreign service.
        """
        for layer in self.layers:
            for key in layer.keys:
                setting = TABLE.get(key)
                if setting is not None and not self._is_foreign(setting):
                    layer.own(setting)

    def _is_foreign(self, setting: Setting[object]) -> bool:
        """Whether a service of others is chosen, to which the key may mean something else."""
        shared = not setting.services or setting.key in settings.FOR_EVERY_SERVICE
        return not shared and self.service not in (None, *settings.OWN_SERVICES)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is not used, in sentences: unknown keys, and keys that the facility locked."""
        found: list[str] = []
        for layer in reversed(self.layers):
            for key in (*layer.keys, *(name for name in layer.data if "." in name)):
                lock = self.lock_of(key)
                if lock is not None and lock is not layer and key != settings.LOCKED.key:
                    found.append(
                        f"“{key}” in {layer.place} is not used: your facility has locked it "
                        f"({lock.place})."
                    )
                else:
                    found += self._unknown(layer, key)
            found += unknown_in_rows(
                layer.raw("env"), {"name", "value", "secret"}, "variable", layer.place
            )
            if layer.name == "facility":
                found += self._doubts(layer)
        found += self._format_slips()
        return tuple(dict.fromkeys(found))

    def _format_slips(self) -> Iterator[str]:
        """What the table of formats says in vain; what is no table is told where it is read."""
        try:
            data = read_json(self.formats_file) if self.formats_file else []
        except (OSError, ValueError):
            return
        rows = data.get("formats") if isinstance(data, dict) else data
        known = {"name", "extension", "reader", "viewer"}
        yield from unknown_in_rows(rows, known, "format", str(self.formats_file))
        for row in rows if isinstance(rows, list) else ():
            told = dict(row) if isinstance(row, Mapping) else {}
            where = f"of the format “{told.get('name')}” in {self.formats_file}"
            if told and "extension" not in told:
                yield f"The “extension” {where} is missing: its files have none."
            if (viewer := told.get("viewer", "none")) not in ("napari", "table", "none", ""):
                yield f"The viewer “{viewer}” {where} is not known: napari, table or none."

    def _unknown(self, layer: Config, key: str) -> Iterator[str]:
        if key == settings.LOCKED.key and layer.name != "facility":
            yield f"“locked” in {layer.place} is not used: only a facility’s file locks keys."
        if key.startswith("policy.") and layer.name != "facility":
            yield f"“{key}” in {layer.place} is not used: only a facility’s file has a policy."
        flat = "." in key and key in layer.data  # "runner.memory" beside, not in, a section
        if not flat and key == settings.PROCESS_SERVICE.key:
            yield from layer._registry_note(layer.raw(key))
        if not flat and (key in TABLE or settings.is_ignored(key)):
            return
        what = f"“{key}” in {layer.place} is not known and not used"
        near = settings.did_you_mean(key)
        # options and sections of their own are a matter of services of others
        for_others = key.startswith("runner.") or isinstance(layer.data.get(key), Mapping)
        if near:
            place = near.replace(".", "” with “") if flat else near
            the = "the section " if place != near else ""
            yield f"{what}; did you mean {the}“{place}”?"
        elif flat or not (for_others and self._others):
            yield f"{what}."

    @property
    def _others(self) -> bool:
        """Whether a service of others may have options that we do not know."""
        if self.service is None:
            return bool(self.value(settings.PLUGIN_DIRS))
        return self.service not in settings.OWN_SERVICES

    def _doubts(self, layer: Config) -> Iterator[str]:
        """What is doubtful in a facility's file itself."""
        for key in layer.own(settings.LOCKED):
            near = settings.did_you_mean(key)
            if key in TABLE or key in settings.SECTIONS:
                continue
            if near:
                yield f"“locked” in {layer.place} names “{key}”; did you mean “{near}”?"
            elif not (key.startswith("runner.") and self._others):
                yield f"“locked” in {layer.place} names “{key}”, which locks nothing."
        if not layer.explicit:
            yield f"The toolboxes of {layer.place} are asked about: anybody may write that file."

    # -- reading one layer -------------------------------------------------------------

    def own(self, setting: Setting[_Value]) -> _Value:
        """What this layer alone says; the default where it says nothing."""
        raw = self.raw(setting.key)
        return setting.default if raw is ABSENT else setting.read(raw, self.base, self.place)

    def raw(self, key: str) -> object:
        """What this layer says about `key`, aliases included; `ABSENT` for nothing."""
        if key == settings.RUNNER_SERVICE.key:
            key = self._service_setting.key
        if key == settings.PLUGIN_DIRS.key:
            return self._plugin_dirs
        section, dot, name = key.partition(".")
        return self.section(section).get(name, ABSENT) if dot else self.data.get(key, ABSENT)

    @property
    def _plugin_dirs(self) -> object:
        """What the sections ``runner`` and ``process`` say of them; a locked one is not heard."""
        names = ("runner", "process")[: 2 if self._locks.get("process") in (None, self) else 1]
        said = [one for one in (self.section(n).get("plugin_dirs") for n in names) if one]
        if len(said) == 2:
            return [path for one in said for path in (one if isinstance(one, list) else [one])]
        return said[0] if said else self.section("runner").get("plugin_dirs", ABSENT)

    @property
    def _service_setting(self) -> Setting[str | None]:
        """Where this layer names the runner service.

        ``process.service`` is the tutorial's way. Beside a section ``runner`` it is BioImageIT's
        registry of tools, unless it can only be a runner: ``runner.service`` is not named, and
        it is the name of a plugin's.
        """
        if self.data.get("runner") is None:
            return settings.PROCESS_SERVICE
        named = self.section("runner").get("service")
        service = None if named else self.section("process").get("service")
        tutorials = service and str(service).upper() not in settings.OWN_SERVICES
        return settings.PROCESS_SERVICE if tutorials else settings.RUNNER_SERVICE

    def _registry_note(self, said: object) -> Iterator[str]:
        """Say that ``process.service`` names no runner, where somebody may think that it does."""
        named = self.section("runner").get("service")
        if self._service_setting is settings.PROCESS_SERVICE or said in (None, "", named):
            return
        what = f"“process.service” in {self.place} ({said}) is not used"
        if not named:
            yield f"{what}: beside a section “runner” the runner is named by “runner.service”."
        elif said != "LOCAL":  # which is BioImageIT's registry of tools
            yield f"{what}: “runner.service” ({named}) counts."

    def section(self, name: str) -> Mapping[str, object]:
        """Return what this layer says in a section; raises ConfigError when it is none."""
        value = self.data.get(name)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise settings.wrong_value(name, value, "an object with named entries", self.place)
        return value

    @property
    def keys(self) -> Iterator[str]:
        """Every key that is heard of this layer, those of our sections with their section."""
        for name in self.data:
            if name in settings.SECTIONS:
                yield from (f"{name}.{inner}" for inner in self.section(name))
            elif "." not in name:
                yield name
