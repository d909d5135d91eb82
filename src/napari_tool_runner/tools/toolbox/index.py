"""The index of one toolbox folder, kept on disk so that nothing is parsed twice.

What is unchanged on disk (size and modification time of a descriptor, of the files it
was made from, and of the folders) is taken from the cache; a file with another time but
the same content (hash) keeps its entry.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import TypeAlias

from napari_tool_runner.data_classes import dataclass, field
from napari_tool_runner.storage import (
    read_limited,
    sha256_of,
    short_digest,
    user_cache,
    write_json,
)
from napari_tool_runner.tools.candidate import MAX_BYTES, holds_macros
from napari_tool_runner.tools.formats import FORMATS
from napari_tool_runner.tools.reader import dialects, language_stamps, may_be_descriptor
from napari_tool_runner.tools.toolbox.entries import LISTS, Made, ToolEntry, file_stat, made_of

__all__ = ["Problem", "index_folder", "is_passed_over"]

_VERSION = 7
_MAX_DEPTH = 12
_MAX_FOLDERS = 20_000
_MOST_BYTES = 256 * 2**20
_SKIPPED = frozenset({"test-data", "test_data", "node_modules", "__pycache__", "site-packages"})
_SKIPPED_SUFFIXES = (
    ".egg-info",
    *(end for entry in FORMATS.values() if entry.directory for end in entry.extensions),
)

_LISTS = [ToolEntry._fields.index(name) for name in LISTS]

_Stat: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder of a toolbox that could not be used, and why."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(slots=True)
class _Folder:
    """What a folder held, and when."""

    mtime: int
    folders: list[str]
    files: list[str]


@dataclass(slots=True)
class _File:
    """What a file was found to hold: tools, a problem, or neither."""

    stat: _Stat
    digest: str
    depends: list[tuple[str, int, int]]
    entries: tuple[ToolEntry, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class _Cache:
    """What was read before, and in which languages."""

    stamps: list[list[object]] = field(default_factory=language_stamps)
    folders: dict[str, _Folder] = field(default_factory=dict)
    files: dict[str, _File] = field(default_factory=dict)


def index_folder(
    folder: Path,
    name: str,
    *,
    cache_dir: Path | None = None,
    strange: bool = False,
    look: bool = True,
) -> tuple[list[ToolEntry], list[Problem]]:
    """Return the tools below `folder`, and what could not be read.

    Parameters
    ----------
    folder : Path
    name : str
        Name of the toolbox, for its entries.
    cache_dir : Path, optional
        Where the cache lies (default: the user's cache folder). A cache that cannot
        be read or written is done without.
    strange : bool
        Its descriptors are of others: the reader reads them.
    look : bool
        False: what the cache says of it counts, and nothing else is touched.
    """
    folder = folder.absolute()
    store = (cache_dir or user_cache() / "index") / f"{short_digest(str(folder))}.json"
    old = _load(store, folder, name)
    problems: list[Problem] = []
    new = _looked(folder, name, store, old, problems, strange=strange) if look else old
    entries = [entry for file in new.files.values() for entry in file.entries]
    problems += [Problem(Path(p), file.problem) for p, file in new.files.items() if file.problem]
    return entries, problems


def _looked(
    folder: Path, name: str, store: Path, old: _Cache, problems: list[Problem], *, strange: bool
) -> _Cache:
    """Return what the folder holds, and keep it."""
    new = _Cache()
    changed = _walk(folder, old, new, problems)
    fresh: dict[Path, _File] = {}
    for path in list(new.files):
        kept = old.files.get(path)
        if kept is not None and _unchanged(path, kept):
            new.files[path] = kept
            continue
        changed = True
        new.files[path] = known = _hashed(path, kept)
        if not known.entries and not known.problem:
            fresh[Path(path)] = known
    for place, made in _read(fresh, folder, name, strange=strange).items():
        known = fresh[place]
        known.entries, known.problem = made.entries, made.problem
        known.depends = [(other, *file_stat(other)) for other in made.depends]
    if changed or old.files.keys() != new.files.keys() or old.stamps != new.stamps:
        _save(store, folder, name, new)
    return new


# -- walking -----------------------------------------------------------------------------


def _walk(root: Path, old: _Cache, new: _Cache, problems: list[Problem]) -> bool:
    """Fill ``new.folders`` and the names of ``new.files``; say whether a folder changed."""
    changed = False
    real_root = os.path.realpath(root)
    waiting = [(str(root), 0)]
    while waiting:
        path, depth = waiting.pop()
        if len(new.folders) >= _MAX_FOLDERS:
            problems.append(
                Problem(root, f"It has more than {_MAX_FOLDERS} folders; the rest is left out.")
            )
            break
        try:
            mtime = os.stat(path).st_mtime_ns
            known = old.folders.get(path)
            if known is None or known.mtime != mtime:
                count = len(problems)
                known = _list(path, mtime, real_root, problems)
                if len(problems) > count:
                    known.mtime = -1  # listed again, so that they are told again
                changed = changed or known != old.folders.get(path)
        except OSError as error:
            why = error.strerror or str(error)
            problems.append(Problem(Path(path), f"The folder cannot be read: {why}."))
            continue
        new.folders[path] = known
        for name in known.files:
            new.files[os.path.join(path, name)] = _File((-1, 0), "", [])
        if depth < _MAX_DEPTH:
            waiting += [(os.path.join(path, name), depth + 1) for name in reversed(known.folders)]
    return changed


def is_passed_over(name: str) -> bool:
    """Whether no tool is looked for in what is called so."""
    return name.startswith(".") or name in _SKIPPED or name.endswith(_SKIPPED_SUFFIXES)


def _list(path: str, mtime: int, real_root: str, problems: list[Problem]) -> _Folder:
    folders, files = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if is_passed_over(name):
                continue
            try:
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if not Path(target).is_relative_to(real_root):
                        aside = may_be_descriptor(name) or os.path.isdir(target)
                        if aside and not holds_macros(Path(target)):  # which are followed
                            why = "It is a link out of the toolbox; left out."
                            problems.append(Problem(Path(entry.path), why))
                        continue
                    if entry.is_dir():
                        continue  # the folder itself is met elsewhere
                if entry.is_dir():
                    folders.append(name)
                elif may_be_descriptor(name) and entry.is_file():
                    files.append(name)
            except OSError as error:  # a link to itself
                why = f"It cannot be looked at ({error.strerror or error}); left out."
                problems.append(Problem(Path(entry.path), why))
    return _Folder(mtime, sorted(folders), sorted(files))


# -- one file ----------------------------------------------------------------------------


def _unchanged(path: str, kept: _File) -> bool:
    return file_stat(path) == kept.stat and all(
        file_stat(name) == (size, mtime) for name, size, mtime in kept.depends
    )


def _hashed(path: str, kept: _File | None) -> _File:
    """Return what is known of a file without parsing it: its entries, if it is as it was."""
    stat = file_stat(path)
    try:
        digest = sha256_of(read_limited(Path(path), MAX_BYTES))
    except ValueError:
        return _File(stat, "", [])  # too large: those who read it say so, or look at its head
    except OSError as error:
        return _File(stat, "", [], problem=f"It cannot be read: {error.strerror or error}.")
    if kept is not None and digest == kept.digest and not kept.problem:
        fresh = [(other, *file_stat(other)) for other, _, _ in kept.depends]
        if fresh == kept.depends:
            return _File(stat, digest, fresh, kept.entries)
    return _File(stat, digest, [])


def _read(paths: Collection[Path], root: Path, name: str, *, strange: bool) -> dict[Path, Made]:
    if not strange:
        return {path: made_of(path, root, name) for path in paths}
    if not paths:
        return {}
    from napari_tool_runner.tools.isolation.looking import entries_of

    return entries_of(paths, root, name)


# -- the cache on disk -------------------------------------------------------------------


def _load(store: Path, folder: Path, name: str) -> _Cache:
    try:
        data = json.loads(read_limited(store, _MOST_BYTES))
        if (data["version"], data["folder"], data["name"]) != (_VERSION, str(folder), name):
            return _Cache()
        if data["stamps"] != language_stamps() and data["languages"] != _languages():
            return _Cache()  # with another language the files mean something else
        folders = {path: _Folder(*kept) for path, kept in data["folders"].items()}
        files = {
            path: _File(
                (size, mtime),
                digest,
                [(other, a, b) for other, a, b in depends],
                tuple(map(_entry, entries)),
                problem,
            )
            for path, (size, mtime, digest, depends, entries, problem) in data["files"].items()
        }
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return _Cache()  # absent, cut or of another version: everything is read anew
    return _Cache(data["stamps"], folders, files)


def _languages() -> list[list[str]]:
    return [[dialect.name, *dialect.patterns] for dialect in dialects.values()]


def _entry(row: list[object]) -> ToolEntry:
    for place in _LISTS:  # thousands are made at start-up
        if isinstance(field := row[place], list):
            row[place] = tuple(field)
    return ToolEntry._make(row)


def _save(store: Path, folder: Path, name: str, cache: _Cache) -> None:
    data = {
        "version": _VERSION,
        "folder": str(folder),
        "name": name,
        "stamps": cache.stamps,
        "languages": _languages(),
        "folders": {
            path: [kept.mtime, kept.folders, kept.files] for path, kept in cache.folders.items()
        },
        "files": {
            path: [*file.stat, file.digest, file.depends, file.entries, file.problem]
            for path, file in cache.files.items()
        },
    }
    with contextlib.suppress(OSError):  # a read-only home, a full disk: work without a cache
        write_json(store, data, indent=None, durable=False)
