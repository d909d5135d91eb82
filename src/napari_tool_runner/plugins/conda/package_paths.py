"""Where the files of conda packages would go: looked at before anything of a package is linked.

A package lists its files itself, and may list what leaves the environment: by ``..``, by a
link that it or another package brings, by the name of a command. The fields of its record
become names of files, too.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import rattler
from rattler import exceptions as rattler_errors

from napari_tool_runner import sealed
from napari_tool_runner.errors import OutputError, PreparationError
from napari_tool_runner.plugins.conda.files import files_of
from napari_tool_runner.quoting import one_line
from napari_tool_runner.storage import read_json

__all__ = ["PackagePaths"]

_NAME = re.compile(r"[\w.+!=~-]+", re.ASCII)
_SCRIPTS = "python-scripts"
_COMMANDS = "Scripts" if sys.platform == "win32" else "bin"
_RATTLERS = ("conda-meta", "__clobbers__")  # its records; files that several packages bring
_MOST_LINKS = 40  # one behind the other, as Linux has it

# of what packages tell of themselves, which is kept in memory; sound ones stay far below
_MOST_BYTES = {"paths.json": 2**26, "files": 2**26} | dict.fromkeys(
    ("has_prefix", "no_link", "no_softlink", "index.json", "link.json"), 2**22
)
_MOST_FILES = 1_000_000  # listed in one environment
_MOST_FOLDERS = 2**26  # bytes of their names, in one environment
_LONGEST = 4096  # bytes of a path, as Linux has it
_MOST_STEPS = 100


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
        # places in the environment, by the names that they have there when links are followed
        self._links: dict[str, str] = {}  # what they lead to
        self._folders: set[str] = set(_RATTLERS)
        self._passed: set[str] = set()  # links through which something lies elsewhere
        self._files: set[str] = set()
        self._listed = 0  # files, at most
        self._told = 0  # bytes of names in `_folders`
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
        with self._lock:
            folders = self._unpacked_to(name)
            if not folders:
                self.problem = self.problem or f"{name} is nowhere to be looked at"
            for folder in folders:
                try:
                    wrong = next(self._wrong(folder), "")
                except (OSError, ValueError, OutputError, *_UNREADABLE) as error:
                    why = error.message if isinstance(error, OutputError) else str(error)
                    wrong = f"its list of files cannot be read ({one_line(why)})"
                if wrong:
                    self._refuse(name, folder, wrong)

    def refuse(self, name: str, why: str) -> None:
        """Refuse a package that was unpacked, whatever it lists; raises nothing."""
        with self._lock:
            for folder in self._unpacked_to(name):
                self._refuse(name, folder, why)

    def _refuse(self, name: str, folder: Path, why: str) -> None:
        self.problem = f"the package {name} is refused: {why}"
        with suppress(OSError, OutputError):
            sealed.remove(folder, self._packages)

    def unpacked(self, records: Iterable[Any], missing: Iterable[Any]) -> int:
        """Return the bytes of those of `records` that are in the cache already."""
        new = {record.name.normalized for record in missing}
        names = {record.name.normalized for record in records} - new
        return sum(sealed.usage(one).used for name in names for one in self._unpacked_to(name))

    def _unpacked_to(self, name: str) -> list[Path]:
        record = self._records.get(name)
        stem = f"{name}-*" if record is None else f"{name}-{record.version}-{record.build}*"
        return [one for one in self._packages.glob(stem) if (one / "info").is_dir()]

    def _wrong(self, folder: Path) -> Iterator[str]:
        """Yield what of an unpacked package would leave the environment, or what it reads."""
        unpacked = {
            os.path.relpath(entry.path, folder).replace(os.sep, "/")
            for entry in files_of(folder, whole=True)
            if entry.is_symlink()
        }
        yield from self._too_many(folder)
        found = rattler.PathsJson.from_package_directory_with_deprecated_fallback(folder)
        listed = [(str(one.relative_path).replace(os.sep, "/"), one) for one in found.paths]
        for name, entry in listed:
            if len(os.fsencode(name)) > _LONGEST or name.count("/") >= _MOST_STEPS:
                yield f"its file {one_line(name[:80])}… has a path that is too long"
            if _leaves(name):
                yield f"its file {one_line(name)} would lie outside of the environment"
            if unpacked and any(above in unpacked for above in _above(name)):
                yield f"its file {one_line(name)} lies behind a link"
            if name in unpacked and not entry.path_type.softlink:
                yield f"its file {one_line(name)} is a link"
        for name, _ in listed:
            if name in unpacked:
                target = os.readlink(folder / name).replace(os.sep, "/")
                yield from self._wrong_link(name, target)
        written = {place: name for name, _ in listed if name not in unpacked
                   for place in self._placed(name)}  # fmt: skip
        for command in _commands(folder):
            if not _NAME.fullmatch(command):
                yield f"its command {one_line(command)} is no plain name"
            written |= dict.fromkeys(_places_of_command(command), command)
        for place, name in written.items():
            where = self._reached(place, whole=True)
            if where is None:
                yield f"its file {one_line(name)} goes through a link that leads out"
            else:
                self._files.add(where)

    def _too_many(self, folder: Path) -> Iterator[str]:
        """Yield why what a package tells of itself is more than is read."""
        for name, most in _MOST_BYTES.items():
            path = folder / "info" / name
            if not os.path.lexists(path):
                continue
            data = sealed.read_bytes(path, folder, limit=most)
            if name in ("paths.json", "files"):
                self._listed += data.count(b"{" if name == "paths.json" else b"\n")
        if self._listed > _MOST_FILES:
            yield f"with it the packages list more than {_MOST_FILES:,} files"

    def _wrong_link(self, name: str, target: str) -> Iterator[str]:
        """Yield what is wrong with a link of a package, which is remembered."""
        for place in self._placed(name):
            where = self._reached(place)
            if where is None:
                yield f"its link {one_line(name)} goes through a link that leads out"
                continue
            known = self._links.get(where)
            if where in self._folders or (where in self._passed and known != target):
                yield f"its link {one_line(name)} is a folder of another package"
            if where.split("/")[0] in _RATTLERS:
                yield f"its link {one_line(name)} lies where only files of conda do"
            # of two links nobody knows which will lie there: nothing goes through it
            self._links[where] = target if known in (None, target) else "/"
            if where in self._files:
                led = self._reached(where, whole=True)
                if led is None:
                    yield f"its link {one_line(name)} leads out, and is a file of another package"
                self._files.add(led or where)

    def _placed(self, name: str) -> set[str]:
        """Return where a file of a package may go: of pure Python it depends on the version."""
        top, _, rest = name.partition("/")
        place = {"site-packages": self._site, _SCRIPTS: _COMMANDS}.get(top)
        return {name, f"{place}/{rest}"} if place and rest else {name}

    def _reached(self, place: str, *, whole: bool = False) -> str | None:
        """Return where `place` lies when the links above it are followed; None: outside.

        `whole`: itself, too, when it is a link. What is passed is remembered: no other link may
        come there.
        """
        waiting, found, links = _steps(place), list[str](), 0
        while waiting:
            step = waiting.pop(0)
            if step == "..":
                if not found:
                    return None
                found.pop()
                continue
            here = "/".join([*found, step])
            target = self._links.get(here) if waiting or whole else None
            if target is None:
                found.append(step)
                if waiting and here not in self._folders:
                    self._folders.add(here)
                    self._told += len(here)
                    if self._told > _MOST_FOLDERS:
                        raise ValueError("the packages name too many folders")
                continue
            links += 1
            if PurePath(target).anchor or links > _MOST_LINKS:
                return None
            self._passed.add(here)
            waiting = [*_steps(target), *waiting]
        return "/".join(found)


_UNREADABLE = (rattler_errors.InvalidPackageNameError, rattler_errors.IoError)


def _leaves(name: str) -> bool:
    path = PurePath(name)
    return path.is_absolute() or bool(path.drive) or ".." in path.parts or "\0" in name


def _above(name: str) -> list[str]:
    parts = [one for one in name.split("/") if one not in ("", ".")]
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _steps(place: str) -> list[str]:
    """Return the names that a place goes through, as the disk tells them apart."""
    if sys.platform != "linux":
        place = unicodedata.normalize("NFC", place).casefold()
    return [one for one in place.split("/") if one not in ("", ".")]


def _places_of_command(command: str) -> list[str]:
    """Return the files that are written for a command of a package of pure Python."""
    place = f"{_COMMANDS}/{command}"
    return [f"{place}-script.py", f"{place}.exe"] if sys.platform == "win32" else [place]


def _commands(folder: Path) -> Iterator[str]:
    """Yield the commands that are to be made for a package of pure Python."""
    path = folder / "info" / "link.json"
    if path.exists():
        told = read_json(path, follow=False)
        noarch = told.get("noarch") if isinstance(told, dict) else None
        lines = noarch.get("entry_points") if isinstance(noarch, dict) else None
        for line in lines if isinstance(lines, list) else ():
            yield str(line).partition("=")[0].strip()
