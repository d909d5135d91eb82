"""Which mounts show what an enclosed program is to see, and cover what it is not."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.tools.private import outermost

__all__ = ["binds", "masks"]


def binds(
    wanted: Mapping[Path, bool], seen: Iterable[Path], hidden: Collection[str]
) -> Iterator[str]:
    """Yield the mounts of `wanted` (path -> read-only), outer ones first.

    `hidden`: files and folders, by where they really lie, of which what is shown around them
    shows nothing.
    """
    system = {Path("/"), Path("/proc"), Path("/dev"), Path("/sys"), Path("/tmp")}  # noqa: S108
    rights: dict[Path, bool] = dict.fromkeys(seen, True)

    def covers(place: Path, real: str) -> Iterator[str]:
        for one in outermost(hidden, real):
            path = place / os.path.relpath(one, real)
            if os.path.isdir(one):
                rights[path] = False  # nothing of it is seen
                yield from ("--tmpfs", str(path))
            elif os.path.isfile(one):
                yield from ("--ro-bind", os.devnull, str(path))

    for path in seen:
        if not path.is_symlink():
            yield from covers(path, os.path.realpath(path))
    for path in sorted(wanted, key=lambda one: (len(one.parts), str(one))):
        read_only = wanted[path]
        if path in system or not path.exists():
            continue
        real = Path(os.path.realpath(path))
        around = [one for one in (path, *path.parents) if one in rights]
        if around:
            if path.is_relative_to(real) and read_only and rights[around[0]]:
                continue
            if real != path:  # the link is seen already, and bubblewrap mounts on no link
                path = real
                around = [one for one in (path, *path.parents) if one in rights]
                if around and read_only and rights[around[0]]:
                    continue
        rights[path] = read_only
        yield from ("--ro-bind" if read_only else "--bind", str(real), str(path))
        yield from covers(path, str(real))


def masks(top: str) -> Iterator[str]:
    """Yield the options of bubblewrap that cover files below `top` that are ours, not everybody's.

    Root may read all, and a group some: keys of servers, hashes of passwords.
    """
    for path in _private_below(top):
        if os.path.isdir(path):
            yield from ("--tmpfs", path, "--remount-ro", path)
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
