"""Links in results: to a file of the same job they are that file, all others are refused."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from napari_tool_runner.errors import OutputError
from napari_tool_runner.names import real_path
from napari_tool_runner.sealed.changing import copy_bytes, new_file
from napari_tool_runner.sealed.opening import (
    MAX_DEPTH,
    folder_of,
    heard,
    is_plain_file,
    kind,
    open_file,
    outside,
    parts_of,
    refused,
    too_much,
    walk,
    word_of,
)

__all__ = ["below", "is_own", "link_free", "settled"]

_MAX_LINKS = 8  # from one link to the next; wrappers make one or two


def below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what lies below a folder of the user; links are given, never entered.

    Of a file nothing is asked: its folder says what it is.

    Raises
    ------
    OSError
    """
    todo = [os.fspath(folder)]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for count, entry in enumerate(entries):
                if not count % 1024:
                    heard()
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                yield entry


def is_own(path: Path, root: Path, *, alone: bool = False) -> bool:
    """Whether a file or folder lies below `root`, with no link on the way to it nor below it.

    Parameters
    ----------
    alone : bool
        Nor with a file that has another name besides, which may lie anywhere (a hard link).
    """
    try:
        match kind(path, root):
            case "file":
                found: Iterable[Path] = (path,)
                open_file(path, root).close()
            case "folder":
                found = walk(path, root)
            case _:
                return False
        return all(not alone or one.lstat().st_nlink == 1 for one in found)
    except (OutputError, OSError):
        return False


def link_free(path: Path, root: Path, lent: Collection[Path] = ()) -> Path:
    """Return where `path` really lies: links that stay below `root` are followed by our own walk.

    Parameters
    ----------
    lent : collection of Path
        Files elsewhere that the program was given: a link to one of them leads there.

    Raises
    ------
    OutputError
        A link leads out, or in a circle.
    FileNotFoundError
        There is nothing.
    """
    todo = list(reversed(parts_of(path, root)))
    here, links = root, 0
    while todo:
        name = todo.pop()
        if name == "..":  # of a link's text
            if here == root:
                raise outside(path, "is a link that leads out, to a place")
            here = here.parent
            continue
        with folder_of(here, root) as folder:
            facts = folder.stat(name)
            if not stat.S_ISLNK(facts.st_mode):
                here = here / name
                if len(here.parts) - len(root.parts) > MAX_DEPTH:
                    raise too_much(root, f"more than {MAX_DEPTH} folders in one another")
                if todo and not stat.S_ISDIR(facts.st_mode):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
                continue
            text = Path(os.readlink(folder.name(name), dir_fd=folder.fd))
        links += 1
        if links > _MAX_LINKS:
            raise refused(path, "a link to a link, without end", "a file")
        if text.is_absolute():
            if not todo and text in lent:
                return text
            base = next((b for b in (root, real_path(root)) if text.is_relative_to(b)), None)
            if base is None:
                raise outside(path, f"is a link that leads out, to {text},")
            here, text = root, text.relative_to(base)
        todo += [part for part in reversed(text.parts) if part != "."]
    return here


def settled(path: Path, root: Path, lent: Collection[Path] = ()) -> Path:
    """Return a result that holds no link any more and can be opened, read and handed on.

    A link to a file of the same job becomes that file, also inside a folder; a link to
    one of the files that were `lent` becomes a copy of it.

    Raises
    ------
    OutputError
        It leads out, or something in it is neither file nor folder.
    FileNotFoundError
        There is nothing.
    """
    if path.is_relative_to(root) and is_plain_file(path, root):
        return path
    real = link_free(path, root, lent)
    if real in lent and not real.is_relative_to(root):
        _replace_link(path, real, root, own=False)
        return path
    if kind(real, root) == "file":
        with open_file(real, root):
            pass
        if real != path and kind(path.parent, root) == "folder":
            _replace_link(path, real, root, own=True)
            return path
        return real
    if kind(real, root) != "folder":
        with folder_of(real.parent, root) as folder:
            raise refused(real, word_of(folder.stat(real.name)), "a file")
    for entry in list(walk(real, root, links=True)):
        try:
            target = link_free(entry, root, lent)
        except FileNotFoundError:
            raise refused(entry, "a link to nothing", "a file") from None
        own = target.is_relative_to(root)
        if own and kind(target, root) != "file":
            raise refused(entry, "a link to a folder", "a file")
        _replace_link(entry, target, root, own=own)
    return real


def _replace_link(link: Path, target: Path, root: Path, *, own: bool) -> None:
    """Put the file `target` in the place of a link; a file of the job (`own`) by a hard link."""
    with open_file(target, root if own else None) as source:
        with folder_of(link.parent, root) as folder:
            if stat.S_ISLNK(folder.stat(link.name).st_mode):
                os.unlink(folder.name(link.name), dir_fd=folder.fd)
            if own:
                with (
                    suppress(OSError, NotImplementedError),
                    folder_of(target.parent, root) as other,
                ):
                    os.link(
                        other.name(target.name),
                        folder.name(link.name),
                        src_dir_fd=other.fd,
                        dst_dir_fd=folder.fd,
                        follow_symlinks=False,
                    )
                    return
        with new_file(link, root) as draft:
            copy_bytes(source, draft)
