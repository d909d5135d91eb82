"""napari's Preferences show and change config.json, which stays the one place of settings.

napari keeps what its dialog shows in a file of its own. Who opens the Preferences
without our dock changes only that file; what we last agreed on (`_agreed_path`) tells
such a change from one of config.json, and it is taken over at the next start.
"""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from qtpy.QtCore import QCoreApplication, QObject

from napari_tool_runner.config import Config, load_config
from napari_tool_runner.errors import ConfigError
from napari_tool_runner.storage import read_json, user_data, write_whole
from napari_tool_runner.widgets.parts.texts import notify
from napari_tool_runner.widgets.settings.config_hub import ConfigHub, config_hub
from napari_tool_runner.widgets.settings.fields import SHOWN, shown_value, stored_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


__all__ = ["PreferencesLink", "connect_preferences", "shown_values"]

_log = logging.getLogger(__name__)
_PLUGIN = "napari-tool-runner"

_PROPERTIES = {field.place: key for key, (_, field) in SHOWN.items()}
"""Property of the Preferences -> key of config.json."""


class _Group(Protocol):
    events: object


class _Emitter(Protocol):
    def connect(self, callback: Callable[[object], None]) -> object: ...


def shown_values(config: Config) -> dict[str, object]:
    """Return what the Preferences show of `config`; raises ConfigError."""
    return {field.place: shown_value(setting, config) for setting, field in SHOWN.values()}


def _stored(values: Mapping[str, object]) -> dict[str, object]:
    """Return key -> what config.json is to hold, for properties of the Preferences."""
    below = load_config().below or Config()
    keys = {name: _PROPERTIES[name] for name in values}
    return {keys[n]: stored_value(SHOWN[keys[n]][0], v, below) for n, v in values.items()}


class PreferencesLink(QObject):
    """Keeps the settings object of napari and config.json the same."""

    def __init__(self, settings: object, hub: ConfigHub, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._hub = hub
        self._busy = False
        for name in _PROPERTIES:
            section, key = name.split(".")
            events = cast("_Group", getattr(self._settings, section)).events
            cast("_Emitter", getattr(events, key)).connect(self._edited)
        self._take_over()
        self.show()
        hub.changed.connect(self.show)

    def values(self) -> dict[str, object]:
        """Return what the Preferences show now."""
        return {name: attrgetter(name)(self._settings) for name in _PROPERTIES}

    def show(self) -> None:
        """Let the Preferences show what config.json says."""
        try:
            wanted = shown_values(load_config())
        except ConfigError as error:
            _log.warning("The Preferences cannot show the configuration: %s", error)
            return
        self._busy = True
        try:
            for name, value in wanted.items():
                section, key = name.split(".")
                if attrgetter(name)(self._settings) != value:
                    setattr(getattr(self._settings, section), key, value)
        except ValueError as error:  # outside of what the dialog offers: the file counts
            _log.warning("The Preferences cannot show a value of the configuration: %s", error)
        finally:
            self._busy = False
        self._agree(wanted)

    def _edited(self, event: object) -> None:
        if self._busy:
            return
        try:
            before = shown_values(load_config())
            now = self.values()
            differing = {name: value for name, value in now.items() if value != before[name]}
            if differing:
                self._hub.write(_stored(differing))
        except ConfigError as error:
            notify(str(error), "warning")
            self.show()  # the field shows again what counts

    def _take_over(self) -> None:
        """Take over what was changed while nobody listened."""
        try:
            agreed = read_json(_agreed_path())
        except (OSError, ValueError):
            return
        if not isinstance(agreed, dict):
            return
        changed = {
            name: value
            for name, value in self.values().items()
            if name in agreed and agreed[name] != value
        }
        if not changed:
            return
        try:
            self._hub.write(_stored(changed))
        except ConfigError as error:
            notify(str(error), "warning")

    def _agree(self, values: Mapping[str, object]) -> None:
        path = _agreed_path()
        text = json.dumps(dict(values), indent=2)
        try:
            if path.exists() and path.read_text(encoding="utf-8") == text:
                return
            write_whole(path, text)
        except OSError as error:
            _log.warning("%s cannot be written: %s", path, error)


def connect_preferences() -> PreferencesLink | None:
    """Connect napari's Preferences with config.json, once; None before napari 0.9.

    napari would read the manifests of all plugins again first: those it knows are enough.
    """
    application = QCoreApplication.instance()
    if application is None:
        return None
    found = application.findChild(PreferencesLink)
    try:
        from napari.settings import get_plugin_settings
        from npe2 import PluginManager
        from npe2.manifest.schema import discovery_blocked

        known = _PLUGIN in PluginManager.instance()
        with discovery_blocked() if known else nullcontext():
            settings = get_plugin_settings(_PLUGIN)
    except (ImportError, KeyError):
        return None
    if isinstance(found, PreferencesLink):
        if found._settings is settings:
            return found
        found.setParent(None)
        found.deleteLater()
    return PreferencesLink(settings, config_hub(), application)


def _agreed_path() -> Path:
    return user_data() / "preferences.json"
