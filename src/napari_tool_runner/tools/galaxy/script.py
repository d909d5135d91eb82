"""What one rendering needs throughout: cleaning, safe paths, files to write."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.version import Version

from napari_tool_runner.names import unique_names
from napari_tool_runner.quoting import some_paths
from napari_tool_runner.tools.galaxy.sanitize import DEFAULT_SANITIZER
from napari_tool_runner.tools.galaxy.source import native

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import JobPaths
    from napari_tool_runner.tools.galaxy.source import GalaxySource
    from napari_tool_runner.tools.model import Parameter

__all__ = ["Rules"]

# Galaxy's own paths hold nothing else, so descriptors leave them unquoted
_PLAIN = re.compile(r"[A-Za-z0-9_./+=:,@%-]+")
_LINKS = PurePosixPath("/tmp")  # noqa: S108 - of the machine or container that runs the script


class Rules:
    """State of one rendering.

    Attributes
    ----------
    notes : list of str
        What a person should know.
    files : dict
        Path -> text to write before the start.
    folders : list of Path
        Folders that must exist before the tool starts.
    """

    def __init__(self, source: GalaxySource, paths: JobPaths) -> None:
        self.source = source
        self.paths = paths
        self.sanitizes = source.sanitizes
        self.legacy_text = source.profile < Version("23.0")
        self.notes: list[str] = []
        self.files: dict[Path, str] = {}
        self.folders: list[Path] = []
        self._links: dict[Path, str] = {}
        self._token = ""

    @property
    def configs(self) -> Path:
        """Folder of the configfiles."""
        return self.paths.root / "configs"

    def clean(self, parameter: Parameter, text: str) -> str:
        """Return `text` as Galaxy would let it through; a change is noted once."""
        if not self.sanitizes:
            return text
        sanitizer = native(parameter).sanitizer or DEFAULT_SANITIZER
        cleaned = sanitizer.clean(text)
        if cleaned != text:
            note = f"“{parameter.label or parameter.name}”: {sanitizer.remark(text)}"
            if note not in self.notes:
                self.notes.append(note)
        return cleaned

    def apart(self, parameter: Parameter, given: Sequence[str], clean: Sequence[str]) -> list[str]:
        """Return the names in `clean`, each once; those that are not as `given` are told."""
        names = unique_names(clean, numbered=" {}", first=2)
        changed = [
            f"“{old}” is “{new}”" for old, new in zip(given, names, strict=True) if old != new
        ]
        note = (
            f"“{parameter.label or parameter.name}”: some names hold quotes or occur twice, "
            f"so the tool knows them by others: {some_paths(changed, 20)}."
        )
        if changed and note not in self.notes:
            self.notes.append(note)
        return names

    def write(self, text: str) -> str:
        """Have `text` written into a file of its own; return the path to show."""
        path = self.configs / f"list_{len(self.files)}.txt"
        self.files[path] = text
        return str(self.shown(path))

    def shown(self, path: Path) -> Path:
        """Return `path` as it may stand in a script, quoted or not.

        A path with spaces or quotes is reached through a link that the script makes.
        """
        if _PLAIN.fullmatch(str(path)):
            return path
        for folder in (self.paths.root, self.source.path.parent):
            if (
                path != folder
                and path.is_relative_to(folder)
                and not _PLAIN.fullmatch(str(folder))
            ):
                rest = path.relative_to(folder)
                if _PLAIN.fullmatch(str(rest)):
                    return Path(self._link(folder)) / rest
        return Path(self._link(path))

    def _link(self, path: Path) -> str:
        if path not in self._links:
            self._token = self._token or secrets.token_hex(8)
            name = re.sub(r"[^A-Za-z0-9_.+=-]", "_", path.name) or "folder"
            self._links[path] = str(_LINKS / f"ntr-{self._token}" / str(len(self._links)) / name)
        return self._links[path]

    def preamble(self) -> str:
        """Return the shell lines that make links and folders; may be empty."""
        lines: list[str] = []
        if self._links:
            base = _LINKS / f"ntr-{self._token}"
            lines += [f"mkdir -m 700 {base} || exit 1", f"trap 'rm -rf {base}' EXIT"]
        for target, link in self._links.items():
            lines.append(f"mkdir -p {PurePosixPath(link).parent}")
            lines.append(f"ln -s {shlex.quote(str(target))} {link}")
        lines += [f"mkdir -p {shlex.quote(str(folder))}" for folder in self.folders]
        return "".join(f"{line}\n" for line in lines)
