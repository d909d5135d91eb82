"""What decides the results of a program of this computer besides its command.

The programs that a command may start, the packages of the environments that these lie in, and
the variables. Nothing is run, and no package is read: what installers change (the lists of
packages) is compared, and of packages that the tool imports itself, and of those that are being
worked on (editable ones), every file. What somebody edits by hand deep in a large installed
package is not noticed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner.sealed import facts_of

if TYPE_CHECKING:
    from napari_tool_runner.tools.model import Tool

__all__ = ["programs_state"]

_WORD = re.compile(r"[\w.+/-]+")
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
_MAPPED = re.compile(r"'(/[^'\n]+)'")
_MOST_WORDS, _MOST_SOURCES, _MOST_BYTES = 2000, 50, 2**20
_MOST_FILES = 4000  # of a package that is being worked on
_SMALL = 300  # files of a package that are all compared
_SITES = (
    *("lib/python3*/site-packages", "lib/python3/dist-packages", "lib64/python3*/site-packages"),
    *("local/lib/python3*/dist-packages", "Lib/site-packages", "lib/R/library", "conda-meta"),
)


def programs_state(
    tool: Tool, texts: Iterable[str], variables: Mapping[str, str], more: Iterable[Path] = ()
) -> dict[str, object] | None:
    """Return, in JSON types, what the programs that `texts` may start find on this computer.

    Parameters
    ----------
    texts : iterable of str
        The words of the command, and its scripts.
    more : iterable of Path
        Environments that it finds, too.

    Returns
    -------
    dict or None
        None: it cannot be told, as there is too much of it.
    """
    words = dict.fromkeys(word for text in texts for word in _WORD.findall(text))
    programs = _programs(list(words)[:_MOST_WORDS], variables.get("PATH", os.defpath))
    sources = list(_sources(tool))
    imported = sorted({name for text in (*texts, *sources) for name in _IMPORT.findall(text)})
    prefixes = {Path(path).parent.parent for path in programs}
    prefixes |= {Path(os.path.realpath(path)).parent.parent for path in programs} | {*more}
    sites = sorted({site for prefix in prefixes for site in _sites(prefix)})
    given = [Path(one) for one in variables.get("PYTHONPATH", "").split(os.pathsep) if one]
    if base := variables.get("PYTHONUSERBASE"):
        sites += _sites(Path(base))
    packages: dict[str, object] = {}
    for site in sites:
        packages[str(site)] = _entries(site)
        given += _worked_on(site)
        for name in imported:
            if os.path.isdir(site / name):
                packages[str(site / name)] = _tree_state(site / name, _SMALL, whole=False)
    for place in sorted(set(given)):
        state = _tree_state(place, _MOST_FILES, whole=True) if os.path.isdir(place) else "none"
        if not state:
            return None
        packages[str(place)] = state
    return {
        "programs": {path: facts_of(path) for path in programs},
        "packages": packages,
        "variables": dict(sorted(variables.items())),
    }


def _programs(words: Sequence[str], path: str) -> list[str]:
    """Return the files that words of a command may mean, as a shell finds them."""
    found: dict[str, str] = {}
    for folder in filter(os.path.isabs, path.split(os.pathsep)):
        names = _names(folder)
        for word in words:
            if word in names:
                found.setdefault(word, os.path.join(folder, word))
    named = (word for word in words if os.path.isabs(word) and os.access(word, os.X_OK))
    return sorted({*found.values(), *filter(os.path.isfile, named)})


def _names(folder: str) -> frozenset[str]:
    try:
        return _names_in(folder, facts_of(folder))
    except OSError:
        return frozenset()


@lru_cache(maxsize=64)
def _names_in(folder: str, _changed: tuple[int, ...]) -> frozenset[str]:
    return frozenset(name for name in os.listdir(folder) if os.path.isfile(f"{folder}/{name}"))


def _sources(tool: Tool) -> Iterator[str]:
    """Yield what the Python programs beside a descriptor say."""
    files = (one for pattern in ("*.py", "*/*.py") for one in sorted(tool.folder.glob(pattern)))
    for path in islice(files, _MOST_SOURCES):
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            yield path.read_text(encoding="utf-8", errors="replace")


def _sites(prefix: Path) -> list[Path]:
    """Return where the packages of an environment, if it is one, are."""
    changed = [facts_of(one) for one in (prefix / "lib", prefix / "lib64") if one.is_dir()]
    return _sites_in(prefix, tuple(changed))


@lru_cache(maxsize=64)
def _sites_in(prefix: Path, _changed: tuple[tuple[int, ...], ...]) -> list[Path]:
    return [site for pattern in _SITES for site in prefix.glob(pattern)]


def _entries(site: Path) -> list[list[object]]:
    """Return what lies in a folder of packages: every installer changes that."""
    known = _listings.get(site)
    if known is None or _changed(*known.folder):
        known = _listings[site] = _listed(site)
    own = [[one, *facts_of(one)] for one in known.files if os.path.exists(one)]
    return [*known.folders, *own]


@dataclass(frozen=True, slots=True)
class _Listing:
    """What lies in a folder of packages, and when something in it was last renamed."""

    folder: tuple[str, int]
    folders: tuple[list[object], ...]
    files: tuple[str, ...]


_listings: dict[Path, _Listing] = {}


def _listed(site: Path) -> _Listing:
    changed = os.fspath(site), os.stat(site).st_mtime_ns
    with os.scandir(site) as entries:
        found = sorted(entries, key=lambda one: one.name)
    folders: list[list[object]] = []
    for one in found:
        if one.name != "__pycache__" and one.is_dir():
            # a package is written into when it is first imported, its lists are not
            lists = one.name.endswith((".dist-info", ".egg-info"))
            folders.append([one.name, one.inode(), one.stat().st_mtime_ns if lists else 0])
    return _Listing(changed, tuple(folders), tuple(one.path for one in found if one.is_file()))


def _worked_on(site: Path) -> Iterator[Path]:
    """Yield where the packages lie that are used as they are being written (editable ones)."""
    for name in map(os.path.basename, _listings[site].files):
        finder = name.startswith("__editable__") and name.endswith(".py")
        if not finder and not name.endswith(".pth"):
            continue
        text = (site / name).read_text(encoding="utf-8", errors="replace")
        lines = _MAPPED.findall(text) if finder else text.splitlines()
        for line in (one.strip() for one in lines):
            if line and not line.startswith(("import ", "import\t", "#")):
                yield site / line


def _tree_state(folder: Path, most: int, *, whole: bool) -> str:
    """Return what stands for the files of a package; empty where it has more than `most`.

    Not `whole`: for one that has more, what lies in the folder itself.
    """
    known = _trees.get((folder, most))
    if known is None or any(_changed(*one) for one in known.folders):
        known = _trees[folder, most] = _walked(folder, most)
    if known.more and whole:
        return ""
    digest = hashlib.sha256()
    for path in known.files:
        with suppress(FileNotFoundError):  # a link to nothing
            digest.update(f"{path}{facts_of(path)}".encode(errors="replace"))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Tree:
    """The files of a package; `folders`: those with when something in them was last renamed.

    `more`: there are too many, `files` are those of the uppermost folder.
    """

    files: tuple[str, ...]
    folders: tuple[tuple[str, int], ...]
    more: bool = False


_trees: dict[tuple[Path, int], _Tree] = {}


def _changed(folder: str, then: int) -> bool:
    try:
        return os.stat(folder).st_mtime_ns != then
    except OSError:
        return True


def _walked(folder: Path, most: int) -> _Tree:
    files: list[str] = []
    folders: list[tuple[str, int]] = []
    top, todo = 0, [os.fspath(folder)]
    while todo:
        here = todo.pop()
        folders.append((here, os.stat(here).st_mtime_ns))
        with os.scandir(here) as entries:
            for one in sorted(entries, key=lambda entry: entry.name):
                if not one.is_dir(follow_symlinks=False):
                    files.append(one.path)
                elif one.name not in ("__pycache__", ".git"):
                    todo.append(one.path)
        top = top or len(files)
        if len(files) > most:
            return _Tree(tuple(files[:top]), tuple(folders[:1]), more=True)
    return _Tree(tuple(files), tuple(folders))
