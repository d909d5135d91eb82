"""config.json in layers: built-in < facility < personal < call.

Nothing here is global: a `Config` is a value, read anew by each `load_config`.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import platformdirs

from napari_tool_runner import settings
from napari_tool_runner.addresses import without_credentials
from napari_tool_runner.config_layers import ABSENT, Config
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.names import nearest
from napari_tool_runner.setting_types import is_blank, is_secret_name
from napari_tool_runner.settings import OWN_SERVICES, TABLE
from napari_tool_runner.storage import (
    APP,
    JSON_LIMIT,
    check_depth,
    locked,
    parse_json,
    read_limited,
    user_data,
    write_json,
)

__all__ = [
    "ABSENT",
    "CONFIG_VARIABLE",
    "FACILITY_VARIABLE",
    "Config",
    "changed_config",
    "config_path",
    "facility_path",
    "layer_lines",
    "load_config",
    "save_config",
    "toolbox_texts",
    "user_config",
    "user_data",
    "whole_config",
]

CONFIG_VARIABLE = "NAPARI_TOOL_RUNNER_CONFIG"
FACILITY_VARIABLE = "NAPARI_TOOL_RUNNER_FACILITY"


def user_config() -> Path:
    """Return the folder of the personal configuration, if no variable names another."""
    return Path(platformdirs.user_config_dir(APP, appauthor=False))


def config_path() -> Path:
    """Return the path of the personal configuration."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(os.path.expanduser(named))
    return user_config() / "config.json"


def facility_path() -> Path | None:
    """Return the path of the facility's highest configuration, None when there is none.

    The file that the environment variable names, else ``config.json`` in the place that
    the system has for administrators.
    """
    return next(iter(_facility_paths()), None)


def load_config(
    config: Config | Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> Config:
    """Return the configuration that applies, checked.

    Parameters
    ----------
    config : Config, mapping, path, or None
        What the call says, above the facility's and the personal configuration. A
        `Config` stays as it is, above the facility's. None: these two alone.

    Raises
    ------
    ConfigError
        A file is named but absent, is no JSON, or holds no object; a value cannot be
        what its key wants.
    """
    if isinstance(config, Config):
        return _under_facility(config)
    made = _personal(_facility())
    if isinstance(config, Mapping):
        try:
            check_depth(dict(config))
        except ValueError as error:
            raise ConfigError(f"The configuration cannot be used: {error}.") from error
        made = Config(dict(config), below=made)
    elif config is not None:
        path = Path(os.path.expanduser(config))
        made = Config(_read_file(path), path.absolute(), below=made)
    made.check()
    return made


def _under_facility(config: Config) -> Config:
    """Return `config` with the facility's files, as they are now, below what else it says."""
    facility = _facility()
    if config.policies == (() if facility is None else facility.layers):
        return config
    made = facility
    for layer in reversed(config.layers):
        if layer.name != "facility":
            made = replace(layer, below=made)
    made = made or Config({}, explicit=False)
    made.check()
    return made


def _facility() -> Config | None:
    found: Config | None = None
    named = os.environ.get(FACILITY_VARIABLE)
    for path in reversed(_facility_paths()):
        # who controls the environment controls PATH as well; a file that anybody may write
        # is nobody's consent
        data = _read_file(path, strict=True)
        _check_policy(data, path)
        safe = (bool(named) and path == facility_path()) or not _anybody_writes(path)
        found = Config(data, path.absolute(), safe, "facility", found)
    return found


def _facility_paths() -> list[Path]:
    """Return the files of the facility, the highest first.

    A file that the environment names lies above the administrator's, and hides none of it:
    what is locked there, and its policy, hold for everybody.
    """
    named = os.environ.get(FACILITY_VARIABLE)
    files = [Path(os.path.expanduser(named))] if named else []
    folders = [Path(platformdirs.site_config_dir(APP, appauthor=False))]
    if os.name == "posix":  # whatever XDG_CONFIG_DIRS says
        folders += [Path("/etc/xdg") / APP, Path("/etc") / APP]
    files += [path for folder in folders if _is_there(path := folder / "config.json")]
    return list(dict.fromkeys(files))


def _check_policy(data: Mapping[str, object], path: Path) -> None:
    """Raise ConfigError where a policy is misspelt: it would forbid nothing."""
    for key in data:
        section = key.partition(".")[0]
        if key != "policy" and nearest(section.strip().casefold(), ["policy"]):
            raise ConfigError(
                f"“{key}” in the facility’s configuration {path} is not known.",
                hint="A policy is the section “policy”, and what it says stands in there.",
            )


def _check_meant(told: bytes, data: object) -> None:
    """Raise ValueError where JSON says one thing twice, or holds what is no text: a slip."""
    json.loads(told.decode(json.detect_encoding(told), "surrogatepass"), object_pairs_hook=_once)
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    if "\\u0000" in text.replace("\\\\", ""):
        raise ValueError("it holds a character that no name has (NUL)")


def _once(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"“{twice}” stands there twice")


def _is_there(path: Path) -> bool:
    """Whether an administrator has put something there: no file that can be read is no freedom."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return os.path.lexists(path.parent) and not path.parent.is_dir()
    except OSError:
        pass  # reading it tells why
    return True


def _anybody_writes(path: Path) -> bool:
    places = (path, path.parent)
    return any(place.stat().st_mode & stat.S_IWOTH for place in places)


def _personal(below: Config | None) -> Config:
    named = bool(os.environ.get(CONFIG_VARIABLE))
    path = config_path()
    if not named and not path.exists():
        return Config({}, None, explicit=False, name="personal", below=below)
    return Config(_read_file(path), path.absolute(), named, "personal", below)


def _read_file(path: Path, *, strict: bool = False) -> dict[str, object]:
    try:
        told = read_limited(path, JSON_LIMIT)
        data = parse_json(told)
        if strict:
            _check_meant(told, data)
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
            f"The configuration {path} is no JSON object.", hint='It must start with "{".'
        )
    return data


def whole_config(config: Config) -> dict[str, object]:
    """Return all layers as one JSON of BioImageIT's form; its ``runner`` is the one that counts.

    ``runner.working_dir`` is where the folders of jobs are made, unless it is named.
    """
    found: dict[str, object] = {}
    layers = config.layers[::-1]
    for key, value in (item for layer in layers for item in layer.data.items()):
        found[key] = value
        if isinstance(value, Mapping):
            sections = (layer.data.get(key) for layer in layers)
            maps = [dict(section) for section in sections if isinstance(section, Mapping)]
            found[key] = {name: one for section in maps for name, one in section.items()}
    place = str(config.workspaces)
    runner = {"working_dir": place, **config.runner, "service": config.service}
    return {**found, "workspace": place, "runner": runner}


def toolbox_texts(config: Config) -> list[str]:
    """Return the toolbox folders of the highest layer as they are written down."""
    given = config.raw(settings.TOOLBOXES.key)
    entries = [given] if isinstance(given, str) else list(given) if isinstance(given, list) else []
    return [str(entry) for entry in entries if not is_blank(entry)]


# -- telling ----------------------------------------------------------------------------


def layer_lines(config: Config) -> Iterator[str]:
    """Yield lines that say which files count, and what they say; without credentials."""
    for layer in reversed(config.layers):
        yield f"{layer.name}: {layer.path or ('given' if layer.name == 'call' else 'no file')}"
        for key in layer.keys:
            holder = config.holder(key)
            if key not in TABLE or holder is None:
                continue
            heard = holder is layer or (TABLE[key].joined and layer in config.holders(key))
            value = json.dumps(_public(layer.raw(key)), ensure_ascii=False, default=str)
            public = _LOGIN.sub("…@", without_credentials(value))
            yield f"  {key} = {public}{'' if heard else f'  (not used: {holder.name} counts)'}"


_LOGIN = re.compile(r'(?<=")[^"/:@]+:[^"/@]+@(?!sha256:)')
"""Of an address without its protocol, in JSON."""


def _public(value: object) -> object:
    """Return a value of the JSON without the values of secrets."""
    if not isinstance(value, list):
        return value
    return [
        {**one, "value": "…"}
        if isinstance(one, dict) and (one.get("secret") or is_secret_name(str(one.get("name"))))
        else one
        for one in value
    ]


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
    data = dict(config.data)
    process = data.get("process")
    # a section "runner", be it empty, hides the tutorial's way of naming the service
    hides = isinstance(process, Mapping) and process.get("service")
    if hides and data.get("runner") is None and any(key.startswith("runner.") for key in values):
        data["runner"] = {"service": hides}
    if isinstance(process, Mapping) and "runner.service" in values and hides not in OWN_SERVICES:
        data["process"] = {name: one for name, one in process.items() if name != "service"}
    for key, value in values.items():
        lock = config.lock_of(key)
        if lock is not None:
            raise ConfigError(
                f"“{key}” is locked by your facility, in {lock.place}.",
                hint="Ask those who look after that file.",
            )
        section, dot, name = key.rpartition(".")
        place = dict(replace(config, data=data).section(section)) if dot else data
        if value is not None:
            place[name] = value
        elif place.pop(name, ABSENT) is ABSENT:
            continue
        if dot:
            data[section] = place
            if not place and not (section == "runner" and hides):
                del data[section]
    # what stood there when it was edited: others may add to the same list meanwhile
    before = {
        key: config.edits[key][0] if key in config.edits else config.raw(key) for key in values
    }
    edits = {key: (before[key], value) for key, value in values.items()}
    made = replace(config, data=data, edits={**config.edits, **edits})
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
                config = changed_config(now, _merged(now, config.edits))
            write_json(path, config.data, alone=True)
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be written: {error.strerror or error}.",
            hint=f"Set {CONFIG_VARIABLE} to a place that you may write.",
        ) from error
    return path


def _merged(now: Config, edits: Mapping[str, tuple[object, object]]) -> dict[str, object]:
    """Return what `edits` make of the file as it is `now`.

    Of lists only what was added or taken away counts: what another window or program put
    there meanwhile stays.
    """
    found: dict[str, object] = {}
    for key, (before, after) in edits.items():
        there = now.raw(key)
        found[key] = after
        known = [] if before is ABSENT else before
        if isinstance(there, list) and isinstance(known, list) and isinstance(after, list | None):
            kept = [one for one in after or () if one not in known or one in there]
            others = [one for one in there if one not in known and one not in kept]
            found[key] = kept + others or None
    return found
