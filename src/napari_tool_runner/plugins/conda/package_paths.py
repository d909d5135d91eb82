"""Where the files of conda packages would go: looked at before anything of a package is linked.

A package lists its files itself, and may list what leaves the environment: by ``..``, by a
link that it or another package brings, by the name of a command. The fields of its record
become names of files, too.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import rattler
from rattler import exceptions as rattler_errors

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, PreparationError
from napari_tool_runner.plugins.conda.store import files_of
from napari_tool_runner.quoting import one_line
from napari_tool_runner.storage import read_json

__all__ = ["PackagePaths"]

_NAME = re.compile(r"[\w.+!=~-]+", re.ASCII)
_SCRIPTS = "python-scripts"


class PackagePaths:
    """The places of the packages of one environment. `look` is called by rattler's threads.

    Parameters
    ----------
    records : iterable
        rattler's records.
    packages : Path
        The cache, where packages are unpacked.

    Attributes
    ----------
    problem : str
        Why a package must not be linked; what it was unpacked to is deleted then, so that it
        cannot be.

    Raises
    ------
    PreparationError
        A record would itself name files elsewhere.
    """

    def __init__(self, records: Iterable[Any], packages: Path) -> None:
        self.problem = ""
        self._packages = packages
        self._records = {record.name.normalized: record for record in records}
        self._lock = threading.Lock()
        self._links: dict[str, str] = {}  # place in the environment -> what it leads to
        self._folders: set[str] = set()  # places that files of packages go through
        for name, record in self._records.items():
            told = (name, str(record.version), str(record.build), record.file_name)
            site = record.python_site_packages_path
            if not all(_NAME.fullmatch(one) for one in told) or (site and _leaves(site)):
                raise PreparationError(
                    f"A channel names the package {one_line(name)!r} in a way that leads out of "
                    f"the environment: {one_line(' '.join([*told, site or '']))}.",
                    hint="Do not use this channel.",
                )
        python = self._records.get("python")
        self._site = "site-packages"
        if python is not None:
            short = ".".join(str(python.version).split(".")[:2])
            self._site = python.python_site_packages_path or (
                "Lib/site-packages" if os.name == "nt" else f"lib/python{short}/site-packages"
            )

    def look(self, name: str) -> None:
        """Look at a package that was unpacked; raises nothing."""
        record = self._records.get(name)
        stem = f"{name}-*" if record is None else f"{name}-{record.version}-{record.build}*"
        with self._lock:
            folders = [one for one in self._packages.glob(stem) if (one / "info").is_dir()]
            if not folders:
                self.problem = self.problem or f"{name} is nowhere to be looked at"
            for folder in folders:
                try:
                    wrong = next(self._wrong(folder), "")
                except (OSError, ValueError, OutputError, *_UNREADABLE) as error:
                    wrong = f"its list of files cannot be read ({one_line(str(error))})"
                if wrong:
                    self.problem = f"the package {name} is refused: {wrong}"
                    with suppress(OSError, OutputError):
                        sealed.remove(folder, self._packages)

    def _wrong(self, folder: Path) -> Iterator[str]:
        """Yield what of an unpacked package would leave the environment, or what it reads."""
        unpacked = {
            os.path.relpath(entry.path, folder).replace(os.sep, "/")
            for entry in files_of(folder, whole=True)
            if entry.is_symlink()
        }
        found = rattler.PathsJson.from_package_directory_with_deprecated_fallback(folder)
        listed = [(str(one.relative_path).replace("\\", "/"), one) for one in found.paths]
        for name, _ in listed:
            if _leaves(name):
                yield f"its file {one_line(name)} would lie outside of the environment"
            if any(above in unpacked for above in _above(name)):
                yield f"its file {one_line(name)} lies behind a link"
        own: dict[str, str] = {}
        for name, entry in listed:
            if name in unpacked:
                if not entry.path_type.softlink:
                    yield f"its file {one_line(name)} is a link"
                own[self._placed(name)] = os.readlink(folder / name).replace(os.sep, "/")
        for place in own:
            if place in self._folders:
                yield f"its link {one_line(place)} is a folder of another package"
        self._links |= own
        for name, _ in listed:
            for above in _above(self._placed(name)):
                if above in self._links and not self._stays(above):
                    yield f"its file {one_line(name)} goes through a link that leads out"
                self._folders.add(above)
        for command in _commands(folder):
            if not _NAME.fullmatch(command):
                yield f"its command {one_line(command)} is no plain name"

    def _placed(self, name: str) -> str:
        """Return where a file of a package goes: those of pure Python depend on the version."""
        top, _, rest = name.partition("/")
        place = {"site-packages": self._site, _SCRIPTS: "bin"}.get(top)
        return f"{place}/{rest}" if place and rest else name

    def _stays(self, link: str) -> bool:
        """Whether what a link leads to surely lies in the environment: in one step, and not up."""
        target = self._links[link]
        steps = [one for one in target.split("/") if one not in ("", ".")]
        up = len(steps) - len([one for one in steps if one != ".."])
        base = link.split("/")[:-1]
        if target.startswith("/") or steps[:up] != [".."] * up or up > len(base):
            return False
        led = "/".join([*base[: len(base) - up], *steps[up:]])
        places = [*_above(led), led, *_above(link)]
        self._folders.update(places)
        return not any(one in self._links for one in places)


_UNREADABLE = (rattler_errors.InvalidPackageNameError, rattler_errors.IoError)


def _leaves(name: str) -> bool:
    path = PurePath(name)
    return path.is_absolute() or bool(path.drive) or ".." in path.parts or "\0" in name


def _above(name: str) -> list[str]:
    parts = [one for one in name.split("/") if one not in ("", ".")]
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _commands(folder: Path) -> Iterator[str]:
    """Yield the commands that are to be made for a package of pure Python."""
    path = folder / "info" / "link.json"
    if path.exists():
        told = read_json(path, follow=False)
        noarch = told.get("noarch") if isinstance(told, dict) else None
        lines = noarch.get("entry_points") if isinstance(noarch, dict) else None
        for line in lines if isinstance(lines, list) else ():
            yield str(line).partition("=")[0].strip()
