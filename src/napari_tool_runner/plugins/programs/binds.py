"""Which mounts show what an enclosed program is to see, and cover what it is not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from napari_tool_runner.tools.private import outermost

__all__ = ["binds"]


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
