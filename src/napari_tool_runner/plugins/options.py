"""Reading the ``runner`` section of config.json, with a sentence for what is wrong in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_tool_runner.errors import ConfigError

__all__ = ["number", "path_list", "text", "text_list"]


def number(config: Mapping[str, object], key: str, default: float) -> float:
    """Return the number at `key`, `default` when it is not there.

    Raises
    ------
    ConfigError
        It is no number, or negative.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _wrong(key, "a number that is not negative", value)
    return float(value)


def text(config: Mapping[str, object], key: str, default: str = "") -> str:
    """Return the text at `key`, `default` when it is not there; ConfigError if no text."""
    value = config.get(key, default)
    if not isinstance(value, str | Path):
        raise _wrong(key, "a text", value)
    return str(value)


def text_list(config: Mapping[str, object], key: str) -> list[str]:
    """Return the list of texts at `key`; one text counts as a list of one."""
    value = config.get(key)
    if value is None:
        return []
    if isinstance(value, str | Path):
        return [str(value)]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise _wrong(key, "a text or a list of texts", value)
    entries = list(value)
    if not all(isinstance(entry, str | Path) for entry in entries):
        raise _wrong(key, "a text or a list of texts", value)
    return [str(entry) for entry in entries]


def path_list(config: Mapping[str, object], key: str) -> list[Path]:
    """Return the absolute folders at `key`; ``~`` is the user's home."""
    return [Path(entry).expanduser().absolute() for entry in text_list(config, key)]


def _wrong(key: str, wanted: str, value: object) -> ConfigError:
    return ConfigError(
        f"{key!r} in the runner section must be {wanted}, not {value!r}.",
        hint="Correct it in the configuration file.",
    )
