"""Which toolboxes were added, and from where; where those lie that were fetched for the user.

::

    toolboxes/                 below the user's data
        cell-tools/            one that was fetched: complete, or not there
            about.json         from where, which version
            cell-tools/        its descriptors and what they need; this folder is the toolbox
        .draft-1f2e3d/         one that is being fetched or looked at
        .old-cell-tools/       while a new one takes its place
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from napari_tool_runner import settings
from napari_tool_runner.data_classes import asdict, dataclass
from napari_tool_runner.locks import join_lock
from napari_tool_runner.sealed import remove
from napari_tool_runner.storage import (
    Kept,
    locked,
    private_folder,
    read_json,
    read_limited,
    user_data,
    write_json,
)
from napari_tool_runner.tools.toolbox.installed import toolboxes_installed

if TYPE_CHECKING:
    from napari_tool_runner.config import Config

__all__ = [
    "About",
    "AddedToolbox",
    "Draft",
    "Kind",
    "added_toolboxes",
    "fetched_folder",
    "git_version",
    "hide",
    "is_fetched",
    "take_away",
    "toolbox_places",
]

Kind = Literal["folder", "zip", "package", "installed"]
"""From where: a folder of the user's, a zip, PyPI, or a package installed in this Python."""

_ABOUT = "about.json"
_MOST = 2**16
_DRAFT, _OLD, _GONE = ".draft-", ".old-", ".gone-"
_DAY = 86400


@dataclass(frozen=True, slots=True)
class About:
    """From where a toolbox came.

    Parameters
    ----------
    origin : str
        A path, or the name of a package.
    place : str
        Which index or folder had the package; empty: it is not known, or none.
    """

    kind: Kind
    origin: str
    version: str = ""
    place: str = ""

    @property
    def text(self) -> str:
        """The same in words."""
        version = f" {self.version}" if self.version else ""
        match self.kind:
            case "package":
                return f"{self.origin}{version} from {self.place or 'an index'}"
            case "installed":
                return f"{self.origin}{version}, installed in napari’s Python"
            case "zip":
                name = Path(self.origin).name
                return name if self.version in name else f"{name}, {self.version}"
        return f"{self.origin}{f', {self.version}' if version else ''}"


@dataclass(frozen=True, slots=True)
class AddedToolbox:
    """A toolbox that does not ship.

    Parameters
    ----------
    shown : bool
        Whether its tools are shown: the configuration names it, or nobody hid it.
    """

    name: str
    folder: Path
    about: About
    shown: bool = True


def _home() -> Path:
    return user_data() / "toolboxes"


def fetched_folder(name: str) -> Path:
    """Return where the fetched toolbox `name` lies, or would lie."""
    return _home() / name / name


def is_fetched(folder: Path) -> bool:
    """Whether a toolbox folder was fetched for the user: nobody chose what lies in it."""
    return folder == fetched_folder(folder.name)


def toolbox_places(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield names and folders of the toolboxes that do not ship: configured, and of packages.

    What packages of this Python carry is left out where a facility locks the toolboxes.
    """
    for folder in config.toolbox_dirs:
        if is_fetched(folder) and not folder.is_dir():
            with suppress(OSError), locked(_home()):
                _settle()
        yield folder.name or str(folder), folder
    yield from ((one.name, one.folder) for one in _installed(config) if one.shown)


def added_toolboxes(config: Config) -> list[AddedToolbox]:
    """Return the toolboxes that do not ship, also those that were fetched and are not named."""
    found = [_described(folder) for folder in config.toolbox_dirs]
    known = {one.folder for one in found}
    if _home().is_dir():
        names = sorted(one.name for one in _home().iterdir() if not one.name.startswith("."))
        rest = [fetched_folder(name) for name in names if fetched_folder(name) not in known]
        found += [_described(folder, shown=False) for folder in rest]
    return found + _installed(config)


def _described(folder: Path, *, shown: bool = True) -> AddedToolbox:
    about = _about(folder) if is_fetched(folder) else None
    about = about or About("folder", str(folder), git_version(folder))
    return AddedToolbox(folder.name or str(folder), folder, about, shown)


def _about(folder: Path) -> About | None:
    with suppress(OSError, ValueError):
        told = read_json(folder.parent / _ABOUT, limit=_MOST, follow=False)
        match told:
            case {"kind": kind, "origin": str(origin), "version": str(version), **more}:
                if kind in get_args(Kind):
                    return About(kind, origin, version, str(more.get("place", "")))
    return None


def git_version(folder: Path) -> str:
    """Return the commit of a git checkout as its files tell it: git itself may run code."""
    with suppress(OSError, ValueError):
        head = read_limited(folder / ".git" / "HEAD", _MOST).decode().strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return f"git {head[:7]}"
        if ".." in name or name.startswith("/"):
            return "git"
        branch = name.removeprefix("refs/heads/")
        with suppress(OSError):
            return f"git {branch} {read_limited(folder / '.git' / name, _MOST).decode()[:7]}"
        packed = read_limited(folder / ".git" / "packed-refs", 2**24).decode()
        found = [line for line in packed.splitlines() if line.endswith(f" {name}")]
        return f"git {branch} {found[0][:7] if found else ''}".strip()
    return ""


# -- those that were fetched ---------------------------------------------------------------


class Draft:
    """A folder for what is being fetched; whoever dies leaves it to be swept.

    Raises
    ------
    OSError
        It cannot be made.
    """

    def __init__(self) -> None:
        private_folder(_home())
        with locked(_home()):
            _settle()
            self.folder = _home() / f"{_DRAFT}{secrets.token_hex(4)}"
            self.folder.mkdir(0o700)
            self._release = join_lock(self.folder, alone=False, folder=True)

    def put(self, content: Path, name: str, about: About) -> Path:
        """Make `content`, a folder of the draft, the toolbox `name`; return where it lies.

        What was there before is there until then. Raises OSError.
        """
        ready = self.folder / "ready"
        ready.mkdir(0o700)
        content.rename(ready / name)
        write_json(ready / _ABOUT, asdict(about))
        place, old = _home() / name, _home() / f"{_OLD}{name}"
        with locked(_home()):
            _settle()
            if place.exists():
                place.rename(old)
            try:
                ready.rename(place)
            except OSError:
                _settle()
                raise
            with suppress(OSError):  # the next draft sweeps
                _delete(old)
        return fetched_folder(name)

    def drop(self) -> None:
        """Delete it; once is enough."""
        with suppress(OSError):  # the next draft sweeps
            _delete(self.folder)
        release, self._release = self._release, None
        if release is not None:
            release()


def take_away(folder: Path) -> None:
    """Delete a fetched toolbox; raises OSError."""
    with locked(_home()):
        gone = _home() / f"{_GONE}{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            folder.parent.rename(gone)
        _settle()


def _settle() -> None:
    """Undo or end what was broken off; `_home` is held alone."""
    for one in [*_home().iterdir()]:
        if one.name.startswith(_OLD):
            place = _home() / one.name.removeprefix(_OLD)
            if not place.exists():
                one.rename(place)
        dead = one.name.startswith(_DRAFT) and _is_left(one)
        if dead or one.name.startswith((_OLD, _GONE)):
            with suppress(OSError):
                _delete(one)


def _is_left(draft: Path) -> bool:
    """Whether nobody is at work on it any more."""
    if sys.platform == "win32":  # where nothing is locked
        return draft.stat().st_mtime < time.time() - _DAY
    release = join_lock(draft, alone=True, folder=True)
    if release is not None:
        release()
    return release is not None


def _delete(folder: Path) -> None:
    if os.path.lexists(folder):
        remove(folder, folder.parent)


# -- those of installed packages --------------------------------------------------------------


def hide(package: str, hidden: bool) -> None:
    """Show the tools of an installed package no more, or again; raises OSError."""
    with _hidden().changing() as told:
        names = {*_names(told)} - {package}
        told["hidden"] = sorted({*names, package} if hidden else names)


def _hidden() -> Kept:
    return Kept(user_data() / "toolboxes.json")


def _names(told: dict[str, object]) -> list[str]:
    names = told.get("hidden")
    return [str(one) for one in names] if isinstance(names, list) else []


def _installed(config: Config) -> list[AddedToolbox]:
    if config.lock_of(settings.TOOLBOXES.key) is not None or not (found := toolboxes_installed()):
        return []
    hidden: list[str] = []
    with suppress(OSError, ValueError):
        hidden = _names(_hidden().read())
    packages = [one.package for one in found]
    return [
        AddedToolbox(
            one.package if packages.count(one.package) == 1 else f"{one.package}-{one.entry}",
            one.path,
            About("installed", one.package, one.version),
            one.package not in hidden,
        )
        for one in found
    ]
