"""Toolboxes that packages carry: found by what the packages tell, without importing them.

An entry point of the group `GROUP` names a folder of descriptors: ``pkg.sub:folder`` is the
folder ``folder`` in the folder of ``pkg.sub``, and ``pkg.sub`` that folder itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.data_classes import dataclass
from napari_tool_runner.entry_points import entry_points_of
from napari_tool_runner.names import real_path

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "InstalledToolbox", "carried_by", "toolboxes_installed"]

GROUP = "napari_tool_runner.toolboxes"
"""The group of entry points; documented for authors."""


@dataclass(frozen=True, slots=True)
class InstalledToolbox:
    """A folder of descriptors that a package carries."""

    package: str
    version: str
    entry: str
    path: Path


def toolboxes_installed() -> list[InstalledToolbox]:
    """Return those of the packages that are installed in this Python; imports none of them."""
    found = []
    for entry in entry_points_of(GROUP):
        top = _words(entry)[0]
        if entry.dist is not None and (path := _folder(_places_of(top), entry)) is not None:
            found.append(InstalledToolbox(entry.dist.name, entry.dist.version, entry.name, path))
    return list({one.path: one for one in found}.values())


def carried_by(folder: Path) -> list[InstalledToolbox]:
    """Return those of the packages that were unpacked into `folder`; reads only what they tell."""
    from importlib.metadata import distributions

    found = []
    for package in distributions(path=[str(folder)]):
        for entry in package.entry_points.select(group=GROUP):
            places = [folder / _words(entry)[0]]
            if (path := _folder(places, entry)) is not None:
                found.append(InstalledToolbox(package.name, package.version, entry.name, path))
    return found


def _words(entry: EntryPoint) -> list[str]:
    """Return the names of the folders that an entry point leads through."""
    return entry.value.partition("[")[0].replace(":", ".").replace(" ", "").split(".")


def _folder(places: Iterable[Path], entry: EntryPoint) -> Path | None:
    """Return the folder that an entry point names below those of its first word."""
    inner = _words(entry)[1:]
    if not all(word.isidentifier() for word in inner):
        return None
    for place in places:
        path = place.joinpath(*inner)
        if path.is_dir() and real_path(path).is_relative_to(real_path(place)):
            return path
    return None


def _places_of(name: str) -> Iterator[Path]:
    """Yield where a package lies. What its finders say is read; its modules are not run."""
    known = sys.modules.get(name)
    spec = getattr(known, "__spec__", None)
    for finder in () if spec is not None else (PathFinder, *sys.meta_path):
        with suppress(Exception):  # finders of others may raise anything
            spec = getattr(finder, "find_spec", lambda *_: None)(name, None)
        if spec is not None:
            break
    yield from map(Path, getattr(spec, "submodule_search_locations", None) or ())
