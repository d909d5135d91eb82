"""Unpacks the archives of strangers: files and folders below one folder, within limits."""

from __future__ import annotations

import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from napari_tool_runner.errors import ToolboxError
from napari_tool_runner.names import count_text, file_name, size_text
from napari_tool_runner.quoting import one_line
from napari_tool_runner.sealed import facts_below
from napari_tool_runner.tools.toolbox.weighing import DEEPEST, MOST_BYTES, MOST_FILES, refuse_full

__all__ = ["holds_too_much", "too_much", "unpack"]

_CHUNK = 2**20
_MOST_LISTED = 64 * 2**20
"""Bytes of the list of an archive's files: about 300 for each of them."""
_END = b"PK\x05\x06"
_BIG_END = b"PK\x06\x06"
_NOT_OURS = frozenset({"__MACOSX", ".DS_Store"})


def too_much(count: int, size: int) -> str:
    """Return why so many files of so many bytes are no toolbox; nothing where they may be one."""
    if count > MOST_FILES:
        return f"it holds more than {count_text(MOST_FILES, 'file')}"
    if size > MOST_BYTES:
        return f"it holds more than {size_text(MOST_BYTES)}"
    return ""


def holds_too_much(folder: Path) -> str:
    """Return why what lies in a folder is no toolbox, as `too_much` does."""
    count = size = 0
    for facts in facts_below(folder):
        count, size = count + 1, size + facts.st_size
        if why := too_much(count, size):
            return why
    return ""


def unpack(archive: Path, into: Path, stop: Callable[[], None] = lambda: None) -> list[str]:
    """Unpack a zip into a folder that is empty; return the names of what was left out.

    That is: links, devices, and what has no name that every system takes.

    Parameters
    ----------
    stop : callable
        Called again and again; what it raises ends the unpacking.

    Raises
    ------
    ToolboxError
        It is no zip, holds too much, or a file of it would lie elsewhere.
    OSError
        It cannot be read, or a file not be written.
    """
    name = one_line(archive.name)
    try:
        if _listed(archive) > _MOST_LISTED:
            raise ToolboxError(f"{name} is no toolbox: {too_much(MOST_FILES + 1, 0)}.")
        with zipfile.ZipFile(archive) as opened:
            return _unpack(opened, name, into, stop)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise ToolboxError(
            f"{name} is no zip, or is damaged ({error}).", hint="Download it again."
        ) from error
    except NotImplementedError as error:
        raise ToolboxError(
            f"{name} is packed in a way that is not known here ({error}).",
            hint="Unpack it, and add the folder.",
        ) from error


def _unpack(opened: zipfile.ZipFile, name: str, into: Path, stop: Callable[[], None]) -> list[str]:
    infos = opened.infolist()
    size = sum(info.file_size for info in infos)
    if why := too_much(len(infos), size):
        raise ToolboxError(f"{name} is no toolbox: {why}.")
    refuse_full(Path(name), size, into)
    places = [(info, _parts(info, name)) for info in infos]  # all of them, before one is written
    left: list[str] = []
    for info, parts in places:
        stop()
        if not parts or _NOT_OURS & {*parts}:
            continue
        mode = info.external_attr >> 16
        kind = stat.S_IFMT(mode)
        plain = kind in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG)
        if not plain or any(map(_is_odd, parts)):
            left.append("/".join(parts))
            continue
        if info.flag_bits & 1:
            raise ToolboxError(
                f"{name} is locked with a password.", hint="Unpack it, and add the folder."
            )
        place = into.joinpath(*parts)
        try:
            (place if info.is_dir() else place.parent).mkdir(0o700, parents=True, exist_ok=True)
            if not info.is_dir():
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
                made = os.open(place, flags, 0o700 if mode & 0o111 else 0o600)
                with open(made, "wb") as target, opened.open(info) as source:
                    _copy(source, target, stop)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            twice = one_line("/".join(parts))
            raise ToolboxError(f"{name} is damaged: it holds “{twice}” twice.") from error
    return left


def _is_odd(part: str) -> bool:
    """Whether not every system has such a name; a point in front hides, and is no harm."""
    bare = part.removeprefix(".")
    return bare != file_name(bare)


def _copy(source: IO[bytes], target: IO[bytes], stop: Callable[[], None]) -> None:
    while data := source.read(_CHUNK):  # never more than the list says, which was weighed
        target.write(data)
        stop()


def _parts(info: zipfile.ZipInfo, name: str) -> tuple[str, ...]:
    """Return the folders and the name of a file; raises ToolboxError where it leads out."""
    path = info.filename.replace("\\", "/")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    drive = len(path) > 1 and path[1] == ":"
    if len(parts) > DEEPEST:
        raise ToolboxError(f"{name} is no toolbox: its folders are nested too deeply.")
    if path.startswith("/") or drive or ".." in parts:
        where = one_line(info.filename, 80)
        raise ToolboxError(
            f"{name} was not unpacked: its file “{where}” would lie outside of the toolbox.",
            hint="Whoever made it may mean harm; ask them.",
        )
    return parts


def _listed(archive: Path) -> int:
    """Return the bytes of the list of files in a zip, as its end tells: it is read at once."""
    with open(archive, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 2**16 - 256, 0))
        tail = file.read()
    at = tail.rfind(_END)
    found = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    big = tail.rfind(_BIG_END)
    if found == 0xFFFFFFFF and big >= 0:
        found = int.from_bytes(tail[big + 40 : big + 48], "little")
    return found
