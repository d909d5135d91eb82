"""Finds the language that a descriptor is written in, and lets it read.

Nothing here knows a language: they are the sub-packages of `napari_tool_runner.tools`
that hold a module ``dialect``, and what the entry points of the group
``napari_tool_runner.dialects`` name.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import translate
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from napari_tool_runner import tools
from napari_tool_runner.entry_points import entry_points_of
from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import real_place
from napari_tool_runner.quoting import one_line
from napari_tool_runner.tools.candidate import Candidate, join_entry, split_entry

if TYPE_CHECKING:
    from napari_tool_runner.tools.dialect import Dialect
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.model import Note, Tool

__all__ = [
    "choose_dialect",
    "dialect_of",
    "dialects",
    "is_descriptor",
    "language_stamps",
    "may_be_descriptor",
    "named_files",
    "read_tool",
    "tool_uris",
    "unknown_language",
]

ENTRY_POINT_GROUP = "napari_tool_runner.dialects"

_DEEPEST = 64

STRONG = 10
"""Weight of a mark that only one of the languages has."""


class _Dialects(Mapping[str, "Dialect"]):
    """The languages by name, found when the first is asked for."""

    def __init__(self) -> None:
        self._found: dict[str, Dialect] = {}
        self._places: tuple[str, ...] = ()

    def _all(self) -> dict[str, Dialect]:
        places = tuple(tools.__path__)
        if places != self._places:
            found = {dialect.name: dialect for dialect in reversed([*_discovered()])}
            self._found, self._places = dict(sorted(found.items())), places
        return self._found

    def __getitem__(self, name: str) -> Dialect:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def language_stamps() -> list[list[object]]:
    """Return paths and times that change when a language may have come, gone or changed.

    Nothing is imported for it.
    """
    shelves = (name for name in sys.path if name.endswith(("site-packages", "dist-packages")))
    places = [*_modules(), *(Path(name) for name in shelves if os.path.isdir(name))]
    return [[str(place), place.stat().st_mtime_ns] for place in places]


def _modules() -> list[Path]:
    return sorted(file for place in tools.__path__ for file in Path(place).glob("*/dialect.py"))


def _discovered() -> Iterator[Dialect]:
    """Yield the languages that can be loaded, our own folders first; the others are told."""
    from napari_tool_runner.tools.dialect import Dialect

    loaders: dict[str, Callable[[], object]] = {}
    for name in dict.fromkeys(file.parent.name for file in _modules()):
        module = f"{tools.__name__}.{name}.dialect"
        loaders[module] = partial(_dialect_in, module)
    loaders |= {point.value: point.load for point in entry_points_of(ENTRY_POINT_GROUP)}
    for where, load in loaders.items():
        try:
            found = load()
            if isinstance(found, Dialect):
                shape = [*map(type, (found.name, found.label, found.patterns))]
                if shape != [str, str, tuple]:
                    raise TypeError("its name, label and patterns are no text, text and tuple")
                _matcher(found.patterns)
        except Exception as error:  # noqa: BLE001 - code of others, which must not end ours
            _warn("The descriptor language %s cannot be loaded: %s", where, error)
            continue
        if isinstance(found, Dialect):
            yield found
        else:
            _warn("%s is no descriptor language: it must be a Dialect.", where)


def _dialect_in(module: str) -> object:
    return import_module(module).DIALECT


def _warn(text: str, *details: object) -> None:
    import logging

    logging.getLogger(__name__).warning(text, *details)


dialects = _Dialects()


def read_tool(
    path: str | os.PathLike[str], *, root: Path | None = None, formats: Formats | None = None
) -> Tool:
    """Read the descriptor at `path`.

    Parameters
    ----------
    path : path
        A descriptor, ``path#entry`` for one of several tools in it, or a folder that
        holds exactly one descriptor.
    root : Path, optional
        The folder that imports may not leave (default: the descriptor's own).
    formats : Formats, optional
        The formats that descriptors may name (default: the built-in ones).

    Returns
    -------
    Tool
        Its ``notes`` tell what could not be honoured.

    Raises
    ------
    DescriptorError
        There is no descriptor, it holds several tools or none of that name, or nothing
        can be shown of it.
    """
    from napari_tool_runner.tools.bounds import bounded
    from napari_tool_runner.tools.model import Note, Severity

    place, entry = split_entry(path)
    path = _find_descriptor(Path(os.path.expanduser(place)).absolute())
    candidate = Candidate(real_place(path))  # what it imports and runs lies beside it there
    dialect, sure = choose_dialect(candidate)
    if dialect is None:
        raise unknown_language(candidate)
    entry = _entry(dialect, candidate, entry)
    candidate.formats = (formats or candidate.formats).with_traits(dialect.traits)
    found = dialect.read(candidate, entry, root=root)
    tool = replace(
        found,
        name=one_line(found.name),
        version=one_line(found.version),
        uri=join_entry(path, entry),
        place=str(candidate.path.parent),
        entry=entry,
        dialect=dialect.name,
        formats=candidate.formats,
        notes=tuple(_with_language(note, dialect) for note in found.notes),
    )
    if not sure:
        note = Note(
            Severity.INFO,
            "tool",
            f"The language of this file was guessed: it is read as {dialect.name}.",
        )
        tool = replace(tool, notes=(*tool.notes, note))
    return bounded(tool if tool.requirements else _with_needs(tool))


def _with_needs(tool: Tool) -> Tool:
    """Add what the script that the command starts says of itself."""
    from napari_tool_runner.tools.common import Notes
    from napari_tool_runner.tools.python_needs import needs_of_script

    needs = needs_of_script(tool.command, tool.folder)
    if needs is None:
        return tool
    notes = Notes(found=[*tool.notes])
    needs.tell(notes, "requirements")
    return replace(tool, requirements=(needs.requirement,), notes=tuple(notes.found))


def _with_language(note: Note, dialect: Dialect) -> Note:
    """Name the languages that have what a descriptor wants and its own lacks."""
    from napari_tool_runner.tools.common import missed

    word = missed(note)
    having = [one.label for one in dialects.values() if word in one.offers and one is not dialect]
    if not having:
        return note
    return replace(note, what=f"{note.what} The language of {' and '.join(having)} has it.")


def choose_dialect(candidate: Candidate) -> tuple[Dialect | None, bool]:
    """Return the language of a file, None if there is none, and whether that is sure.

    Those that the file's name speaks for are asked first.
    """
    name = candidate.path.name
    likely = [one for one in dialects.values() if _matcher(one.patterns).match(name)]
    others = [one for one in dialects.values() if one not in likely]
    for asked in (likely, others):
        scored = [(_score(dialect, candidate), dialect) for dialect in asked]
        scored.sort(key=lambda pair: -pair[0])
        if scored and scored[0][0] > 0:
            best, dialect = scored[0]
            second = max((score for score, _ in scored[1:]), default=0)
            # hardly a mark of any other language is sure enough: the file is plain
            return dialect, second <= 2 or best - second >= STRONG // 2
    return None, True


def _score(dialect: Dialect, candidate: Candidate) -> int:
    try:
        return int(dialect.score(candidate))
    except Exception as error:  # noqa: BLE001 - one language must not hide the others
        _warn("The language %s stumbles over %s: %s", dialect.name, candidate.path, error)
        return 0


def dialect_of(tool: Tool) -> Dialect:
    """Return the dialect that read `tool`."""
    return dialects[tool.dialect]


def may_be_descriptor(name: str) -> bool:
    """Say whether a file of this name may be a descriptor of any language."""
    patterns = tuple(pattern for dialect in dialects.values() for pattern in dialect.patterns)
    return _matcher(patterns).match(name) is not None


def tool_uris(path: Path) -> list[str]:
    """Return what names each tool of a descriptor: ``path``, or several ``path#entry``."""
    path, entry = split_entry(path)
    candidate = Candidate(path)
    dialect, _ = choose_dialect(candidate)
    names: Sequence[str] = (entry,)
    if dialect is not None and not entry:
        with suppress(DescriptorError):  # reading it says why
            names = dialect.entries(candidate) or names
    return [join_entry(path, name) for name in names]


def named_files(folder: Path, *, deep: bool = False) -> list[Path]:
    """Return the files of a folder whose names may be of descriptors; none is opened.

    `deep`: also in the folders below, but in no hidden one and in no ``test-data``.
    """
    found, waiting = [], [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        with suppress(OSError):  # one that cannot be read holds none
            for path in sorted(place.iterdir()):
                hidden = deep and (path.name.startswith(".") or path.name == "test-data")
                if path.is_dir():
                    if deep and depth < _DEEPEST and not hidden and not path.is_symlink():
                        waiting.append((path, depth + 1))
                elif not hidden and may_be_descriptor(path.name):
                    found.append(path)
    return sorted(found)


def is_descriptor(path: Path) -> bool:
    """Whether a file is a descriptor, or may be and cannot be read; others no language knows."""
    candidate = Candidate(path)
    return choose_dialect(candidate)[0] is not None or candidate.problem is not None


def _find_descriptor(path: Path) -> Path:
    """Return `path` itself, or the one descriptor that the folder `path` holds.

    Raises
    ------
    DescriptorError
        The folder holds none, or several.
    """
    if not path.is_dir():
        return path
    candidates = [Candidate(file) for file in named_files(path) if is_descriptor(file)]
    broken = [candidate for candidate in candidates if candidate.problem is not None]
    found = [candidate.path for candidate in candidates if candidate.problem is None]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found)
        raise DescriptorError(
            f"{path} holds several descriptors: {names}.", path=path, hint="Name one of them."
        )
    if broken:
        raise unknown_language(broken[0])
    raise DescriptorError(
        f"{path} holds no descriptor.",
        path=path,
        hint=f"Name a descriptor ({_labels()}), or the folder it lies in.",
    )


def _entry(dialect: Dialect, candidate: Candidate, entry: str) -> str:
    """Return the name of the tool that is meant in a file that may hold several."""
    path, names = candidate.path, dialect.entries(candidate)
    if entry in names:
        return entry
    if not entry and len(names) == 1:
        return names[0]
    known = ", ".join(f"“{name}”" for name in names[:20] if name)
    if entry:
        raise DescriptorError(
            f"{path} holds no tool “{entry}”.",
            path=path,
            hint=f"It holds {known}." if known else "It is one tool; leave out the “#”.",
        )
    raise DescriptorError(
        f"{path} holds {len(names)} tools." if names else f"{path} holds no tool.",
        path=path,
        hint=f"Name one of them as {path.name}#NAME: {known}." if known else "",
    )


def unknown_language(candidate: Candidate) -> DescriptorError:
    """Say why no language takes a file: it is broken, or of none that is known here."""
    if candidate.problem is not None and not candidate.misnamed:
        return candidate.problem
    root = "" if candidate.xml is None else f": its root is <{candidate.xml.tag}>"
    return DescriptorError(
        f"{candidate.path} is written in no descriptor language that is known here "
        f"({_labels()}){root}.",
        path=candidate.path,
        hint="Name the descriptor of a tool.",
    )


def _labels() -> str:
    return ", ".join(dialect.label for dialect in dialects.values())


@lru_cache(maxsize=32)
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, dict.fromkeys(patterns))) or r"(?!)")
