"""Descriptors that nobody approved: the reader reads them first, within limits.

The light entries of an index are made there. A `Tool` is too rich to come through a pipe as
JSON (it holds a language's own parsed form), so it is read there once, and what came through
is read again here. What was read and how long it took is kept, so each content is looked at
once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from napari_tool_runner.errors import DescriptorError
from napari_tool_runner.names import real_path, real_place
from napari_tool_runner.storage import parse_json, read_limited, user_cache, write_json
from napari_tool_runner.tools.candidate import join_entry, split_entry
from napari_tool_runner.tools.isolation.asking import Limits
from napari_tool_runner.tools.isolation.client import reader
from napari_tool_runner.tools.isolation.operations import rst_html
from napari_tool_runner.tools.isolation.wire import refused, tell_formats
from napari_tool_runner.tools.own_folder import import_places
from napari_tool_runner.tools.reader import language_stamps, named_files, tool_uris
from napari_tool_runner.tools.reader import read_tool as read_here
from napari_tool_runner.tools.toolbox.entries import (
    LISTS,
    Made,
    ToolEntry,
    file_stat,
    picture_in,
    ships,
)

if TYPE_CHECKING:
    from napari_tool_runner.tools.formats import Formats
    from napari_tool_runner.tools.model import Tool

__all__ = ["ask_of", "came_through", "entries_of", "help_of", "look", "read_tool", "uris_of"]

_LIMITS = Limits(memory=2**29, processor=5, seconds=30.0, answer=2**24)
_HELP_LIMITS = replace(_LIMITS, processor=2)  # links, roles and tables of docutils are quadratic
_BATCH = 200
_PATIENCE = 60.0
_MOST = 20_000
_VERSION = 1


class _Seen(NamedTuple):
    """What came of a descriptor: the files that it was made of then, and how long it took."""

    root: str
    files: tuple[tuple[str, int, int], ...]
    seconds: float

    def holds(self, root: Path | None) -> bool:
        """Whether nothing has changed since."""
        return self.root == str(root or "") and all(
            file_stat(path) == (size, modified) for path, size, modified in self.files
        )


# -- the entries of an index -------------------------------------------------------------


def entries_of(paths: Iterable[Path], root: Path, toolbox: str) -> dict[Path, Made]:
    """Return the entries of files below `root`; one that the reader gives up on is a problem.

    Many are read at once; where that fails, in halves. When looking at the harmful ones has
    taken a minute, the rest is left out.
    """
    rest = list(paths)
    waiting = [rest[at : at + _BATCH] for at in range(0, len(rest), _BATCH)]
    found: dict[Path, Made] = {}
    lost = 0.0
    while waiting:
        batch = waiting.pop()
        begun = time.monotonic()
        try:
            found |= _entries(batch, root, toolbox)
        except DescriptorError as error:
            lost += time.monotonic() - begun
            if len(batch) == 1:
                found[batch[0]] = Made((), (), str(error))
            elif lost > _PATIENCE:
                why = "It was not looked at: other descriptors of this toolbox took too long."
                found |= {path: Made((), (), why) for path in batch}
            else:
                half = len(batch) // 2
                waiting += [batch[:half], batch[half:]]
    return found


def _entries(batch: list[Path], root: Path, toolbox: str) -> dict[Path, Made]:
    what = f"look at {batch[0].name}"
    told = reader.ask(
        "index",
        {"files": [str(path) for path in batch], "root": str(root), "toolbox": toolbox},
        what=what,
        path=batch[0],
        language="",
        reads=import_places(batch, root),
        limits=replace(_LIMITS, processor=_LIMITS.processor + len(batch) // 20),
    )
    try:
        if not isinstance(told, list):
            raise TypeError("no list")
        pairs = zip(batch, told, strict=True)
        return {path: _made(one, path, toolbox) for path, one in pairs}
    except (TypeError, ValueError) as error:
        raise refused(f"To {what} gave what is no index: {error}.", batch[0]) from error


def _made(told: object, path: Path, toolbox: str) -> Made:
    """Return the entries that the reader told of; raises TypeError, ValueError."""
    match told:
        case [list(rows), list(depends), str(problem)]:
            entries = tuple(_entry(row, path, toolbox) for row in rows)
            return Made(entries, tuple(map(_text, depends)), problem)
    raise ValueError("it is of another shape")


def _entry(row: object, path: Path, toolbox: str) -> ToolEntry:
    if not isinstance(row, list):
        raise TypeError("an entry is no list")
    made = ToolEntry._make(
        tuple(map(_text, field)) if isinstance(field, list) else _text(field) for field in row
    )
    lists = {name for name, field in made._asdict().items() if isinstance(field, tuple)}
    if lists != LISTS or made.toolbox != toolbox or made.uri != join_entry(path, made.entry):
        raise ValueError("an entry is of another file")
    if made.thumbnail and made.thumbnail != picture_in(path.parent, made.thumbnail):
        raise ValueError("a picture lies elsewhere")
    return made


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise TypeError("no text")
    return told


# -- help --------------------------------------------------------------------------------


def help_of(tool: Tool) -> str:
    """Return the reStructuredText of a tool's help as HTML, which is nobody's yet to trust.

    Empty: it cannot be converted. Raises DescriptorError when that takes more than it may.
    """
    if ships(tool):
        return rst_html(tool.help)
    told = reader.ask(
        "help",
        {"text": tool.help},
        what=f"lay out the help of “{tool.name}”",
        path=tool.path,
        language="",
        limits=_HELP_LIMITS,
    )
    return _text(told)


# -- whole tools -------------------------------------------------------------------------


def read_tool(
    path: str | os.PathLike[str],
    *,
    root: Path | None = None,
    formats: Formats | None = None,
    language: str = "",
) -> Tool:
    """Read the descriptor at `path`; one that does not ship is read by the reader first.

    Parameters
    ----------
    path : path
        A descriptor, ``path#entry`` for one of several tools in it, or a folder that
        holds exactly one descriptor.
    root : Path, optional
        The folder that imports may not leave (default: the descriptor's own).
    formats : Formats, optional
        The formats that descriptors may name (default: the built-in ones).
    language : str
        Its language, where that is known.

    Returns
    -------
    Tool
        Its ``notes`` tell what could not be honoured.

    Raises
    ------
    DescriptorError
        There is no descriptor, it holds several tools or none of that name, nothing can be
        shown of it, or reading it takes more than it may.
    """
    uri = os.fspath(path)
    place = split_entry(uri)[0]
    if ships(place):
        return read_here(uri, root=root, formats=formats)
    found = look(uri, root=root, formats=formats, language=language)
    tool = read_here(found, root=root, formats=formats)
    given = Path(os.path.expanduser(place)).absolute()
    given = given if given.name == tool.path.name else given / tool.path.name
    return replace(tool, uri=join_entry(given, tool.entry))


def look(
    uri: str,
    *,
    root: Path | None = None,
    formats: Formats | None = None,
    language: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> str:
    """Have the reader read a descriptor, unless it read the same content before.

    Returns what names it, in no folder by a link: of a folder, the one descriptor in it.

    Parameters
    ----------
    uri, root, formats, language
        As `read_tool` takes them.

    Raises
    ------
    DescriptorError
        It cannot be read, or takes more than a descriptor may.
    JobCancelledError
    """
    if came_through(uri, root):
        return _whole(uri)
    uri = _whole(uri)
    path = split_entry(uri)[0]
    told = ask_of(
        "look", path, {"uri": uri}, root=root, formats=formats, language=language, stop=stop
    )
    match told:
        case [str(found), *rest] if path in (split_entry(found)[0], split_entry(found)[0].parent):
            with suppress(TypeError, ValueError):
                _memory().keep(found if path.is_dir() else uri, _seen([str(root or ""), *rest]))
                return found
    raise refused(f"To read {path.name} gave what is no answer.", path)


def ask_of(
    operation: str,
    path: Path,
    of: Mapping[str, object],
    *,
    root: Path | None = None,
    formats: Formats | None = None,
    language: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> object:
    """Return what the reader answers about the descriptor at `path`, or the folder of one.

    Raises what `look` does. An answer that is a text is the name of a language: it is asked
    again when what that needs is imported.
    """
    files = named_files(path) if path.is_dir() else [path]  # which may be links
    reads = import_places(files, root) | {path, *map(real_path, files)}

    def ask(language: str) -> object:
        return reader.ask(
            operation,
            {**of, "root": str(root or ""), "formats": tell_formats(formats) if formats else []},
            what=f"read {path.name}",
            path=path,
            language=language,
            reads=reads,
            limits=_LIMITS,
            stop=stop,
        )

    told = ask(language)
    return ask(told) if isinstance(told, str) else told


def uris_of(path: Path) -> list[str]:
    """Return what names each tool of a descriptor, as `tool_uris`; raises what `look` does."""
    if ships(path):
        return tool_uris(path)
    told = ask_of("uris", path, {"uri": _whole(str(path))})
    if not isinstance(told, list) or not told:
        raise refused(f"To read {path.name} gave what is no list of tools.", path)
    return [*map(str, told)]


def came_through(uri: str, root: Path | None = None, *, within: float = float("inf")) -> bool:
    """Whether the reader read the same content before, in so many seconds."""
    seen = _memory().seen.get(_whole(uri))
    return seen is not None and seen.seconds <= within and seen.holds(root)


def _whole(uri: str) -> str:
    """Return what names a tool, in no folder by a link: what is looked at is what is read."""
    path, entry = split_entry(uri)
    path = Path(os.path.expanduser(path)).absolute()
    return join_entry(real_path(path) if path.is_dir() else real_place(path), entry)


def _seen(told: object) -> _Seen:
    match told:
        case [str(root), list(files), int() | float() as seconds]:
            return _Seen(root, tuple(map(_stat, files)), seconds)
    raise ValueError("it is of another shape")


def _stat(told: object) -> tuple[str, int, int]:
    match told:
        case [str(path), int(size), int(modified)]:
            return path, size, modified
    raise ValueError("a file is none")


class _Memory:
    """What came through, kept on disk."""

    def __init__(self) -> None:
        self.path = user_cache() / "index" / "looked.json"
        self.lock = threading.Lock()
        self.head = [_VERSION, language_stamps()]
        self.seen: dict[str, _Seen] = {}
        # absent, damaged, or of other languages: everything is looked at again
        with suppress(OSError, ValueError, TypeError, KeyError):
            told = parse_json(read_limited(self.path, 2**26))
            if isinstance(told, dict) and told["head"] == self.head:
                self.seen = {str(uri): _seen(row) for uri, row in told["seen"].items()}

    def keep(self, uri: str, seen: _Seen) -> None:
        """Remember one."""
        with self.lock:
            self.seen[uri] = seen
            while len(self.seen) > _MOST:
                del self.seen[next(iter(self.seen))]
            with suppress(OSError):  # a read-only home, a full disk: it is looked at again
                told = {"head": self.head, "seen": self.seen}
                write_json(self.path, told, indent=None, durable=False)


@cache
def _memory() -> _Memory:
    return _Memory()
