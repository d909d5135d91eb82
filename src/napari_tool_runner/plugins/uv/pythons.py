"""Which Python an environment is made with: this one, else another that this computer has."""

from __future__ import annotations

import glob
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.errors import PreparationError

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["Interpreter", "find_python", "uv_program"]

_PATIENCE = 60


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of this computer. `version`: as ``3.12.1``."""

    path: str
    version: str

    @property
    def series(self) -> str:
        """Its version without the last number."""
        return ".".join(self.version.split(".")[:2])


def uv_program() -> str:
    """Return where uv lies.

    Raises
    ------
    PreparationError
        It is not installed.
    """
    try:
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    except (ImportError, FileNotFoundError):
        raise PreparationError(
            "uv is missing, which makes environments from PyPI.", hint="Install the package uv."
        ) from None


def find_python(wanted: str, who: str = "The tool") -> Interpreter:
    """Return a Python whose version is among `wanted`, specifiers; this one, if it is.

    Raises
    ------
    PreparationError
        This computer has none; nothing is downloaded.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    fitting = SpecifierSet(wanted)
    own = Interpreter(sys.executable, platform.python_version())
    if fitting.contains(own.version, prereleases=True):
        return own
    found: list[tuple[Version, str]] = [
        (Version(version), path) for version, path in _others() if os.access(path, os.X_OK)
    ]
    if best := max((one for one in found if one[0] in fitting), default=None):
        return Interpreter(best[1], str(best[0]))
    had = ", ".join(sorted({str(one) for one, _ in found} | {own.version}, key=Version))
    raise PreparationError(
        f"{who} needs Python {wanted}, which this computer does not have; it has {had}.",
        hint="Install such a Python (as with “uv python install”), then run the tool again.",
    )


def _others() -> Iterator[tuple[str, str]]:
    """Yield versions and paths of the other Pythons."""
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for path in glob.glob(os.path.join(glob.escape(root), "versions", "*", "bin", "python")):
        version = path.split(os.sep)[-3]
        if re.fullmatch(r"\d+\.\d+\.\d+", version):
            yield version, path
    yield from _told_by_uv(os.environ.get("PATH", ""))


@cache
def _told_by_uv(_path: str) -> tuple[tuple[str, str], ...]:
    words = ["--only-installed", "--output-format", "json", "--no-python-downloads", "--no-config"]
    try:
        told = subprocess.run(
            [uv_program(), "python", "list", *words],
            capture_output=True, timeout=_PATIENCE, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        listed = json.loads(told.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
    return tuple(
        (one["version"], one["path"])
        for one in listed
        if one.get("implementation") == "cpython" and one.get("variant", "default") == "default"
    )
