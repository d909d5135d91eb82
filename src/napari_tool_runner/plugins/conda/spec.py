"""What environment a tool asks for, from either dialect's words.

Galaxy names packages and versions. BioImageIT gives the tail of a ``conda create``
line, written by hand: options and specs in any order, sometimes a ``pip install`` in the
middle of it, and an ``init`` shell line to run once in the new environment.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import PreparationError
from napari_tool_runner.storage import short_digest
from napari_tool_runner.tools.model import PackageRequirement

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["CondaSpec", "conda_platform", "environment_key", "read_spec"]

# a change here builds every environment anew
_LAYOUT = 1

_WITH_VALUE = {"-n", "--name", "-p", "--prefix", "-f", "--file", "--solver"}
_CREATE = {("conda", "create"), ("conda", "install"), ("mamba", "create"), ("mamba", "install")}
_BARE_VERSION = re.compile(r"^(?:[<>=!~]=?|\d)[\w.*<>=!,|]*$")


@dataclass(frozen=True, slots=True)
class CondaSpec:
    """An environment as a tool asks for it.

    Parameters
    ----------
    specs : tuple of str
        Packages, as conda's match specs.
    channels : tuple of str
        Names or URLs of channels that the tool names, in its order.
    commands : tuple of str
        Shell lines to run once inside the new environment.
    env : str
        Name of the environment, for existing ones.
    override_channels : bool
        True: no other channels than these.
    notes : tuple of str
        What was met and understood in some way, or left out; one sentence each.
    """

    specs: tuple[str, ...]
    channels: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    env: str = ""
    override_channels: bool = False
    notes: tuple[str, ...] = ()


def read_spec(tool: Tool) -> CondaSpec | None:
    """Return the environment that `tool` asks for, None when it requires no packages.

    Raises
    ------
    PreparationError
        Its requirement names no package.
    """
    found = [entry for entry in tool.requirements if isinstance(entry, PackageRequirement)]
    if not found:
        return None
    reader = _Reader()
    for entry in found:
        if entry.text:
            reader.text(entry.text)
        elif entry.name:
            reader.specs.append(f"{entry.name}={entry.version}" if entry.version else entry.name)
        if entry.init.strip():
            reader.command(entry.init.strip())
    if not reader.specs:
        raise PreparationError(
            f"The conda requirement of {tool.name} names no package.",
            hint="Correct the requirements in its descriptor.",
        )
    names = {_package_name(spec) for spec in reader.specs}
    if any(re.search(r"\bpip3?\b", line) for line in reader.commands) and "pip" not in names:
        reader.specs.append("pip")
    return CondaSpec(
        specs=tuple(dict.fromkeys(reader.specs)),
        channels=tuple(dict.fromkeys(reader.channels)),
        commands=tuple(dict.fromkeys(reader.commands)),
        env=next((entry.env for entry in found if entry.env), "") or tool.id,
        override_channels=reader.override,
        notes=tuple(dict.fromkeys(reader.notes)),
    )


def environment_key(spec: CondaSpec, channels: Iterable[str], platform: str | None = None) -> str:
    """Return the name of the environment's folder: a word, and a hash of what is in it.

    The same packages from the same channels, with the same commands, are one
    environment, whichever tool asks for it.

    Parameters
    ----------
    spec : CondaSpec
    channels : iterable of str
        The resolved channels, without credentials.
    platform : str, optional
        Default: the platform of this computer.
    """
    content = json.dumps(
        [_LAYOUT, sorted(spec.specs), list(channels), platform or conda_platform(), spec.commands]
    )
    digest = short_digest(content)[:12]
    word = re.sub(r"[^a-z0-9]+", "-", _package_name(spec.specs[0]).lower()).strip("-")
    return f"{word[:20] or 'env'}-{digest}"


def conda_platform(given: str = "") -> str:
    """Return conda's name of a platform, as ``linux-64``; of this computer's without `given`.

    Parameters
    ----------
    given : str
        A name of conda's, or of containers (``linux/amd64``): both services share a key.
    """
    import platform

    if given:
        system, mark, kind = given.partition("/")
        if system != "linux" or not mark:
            return given
        kind = kind.partition("/")[0]
        return {"amd64": "linux-64", "arm64": "linux-aarch64"}.get(kind, f"linux-{kind}")
    machine = platform.machine().lower()
    arm = machine in ("arm64", "aarch64")
    if sys.platform == "win32":
        return "win-arm64" if arm else "win-64"
    if sys.platform == "darwin":
        return "osx-arm64" if arm else "osx-64"
    return {"x86_64": "linux-64", "amd64": "linux-64", "i686": "linux-32"}.get(
        machine, f"linux-{machine}"
    )


class _Reader:
    """Collects what the lines of a ``conda create`` say."""

    def __init__(self) -> None:
        self.specs: list[str] = []
        self.channels: list[str] = []
        self.commands: list[str] = []
        self.notes: list[str] = []
        self.override = False

    def text(self, text: str) -> None:
        """Take the tail of a ``conda create`` line."""
        for number, segment in enumerate(_segments(text)):
            head = tuple(segment[:2])
            if head in (("pip", "install"), ("pip3", "install")):
                self._pip(segment[2:])
            elif head in _CREATE:
                self._packages(segment[2:])
            elif number == 0:
                self._packages(segment)
            else:  # 'packages && command'
                self.commands.append(shlex.join(segment))

    def command(self, line: str) -> None:
        """Take an ``init`` line; what it installs with conda is solved with the rest."""
        segments = _segments(line)
        if segments and all(tuple(segment[:2]) in _CREATE for segment in segments):
            for segment in segments:
                self._packages(segment[2:])
            self.notes.append("What the init line installs with conda is solved with the rest.")
        else:
            self.commands.append(line)

    def _packages(self, tokens: list[str]) -> None:
        rest = iter(tokens)
        for token in rest:
            if token in ("-c", "--channel"):
                self.channels.append(next(rest, ""))
            elif token.startswith("--channel="):
                self.channels.append(token.partition("=")[2])
            elif token.startswith("-c") and not token.startswith("--"):
                self.channels.append(token[2:])
            elif token in ("--override-channels",):
                self.override = True
            elif token in ("-y", "--yes", "-q", "--quiet", "--strict-channel-priority"):
                continue
            elif token in _WITH_VALUE:
                self.notes.append(f"'{token} {next(rest, '')}' is left out.")
            elif token.startswith("-"):
                self.notes.append(f"The option {token!r} is left out.")
            elif token in ("pip", "pip3"):
                following = list(rest)
                if following[:1] == ["install"]:
                    self._pip(following[1:])
                else:
                    self.specs.append("pip")
                    self._packages(following)
                return
            elif _BARE_VERSION.match(token) and self.specs:
                self.specs[-1] += f" {token}"
            else:
                self.specs.append(token)
        self.channels = [channel for channel in self.channels if channel]

    def _pip(self, tokens: list[str]) -> None:
        """Take a ``pip install`` that was written among the packages."""
        wanted: list[str] = []
        rest = iter(tokens)
        for token in rest:
            if token in ("-c", "--channel"):  # conda's; pip's constraint files do not occur
                self.channels.append(next(rest, ""))
            else:
                wanted.append(token)
        self.notes.append(
            f"'pip install {shlex.join(wanted)}' inside the package list is run after the "
            "packages are installed."
        )
        self.commands.append(f"python -m pip install {shlex.join(wanted)}")


def _segments(text: str) -> list[list[str]]:
    """Split a line at ``&&`` and ``;``, each part into words."""
    try:
        tokens = shlex.split(text)
    except ValueError:
        tokens = text.replace('"', " ").replace("'", " ").split()
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token in ("&&", ";"):
            parts.append([])
        elif token.endswith(";"):
            parts[-1].append(token[:-1])
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _package_name(spec: str) -> str:
    return re.split(r"[\s=<>!~\[;@]", spec.rpartition("::")[2], maxsplit=1)[0]
