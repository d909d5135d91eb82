"""Which files the values of others name, however they are spelled; within limits.

A record, a preset or a layer's metadata may be a stranger's: what a form or a rerun would give to
a tool is looked through first. Each text is gone over once, and what is more than any form
holds is refused, so that looking never takes long.
"""

from __future__ import annotations

import errno
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from napari_tool_runner.errors import ParameterError
from napari_tool_runner.tools.model import (
    DataParameter,
    DirectoryParameter,
    FileParameter,
    InputItem,
    ParameterBase,
)
from napari_tool_runner.tools.tree import find_parameter, places

__all__ = ["named_paths"]

_OF_FILES = DataParameter | FileParameter | DirectoryParameter
_IN_COMMANDS = re.compile(r"""[\s'"`=,;:|&<>()]+""")
_BEFORE = re.compile(r"-{1,2}\w{1,2}|(?:[^/]*[^\w/.~])?")
"""What may stand right before an absolute path: a short option, or a sign (``@``)."""
_BEHIND = re.compile(r"[#\[?*\0]")
"""What ends a name: an image of that file, a part of an address, a pattern."""
_VARIABLE = re.compile(r"\$(\w+)|\$\{([^{}]*)\}|%(\w+)%")
_SCHEME = re.compile(r"^file:(//(localhost)?(?=/))?")

_MOST_VALUES = 5_000
_MOST_TEXT = 2**20  # characters of names and texts: a script, or some thousand labels
_LONGEST_NAME = 1_000
_DEEPEST_NAME = 64  # containers in one another
_MOST_PATHS = 10_000  # what may be a path: a tenth of a second to look for
_LONGEST_PATH = 4096  # that a system opens


def named_paths(
    items: Sequence[InputItem], values: Mapping[str, object]
) -> dict[str, tuple[object, list[Path]]]:
    """Return what values of others are, flat, and which files that are there each names.

    Whatever the values look like: nested or flat, lists or mappings, of names that the tree
    has or not; a file by its path, from where we stand, by ``~``, a variable or an address.

    Parameters
    ----------
    values : mapping
        Of JSON types.

    Returns
    -------
    dict of str
        Full name -> the value, and the files and folders, absolute.

    Raises
    ------
    ParameterError
        It is more than is looked through.
    """
    known = [place.item for place in places(items) if isinstance(place.item, ParameterBase)]
    may = {item.name for item in known if isinstance(item, _OF_FILES)}
    never = {item.name for item in known} - may
    found: dict[str, tuple[object, list[Path]]] = {}
    room = _Room()
    for name, value in _flat(values, room):
        parameter = find_parameter(items, name)
        proposed = getattr(parameter, "default", None)
        if isinstance(parameter, FileParameter | DirectoryParameter) and value == proposed:
            found[name] = value, []  # the descriptor says so, which was approved
            continue
        steps = name.split("|")
        parts = {re.sub(r"_\d+$", "", part) for part in steps} | {*steps}
        bare = bool(parts & may) or not parts & never  # “red” may be a file where we stand
        paths = [path for text in _texts(value) for path in _there(text, room, bare=bare)]
        paths += [path for part in steps for path in _there(part, room, bare=False)]
        found[name] = value, [*dict.fromkeys(paths)]
    return found


class _Room:
    """How much may still come."""

    def __init__(self) -> None:
        self._left = {
            "values": _MOST_VALUES,
            "characters": _MOST_TEXT,
            "texts that may be paths": _MOST_PATHS,
        }

    def take(self, what: str, number: int = 1) -> None:
        """Count what came; raises ParameterError when it is too much."""
        self._left[what] -= number
        if self._left[what] < 0:
            raise self.too_much(f"more {what} than are looked through for files")

    @staticmethod
    def too_much(why: str) -> ParameterError:
        return ParameterError(
            f"The values are not taken: there are {why}.",
            hint="They were not made by a form of this plugin. Fill in the form yourself.",
        )


def _flat(
    values: Mapping[str, object], room: _Room, prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield each value with its full name; entries of lists stand as ``rep_0``."""
    for key, value in values.items():
        room.take("values")
        if len(prefix) + len(key) > _LONGEST_NAME or key.count("|") > _DEEPEST_NAME:
            raise room.too_much(f"names of more than {_LONGEST_NAME} characters, or too deep ones")
        name = f"{prefix}{key}"
        room.take("characters", len(name))
        if isinstance(value, Mapping) and value:
            yield from _flat(value, room, f"{name}|")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            for index, one in enumerate(value):
                yield from _flat({f"{name}_{index}": one}, room)
        else:
            for text in _texts(value):
                room.take("characters", len(text) + 1)
            yield name, value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _there(text: str, room: _Room, *, bare: bool) -> Iterator[Path]:
    """Yield what is there of what a text may mean, as a whole or inside a command.

    `bare`: as a whole it is a path also without a slash.
    """
    if not bare and not any(sign in text for sign in ("/", os.sep, "%", "$")):
        return
    for words, whole in _worded(text, room):
        for one in {words, _SCHEME.sub("", words), _behind(words)}:
            for name in _with_images(one, room):
                if name and ("/" in name or os.sep in name or (bare and whole)):
                    full = os.path.join(os.getcwd(), os.path.expanduser(name))
                    for place in (os.path.abspath(full), *_led(full, room)):
                        yield from _lying(place)


def _worded(text: str, room: _Room) -> Iterator[tuple[str, bool]]:
    """Yield a text without quoting, with its variables, and in pieces; and whether it is whole."""
    for plain in {text, unquote(text), text.replace("\\/", "/")}:
        full = _filled(plain, room)
        for whole in {plain, full}:
            yield whole, True
            for piece in _IN_COMMANDS.split(whole):
                if 1 < len(piece) < len(whole):
                    yield piece, False
                    if (filled := _filled(piece, room)) != piece:
                        yield filled, False


def _behind(text: str) -> str:
    """Return the absolute path that stands right behind something else; empty: there is none."""
    before, slash, path = text.partition("/")
    return slash + path if before and path.strip("/") and _BEFORE.fullmatch(before) else ""


def _filled(text: str, room: _Room) -> str:
    """Return a text with its variables, in one go: `os.path.expandvars` begins anew for each."""
    known = os.environ
    full = _VARIABLE.sub(lambda found: known.get(found[1] or found[2] or found[3], found[0]), text)
    room.take("characters", 0 if full == text else len(full))
    return full


def _with_images(text: str, room: _Room) -> Iterator[str]:
    """Yield a name, and what it is when a part of that file is meant (``#0``), or a pattern."""
    room.take("texts that may be paths", "/" in text)
    yield text
    if _BEHIND.search(text):
        short = text if len(text) <= _LONGEST_PATH else os.path.normpath(text)[:_LONGEST_PATH]
        for mark in _BEHIND.finditer(short):
            room.take("texts that may be paths")
            name = short[: mark.start()]
            yield name if name.strip("/") else ""
            folder = os.path.dirname(name) if mark[0] in "[?*" else ""
            yield folder if folder.strip("/") else ""


def _led(path: str, room: _Room) -> Iterator[str]:
    """Yield what a path with ``..`` means to the system, where steps before may be links."""
    if len(path) > _LONGEST_PATH or os.pardir not in path.split(os.sep):
        return
    try:
        os.lstat(path)
    except (ValueError, FileNotFoundError):
        return
    except OSError:  # it leads into a file
        pass
    room.take("texts that may be paths", path.count(os.sep))
    yield os.path.realpath(path)


def _lying(path: str) -> Iterator[Path]:
    """Yield a path that is there, else the file that it would lie in: which is asked for then."""
    try:
        os.lstat(path)
        yield Path(path)
    except ValueError:  # no path at all
        return
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ENAMETOOLONG) and os.name == "posix":
            return
        ends = [mark.start() for mark in re.finditer(re.escape(os.sep), path)][1:]
        first = bisect_left(ends, True, key=lambda end: not os.path.isdir(path[:end]))
        if first < len(ends) and os.path.isfile(path[: ends[first]]):
            yield Path(path[: ends[first]])
