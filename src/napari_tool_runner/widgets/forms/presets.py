"""Values of forms as JSON: the last ones of each tool, named presets, shared files.

Only JSON types are stored; a layer is stored by its name, a file by its path. Presets
of another version of a tool are read too: what has no place is told, not lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass, field, replace
from napari_tool_runner.errors import ToolRunnerError
from napari_tool_runner.storage import read_json, short_digest, user_data, write_whole

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool
    from napari_tool_runner.widgets.forms.quantities import Sizes

__all__ = ["Preset", "PresetError", "PresetStore", "plain_values"]

FORMAT = "napari-tool-runner preset"
_LAST = "last values"
_LARGEST = 1e30  # of pixels, in any unit


class PresetError(ToolRunnerError):
    """A preset cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Values of one form.

    Parameters
    ----------
    values : mapping
        Nested values of JSON types.
    kinds : mapping
        Output name -> kind of layer that the user wants it to be.
    switches : collection of str
        How results are shown (`OutputsBox.switches`); of the values that were run last.
    sizes : mapping or None
        What the picture said that the values were given for (`Units.sizes`); None: not known.
    """

    name: str
    tool: str
    version: str
    values: Mapping[str, object] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    switches: Collection[str] = ()
    sizes: Sizes | None = None

    @classmethod
    def of(
        cls,
        tool: Tool,
        name: str,
        values: Mapping[str, object],
        kinds: Mapping[str, str] | None = None,
        sizes: Sizes | None = None,
    ) -> Preset:
        """Return the values of a form of `tool` as a preset."""
        return cls(name, tool.id, tool.version, plain_values(values), kinds or {}, sizes=sizes)

    def remark(self, tool: Tool) -> str:
        """Say how this preset differs from `tool`, an empty text when it does not."""
        if self.tool != tool.id:
            return f"The preset was made for another tool (“{self.tool}”)."
        if self.version != tool.version:
            return (
                f"The preset was made with version {self.version or '?'}; "
                f"this is version {tool.version or '?'}."
            )
        return ""

    def as_json(self) -> str:
        """Return it as a file to share."""
        return json.dumps(
            {
                "format": FORMAT,
                "name": self.name,
                "tool": self.tool,
                "version": self.version,
                "values": self.values,
                "results": dict(self.kinds),
                **({"switches": sorted(self.switches)} if self.switches else {}),
                **({} if self.sizes is None else {"pixel_size": dict(self.sizes)}),
            },
            indent=2,
            ensure_ascii=False,
        )


def _sizes(told: object) -> Sizes | None:
    """Return the pixel size of a file out of the hands of a stranger, None where it is none."""
    if not isinstance(told, dict):
        return None
    found: dict[str, tuple[float, str]] = {}
    for axis, step in told.items():
        match step:
            case [int() | float() as size, str(unit)] if 0 < size < _LARGEST:
                found[str(axis)] = (max(float(size), 1 / _LARGEST), unit)
            case _:
                return None
    return found


def plain_values(values: Mapping[str, object]) -> dict[str, object]:
    """Return nested form values as JSON types: layers by name, paths as text."""
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return plain_values(value)
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else str(value)


class PresetStore:
    """Presets on disk, one folder per tool.

    Parameters
    ----------
    folder : Path, optional
        Default: ``presets`` in the user's data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else user_data() / "presets"

    def names(self, tool: Tool) -> list[str]:
        """Return the names of the user's presets of `tool`, of any version."""
        found = []
        for path in sorted((self.folder / _file_name(tool.id)).glob("*.json")):
            try:
                name = self.read(path).name
            except PresetError:
                continue  # told when it is opened by hand
            if name != _LAST:
                found.append(name)
        return found

    def save(
        self,
        tool: Tool,
        name: str,
        values: Mapping[str, object],
        kinds: Mapping[str, str] | None = None,
        sizes: Sizes | None = None,
    ) -> None:
        """Keep `values` under `name`, replacing a preset of that name.

        Raises
        ------
        PresetError
        """
        self.write(self._path(tool, name), Preset.of(tool, name, values, kinds, sizes))

    def load(self, tool: Tool, name: str) -> Preset:
        """Return the preset called `name`.

        Raises
        ------
        PresetError
        """
        return self.read(self._path(tool, name))

    def remove(self, tool: Tool, name: str) -> None:
        """Delete the preset called `name`."""
        self._path(tool, name).unlink(missing_ok=True)

    def keep_last(
        self,
        tool: Tool,
        values: Mapping[str, object],
        kinds: Mapping[str, str] | None = None,
        switches: Collection[str] = (),
        sizes: Sizes | None = None,
    ) -> None:
        """Keep the values of a run; they come back when the tool is opened again.

        Raises
        ------
        PresetError
        """
        preset = replace(Preset.of(tool, _LAST, values, kinds, sizes), switches=switches)
        # a run makes it again
        self.write(self._last_path(tool), preset, durable=False)

    def last(self, tool: Tool) -> Preset | None:
        """Return the values of the last run of this version of `tool`."""
        try:
            return self.read(self._last_path(tool))
        except PresetError:  # there is none, or it is of no use
            return None

    def read(self, path: Path) -> Preset:
        """Read a preset file.

        Raises
        ------
        PresetError
            It cannot be read, or is none.
        """
        try:
            data = read_json(path)
        except OSError as error:
            raise PresetError(
                f"The preset {path} cannot be read: {error.strerror or error}."
            ) from error
        except ValueError as error:
            raise PresetError(f"The preset {path} is not valid JSON: {error}.") from error
        if not isinstance(data, dict) or not isinstance(data.get("values"), dict):
            raise PresetError(
                f"{path} is no preset.", hint="A preset has “tool”, “version” and “values”."
            )
        kinds, switches = data.get("results"), data.get("switches")
        return Preset(
            str(data.get("name", path.stem)),
            str(data.get("tool", "")),
            str(data.get("version", "")),
            data["values"],
            {str(name): str(kind) for name, kind in kinds.items()}
            if isinstance(kinds, dict)
            else {},
            [str(name) for name in switches] if isinstance(switches, list) else (),
            _sizes(data.get("pixel_size")),
        )

    def write(self, path: Path, preset: Preset, *, durable: bool = True) -> None:
        """Write a preset file; the old one stays until the new one is complete.

        `durable`: wait until the disk has it.

        Raises
        ------
        PresetError
        """
        try:
            # a preset of ours is nobody else's; a file to share is as its folder has it
            private = path.is_relative_to(self.folder)
            write_whole(path, preset.as_json() + "\n", private=private, durable=durable)
        except OSError as error:
            raise PresetError(
                f"The preset {path} cannot be written: {error.strerror or error}.",
                hint="Choose a folder that you may write.",
            ) from error

    def _path(self, tool: Tool, name: str) -> Path:
        return self.folder / _file_name(tool.id) / f"{_file_name(name)}.json"

    def _last_path(self, tool: Tool) -> Path:
        file = f"{_file_name(_LAST)}@{_file_name(tool.version)}.json"
        return self.folder / _file_name(tool.id) / file


def _file_name(text: str) -> str:
    """Return a file name for any text; different texts get different names."""
    plain = re.sub(r"[^A-Za-z0-9._ +-]", lambda m: f"%{ord(m[0]):x}", text)
    if len(plain) > 120:  # file systems allow 255 bytes
        plain = f"{plain[:80]}-{short_digest(text)}"
    return plain if plain.strip(". ") else f"%{plain}"
