"""Which mounts show what an enclosed program is to see, and cover what it is not."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.names import really
from napari_tool_runner.tools.private import is_below, outermost

__all__ = ["binds", "masks"]

_SYSTEM = frozenset(("/", "/proc", "/dev", "/sys", "/tmp"))  # noqa: S108


def binds(
    wanted: Mapping[Path, bool],
    seen: Iterable[Path],
    hidden: Collection[str],
    links: Collection[str] = (),
) -> Iterator[str]:
    """Yield the mounts of `wanted` (path -> read-only), outer ones first.

    `seen`: what is mounted already; of these, `links` lead to one another in there, too.
    `hidden`: files and folders, by where they really lie, of which what is shown around them
    shows nothing.
    """
    rights = dict.fromkeys(map(str, seen), True)

    def covers(place: str, real: str) -> Iterator[str]:
        for one in outermost(hidden, real):
            path = os.path.join(place, os.path.relpath(one, real))
            if os.path.isdir(one):
                rights[path] = False  # nothing of it is seen
                yield from ("--tmpfs", path)
            elif os.path.isfile(one):
                yield from ("--ro-bind", os.devnull, path)

    def right(path: str) -> bool | None:
        while path not in rights:
            path, below = os.path.dirname(path), path
            if path == below:
                return None
        return rights[path]

    for place in [*rights]:
        if place not in links:
            yield from covers(place, really(place))
    named = {str(path): read_only for path, read_only in wanted.items()}
    for path in sorted(named, key=lambda one: (one.count("/"), one)):
        place, read_only = path, named[path]
        if place in _SYSTEM or not os.path.exists(place):
            continue
        real, shown = really(place), right(place)
        if shown is not None:
            if read_only and shown and is_below(place, real):
                continue
            if real != place:  # the link is seen already, and bubblewrap mounts on no link
                place = real
                if read_only and right(place):
                    continue
        rights[place] = read_only
        yield from ("--ro-bind" if read_only else "--bind", real, place)
        yield from covers(place, real)


def masks(top: str) -> Iterator[str]:
    """Yield the options of bubblewrap that cover files below `top` that are ours, not everybody's.

    Root may read all, and a group some: keys of servers, hashes of passwords.
    """
    for path in _private_below(top):
        if os.path.isdir(path):
            yield from ("--tmpfs", path)
        elif os.path.isfile(path):
            yield from ("--ro-bind", os.devnull, path)


@functools.cache
def _private_below(top: str) -> tuple[str, ...]:
    """Return the files and folders below `top` that we may read, but not everybody."""
    found, todo = [], [top]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    continue
                folder, mode = entry.is_dir(), entry.stat().st_mode
                if mode & (0o005 if folder else 0o004) != (0o005 if folder else 0o004):
                    found += [entry.path] if os.access(entry.path, os.R_OK) else []
                elif folder:
                    todo.append(entry.path)
    return tuple(found)
